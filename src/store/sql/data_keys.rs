//! Which data keys the stored values need. Each statement steps through an index from one id to the next, so it costs as
//! many look-ups as there are keys.

use async_trait::async_trait;
use auth_core::port::{DataKeyUse, DataKeysInUse, StoreError};
use auth_core::token::KeyId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::statement::{Columns, Stored, query};
use super::{Database, SqlStore};

// The expressions are those of the indexes `auth_credentials_data_key` and `auth_users_pepper`, word for word.
macro_rules! credential_key {
    () => {
        "CASE kind WHEN 'totp' THEN substr(payload, 9, 8) ELSE substr(payload, 1, 8) END"
    };
}

macro_rules! distinct {
    ($table:literal, $key:expr, $keyed:expr, $start:literal) => {
        concat!(
            "WITH RECURSIVE keys (id) AS (SELECT ",
            $start,
            " UNION ALL SELECT (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $keyed,
            " AND ",
            $key,
            " > keys.id ORDER BY ",
            $key,
            " LIMIT 1) FROM keys WHERE keys.id IS NOT NULL) ",
            "SELECT id FROM keys WHERE id IS NOT NULL LIMIT 1000",
        )
    };
}

macro_rules! pepper {
    ($position:literal) => {
        concat!("substr(password_hash, ", $position, "(password_hash, ',keyid=') + 7, 11)")
    };
}

macro_rules! peppered {
    ($position:literal) => {
        concat!(
            $position,
            "(password_hash, ',keyid=') > 0 AND substr(password_hash, ",
            $position,
            "(password_hash, ',keyid=') + 18, 1) IN ('$', ',')",
        )
    };
}

statements! {
    OF_CREDENTIALS = distinct!("auth_credentials", credential_key!(), "kind IN ('totp', 'backup_codes')", "x''"),
        postgres: distinct!("auth_credentials", credential_key!(), "kind IN ('totp', 'backup_codes')", "''::bytea");
    OF_PASSWORDS = distinct!("auth_users", pepper!("instr"), peppered!("instr"), "''"),
        postgres: distinct!("auth_users", pepper!("strpos"), peppered!("strpos"), "''::text COLLATE \"C\"");
}

#[async_trait]
impl<D: Database> DataKeyUse for SqlStore<D> {
    async fn data_keys_in_use(&self) -> Result<DataKeysInUse, StoreError> {
        let of_credentials = self.read(query(OF_CREDENTIALS)).await?;
        let of_passwords = self.read(query(OF_PASSWORDS)).await?;
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
