use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::types::{Password, PasswordHash};

/// Hashes passwords, off the async threads and within bounds.
///
/// `lane` names who the work is for ([`Client::lane`](crate::types::Client::lane)): lanes take turns, so that one
/// client's flood waits behind itself.
#[async_trait]
pub trait PasswordHasher: Send + Sync + 'static {
    /// Hashes with today's parameters and a fresh salt.
    async fn hash(&self, lane: u128, password: &Password) -> Result<PasswordHash, HashError>;

    /// Checks a password. Without a hash it does the work of a check with today's parameters and says no, so that
    /// accounts that are unknown or have no password take as long as others.
    async fn verify(&self, lane: u128, password: &Password, hash: Option<&PasswordHash>) -> Result<Verdict, HashError>;
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or no hash.
    Mismatch,
    /// The password; the hash is of today's scheme and parameters.
    Match,
    /// The password, but hash it again: its scheme, parameters or pepper are outdated.
    MatchOutdated,
}

/// Why a hasher gave no answer.
#[derive(Debug)]
pub enum HashError {
    /// The queue is full.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// A hash of unknown form, a pepper whose key is gone, or a defect.
    Failed(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded { .. } => f.write_str("too many passwords are waiting to be hashed"),
            Self::Failed(source) => write!(f, "hashing failed: {source}"),
        }
    }
}

impl StdError for HashError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Overloaded { .. } => None,
            Self::Failed(source) => Some(source.as_ref()),
        }
    }
}
