//! Behaviour through the public door: every scenario over HTTP, through each adapter, on each store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a step that fails fails its test")]

mod access;
mod actix;
mod addresses;
mod admin;
mod arbitrary;
mod bad_body;
mod bad_input;
mod change_email;
mod change_password;
mod codes;
#[path = "../../auth_core/tests/common/mod.rs"]
mod common;
mod contract;
mod conventions;
mod cookies;
mod cross_origin;
mod deactivate;
mod devices;
mod disk;
mod disputes;
mod door;
mod failures;
#[cfg(feature = "smtp")]
#[path = "../common/fake_smtp.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod fake_smtp;
mod faults;
mod footguns;
mod golden;
mod interrupted;
mod invariants;
#[path = "../common/redis_server.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod killable_redis;
mod killed;
mod layer;
mod limits;
mod login;
mod logout;
mod logs;
mod mail_budget;
mod mails;
mod me;
mod model;
mod new_password;
mod nodes;
mod not_me;
#[cfg(feature = "openapi")]
mod openapi;
mod operations;
mod outbox;
mod parity;
mod password_reset;
mod place;
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/postgres_server.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod postgres_server;
#[path = "../common/proxy.rs"]
mod proxy;
mod races;
mod reauthenticate;
#[path = "../redis/server.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod redis_server;
mod refresh;
mod rotation;
mod routing;
#[path = "../common/schema.rs"]
mod schema;
mod secrets;
mod settings;
mod settings_at_work;
mod signup;
mod slow_bodies;
#[cfg(feature = "smtp")]
mod smtp;
mod step_up;
mod stories;
#[path = "../common/totp.rs"]
mod totp;
mod two_factor;
mod two_factor_login;
mod two_factor_races;
mod two_factor_replace;
mod two_factor_required;
mod two_factor_settings;
mod unreadable;
mod upgrade;
mod verify_email;
mod wire;
mod workers;
mod world;
