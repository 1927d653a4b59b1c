//! Memory beyond what the threads hold.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lets one check at a time have memory of its own, so that no number of threads asks for more than one hash's worth.
#[derive(Default)]
pub(super) struct Spare(Mutex<()>);

impl Spare {
    /// Waits for the turn, which ends when the guard is dropped. Drop the memory before.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
