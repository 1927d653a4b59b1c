//! Rows to values and back. A row that is no such value is [`StoreError::Corrupt`], by the name of the column.

use std::time::Duration;

use auth_core::port::{ChangePage, FeedPosition, Since, StoreError};
use auth_core::types::{
    Attributes, AuthMethods, Channel, Claim, Credential, CredentialId, Email, EnrolledFactor, FactorKind, MethodTimes,
    PasswordHash, Payload, PendingId, PendingPurpose, PendingSession, PendingSubject, Recoveries, Scope, Session,
    SessionId, TenantId, Timestamp, TokenVersion, User, UserId, UserStatus, Username,
};
use serde_json::Value;
use uuid::Uuid;

use super::statement::{Columns, Stored};

/// A row whose columns are read as values.
pub(super) struct Fields<'r>(pub(super) &'r dyn Columns);

impl Fields<'_> {
    pub(super) fn user(&self) -> Result<User, StoreError> {
        Ok(User {
            tenant: self.tenant()?,
            id: self.user_id("id")?,
            email: self.email("email", "email_spelling")?,
            username: self.maybe("username", |text: &str| {
                Username::parse(text).ok().filter(|username| username.as_str() == text)
            })?,
            email_verified_at: self.maybe("email_verified_at", micros)?,
            claim: self.claim()?,
            status: self.status()?,
            password_hash: self.maybe("password_hash", |text: &str| Some(PasswordHash::new(text)))?,
            token_version: self.token_version()?,
            factors: self.parse("factors", parse_factors)?,
            consecutive_failures: self.integer("consecutive_failures")?,
            recoveries: self
                .parse("recoveries", |text: &str| Recoveries::from_json(&serde_json::from_str(text).ok()?))?,
            attributes: self.parse("attributes", |text: &str| serde_json::from_str(text).ok())?,
            created_at: self.time("created_at")?,
            last_login_at: self.maybe("last_login_at", micros)?,
            changed_at: self.time("changed_at")?,
            revision: self.revision()?,
        })
    }

    pub(super) fn session(&self) -> Result<Session, StoreError> {
        Ok(Session {
            id: SessionId(self.uuid("id")?),
            tenant: self.tenant()?,
            user: self.user_id("user_id")?,
            token_version: self.token_version()?,
            generation: self.integer("generation")?,
            rotated_at: self.time("rotated_at")?,
            created_at: self.time("created_at")?,
            last_seen_at: self.time("last_seen_at")?,
            idle_expires_at: self.time("idle_expires_at")?,
            expires_at: self.time("expires_at")?,
            auth_time: self.time("auth_time")?,
            methods: AuthMethods::from_bits(self.integer("methods")?),
            method_times: self
                .parse("method_times", |text: &str| MethodTimes::from_json(&serde_json::from_str(text).ok()?))?,
            scope: self.parse("scope", Scope::parse)?,
            channel: self.parse("channel", Channel::parse)?,
            address: self.maybe("address", |text: &str| text.parse().ok())?,
            agent: self.maybe("agent", |text: &str| Some(text.into()))?,
            device_name: self.maybe("device_name", |text: &str| Some(text.into()))?,
            context: self.parse("context", |text: &str| serde_json::from_str(text).ok())?,
            slot: self.maybe("slot", |slot: i64| slot.try_into().ok())?,
            presented: self.maybe("presented", |generation: i64| generation.try_into().ok())?,
            revoked_at: self.maybe("revoked_at", micros)?,
            changed_at: self.time("changed_at")?,
        })
    }

    pub(super) fn credential(&self) -> Result<Credential, StoreError> {
        Ok(Credential {
            id: CredentialId(self.uuid("id")?),
            tenant: self.tenant()?,
            user: self.user_id("user_id")?,
            kind: self.parse("kind", |text: &str| Some(FactorKind(text.into())))?,
            lookup_key: self.maybe("lookup_key", |key: &[u8]| Some(key.to_vec()))?,
            payload: self.payload()?,
            consecutive_failures: self.integer("consecutive_failures")?,
            revision: self.revision()?,
        })
    }

    pub(super) fn pending_session(&self) -> Result<PendingSession, StoreError> {
        let id = self.parse("id_hash", |digest: &[u8]| Some(PendingId::from_bytes(digest.try_into().ok()?)))?;
        Ok(PendingSession {
            id,
            purpose: self.parse("purpose", PendingPurpose::parse)?,
            tenant: self.tenant()?,
            subject: self.pending_subject()?,
            tries: self.integer("tries")?,
            payload: self.payload()?,
            expires_at: self.time("expires_at")?,
        })
    }

    fn pending_subject(&self) -> Result<Option<PendingSubject>, StoreError> {
        if self.parse("user_id", |text: &str| Some(text.is_empty()))? {
            return Ok(None);
        }
        let (user, revision) = (self.user_id("user_id")?, self.revision()?);
        Ok(Some(PendingSubject { user, revision, token_version: self.token_version()? }))
    }

    fn payload(&self) -> Result<Payload, StoreError> {
        let bytes = self.parse("payload", |bytes: &[u8]| Some(bytes.to_vec()))?;
        Ok(Payload { version: self.integer("version")?, bytes })
    }

    pub(super) fn tenant(&self) -> Result<TenantId, StoreError> {
        self.parse("tenant", |text: &str| TenantId::parse(text).ok())
    }

    pub(super) fn user_id(&self, column: &str) -> Result<UserId, StoreError> {
        self.parse(column, |text: &str| UserId::parse(text).ok())
    }

    /// By the key that look-ups find it by, and the spelling beside it.
    pub(super) fn email(&self, key: &str, spelling: &str) -> Result<Email, StoreError> {
        let spelling = self.maybe(spelling, |text: &str| Some(text.to_owned()))?;
        self.parse(key, |text: &str| Email::stored(text, spelling.as_deref()))
    }

    fn status(&self) -> Result<UserStatus, StoreError> {
        let since = self.maybe("deactivated_at", micros)?;
        self.parse("status", |text: &str| UserStatus::parse(text, since))
    }

    fn claim(&self) -> Result<Claim, StoreError> {
        let from = self.maybe("signed_up_from", |text: &str| text.parse().ok())?;
        self.parse("claim", |text: &str| Claim::parse(text, from))
    }

    pub(super) fn token_version(&self) -> Result<TokenVersion, StoreError> {
        self.parse("token_version", |number: i64| {
            let version = TokenVersion::new(u32::try_from(number).ok()?);
            (i64::from(version.get()) == number).then_some(version)
        })
    }

    pub(super) fn revision(&self) -> Result<u64, StoreError> {
        self.parse("revision", |number: i64| Some(number.cast_unsigned()))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.parse(column, micros)
    }

    pub(super) fn integer<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        self.parse(column, |number: i64| number.try_into().ok())
    }

    pub(super) fn uuid(&self, column: &str) -> Result<Uuid, StoreError> {
        self.parse(column, |bytes: &[u8]| Uuid::from_slice(bytes).ok())
    }

    pub(super) fn parse<'r, S: Stored<'r>, T>(
        &'r self,
        column: &str,
        parse: impl FnOnce(S) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.maybe(column, parse)?.ok_or_else(|| StoreError::corrupt(format!("no value in column {column}")))
    }

    pub(super) fn maybe<'r, S: Stored<'r>, T>(
        &'r self,
        column: &str,
        parse: impl FnOnce(S) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(stored) = S::of(self.0, column).map_err(StoreError::corrupt)? else {
            return Ok(None);
        };
        let unreadable = || StoreError::corrupt(format!("unreadable value in column {column}"));
        parse(stored).map(Some).ok_or_else(unreadable)
    }
}

