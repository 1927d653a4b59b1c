use crate::Request;
use crate::commit::until_won;
use crate::error::{Error, Reason};
use crate::port::Event;
use crate::token::LinkPurpose;
use crate::types::UserId;

impl Request<'_> {
    /// Removes an account whose verification mail reached a person who did not sign up, by the second link of that mail.
    /// The address is free at once. `false` for a token that is no such link of this account as it is now.
    ///
    /// Only an account that was never verified is removed, so no session of it can be alive.
    ///
    /// # Errors
    /// `already_verified` for a good link of an account that was verified meanwhile; `unavailable`.
    pub async fn deny_sign_up(&self, user: Option<UserId>, token: &str) -> Result<bool, Error> {
        until_won!({
            let found = self.account_of_link(LinkPurpose::DenySignUp, user.as_ref(), token).await?;
            let Some(user) = found else { return Ok(Some(false)) };
            if !user.is_unclaimed() || user.last_login_at.is_some() {
                return Err(Reason::AlreadyVerified.into());
            }
            let removed = self.remove_user(Event::SignUpDenied { user: user.id }, &user).await?;
            Ok(removed.then_some(true))
        })
    }
}
