//! What waits for a second step.

use async_trait::async_trait;
use auth_core::port::{PendingSessionStore, StoreError};
use auth_core::types::{PendingId, PendingSession, Timestamp, TokenVersion};

use super::row::Fields;
use super::statement::{query, statements};
use super::{Database, SqlStore};

const COLUMNS: &str = "id_hash, purpose, tenant, user_id, revision, token_version, version, payload, expires_at, tries";

statements! { COLUMNS;
    PUT = "
        INSERT INTO auth_pending_sessions ({columns}) VALUES ({values})
        ON CONFLICT (id_hash) DO UPDATE SET purpose = excluded.purpose, tenant = excluded.tenant,
            user_id = excluded.user_id, revision = excluded.revision, token_version = excluded.token_version,
            version = excluded.version, payload = excluded.payload, expires_at = excluded.expires_at,
            tries = excluded.tries";
    FIND = "SELECT {columns} FROM auth_pending_sessions WHERE id_hash = $1 AND expires_at > $2";
    ATTEMPT = "
        UPDATE auth_pending_sessions SET tries = tries + 1 WHERE id_hash = $1 AND expires_at > $2 AND tries < $3
        RETURNING {columns}";
    TAKE = "DELETE FROM auth_pending_sessions WHERE id_hash = $1 AND expires_at > $2 RETURNING {columns}";
    SWEEP = "
        WITH ended AS MATERIALIZED (
            SELECT id_hash FROM auth_pending_sessions WHERE expires_at <= (SELECT {now $1})
            ORDER BY expires_at LIMIT 2 {lock}
        )
        DELETE FROM auth_pending_sessions WHERE id_hash IN (SELECT id_hash FROM ended)";
}

#[async_trait]
impl<D: Database> PendingSessionStore for SqlStore<D> {
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError> {
        // Without an account, its columns hold what no account has.
        let nobody = (String::new(), 0, TokenVersion::new(0));
        let subject = pending.subject.map(|it| (it.user.as_str().to_owned(), it.revision, it.token_version));
        let (user, revision, token_version) = subject.unwrap_or(nobody);
        let statement = |_| {
            query(&PUT)
                .bind(pending.id.as_bytes().to_vec())
                .bind(pending.purpose.as_str())
                .bind(pending.tenant.as_str())
                .bind(user.as_str())
                .bind(revision.cast_signed())
                .bind(token_version.get())
                .bind(pending.payload.version)
                .bind(pending.payload.bytes.clone())
                .bind(pending.expires_at.micros())
                .bind(pending.tries)
        };
        self.write(statement).await?;
        // Each new one takes away two that are over, so the table holds hardly more than waits.
        self.write(|now| query(&SWEEP).bind(now)).await?;
        Ok(())
    }

    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let rows = self.read(query(&FIND).bind(id.as_bytes().to_vec()).bind(now.micros())).await?;
        rows.first().map(|row| Fields(row).pending_session()).transpose()
    }

    async fn attempt(&self, id: &PendingId, limit: u32, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let statement = |_| query(&ATTEMPT).bind(id.as_bytes().to_vec()).bind(now.micros()).bind(limit);
        let rows = self.write(statement).await?;
        rows.first().map(|row| Fields(row).pending_session()).transpose()
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let rows = self.write(|_| query(&TAKE).bind(id.as_bytes().to_vec()).bind(now.micros())).await?;
        rows.first().map(|row| Fields(row).pending_session()).transpose()
    }
}
