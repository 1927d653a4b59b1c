use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use auth_core::port::MailError;
use lettre::message::header::Date;

use super::message::unique;
use super::{RenderedMail, Sender, SetupError, Transport};

/// Writes each mail as one RFC 5322 file (`.eml`) into a folder, readable by its owner only. A file appears whole or not
/// at all; sorted by name, they are in the order in which they were written.
#[derive(Debug)]
pub struct DirTransport {
    folder: PathBuf,
    sender: Sender,
    /// Orders the files of one second.
    written: AtomicU64,
}

impl DirTransport {
    /// Uses `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`SetupError`] when it cannot be made.
    pub fn new(folder: impl Into<PathBuf>, sender: Sender) -> Result<Self, SetupError> {
        let folder = folder.into();
        make(&folder).map_err(|error| SetupError::new(format!("cannot make {}: {error}", folder.display())))?;
        Ok(Self { folder, sender, written: AtomicU64::new(0) })
    }
}

#[async_trait]
impl Transport for DirTransport {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        let message = self.sender.message(mail)?;
        let date = message.headers().get::<Date>().map_or(UNIX_EPOCH, SystemTime::from);
        let seconds = date.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("{seconds:010}-{number:06}-{}.eml", unique()?);
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || write(&folder, &name, &message.formatted())).await;
        written.map_err(io::Error::other).flatten().map_err(|error| MailError::Transient(error.into()))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".{name}.part"));
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(&draft)?;
    let done =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, folder.join(name)));
    if done.is_err() {
        // The error that matters is the one above.
        let _ = fs::remove_file(&draft);
    }
    done
}

#[cfg(test)]
mod tests {
    use auth_core::types::Email;
    use tempfile::TempDir;

    use super::*;

    fn mail(subject: &str) -> RenderedMail {
        RenderedMail {
            id: auth_core::types::MailId(uuid::Uuid::from_u128(7)),
            to: Email::parse("ada@example.org").unwrap(),
            subject: subject.into(),
            text: "text\n".into(),
            html: "<p>html</p>\n".into(),
        }
    }

    #[tokio::test]
    async fn mails_are_whole_private_files_in_order() {
        let outer = TempDir::new().unwrap();
        let folder = outer.path().join("a/b");
        let transport = DirTransport::new(&folder, "no-reply@example.org".parse().unwrap()).unwrap();
        for number in 0..12 {
            transport.deliver(&mail(&format!("number {number}"))).await.unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 12, "no drafts stay: {files:?}");
        for (number, file) in files.iter().enumerate() {
            let text = fs::read_to_string(file).unwrap();
            assert!(text.contains(&format!("Subject: number {number}\r\n")), "{text}");
            assert!(text.contains("To: ada@example.org\r\n"), "{text}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
                assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
            }
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_transient() {
        let outer = TempDir::new().unwrap();
        let folder = outer.path().join("mail");
        let transport = DirTransport::new(&folder, "no-reply@example.org".parse().unwrap()).unwrap();
        fs::remove_dir(&folder).unwrap();
        assert!(matches!(transport.deliver(&mail("lost")).await, Err(MailError::Transient(_))));
        assert!(DirTransport::new("/dev/null/mail", "no-reply@example.org".parse().unwrap()).is_err());
    }
}
