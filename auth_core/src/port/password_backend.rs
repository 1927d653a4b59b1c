use async_trait::async_trait;

use super::{HashError, Ticket, Verdict};
use crate::types::{Password, User};

/// Judges the passwords of accounts in place of their stored hashes: a directory, for example.
///
/// A right password is a first factor and nothing more: status, verification, second factor and limits are the same for
/// every backend.
#[async_trait]
pub trait PasswordBackend: Send + Sync + 'static {
    /// Judges one password. The answer must take as long without an account, or for one that has no password.
    ///
    /// The ticket is a place in the queue of the [`PasswordHasher`](super::PasswordHasher). A backend that hashes nothing drops it.
    ///
    /// # Errors
    /// Returns [`HashError`] without an answer: the client gets 503, and the attempt counts.
    async fn verify(&self, attempt: PasswordAttempt<'_>) -> Result<Verdict, HashError>;
}

/// A password, and the account that it is to open.
#[derive(Debug)]
#[non_exhaustive]
pub struct PasswordAttempt<'a> {
    /// The place in the hasher's queue.
    pub ticket: Ticket,
    /// The account; `None` where there is none, or its password is off.
    pub user: Option<&'a User>,
    /// The password.
    pub password: &'a Password,
}

impl<'a> PasswordAttempt<'a> {
    /// Joins the parts.
    pub fn new(ticket: Ticket, user: Option<&'a User>, password: &'a Password) -> Self {
        Self { ticket, user, password }
    }
}
