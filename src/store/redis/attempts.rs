//! Attempts within timed windows.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{AttemptKey, AttemptStore, Hit, StoreError};
use auth_core::types::Limit;
use redis::Script;

use super::call::Call;
use super::{GRACE, RedisStore, micros, millis, script};

/// ARGV is the time, the length of a window, and how long to keep it. The answer is the count and how much of its window
/// is left. What is no number is left to the caller. The first write is the one that a full server refuses.
static HIT: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
        local window = redis.call('HMGET', KEYS[1], 'attempts', 'ends_at')
        local ends_at = tonumber(window[2])
        if window[2] and not (ends_at and tonumber(window[1])) then
            return window
        end
        local now = time(ARGV[1])
        if ends_at and ends_at > now then
            return {redis.call('HINCRBY', KEYS[1], 'attempts', 1), ends_at - now}
        end
        redis.call('HSET', KEYS[1], 'attempts', 1, 'ends_at', string.format('%.0f', now + ARGV[2]))
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return {1, tonumber(ARGV[2])}
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
        let mut hit = Call::script(&HIT, self.attempts_key(key));
        hit.arg(self.now()).arg(micros(limit.window)).arg(millis(limit.window + GRACE));
        let (attempts, reset_after): (u64, u64) = self.call(hit).await?;
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Hit::of(attempts, limit, Duration::from_micros(reset_after)))
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.call(Call::command("DEL", self.attempts_key(key))).await
    }
}
