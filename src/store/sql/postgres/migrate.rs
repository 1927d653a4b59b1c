use std::time::Duration;

use auth_core::port::StoreError;
use sqlx::migrate::{Migrate, MigrateError, Migration};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::connections::connect;
use super::{PAUSE, failure, has_code};
use crate::store::sql::error::Failure;
use crate::store::sql::migrate::{TABLE, migration, missing};
use crate::store::sql::rekey;

rekey::rekey!(PgConnection);

/// How long a migration may take: an index on a large table.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Times that a process begins again because another one was faster.
const TRIES: u32 = 20;

fn migrations() -> Vec<Migration> {
    vec![
        migration(1, "accounts", include_str!("../migrations/postgres/0001_accounts.sql")),
        migration(2, "dummy writes", include_str!("../migrations/postgres/0002_dummy_writes.sql")),
        migration(3, "session expiry", include_str!("../migrations/postgres/0003_session_expiry.sql")),
        migration(4, "user status", include_str!("../migrations/postgres/0004_user_status.sql")),
        migration(5, "session scope", include_str!("../migrations/postgres/0005_session_scope.sql")),
        migration(6, "closed accounts", include_str!("../migrations/postgres/0006_closed_accounts.sql")),
        migration(9, "presented tokens", include_str!("../migrations/postgres/0009_presented_tokens.sql")),
        migration(10, "data keys", include_str!("../migrations/postgres/0010_data_keys.sql")),
        migration(11, rekey::NAME, include_str!("../migrations/postgres/0011_spellings.sql")),
        migration(12, "session clients", include_str!("../migrations/postgres/0012_session_clients.sql")),
        migration(13, "pending tries", include_str!("../migrations/postgres/0013_pending_tries.sql")),
    ]
}

/// Brings the schema up to date: of several processes one does it, the others find it done.
pub(super) async fn migrate(options: &PgConnectOptions, patience: Duration) -> Result<(), Failure> {
    let options = options.clone().options([("statement_timeout", TIMEOUT.as_millis())]);
    let mut connection = connect(&options, Instant::now() + patience).await?;
    let mut tries = 0;
    loop {
        match try_migrate(&mut connection).await {
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                tries += 1;
                if !was_overtaken(&error) || tries == TRIES {
                    return Err(failure(error));
                }
                sleep(PAUSE * tries).await;
            }
            result => return result.map_err(|error| Failure::Store(StoreError::corrupt(error))),
        }
    }
}

/// As sqlx's `Migrator` does it, which locks by what not every server has.
async fn try_migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    const NO_SUCH_TABLE: &[&str] = &["42P01"];
    // Where there is nothing to do, nothing is written, and the right to create tables is not needed.
    match missing(connection, migrations()).await {
        Ok(none) if none.is_empty() => return Ok(()),
        Err(MigrateError::Execute(error)) if has_code(&error, NO_SUCH_TABLE) => {
            connection.ensure_migrations_table(TABLE).await?;
        }
        missing => drop(missing?),
    }
    let mut transaction = connection.begin().await?;
    for migration in missing(&mut *transaction, migrations()).await? {
        // Noted first: whoever else is at it waits for this row, and then begins again.
        transaction.skip(TABLE, &migration).await?;
        let done = transaction.execute(migration.sql.clone()).await;
        done.map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
        if migration.description == rekey::NAME {
            rekey(&mut transaction).await?;
        }
    }
    Ok(transaction.commit().await?)
}

/// Whether another process made the same thing at the same time.
fn was_overtaken(error: &Error) -> bool {
    // A row, table or other object that is there by now; a serialization failure, a deadlock.
    has_code(error, &["23505", "42P07", "42710", "40001", "40P01"])
}
