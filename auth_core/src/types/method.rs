//! Authentication methods: the table of them, and which of them a session was shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Timestamp;

/// The use of an authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Begins a login.
    First,
    /// Completes a login, and steps a session up.
    Second,
    /// Completes a login in the place of a second factor that is lost. Steps no session up.
    Recovery,
}

/// A method by which a user shows who they are.
pub(crate) struct Method {
    /// The name, which is that of its [`FactorKind`](super::FactorKind), too.
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The name in access tokens (RFC 8176).
    pub(crate) amr: AuthMethods,
    /// Where the payload of its credential names a data key, if it does.
    pub(crate) key_at: Option<usize>,
}

impl Method {
    /// The table of authentication methods.
    const ALL: [Self; 4] = [
        Self { name: MethodTimes::PASSWORD, role: Role::First, amr: AuthMethods::PASSWORD, key_at: None },
        Self { name: MethodTimes::VOUCHED, role: Role::First, amr: AuthMethods::NONE, key_at: None },
        // The last step of the authenticator comes first.
        Self { name: "totp", role: Role::Second, amr: AuthMethods::ONE_TIME_CODE, key_at: Some(8) },
        // All codes of a set are made and replaced together, so the first names the key of all.
        Self { name: "backup_codes", role: Role::Recovery, amr: AuthMethods::ONE_TIME_CODE, key_at: Some(0) },
    ];

    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        const ALL: &[Method] = &Method::ALL;
        ALL.iter().find(|method| method.name == name)
    }
}

/// How a user proved who they are (RFC 8176). A set: order and repetition carry no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthMethods(u8);

impl AuthMethods {
    /// None.
    pub(crate) const NONE: Self = Self(0);
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

    /// Whether a method of this role was shown.
    pub fn has_role(&self, role: Role) -> bool {
        self.methods().any(|method| method.role == role)
    }

    /// Returns the `amr` of a session in which these methods were shown.
    pub fn amr(&self) -> AuthMethods {
        let amr = |of: &dyn Fn(Role) -> bool| {
            let methods = self.methods().filter(|method| of(method.role));
            methods.fold(AuthMethods::NONE, |all, method| all.and(method.amr))
        };
        let (first, second) = (amr(&|role| role == Role::First), amr(&|role| role != Role::First));
        let both = first != AuthMethods::NONE && second != AuthMethods::NONE;
        first.and(second).and(if both { AuthMethods::MULTI_FACTOR } else { AuthMethods::NONE })
    }

    fn methods(&self) -> impl Iterator<Item = &'static Method> {
        self.0.keys().filter_map(|name| Method::of(name))
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
