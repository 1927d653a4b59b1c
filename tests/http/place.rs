//! Where a world keeps its accounts: whoever opens the place again finds the same.

use std::path::PathBuf;
use std::sync::Arc;

use auth_system::AuthBuilder;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::DeadMails;
use auth_system::auth_core::testing::ManualClock;
use auth_system::store::{PostgresStore, RedisConfig, RedisStore, SqliteStore};
use tempfile::TempDir;

use crate::schema::Schema;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Store {
    Memory,
    Sqlite,
    /// Accounts in PostgreSQL, what may be lost in Redis.
    Servers,
}

#[derive(Clone)]
pub(crate) enum Place {
    Memory(MemoryStore),
    /// A folder of its own.
    Sqlite(Arc<TempDir>),
    /// A schema of its own, after which all keys are named, too.
    Servers(Arc<Schema>),
}

impl Place {
    /// A new one.
    pub(crate) async fn of(store: Store, clock: &ManualClock) -> Self {
        match store {
            Store::Memory => Self::Memory(MemoryStore::new(Arc::new(clock.clone()))),
            Store::Sqlite => Self::Sqlite(Arc::new(tempfile::tempdir().unwrap())),
            Store::Servers => Self::Servers(Arc::new(Schema::create().await)),
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
            Self::Servers(schema) => {
                let accounts = PostgresStore::open_with_clock(&schema.url(), clock.clone()).await.unwrap();
                let mut config = RedisConfig::new(std::env::var("AUTH_TEST_REDIS").unwrap());
                config.prefix = format!("{}:", schema.name());
                let short_lived = RedisStore::open_with_clock(config, clock).unwrap();
                (builder.store(accounts.clone()).short_lived(short_lived), Arc::new(accounts))
            }
        }
    }

    /// The database, where it is one.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("auth.db"),
            Self::Memory(_) | Self::Servers(_) => panic!("this is no file"),
        }
    }
}
