use std::time::Duration;

use async_trait::async_trait;

use super::{ChangePage, Since, StoreError};
use crate::types::{Session, SessionId, TenantId, Timestamp, UserId};

/// The sessions.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session, unless its slot is taken by another one of the same user that was not ended. An id that is there
    /// already is an error: no row is ever replaced.
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError>;

    /// Finds a session, ended ones included, and tells the store's own time.
    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError>;

    /// Returns the sessions of a user, ended and expired ones included, by `created_at` and id: the newest first, from the
    /// first one behind `after`, at most `limit`.
    async fn of_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError>;

    /// Writes the next generation if the session still has `current`'s generation and was not ended: one atomic
    /// swap. Of parallel calls with one generation exactly one is answered with the row as it is now.
    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError>;

    /// Notes that the token of this generation was presented, if it is still the session's generation and the session was
    /// not ended: one atomic write, which changes nothing else. `true` if the row says so now.
    async fn note_presented(&self, tenant: &TenantId, id: SessionId, generation: u32) -> Result<bool, StoreError>;

    /// Ends a session for good. `true` for the one call that did; `changed_at` becomes the store's clock.
    ///
    /// The row stays at least as long as an access token lives, so that every node learns of it.
    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError>;

    /// The sessions of all tenants that were ended, by the time of the change: at most `limit`.
    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError>;

    /// Removes sessions of all tenants that were ended, or reached their `expires_at`, at least `age` ago by the store's
    /// clock: at most `limit`. Tells how many it removed.
    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError>;
}

/// A row together with the store's own time at which it was read.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// What was read.
    pub row: T,
    /// When, by the clock that all nodes of this store share.
    pub now: Timestamp,
}

/// What came of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionInsert {
    /// The session is there.
    Created,
    /// Another session of the user has the slot; nothing was written.
    SlotTaken,
}

/// What a rotation writes: all that the next refresh token is derived from.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The number of the new generation.
    pub generation: u32,
    /// When it begins; also the time the session was last seen.
    pub rotated_at: Timestamp,
    /// When the session ends unless it is refreshed again.
    pub idle_expires_at: Timestamp,
}
