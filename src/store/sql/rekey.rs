//! Folds the keys of addresses anew: once, when the column of spellings comes. Keys of ASCII alone stay as they are.

/// The migration that makes room for spellings.
pub(super) const NAME: &str = "spellings";

/// Accounts whose mailbox was proven come first, then the older ones: where two keys become one, the first has it.
pub(super) const ACCOUNTS: &str = "SELECT tenant, id, email FROM auth_users \
    WHERE octet_length(email) > length(email) ORDER BY email_verified_at IS NULL, created_at, id";
pub(super) const ACCOUNT: &str = "UPDATE auth_users SET email = $1, email_spelling = $2 WHERE tenant = $3 AND id = $4 \
    AND NOT EXISTS (SELECT 1 FROM auth_users AS other WHERE other.tenant = $3 AND other.email = $1)";
pub(super) const MAILS: &str = "SELECT id, address FROM auth_mail_outbox WHERE octet_length(address) > length(address)";
pub(super) const MAIL: &str = "UPDATE auth_mail_outbox SET address = $1, address_spelling = $2 WHERE id = $3 \
    AND NOT EXISTS (SELECT 1 FROM auth_mail_outbox AS other WHERE other.state = 'waiting' \
    AND other.tenant = auth_mail_outbox.tenant AND other.address = $1 AND other.purpose = auth_mail_outbox.purpose \
    AND other.user_id = auth_mail_outbox.user_id AND other.token_version = auth_mail_outbox.token_version)";

/// `rekey` over a connection of one database.
macro_rules! rekey {
    ($connection:ty) => {
        async fn rekey(connection: &mut $connection) -> Result<(), sqlx::Error> {
            use crate::store::sql::rekey::{ACCOUNT, ACCOUNTS, MAIL, MAILS};
            use auth_core::types::Email;
            use sqlx::Row as _;
            /// The key of today, where it is another one.
            fn folded(old: &str) -> Option<Email> {
                Email::parse(old).ok().filter(|email| email.as_str() != old)
            }
            for row in sqlx::query(ACCOUNTS).fetch_all(&mut *connection).await? {
                let (tenant, id, old): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                let Some(email) = folded(&old) else { continue };
                let update = sqlx::query(ACCOUNT).bind(email.as_str().to_owned()).bind(old);
                let done = update.bind(tenant.clone()).bind(id.clone()).execute(&mut *connection).await?;
                if done.rows_affected() == 0 {
                    tracing::warn!(
                        target: "auth", tenant, user = id,
                        "another account has this address in another spelling: give this one a new address"
                    );
                }
            }
            for row in sqlx::query(MAILS).fetch_all(&mut *connection).await? {
                let (id, old): (Vec<u8>, String) = (row.try_get(0)?, row.try_get(1)?);
                let Some(email) = folded(&old) else { continue };
                let update = sqlx::query(MAIL).bind(email.as_str().to_owned()).bind(old);
                update.bind(id).execute(&mut *connection).await?;
            }
            Ok(())
        }
    };
}

pub(super) use rekey;
