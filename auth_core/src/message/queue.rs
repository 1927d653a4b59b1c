//! Queueing the mails that callers without a session of the account can cause, within a budget of each recipient.

use std::time::Duration;

use crate::Request;
use crate::error::Error;
use crate::port::{AttemptKey, Event, MailIntent, MailMatter, MailPurpose, UserKey};
use crate::token::{DeviceId, Tokens};
use crate::types::{Email, Limit, MailId, Timestamp, User};

/// Notices that a password is off, for one account.
const LOCK_OUT_NOTICES: Limit = Limit::new(1, Duration::from_secs(24 * 60 * 60));

impl Request<'_> {
    /// Queues a mail to an address, whether or not there is an account, unless the recipient's budget for this kind of
    /// mail is used up. The work is the same then, and an event tells.
    pub(crate) async fn queue_mail(&self, to: &Email, purpose: MailPurpose) -> Result<(), Error> {
        self.queue_within_budget(to, purpose, None).await
    }

    /// Queues a mail within the recipient's budget that may be about an account of another address.
    pub(crate) async fn queue_within_budget(
        &self,
        to: &Email,
        purpose: MailPurpose,
        about: Option<MailMatter>,
    ) -> Result<(), Error> {
        if let Some(kind) = purpose.budget() {
            let (tenant, address) = (self.tenant().as_str().as_bytes(), to.as_str().as_bytes());
            let key = match self.device_of_recipient(to).await? {
                Some(DeviceId(id)) => AttemptKey::new("mail/device", &[tenant, address, kind.as_bytes(), &id]),
                None => AttemptKey::new("mail/recipient", &[tenant, address, kind.as_bytes()]),
            };
            if !self.ports().attempts.draw(&key, self.mail_budget(purpose)).await? {
                self.write_no_mail(to.as_str()).await?;
                self.record(self.tenant(), Event::MailWithheld { purpose });
                return Ok(());
            }
        }
        self.enqueue(to, purpose, about, None).await?;
        self.wake_mailer();
        Ok(())
    }

    /// Queues a notice about a certain account. No budget withholds it.
    pub(crate) async fn queue_mail_about(
        &self,
        to: &Email,
        purpose: MailPurpose,
        about: MailMatter,
    ) -> Result<(), Error> {
        self.enqueue(to, purpose, Some(about), None).await?;
        self.wake_mailer();
        Ok(())
    }

    /// Queues a mail that is due at once, or at a later time.
    pub(crate) async fn enqueue(
        &self,
        to: &Email,
        purpose: MailPurpose,
        about: Option<MailMatter>,
        due: Option<Timestamp>,
    ) -> Result<(), Error> {
        let intent =
            MailIntent { tenant: *self.tenant(), to: to.clone(), about, purpose, locale: self.client().locale };
        let due = due.unwrap_or_else(|| self.ports().clock.now());
        Ok(self.ports().outbox.enqueue(MailId(self.new_id()?), &intent, due).await?)
    }

    /// Queues a mail that an operator asks for. No budget withholds it, because strangers would use it up.
    pub(crate) async fn queue_for_operator(&self, to: &Email, purpose: MailPurpose) -> Result<(), Error> {
        self.enqueue(to, purpose, None, None).await?;
        self.wake_mailer();
        Ok(())
    }

    /// Loads the account of an address.
    pub(crate) async fn find_by_email(&self, email: &Email) -> Result<Option<User>, Error> {
        Ok(self.ports().users.find(self.tenant(), UserKey::Email(email)).await?)
    }

    /// Tells the owner of an account that the password is off, once a day. The work is that of a mail within a budget.
    pub(crate) async fn tell_of_lock_out(&self, user: &User) -> Result<(), Error> {
        let parts = [user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes()];
        let key = AttemptKey::new("notice/password-off", &parts);
        if !self.ports().attempts.draw(&key, LOCK_OUT_NOTICES).await? {
            return self.write_no_mail(user.email.as_str()).await;
        }
        let about = MailMatter { user: user.id, token_version: user.token_version };
        self.queue_mail_about(&user.email, MailPurpose::PasswordOff, about).await
    }

    /// Does the work of a mail within a budget, and queues none: a refused login must not tell whether a mail follows.
    pub(crate) async fn queue_no_mail(&self, identifier: &str) -> Result<(), Error> {
        let key = AttemptKey::new("mail/none", &[self.tenant().as_str().as_bytes(), identifier.as_bytes()]);
        self.ports().attempts.draw(&key, self.policy().mails_per_recipient).await?;
        self.write_no_mail(identifier).await
    }

    /// Writes in place of a queued mail.
    async fn write_no_mail(&self, to: &str) -> Result<(), Error> {
        Ok(self.ports().users.dummy_write(&format!("mail to {to}")).await?)
    }

    /// The budget of a purpose: it gains one before a link that it withholds would have expired.
    fn mail_budget(&self, purpose: MailPurpose) -> Limit {
        let policy = self.policy();
        let limit = policy.mails_per_recipient;
        let lifetime = match purpose {
            MailPurpose::ResetPassword => policy.reset_link_lifetime,
            MailPurpose::ChangeEmail | MailPurpose::EmailTaken => policy.change_email_link_lifetime,
            // One request leads to a link of either kind.
            _ => policy.verify_link_lifetime.min(policy.reset_link_lifetime),
        };
        Limit { window: limit.window.min(lifetime.saturating_mul(limit.count)), ..limit }
    }

    /// The device that the client shows, if the account of this address knows it. The address is looked up whenever a
    /// token of the right form is shown, so the work does not tell whether there is an account.
    async fn device_of_recipient(&self, to: &Email) -> Result<Option<DeviceId>, Error> {
        let Some(token) = self.client().device.as_ref().map(|token| token.expose()).filter(|it| Tokens::is_device(it))
        else {
            return Ok(None);
        };
        let user = self.ports().users.find(self.tenant(), UserKey::Email(to)).await?;
        Ok(self.known_device(user.as_ref(), token))
    }
}
