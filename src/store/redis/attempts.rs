//! Attempts within timed windows, and buckets that refill.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{AttemptKey, AttemptStore, Hit, StoreError};
use auth_core::types::Limit;

use super::call::Call;
use super::{GRACE, RedisStore, micros, millis};

/// ARGV is the time, the length of a window, and how long to keep it. The answer is the count and how much of its window
/// is left. What is no number is left to the caller. The first write is the one that a full server refuses.
const HIT: &str = r"
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
    ";

/// ARGV is the time, the time in which a bucket gains one, the time in which it gains all but one, and how long to keep
/// it. `full_at` is when the bucket is full again. A refused call writes it as it is. Text that is no number is left to
/// the caller.
const DRAW: &str = r"
    local kept = redis.call('HGET', KEYS[1], 'full_at')
    if kept and not tonumber(kept) then
        return kept
    end
    local now = time(ARGV[1])
    local full_at = math.max(tonumber(kept or 0), now)
    local allowed = full_at <= now + ARGV[3]
    if allowed then
        full_at = full_at + ARGV[2]
    end
    redis.call('HSET', KEYS[1], 'full_at', string.format('%.0f', full_at))
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return allowed and 1 or 0
    ";

impl RedisStore {
    fn attempts_key(&self, key: &AttemptKey) -> String {
        self.key("attempts", key.as_bytes())
    }
}

#[async_trait]
impl AttemptStore for RedisStore {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        let mut hit = Call::script(HIT, self.attempts_key(key));
        hit.arg(self.now()).arg(micros(limit.window)).arg(millis(limit.window + GRACE));
        let (attempts, reset_after): (u64, u64) = self.call(&hit).await?;
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Hit::of(attempts, limit, Duration::from_micros(reset_after)))
    }

    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError> {
        let interval = limit.interval();
        let mut draw = Call::script(DRAW, self.attempts_key(key));
        draw.arg(self.now()).arg(micros(interval)).arg(micros(interval * limit.count.saturating_sub(1)));
        draw.arg(millis(limit.window + GRACE));
        let allowed: u8 = self.call(&draw).await?;
        Ok(allowed == 1)
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.call(&Call::command("DEL", self.attempts_key(key))).await
    }
}
