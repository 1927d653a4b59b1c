//! The session row: one login on one device.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{SessionId, TenantId, Timestamp, TokenVersion, UserId};

/// How a session's tokens travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In cookies.
    Cookie,
    /// In the `Authorization` header.
    Header,
}

impl Channel {
    /// The name in tokens and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Header => "header",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cookie, Self::Header].into_iter().find(|channel| channel.as_str() == text)
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

/// How a user proved who they are (RFC 8176). A set: order and repetition carry no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthMethods(u8);

impl AuthMethods {
    /// A password.
    pub const PASSWORD: Self = Self(1);
    /// A one-time code.
    pub const ONE_TIME_CODE: Self = Self(1 << 1);
    /// More than one factor.
    pub const MULTI_FACTOR: Self = Self(1 << 2);

    const NAMES: [(Self, &'static str); 3] =
        [(Self::PASSWORD, "pwd"), (Self::ONE_TIME_CODE, "otp"), (Self::MULTI_FACTOR, "mfa")];

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The registered names, as tokens carry them in `amr`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(method, _)| self.contains(*method)).map(|(_, name)| name)
    }

    /// The method of a registered name. Unknown names are no methods: a newer node may know more.
    pub fn from_name(name: &str) -> Self {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map_or(Self(0), |(method, _)| method)
    }

    /// The set as bits, for stores.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// A set from the bits that a store kept.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// The time at which each authentication method was last shown, by name.
///
/// Names are those of second factors ([`FactorKind`](super::FactorKind)), [`PASSWORD`](Self::PASSWORD) and
/// [`VOUCHED`](Self::VOUCHED). Names that this build does not know are kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodTimes(BTreeMap<Box<str>, Timestamp>);

impl MethodTimes {
    /// The password.
    pub const PASSWORD: &'static str = "password";
    /// The application's own word for the user.
    pub const VOUCHED: &'static str = "vouched";

    /// The time of one method alone.
    pub fn of(method: &str, at: Timestamp) -> Self {
        Self::default().with(method, at)
    }

    /// These times, with `method` shown at `at`.
    #[must_use]
    pub fn with(mut self, method: &str, at: Timestamp) -> Self {
        self.0.insert(method.into(), at);
        self
    }

    /// These times and `later` ones; of a method in both, the later set's.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        self.0.extend(later.0.iter().map(|(method, at)| (method.clone(), *at)));
        self
    }

    /// The time at which `method` was last shown.
    pub fn shown(&self, method: &str) -> Option<Timestamp> {
        self.0.get(method).copied()
    }

    /// The methods that were shown at `since` or later.
    #[must_use]
    pub fn since(&self, since: Timestamp) -> Self {
        Self(self.0.iter().filter(|(_, at)| **at >= since).map(|(method, at)| (method.clone(), *at)).collect())
    }

    /// JSON for stores: an object of microseconds by name.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|(method, at)| (method.to_string(), at.micros().into())).collect::<Map<_, _>>().into()
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` for anything else.
    pub fn from_json(value: &Value) -> Option<Self> {
        let read =
            |(method, at): (&String, &Value)| Some((method.as_str().into(), Timestamp::from_micros(at.as_i64()?)));
        value.as_object()?.iter().map(read).collect::<Option<_>>().map(Self)
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
    /// What the list of sessions shows: address and agent at login.
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
