use std::time::Duration;

use crate::types::Timestamp;

/// The time that flows decide by.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. It may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process. It never goes backwards.
    fn monotonic(&self) -> Duration;
}
