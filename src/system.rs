//! The platform's clock and randomness. The only place that asks for either.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::port::{Clock, Random, RandomError};
use auth_core::types::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;

/// The clock of the machine, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock port")]
    fn now(&self) -> Timestamp {
        let epoch = Timestamp::default();
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => epoch + after,
            Err(before) => epoch - before.duration(),
        }
    }

    /// On Linux time goes on while the machine sleeps: what others revoked meanwhile must count as news.
    #[cfg(target_os = "linux")]
    fn monotonic(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(time).unwrap_or_default()
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "this is the Clock port")]
    fn monotonic(&self) -> Duration {
        use std::sync::LazyLock;
        use std::time::Instant;
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// The random bytes of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SysRng.try_fill_bytes(bytes).map_err(|_| RandomError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_today_and_never_runs_backwards() {
        let (wall, monotonic) = (SystemClock.now(), SystemClock.monotonic());
        assert!(wall > Timestamp::from_seconds(1_700_000_000), "{wall:?}");
        assert!(SystemClock.monotonic() >= monotonic);
    }

    #[test]
    fn random_bytes_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        assert!(SystemRandom.fill(&mut first).is_ok() && SystemRandom.fill(&mut second).is_ok());
        assert_ne!(first, second);
    }
}
