//! What may be lost, in Redis: pending sessions and the attempts of timed windows. One file per port.
//!
//! Every verb is one command or one script on one key, so it is atomic, and a call that is dropped halfway has either
//! done all or nothing. Nothing of the crate `redis` shows outside this folder.

mod attempts;
mod call;
mod cluster;
mod config;
mod connection;
mod error;
mod pending_sessions;
mod servers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::policy::InvalidSetting;
use auth_core::port::{Clock, StoreError};
use auth_core::types::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::FromRedisValue;

use self::call::Call;
pub use self::config::RedisConfig;
use self::servers::Servers;
use crate::system::SystemClock;

/// How much longer than it counts a key is kept. Whether something is over is decided by the clocks of the application,
/// which may be behind that of Redis; it is not for Redis to forget it earlier.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Pending sessions and attempts in Redis 5 or later, or in Valkey. Clones share one connection.
///
/// ```no_run
/// # #[cfg(feature = "sqlite")]
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use auth_system::store::{RedisStore, SqliteStore};
/// use auth_system::{Auth, Config};
///
/// let accounts = SqliteStore::open("sqlite://auth.db").await?;
/// let redis = RedisStore::open("redis://127.0.0.1/")?;
/// let auth = Auth::builder(Config::from_env()?).store(accounts).short_lived(redis);
/// # Ok(())
/// # }
/// ```
///
/// # What is kept
/// Keys are digests and begin with [`RedisConfig::prefix`]; values hold no secret, address or token. Every key expires
/// ten minutes after it has ceased to count, so memory is bounded by what clients do in that time. When something is
/// over is told by the clocks of the application, which must agree within seconds.
///
/// # What a restart of Redis forgets
/// Without persistence, everything: logins that wait for their second factor begin anew, and timed windows restart.
/// Counts of consecutive failures, used codes and sessions are with the accounts, and stay. For the same reason the
/// `maxmemory-policy` must be `noeviction`, the default: with another one an attacker could press running windows out.
///
/// # Availability
/// A call answers within a second. Whatever keeps Redis from doing so is [`StoreError::Unavailable`]: it is down, busy,
/// loading, full, read-only, or refuses the password; no limit is skipped. Nothing that may have been counted is sent
/// again. Each call finds the server anew, five times a second at most, so that a server that is back is used at once.
///
/// A cluster is reached through a proxy: the store follows no redirections.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    servers: Servers,
    prefix: String,
    clock: Arc<dyn Clock>,
}

impl RedisStore {
    /// A store at `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, with TLS at `rediss://…`, or with more settings as
    /// a [`RedisConfig`]. The first call connects, so the application starts without Redis, too.
    ///
    /// TLS is that of rustls with aws-lc-rs, unless the process has installed another provider before.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the setting that cannot be.
    pub fn open(config: impl Into<RedisConfig>) -> Result<Self, InvalidSetting> {
        Self::open_with_clock(config, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) with another clock for windows, and for how long keys are kept.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with_clock(config: impl Into<RedisConfig>, clock: Arc<dyn Clock>) -> Result<Self, InvalidSetting> {
        let config = config.into();
        config.check()?;
        let servers = Servers::new(config.clients()?);
        Ok(Self { inner: Arc::new(Inner { servers, prefix: config.prefix, clock }) })
    }

    /// Asks whether Redis answers: for an application that had rather not start without.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // In a cluster, too, what is asked for a key shows more than a PING does.
        self.call(Call::command("EXISTS", self.key("ping", b""))).await
    }

    async fn call<T: FromRedisValue>(&self, call: Call) -> Result<T, StoreError> {
        self.inner.servers.call(call).await
    }

    /// The store's own time.
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The key of a digest, for one kind of thing.
    fn key(&self, kind: &str, digest: &[u8]) -> String {
        format!("{}{kind}:{}", self.inner.prefix, URL_SAFE_NO_PAD.encode(digest))
    }
}

/// How long a key is kept that counts for `so_long`, in milliseconds.
fn kept_for(so_long: Duration) -> u64 {
    u64::try_from((so_long + GRACE).as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}
