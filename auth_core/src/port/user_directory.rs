use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::types::{TenantId, User, UserId, UserStatus};

/// The accounts as an operator sees them. No flow needs this, so a [`UserStore`](super::UserStore) may go without.
#[async_trait]
pub trait UserDirectory: Send + Sync + 'static {
    /// The accounts of a tenant in the order of their ids, from the first after `after`: at most `limit`. With a
    /// `status`, those that have it.
    async fn list(
        &self,
        tenant: &TenantId,
        status: Option<UserStatus>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError>;

    /// Removes rows that are marked as deleted and were not changed for `age` by the store's clock, of all tenants: at
    /// most `limit`. Tells how many it removed.
    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError>;
}
