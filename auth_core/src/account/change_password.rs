use std::fmt;

use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, Reason};
use crate::policy::NewPassword;
use crate::port::{Event, MailPurpose, UserChange};
use crate::proof::{Authenticated, LiveSession};
use crate::session::SessionTokens;
use crate::types::{Password, Personal};

/// A password in the place of another one.
pub struct PasswordChangeRequest<'a> {
    /// The present one.
    pub old_password: &'a Password,
    /// The new one.
    pub new_password: &'a NewPassword,
}

/// Shows nothing that the client sent.
impl fmt::Debug for PasswordChangeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChangeRequest").finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// Changes the password. Every session, link and pending login dies with the same write; the caller gets a new
    /// session. A mail tells the owner, with a link that takes it back.
    ///
    /// # Errors
    /// `invalid_fields` for a password that is like the account's own data, or that the application refuses (`new_password`); `wrong_password`; `throttled`;
    /// `not_authenticated` and its like when the account changed since the login; `overloaded`; `unavailable`.
    pub async fn change_password(
        &self,
        live: &LiveSession,
        request: PasswordChangeRequest<'_>,
    ) -> Result<SessionTokens, Error> {
        until_won!({
            let user = self.current_user(live).await?;
            let recent = self.recent_methods(&self.current_session(live).await?);
            let personal = Personal::of(&user);
            self.check_unlike("new_password", request.new_password, personal)?;
            let proof = self.confirm_password(&user, request.old_password).await?;
            let proof = proof.ok_or(Reason::WrongPassword)?;
            self.ask_password_check("new_password", request.new_password, personal).await?;
            let hash = self.hash(request.new_password.as_password()).await?;
            let write = UserChange { password_hash: Some(Some(hash)), ..UserChange::default() };
            let change = Change::new(Event::PasswordChanged { user: user.id }, write)
                .notify(MailPurpose::PasswordChanged, &user.email);
            let Some(changed) = self.commit(&user, change).await? else { return Ok(None) };
            let renewed = Authenticated::renewed(live, recent, &proof.proof, &changed);
            let renewed = renewed.map_err(|_| Reason::NotAuthenticated)?;
            self.issue_session(live.channel(), renewed).await.map(Some)
        })
    }
}
