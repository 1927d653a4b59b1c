//! A part of the PostgreSQL server of `tests/servers`, for one test alone.

use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};

/// A schema of its own. It stays, for the server ends after the tests.
pub(crate) struct Schema {
    /// `postgres://USER@HOST:PORT/DATABASE`
    server: String,
    name: String,
}

impl Schema {
    pub(crate) async fn create() -> Self {
        Self::create_on(std::env::var("AUTH_TEST_POSTGRES").unwrap()).await
    }

    /// On another server.
    pub(crate) async fn create_on(server: String) -> Self {
        let mut connection = PgConnection::connect(&server).await.unwrap();
        // No two transactions of a server have the same number.
        let name = query_scalar("SELECT 'test_' || pg_current_xact_id()").fetch_one(&mut connection).await;
        let name: String = name.unwrap();
        raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&mut connection).await.unwrap();
        Self { server, name }
    }

    /// A name that no other test has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", self.server, self.name())
    }
}