fn micros(number: i64) -> Option<Timestamp> {
    Some(Timestamp::from_micros(number))
}

pub(super) fn factors_text(factors: &[EnrolledFactor]) -> String {
    factors.iter().map(EnrolledFactor::to_json).collect::<Value>().to_string()
}

fn parse_factors(text: &str) -> Option<Vec<EnrolledFactor>> {
    serde_json::from_str::<Vec<Value>>(text).ok()?.iter().map(EnrolledFactor::from_json).collect()
}

pub(super) fn attributes_text(attributes: &Attributes) -> String {
    Value::Object(attributes.clone()).to_string()
}

pub(super) fn uuid_bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A page's limit as SQL takes it.
pub(super) fn sql_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A span of time as SQL takes it: in microseconds, as all times are.
pub(super) fn sql_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Where a feed starts: at a position or, where `changed_at` is NULL, at an age.
pub(super) struct FeedStart<'a> {
    pub(super) changed_at: Option<i64>,
    /// Empty, which is before every id, without a position.
    pub(super) id: &'a str,
    pub(super) age: Option<i64>,
}

impl<'a> FeedStart<'a> {
    pub(super) fn of(since: &'a Since) -> Self {
        match since {
            Since::Ago(age) => Self { changed_at: None, id: "", age: Some(sql_micros(*age)) },
            Since::After(position) => {
                Self { changed_at: Some(position.changed_at.micros()), id: &position.id, age: None }
            }
        }
    }
}

/// Returns a page of a feed; `read` gives a row's value and its id in the feed.
pub(super) fn page<T>(
    rows: &[impl Columns],
    limit: usize,
    read: impl Fn(&Fields<'_>) -> Result<(T, String), StoreError>,
) -> ChangePage<T> {
    ChangePage::read(rows.iter(), limit, |row| {
        let fields = Fields(row);
        let (value, id) = read(&fields)?;
        Ok((value, FeedPosition { changed_at: fields.time("changed_at")?, id }))
    })
}
