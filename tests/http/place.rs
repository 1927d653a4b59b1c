//! Where a world keeps its accounts: whoever opens the place again finds the same.

use std::path::PathBuf;
use std::sync::Arc;

use auth_system::AuthBuilder;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::DeadMails;
use auth_system::auth_core::testing::ManualClock;
use auth_system::store::{PostgresStore, RedisConfig, RedisStore, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection, raw_sql};
use tempfile::TempDir;

use crate::proxy::Proxy;
use crate::redis_server;
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
    Servers(Arc<Servers>),
}

pub(crate) struct Servers {
    schema: Schema,
    /// The URL of the Redis.
    redis: String,
    /// In front of both, where they are to go away.
    proxies: Option<Proxies>,
}

struct Proxies {
    postgres: Proxy,
    redis: Proxy,
}

/// What the URLs of a place [`that_goes_away`](Place::that_goes_away) give as their password. The servers of the tests
/// ask for none and take any.
pub(crate) const SERVER_PASSWORD: &str = "Sesame-4718-of-the-servers";

/// What of a place may go away by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Accounts,
    ShortLived,
}

impl Place {
    /// A new one.
    pub(crate) async fn of(store: Store, clock: &ManualClock) -> Self {
        match store {
            Store::Memory => Self::Memory(MemoryStore::new(Arc::new(clock.clone()))),
            Store::Sqlite => Self::Sqlite(Arc::new(tempfile::tempdir().unwrap())),
            Store::Servers => Self::on(Schema::create().await),
        }
    }

    pub(crate) fn on(schema: Schema) -> Self {
        Self::on_both(schema, redis_server::url())
    }

    /// On another Redis than the one of all tests, too.
    pub(crate) fn on_both(schema: Schema, redis: String) -> Self {
        Self::Servers(Arc::new(Servers { schema, redis, proxies: None }))
    }

    /// A new one for [`set_away`](Self::set_away).
    pub(crate) async fn that_goes_away(store: Store, clock: &ManualClock) -> Self {
        if store != Store::Servers {
            return Self::of(store, clock).await;
        }
        let schema = Schema::create().await;
        let postgres = Proxy::start(&schema.url().replace('@', &format!(":{SERVER_PASSWORD}@"))).await;
        let user = format!("://default:{SERVER_PASSWORD}@");
        let redis = Proxy::start(&redis_server::url().replace("://", &user)).await;
        let proxies = Some(Proxies { postgres, redis });
        Self::Servers(Arc::new(Servers { schema, redis: redis_server::url(), proxies }))
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
            Self::Servers(servers) => {
                let (postgres, redis) = match &servers.proxies {
                    Some(Proxies { postgres, redis }) => (postgres.url().to_owned(), redis.url().to_owned()),
                    None => (servers.schema.url(), servers.redis.clone()),
                };
                let accounts = PostgresStore::open_with_clock(&postgres, clock.clone()).await.unwrap();
                let config = RedisConfig { prefix: servers.prefix(), ..RedisConfig::new(redis) };
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

    /// What may go away, one at a time.
    pub(crate) fn parts(&self) -> &'static [Part] {
        match self {
            Self::Memory(_) => &[],
            // One file is all.
            Self::Sqlite(_) => &[Part::Accounts],
            Self::Servers(_) => &[Part::Accounts, Part::ShortLived],
        }
    }

    /// Away, it is not to be reached; whoever looks into the place still can, and it comes back as it was.
    pub(crate) fn set_away(&self, part: Part, away: bool) {
        match self {
            Self::Memory(_) => panic!("this does not go away"),
            Self::Sqlite(_) => {
                let (here, there) = (self.file(), self.file().with_extension("away"));
                let (from, to) = if away { (here, there) } else { (there, here) };
                std::fs::rename(from, to).unwrap();
            }
            Self::Servers(servers) => {
                let Proxies { postgres, redis } = servers.proxies.as_ref().unwrap();
                let proxy = if part == Part::Accounts { postgres } else { redis };
                proxy.set_open(!away);
            }
        }
    }

    /// Runs a statement as somebody else than the store, and tells how many rows it changed.
    pub(crate) async fn run(&self, sql: &str) -> u64 {
        let statement = raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Memory(_) => panic!("this runs no statement"),
            Self::Sqlite(_) => statement.execute(&mut self.sqlite().await).await.unwrap().rows_affected(),
            Self::Servers(servers) => statement.execute(&mut servers.postgres().await).await.unwrap().rows_affected(),
        }
    }

    /// A connection of somebody else's.
    pub(crate) async fn sqlite(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file()).connect().await.unwrap()
    }
}

impl Servers {
    /// A connection of somebody else's.
    pub(crate) async fn postgres(&self) -> PgConnection {
        PgConnection::connect(&self.schema.url()).await.unwrap()
    }

    /// With which all keys begin.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:", self.schema.name())
    }
}
