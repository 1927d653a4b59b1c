use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{GRACE, PostgresConfig, STATEMENT_TIMEOUT, failure};
use crate::store::sql::error::Failure;

/// A connection that was idle this long is asked whether it still leads to the server, before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long that may take.
const PING: Duration = Duration::from_millis(500);

/// Connections that are made when they are needed and kept.
///
/// Unlike sqlx's pool it asks neither before nor after each call whether a connection still works, each a round trip.
/// Instead, one failure makes it doubt all that are idle, and they are made anew. Calls that are dropped halfway, as a
/// server does when a client hangs up, cost no connection.
#[derive(Clone)]
pub(super) struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    options: PgConnectOptions,
    acquire_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
    /// One permit for each connection that may be; first come, first served.
    free: Arc<Semaphore>,
    /// Where connections live: one that was made on a runtime ends with it, and actix-web has one for each thread.
    runtime: Handle,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    /// Within a runtime.
    pub(super) fn new(options: PgConnectOptions, config: &PostgresConfig) -> Self {
        let (idle, free) = (Mutex::default(), Arc::new(Semaphore::new(config.max_connections)));
        let runtime = Handle::current();
        Self { inner: Arc::new(Inner { options, acquire_timeout: config.acquire_timeout, idle, free, runtime }) }
    }

    pub(super) async fn acquire(&self) -> Result<Acquired, Failure> {
        let deadline = Instant::now() + self.inner.acquire_timeout;
        let busy = || Failure::unavailable("every connection was busy for too long");
        let free = self.inner.free.clone().acquire_owned();
        let permit = timeout_at(deadline, free).await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let all = self.clone();
        let acquired =
            |connection| Acquired { connection: Some(connection), answered: true, all, permit: Some(permit) };
        if let Some(connection) = self.idle().await {
            return Ok(acquired(connection));
        }
        let options = self.inner.options.clone();
        // A task of its own: whoever gives up waiting leaves a connection for the next.
        let connecting = self.inner.runtime.spawn(async move { connect(&options, deadline).await.map(acquired) });
        connecting.await.map_err(Failure::unavailable)?
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

    fn distrust(&self) {
        // Closed after the lock is free.
        let _doubtful = std::mem::take(&mut *self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        f.debug_struct("Connections").field("host", &self.inner.options.get_host()).finish_non_exhaustive()
    }
}

/// A connection for one call. Dropped, it waits for the next one, after what it still has to answer.
pub(super) struct Acquired {
    connection: Option<PgConnection>,
    answered: bool,
    all: Connections,
    permit: Option<OwnedSemaphorePermit>,
}

impl Acquired {
    /// For a statement, which [`answered`](Self::answered) follows.
    pub(super) fn ask(&mut self) -> Result<&mut PgConnection, Failure> {
        self.answered = false;
        self.connection.as_mut().ok_or_else(|| Failure::unavailable("the connection is closed"))
    }

    /// The statement's answer was read to its end.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// It failed, so the idle ones are doubtful, too: they lead to the same server.
    pub(super) fn failed(&mut self) {
        self.connection = None;
        self.all.distrust();
    }
}

impl Drop for Acquired {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let (all, permit, answered) = (self.all.clone(), self.permit.take(), self.answered);
        if answered {
            all.lock().push(Idle { connection, since: Instant::now() });
        } else {
            let runtime = all.inner.runtime.clone();
            runtime.spawn(async move {
                if let Ok(Ok(())) = timeout(STATEMENT_TIMEOUT + GRACE, connection.ping()).await {
                    all.lock().push(Idle { connection, since: Instant::now() });
                }
                drop(permit);
            });
        }
    }
}

pub(super) async fn connect(options: &PgConnectOptions, deadline: Instant) -> Result<PgConnection, Failure> {
    let late = || Failure::unavailable("the server did not take a connection in time");
    timeout_at(deadline, options.connect()).await.map_err(|_| late())?.map_err(failure)
}
