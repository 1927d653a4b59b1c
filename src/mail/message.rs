use std::str::FromStr;

use auth_core::port::MailError;
use auth_core::types::Email;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lettre::Address;
use lettre::address::AddressError;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart};
use rand::TryRng;
use rand::rngs::SysRng;

use super::{RenderedMail, SetupError};

/// Whom mails come from: `no-reply@example.org`, or `Example <no-reply@example.org>`.
#[derive(Clone, Debug)]
pub struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = SetupError;

    /// # Errors
    /// [`SetupError`] when the text is not exactly one mailbox.
    fn from_str(text: &str) -> Result<Self, SetupError> {
        let refuse = || SetupError::new(format!("{text:?} is not `ADDRESS` or `NAME <ADDRESS>`"));
        let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"'), address),
            None => ("", text),
        };
        let address = Email::parse(address).map_err(|_| refuse())?;
        if name.contains(char::is_control) {
            return Err(refuse());
        }
        let mut mailbox = mailbox(&address).map_err(|_| refuse())?;
        mailbox.name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Ok(Self(mailbox))
    }
}

impl Sender {
    /// The mail as an RFC 5322 message with its envelope.
    pub(super) fn message(&self, mail: &RenderedMail) -> Result<Message, MailError> {
        let to = mailbox(&mail.to).map_err(|error| MailError::Permanent(error.into()))?;
        // The same at every try, so that a receiver may spot a mail that was sent twice.
        let id = format!("<{}@{}>", mail.id, self.domain());
        // RFC 3834: keeps vacation notices from answering.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.0.clone())
            .to(to)
            .subject(&mail.subject)
            .message_id(Some(id))
            .raw_header(automatic)
            .multipart(MultiPart::alternative_plain_html(body(&mail.text), body(&mail.html)))
            .map_err(|error| MailError::Permanent(error.into()))
    }

    /// The domain that speaks.
    pub(super) fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// The one way from an address into headers and envelope: parsed, never pasted.
fn mailbox(email: &Email) -> Result<Mailbox, AddressError> {
    Ok(Mailbox::new(None, Address::from_str(email.spelling())?))
}

/// The longest line of a message, in bytes (RFC 5322 section 2.1.1).
const MAX_LINE: usize = 998;

/// Leaves text as it is where it may stay so. lettre would encode any line of more than 76 bytes, such as a link, which
/// people and scripts then cannot read in the raw message; and would leave a zero byte as it is.
fn body(text: &str) -> Body {
    // Lines end with CRLF and nothing else: servers disagree on what a lone CR is.
    let text = text.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n");
    let visible = |byte: u8| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic();
    if text.lines().all(|line| line.len() <= MAX_LINE && line.bytes().all(visible)) {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        // Never refused; should that change, bytes go as base64.
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).unwrap_or_else(Body::new)
    }
}

/// A name that no other mail has.
pub(super) fn unique() -> Result<String, MailError> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| MailError::Transient(error.into()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
