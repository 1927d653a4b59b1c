//! What an error of Redis means to the ports.

use std::error::Error;

use auth_core::port::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a command failed.
pub(super) struct Failure(StoreError);

impl Failure {
    /// No answer in time.
    pub(super) fn late() -> Self {
        Self::unavailable("no answer in time")
    }

    /// The store is down. Logged here, once for each failing call: the answer to the caller will not say why.
    fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::error!(target: "auth", %cause, "Redis does not answer");
        Self(StoreError::Unavailable(cause))
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if is_defect(&error) { Self(StoreError::corrupt(error)) } else { Self::unavailable(error) }
    }
}

impl From<Failure> for StoreError {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

/// Why a server did not do what it was asked for.
pub(super) enum Trouble {
    /// There is no connection, so nothing was sent.
    Unreachable(RedisError),
    /// What the server says, or that it says nothing: then it may have been done.
    Answer(RedisError),
}

impl From<Trouble> for RedisError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(error) | Trouble::Answer(error) => error,
        }
    }
}

/// Whether it comes from a server that is no node of a cluster, and was asked for what only one knows.
pub(super) fn is_no_cluster(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("cluster support disabled"))
}

/// Whether waiting cannot help: a key of ours holds something else. Everything else is about the server.
pub(super) fn is_defect(error: &RedisError) -> bool {
    const WRONG_TYPE: &str = "WRONGTYPE";
    // Servers before Redis 7 wrap what a script met into a general error.
    error.code() == Some(WRONG_TYPE) || error.detail().is_some_and(|detail| detail.contains(WRONG_TYPE))
}

/// Whether a new connection may do better: this one is closed or does not answer, or leads to a server that has become
/// a replica, while its name leads to another one by now.
pub(super) fn is_dead(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown),
        ErrorKind::Extension => false,
        _ => true,
    }
}
