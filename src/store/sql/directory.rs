//! The accounts as an operator sees them.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{Lapse, StoreError, UserDirectory};
use auth_core::types::{TenantId, Timestamp, User, UserId, UserStatus};

use super::row::{Fields, sql_limit, sql_micros};
use super::statement::{query, statements};
use super::{Database, SqlStore, users};

statements! { users::COLUMNS;
    // The status is a part of the text: of a million accounts few are disabled, and a database that plans for any status
    // at all reads the accounts in their order until it has found enough.
    LIST = "SELECT {columns} FROM auth_users WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
    LIST_ACTIVE = "
        SELECT {columns} FROM auth_users WHERE tenant = $1 AND id > $2 AND status = 'active' ORDER BY id LIMIT $3";
    LIST_DISABLED = "
        SELECT {columns} FROM auth_users WHERE tenant = $1 AND id > $2 AND status = 'disabled' ORDER BY id LIMIT $3";
    LIST_DEACTIVATED = "
        SELECT {columns} FROM auth_users WHERE tenant = $1 AND id > $2 AND status = 'deactivated' ORDER BY id LIMIT $3";
    LIST_DELETED = "
        SELECT {columns} FROM auth_users WHERE tenant = $1 AND id > $2 AND status = 'deleted' ORDER BY id LIMIT $3";
    // A first sieve, which an index has; `User::is_superuser` judges.
    SUPERUSERS = r#"
        SELECT {columns} FROM auth_users
        WHERE {instr|strpos}(attributes, '"is_superuser":true') > 0 AND tenant = $1 ORDER BY id"#;
    UNVERIFIED = "
        SELECT {columns} FROM auth_users
        WHERE claim = 'sign_up' AND email_verified_at IS NULL AND status = 'active' AND created_at <= $1
        ORDER BY created_at, tenant, id LIMIT $2";
    DEACTIVATED = "
        SELECT {columns} FROM auth_users WHERE status = 'deactivated' AND deactivated_at <= $1
        ORDER BY deactivated_at, tenant, id LIMIT $2";
    PURGE = "
        WITH old AS MATERIALIZED (
            SELECT tenant, id FROM auth_users WHERE status = 'deleted' AND changed_at <= (SELECT {now $1} - $2)
            ORDER BY changed_at LIMIT $3 {lock}
        )
        DELETE FROM auth_users WHERE (tenant, id) IN (SELECT tenant, id FROM old) RETURNING id";
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
            None => &LIST,
            Some(UserStatus::Active) => &LIST_ACTIVE,
            Some(UserStatus::Disabled) => &LIST_DISABLED,
            Some(UserStatus::Deactivated { .. }) => &LIST_DEACTIVATED,
            Some(UserStatus::Deleted) => &LIST_DELETED,
        };
        let statement = query(list).bind(tenant.as_str()).bind(after).bind(sql_limit(limit));
        self.read(statement).await?.iter().map(|row| Fields(row).user()).collect()
    }

    async fn superusers(&self, tenant: &TenantId) -> Result<Vec<User>, StoreError> {
        let rows = self.read(query(&SUPERUSERS).bind(tenant.as_str())).await?;
        let users = rows.iter().map(|row| Fields(row).user()).collect::<Result<Vec<_>, _>>()?;
        Ok(users.into_iter().filter(User::is_superuser).collect())
    }

    async fn lapsed(&self, kind: Lapse, before: Timestamp, limit: usize) -> Result<Vec<User>, StoreError> {
        let lapsed = match kind {
            Lapse::Unverified => &UNVERIFIED,
            Lapse::Deactivated => &DEACTIVATED,
        };
        let statement = query(lapsed).bind(before.micros()).bind(sql_limit(limit));
        self.read(statement).await?.iter().map(|row| Fields(row).user()).collect()
    }

    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let statement = |now| query(&PURGE).bind(now).bind(sql_micros(age)).bind(sql_limit(limit));
        Ok(self.write(statement).await?.len())
    }
}
