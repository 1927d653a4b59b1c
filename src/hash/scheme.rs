//! What a scheme of password hashes is, and why a hash cannot be made or checked.

use std::error::Error as StdError;
use std::fmt;

use auth_core::port::HashError;
#[cfg(doc)]
use auth_core::port::Verdict;

/// A scheme of an earlier system, whose hashes are checked but never made: a match is always
/// [`Verdict::MatchOutdated`], so that a login moves the account to Argon2id.
pub trait PasswordScheme: Send + Sync + 'static {
    /// How the scheme's hashes begin, such as `$2b$` or `pbkdf2_sha256$`.
    fn prefixes(&self) -> &[&'static str];

    /// Whether `encoded`, which begins with one of the prefixes, is a hash of `password`. Runs on a hashing thread:
    /// it may use the CPU and shall not wait for anything. Compare in constant time.
    ///
    /// A refusal takes the scheme's own time, so as long as accounts have such hashes, the time of a login tells that they
    /// exist. Refusals of weaker Argon2id hashes take as long as those of today's.
    ///
    /// # Errors
    /// [`HashFault::Malformed`], or [`HashFault::TooCostly`] for a cost that no honest hash of the scheme has: one row
    /// must not occupy a thread for minutes.
    fn verify(&self, password: &str, encoded: &str) -> Result<bool, HashFault>;
}

/// Shows prefixes alone, for a scheme may hold keys.
impl fmt::Debug for dyn PasswordScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordScheme").field(&self.prefixes()).finish()
    }
}

/// Why a hash was neither made nor checked. [`HashError::Failed`] has [`NotRun`](Self::NotRun) as its source; all others
/// are logged, and the password is refused. Its text never holds the hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashFault {
    /// No scheme owns the stored hash's prefix.
    #[error("the stored hash is of no scheme known here")]
    UnknownScheme,
    /// The stored hash is not written as its scheme writes hashes.
    #[error("the stored hash is malformed")]
    Malformed,
    /// The stored hash asks for more memory or iterations than are ever run.
    #[error("the stored hash asks for more memory or iterations than are ever run")]
    TooCostly,
    /// The stored hash is peppered with a key that the ring does not hold: give it back to the ring.
    #[error("the stored hash names the pepper key `{key_id}`, which is not in the ring")]
    UnknownKey {
        /// The id that the hash names.
        key_id: String,
    },
    /// Memory, randomness or a scheme failed.
    #[error("no hash could be computed: {0}")]
    NotRun(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<HashFault> for HashError {
    fn from(fault: HashFault) -> Self {
        Self::Failed(Box::new(fault))
    }
}
