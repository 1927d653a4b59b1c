//! Starting again after a lost compare-and-swap, and what follows the write that decided.

use crate::error::Error;
use crate::port::StoreError;

/// How often a flow starts again after it lost a compare-and-swap. Only a row under constant fire is ever changed so
/// often between a read and a write; then the answer is 503.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// What comes after the write that decided: that it fails must take nothing back.
pub(crate) fn housekeeping<T>(outcome: Result<T, StoreError>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(target: "auth", %error, what, "left undone");
    }
}

/// The answer of a flow that lost [`MAX_ATTEMPTS`] races.
pub(crate) fn contended() -> Error {
    Error::unavailable("the row was changed too often meanwhile")
}
