//! The session row: one login on one device.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::{AuthMethods, MethodTimes, SessionId, TenantId, Timestamp, TokenVersion, UserId};

/// How a session's tokens travel.
///
/// It is a claim of both tokens and a column. A name that this build does not know lets in nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// In cookies.
    Cookie,
    /// In the `Authorization` header.
    Header,
    /// The access token in the `Authorization` header alone, the refresh token in a cookie alone.
    Mixed,
    /// A personal access token, in the `Authorization` header alone. It has no refresh token.
    Token,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 4] = [Self::Cookie, Self::Header, Self::Mixed, Self::Token];

    /// The name in tokens and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Header => "header",
            Self::Mixed => "mixed",
            Self::Token => "token",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote; `None` for an unknown name, which must be refused.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    /// Whether an access token may come in a cookie, and is sent in one.
    pub const fn has_access_cookie(self) -> bool {
        match self {
            Self::Cookie | Self::Header => true,
            Self::Mixed | Self::Token => false,
        }
    }

    /// Whether a refresh token is exchanged for the next one.
    pub const fn refreshes(self) -> bool {
        match self {
            Self::Cookie | Self::Header | Self::Mixed => true,
            Self::Token => false,
        }
    }
}

/// The part of an account that a session may use.
///
/// It is a claim and a column of its own. A name that this build does not know lets in nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The whole account.
    Full,
    /// Enrolling a second factor and nothing else: the account must have one and has none.
    EnrolFactor,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 2] = [Self::Full, Self::EnrolFactor];

    /// The name in tokens and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::EnrolFactor => "enrol_factor",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote; `None` for an unknown name, which must be refused.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A session as its store keeps it. Its refresh token is derived from these fields and never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The id (`sid`).
    pub id: SessionId,
    /// The user's tenant.
    pub tenant: TenantId,
    /// Whose session it is.
    pub user: UserId,
    /// The account's version that the login was checked against; never raised.
    pub token_version: TokenVersion,
    /// How many times the refresh token was rotated.
    pub generation: u32,
    /// When the current generation began.
    pub rotated_at: Timestamp,
    /// The last generation whose token was presented and answered without a rotation. Unless that is the current one,
    /// nothing shows that the current token ever reached its client.
    pub presented: Option<u32>,
    /// When the session was made.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_seen_at: Timestamp,
    /// When it ends unless refreshed.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// When the user last proved who they are.
    pub auth_time: Timestamp,
    /// How they did.
    pub methods: AuthMethods,
    /// The time at which each method was last shown. A refresh moves none.
    pub method_times: MethodTimes,
    /// The part of the account that the session may use.
    pub scope: Scope,
    /// How its tokens travel.
    pub channel: Channel,
    /// The client's address at login.
    pub address: Option<IpAddr>,
    /// The client's `User-Agent` at login: its first 256 bytes at most.
    pub agent: Option<Box<str>>,
    /// The user's name for the device: 64 characters at most.
    pub device_name: Option<Box<str>>,
    /// The application's own data about the session.
    pub context: Value,
    /// A place among a capped number of sessions: (user, slot) is unique.
    pub slot: Option<u16>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// The store's clock at the last change that other nodes must learn of.
    pub changed_at: Timestamp,
}

impl Session {
    /// Whether the session is neither ended nor past one of its expiries at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.idle_expires_at && now < self.expires_at
    }

    /// When a token of `lifetime` made for the current generation ends: never after the session itself.
    pub fn token_expiry(&self, lifetime: Duration) -> Timestamp {
        (self.rotated_at + lifetime).min(self.expires_at)
    }
}
