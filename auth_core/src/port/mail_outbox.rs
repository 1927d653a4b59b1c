use std::time::Duration;

use async_trait::async_trait;

use super::{MailPurpose, StoreError};
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
