//! Which data keys the stored values need. Each statement steps through an index from one id to the next, so it costs as
//! many look-ups as there are keys.

use async_trait::async_trait;
use auth_core::port::{DataKeyUse, DataKeysInUse, StoreError};
use auth_core::token::KeyId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::statement::{Columns, Stored, query, statements};
use super::{Database, SqlStore};

statements! { "";
    // The expressions are those of the indexes `auth_credentials_data_key` and `auth_users_pepper`, word for word.
    OF_CREDENTIALS = "
        WITH RECURSIVE keys (id) AS (
            SELECT {x''|''::bytea}
            UNION ALL SELECT (
                SELECT CASE kind WHEN 'totp' THEN substr(payload, 9, 8) ELSE substr(payload, 1, 8) END
                FROM auth_credentials WHERE kind IN ('totp', 'backup_codes')
                AND CASE kind WHEN 'totp' THEN substr(payload, 9, 8) ELSE substr(payload, 1, 8) END > keys.id
                ORDER BY CASE kind WHEN 'totp' THEN substr(payload, 9, 8) ELSE substr(payload, 1, 8) END LIMIT 1
            ) FROM keys WHERE keys.id IS NOT NULL
        )
        SELECT id FROM keys WHERE id IS NOT NULL LIMIT 1000";
    OF_PASSWORDS = r#"
        WITH RECURSIVE keys (id) AS (
            SELECT {''|''::text COLLATE "C"}
            UNION ALL SELECT (
                SELECT substr(password_hash, {instr|strpos}(password_hash, ',keyid=') + 7, 11)
                FROM auth_users WHERE {instr|strpos}(password_hash, ',keyid=') > 0
                AND substr(password_hash, {instr|strpos}(password_hash, ',keyid=') + 18, 1) IN ('$', ',')
                AND substr(password_hash, {instr|strpos}(password_hash, ',keyid=') + 7, 11) > keys.id
                ORDER BY substr(password_hash, {instr|strpos}(password_hash, ',keyid=') + 7, 11) LIMIT 1
            ) FROM keys WHERE keys.id IS NOT NULL
        )
        SELECT id FROM keys WHERE id IS NOT NULL LIMIT 1000"#;
}

#[async_trait]
impl<D: Database> DataKeyUse for SqlStore<D> {
    async fn data_keys_in_use(&self) -> Result<DataKeysInUse, StoreError> {
        let of_credentials = self.read(query(&OF_CREDENTIALS)).await?;
        let of_passwords = self.read(query(&OF_PASSWORDS)).await?;
        // A value that is no id names no key: the start of the search, or a corrupt row.
        let credentials = of_credentials.iter().filter_map(|row| KeyId::parse(value::<&[u8]>(row)?));
        let decoded = of_passwords.iter().filter_map(|row| STANDARD_NO_PAD.decode(value::<&str>(row)?).ok());
        let passwords = decoded.filter_map(|id| KeyId::parse(&id));
        Ok(DataKeysInUse { credentials: credentials.collect(), passwords: passwords.collect() })
    }
}

fn value<'r, S: Stored<'r>>(row: &'r dyn Columns) -> Option<S> {
    S::of(row, "id").ok().flatten()
}
