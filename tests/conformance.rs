//! The SQL stores keep what every store promises.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use auth_system::auth_core::conformance;
use auth_system::auth_core::testing::ManualClock;

#[cfg(feature = "postgres")]
#[path = "common/proxy.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod proxy;
#[cfg(feature = "postgres")]
#[path = "common/schema.rs"]
mod schema;

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use auth_system::store::SqliteStore;
    use tempfile::TempDir;

    use super::*;

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
    conformance::data_key_use!(store, broken: broken);
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::Arc;

    use auth_system::store::PostgresStore;

    use super::proxy::Proxy;
    use super::schema::Schema;
    use super::*;

    async fn store(clock: ManualClock) -> (PostgresStore, Schema) {
        let schema = Schema::create().await;
        (PostgresStore::open_with_clock(&schema.url(), Arc::new(clock)).await.unwrap(), schema)
    }

    /// A store at whose port nobody listens any more.
    async fn broken(clock: ManualClock) -> (PostgresStore, ()) {
        let schema = Schema::create().await;
        let proxy = Proxy::start(&schema.url()).await;
        let store = PostgresStore::open_with_clock(proxy.url(), Arc::new(clock)).await.unwrap();
        (store, ())
    }

    conformance::user_store!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::usernames!(
        #[ignore = "needs PostgreSQL: tests/run starts one"]
        store
    );
    conformance::tenants!(
        #[ignore = "needs PostgreSQL: tests/run starts one"]
        store
    );
    conformance::session_store!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::mail_outbox!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::attempt_store!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::credential_store!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::pending_session_store!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::user_directory!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
    conformance::data_key_use!(#[ignore = "needs PostgreSQL: tests/run starts one"] store, broken: broken);
}
