use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::types::{Email, Locale, MailId, TenantId, Timestamp, TokenVersion, UserId};

/// Mails waiting to be sent, as intents: no link and no token is ever kept here.
///
/// The worker looks the account up and derives the link when it sends. So a mail to an address without an account
/// costs the request the same as one with, a crash loses nothing, and a dump of the table opens nothing.
#[async_trait]
pub trait MailOutbox: Send + Sync + 'static {
    /// Queues an intent. It takes the place of one that already waits, unclaimed, for the same address, purpose and
    /// matter: with its own id, due at once or when the other was, whichever is sooner, and with no tries so far. What
    /// the other's tries found out was true before this was queued.
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError>;

    /// Takes up to `limit` intents that are due, oldest first, for `lease`. Until it ends, no other call gets them;
    /// after it, a worker that died has lost them to the next.
    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError>;

    /// Says what came of a claimed intent. `false` when the claim ran out and somebody else has it.
    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError>;
}

/// A mail that shall be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailIntent {
    /// Whose account system it speaks for.
    pub tenant: TenantId,
    /// To whom; there may be no account.
    pub to: Email,
    /// Which account it is about, where that is not told by the address.
    pub about: Option<MailMatter>,
    /// What about.
    pub purpose: MailPurpose,
    /// In which language.
    pub locale: Locale,
}

/// The account that a mail is about, and the state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MailMatter {
    /// Whose account.
    pub user: UserId,
    /// Its version: the one that the request was made under, or the one that the reported change leads to.
    pub token_version: TokenVersion,
}

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MailPurpose {
    /// Prove the mailbox of a new account.
    VerifyEmail,
    /// Somebody signed up with an address that has a verified account.
    AccountExists,
    /// In place of that or of a reset, where an operator disabled the account.
    AccountDisabled,
    /// In place of that where the owner closed the account; with a link that reopens it.
    AccountDeactivated,
    /// The owner closed the account; with a link that takes it back.
    Deactivated,
    /// Set a password: asked for by the owner.
    ResetPassword,
    /// Set a password: somebody signed up again, with another one, before the address was verified.
    SetPassword,
    /// Prove the mailbox that an account shall move to.
    ChangeEmail,
    /// Somebody wanted to move another account to an address that has one.
    EmailTaken,
    /// A password was changed or reset; with a link that takes it back.
    PasswordChanged,
    /// An account moved away from this address; with a link that takes it back.
    EmailChanged,
    /// An account moved to this address.
    EmailConfirmed,
    /// An operator moved an account away from this address.
    EmailSet,
    /// Two-factor login was turned on; with a link that takes it back.
    TwoFactorEnabled,
    /// Two-factor login was turned off; with a link that takes it back.
    TwoFactorDisabled,
    /// The authenticator was replaced; with a link that puts the old one on again.
    TwoFactorReplaced,
    /// All backup codes were replaced by somebody who knows the password; with a link that ends sessions and clears the
    /// password. The codes stay until they are replaced again.
    BackupCodesReplaced,
    /// Somebody knows the password and failed at the second factor; with a link that ends sessions and clears the password.
    SecondFactorFailed,
    /// A backup code was used in place of the second factor; with a link that ends sessions and clears the password.
    BackupCodeUsed,
    /// The password is off after too many wrong guesses, until it is set anew.
    PasswordOff,
    /// A client wanted an account at an address that another account left a short while ago.
    AddressReserved,
    /// An account was shut, because the address that a taking-back restores belongs to another account.
    AccountShut,
    /// This address lost an account by a taking-back or a second factor; with a link that objects, which shuts the account.
    AddressLost,
    /// More than one address claims an account, which is shut; with a link that decides it by a second factor.
    AccountDisputed,
    /// A dispute ended for another address.
    DisputeSettled,
}

impl MailPurpose {
    /// All purposes.
    pub const ALL: [Self; 25] = [
        Self::VerifyEmail,
        Self::AccountExists,
        Self::AccountDisabled,
        Self::AccountDeactivated,
        Self::Deactivated,
        Self::ResetPassword,
        Self::SetPassword,
        Self::ChangeEmail,
        Self::EmailTaken,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::EmailConfirmed,
        Self::EmailSet,
        Self::TwoFactorEnabled,
        Self::TwoFactorDisabled,
        Self::TwoFactorReplaced,
        Self::BackupCodesReplaced,
        Self::SecondFactorFailed,
        Self::BackupCodeUsed,
        Self::PasswordOff,
        Self::AddressReserved,
        Self::AccountShut,
        Self::AddressLost,
        Self::AccountDisputed,
        Self::DisputeSettled,
    ];

    /// The name in stores, events and templates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::AccountExists => "account_exists",
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeactivated => "account_deactivated",
            Self::Deactivated => "deactivated",
            Self::ResetPassword => "reset_password",
            Self::SetPassword => "set_password",
            Self::ChangeEmail => "change_email",
            Self::EmailTaken => "email_taken",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::EmailConfirmed => "email_confirmed",
            Self::EmailSet => "email_set",
            Self::TwoFactorEnabled => "two_factor_enabled",
            Self::TwoFactorDisabled => "two_factor_disabled",
            Self::TwoFactorReplaced => "two_factor_replaced",
            Self::BackupCodesReplaced => "backup_codes_replaced",
            Self::SecondFactorFailed => "second_factor_failed",
            Self::BackupCodeUsed => "backup_code_used",
            Self::PasswordOff => "password_off",
            Self::AddressReserved => "address_reserved",
            Self::AccountShut => "account_shut",
            Self::AddressLost => "address_lost",
            Self::AccountDisputed => "account_disputed",
            Self::DisputeSettled => "dispute_settled",
        }
    }

    /// The kind of mail that a recipient's budget counts; `None` for a notice, which no budget withholds.
    ///
    /// Purposes share a kind where one request leads to one or the other: the budget that a request uses must not depend
    /// on the account.
    pub(crate) const fn budget(self) -> Option<&'static str> {
        match self {
            Self::VerifyEmail | Self::AccountExists | Self::SetPassword | Self::AddressReserved => Some("sign-up"),
            Self::ResetPassword => Some("reset"),
            Self::ChangeEmail | Self::EmailTaken => Some("change-email"),
            Self::AccountDisabled
            | Self::AccountDeactivated
            | Self::Deactivated
            | Self::EmailSet
            | Self::PasswordChanged
            | Self::EmailChanged
            | Self::EmailConfirmed
            | Self::TwoFactorEnabled
            | Self::TwoFactorDisabled
            | Self::TwoFactorReplaced
            | Self::BackupCodesReplaced
            | Self::SecondFactorFailed
            | Self::BackupCodeUsed
            | Self::PasswordOff
            | Self::AccountShut
            | Self::AddressLost
            | Self::AccountDisputed
            | Self::DisputeSettled => None,
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// An intent that this worker holds.
#[derive(Clone, Debug)]
pub struct ClaimedMail {
    /// The queued mail.
    pub id: MailId,
    /// What to send.
    pub intent: MailIntent,
    /// How often it was claimed, this time included: 1 at the first. Names the claim, too.
    pub tries: u32,
}

/// What came of a claimed intent.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// Sent, or nothing to send any more: the row goes.
    Done,
    /// Not sent: due again at the given time. Gives way to an equal intent that was queued meanwhile.
    Retry(Timestamp),
    /// Set aside for an operator, with the reason.
    Dead(String),
}
