//! What every store promises, in `users`, `sessions` and `outbox`; what is special to SQLite, in `sqlite`.

/// Runs each promise on an SQLite store of its own.
macro_rules! on_sqlite {
    ($($promise:ident)+) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                let clock = super::ManualClock::new();
                let (store, _folder) = super::temporary_store(clock.clone()).await;
                super::$promise(std::sync::Arc::new(store), &clock).await;
            })+
        }
    };
}

mod outbox;
mod sessions;
mod sqlite;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use auth_core::port::Clock;
use auth_core::types::{TenantId, Timestamp};
use tokio::task::JoinSet;

use super::SqliteStore;

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct ManualClock(AtomicI64);

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_123_456)))
    }

    fn advance(&self, by: Duration) {
        self.0.store((self.now() + by).micros(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }
}

/// A store over a new file, which lives as long as the folder.
async fn temporary_store(clock: Arc<ManualClock>) -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with_clock(&url(&folder), clock).await.unwrap();
    (store, folder)
}

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("auth.db").display())
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Runs 64 calls at once.
async fn in_parallel<T, F>(call: impl Fn(u32) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for number in 0..64 {
        calls.spawn(call(number));
    }
    calls.join_all().await
}
