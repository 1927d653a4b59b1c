//! The SQLite store itself: its file, its connections, its schema. The verbs are in the files of their ports.

mod connections;
mod file;
mod migrate;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{Clock, StoreError};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use tokio::time::Instant;

use self::connections::Connections;
use self::file::DatabaseFile;
use super::error::Failure;
use super::statement::Statement;
use super::{Database, SqlStore};
use crate::system::SystemClock;

/// How long a call waits for its turn and for the locks of others.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long SQLite itself waits for the write lock before we look at the clock and ask anew: a call that has waited
/// long in our queue must not wait as long again. Its pauses between tries also grow to 100 ms, with which one of many
/// that open a new file at once may never get its turn; asking anew starts over with short ones.
const TURN: Duration = Duration::from_millis(20);
/// Reads that run at a time.
const READERS: usize = 4;

/// All stores in one SQLite file. Clones share the connections.
///
/// Writes queue for one connection, reads have four, and neither waits for the other. Several processes of one machine
/// may share the file; a network file system will not do.
///
/// # Durability
/// The file is in WAL mode with `synchronous=NORMAL`. What was acknowledged survives a process that is killed at any
/// moment. A power cut leaves a sound file but may take back the writes of the last moments, a logout among them.
/// Waiting for the disk at each write (`FULL`) was measured to make sign-up and refresh two to five times slower.
///
/// # Availability
/// Whatever keeps the database from answering within three seconds is [`StoreError::Unavailable`]: a lock of another
/// process, a full disk, a file that is read-only, gone or replaced. A file that was deleted or replaced stays
/// unavailable until the store is opened again or that very file is moved back: an empty database must never pass for
/// the real one. Replace a database only while nothing has it open, together with its `-wal` and `-shm` files.
pub type SqliteStore = SqlStore<Sqlite>;

/// What a [`SqliteStore`] runs on: one SQLite file.
pub struct Sqlite {
    file: DatabaseFile,
    writer: Connections,
    readers: Connections,
}

impl SqlStore<Sqlite> {
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
        Ok(Self { database: Arc::new(Sqlite::connect(url).await?), clock: Some(clock) })
    }
}

impl Sqlite {
    async fn connect(url: &str) -> Result<Self, Failure> {
        // The page cache has its default size: four times as much made look-ups among a million accounts slower, and each
        // write of another connection empties it.
        let file = DatabaseFile::find_or_create(url).map_err(Failure::unavailable)?;
        let options = SqliteConnectOptions::new()
            .filename(file.path())
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE);
        let writer = migrate::connect(&options.clone().busy_timeout(TURN)).await?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push(options.connect().await.map_err(failure)?);
        }
        file.check().map_err(Failure::unavailable)?;
        let (writer, readers) = (Connections::new(vec![writer]), Connections::new(readers));
        Ok(Self { file, writer, readers })
    }
}

impl Database for Sqlite {
    type Row = SqliteRow;

    async fn read(&self, statement: Statement) -> Result<Vec<SqliteRow>, Failure> {
        let mut connection = self.readers.acquire(Instant::now() + PATIENCE).await?;
        self.file.check().map_err(Failure::unavailable)?;
        let query = statement.into_query::<sqlx::Sqlite>(|text| &text.sqlite);
        query.fetch_all(&mut *connection).await.map_err(failure)
    }

    async fn write(&self, statement: impl Fn() -> Statement + Send + Sync) -> Result<Vec<SqliteRow>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut connection = self.writer.acquire(deadline).await?;
        self.file.check().map_err(Failure::unavailable)?;
        loop {
            let query = statement().into_query::<sqlx::Sqlite>(|text| &text.sqlite);
            // All rows, not the first: only after the last one SQLite commits, and tells if it could not.
            match query.fetch_all(&mut *connection).await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => {}
                result => return result.map_err(failure),
            }
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("file", &self.file.path()).finish_non_exhaustive()
    }
}

fn failure(error: sqlx::Error) -> Failure {
    // ERROR (no such table or column), CORRUPT, CONSTRAINT, MISMATCH, MISUSE, RANGE, NOTADB
    Failure::of(error, |code| primary(code).is_some_and(|code| [1, 11, 19, 20, 21, 25, 26].contains(&code)))
}

/// Whether another process or statement has the lock.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    error.as_database_error().and_then(|error| primary(&error.code()?)) == Some(SQLITE_BUSY)
}

/// The primary result code: the lower byte of the extended one.
fn primary(code: &str) -> Option<i32> {
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
