//! Stores: implementations of the ports on databases. They name neither flows nor HTTP.
//!
//! | store | for |
//! |---|---|
//! | `SqliteStore` | one machine: a file |
//! | `PostgresStore` | any number of nodes: a PostgreSQL, or a distributed engine that speaks its protocol |
//! | `MemoryStore` | tests and demonstrations |
//!
//! # Your own user table
//!
//! An application that has a table of users keeps it: implement [`UserStore`](crate::port::UserStore) over it, and
//! leave sessions, mails and attempts to a built-in store, in the same database or another one. The account system
//! needs four columns:
//!
//! | column | holds |
//! |---|---|
//! | your id | any text or number; [`UserInsert::Created`](crate::port::UserInsert) tells which one a new row got |
//! | the address, by its key | unique, compared byte by byte: no collation that folds case or accents; the opaque text has the spelling |
//! | one opaque text | the rest: [`User::to_opaque`](crate::types::User::to_opaque) and back |
//! | time of the last change | microseconds, with an index: what other nodes ask for |
//!
//! Every write of the account system is then one statement that names only these columns, so your own are never
//! overwritten, and compares the opaque text with the one that was read, so nothing of an account is lost:
//!
//! ```
//! use auth_system::port::{StoreError, UserChange};
//! use auth_system::types::{TenantId, Timestamp, UserKeys};
//! use auth_system::{Email, User, UserId};
//!
//! /// Our columns of a row.
//! struct Row { id: i64, email: String, auth: String, auth_changed_at: i64 }
//!
//! fn read(row: &Row) -> Result<User, StoreError> {
//!     let keys = UserKeys {
//!         tenant: TenantId::default(),
//!         id: UserId::parse(&row.id.to_string()).map_err(StoreError::corrupt)?,
//!         email: Email::stored(&row.email, None).ok_or_else(|| StoreError::corrupt("no address"))?,
//!         changed_at: Timestamp::from_micros(row.auth_changed_at),
//!     };
//!     User::from_opaque(keys, &row.auth).map_err(StoreError::corrupt)
//! }
//!
//! const SWAP: &str = "UPDATE app_users SET email = $3, auth = $4, auth_changed_at = $5 WHERE id = $1 AND auth = $2";
//!
//! /// `update_if` on a row that was read: what SWAP is to write, or nothing, for a revision that is gone. If SWAP changes
//! /// no row, somebody else was faster: read the row and decide again.
//! fn decide(row: &Row, current: &User, change: &UserChange, now: Timestamp) -> Result<Option<Row>, StoreError> {
//!     let stored = read(row)?;
//!     if stored.revision != current.revision {
//!         return Ok(None);
//!     }
//!     let next = change.apply(&stored, now);
//!     let (email, auth) = (next.email.as_str().to_owned(), next.to_opaque());
//!     Ok(Some(Row { id: row.id, email, auth, auth_changed_at: next.changed_at.micros() }))
//! }
//! ```
//!
//! [`LoginRecord::apply`](crate::port::LoginRecord::apply) does the same for `record_login`, `count_failure` adds
//! one to a field, and `dummy_write` changes some other row of the same database, whose number
//! [`dummy_row`](crate::port::dummy_row) gives. The rows of `changes` become a page by
//! [`ChangePage::read`](crate::port::ChangePage::read). `examples/custom_store.rs` is the whole of it with sqlx.
//! `tests/custom_store.rs` runs the public conformance suite over it (`auth_system::conformance`, feature `conformance`), as you should over yours:
//!
//! ```
//! # #[cfg(all(feature = "conformance", feature = "memory"))]
//! # mod tests {
//! # use auth_core::{memory::MemoryStore as AppUsers, testing::ManualClock};
//! async fn store(clock: ManualClock) -> (AppUsers, ()) {
//!     (AppUsers::new(std::sync::Arc::new(clock)), ())
//! }
//!
//! auth_system::conformance::user_store!(store);
//! # }
//! ```

#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

#[cfg(feature = "redis")]
pub use redis::{RedisConfig, RedisStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlStore;
#[cfg(feature = "postgres")]
pub use sql::{Postgres, PostgresConfig, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::{Sqlite, SqliteStore};

#[cfg(feature = "memory")]
pub use auth_core::memory::MemoryStore;
