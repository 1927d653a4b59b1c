use std::ops::{Deref, DerefMut};

use sqlx::SqliteConnection;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::store::sql::error::Failure;

/// A fixed number of connections that stay open for good.
///
/// Unlike sqlx's pool it never opens one again, by a path that may lead elsewhere by then; and as long as they hold the
/// file open, no other file can get its inode. Handing them over without a task and a ping also halves the cost of a
/// call.
pub(super) struct Connections {
    all: Box<[Mutex<SqliteConnection>]>,
    /// One permit for each connection; first come, first served.
    free: Semaphore,
}

impl Connections {
    pub(super) fn new(all: Vec<SqliteConnection>) -> Self {
        Self { free: Semaphore::new(all.len()), all: all.into_iter().map(Mutex::new).collect() }
    }

    pub(super) async fn acquire(&self, deadline: Instant) -> Result<Acquired<'_>, Failure> {
        let busy = || Failure::unavailable("every connection was busy for too long");
        let permit = timeout_at(deadline, self.free.acquire()).await.ok().and_then(Result::ok).ok_or_else(busy)?;
        // Who has a permit finds a connection: it is unlocked before its permit is given back.
        let connection = self.all.iter().find_map(|connection| connection.try_lock().ok()).ok_or_else(busy)?;
        Ok(Acquired { connection, _permit: permit })
    }
}

/// A connection for one call. Dropped in this order.
pub(super) struct Acquired<'a> {
    connection: MutexGuard<'a, SqliteConnection>,
    _permit: SemaphorePermit<'a>,
}

impl Deref for Acquired<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Acquired<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
