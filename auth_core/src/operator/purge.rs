//! Removing rows that nobody needs any more. The worker calls these.

use std::time::Duration;

use crate::error::Error;
use crate::policy::{MAX_ACCESS_LIFETIME, Policy};
use crate::port::{Event, Lapse};
use crate::revocation::window;
use crate::types::User;
use crate::{AuthSystem, Request};

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

    /// Removes accounts that signed up [`Policy::unverified_lifetime`](crate::policy::Policy) ago and were never verified,
    /// up to a thousand, with their credentials. Accounts that an operator made or imported stay, as do those that an
    /// operator disabled. Without a [`UserDirectory`](crate::port::UserDirectory) there is nothing to do.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_unverified_accounts(&self) -> Result<usize, Error> {
        self.purge(Lapse::Unverified).await
    }

    /// Removes accounts that their owners closed [`Policy::deactivated_lifetime`](crate::policy::Policy) ago, up to a
    /// thousand, with their credentials. Without a [`UserDirectory`](crate::port::UserDirectory) there is nothing to do.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_deactivated_accounts(&self) -> Result<usize, Error> {
        self.purge(Lapse::Deactivated).await
    }

    async fn purge(&self, kind: Lapse) -> Result<usize, Error> {
        let Some(directory) = &self.ports().directory else { return Ok(0) };
        let before = self.ports().clock.now() - lifetime(self.policy(), kind);
        let mut removed = 0;
        for user in directory.lapsed(kind, before, ROWS).await? {
            removed += usize::from(self.within(user.tenant).remove_lapsed(&user).await?);
        }
        Ok(removed)
    }

    /// Removes the rows of sessions that ended so long ago that no token of theirs can be alive, up to a thousand.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_ended_sessions(&self) -> Result<usize, Error> {
        Ok(self.ports().sessions.purge_ended(AGE, ROWS).await?)
    }
}

impl Request<'_> {
    /// Whether an account is one that the purge removes, be it yet to come.
    pub(crate) fn is_lapsed(&self, user: &User) -> bool {
        let now = self.ports().clock.now();
        [Lapse::Unverified, Lapse::Deactivated]
            .into_iter()
            .any(|kind| kind.is_over(user, now - lifetime(self.policy(), kind)))
    }

    /// Removes a lapsed account and its credentials. `false` when its row changed since it was read.
    pub(crate) async fn remove_lapsed(&self, user: &User) -> Result<bool, Error> {
        self.remove_user(Event::Purged { user: user.id }, user).await
    }
}

fn lifetime(policy: &Policy, lapse: Lapse) -> Duration {
    match lapse {
        Lapse::Unverified => policy.unverified_lifetime,
        Lapse::Deactivated => policy.deactivated_lifetime,
    }
}
