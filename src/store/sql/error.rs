//! What a database error means to the ports.

use std::error::Error;

use auth_core::port::StoreError;
use sqlx::error::DatabaseError;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A value that must be unique belongs to another row; nothing was written.
    Duplicate(sqlx::Error),
    /// No answer.
    Store(StoreError),
}

impl Failure {
    /// The store is down. Logged here, once for each failing call: the answer to the caller will not say why.
    pub(super) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::error!(target: "auth", %cause, "the database does not answer");
        Self::Store(StoreError::Unavailable(cause))
    }
}

/// For statements that cannot meet another row's unique value, unless an id was used twice.
impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Duplicate(error) => Self::corrupt(error),
            Failure::Store(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => Self::Duplicate(error),
            sqlx::Error::Database(cause) if is_defect(cause.as_ref()) => Self::Store(StoreError::corrupt(error)),
            sqlx::Error::Database(_) | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Self::unavailable(error),
            _ => Self::Store(StoreError::corrupt(error)),
        }
    }
}

/// Whether another process or statement has the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    error.as_database_error().and_then(sqlite_code) == Some(SQLITE_BUSY)
}

/// Whether waiting cannot help: the statement does not fit the schema or the data.
fn is_defect(error: &dyn DatabaseError) -> bool {
    // ERROR (no such table or column), CORRUPT, CONSTRAINT, MISMATCH, MISUSE, RANGE, NOTADB
    sqlite_code(error).is_some_and(|code| [1, 11, 19, 20, 21, 25, 26].contains(&code))
}

/// The primary result code: the lower byte of the extended one.
fn sqlite_code(error: &dyn DatabaseError) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}
