use std::error::Error as StdError;

use async_trait::async_trait;

use crate::types::{Client, Password, Personal};

/// The application's own judgement of new passwords: by a service that knows breached ones, say.
///
/// It is asked at sign-up, for known and unknown addresses alike, and at each other change of a password, last of all
/// checks: after the built-in rules, and at a reset after the link was proven good. Login never asks.
#[async_trait]
pub trait PasswordCheck: Send + Sync + 'static {
    /// Judges a password that passed the built-in rules. A request waits for the answer, so bound the time that it takes;
    /// and take as long for one address as for another.
    ///
    /// # Errors
    /// [`PasswordCheckError::Refused`] for a password that must not be set; [`PasswordCheckError::Unavailable`] without
    /// an answer: then it is not set, either.
    async fn check(
        &self,
        client: &Client,
        password: &Password,
        personal: Personal<'_>,
    ) -> Result<(), PasswordCheckError>;
}

/// Why a password is not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordCheckError {
    /// Choose another one. The text is shown to the client, with the code `password_refused`.
    #[error("the password was refused: {0}")]
    Refused(&'static str),
    /// There is no answer: the request may pass later (503). The source goes to tracing; it must not hold the password.
    #[error("the check of passwords does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

impl PasswordCheckError {
    /// The check cannot answer; `source` goes to tracing.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}
