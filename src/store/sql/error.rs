//! What a database error means to the ports.

use std::error::Error;

use auth_core::port::StoreError;

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

    /// `is_defect` knows the codes of a database that no waiting helps against: the statement does not fit the schema or
    /// the data.
    pub(super) fn of(error: sqlx::Error, is_defect: impl Fn(&str) -> bool) -> Self {
        use sqlx::Error::{Configuration, Database, Io, Protocol, Tls, WorkerCrashed};
        match &error {
            Database(cause) if cause.is_unique_violation() => Self::Duplicate(error),
            Database(cause) if !cause.code().is_some_and(|code| is_defect(&code)) => Self::unavailable(error),
            Configuration(_) | Io(_) | Protocol(_) | Tls(_) | WorkerCrashed => Self::unavailable(error),
            _ => Self::Store(StoreError::corrupt(error)),
        }
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
