//! Tokens of known devices: each counts for one account under one password, in one spelling.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use auth_core::token::DeviceId;
use auth_core::types::{PasswordHash, TenantId, Timestamp, User, UserId};
use auth_fuzz::{NOW, account, forge, secret, tokens, tokens_of};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Tenant, id and password hash. Joined without a border, the first two would read alike, and so would the last two.
const ACCOUNTS: [(&str, &str, &str); 4] =
    [("a", "da", "$plain$one"), ("ad", "a", "$plain$one"), ("a", "ada", "$plain$one"), ("a", "ada$plain", "$one")];
const DEVICES: [DeviceId; 2] = [DeviceId([0; 16]), DeviceId([0xff; 16])];
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A token, and the account that it counts for: none when its key is a stranger's.
struct Device {
    token: String,
    counts_for: Option<usize>,
    device: DeviceId,
}

static USERS: LazyLock<Vec<User>> = LazyLock::new(|| {
    let user = |(tenant, id, hash): (&str, &str, &str)| User {
        tenant: TenantId::parse(tenant).expect("a tenant"),
        id: UserId::parse(id).expect("an id"),
        password_hash: Some(PasswordHash::new(hash)),
        ..account("ada", true)
    };
    ACCOUNTS.into_iter().map(user).collect()
});

static ISSUED: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let mut issued = Vec::new();
    for (ring, trusted) in
        [(tokens_of(secret(0), &[]), true), (tokens_of(secret(1), &[]), true), (tokens_of(secret(2), &[]), false)]
    {
        for (index, user) in USERS.iter().enumerate() {
            let device = DEVICES[index % DEVICES.len()];
            let token = ring.device(user, device, Timestamp::from_seconds(NOW)).expose().to_owned();
            issued.push(Device { token, counts_for: trusted.then_some(index), device });
        }
    }
    issued
});

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(text) = forge(data, ISSUED.iter().map(|issued| issued.token.as_str()), '.') else { return Corpus::Reject };
    for (index, user) in USERS.iter().enumerate() {
        let copied = ISSUED.iter().find(|issued| issued.token == text && issued.counts_for == Some(index));
        let verified = tokens().verify_device(Some(user), &text, Timestamp::from_seconds(NOW), LIFETIME);
        assert_eq!(verified, copied.map(|issued| issued.device), "{text} for {}", user.id);
    }
    Corpus::Keep
});
