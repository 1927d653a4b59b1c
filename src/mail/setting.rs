#[cfg(feature = "smtp")]
use super::SmtpTransport;
use super::{ConsoleTransport, DirTransport, Sender, SetupError, Transport};

/// The transport that a setting such as `AUTH_MAIL` names: `console`, `dir:PATH`, `smtp://...` or `smtps://...`.
///
/// What each means is told at [`ConsoleTransport`], [`DirTransport`] and
#[cfg_attr(feature = "smtp", doc = "[`SmtpTransport`].")]
#[cfg_attr(not(feature = "smtp"), doc = "`SmtpTransport` (feature `smtp`).")]
///
/// # Errors
/// [`SetupError`] when the setting is none of these or cannot be used as it is. It never repeats the setting, which may
/// hold a password.
pub fn transport_from(setting: &str, sender: Sender) -> Result<Box<dyn Transport>, SetupError> {
    if setting == "console" {
        return Ok(Box::new(ConsoleTransport));
    }
    match setting.split_once(':') {
        Some(("dir", "")) => Err(SetupError::new("`dir:` needs a path, as in `dir:/var/spool/mails`")),
        Some(("dir", path)) => Ok(Box::new(DirTransport::new(path, sender)?)),
        #[cfg(feature = "smtp")]
        Some(("smtp" | "smtps", _)) => Ok(Box::new(SmtpTransport::new(setting, sender)?)),
        #[cfg(not(feature = "smtp"))]
        Some(("smtp" | "smtps", _)) => Err(SetupError::new("built without the feature `smtp`")),
        _ => Err(SetupError::new("neither `console`, `dir:PATH`, `smtp://...` nor `smtps://...`")),
    }
}

#[cfg(test)]
mod tests {
    use auth_core::types::Email;

    use super::super::RenderedMail;
    use super::*;

    fn sender() -> Sender {
        "no-reply@example.org".parse().unwrap()
    }

    #[tokio::test]
    async fn each_form_opens_its_transport() {
        let folder = tempfile::tempdir().unwrap();
        let mail = RenderedMail {
            id: auth_core::types::MailId(uuid::Uuid::from_u128(7)),
            to: Email::parse("ada@example.org").unwrap(),
            subject: "subject".into(),
            text: "text".into(),
            html: "html".into(),
        };
        let transport = transport_from(&format!("dir:{}", folder.path().display()), sender()).unwrap();
        transport.deliver(&mail).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(transport_from("console", sender()).is_ok());
        let smtp = transport_from("smtps://user:hunter2@mail.example.org", sender());
        assert_eq!(smtp.is_ok(), cfg!(feature = "smtp"));
    }

    #[test]
    fn errors_never_repeat_the_setting() {
        for bad in ["", "Console", "console:", "dir", "dir:", "user:hunter2@mail.example.org", "http://hunter2"] {
            let error = transport_from(bad, sender()).err().map(|error| format!("{error} {error:?}"));
            assert!(error.is_some_and(|error| !error.contains("hunter2")), "{bad}");
        }
    }
}
