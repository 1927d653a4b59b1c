//! What waits for a second step.

use async_trait::async_trait;
use auth_core::port::{PendingSessionStore, StoreError};
use auth_core::types::{
    Payload, PendingId, PendingPurpose, PendingSession, PendingSubject, TenantId, Timestamp, TokenVersion, UserId,
};

use super::call::Call;
use super::{GRACE, RedisStore, millis};

/// The fields of a hash, in the order of [`Values`].
const FIELDS: [&str; 9] =
    ["expires_at", "purpose", "tenant", "user_id", "revision", "token_version", "version", "payload", "tries"];

/// Each value of a hash, if it is there.
type Values = [Option<Vec<u8>>; FIELDS.len()];

/// ARGV is the time, when it is over, how long to keep it from there on, then names and values: always the same names, so
/// nothing of an older one remains.
const PUT: &str = r"
    local left = math.max(0, math.floor((ARGV[2] - time(ARGV[1])) / 1000))
    redis.call('HSET', KEYS[1], unpack(ARGV, 4))
    redis.call('PEXPIRE', KEYS[1], left + ARGV[3])
    ";

/// ARGV is now and the limit, then the names; `expires_at` is the first. One that is over, or has no try left, gives nothing.
const ATTEMPT: &str = r"
    if (tonumber(redis.call('HGET', KEYS[1], 'expires_at')) or 0) <= tonumber(ARGV[1]) then return {} end
    if (tonumber(redis.call('HGET', KEYS[1], 'tries')) or 0) >= tonumber(ARGV[2]) then return {} end
    redis.call('HINCRBY', KEYS[1], 'tries', 1)
    return redis.call('HMGET', KEYS[1], unpack(ARGV, 3))
    ";

/// ARGV is now, then the names; `expires_at` is the first. What is over is left to the caller, who says so.
const TAKE: &str = r"
    local found = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
    if (tonumber(found[1]) or 0) > tonumber(ARGV[1]) then
        redis.call('DEL', KEYS[1])
    end
    return found
    ";

impl RedisStore {
    fn pending_key(&self, id: &PendingId) -> String {
        self.key("pending", id.as_bytes())
    }
}

#[async_trait]
impl PendingSessionStore for RedisStore {
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError> {
        let mut put = Call::script(PUT, self.pending_key(&pending.id));
        put.arg(self.now()).arg(pending.expires_at.micros()).arg(millis(GRACE));
        for (name, value) in FIELDS.into_iter().zip(values(pending)) {
            put.arg(name).arg(value);
        }
        self.call(&put).await
    }

    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let mut find = Call::command("HMGET", self.pending_key(id));
        find.arg(&FIELDS);
        read(id, self.call(&find).await?, now)
    }

    async fn attempt(&self, id: &PendingId, limit: u32, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let mut attempt = Call::script(ATTEMPT, self.pending_key(id));
        attempt.arg(now.micros()).arg(limit).arg(&FIELDS);
        let values: Vec<Option<Vec<u8>>> = self.call(&attempt).await?;
        match values.try_into() {
            Ok(values) => read(id, values, now),
            Err(_) => Ok(None),
        }
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let mut take = Call::script(TAKE, self.pending_key(id));
        take.arg(now.micros()).arg(&FIELDS);
        read(id, self.call(&take).await?, now)
    }
}

fn values(pending: &PendingSession) -> [Vec<u8>; FIELDS.len()] {
    [
        pending.expires_at.micros().to_string().into(),
        pending.purpose.as_str().into(),
        pending.tenant.as_str().into(),
        pending.subject.map(|it| it.user.as_str().into()).unwrap_or_default(),
        pending.subject.map_or(0, |it| it.revision).to_string().into(),
        pending.subject.map_or(0, |it| it.token_version.get()).to_string().into(),
        pending.payload.version.to_string().into(),
        pending.payload.bytes.clone(),
        pending.tries.to_string().into(),
    ]
}

/// What the hash holds, unless there is none or it is over.
fn read(id: &PendingId, values: Values, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
    if values.iter().all(Option::is_none) {
        return Ok(None);
    }
    let pending = parse(id, values).ok_or_else(|| StoreError::corrupt("a pending session cannot be read"))?;
    Ok((pending.expires_at > now).then_some(pending))
}

fn parse(id: &PendingId, values: Values) -> Option<PendingSession> {
    let [expires_at, purpose, tenant, user, revision, token_version, version, payload, tries] = values;
    let text = |value: Option<Vec<u8>>| String::from_utf8(value?).ok();
    let user = text(user)?;
    let subject = match &*user {
        // Without an account.
        "" => None,
        user => Some(PendingSubject {
            user: UserId::parse(user).ok()?,
            revision: text(revision)?.parse().ok()?,
            token_version: TokenVersion::new(text(token_version)?.parse().ok()?),
        }),
    };
    Some(PendingSession {
        id: *id,
        purpose: PendingPurpose::parse(&text(purpose)?)?,
        tenant: TenantId::parse(&text(tenant)?).ok()?,
        subject,
        // An older build wrote none.
        tries: tries.map_or(Some(0), |tries| text(Some(tries))?.parse().ok())?,
        payload: Payload { version: text(version)?.parse().ok()?, bytes: payload? },
        expires_at: Timestamp::from_micros(text(expires_at)?.parse().ok()?),
    })
}
