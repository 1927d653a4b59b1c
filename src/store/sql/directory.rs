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

/// The status is a part of the text: of a million accounts few are disabled, and a database that plans for any status at
/// all reads the accounts in their order until it has found enough.
macro_rules! list {
    ($status:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM auth_users WHERE tenant = $1 AND id > $2",
            $status,
            " ORDER BY id LIMIT $3"
        )
    };
}

statements! {
    LIST = list!("");
    LIST_ACTIVE = list!(" AND status = 'active'");
    LIST_DISABLED = list!(" AND status = 'disabled'");
    LIST_DELETED = list!(" AND status = 'deleted'");
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
        let list = match status {
            None => LIST,
            Some(UserStatus::Active) => LIST_ACTIVE,
            Some(UserStatus::Disabled) => LIST_DISABLED,
            Some(UserStatus::Deleted) => LIST_DELETED,
        };
        let statement = query(list).bind(tenant.as_str()).bind(after).bind(sql_limit(limit));
        self.read(statement).await?.iter().map(|row| Fields(row).user()).collect()
    }

    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let statement = |now| query(PURGE).bind(now).bind(sql_micros(age)).bind(sql_limit(limit));
        Ok(self.write(statement).await?.len())
    }
}
