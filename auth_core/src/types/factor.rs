//! Factors beside the password, as an account lists them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::method::Method;
use super::{CredentialId, Role, TokenVersion};

/// The kind of an enrolled second factor: `totp`, `passkey` ... Lower-case ASCII, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorKind(pub Box<str>);

impl FactorKind {
    /// Returns what a factor of this kind is for; `None` for a kind that this build does not know, or that is no factor.
    pub fn role(&self) -> Option<Role> {
        Method::of(&self.0).map(|method| method.role)
    }

    /// An authenticator with time-based codes (RFC 6238).
    pub fn totp() -> Self {
        Self("totp".into())
    }

    /// Codes for the day on which the authenticator is lost.
    pub fn backup_codes() -> Self {
        Self("backup_codes".into())
    }
}

/// A second factor that login asks for. The credential's row is inert until it is listed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledFactor {
    /// The credential that proves the factor.
    pub credential: CredentialId,
    /// What it is.
    pub kind: FactorKind,
    /// The account's version that its enrolment led to: who takes that back takes the factor off.
    pub since: TokenVersion,
}

impl EnrolledFactor {
    /// As JSON, for stores.
    pub fn to_json(&self) -> Value {
        json!({ "credential": self.credential.to_string(), "kind": self.kind.0, "since": self.since.get() })
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` for anything else.
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            credential: CredentialId(Uuid::parse_str(value.get("credential")?.as_str()?).ok()?),
            kind: FactorKind(value.get("kind")?.as_str()?.into()),
            since: TokenVersion::read(value.get("since")?.as_u64()?)?,
        })
    }
}
