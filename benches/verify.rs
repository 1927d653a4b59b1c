//! The access check beside its floor, one bare HMAC-SHA256 over the same bytes.
//!
//! `cargo bench --bench verify`, then divide the medians: `verify` takes at most 3.0 × `hmac_baseline`. Both are in one
//! run, so the ratio holds on a slow or busy machine, too.
//!
//! * `hmac_baseline`: the signed part of the token, under a prepared key (clone, update, finalize).
//! * `verify`: the whole check, from the token's text to the caller's identity: clock, form, signature, claims, times,
//!   revocation view. The view holds the account, as it does for everyone who signed up within the last minutes.
//! * `verify_among_revoked`: the same, with a thousand sessions in the view that were ended.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

mod common;

use std::hint::black_box;
use std::time::Duration;

use auth_system::auth_core::testing::InsecurePlainHasher;
use auth_system::auth_core::types::{Client, Scope};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

fn main() {
    let mut criterion = common::criterion();
    let runtime = common::runtime();
    let (auth, token) = runtime.block_on(async {
        let auth = common::system(InsecurePlainHasher::default()).await;
        let token = common::log_in(&auth).await;
        (auth, token)
    });
    let system = auth.system();
    let synced = || runtime.block_on(system.sync_revocations(Duration::ZERO)).unwrap();

    let mut group = criterion.benchmark_group("access_token");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let key = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    group.bench_function("hmac_baseline", |bencher| {
        bencher.iter(|| {
            let mut mac = black_box(&key).clone();
            mac.update(black_box(signed).as_bytes());
            mac.finalize().into_bytes()
        });
    });
    synced();
    group.bench_function("verify", |bencher| {
        bencher.iter(|| system.authenticate_now(black_box(&token), &[Scope::Full]).unwrap().unwrap());
    });
    for _ in 0..1000 {
        let ended = runtime.block_on(common::log_in(&auth));
        runtime.block_on(system.request(&Client::default()).logout(Some(&ended), None)).unwrap();
    }
    synced();
    group.bench_function("verify_among_revoked", |bencher| {
        bencher.iter(|| system.authenticate_now(black_box(&token), &[Scope::Full]).unwrap().unwrap());
    });
    group.finish();
    criterion.final_summary();
}
