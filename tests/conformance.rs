//! The SQLite store keeps what every store promises.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::sync::Arc;

use auth_system::auth_core::conformance;
use auth_system::auth_core::testing::ManualClock;
use auth_system::store::SqliteStore;
use tempfile::TempDir;

async fn store(clock: ManualClock) -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("auth.db").display());
    (SqliteStore::open_with_clock(&url, Arc::new(clock)).await.unwrap(), folder)
}

/// A store whose file is gone.
async fn broken(clock: ManualClock) -> (SqliteStore, TempDir) {
    let (store, folder) = store(clock).await;
    std::fs::remove_file(folder.path().join("auth.db")).unwrap();
    (store, folder)
}

conformance::user_store!(store, broken: broken);
conformance::usernames!(store);
conformance::tenants!(store);
conformance::session_store!(store, broken: broken);
conformance::mail_outbox!(store, broken: broken);
conformance::attempt_store!(store, broken: broken);
conformance::credential_store!(store, broken: broken);
conformance::pending_session_store!(store, broken: broken);
conformance::user_directory!(store, broken: broken);
