//! Attempts within timed windows.

use async_trait::async_trait;
use auth_core::port::{AttemptKey, AttemptStore, Hit, StoreError};
use auth_core::types::Limit;

use super::row::Fields;
use super::statement::query;
use super::{Database, SqlStore};

// What has ended is chosen once and locked: a window that just started anew stays, and two sweeps do not wait for each other.
macro_rules! sweep {
    ($lock:literal) => {
        concat!(
            "WITH ended AS MATERIALIZED ",
            "(SELECT key FROM auth_attempts WHERE ends_at <= $1 ORDER BY ends_at LIMIT 2",
            $lock,
            ") ",
            "DELETE FROM auth_attempts WHERE key IN (SELECT key FROM ended)",
        )
    };
}

statements! {
    // $2 is now, $3 the end of a window that starts now.
    HIT = "INSERT INTO auth_attempts (key, attempts, ends_at) VALUES ($1, 1, $3) ON CONFLICT (key) DO UPDATE SET \
        attempts = CASE WHEN auth_attempts.ends_at <= $2 THEN 1 ELSE auth_attempts.attempts + 1 END, \
        ends_at = CASE WHEN auth_attempts.ends_at <= $2 THEN $3 ELSE auth_attempts.ends_at END \
        RETURNING attempts, ends_at";
    CLEAR = "DELETE FROM auth_attempts WHERE key = $1";
    SWEEP = sweep!(""), postgres: sweep!(" FOR UPDATE SKIP LOCKED");
}

#[async_trait]
impl<D: Database> AttemptStore for SqlStore<D> {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        let now = self.now();
        let ends_at = now + limit.window;
        let rows =
            self.write(|_| query(HIT).bind(key.as_bytes().to_vec()).bind(now.micros()).bind(ends_at.micros())).await?;
        let row = Fields(rows.first().ok_or_else(|| StoreError::corrupt("a count was not returned"))?);
        let attempts = row.integer::<i64>("attempts")?;
        if attempts == 1 {
            // Each new window takes away two that are over, so the table holds hardly more than runs.
            self.write(|_| query(SWEEP).bind(now.micros())).await?;
        }
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Hit::of(attempts, limit, row.time("ends_at")?.since(now)))
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.write(|_| query(CLEAR).bind(key.as_bytes().to_vec())).await?;
        Ok(())
    }
}
