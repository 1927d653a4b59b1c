use std::error::Error as StdError;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::MailPurpose;
use crate::types::{Email, Locale, MailId, TenantId, Timestamp, Token, UserId};

/// Sends one mail. Called by the outbox's worker, never within a request.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Returns once the next hop has taken the mail.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// What a mail says; the mailer's templates say it in words.
#[derive(Debug)]
#[non_exhaustive]
pub struct Mail {
    /// The queued mail: the same at every try, so that a receiver may spot one that was sent twice.
    pub id: MailId,
    /// Whose account system speaks.
    pub tenant: TenantId,
    /// The recipient: the stored address of the account, the one it had, or the one it shall move to. Send to its
    /// [`spelling`](Email::spelling).
    pub to: Email,
    /// What about.
    pub purpose: MailPurpose,
    /// In which language.
    pub locale: Locale,
    /// The link that the mail is about, if any.
    pub link: Option<MailLink>,
    /// The sign-up that the mail asks the owner of the mailbox to verify, if it does.
    pub sign_up: Option<MailedSignUp>,
}

impl Mail {
    /// A mail without a link, in the default language.
    pub fn new(id: MailId, tenant: TenantId, to: Email, purpose: MailPurpose) -> Self {
        Self { id, tenant, to, purpose, locale: Locale::default(), link: None, sign_up: None }
    }
}

/// A sign-up as its mail tells of it. The recipient may not be the person who signed up.
#[derive(Debug)]
pub struct MailedSignUp {
    /// When.
    pub at: Timestamp,
    /// From which client address, where that is known.
    pub from: Option<IpAddr>,
    /// Removes the account, at `not-me/`.
    pub denial: MailLink,
}

/// What a link carries; the mailer adds the front-end's address.
#[derive(Debug)]
pub struct MailLink {
    /// The user.
    pub user: UserId,
    /// What proves that the mail was read.
    pub token: Token,
    /// How long it works from now.
    pub lifetime: Duration,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Try again later: the server is down, slow or asks for patience.
    #[error("not sent for now: {0}")]
    Transient(#[source] Box<dyn StdError + Send + Sync>),
    /// It will never go: the server refuses the recipient or the mail.
    #[error("refused: {0}")]
    Permanent(#[source] Box<dyn StdError + Send + Sync>),
}
