use async_trait::async_trait;

use super::StoreError;
use crate::types::{PendingId, PendingSession, Timestamp};

/// What waits for a second step. May live in a cache: what is lost there is begun anew.
#[async_trait]
pub trait PendingSessionStore: Send + Sync + 'static {
    /// Keeps a pending session, in the place of one with the same id.
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError>;

    /// Looks at one that is not over at `now`.
    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError>;

    /// Counts a try at one that is not over at `now` and has had fewer than `limit`, and returns it with that try counted. Of
    /// any number of parallel calls, no more than `limit` get it.
    async fn attempt(&self, id: &PendingId, limit: u32, now: Timestamp) -> Result<Option<PendingSession>, StoreError>;

    /// Takes one that is not over at `now`: of any number of parallel calls, one gets it, and it is gone.
    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError>;
}
