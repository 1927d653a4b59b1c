//! Statements with their values, and rows by their columns, apart from the crate's types for one database.
//!
//! A statement is one plain text or, where the databases differ too much for that, one for each. These marks in it are
//! filled in once, at its first use:
//!
//! | mark | SQLite | PostgreSQL |
//! |---|---|---|
//! | `{columns}` | the column list of the file | likewise |
//! | `{values}` | `$1, $2, ...`, one for each of these columns; for `changed_at` it is `{now $n}` | likewise |
//! | `{now $n}` | `$n`, which is the store's time | `$n` or, where that is NULL, the server's clock at this moment |
//! | `{lock}` | nothing | locks the chosen rows, and leaves out those that another call has locked |
//! | `{MIN\|LEAST}` | the first text | the second text |
//!
//! As a bound of a search, `{now $n}` stands in a subquery, which is run once: an index wants one value.

use auth_core::types::Timestamp;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, Error, Row, Type};

/// Names the statements of a file, after its column list, and lists them for the tests that look at their plans. Of two
/// texts, the first is for SQLite.
macro_rules! statements {
    ($columns:expr; $($name:ident = $sql:literal $(, postgres: $postgres:literal)?;)+) => {
        $(static $name: std::sync::LazyLock<$crate::store::sql::statement::Text> =
            std::sync::LazyLock::new(|| statements!(@text $columns, $sql $(, $postgres)?));)+
        #[cfg(test)]
        pub(super) static STATEMENTS: &[&std::sync::LazyLock<$crate::store::sql::statement::Text>] = &[$(&$name),+];
    };
    (@text $columns:expr, $both:literal) => { statements!(@text $columns, $both, $both) };
    (@text $columns:expr, $sqlite:literal, $postgres:literal) => {
        $crate::store::sql::statement::Text::new($columns, $sqlite, $postgres)
    };
}

pub(super) use statements;

/// The text of a statement in the words of each database.
#[allow(dead_code, reason = "each store reads its own")]
pub(super) struct Text {
    pub(super) sqlite: String,
    pub(super) postgres: String,
}

impl Text {
    pub(super) fn new(columns: &str, sqlite: &str, postgres: &str) -> Self {
        Self {
            sqlite: fill_in(sqlite, columns, |sqlite, _| sqlite),
            postgres: fill_in(postgres, columns, |_, postgres| postgres),
        }
    }
}

/// Chooses between the words of SQLite and those of PostgreSQL.
type Dialect = for<'a> fn(&'a str, &'a str) -> &'a str;

fn fill_in(text: &str, columns: &str, dialect: Dialect) -> String {
    // Every other part is between braces.
    let parts = text.split(['{', '}']).enumerate();
    let filled = parts.map(|(at, part)| if at % 2 == 0 { part.into() } else { meaning(part, columns, dialect) });
    // On one line, for logs and statistics of the server.
    filled.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn meaning(mark: &str, columns: &str, dialect: Dialect) -> String {
    let now = |bound: &str| {
        let server = format!("COALESCE({bound}, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)");
        dialect(bound, &server).to_owned()
    };
    let value = |(number, column): (u32, &str)| match column {
        "changed_at" => now(&format!("${number}")),
        _ => format!("${number}"),
    };
    match (mark, mark.strip_prefix("now "), mark.split_once('|')) {
        ("columns", ..) => columns.to_owned(),
        ("values", ..) => (1..).zip(columns.split(", ")).map(value).collect::<Vec<_>>().join(", "),
        ("lock", ..) => dialect("", "FOR UPDATE SKIP LOCKED").to_owned(),
        (_, Some(bound), _) => now(bound),
        (_, _, Some((sqlite, postgres))) => dialect(sqlite, postgres).to_owned(),
        // No database takes it, and the tests ask each about every statement.
        _ => format!("{{{mark}}}"),
    }
}

/// The time of a store, for its statements. `None`, which is NULL to them, stands for the clock of the server.
pub(super) type StoreTime = Option<Timestamp>;

/// A statement and its values.
#[derive(Clone)]
pub(super) struct Statement {
    text: &'static Text,
    values: Vec<Value>,
}

pub(super) fn query(text: &'static Text) -> Statement {
    Statement { text, values: Vec::new() }
}

impl Statement {
    /// The value of the next placeholder.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// As a query of one database. Each value, NULL too, has the type of its column: PostgreSQL wants to know it.
    pub(super) fn into_query<DB>(self, text: fn(&'static Text) -> &'static str) -> Query<'static, DB, DB::Arguments>
    where
        DB: sqlx::Database,
        DB::Arguments: sqlx::IntoArguments<DB>,
        for<'q> Option<i64>: Encode<'q, DB> + Type<DB>,
        for<'q> Option<String>: Encode<'q, DB> + Type<DB>,
        for<'q> Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
        for<'q> Option<bool>: Encode<'q, DB> + Type<DB>,
    {
        self.values.into_iter().fold(sqlx::query(text(self.text)), |query, value| match value {
            Value::Integer(integer) => query.bind(integer),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Truth(truth) => query.bind(truth),
        })
    }
}

/// What a placeholder stands for.
#[derive(Clone)]
pub(super) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Truth(Option<bool>),
}

macro_rules! stored_as {
    ($($variant:ident: $($type:ty),+;)+) => {
        $($(
            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::$variant(Some(value.into()))
                }
            }

            impl From<Option<$type>> for Value {
                fn from(value: Option<$type>) -> Self {
                    Self::$variant(value.map(Into::into))
                }
            }
        )+)+
    };
}

impl From<StoreTime> for Value {
    fn from(time: StoreTime) -> Self {
        Self::Integer(time.map(Timestamp::micros))
    }
}

stored_as! {
    Integer: i64, u32, u16, u8;
    Text: &str, String;
    Bytes: &[u8], Vec<u8>;
    Truth: bool;
}

/// A row of any database: its columns by name and type. NULL is `None`.
pub(super) trait Columns: Sync {
    fn integer(&self, column: &str) -> Result<Option<i64>, Error>;
    fn text(&self, column: &str) -> Result<Option<&str>, Error>;
    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, Error>;
}

impl<R: Row + Sync> Columns for R
where
    for<'c> &'c str: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    fn integer(&self, column: &str) -> Result<Option<i64>, Error> {
        self.try_get(column)
    }

    fn text(&self, column: &str) -> Result<Option<&str>, Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, Error> {
        self.try_get(column)
    }
}

/// A type that a column is read as.
pub(super) trait Stored<'r>: Sized {
    fn of(row: &'r dyn Columns, column: &str) -> Result<Option<Self>, Error>;
}

impl<'r> Stored<'r> for i64 {
    fn of(row: &'r dyn Columns, column: &str) -> Result<Option<Self>, Error> {
        row.integer(column)
    }
}

impl<'r> Stored<'r> for &'r str {
    fn of(row: &'r dyn Columns, column: &str) -> Result<Option<Self>, Error> {
        row.text(column)
    }
}

impl<'r> Stored<'r> for &'r [u8] {
    fn of(row: &'r dyn Columns, column: &str) -> Result<Option<Self>, Error> {
        row.bytes(column)
    }
}
