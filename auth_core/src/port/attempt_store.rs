use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::types::Limit;

/// Counts attempts within timed windows (guesses at an account, requests of an address) and draws from buckets that
/// refill (mails to a recipient).
///
/// A lost count only restarts its window or refills its bucket, so this may live in memory or in a cache. Counts that must outlive everything
/// are columns of the rows that they protect.
#[async_trait]
pub trait AttemptStore: Send + Sync + 'static {
    /// Counts one attempt and tells where the count stands, in one step: of any number of parallel calls, at most
    /// `limit.count` are allowed within a window.
    ///
    /// A window starts at the first attempt and ends `limit.window` later by the store's own clock, however many come
    /// in between: what is refused does not extend it. Whatever other keys see must not reset a window that runs.
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError>;

    /// Takes one from a bucket and tells whether it held one, in one step: of any number of parallel calls, no more
    /// succeed than the bucket held.
    ///
    /// A bucket holds `limit.count` and is full at first. It gains one every [`Limit::interval`], by the store's own
    /// clock, until it is full again. A refused call takes nothing. It writes as much as one that succeeds, because its
    /// duration must not tell how full a bucket is. A key names a window or a bucket, never both.
    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError>;

    /// Ends a window early, or fills a bucket: its authenticator was used with full success.
    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError>;
}

/// Where a count stands after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whether this attempt was within the limit.
    pub allowed: bool,
    /// How many more are, in this window.
    pub remaining: u32,
    /// When the window ends, from now.
    pub reset_after: Duration,
}

impl Hit {
    /// What `attempts` (this one included) mean under a limit.
    pub fn of(attempts: u32, limit: Limit, reset_after: Duration) -> Self {
        Self { allowed: attempts <= limit.count, remaining: limit.count.saturating_sub(attempts), reset_after }
    }
}

/// Names what is counted, by a digest: the store learns neither addresses nor identifiers, and a key is short whatever a
/// client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey([u8; 16]);

impl AttemptKey {
    /// A key for some kind of attempt at something, named by all its parts.
    pub fn new(kind: &str, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in [kind.as_bytes()].iter().chain(parts) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.finalize()[..16]);
        Self(key)
    }

    /// The key as stores keep it.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
