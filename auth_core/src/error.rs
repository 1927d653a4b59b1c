//! What flows answer when they refuse: a stable reason, its class, and a cause that only operators see.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::port::{HashError, Hit, StoreError};
use crate::types::Limit;
pub use crate::types::{FieldError, FieldReason, KnownText};

/// A flow's refusal. Clients see the reason (and the fields, if any); the source goes to tracing only.
#[derive(Debug)]
pub struct Error {
    reason: Reason,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    throttle: Option<Throttle>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Why a flow refused. The codes are stable: clients may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// One or more fields are wrong; [`Error::fields`] tells which.
    InvalidFields,
    /// Wrong password, unknown, unverified or disabled account: one answer for all.
    InvalidCredentials,
    /// The code is wrong, or was used before.
    InvalidCode,
    /// There is no such pending login any more.
    PendingSessionInvalid,
    /// Two-factor login is on already.
    TwoFactorEnabled,
    /// The account must have a second factor: the session is good for enrolling one alone, or the last one cannot go.
    SecondFactorRequired,
    /// Two-factor login is off.
    TwoFactorDisabled,
    /// No authenticator was set up by this session, or that was too long ago.
    TwoFactorNotSetUp,
    /// No access token was presented, or the one presented was revoked.
    NotAuthenticated,
    /// The access token is malformed, not ours, or forged.
    TokenInvalid,
    /// The access token's time is over.
    TokenExpired,
    /// A token of another kind stands where an access token is due.
    TokenWrongType,
    /// The user of a valid token is disabled. Only where the store was read.
    UserInactive,
    /// The user of a valid token is gone. Only where the store was read.
    UserNotFound,
    /// The refresh token is missing, invalid, expired, used before, or its session ended.
    RefreshInvalid,
    /// A mailed link is malformed, forged, expired, or no longer fits the account.
    LinkInvalid,
    /// The link is genuine, but its time is over, it was used, or the account changed since.
    LinkSpent,
    /// The password that was asked for again is wrong.
    WrongPassword,
    /// The last login is too long ago for this: prove again who you are, or send the password along.
    ReauthenticationRequired,
    /// A recent code of the second factor is required. The wire code is the one of
    /// [`ReauthenticationRequired`](Self::ReauthenticationRequired).
    SecondFactorNeeded,
    /// The link is fine, but the account was verified before.
    AlreadyVerified,
    /// No other account is a super-user's, so this one stays one.
    LastSuperuser,
    /// Too many attempts within a window; [`Error::throttle`] tells which.
    Throttled,
    /// No part that can do this was given to the system.
    NotSupported,
    /// Something the flow needs does not answer; try again.
    Unavailable,
    /// Too much expensive work is waiting; try again.
    Overloaded,
    /// A defect or corrupt data; tracing has the source.
    Internal,
}

/// What kind of refusal a reason is; adapters map it where the reason itself does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The request is wrong and stays wrong.
    Invalid,
    /// The caller has not proven who they are.
    Unauthenticated,
    /// The caller is known and may not.
    Forbidden,
    /// The caller asks too often; the same request may pass later.
    Throttled,
    /// A dependency is down or overloaded; the same request may pass later.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Reason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidFields => "invalid_fields",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidCode => "invalid_code",
            Self::PendingSessionInvalid => "pending_session_invalid",
            Self::TwoFactorEnabled => "two_factor_enabled",
            Self::SecondFactorRequired => "second_factor_required",
            Self::TwoFactorDisabled => "two_factor_disabled",
            Self::TwoFactorNotSetUp => "two_factor_not_set_up",
            Self::NotAuthenticated => "not_authenticated",
            Self::TokenInvalid | Self::TokenExpired | Self::TokenWrongType => "token_not_valid",
            Self::UserInactive => "user_inactive",
            Self::UserNotFound => "user_not_found",
            Self::RefreshInvalid => "refresh_invalid",
            Self::LinkInvalid => "link_invalid",
            Self::LinkSpent => "link_spent",
            Self::WrongPassword => "wrong_password",
            Self::ReauthenticationRequired | Self::SecondFactorNeeded => "reauthentication_required",
            Self::AlreadyVerified => "already_verified",
            Self::LastSuperuser => "last_superuser",
            Self::Throttled => "throttled",
            Self::NotSupported => "not_supported",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }

    /// The kind of refusal.
    pub const fn class(self) -> Class {
        match self {
            Self::InvalidFields
            | Self::LinkInvalid
            | Self::LinkSpent
            | Self::LastSuperuser
            | Self::WrongPassword
            | Self::InvalidCode
            | Self::TwoFactorEnabled
            | Self::TwoFactorDisabled
            | Self::TwoFactorNotSetUp
            | Self::AlreadyVerified => Class::Invalid,
            Self::InvalidCredentials
            | Self::PendingSessionInvalid
            | Self::NotAuthenticated
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::TokenWrongType
            | Self::UserInactive
            | Self::UserNotFound
            | Self::RefreshInvalid => Class::Unauthenticated,
            Self::ReauthenticationRequired | Self::SecondFactorNeeded | Self::SecondFactorRequired => Class::Forbidden,
            Self::Throttled => Class::Throttled,
            Self::Unavailable | Self::Overloaded => Class::Unavailable,
            Self::NotSupported | Self::Internal => Class::Internal,
        }
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// The limit's name.
    pub name: &'static str,
    /// What it allows.
    pub limit: Limit,
    /// Where its count stands.
    pub hit: Hit,
}

impl Error {
    /// The reason, stable.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The kind of refusal.
    pub fn class(&self) -> Class {
        self.reason.class()
    }

    /// The wrong fields, for [`Reason::InvalidFields`].
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The limit that was reached, for [`Reason::Throttled`].
    pub fn throttle(&self) -> Option<&Throttle> {
        self.throttle.as_ref()
    }

    /// A refusal because of too many attempts.
    pub fn throttled(name: &'static str, limit: Limit, hit: Hit) -> Self {
        let throttle = Some(Throttle { name, limit, hit });
        Self { throttle, retry_after: Some(hit.reset_after), ..Reason::Throttled.into() }
    }

    /// A refusal because of wrong fields.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        Self { fields, ..Reason::InvalidFields.into() }
    }

    /// A dependency does not answer. `source` goes to tracing only.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), retry_after: Some(Duration::from_secs(1)), ..Reason::Unavailable.into() }
    }

    /// A defect or corrupt data. `source` goes to tracing only.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Reason::Internal.into() }
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self { reason, fields: Vec::new(), retry_after: None, throttle: None, source: None }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => Self::unavailable(source),
            StoreError::Corrupt(source) => Self::internal(source),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => {
                Self { retry_after: Some(retry_after), ..Reason::Overloaded.into() }
            }
            HashError::Unavailable(source) => Self::unavailable(source),
            HashError::Failed(source) => Self::internal(source),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.code())?;
        for FieldError { field, reason } in &self.fields {
            write!(f, " {field}:{}", reason.code())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
