//! The SQL stores: one type per database, one file per port.
//!
//! Every verb is one statement, so it is atomic without a transaction: a call that is dropped halfway has either written
//! all or nothing, and no error leaves a transaction open. Placeholders are `$1`, which SQLite and PostgreSQL both take.

/// Names the statements of a file, and lists them for the test that looks at their plans.
macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(const $name: &str = $sql;)+
        #[cfg(test)]
        pub(super) const STATEMENTS: &[&str] = &[$($name),+];
    };
}

mod attempts;
mod credentials;
mod directory;
mod error;
mod outbox;
mod pending_sessions;
mod row;
mod sessions;
mod sqlite;
mod users;

#[cfg(test)]
mod tests;

pub use sqlite::SqliteStore;
