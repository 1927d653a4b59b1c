//! The model of auth_core's tests beside SQLite and PostgreSQL, with and without crashes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

#[path = "../auth_core/tests/common/mod.rs"]
mod common;
#[path = "../auth_core/tests/model/flows.rs"]
mod flows;
#[path = "../auth_core/tests/model/mod.rs"]
mod model;
#[path = "common/schema.rs"]
mod schema;

use std::sync::Arc;

use auth_core::testing::ManualClock;
use auth_system::store::{PostgresStore, SqliteStore};
use common::World;
use flows::Flows;
use model::ops::{self, Deed, deed};
use model::run::Run;
use proptest::prelude::*;
use schema::Schema;
use tokio::runtime::Builder;

/// Runs a life on a file of its own.
fn on_sqlite(life: &[Deed]) {
    block_on(async {
        let (clock, dir) = (ManualClock::new(), tempfile::tempdir().unwrap());
        let url = format!("sqlite://{}", dir.path().join("auth.db").display());
        let store = SqliteStore::open_with_clock(&url, Arc::new(clock.clone())).await.unwrap();
        Run::new(Flows::of(World::over(store, clock, |_| {}))).live(life).await;
    });
}

/// Runs a life in a schema of its own.
fn on_postgres(life: &[Deed]) {
    block_on(async {
        let (clock, schema) = (ManualClock::new(), Schema::create().await);
        let store = PostgresStore::open_with_clock(&schema.url(), Arc::new(clock.clone())).await.unwrap();
        Run::new(Flows::of(World::over(store, clock, |_| {}))).live(life).await;
    });
}

fn block_on(life: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(life);
}

proptest! {
    #![proptest_config(ops::config(25))]

    #[test]
    fn what_is_alive_in_the_model_is_what_authenticates_on_sqlite(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(false), 1..40),
    ) {
        on_sqlite(&[start, deeds].concat());
    }

    #[test]
    fn a_crash_leaves_each_account_as_before_or_as_after_on_sqlite(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(true), 1..40),
    ) {
        on_sqlite(&[start, deeds].concat());
    }

    #[test]
    #[ignore = "needs PostgreSQL: tests/run starts one"]
    fn what_is_alive_in_the_model_is_what_authenticates_on_postgres(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(false), 1..40),
    ) {
        on_postgres(&[start, deeds].concat());
    }

    #[test]
    #[ignore = "needs PostgreSQL: tests/run starts one"]
    fn a_crash_leaves_each_account_as_before_or_as_after_on_postgres(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(true), 1..40),
    ) {
        on_postgres(&[start, deeds].concat());
    }
}
