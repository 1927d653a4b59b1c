//! The accounts as an operator sees them.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{StoreError, UserDirectory};
use auth_core::types::{TenantId, User, UserId, UserStatus};

use super::row::{Fields, sql_limit, sql_micros};
use super::statement::query;
use super::users::columns;
use super::{Database, SqlStore};

macro_rules! purge {
    ($now:expr, $lock:literal) => {
        concat!(
            "WITH old AS MATERIALIZED (SELECT tenant, id FROM auth_users ",
            "WHERE status = 'deleted' AND changed_at <= (SELECT ",
            $now,
            " - $2) ",
            "ORDER BY changed_at LIMIT $3",
            $lock,
            ") ",
            "DELETE FROM auth_users WHERE (tenant, id) IN (SELECT tenant, id FROM old) RETURNING id",
        )
    };
}

statements! {
    LIST = concat!(
        "SELECT ", columns!(), " FROM auth_users WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3",
    );
    // By an index of its own: of a million accounts few are disabled.
    LIST_BY_STATUS = concat!(
        "SELECT ", columns!(), " FROM auth_users WHERE tenant = $1 AND id > $2 AND status = $4 ORDER BY id LIMIT $3",
    );
    PURGE = purge!("$1", ""), postgres: purge!(clock!("$1"), " FOR UPDATE SKIP LOCKED");
}

#[async_trait]
impl<D: Database> UserDirectory for SqlStore<D> {
    async fn list(
        &self,
        tenant: &TenantId,
        status: Option<UserStatus>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let list = |text| query(text).bind(tenant.as_str()).bind(after).bind(sql_limit(limit));
        let statement = match status {
            None => list(LIST),
            Some(status) => list(LIST_BY_STATUS).bind(status.as_str()),
        };
        self.read(statement).await?.iter().map(|row| Fields(row).user()).collect()
    }

    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let statement = |now| query(PURGE).bind(now).bind(sql_micros(age)).bind(sql_limit(limit));
        Ok(self.write(statement).await?.len())
    }
}
