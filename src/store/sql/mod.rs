//! The SQL stores: one type per database, one file per port.
//!
//! Every verb is one statement, so it is atomic without a transaction: a call that is dropped halfway has either written
//! all or nothing, and no error leaves a transaction open. Placeholders are `$1`, which SQLite and PostgreSQL both take.

mod attempts;
mod credentials;
mod data_keys;
mod directory;
mod error;
mod migrate;
mod outbox;
mod pending_sessions;
#[cfg(feature = "postgres")]
mod postgres;
mod rekey;
mod row;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod users;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use auth_core::port::Clock;

use self::error::Failure;
use self::statement::{Columns, Statement, StoreTime};

#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresConfig, PostgresStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteStore};

/// All stores in one SQL database: `SqliteStore` and `PostgresStore` say which. Clones share the connections.
pub struct SqlStore<D> {
    database: Arc<D>,
    /// Where there is none, the database's.
    clock: Option<Arc<dyn Clock>>,
}

/// What runs the statements of the ports.
trait Database: fmt::Debug + Send + Sync + 'static {
    type Row: Columns + Send;

    /// The rows that a query finds.
    fn read(&self, statement: Statement) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// Runs one writing statement and answers with the rows it returns. `statement` is asked for when it is about to
    /// run, and again for each new try.
    fn write(
        &self,
        statement: impl Fn() -> Statement + Send + Sync,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;
}

#[allow(private_bounds, reason = "nothing here is public: it serves the ports")]
impl<D: Database> SqlStore<D> {
    /// The store's own time.
    fn now(&self) -> StoreTime {
        self.clock.as_ref().map(|clock| clock.now())
    }

    async fn read(&self, statement: Statement) -> Result<Vec<D::Row>, Failure> {
        self.database.read(statement).await
    }

    /// `statement` is told the store's time when it is about to run, so that changes are dated in the order in which
    /// they become visible.
    async fn write(&self, statement: impl Fn(StoreTime) -> Statement + Send + Sync) -> Result<Vec<D::Row>, Failure> {
        self.database.write(|| statement(self.now())).await
    }
}

impl<D> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), clock: self.clock.clone() }
    }
}

impl<D: fmt::Debug> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("database", &self.database).finish_non_exhaustive()
    }
}
