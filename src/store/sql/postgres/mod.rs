//! The PostgreSQL store itself: its connections, its schema. The verbs are in the files of their ports.

mod connections;
mod migrate;

use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{Clock, StoreError};
use sqlx::postgres::{PgConnectOptions, PgRow};
use tokio::time::{Instant, sleep, timeout};

use self::connections::Connections;
use super::error::Failure;
use super::statement::Statement;
use super::{Database, SqlStore};

/// When the server gives a statement up. What is dated at its start is visible before readers, who look back further,
/// stop looking for it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer we wait for a server that does not even say so.
const GRACE: Duration = Duration::from_millis(500);
/// Between two tries of a statement that collided with another one.
const PAUSE: Duration = Duration::from_millis(5);

/// All stores in one PostgreSQL database. Clones share the connections; any number of processes may share the database.
///
/// The URL is `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with libpq's parameters. `options=-csearch_path%3DNAME` puts
/// the tables into a schema of their own. A session-pooling proxy between is fine; one that pools transactions needs
/// `statement-cache-capacity=0`. The server must know the settings `statement_timeout` and `plan_cache_mode` (PostgreSQL 12).
///
/// # Security
/// Without `sslmode` in the URL, TLS is used where the server offers it, and nobody checks with whom. Across a network,
/// say `sslmode=verify-full`, and `sslrootcert=FILE` where the server's certificate comes from an authority of your own.
/// Once its tables are there, the store needs the rights to SELECT, INSERT, UPDATE and DELETE on them and no more.
///
/// # Durability
/// What was acknowledged is as durable as the server makes a commit: with its defaults (`fsync` and
/// `synchronous_commit` on) it survives a crash and a power cut. With `synchronous_commit` off, a crash of the server may
/// take back the last moments, a logout among them. A write whose answer got lost is [`StoreError::Unavailable`] and may
/// have happened.
///
/// # Availability
/// No connection within [`PostgresConfig::acquire_timeout`], no answer within three seconds more, a server that shuts
/// down, is full or read-only: all this is [`StoreError::Unavailable`]. After a failure the connections are made anew,
/// so the store works again as soon as the server does, or another one at the same address. Statements that collide
/// with others are tried again. Connections live on the tokio runtime that the store was opened on, and end with it.
///
/// # Time
/// Whatever nodes must agree on, which change was first and whether a window is over, goes by the server's clock at the
/// statement. A statement takes three seconds at most, and nodes read the feed of changes ten seconds back. When a link, a
/// token or a pending login expires is told by the clock of the node that is asked; so the clocks of the nodes and of the
/// server must agree to within five seconds, or tokens that are dated by one are refused by the other. A refresh that
/// sees more logs a warning.
pub type PostgresStore = SqlStore<Postgres>;

/// What a [`PostgresStore`] runs on: connections to a PostgreSQL server, or to one that speaks its protocol.
#[derive(Debug)]
pub struct Postgres {
    connections: Connections,
}

/// The connections of a [`PostgresStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// How many there are at most, 1 to 1000; 10 by default. All processes together must stay below the server's
    /// `max_connections`.
    pub max_connections: usize,
    /// How long a call waits for a connection that is free or newly made, at most 30 seconds; 3 seconds by default.
    pub acquire_timeout: Duration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self { max_connections: 10, acquire_timeout: Duration::from_secs(3) }
    }
}

impl PostgresConfig {
    fn check(&self) -> Result<(), Failure> {
        if !(1..=1000).contains(&self.max_connections) {
            return Err(Failure::unavailable("max_connections must be 1 to 1000"));
        }
        if self.acquire_timeout.is_zero() || self.acquire_timeout > Duration::from_secs(30) {
            return Err(Failure::unavailable("acquire_timeout must be above zero and at most 30 seconds"));
        }
        Ok(())
    }
}

impl SqlStore<Postgres> {
    /// Connects to `postgres://...` and brings the schema up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the text is no such URL, the server cannot be reached or refuses;
    /// [`StoreError::Corrupt`] when its schema is not ours or that of a newer build.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, PostgresConfig::default()).await
    }

    /// [`open`](Self::open) with other settings of the connections.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`StoreError::Unavailable`] when a setting is out of its range.
    pub async fn open_with(url: &str, config: PostgresConfig) -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Postgres::connect(url, config).await?), clock: None })
    }

    /// [`open`](Self::open) with another clock than the server's for what the store dates itself: the times of changes,
    /// windows, and "now" in its answers. For tests.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_with_clock(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self { clock: Some(clock), ..Self::open(url).await? })
    }
}

impl Postgres {
    async fn connect(url: &str, config: PostgresConfig) -> Result<Self, Failure> {
        config.check()?;
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Failure::unavailable("the URL of a PostgreSQL database is postgres://..."));
        }
        let options: PgConnectOptions = url.parse().map_err(failure)?;
        migrate::migrate(&options, config.acquire_timeout).await?;
        // Each statement has one good plan, whatever its values: an index. Planning it anew cost more than running it.
        let options = options.options([("plan_cache_mode", "force_generic_plan")]);
        let options = options.options([("statement_timeout", STATEMENT_TIMEOUT.as_millis())]);
        Ok(Self { connections: Connections::new(options, &config) })
    }

    async fn run(&self, statement: impl Fn() -> Statement + Send + Sync) -> Result<Vec<PgRow>, Failure> {
        let mut connection = self.connections.acquire().await?;
        let deadline = Instant::now() + STATEMENT_TIMEOUT;
        loop {
            let query = statement().into_query::<sqlx::Postgres>(|text| &text.postgres);
            let Ok(result) = timeout(STATEMENT_TIMEOUT + GRACE, query.fetch_all(connection.ask()?)).await else {
                connection.failed();
                return Err(Failure::unavailable("the server is silent"));
            };
            match &result {
                Err(error) if !is_about_the_statement(error) => connection.failed(),
                _ => connection.answered(),
            }
            match result {
                Err(error) if is_collision(&error) && Instant::now() < deadline => sleep(PAUSE).await,
                result => return result.map_err(failure),
            }
        }
    }
}

impl Database for Postgres {
    type Row = PgRow;

    async fn read(&self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        self.run(|| statement.clone()).await
    }

    async fn write(&self, statement: impl Fn() -> Statement + Send + Sync) -> Result<Vec<PgRow>, Failure> {
        self.run(statement).await
    }
}

fn failure(error: sqlx::Error) -> Failure {
    // Data exception, integrity constraint violation, syntax error or access rule violation; data or index corrupted.
    // But not a missing privilege, which may be granted.
    Failure::of(error, |code| {
        ["22", "23", "42", "XX001", "XX002"].iter().any(|class| code.starts_with(class)) && code != "42501"
    })
}

/// Whether it is an error that the server reports, of one of these codes or classes.
fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.iter().any(|start| code.starts_with(start)))
}

/// Whether the server took the statement back for the sake of another one: a serialization failure, a deadlock.
fn is_collision(error: &sqlx::Error) -> bool {
    has_code(error, &["40001", "40P01"])
}

/// Whether the connection is as good as before: what the server refused or gave up (57014) is this statement. After
/// anything else, say a server that became read-only, a new connection may lead to a better one.
fn is_about_the_statement(error: &sqlx::Error) -> bool {
    has_code(error, &["22", "23", "40", "42", "53", "55", "57014"])
}
