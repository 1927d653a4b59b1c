use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::types::KeyId;
use crate::types::{Password, PasswordHash};

/// Hashes passwords, off the async threads and within bounds.
///
/// Work begins with admission: a flood is refused before it costs anybody an attempt.
#[async_trait]
pub trait PasswordHasher: Send + Sync + 'static {
    /// Reserves a place in the queue, or refuses at once. Dropping the ticket gives the place back.
    ///
    /// `lane` names who the work is for ([`Client::lane`](crate::types::Client::lane)): lanes take turns, so that one
    /// client's flood waits behind itself.
    fn admit(&self, lane: u128) -> Result<Ticket, HashError>;

    /// Hashes with today's parameters and a fresh salt.
    async fn hash(&self, ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError>;

    /// Checks a password. Without a hash it does the work of a check with today's parameters and says no, so that
    /// accounts that are unknown or have no password take as long as others.
    async fn verify(
        &self,
        ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError>;

    /// Whether it can check hashes that are peppered with the data key of this id. A hasher whose keys are no data keys
    /// says yes: it looks after them itself.
    fn has_pepper(&self, _id: &KeyId) -> bool {
        true
    }
}

/// A place in a hasher's queue, held until it is used or dropped.
pub struct Ticket {
    lane: u128,
    place: Box<dyn Any + Send>,
}

impl Ticket {
    /// A hasher's ticket for a lane; dropping `place` must give the place back.
    pub fn new(lane: u128, place: impl Any + Send) -> Self {
        Self { lane, place: Box::new(place) }
    }

    /// Who the work is for.
    pub fn lane(&self) -> u128 {
        self.lane
    }

    /// The hasher's own part, if the ticket is one of its own.
    pub fn into_place<P: Any>(self) -> Option<P> {
        self.place.downcast().ok().map(|place| *place)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
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
    /// The stored hash cannot be checked, because its key is missing or its form is unknown. It counts as a mismatch and
    /// took as long as one. An operator must look at it.
    Unreadable,
}

/// Why a hasher gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The service that judges passwords does not answer: the request may pass later (503).
    #[error("no service judges passwords: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// Memory, randomness or a scheme failed (500).
    #[error("hashing failed: {0}")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
}
