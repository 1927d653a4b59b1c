//! What an error of Redis means to the ports.

use auth_core::port::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What it means to the ports. A store that is down is logged here, once for each failing call: the answer to the caller
/// will not say why.
pub(super) fn failure(error: RedisError) -> StoreError {
    if is_defect(&error) {
        return StoreError::corrupt(error);
    }
    tracing::error!(target: "auth", cause = %error, "Redis does not answer");
    StoreError::unavailable(error)
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
