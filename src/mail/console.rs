use std::io::Write;

use async_trait::async_trait;
use auth_core::port::MailError;

use super::{RenderedMail, Transport};

/// Prints mails to standard output. **For examples only**: whoever reads the output can use the links.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleTransport;

#[async_trait]
impl Transport for ConsoleTransport {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        print(&mut std::io::stdout().lock(), mail).map_err(|error| MailError::Transient(error.into()))
    }
}

fn print(out: &mut impl Write, mail: &RenderedMail) -> std::io::Result<()> {
    writeln!(out, "\n--- To: {}\n--- Subject: {}\n\n{}\n---", mail.to, mail.subject, mail.text.trim_end())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use auth_core::types::Email;

    use super::*;

    #[test]
    fn the_text_is_printed_with_its_link() {
        let mail = RenderedMail {
            id: auth_core::types::MailId(uuid::Uuid::from_u128(7)),
            to: Email::parse("ada@example.org").unwrap(),
            subject: "Verify your account".into(),
            text: "https://app.example.org/verify-account\n".into(),
            html: "<p>".into(),
        };
        let mut out = Vec::new();
        print(&mut out, &mail).unwrap();
        let expected = "\n--- To: ada@example.org\n--- Subject: Verify your account\n\n\
                        https://app.example.org/verify-account\n---\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
