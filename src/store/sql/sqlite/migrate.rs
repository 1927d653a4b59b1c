use auth_core::port::StoreError;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqlSafeStr, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, TURN};
use crate::store::sql::error::{Failure, is_busy};

/// Which migrations were applied. The host may have its own in sqlx's default table of the same file.
const TABLE: &str = "_auth_migrations";

fn migrations() -> [Migration; 3] {
    let simple = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    [
        simple(1, "accounts", include_str!("../migrations/0001_accounts.sql")),
        simple(2, "recovery", include_str!("../migrations/0002_recovery.sql")),
        simple(3, "pending payloads", include_str!("../migrations/0003_pending_payloads.sql")),
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
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => return Err(error.into()),
            result => return result.map_err(|error| Failure::Store(StoreError::corrupt(error))),
        }
    }
}

/// As sqlx's `Migrator` does it, which neither takes the lock nor runs within a transaction in a future that is `Send`.
async fn try_connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, MigrateError> {
    let mut connection = options.connect().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    transaction.ensure_migrations_table(TABLE).await?;
    let mut applied = transaction.list_applied_migrations(TABLE).await?;
    for migration in migrations() {
        match applied.iter().position(|applied| applied.version == migration.version) {
            None => drop(transaction.apply(TABLE, &migration).await?),
            Some(index) if applied.swap_remove(index).checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
        }
    }
    // Writes nothing, but fails where nothing can be written: on a read-only file BEGIN IMMEDIATE begins a read.
    transaction.execute("DELETE FROM _auth_migrations WHERE version IS NULL").await?;
    if let Some(newer) = applied.first() {
        return Err(MigrateError::VersionMissing(newer.version));
    }
    transaction.commit().await?;
    Ok(connection)
}
