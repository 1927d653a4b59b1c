use std::fmt;

use super::dispute::settle_by_reset;
use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, Reason};
use crate::policy::NewPassword;
use crate::port::{Event, MailPurpose, UserChange};
use crate::token::LinkPurpose;
use crate::types::{Email, PasswordHash, Personal, Timestamp, Token, User, UserId, UserStatus};

/// A new password, with the link that entitles to set it.
pub struct PasswordResetConfirm<'a> {
    /// The user that the link names.
    pub user: Option<UserId>,
    /// The link's token.
    pub token: &'a str,
    /// The new password.
    pub password: &'a NewPassword,
}

/// Shows nothing that the client sent.
impl fmt::Debug for PasswordResetConfirm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordResetConfirm").finish_non_exhaustive()
    }
}

/// A password that was set by a mailed link.
#[derive(Debug)]
#[non_exhaustive]
pub struct PasswordWasReset {
    /// Shows at the next login that this device is known. It opens nothing.
    pub device: Token,
}

impl Request<'_> {
    /// Queues a mail with a link that sets a new password. The answer and the work are the same for any address.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn request_password_reset(&self, email: &Email) -> Result<(), Error> {
        self.queue_mail(email, MailPurpose::ResetPassword).await
    }

    /// Sets the password with a mailed link. That bumps the account's version in the same write: the link itself, all
    /// other links and every session die. It proves the mailbox and does not log in. A mail tells the owner.
    ///
    /// It reopens an account that its owner closed. No link works for a disabled account. An account that was never
    /// verified loses all that its sign-up chose.
    ///
    /// The device that does it is known from now on, and no other one. The windows that strangers used up end, so the
    /// owner can log in at once.
    ///
    /// # Errors
    /// `invalid_fields` for a password that is like the account's own data, or that the application refuses; `link_invalid`; `overloaded`; `unavailable`.
    pub async fn confirm_password_reset(&self, request: PasswordResetConfirm<'_>) -> Result<PasswordWasReset, Error> {
        let ports = self.ports();
        let device = self.new_device()?;
        let mut hash = None;
        until_won!({
            let (id, token) = (request.user.as_ref(), request.token);
            let found = self.account_of_link(LinkPurpose::SetPassword, id, token).await?;
            let user = found.filter(|user| self.may_be_reset(user)).ok_or(Reason::LinkInvalid)?;
            let now = ports.clock.now();
            let (verifies, stranger) = (!user.is_verified(), user.is_unclaimed());
            if verifies && self.left_by_another(&user.tenant, &user.email, Some(&user.id)).await?.is_some() {
                return Err(Reason::LinkInvalid.into());
            }
            // Compared and hashed only for a good link, and once: a flood of bad ones costs nothing. A link is for one
            // address, so a second round has the same owner.
            let hash = match &hash {
                Some(hash) => hash,
                None => {
                    let personal = Personal::of(&user);
                    self.check_unlike("password", request.password, personal)?;
                    self.ask_password_check("password", request.password, personal).await?;
                    hash.insert(self.hash(request.password.as_password()).await?)
                }
            };
            let change = decide(&user, hash.clone(), now);
            let Some(changed) = self.commit(&user, change).await? else { return Ok(None) };
            if stranger {
                self.remove_credentials(&user.tenant, &user.factors).await;
            }
            self.forget_strangers_attempts(&changed).await;
            Ok(Some(PasswordWasReset { device: self.device_token(&changed, device) }))
        })
    }

    /// Whether a proof of the mailbox leads to an account in use: one that is, that its owner closed a while ago, or
    /// that more than one address claims.
    pub(crate) fn may_be_reset(&self, user: &User) -> bool {
        match user.status {
            UserStatus::Active => true,
            UserStatus::Deactivated { .. } => !self.is_lapsed(user),
            UserStatus::Disabled => user.is_disputed(),
            UserStatus::Deleted => false,
        }
    }
}

/// The change that gives an account the password of this hash, by a link that proves its mailbox.
fn decide(user: &User, hash: PasswordHash, now: Timestamp) -> Change {
    let verifies = !user.is_verified();
    let reopens = matches!(user.status, UserStatus::Deactivated { .. });
    let mut write = UserChange {
        password_hash: Some(Some(hash)),
        email_verified_at: verifies.then_some(Some(now)),
        status: reopens.then_some(UserStatus::Active),
        ..if user.is_unclaimed() { UserChange::disowning() } else { UserChange::default() }
    };
    let told = settle_by_reset(user, &mut write, now);
    let events = [
        verifies.then_some(Event::EmailVerified { user: user.id }),
        told.is_some().then_some(Event::DisputeSettled { user: user.id }),
        reopens.then_some(Event::Reactivated { user: user.id }),
    ];
    let change = Change::new(Event::PasswordReset { user: user.id }, write).after(events.into_iter().flatten());
    let losers = told.iter().flatten();
    let change = losers.fold(change, |change, loser| change.notify(MailPurpose::DisputeSettled, loser));
    change.notify(MailPurpose::PasswordChanged, &user.email)
}
