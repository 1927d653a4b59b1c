use async_trait::async_trait;

use super::{MailIntent, StoreError};
use crate::types::{MailId, Timestamp};

/// Mails that were given up, for an operator. No flow needs this, so a [`MailOutbox`](super::MailOutbox) may go without.
#[async_trait]
pub trait DeadMails: Send + Sync + 'static {
    /// The mails that were given up, oldest first: at most `limit`.
    async fn dead_mails(&self, limit: usize) -> Result<Vec<DeadMail>, StoreError>;

    /// Gives a mail a fresh start, due at `now`. `false` when it is not dead. Gives way to an equal intent that waits.
    async fn revive(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError>;
}

/// A mail that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMail {
    /// The queued mail.
    pub id: MailId,
    /// What should have been sent.
    pub intent: MailIntent,
    /// How often it was tried.
    pub tries: u32,
    /// What the mailer said last.
    pub reason: String,
}
