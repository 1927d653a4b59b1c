//! Brings a schema up to date.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};

/// Which migrations were applied. The host may have its own in sqlx's default table of the same database.
pub(super) const TABLE: &str = "_auth_migrations";

pub(super) fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Those of `migrations` that were not applied yet; the table of what was must be there.
pub(super) async fn missing<C: Migrate>(
    connection: &mut C,
    migrations: impl IntoIterator<Item = Migration>,
) -> Result<Vec<Migration>, MigrateError> {
    let mut applied = connection.list_applied_migrations(TABLE).await?;
    let mut missing = Vec::new();
    for migration in migrations {
        match applied.iter().position(|applied| applied.version == migration.version) {
            None => missing.push(migration),
            Some(index) if applied.swap_remove(index).checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
        }
    }
    match applied.first() {
        Some(newer) => Err(MigrateError::VersionMissing(newer.version)),
        None => Ok(missing),
    }
}
