/// Unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomError`] when the platform has none to give; flows then fail closed.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The platform gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the platform gave no random bytes")]
pub struct RandomError;
