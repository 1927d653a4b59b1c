//! The SQLite store itself: its file, its connections, its schema. The verbs are in the files of their ports.

mod connections;
mod file;
mod migrate;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{Clock, StoreError};
use auth_core::types::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite};
use tokio::time::Instant;

use self::connections::Connections;
use self::file::DatabaseFile;
use super::error::{Failure, is_busy};
use crate::system::SystemClock;

/// How long a call waits for its turn and for the locks of others.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long SQLite itself waits for the write lock before we look at the clock and ask anew: a call that has waited
/// long in our queue must not wait as long again. Its pauses between tries also grow to 100 ms, with which one of many
/// that open a new file at once may never get its turn; asking anew starts over with short ones.
const TURN: Duration = Duration::from_millis(20);
/// Reads that run at a time.
const READERS: usize = 4;

/// A statement and its values.
pub(in crate::store::sql) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// All stores in one SQLite file. Clones share the connections.
///
/// Writes queue for one connection, reads have four, and neither waits for the other. Several processes of one machine
/// may share the file; a network file system will not do.
///
/// # Durability
/// The file is in WAL mode with `synchronous=NORMAL`. What was acknowledged survives a process that is killed at any
/// moment. A power cut leaves a sound file but may take back the writes of the last moments, a logout among them.
/// Waiting for the disk at each write (`FULL`) was measured to make sign-up and refresh two to five times slower, and
/// would tell by its time a sign-up that finds its address taken: it has nothing to wait for.
///
/// # Availability
/// Whatever keeps the database from answering within three seconds is [`StoreError::Unavailable`]: a lock of another
/// process, a full disk, a file that is read-only, gone or replaced. A file that was deleted or replaced stays
/// unavailable until the store is opened again or that very file is moved back: an empty database must never pass for
/// the real one. Replace a database only while nothing has it open, together with its `-wal` and `-shm` files.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    file: DatabaseFile,
    writer: Connections,
    readers: Connections,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens `sqlite://FILE` and brings its schema up to date. FILE is a path, taken as it stands; a missing file is
    /// created, readable by its owner alone. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the text is no such URL or the file cannot be made, opened or written;
    /// [`StoreError::Corrupt`] when it is no database, or its schema is not ours or that of a newer build.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with_clock(url, Arc::new(SystemClock)).await
    }

    /// [`open`](Self::open) with another clock for what the store dates itself: the times of changes, and "now" in its
    /// answers.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_with_clock(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self::connect(url, clock).await?)
    }

    async fn connect(url: &str, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let file = DatabaseFile::find_or_create(url).map_err(Failure::unavailable)?;
        let options = SqliteConnectOptions::new()
            .filename(file.path())
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE);
        let writer = migrate::connect(&options.clone().busy_timeout(TURN)).await?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push(options.connect().await?);
        }
        file.check().map_err(Failure::unavailable)?;
        let (writer, readers) = (Connections::new(vec![writer]), Connections::new(readers));
        Ok(Self { inner: Arc::new(Inner { file, writer, readers, clock }) })
    }

    /// The store's own time.
    pub(in crate::store::sql) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The rows that a query finds.
    pub(in crate::store::sql) async fn read(&self, statement: Statement) -> Result<Vec<SqliteRow>, Failure> {
        let mut connection = self.inner.readers.acquire(Instant::now() + PATIENCE).await?;
        self.inner.file.check().map_err(Failure::unavailable)?;
        Ok(statement.fetch_all(&mut *connection).await?)
    }

    /// Runs one writing statement and answers with the rows it returns. `statement` is told the store's time when it is
    /// about to run, so that changes are dated in the order in which they become visible.
    pub(in crate::store::sql) async fn write(
        &self,
        statement: impl Fn(Timestamp) -> Statement,
    ) -> Result<Vec<SqliteRow>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut connection = self.inner.writer.acquire(deadline).await?;
        self.inner.file.check().map_err(Failure::unavailable)?;
        loop {
            // All rows, not the first: only after the last one SQLite commits, and tells if it could not.
            match statement(self.now()).fetch_all(&mut *connection).await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => {}
                result => return Ok(result?),
            }
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.inner.file.path()).finish_non_exhaustive()
    }
}
