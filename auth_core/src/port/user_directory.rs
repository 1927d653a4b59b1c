use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::types::{Claim, TenantId, Timestamp, User, UserId, UserStatus};

/// The accounts as an operator sees them. No flow needs this, so a [`UserStore`](super::UserStore) may go without.
#[async_trait]
pub trait UserDirectory: Send + Sync + 'static {
    /// The accounts of a tenant in the order of their ids, from the first after `after`: at most `limit`. With a
    /// `status`, those that have one [like it](UserStatus::is_like).
    async fn list(
        &self,
        tenant: &TenantId,
        status: Option<UserStatus>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError>;

    /// Returns all [super-users'](User::is_superuser) accounts of a tenant, with any status, in the order of their ids. A
    /// tenant has few of them.
    async fn superusers(&self, tenant: &TenantId) -> Result<Vec<User>, StoreError>;

    /// The accounts of all tenants that lapsed at `before` or earlier, oldest first: at most `limit`.
    async fn lapsed(&self, kind: Lapse, before: Timestamp, limit: usize) -> Result<Vec<User>, StoreError>;

    /// Removes rows that are marked as deleted and were not changed for `age` by the store's clock, of all tenants: at
    /// most `limit`. Tells how many it removed.
    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError>;
}

/// Why an account is not kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// A sign-up made it at that time, its status is active, and its mailbox was never verified
    /// ([`Claim::SignUp`](crate::types::Claim)).
    Unverified,
    /// Its owner closed it at that time.
    Deactivated,
}

impl Lapse {
    /// Whether an account lapsed at `before` or earlier.
    pub fn is_over(self, user: &User, before: Timestamp) -> bool {
        match self {
            Self::Unverified => {
                let open = user.is_active() && !user.is_verified();
                open && matches!(user.claim, Claim::SignUp { .. }) && user.created_at <= before
            }
            Self::Deactivated => user.status.since().is_some_and(|since| since <= before),
        }
    }
}
