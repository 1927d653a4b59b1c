use super::step_up::{Confirmation, Strength};
use super::{MAX_ATTEMPTS, contended};
use crate::AuthSystem;
use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::port::{Event, MailMatter, MailPurpose, UserChange, UserKey, UserUpdate};
use crate::proof::LiveSession;
use crate::token::SealedPurpose;
use crate::types::{Client, Email, User, UserId};

/// Where an account shall move to.
#[derive(Debug)]
pub struct EmailChangeRequest<'a> {
    /// The address, as the client sent it.
    pub new_email: &'a str,
    /// Proofs sent along: needed when none was shown in the session a short while ago.
    pub confirmation: Confirmation<'a>,
}

fn wrong(reason: FieldReason) -> Error {
    Error::invalid_fields(vec![FieldError { field: "new_email", reason }])
}

impl AuthSystem {
    /// Queues a mail with a link to the new address; only that link moves the account.
    ///
    /// The answer and the work are the same for any address. Whether it belongs to somebody is looked at when the mail
    /// is sent; then its owner is told instead. Nothing is parked: the link itself brings the address along.
    ///
    /// # Errors
    /// `invalid_fields` for what is no address, and for one that is taken where the policy says so (`new_email`);
    /// `reauthentication_required` without a recent proof, which on an account with a second factor is a code of it;
    /// `wrong_password`; `invalid_code`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn request_email_change(
        &self,
        client: &Client,
        live: &LiveSession,
        request: EmailChangeRequest<'_>,
    ) -> Result<(), Error> {
        let email = Email::parse(request.new_email).map_err(|_| wrong(FieldReason::InvalidEmail))?;
        let user = self.current_user(live).await?;
        self.step_up(client, live, &user, request.confirmation, Strength::SecondFactor).await?;
        if self.policy().reveal_taken_emails && self.find_by_email(client, &email).await?.is_some() {
            return Err(wrong(FieldReason::AddressInUse));
        }
        let about = MailMatter { user: user.id, token_version: user.token_version };
        self.queue_within_budget(client, &email, MailPurpose::ChangeEmail, Some(about)).await?;
        self.record(&user.tenant, Event::EmailChangeRequested { user: user.id });
        Ok(())
    }

    /// Moves the account to the address that the link was mailed to, and proves that mailbox. Every session and all
    /// other links die with the same write. Both addresses are told; the old one gets a link that takes it back.
    ///
    /// # Errors
    /// `link_invalid`; `link_spent` for a genuine link whose time is over or whose account changed since; `invalid_fields`
    /// when another account took the address meanwhile; `unavailable`.
    pub async fn confirm_email_change(&self, client: &Client, user: Option<UserId>, token: &str) -> Result<(), Error> {
        let user = user.ok_or(Reason::LinkInvalid)?;
        let link = self.tokens().open_link(SealedPurpose::ChangeEmail, client.tenant, user, token);
        let link = link.ok_or(Reason::LinkInvalid)?;
        for _ in 0..MAX_ATTEMPTS {
            let now = self.ports().clock.now();
            let found = self.ports().users.find(&client.tenant, UserKey::Id(&user)).await?;
            let fits = |it: &User| it.is_active() && it.token_version == link.token_version;
            let user = found.filter(fits).filter(|_| now < link.expires_at).ok_or(Reason::LinkSpent)?;
            // Before anybody is told; whoever takes the address from here on still makes the write a conflict.
            let holder = self.find_by_email(client, &link.email).await?;
            if holder.is_some_and(|holder| holder.id != user.id) {
                return Err(wrong(FieldReason::AddressInUse));
            }
            self.announce(client, &user, MailPurpose::EmailChanged, &user.email).await?;
            self.announce(client, &user, MailPurpose::EmailConfirmed, &link.email).await?;
            let change = UserChange {
                email: Some(link.email.clone()),
                email_verified_at: Some(Some(now)),
                ..UserChange::default()
            };
            match self.ports().users.update_if(&user, &change).await? {
                UserUpdate::Done(changed) => {
                    self.changed_with_notice(&changed);
                    self.record(&user.tenant, Event::EmailChanged { user: user.id });
                    return Ok(());
                }
                UserUpdate::Conflict(_) => return Err(wrong(FieldReason::AddressInUse)),
                UserUpdate::Stale => {}
            }
        }
        Err(contended())
    }
}
