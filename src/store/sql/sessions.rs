//! The sessions.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{At, ChangePage, Rotation, SessionInsert, SessionStore, Since, StoreError};
use auth_core::types::{Session, SessionId, TenantId, Timestamp, UserId};
use uuid::Uuid;

use super::row::{FeedStart, Fields, page, sql_limit, sql_micros, uuid_bytes};
use super::statement::{Statement, StoreTime, query, statements};
use super::{Database, SqlStore};

const COLUMNS: &str = "id, tenant, user_id, token_version, generation, rotated_at, created_at, last_seen_at, \
    idle_expires_at, expires_at, auth_time, methods, channel, context, slot, revoked_at, presented, changed_at, scope, \
    method_times, address, agent, device_name";

statements! { COLUMNS;
    INSERT = "
        INSERT INTO auth_sessions ({columns}) VALUES ({values})
        ON CONFLICT (tenant, user_id, slot) WHERE slot IS NOT NULL AND revoked_at IS NULL DO NOTHING RETURNING id";
    FIND = "SELECT {columns}, {now $3} AS now FROM auth_sessions WHERE id = $1 AND tenant = $2";
    OF_USER = "
        SELECT {columns} FROM auth_sessions WHERE tenant = $1 AND user_id = $2 AND (created_at, id) < ($3, $4)
        ORDER BY created_at DESC, id DESC LIMIT $5";
    ROTATE_IF = "
        UPDATE auth_sessions SET generation = $4, rotated_at = $5, last_seen_at = $5, idle_expires_at = $6
        WHERE id = $1 AND tenant = $2 AND generation = $3 AND revoked_at IS NULL RETURNING {columns}";
    NOTE_PRESENTED = "
        UPDATE auth_sessions SET presented = $3
        WHERE id = $1 AND tenant = $2 AND generation = $3 AND revoked_at IS NULL RETURNING id";
    REVOKE = "
        UPDATE auth_sessions SET revoked_at = $3, changed_at = {now $4}
        WHERE id = $1 AND tenant = $2 AND revoked_at IS NULL RETURNING id";
    // From a position or, without one, from $4 before now.
    REVOCATIONS = "
        SELECT id, changed_at FROM auth_sessions
        WHERE revoked_at IS NOT NULL AND (changed_at, id) > (COALESCE($1, (SELECT {now $3} - $4)), $2)
        ORDER BY changed_at, id LIMIT $5";
    // Chosen once and locked, as with attempts. PostgreSQL gets an array of ids, by which it always uses the index.
    PURGE_EXPIRED = "
        DELETE FROM auth_sessions WHERE id IN (
            SELECT id FROM auth_sessions WHERE expires_at <= (SELECT {now $1} - $2) ORDER BY expires_at LIMIT $3
        ) RETURNING id",
    postgres: "
        DELETE FROM auth_sessions WHERE id = ANY (ARRAY(
            SELECT id FROM auth_sessions WHERE expires_at <= (SELECT {now $1} - $2) ORDER BY expires_at LIMIT $3 {lock}
        )) RETURNING id";
    PURGE_REVOKED = "
        DELETE FROM auth_sessions WHERE id IN (
            SELECT id FROM auth_sessions WHERE revoked_at IS NOT NULL AND changed_at <= (SELECT {now $1} - $2)
            ORDER BY changed_at LIMIT $3
        ) RETURNING id",
    postgres: "
        DELETE FROM auth_sessions WHERE id = ANY (ARRAY(
            SELECT id FROM auth_sessions WHERE revoked_at IS NOT NULL AND changed_at <= (SELECT {now $1} - $2)
            ORDER BY changed_at LIMIT $3 {lock}
        )) RETURNING id";
}

#[async_trait]
impl<D: Database> SessionStore for SqlStore<D> {
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError> {
        let rows = self.write(|now| insert(session, now)).await?;
        Ok(if rows.is_empty() { SessionInsert::SlotTaken } else { SessionInsert::Created })
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        let rows = self.read(query(&FIND).bind(uuid_bytes(id.0)).bind(tenant.as_str()).bind(self.now())).await?;
        rows.first().map(|row| Ok(At { row: Fields(row).session()?, now: Fields(row).time("now")? })).transpose()
    }

    async fn of_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        // On the first page: every session comes behind this place.
        let (created_at, id) = after.map_or((i64::MAX, Uuid::max()), |(at, id)| (at.micros(), id.0));
        let statement = query(&OF_USER).bind(tenant.as_str()).bind(user.as_str());
        let statement = statement.bind(created_at).bind(uuid_bytes(id)).bind(sql_limit(limit));
        self.read(statement).await?.iter().map(|row| Fields(row).session()).collect()
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        let statement = |_| {
            query(&ROTATE_IF)
                .bind(uuid_bytes(current.id.0))
                .bind(current.tenant.as_str())
                .bind(current.generation)
                .bind(next.generation)
                .bind(next.rotated_at.micros())
                .bind(next.idle_expires_at.micros())
        };
        self.write(statement).await?.first().map(|row| Fields(row).session()).transpose()
    }

    async fn note_presented(&self, tenant: &TenantId, id: SessionId, generation: u32) -> Result<bool, StoreError> {
        let statement = |_| query(&NOTE_PRESENTED).bind(uuid_bytes(id.0)).bind(tenant.as_str()).bind(generation);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let statement = |now| query(&REVOKE).bind(uuid_bytes(id.0)).bind(tenant.as_str()).bind(at.micros()).bind(now);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError> {
        let start = FeedStart::of(since);
        let id = match start.id {
            // Before every id.
            "" => Vec::new(),
            id => uuid_bytes(Uuid::parse_str(id).map_err(StoreError::corrupt)?),
        };
        let statement = query(&REVOCATIONS).bind(start.changed_at).bind(id).bind(self.now()).bind(start.age);
        let statement = statement.bind(sql_limit(limit));
        Ok(page(&self.read(statement).await?, limit, |row| {
            let id = SessionId(row.uuid("id")?);
            Ok((id, id.to_string()))
        }))
    }

    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let mut purged = 0;
        for statement in [&PURGE_EXPIRED, &PURGE_REVOKED] {
            let left = sql_limit(limit.saturating_sub(purged));
            purged += self.write(|now| query(statement).bind(now).bind(sql_micros(age)).bind(left)).await?.len();
        }
        Ok(purged)
    }
}

fn insert(session: &Session, now: StoreTime) -> Statement {
    query(&INSERT)
        .bind(uuid_bytes(session.id.0))
        .bind(session.tenant.as_str())
        .bind(session.user.as_str())
        .bind(session.token_version.get())
        .bind(session.generation)
        .bind(session.rotated_at.micros())
        .bind(session.created_at.micros())
        .bind(session.last_seen_at.micros())
        .bind(session.idle_expires_at.micros())
        .bind(session.expires_at.micros())
        .bind(session.auth_time.micros())
        .bind(session.methods.bits())
        .bind(session.channel.as_str())
        .bind(session.context.to_string())
        .bind(session.slot)
        .bind(session.revoked_at.map(Timestamp::micros))
        .bind(session.presented)
        .bind(now)
        .bind(session.scope.as_str())
        .bind(session.method_times.to_json().to_string())
        .bind(session.address.map(|address| address.to_string()))
        .bind(session.agent.as_deref())
        .bind(session.device_name.as_deref())
}
