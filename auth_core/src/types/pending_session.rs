//! What waits for the second step of something: a login between its factors, a set-up that was not confirmed yet.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Payload, Revision, TenantId, Timestamp, TokenVersion, User, UserId};

/// A pending step as its store keeps it. It dies with the state of the account that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSession {
    /// What it is found by.
    pub id: PendingId,
    /// What it waits for.
    pub purpose: PendingPurpose,
    /// The tenant.
    pub tenant: TenantId,
    /// The account; `None` where there is none yet.
    pub subject: Option<PendingSubject>,
    /// The number of tries at the second step that were counted.
    pub tries: u32,
    /// What the second step needs to know; sealed where it is secret.
    pub payload: Payload,
    /// Until when it may be finished.
    pub expires_at: Timestamp,
}

/// The account of a pending step, in the state that the first step was checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingSubject {
    /// The account.
    pub user: UserId,
    /// The revision of its row.
    pub revision: Revision,
    /// Its version.
    pub token_version: TokenVersion,
}

impl PendingSubject {
    /// The account as its row is now.
    pub fn of(user: &User) -> Self {
        Self { user: user.id, revision: user.revision, token_version: user.token_version }
    }
}

impl PendingSession {
    /// Whether it is of this account, which still is what the first step was checked against.
    pub fn fits(&self, user: &User) -> bool {
        let same = |it: PendingSubject| (it.user, it.token_version) == (user.id, user.token_version);
        self.tenant == user.tenant && self.subject.is_some_and(same) && user.is_active()
    }
}

/// What a pending session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingPurpose {
    /// The second factor of a login.
    SecondFactor,
    /// The first code of an authenticator that is being set up.
    TotpSetup,
    /// The confirmation of the newest change of address of an account.
    EmailChange,
}

impl PendingPurpose {
    /// All purposes.
    pub const ALL: [Self; 3] = [Self::SecondFactor, Self::TotpSetup, Self::EmailChange];

    /// The name in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::TotpSetup => "totp_setup",
            Self::EmailChange => "email_change",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// The digest that a pending session is kept under. What it is a digest of, clients hold; no store ever sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingId([u8; 32]);

impl PendingId {
    /// The digest of what somebody holds, for one purpose.
    pub fn of(purpose: PendingPurpose, held: &[u8]) -> Self {
        Self(Sha256::new().chain_update(purpose.as_str()).chain_update([0]).chain_update(held).finalize().into())
    }

    /// Wraps a digest that a store kept.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, for stores.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PendingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingId(…)")
    }
}
