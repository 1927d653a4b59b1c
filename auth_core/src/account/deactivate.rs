//! Closing the account by its owner. A reset within a time reopens it.

use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, Reason};
use crate::port::{Event, MailPurpose, UserChange};
use crate::proof::LiveSession;
use crate::types::{Password, UserStatus};

impl Request<'_> {
    /// Closes the account, with its password: every session and link of it ends. A mail tells the owner, with a link that
    /// takes the closing back.
    ///
    /// A reset of the password, or the mail of a sign-up with the address, reopens it with its second factors until
    /// [`Policy::deactivated_lifetime`](crate::policy::Policy) has passed. Then the account is removed.
    ///
    /// # Errors
    /// `wrong_password`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn deactivate(&self, live: &LiveSession, password: &Password) -> Result<(), Error> {
        until_won!({
            let user = self.current_user(live).await?;
            self.confirm_password(&user, password).await?.ok_or(Reason::WrongPassword)?;
            let status = UserStatus::Deactivated { since: self.ports().clock.now() };
            let write = UserChange { status: Some(status), ..UserChange::default() };
            let change =
                Change::new(Event::Deactivated { user: user.id }, write).notify(MailPurpose::Deactivated, &user.email);
            Ok(self.commit(&user, change).await?.map(|_| ()))
        })
    }
}
