//! Removing rows that nobody needs any more. The worker calls these.

use std::time::Duration;

use crate::AuthSystem;
use crate::error::Error;
use crate::policy::MAX_ACCESS_LIFETIME;
use crate::revocation::window;

/// After so long no access token can be alive, whatever the settings of another node say, and every node has seen the end,
/// a full resync included.
const AGE: Duration = window(MAX_ACCESS_LIFETIME).saturating_add(Duration::from_secs(60));
/// Rows a round.
const ROWS: usize = 1000;

impl AuthSystem {
    /// Removes the rows of accounts that were marked as deleted so long ago that no token of theirs can be alive, up to
    /// a thousand. Without a [`UserDirectory`](crate::port::UserDirectory) there is nothing to do.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_deleted_accounts(&self) -> Result<usize, Error> {
        let Some(directory) = &self.ports().directory else { return Ok(0) };
        Ok(directory.purge_deleted(AGE, ROWS).await?)
    }

    /// Removes the rows of sessions that ended so long ago that no token of theirs can be alive, up to a thousand.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_ended_sessions(&self) -> Result<usize, Error> {
        Ok(self.ports().sessions.purge_ended(AGE, ROWS).await?)
    }
}
