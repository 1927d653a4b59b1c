use std::fmt;

/// Unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomError`] when the platform has none to give; flows then fail closed.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The platform gave no random bytes.
#[derive(Clone, Copy, Debug)]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the platform gave no random bytes")
    }
}

impl std::error::Error for RandomError {}
