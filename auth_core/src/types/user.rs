//! The user row: all that decides whether, and how, somebody may log in.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{
    Dispute, Email, EnrolledFactor, PasswordHash, Recoveries, Revision, TenantId, Timestamp, TokenVersion, UserId,
    Username,
};

/// The attribute that makes an account a super-user's. No client can set it.
pub const SUPERUSER: &str = "is_superuser";

/// The application's own fields of an account, as JSON.
pub type Attributes = Map<String, Value>;

/// Whether an account may be used. Verification of its address is a matter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// In use.
    Active,
    /// Shut by an operator; nothing the user does opens it.
    Disabled,
    /// Closed by its owner. Proof of the mailbox reopens it until
    /// [`Policy::deactivated_lifetime`](crate::policy::Policy) has passed.
    Deactivated {
        /// When the owner closed it, by the clock of the node.
        since: Timestamp,
    },
    /// Marked for removal; the row goes once no token can be alive any more.
    Deleted,
}

impl UserStatus {
    /// The name in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deactivated { .. } => "deactivated",
            Self::Deleted => "deleted",
        }
    }

    /// The time that stores keep beside the name.
    pub const fn since(self) -> Option<Timestamp> {
        match self {
            Self::Deactivated { since } => Some(since),
            Self::Active | Self::Disabled | Self::Deleted => None,
        }
    }

    /// Reads what [`as_str`](Self::as_str) and [`since`](Self::since) wrote.
    pub fn parse(text: &str, since: Option<Timestamp>) -> Option<Self> {
        Some(match text {
            "active" => Self::Active,
            "disabled" => Self::Disabled,
            "deactivated" => Self::Deactivated { since: since? },
            "deleted" => Self::Deleted,
            _ => return None,
        })
    }

    /// Whether both have the same name in stores; the time does not matter.
    pub fn is_like(self, other: Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// The origin of an account, which decides its rights while its mailbox is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A sign-up made the account and its mailbox was never verified. Nothing of it binds the owner of the mailbox.
    SignUp {
        /// The client address of the sign-up, for the mail that asks the owner of the mailbox.
        from: Option<IpAddr>,
    },
    /// An operator made the account, or its mailbox was verified at some time.
    Settled,
    /// The row is older than this field. The account is treated as a stranger's, but never purged.
    Unknown,
}

impl Claim {
    /// The name in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignUp { .. } => "sign_up",
            Self::Settled => "settled",
            Self::Unknown => "unknown",
        }
    }

    /// The client address that stores keep beside the name.
    pub const fn from(self) -> Option<IpAddr> {
        match self {
            Self::SignUp { from } => from,
            Self::Settled | Self::Unknown => None,
        }
    }

    /// Reads what [`as_str`](Self::as_str) and [`from`](Self::from) wrote.
    pub fn parse(text: &str, from: Option<IpAddr>) -> Option<Self> {
        Some(match text {
            "sign_up" => Self::SignUp { from },
            "settled" => Self::Settled,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
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
    /// The origin of the account, which decides its rights while it is not verified.
    pub claim: Claim,
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

    /// Whether the account is shut because more than one address claims it.
    pub fn is_disputed(&self) -> bool {
        self.dispute().is_some()
    }

    /// Returns the dispute over the account, if the account is still as the dispute left it.
    pub fn dispute(&self) -> Option<&Dispute> {
        self.recoveries.dispute().filter(|dispute| dispute.version == self.token_version && !self.is_active())
    }

    /// Whether an operator made this a super-user's account. What that permits is the application's to say.
    pub fn is_superuser(&self) -> bool {
        self.attributes.get(SUPERUSER) == Some(&Value::Bool(true))
    }

    /// Whether the account is in use: neither disabled nor deactivated nor deleted.
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }

    /// Whether the account has no owner, because its mailbox was never verified and no operator made it.
    pub fn is_unclaimed(&self) -> bool {
        !self.is_verified() && self.claim != Claim::Settled
    }
}
