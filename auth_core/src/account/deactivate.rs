//! Closing the account by its owner. A reset within a time reopens it.

use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::port::{Event, MailPurpose, UserChange, UserUpdate};
use crate::proof::LiveSession;
use crate::retry::{MAX_ATTEMPTS, contended};
use crate::types::{Client, Password, UserStatus};

impl AuthSystem {
    /// Closes the account, with its password: every session and link of it ends. A mail tells the owner, with a link that
    /// takes the closing back.
    ///
    /// A reset of the password, or the mail of a sign-up with the address, reopens it with its second factors until
    /// [`Policy::deactivated_lifetime`](crate::policy::Policy) has passed. Then the account is removed.
    ///
    /// # Errors
    /// `wrong_password`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn deactivate(&self, client: &Client, live: &LiveSession, password: &Password) -> Result<(), Error> {
        for _ in 0..MAX_ATTEMPTS {
            let user = self.current_user(live).await?;
            self.confirm_password(client, &user, password).await?.ok_or(Reason::WrongPassword)?;
            let status = UserStatus::Deactivated { since: self.ports().clock.now() };
            let change = UserChange { status: Some(status), ..UserChange::default() };
            self.announce(client, &user, MailPurpose::Deactivated, &user.email).await?;
            if let UserUpdate::Done(user) = self.ports().users.update_if(&user, &change).await? {
                self.changed_with_notice(&user);
                self.record(&user.tenant, Event::Deactivated { user: user.id });
                return Ok(());
            }
        }
        Err(contended())
    }
}
