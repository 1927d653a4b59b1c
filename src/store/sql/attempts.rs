//! Attempts within timed windows, and buckets that refill.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{AttemptKey, AttemptStore, Hit, StoreError};
use auth_core::types::Limit;

use super::row::{Fields, sql_micros};
use super::statement::{query, statements};
use super::{Database, SqlStore};

statements! { "key, attempts, ends_at";
    // $3 is the length of a window; `excluded.ends_at` is when one ends that starts now. The clock is read once, or the two
    // columns could tell of two windows.
    HIT = "
        INSERT INTO auth_attempts ({columns}) VALUES ($1, 1, {now $2} + $3)
        ON CONFLICT (key) DO UPDATE SET
            attempts = CASE WHEN auth_attempts.ends_at <= excluded.ends_at - $3 THEN 1
                ELSE auth_attempts.attempts + 1 END,
            ends_at = CASE WHEN auth_attempts.ends_at <= excluded.ends_at - $3 THEN excluded.ends_at
                ELSE auth_attempts.ends_at END
        RETURNING attempts, ends_at - {now $2} AS reset_after";
    // $3 is the time in which a bucket gains one, $4 the time in which it gains all but one. `ends_at` is when the bucket is
    // full again, `attempts` how many calls in a row were refused.
    DRAW = "
        INSERT INTO auth_attempts ({columns}) VALUES ($1, 0, {now $2} + $3)
        ON CONFLICT (key) DO UPDATE SET
            attempts = CASE WHEN auth_attempts.ends_at <= excluded.ends_at - $3 + $4 THEN 0
                ELSE auth_attempts.attempts + 1 END,
            ends_at = CASE WHEN auth_attempts.ends_at <= excluded.ends_at - $3 + $4
                THEN {MAX|GREATEST}(auth_attempts.ends_at + $3, excluded.ends_at) ELSE auth_attempts.ends_at END
        RETURNING attempts";
    CLEAR = "DELETE FROM auth_attempts WHERE key = $1";
    // What has ended is chosen once and locked: a window that just started anew stays, and two sweeps do not wait for each
    // other.
    SWEEP = "
        WITH ended AS MATERIALIZED (
            SELECT key FROM auth_attempts WHERE ends_at <= (SELECT {now $1}) ORDER BY ends_at LIMIT 2 {lock}
        )
        DELETE FROM auth_attempts WHERE key IN (SELECT key FROM ended)";
}

#[async_trait]
impl<D: Database> AttemptStore for SqlStore<D> {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        let rows = self
            .write(|now| query(&HIT).bind(key.as_bytes().to_vec()).bind(now).bind(sql_micros(limit.window)))
            .await?;
        let row = Fields(rows.first().ok_or_else(|| StoreError::corrupt("a count was not returned"))?);
        let attempts = row.integer::<i64>("attempts")?;
        if attempts == 1 {
            // Each new window takes away two that are over, so the table holds hardly more than runs.
            self.write(|now| query(&SWEEP).bind(now)).await?;
        }
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        let reset_after = row.integer::<i64>("reset_after")?;
        Ok(Hit::of(attempts, limit, Duration::from_micros(reset_after.max(0).cast_unsigned())))
    }

    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError> {
        let interval = limit.interval();
        let rest = sql_micros(interval * limit.count.saturating_sub(1));
        let rows = self
            .write(|now| query(&DRAW).bind(key.as_bytes().to_vec()).bind(now).bind(sql_micros(interval)).bind(rest))
            .await?;
        // Swept at every call, because a caller must not see from the duration whether the bucket was new.
        self.write(|now| query(&SWEEP).bind(now)).await?;
        let row = Fields(rows.first().ok_or_else(|| StoreError::corrupt("a bucket was not returned"))?);
        Ok(row.integer::<i64>("attempts")? == 0)
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.write(|_| query(&CLEAR).bind(key.as_bytes().to_vec())).await?;
        Ok(())
    }
}
