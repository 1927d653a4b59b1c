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
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::FromRedisValue;

use self::call::Call;
pub use self::config::RedisConfig;
use self::servers::Servers;

/// How much longer than it counts a key is kept. Whether a pending session is over is decided by the clock of the
/// application, which may be behind that of Redis; it is not for Redis to forget it earlier.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Pending sessions and attempts in Redis 5 or later, or in Valkey. Clones share one connection, or one to each node of a
/// cluster.
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
/// ten minutes after it has ceased to count, so memory is bounded by what clients do in that time. Windows are over by the
/// clock of Redis, which all nodes share; pending logins by that of the node that is asked.
///
/// # What a restart of Redis forgets
/// Without persistence, everything: logins that wait for their second factor begin anew, and timed windows restart.
/// Counts of consecutive failures, used codes and sessions are with the accounts, and stay. For the same reason the
/// `maxmemory-policy` must be `noeviction`, the default: with another one an attacker could press running windows out.
///
/// # Availability
/// A call answers within a second. Whatever keeps Redis from doing so is [`StoreError::Unavailable`]: it is down, busy,
/// loading, full, read-only, or refuses the password; no limit is skipped. A call whose answer is lost is sent again, so an
/// attempt may be counted twice. Each call finds the server anew, five times a second at most, so that a server that is
/// back is used at once.
///
/// # Clusters
/// The address of one node is enough, or several with commas between them, of which one has to answer at the start. Calls
/// go to the node that has their key, follow slots that move, and go to a replica as soon as it has taken over; what one
/// has not heard of yet is forgotten, as above. All nodes take the same user and password, who may ask `CLUSTER SLOTS`,
/// their clocks agree within seconds, and with TLS each has a certificate for the host that it announces.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    servers: Servers,
    prefix: String,
    /// Where there is none, that of Redis.
    clock: Option<Arc<dyn Clock>>,
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
        Self::connect(config.into(), None)
    }

    /// [`open`](Self::open) with another clock than that of Redis for windows, and for how long keys are kept. For tests.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with_clock(config: impl Into<RedisConfig>, clock: Arc<dyn Clock>) -> Result<Self, InvalidSetting> {
        Self::connect(config.into(), Some(clock))
    }

    fn connect(config: RedisConfig, clock: Option<Arc<dyn Clock>>) -> Result<Self, InvalidSetting> {
        config.check()?;
        let servers = Servers::new(config.clients()?);
        Ok(Self { inner: Arc::new(Inner { servers, prefix: config.prefix, clock }) })
    }

    /// Asks whether Redis answers: for an application that had rather not start without.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // What is asked for a key finds out whether a cluster can serve it.
        self.call(Call::command("HMGET", self.key("ping", b"")).arg("ping")).await
    }

    async fn call<T: FromRedisValue>(&self, call: &Call) -> Result<T, StoreError> {
        self.inner.servers.call(call).await
    }

    /// The time as scripts take it: empty where theirs is that of the server.
    fn now(&self) -> String {
        self.inner.clock.as_ref().map(|clock| clock.now().micros().to_string()).unwrap_or_default()
    }

    /// The key of a digest, for one kind of thing.
    fn key(&self, kind: &str, digest: &[u8]) -> String {
        format!("{}{kind}:{}", self.inner.prefix, URL_SAFE_NO_PAD.encode(digest))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}
