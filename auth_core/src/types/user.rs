//! The user row: all that decides whether, and how, somebody may log in.

use serde_json::{Map, Value};

use super::{CredentialId, Email, PasswordHash, Recoveries, TenantId, Timestamp, UserId, Username};

/// The attribute that makes an account a super-user's. No client can set it.
pub const SUPERUSER: &str = "is_superuser";

/// The application's own fields of an account, as JSON.
pub type Attributes = Map<String, Value>;

/// Counts the writes of a row; `update_if` swaps only while it still has the value that was read.
pub type Revision = u64;

/// Counts the security changes of an account, within 31 bits. Tokens of another version are dead.
///
/// It starts at random, so that a user id that is used again never revives old tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenVersion(u32);

impl TokenVersion {
    const MASK: u32 = 0x7fff_ffff;

    /// A version from any bits; the topmost is dropped.
    pub const fn new(bits: u32) -> Self {
        Self(bits & Self::MASK)
    }

    /// The number, below 2^31.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version of a number that a store kept; `None` past 31 bits.
    pub(crate) fn read(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Self::new).filter(|version| u64::from(version.0) == number)
    }

    /// How many security changes lie between, seen from the earlier one; versions start over after the last.
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0) & Self::MASK
    }

    /// The version after a security change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0.wrapping_add(1))
    }
}

/// Whether an account may be used. Verification of its address is a matter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// In use.
    Active,
    /// Shut by an operator; nothing the user does opens it.
    Disabled,
    /// Marked for removal; the row goes once no token can be alive any more.
    Deleted,
}

impl UserStatus {
    const ALL: [Self; 3] = [Self::Active, Self::Disabled, Self::Deleted];

    /// The name in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The kind of an enrolled second factor: `totp`, `passkey` ... Lower-case ASCII, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorKind(pub Box<str>);

/// A second factor that login asks for. The credential's row is inert until it is listed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledFactor {
    /// The credential that proves the factor.
    pub credential: CredentialId,
    /// What it is.
    pub kind: FactorKind,
}

/// An account as its store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Whose account system this belongs to.
    pub tenant: TenantId,
    /// The id, never used twice by the built-in stores.
    pub id: UserId,
    /// The address, unique within the tenant.
    pub email: Email,
    /// The username, unique within the tenant, where usernames are on.
    pub username: Option<Username>,
    /// When the mailbox was proven; `None` keeps the account from logging in.
    pub email_verified_at: Option<Timestamp>,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// The password's hash; `None` for an account without a password.
    pub password_hash: Option<PasswordHash>,
    /// Bumped by each security change.
    pub token_version: TokenVersion,
    /// The second factors that login asks for.
    pub factors: Vec<EnrolledFactor>,
    /// Logins that failed in a row, durable.
    pub consecutive_failures: u32,
    /// What the owner took back by the links of notices.
    pub recoveries: Recoveries,
    /// The application's own fields.
    pub attributes: Attributes,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last logged in to.
    pub last_login_at: Option<Timestamp>,
    /// The store's clock at the last change that others must learn of.
    pub changed_at: Timestamp,
    /// Bumped by each write through `update_if`.
    pub revision: Revision,
}

impl User {
    /// Whether the mailbox was proven.
    pub fn is_verified(&self) -> bool {
        self.email_verified_at.is_some()
    }

    /// Whether an operator made this a super-user's account. What that permits is the application's to say.
    pub fn is_superuser(&self) -> bool {
        self.attributes.get(SUPERUSER) == Some(&Value::Bool(true))
    }

    /// Whether the account is in use: neither disabled nor deleted.
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }
}
