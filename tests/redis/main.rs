//! The Redis store: what every store promises, what is special to this one, and what clients see of its failures.
//!
//! `tests/servers` runs a command beside a Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a step that fails fails its test")]

mod clock;
mod cluster;
mod cluster_down;
mod cluster_servers;
mod down;
mod dump;
mod fake_node;
#[path = "../common/ports.rs"]
mod ports;
mod races;
#[path = "../common/redis_server.rs"]
mod redis_server;
mod server;
mod settings;
#[path = "../common/totp.rs"]
mod totp;
mod world;

use std::sync::Arc;

use auth_system::auth_core::conformance;
use auth_system::auth_core::testing::ManualClock;
use auth_system::store::RedisStore;

async fn store(clock: ManualClock) -> (RedisStore, ()) {
    (RedisStore::open_with_clock(server::with_own_prefix(), Arc::new(clock)).unwrap(), ())
}

/// A store of a server that is not there.
async fn broken(clock: ManualClock) -> (RedisStore, ()) {
    (RedisStore::open_with_clock("redis://127.0.0.1:1/", Arc::new(clock)).unwrap(), ())
}

conformance::attempt_store!(#[ignore = "needs Redis: tests/run starts one"] store, broken: broken);
conformance::pending_session_store!(#[ignore = "needs Redis: tests/run starts one"] store, broken: broken);
