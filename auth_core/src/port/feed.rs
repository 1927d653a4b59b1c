use std::time::Duration;

use crate::types::Timestamp;

/// Where reading a feed of changes starts.
#[derive(Clone, Debug)]
pub enum Since {
    /// At changes younger than this, by the store's own clock.
    Ago(Duration),
    /// Behind the last row of the page before.
    After(FeedPosition),
}

/// A place in a feed: rows are ordered by the time of their change, then by id.
#[derive(Clone, Debug)]
pub struct FeedPosition {
    /// The store's clock at the statement that changed the row.
    pub changed_at: Timestamp,
    /// The row's id, as the store orders it.
    pub id: String,
}

/// A page of a feed.
#[derive(Clone, Debug)]
pub struct ChangePage<T> {
    /// The changed rows, oldest first.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` at the end of the feed.
    pub next: Option<FeedPosition>,
}
