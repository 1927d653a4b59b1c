//! Helpers for a [`UserStore`](super::UserStore) over a table of the application: the two verbs that no other use of the
//! table has, `dummy_write` and `changes`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::{ChangePage, FeedPosition, Since, StoreError, UserSecurity};
use crate::types::{TenantId, Timestamp, UserId};

/// Returns the number of the row that a [`dummy_write`](super::UserStore::dummy_write) changes. It is one of 65,536, and the
/// same on every node.
pub fn dummy_row(row: &str) -> u16 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    let [low, high, ..] = hasher.finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

impl Since {
    /// Returns where a page starts at `now`: at the time of a change, and behind the row with this id, if there is one.
    pub fn start(&self, now: Timestamp) -> (Timestamp, Option<&str>) {
        match self {
            Self::Ago(age) => (now - *age, None),
            Self::After(position) => (position.changed_at, Some(&position.id)),
        }
    }
}

impl<T> ChangePage<T> {
    /// Builds a page from the rows that a query returned in the order of the feed, at most `limit`. `read` returns the value
    /// of a row and its place.
    ///
    /// A row without even a place is logged and skipped, because it must not hold up all others.
    pub fn read<R>(
        rows: impl ExactSizeIterator<Item = R>,
        limit: usize,
        read: impl Fn(R) -> Result<(T, FeedPosition), StoreError>,
    ) -> Self {
        // A page that is not full is the last one.
        let full = rows.len() == limit;
        let mut page = Self { rows: Vec::with_capacity(rows.len()), next: None };
        for row in rows {
            match read(row) {
                Ok((value, position)) => {
                    page.rows.push(value);
                    page.next = Some(position);
                }
                Err(cause) => tracing::error!(target: "auth", %cause, "a changed row is unreadable"),
            }
        }
        page.next = page.next.filter(|_| full);
        page
    }
}

impl UserSecurity {
    /// Returns the report of a row, or [`unreadable`](Self::unreadable) for one that could not be read, which is logged. As an
    /// error, one such row would shut every account of this node.
    pub fn of_row(tenant: TenantId, id: UserId, read: Result<Self, StoreError>) -> Self {
        read.unwrap_or_else(|cause| {
            tracing::error!(target: "auth", %tenant, user = %id, %cause, "an account is unreadable and shut");
            Self::unreadable(tenant, id)
        })
    }
}
