//! Tokens of known devices: each counts for one tenant and one login identifier, in one spelling.

#![no_main]

use std::sync::LazyLock;

use auth_core::token::DeviceId;
use auth_core::types::TenantId;
use auth_fuzz::{forge, secret, tokens, tokens_of};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Whom a token may be for. Joined without a border, the first two would read the same.
const IDENTIFIERS: [(&str, &str); 3] = [("a", "da@example.org"), ("ad", "a@example.org"), ("a", "ada")];
const DEVICES: [DeviceId; 2] = [DeviceId([0; 16]), DeviceId([0xff; 16])];

/// A token, and for whom it counts: nobody when its key is a stranger's.
struct Device {
    token: String,
    counts_for: Option<usize>,
    device: DeviceId,
}

static ISSUED: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let mut issued = Vec::new();
    for (ring, trusted) in
        [(tokens_of(secret(0), &[]), true), (tokens_of(secret(1), &[]), true), (tokens_of(secret(2), &[]), false)]
    {
        for (index, (tenant, identifier)) in IDENTIFIERS.into_iter().enumerate() {
            let device = DEVICES[index % DEVICES.len()];
            let token = ring.device(&parse(tenant), identifier, device).expose().to_owned();
            issued.push(Device { token, counts_for: trusted.then_some(index), device });
        }
    }
    issued
});

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(text) = forge(data, ISSUED.iter().map(|issued| issued.token.as_str()), '.') else { return Corpus::Reject };
    for (index, (tenant, identifier)) in IDENTIFIERS.into_iter().enumerate() {
        let copied = ISSUED.iter().find(|issued| issued.token == text && issued.counts_for == Some(index));
        let verified = tokens().verify_device(&parse(tenant), identifier, &text);
        assert_eq!(verified, copied.map(|issued| issued.device), "{text} for {identifier}");
    }
    Corpus::Keep
});

fn parse(tenant: &str) -> TenantId {
    TenantId::parse(tenant).expect("a tenant")
}
