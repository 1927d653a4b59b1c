//! Password columns of other systems: no text makes the reader panic or promises more work than the bounds allow, and
//! what was taken can be checked, where that is cheap.

#![no_main]

use std::sync::{Arc, LazyLock};

use auth_core::port::{HashError, PasswordHasher, Verdict};
use auth_core::testing::{InsecureCountingRandom, ManualClock};
use auth_core::types::{Password, PasswordHash};
use auth_system::hash::{Argon2Params, HashConfig, HashPool};
use auth_system::import;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::runtime::{Builder, Runtime};

/// Of the hashes in the seeds.
const PASSWORD: &str = "pässwörd für 日本語";

static POOL: LazyLock<HashPool> = LazyLock::new(|| {
    let config =
        HashConfig { params: Argon2Params::insecure_for_tests(), threads: 1, queue: 4, ..HashConfig::default() };
    HashPool::start(config, Arc::new(ManualClock::new()), Arc::new(InsecureCountingRandom::default())).expect("a pool")
});
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    let Ok(column) = import::password(text) else { return Corpus::Keep };
    let Some(hash) = column else {
        assert!(text.is_empty() || text.starts_with('!'), "{text:?} is no password");
        return Corpus::Keep;
    };
    assert_eq!(hash.expose(), text);
    assert!(text.len() <= 512 && text.contains('$'), "{text:?}");
    if is_cheap(text) {
        let matched = check("another password", &hash);
        assert!(matches!(matched, Ok(Verdict::Mismatch)), "{text:?}: {matched:?}");
        let found = check(PASSWORD, &hash);
        let checked = matches!(found, Ok(verdict) if verdict != Verdict::Unreadable);
        assert!(checked, "{text:?} was taken and cannot be checked: {found:?}");
    }
    Corpus::Keep
});

fn check(password: &str, hash: &PasswordHash) -> Result<Verdict, HashError> {
    let password = Password::new(password).expect("short");
    RUNTIME.block_on(POOL.verify(POOL.admit(0)?, &password, Some(hash)))
}

/// Whether a check takes some milliseconds, by the numbers before salt and tag. Of bcrypt's costs only the least is.
fn is_cheap(text: &str) -> bool {
    let head = text.rsplitn(3, '$').nth(2).unwrap_or(text);
    let mut numbers = head.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let work = numbers.try_fold(1_u64, |work, digits| work.checked_mul(digits.parse::<u64>().ok()?.max(1)));
    let bcrypt = ["$2a$", "$2b$", "$2y$"].iter().any(|version| text.contains(version));
    work.is_some_and(|work| work <= 300_000) && (!bcrypt || text.contains("$04$"))
}
