use async_trait::async_trait;

use super::MailError;
use crate::types::{Locale, MailId, TenantId};

/// Sends one text message to a phone. The worker of the outbox calls it, never a request.
#[async_trait]
pub trait MessageSender: Send + Sync + 'static {
    /// Returns once the provider has taken the message.
    ///
    /// # Errors
    /// Returns [`MailError::Transient`] to be asked again later, and [`MailError::Permanent`] for a message that will
    /// never go.
    async fn send(&self, message: &TextMessage) -> Result<(), MailError>;
}

/// A text message. `Debug` hides its number and its text.
#[non_exhaustive]
pub struct TextMessage {
    /// The queued message: the same at every try, so that a provider may spot one that was sent twice.
    pub id: MailId,
    /// The tenant whose account system sends it.
    pub tenant: TenantId,
    /// The number, in the form of E.164: a plus sign and up to 15 digits.
    pub to: Box<str>,
    /// The text, which may hold a code.
    pub text: crate::types::Token,
    /// The language of the text.
    pub locale: Locale,
}

impl TextMessage {
    /// Joins the parts.
    pub fn new(
        id: MailId,
        tenant: TenantId,
        to: impl Into<Box<str>>,
        text: crate::types::Token,
        locale: Locale,
    ) -> Self {
        Self { id, tenant, to: to.into(), text, locale }
    }
}

impl std::fmt::Debug for TextMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextMessage").field("id", &self.id).finish_non_exhaustive()
    }
}
