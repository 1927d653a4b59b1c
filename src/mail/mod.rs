//! Mailers: a [`Mail`] becomes words by [`Templates`], and reaches the next hop by a [`Transport`].
//!
//! | transport | feature | for |
//! |---|---|---|
//! | [`ConsoleTransport`] | | examples: prints links to standard output |
#![cfg_attr(feature = "mail", doc = "| [`DirTransport`] | `mail` | tests, pick-up folders: one `.eml` file per mail |")]
#![cfg_attr(feature = "smtp", doc = "| [`SmtpTransport`] | `smtp` | the real thing |")]
//!
//! Another way to send (the HTTP interface of a provider, say) is one method:
//!
//! ```
//! use auth_system::port::MailError;
//! use auth_system::mail::{RenderedMail, TemplateMailer, Templates, Transport};
//!
//! struct Provider;
//!
//! #[async_trait::async_trait]
//! impl Transport for Provider {
//!     async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
//!         let _request = (mail.to.spelling(), &mail.subject, &mail.text, &mail.html);
//!         Ok(())
//!     }
//! }
//!
//! let templates = Templates::new("https://app.example.org", "Example")?;
//! let mailer = TemplateMailer::new(templates, Provider);
//! # Ok::<(), auth_system::mail::SetupError>(())
//! ```

mod console;
#[cfg(feature = "mail")]
mod dir;
mod link;
#[cfg(feature = "mail")]
mod message;
#[cfg(feature = "mail")]
mod setting;
#[cfg(feature = "smtp")]
mod smtp;
mod templates;

use std::fmt;

use async_trait::async_trait;
use auth_core::port::{Mail, MailError, Mailer};
use auth_core::types::{Email, MailId};

pub use console::ConsoleTransport;
#[cfg(feature = "mail")]
pub use dir::DirTransport;
#[cfg(feature = "mail")]
pub use message::Sender;
#[cfg(feature = "mail")]
pub use setting::transport_from;
#[cfg(feature = "smtp")]
pub use smtp::SmtpTransport;
pub use templates::{TemplateSource, Templates};

/// A [`Mailer`] from templates and a transport.
#[derive(Debug)]
pub struct TemplateMailer<T> {
    templates: Templates,
    transport: T,
}

impl<T: Transport> TemplateMailer<T> {
    /// Joins the two.
    pub fn new(templates: Templates, transport: T) -> Self {
        Self { templates, transport }
    }
}

#[async_trait]
impl<T: Transport> Mailer for TemplateMailer<T> {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.transport.deliver(&self.templates.render(mail)?).await
    }
}

/// Carries a mail to the next hop.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Returns once the next hop has taken the mail.
    ///
    /// # Errors
    /// [`MailError::Transient`] when a later try may pass; [`MailError::Permanent`] when this recipient or this mail is
    /// refused for good. What is wrong with the transport itself (a password, a certificate) is transient: the mails
    /// wait until it is put right.
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Box<T> {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        (**self).deliver(mail).await
    }
}

/// A mail in words. Only [`Templates::render`] makes one.
#[non_exhaustive]
pub struct RenderedMail {
    /// The queued mail: the same at every try.
    pub id: MailId,
    /// The one recipient.
    pub to: Email,
    /// One line without control characters.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The same body as HTML.
    pub html: String,
}

/// The bodies hold links, so they are left out.
impl fmt::Debug for RenderedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedMail").field("to", &self.to).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mailer cannot be set up. Says which setting is wrong; never repeats one that may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

impl SetupError {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use auth_core::port::MailPurpose;
    use auth_core::types::TenantId;

    use super::*;

    struct Kept(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl Transport for Kept {
        async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
            self.0.lock().unwrap().push(format!("{} {}", mail.to, mail.subject));
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_mailer_delivers_what_it_can_put_in_words() {
        let kept = Arc::default();
        let templates = Templates::new("https://app.example.org", "Example").unwrap();
        let mailer = TemplateMailer::new(templates, Box::new(Kept(Arc::clone(&kept))) as Box<dyn Transport>);
        let mut mail = Mail::new(
            auth_core::types::MailId(uuid::Uuid::from_u128(7)),
            TenantId::default(),
            Email::parse("ada@example.org").unwrap(),
            MailPurpose::AccountExists,
        );
        mailer.send(&mail).await.unwrap();
        mail.purpose = MailPurpose::ResetPassword;
        assert!(matches!(mailer.send(&mail).await, Err(MailError::Permanent(_))), "it lacks its link");
        assert_eq!(*kept.lock().unwrap(), ["ada@example.org You already have an account"]);
    }
}
