//! The model of auth_core's tests beside SQLite and PostgreSQL, with and without crashes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

#[path = "../auth_core/tests/model/account.rs"]
mod account;
#[path = "../auth_core/tests/common/mod.rs"]
mod common;
#[path = "../auth_core/tests/model/factors.rs"]
mod factors;
#[path = "../auth_core/tests/model/flows.rs"]
mod flows;
#[path = "../auth_core/tests/model/ops.rs"]
mod ops;
#[path = "../auth_core/tests/model/run.rs"]
mod run;
#[path = "common/schema.rs"]
mod schema;

use std::sync::Arc;

use auth_core::testing::ManualClock;
use auth_system::store::{PostgresStore, SqliteStore};
use common::World;
use flows::Flows;
use ops::{Deed, crash, op};
use proptest::prelude::*;
use schema::Schema;
use tokio::runtime::Builder;

/// Runs a life on a file of its own.
fn on_sqlite(life: &[Deed]) {
    block_on(async {
        let (clock, dir) = (ManualClock::new(), tempfile::tempdir().unwrap());
        let url = format!("sqlite://{}", dir.path().join("auth.db").display());
        let store = SqliteStore::open_with_clock(&url, Arc::new(clock.clone())).await.unwrap();
        run::Run::new(Flows::of(World::over(store, clock, |_| {}))).live(life).await;
    });
}

/// Runs a life in a schema of its own.
fn on_postgres(life: &[Deed]) {
    block_on(async {
        let (clock, schema) = (ManualClock::new(), Schema::create().await);
        let store = PostgresStore::open_with_clock(&schema.url(), Arc::new(clock.clone())).await.unwrap();
        run::Run::new(Flows::of(World::over(store, clock, |_| {}))).live(life).await;
    });
}

fn block_on(life: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(life);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ops::lives(25), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_alive_in_the_model_is_what_authenticates_on_sqlite(
        start in ops::start(),
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        on_sqlite(&start.into_iter().chain(ops).map(|op| (op, None)).collect::<Vec<_>>());
    }

    #[test]
    fn a_crash_leaves_the_account_as_before_or_as_after_on_sqlite(
        start in ops::start(),
        ops in proptest::collection::vec((op(), proptest::option::of(crash())), 1..40),
    ) {
        on_sqlite(&start.into_iter().map(|op| (op, None)).chain(ops).collect::<Vec<_>>());
    }

    #[test]
    #[ignore = "needs PostgreSQL: tests/run starts one"]
    fn what_is_alive_in_the_model_is_what_authenticates_on_postgres(
        start in ops::start(),
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        on_postgres(&start.into_iter().chain(ops).map(|op| (op, None)).collect::<Vec<_>>());
    }

    #[test]
    #[ignore = "needs PostgreSQL: tests/run starts one"]
    fn a_crash_leaves_the_account_as_before_or_as_after_on_postgres(
        start in ops::start(),
        ops in proptest::collection::vec((op(), proptest::option::of(crash())), 1..40),
    ) {
        on_postgres(&start.into_iter().map(|op| (op, None)).chain(ops).collect::<Vec<_>>());
    }
}
