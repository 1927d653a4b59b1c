//! Where a world keeps its accounts: whoever opens the place again finds the same.

use std::path::PathBuf;
use std::sync::Arc;

use auth_system::AuthBuilder;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::DeadMails;
use auth_system::auth_core::testing::ManualClock;
use auth_system::store::SqliteStore;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Store {
    Memory,
    Sqlite,
}

#[derive(Clone)]
pub(crate) enum Place {
    Memory(MemoryStore),
    /// A folder of its own.
    Sqlite(Arc<TempDir>),
}

impl Place {
    /// A new one.
    pub(crate) fn of(store: Store, clock: &ManualClock) -> Self {
        match store {
            Store::Memory => Self::Memory(MemoryStore::new(Arc::new(clock.clone()))),
            Store::Sqlite => Self::Sqlite(Arc::new(tempfile::tempdir().unwrap())),
        }
    }

    /// Gives a builder the stores, opened anew.
    pub(crate) async fn open(&self, builder: AuthBuilder, clock: &ManualClock) -> (AuthBuilder, Arc<dyn DeadMails>) {
        let clock = Arc::new(clock.clone());
        match self {
            Self::Memory(store) => (builder.store(store.clone()), Arc::new(store.clone())),
            Self::Sqlite(_) => {
                let url = format!("sqlite://{}", self.file().display());
                let store = SqliteStore::open_with_clock(&url, clock).await.unwrap();
                (builder.store(store.clone()), Arc::new(store))
            }
        }
    }

    /// The database, where it is one.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("auth.db"),
            Self::Memory(_) => panic!("memory is no file"),
        }
    }
}
