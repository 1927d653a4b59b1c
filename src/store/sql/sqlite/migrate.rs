use auth_core::port::StoreError;
use sqlx::migrate::{Migrate, MigrateError, Migration};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, TURN, failure, is_busy};
use crate::store::sql::error::Failure;
use crate::store::sql::migrate::{TABLE, migration, missing};
use crate::store::sql::rekey;

rekey::rekey!(SqliteConnection);

fn migrations() -> Vec<Migration> {
    vec![
        migration(1, "accounts", include_str!("../migrations/sqlite/0001_accounts.sql")),
        migration(2, "recovery", include_str!("../migrations/sqlite/0002_recovery.sql")),
        migration(3, "pending payloads", include_str!("../migrations/sqlite/0003_pending_payloads.sql")),
        migration(4, "dummy writes", include_str!("../migrations/sqlite/0004_dummy_writes.sql")),
        migration(5, "session expiry", include_str!("../migrations/sqlite/0005_session_expiry.sql")),
        migration(6, "user status", include_str!("../migrations/sqlite/0006_user_status.sql")),
        migration(7, "session scope", include_str!("../migrations/sqlite/0007_session_scope.sql")),
        migration(8, "closed accounts", include_str!("../migrations/sqlite/0008_closed_accounts.sql")),
        migration(11, "presented tokens", include_str!("../migrations/sqlite/0011_presented_tokens.sql")),
        migration(12, "data keys", include_str!("../migrations/sqlite/0012_data_keys.sql")),
        migration(13, rekey::NAME, include_str!("../migrations/sqlite/0013_spellings.sql")),
        migration(14, "session clients", include_str!("../migrations/sqlite/0014_session_clients.sql")),
        migration(15, "pending tries", include_str!("../migrations/sqlite/0015_pending_tries.sql")),
    ]
}

/// Opens the file and brings its schema up to date, under the write lock: of several processes one does it, the others
/// find it done.
pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_connect(options).await {
            // SQLite itself does not wait where several connections turn a new file to WAL mode at once.
            Err(MigrateError::Execute(error)) if is_busy(&error) && Instant::now() < deadline => sleep(TURN / 4).await,
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => return Err(failure(error)),
            result => return result.map_err(|error| Failure::Store(StoreError::corrupt(error))),
        }
    }
}

/// As sqlx's `Migrator` does it, which neither takes the lock nor runs within a transaction in a future that is `Send`.
async fn try_connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, MigrateError> {
    let mut connection = options.connect().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    transaction.ensure_migrations_table(TABLE).await?;
    for migration in missing(&mut *transaction, migrations()).await? {
        transaction.apply(TABLE, &migration).await?;
        if migration.description == rekey::NAME {
            rekey(&mut transaction).await?;
        }
    }
    // Writes nothing, but fails where nothing can be written: on a read-only file BEGIN IMMEDIATE begins a read.
    transaction.execute("DELETE FROM _auth_migrations WHERE version IS NULL").await?;
    transaction.commit().await?;
    Ok(connection)
}
