use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::{PostgresConfig, failure};
use crate::store::sql::error::Failure;

/// A connection that was idle this long is asked whether it still leads to the server, before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long that may take.
const PING: Duration = Duration::from_millis(500);

/// Connections that are made when they are needed and kept.
///
/// Unlike sqlx's pool it asks neither before nor after each call whether a connection still works, each a round trip.
/// Instead, one failure makes it doubt all that are idle, and they are made anew. A call that is dropped halfway costs
/// its connection: nobody knows what is still to be read from it.
pub(super) struct Connections {
    options: PgConnectOptions,
    acquire_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
    /// One permit for each connection that may be; first come, first served.
    free: Semaphore,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, config: &PostgresConfig) -> Self {
        let (idle, free) = (Mutex::default(), Semaphore::new(config.max_connections));
        Self { options, acquire_timeout: config.acquire_timeout, idle, free }
    }

    pub(super) async fn acquire(&self) -> Result<Acquired<'_>, Failure> {
        let deadline = Instant::now() + self.acquire_timeout;
        let busy = || Failure::unavailable("every connection was busy for too long");
        let permit = timeout_at(deadline, self.free.acquire()).await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let connection = match self.idle().await {
            Some(connection) => connection,
            None => connect(&self.options, deadline).await?,
        };
        Ok(Acquired { connection, all: self, _permit: permit })
    }

    /// One that is there and works.
    async fn idle(&self) -> Option<PgConnection> {
        let Idle { mut connection, since } = self.lock().pop()?;
        if since.elapsed() < TRUSTED_FOR {
            return Some(connection);
        }
        match timeout(PING, connection.ping()).await {
            Ok(Ok(())) => Some(connection),
            _ => {
                self.distrust();
                None
            }
        }
    }

    /// After a failure of one: the others lead to the same server.
    pub(super) fn distrust(&self) {
        // Closed after the lock is free.
        let _doubtful = std::mem::take(&mut *self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        f.debug_struct("Connections").field("host", &self.options.get_host()).finish_non_exhaustive()
    }
}

/// A connection for one call, closed unless it is given back.
pub(super) struct Acquired<'a> {
    connection: PgConnection,
    all: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Acquired<'_> {
    pub(super) fn get(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// It has answered to its end.
    pub(super) fn give_back(self) {
        self.all.lock().push(Idle { connection: self.connection, since: Instant::now() });
    }
}

pub(super) async fn connect(options: &PgConnectOptions, deadline: Instant) -> Result<PgConnection, Failure> {
    let late = || Failure::unavailable("the server did not take a connection in time");
    timeout_at(deadline, options.connect()).await.map_err(|_| late())?.map_err(failure)
}
