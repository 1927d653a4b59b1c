//! Passwords to hashes and back: Argon2id (RFC 9106) on threads of its own.
//!
//! [`HashPool`] is the [`PasswordHasher`](crate::port::PasswordHasher) to mount. It holds its working memory,
//! [`threads`](HashConfig::threads) × [`memory_kib`](Argon2Params::memory_kib), for as long as it lives, and lends one
//! stored hash at a time what it needs beyond that: at most 256 MiB, or four times `memory_kib` up to 1 GiB. It runs at a
//! lower priority than the server, so that a storm of logins slows down logins and little else. Checks that need the lent
//! memory (imported scrypt, larger Argon2) run one at a time and leave the other threads to all others.
//!
//! A stored hash names its scheme, parameters and pepper, and is checked by what it names. Whatever differs from today's
//! choice still matches, as [`MatchOutdated`](crate::port::Verdict::MatchOutdated), so that a login renews it:
//! raising parameters, rotating the pepper and leaving a [`legacy`](HashConfig::legacy) scheme need no migration.

mod argon2id;
#[cfg(feature = "import")]
pub(crate) mod import;
mod params;
mod pepper;
mod pool;
mod queue;
mod scheme;
mod schemes;
mod spare;

use std::thread;

pub use params::Argon2Params;
pub use pepper::Pepper;
pub use pool::{HashPool, HashStats};
pub use scheme::{HashFault, PasswordScheme};

/// How passwords are hashed. The default is safe; [`HashPool::start`] refuses values outside their ranges.
#[derive(Debug)]
pub struct HashConfig {
    /// The cost of a hash.
    pub params: Argon2Params,
    /// Keys without which the hashes of a dump cannot even be guessed at. Default none.
    pub pepper: Option<Pepper>,
    /// Schemes of earlier systems whose hashes are still checked, the first that owns a hash's prefix. Default none.
    pub legacy: Vec<Box<dyn PasswordScheme>>,
    /// Threads that hash: 1 to 64. Default all cores but one, at least 1.
    pub threads: usize,
    /// Jobs that may wait: 1 to 100,000. Default 256. One lane may hold half of them (at least 1).
    pub queue: usize,
}

impl Default for HashConfig {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            params: Argon2Params::default(),
            pepper: None,
            legacy: Vec::new(),
            threads: cores.saturating_sub(1).clamp(1, 64),
            queue: 256,
        }
    }
}
