//! Attempts within timed windows.

use std::sync::LazyLock;

use async_trait::async_trait;
use auth_core::port::{AttemptKey, AttemptStore, Hit, StoreError};
use auth_core::types::{Limit, Timestamp};
use redis::Script;

use super::call::Call;
use super::{RedisStore, kept_for};

/// ARGV is now, the end of a window that starts now, and how long to keep it. What is no number is left to the caller.
/// The first write is the one that a full server refuses.
static HIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local window = redis.call('HMGET', KEYS[1], 'attempts', 'ends_at')
        local ends_at = tonumber(window[2])
        if window[2] and not (ends_at and tonumber(window[1])) then
            return window
        end
        if ends_at and ends_at > tonumber(ARGV[1]) then
            return {tostring(redis.call('HINCRBY', KEYS[1], 'attempts', 1)), window[2]}
        end
        redis.call('HSET', KEYS[1], 'attempts', 1, 'ends_at', ARGV[2])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return {'1', ARGV[2]}
        ",
    )
});

impl RedisStore {
    fn attempts_key(&self, key: &AttemptKey) -> String {
        self.key("attempts", key.as_bytes())
    }
}

#[async_trait]
impl AttemptStore for RedisStore {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        let now = self.now();
        let ends_at = now + limit.window;
        let mut hit = Call::script(&HIT, self.attempts_key(key));
        hit.arg(now.micros()).arg(ends_at.micros()).arg(kept_for(limit.window));
        let (attempts, ends_at): (u64, i64) = self.call(hit).await?;
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Hit::of(attempts, limit, Timestamp::from_micros(ends_at).since(now)))
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.call(Call::command("DEL", self.attempts_key(key))).await
    }
}
