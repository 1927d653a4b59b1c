//! A part of the PostgreSQL server of `tests/servers`, for one test alone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

/// A schema of its own. It stays, for the server ends after the tests.
pub(crate) struct Schema {
    /// `postgres://USER@HOST:PORT/DATABASE`
    server: String,
    name: String,
}

impl Schema {
    pub(crate) async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("AUTH_TEST_POSTGRES").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("test_{now}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&mut connection).await.unwrap();
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", self.server, self.name())
    }

    /// A name that no other test has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
