//! Mail by SMTP: lettre speaks the protocol; how long each step may take and what a failure means is decided here.
//!
//! Each mail has a connection of its own, because no request waits for mails. lettre's pool is not used: it would keep a
//! connection whose exchange was cut short, so that the next mail met the replies to the last one.

mod line_stream;
mod server;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::MailError;
use auth_core::types::Email;
use lettre::message::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use self::line_stream::LineStream;
use self::server::{Security, Server};
use super::{RenderedMail, Sender, SetupError, Transport};

/// Sends mails by SMTP, encrypted unless told otherwise, each over a connection of its own.
///
/// | address | meaning |
/// |---|---|
/// | `smtps://USER:PASSWORD@HOST` | TLS from the first byte; port 465 if none is given |
/// | `smtp://USER:PASSWORD@HOST` | STARTTLS, or no mail at all; port 587 if none is given |
/// | `...?ca=/path/ca.pem` | also trusts the certificates in that file, for an internal authority |
/// | `smtp://HOST?insecure=plaintext` | no encryption: whoever is on the path reads the links. Takes no credentials |
///
/// User and password are percent-encoded (`@` is `%40`), or both left out. Authentication is PLAIN or LOGIN.
///
/// A refusal of the mail or its recipient (5xx) is permanent. Everything else is transient, a refused password too, as
/// the mails can go once it is right. A mail is given up after 30 seconds, each step before it (connecting, STARTTLS,
/// authenticating) after a third of that: see [`time_limit`](Self::time_limit).
///
/// Credentials and mails stay out of errors and logs; but if another part of the program enables the feature `tracing`
/// of lettre, that crate logs both at level `debug`.
pub struct SmtpTransport {
    server: Server,
    sender: Sender,
    hello: ClientId,
    /// For all of a mail, the server's last word included: it may look at the content before it answers.
    limit: Duration,
}

/// How long a server may take to say goodbye. The mail is sent by then.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);
/// Well within the lease of the outbox, or another worker would send the mail, too.
const LONGEST_LIMIT: Duration = Duration::from_secs(100);

impl SmtpTransport {
    /// Takes the address in one of the forms above. Connects with the first mail.
    ///
    /// # Errors
    /// [`SetupError`] when the address has none of these forms, or the file with certificates is no such file.
    pub fn new(url: &str, sender: Sender) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::parse(url)?,
            // The name of a machine says little of late; that of the sender is at least one that exists.
            hello: ClientId::Domain(sender.domain().to_owned()),
            sender,
            limit: Duration::from_secs(30),
        })
    }

    /// Gives a mail up after so long, and each step before it after a third of that. Above 0, up to 100 s; default 30 s.
    ///
    /// # Errors
    /// [`SetupError`] when it is out of range.
    pub fn time_limit(mut self, limit: Duration) -> Result<Self, SetupError> {
        if limit.is_zero() || limit > LONGEST_LIMIT {
            return Err(SetupError::new("the time limit of a mail is not above 0 and up to 100 s"));
        }
        self.limit = limit;
        Ok(self)
    }

    fn step_limit(&self) -> Duration {
        self.limit / 3
    }

    /// When this future is dropped half-way, the connection is closed with it.
    async fn exchange(&self, message: &Message, to: &Email) -> Result<AsyncSmtpConnection, MailError> {
        let mut connection = self.connect().await?;
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        sent.map_err(|error| refusal(&error, to))?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let address = (self.server.host.as_str(), self.server.port);
        let hello = &self.hello;
        let mut connection = match &self.server.security {
            Security::Tls(tls) => {
                let connected = AsyncSmtpConnection::connect_tokio1(address, None, hello, Some(tls.clone()), None);
                self.step("connecting", connected).await?
            }
            Security::StartTls(_) | Security::Plaintext => {
                let stream = self.step("connecting", LineStream::connect(address)).await?;
                let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello);
                self.step("the greeting", greeted).await?
            }
        };
        if let Security::StartTls(tls) = &self.server.security {
            self.step("STARTTLS", connection.starttls(tls.clone(), hello)).await?;
        }
        if let Some(credentials) = &self.server.credentials {
            let authenticated = timeout(self.step_limit(), connection.auth(DEFAULT_MECHANISMS, credentials)).await;
            // Only the code: a server may quote the command, and with it the password.
            authenticated.map_err(|_| late("authentication"))?.map_err(|error| match error.status() {
                Some(code) => transient(format!("authentication: the server says {code}")),
                None => transient("authentication: no answer, or no mechanism in common".to_owned()),
            })?;
        }
        Ok(connection)
    }

    /// Runs a step before the mail: its failures are about us and the server, so the mail may go later.
    async fn step<T, E: fmt::Display>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, MailError> {
        let done = timeout(self.step_limit(), work).await.map_err(|_| late(name))?;
        done.map_err(|error| transient(format!("{name}: {error}")))
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        let message = self.sender.message(mail)?;
        let exchange = timeout(self.limit, self.exchange(&message, &mail.to)).await;
        let mut connection = exchange.unwrap_or_else(|_| Err(late("the mail")))?;
        // The server has the mail, so nothing that happens now is a failure.
        _ = timeout(FAREWELL_LIMIT, connection.quit()).await;
        Ok(())
    }
}

/// The credentials are left out.
impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpTransport")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// What the server's answer to the mail means.
fn refusal(error: &SmtpError, to: &Email) -> MailError {
    // Servers like to repeat the address; it has no business in a log.
    let text = error.to_string().replace(to.as_str(), "(the recipient)");
    // 530 asks for authentication: our setting, not this mail. A client error is an address with letters beyond ASCII on
    // a server that does not know SMTPUTF8.
    let ours = error.status().is_some_and(|code| u16::from(code) == 530);
    if (error.is_permanent() && !ours) || error.is_client() {
        MailError::Permanent(text.into())
    } else {
        transient(text)
    }
}

fn late(step: &str) -> MailError {
    transient(format!("{step}: the server takes too long"))
}

fn transient(reason: String) -> MailError {
    MailError::Transient(reason.into())
}

#[cfg(test)]
mod tests;
