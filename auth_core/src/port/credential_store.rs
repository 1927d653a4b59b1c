use async_trait::async_trait;

use super::StoreError;
use crate::types::{Credential, CredentialId, FactorKind, Payload, TenantId, UserId};

/// The credentials beside passwords: authenticators, backup codes and their like. New kinds need no migration.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// Adds a credential. `false` when another one of the tenant and kind has its look-up key; nothing is written then.
    /// An id that is there already is an error: no row is ever replaced.
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError>;

    /// Finds a credential by its id.
    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError>;

    /// Finds a credential by its look-up key.
    async fn find_by_key(
        &self,
        tenant: &TenantId,
        kind: &FactorKind,
        key: &[u8],
    ) -> Result<Option<Credential>, StoreError>;

    /// All credentials of a user, the oldest id first.
    async fn of_user(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Credential>, StoreError>;

    /// The credentials of a kind, of all tenants, whose id is before `before`: the oldest `limit`. Ids begin with the time
    /// at which they were made, so these are older than `before`.
    async fn older_of_kind(
        &self,
        kind: &FactorKind,
        before: CredentialId,
        limit: usize,
    ) -> Result<Vec<Credential>, StoreError>;

    /// Writes a new payload and clears the consecutive failures, if the row still has `current`'s revision: one atomic
    /// swap. Of parallel calls with one revision exactly one is answered with the row as it is now.
    ///
    /// Only who proved the credential writes its payload, which is why the failures go.
    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError>;

    /// Counts one more wrong proof in a row, in advance, if fewer than `below` are counted: one atomic step, durable
    /// before it returns. `false` when there are that many, or no such credential. Leaves the revision alone.
    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError>;

    /// Removes a credential: `true` for the one call that did.
    async fn remove(&self, tenant: &TenantId, id: CredentialId) -> Result<bool, StoreError>;
}
