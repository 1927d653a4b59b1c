//! One account under random operations, beside a model small enough to be read: what is alive in the model is exactly
//! what authenticates and refreshes. Then the same with crashes: each leaves the account as before or as after.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

mod account;
#[path = "../common/mod.rs"]
mod common;
mod factors;
mod flows;
mod ops;
mod run;

use common::{World, now};
use flows::Flows;
use ops::{crash, op};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: ops::lives(500), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_alive_in_the_model_is_what_authenticates(
        start in ops::start(),
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        let life: Vec<_> = start.into_iter().chain(ops).map(|op| (op, None)).collect();
        now(run::Run::new(Flows::of(World::new())).live(&life));
    }

    #[test]
    fn a_crash_leaves_the_account_as_before_or_as_after(
        start in ops::start(),
        ops in proptest::collection::vec((op(), proptest::option::of(crash())), 1..40),
    ) {
        let life: Vec<_> = start.into_iter().map(|op| (op, None)).chain(ops).collect();
        now(run::Run::new(Flows::of(World::new())).live(&life));
    }
}
