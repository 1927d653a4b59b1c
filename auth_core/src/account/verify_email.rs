use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, Reason};
use crate::port::{Event, MailPurpose, UserChange};
use crate::token::LinkPurpose;
use crate::types::{Email, UserId};

impl Request<'_> {
    /// Proves a mailbox with the link that was mailed to it. It does not log in.
    ///
    /// # Errors
    /// `link_invalid`; `already_verified` for a good link of an account that is verified; `unavailable`.
    pub async fn verify_email(&self, user: Option<UserId>, token: &str) -> Result<(), Error> {
        let ports = self.ports();
        until_won!({
            let found = self.account_of_link(LinkPurpose::VerifyEmail, user.as_ref(), token).await?;
            let user = found.ok_or(Reason::LinkInvalid)?;
            if user.is_verified() {
                return Err(Reason::AlreadyVerified.into());
            }
            if self.left_by_another(&user.tenant, &user.email, Some(&user.id)).await?.is_some() {
                return Err(Reason::LinkInvalid.into());
            }
            let now = Some(ports.clock.now());
            let write = UserChange { email_verified_at: Some(now), ..UserChange::default() };
            let change = Change::new(Event::EmailVerified { user: user.id }, write);
            Ok(self.commit(&user, change).await?.map(|_| ()))
        })
    }

    /// Queues another verification mail. The answer and the work are the same for any address; whether there is an
    /// account to verify is looked at when the mail is sent.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn resend_verification(&self, email: &Email) -> Result<(), Error> {
        self.queue_mail(email, MailPurpose::VerifyEmail).await
    }
}
