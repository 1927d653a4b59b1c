//! The example servers as people start them: a process of its own, over real sockets and real files.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a step that fails fails its test")]

mod browser;
mod killed;
mod life;
mod minimal;
#[path = "../common/ports.rs"]
mod ports;
mod redis;
#[path = "../common/redis_server.rs"]
mod redis_server;
mod server;
mod start;
#[path = "../common/totp.rs"]
mod totp;
mod trouble;
