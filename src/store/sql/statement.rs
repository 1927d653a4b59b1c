//! Statements with their values, and rows by their columns, apart from the crate's types for one database.

use auth_core::types::Timestamp;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, Error, Row, Type};

/// The text of a statement in the words of each database.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each store reads its own")]
pub(super) struct Text {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

/// The time of a store, for its statements. `None`, which is NULL to them, stands for the clock of the server.
pub(super) type StoreTime = Option<Timestamp>;

/// A statement and its values.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) text: Text,
    values: Vec<Value>,
}

pub(super) fn query(text: Text) -> Statement {
    Statement { text, values: Vec::new() }
}

impl Statement {
    /// The value of the next placeholder.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// As a query of one database. Each value, NULL too, has the type of its column: PostgreSQL wants to know it.
    pub(super) fn into_query<DB>(self, text: fn(Text) -> &'static str) -> Query<'static, DB, DB::Arguments>
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
