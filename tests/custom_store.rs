//! A user table of an application's own keeps what every store promises.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

#[path = "../examples/custom_store.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;

use auth_system::auth_core::conformance;
use auth_system::auth_core::testing::ManualClock;
use example::AppUsers;
use tempfile::TempDir;

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("app.db").display())
}

async fn store(clock: ManualClock) -> (AppUsers, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (AppUsers::new(example::open(&url(&folder)).await.unwrap(), Arc::new(clock)), folder)
}

/// A store whose connections are closed.
async fn broken(clock: ManualClock) -> (AppUsers, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pool = example::open(&url(&folder)).await.unwrap();
    pool.close().await;
    (AppUsers::new(pool, Arc::new(clock)), folder)
}

conformance::user_store!(store, broken: broken);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    example::life_of_an_account(&url(&folder)).await.unwrap();
}
