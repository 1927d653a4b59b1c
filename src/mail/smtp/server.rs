use std::fs;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::SetupError;

/// A mail server and how to speak to it.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
}

pub(super) enum Security {
    /// From the first byte.
    Tls(TlsParameters),
    /// After a greeting in plain text.
    StartTls(TlsParameters),
    Plaintext,
}

impl Server {
    /// No error repeats a part of the address: a password with a bare `/` or `#` would be found in any of them.
    pub(super) fn parse(text: &str) -> Result<Self, SetupError> {
        let refuse = |reason: &str| SetupError::new(format!("the mail server's address: {reason}"));
        let url = Url::parse(text).map_err(|_| refuse("not a URL; is the password percent-encoded?"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(refuse("no host")),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(refuse("a path or fragment; is the password percent-encoded?"));
        }
        let (mut ca, mut plaintext) = (None, false);
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("ca", path) => ca = Some(read_certificates(path)?),
                ("insecure", "plaintext") => plaintext = true,
                _ => return Err(refuse("a parameter other than `ca=PATH` and `insecure=plaintext`")),
            }
        }
        let credentials = credentials(&url).ok_or_else(|| refuse("a user without a password, or not in UTF-8"))?;
        let (security, port) = match url.scheme() {
            "smtps" if !plaintext => (Security::Tls(tls(&host, ca)?), 465),
            "smtp" if !plaintext => (Security::StartTls(tls(&host, ca)?), 587),
            "smtp" if credentials.is_none() => (Security::Plaintext, 587),
            "smtp" => return Err(refuse("credentials never travel in plain text")),
            _ => return Err(refuse("neither smtps://... nor smtp://...")),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials })
    }
}

/// `Some(None)` when the address names nobody.
fn credentials(url: &Url) -> Option<Option<Credentials>> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    match (url.username(), url.password()) {
        ("", None) => Some(None),
        ("", Some(_)) | (_, None) => None,
        (user, Some(password)) => Some(Some(Credentials::new(decode(user)?, decode(password)?))),
    }
}

fn read_certificates(path: &str) -> Result<Certificate, SetupError> {
    let refuse = |reason: &str| SetupError::new(format!("the certificates for the mail server: {reason}"));
    let pem = fs::read_to_string(path).map_err(|error| refuse(&error.to_string()))?;
    // A file without any would be taken for an empty list.
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(refuse("not a PEM file with certificates"));
    }
    Certificate::from_pem(pem.as_bytes()).map_err(|error| refuse(&error.to_string()))
}

fn tls(host: &str, ca: Option<Certificate>) -> Result<TlsParameters, SetupError> {
    // The very same trust whatever features of lettre the rest of the program turns on.
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(ca) = ca {
        builder = builder.add_root_certificate(ca);
    }
    builder.build_rustls().map_err(|error| SetupError::new(format!("TLS with the mail server: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_an_address() {
        let parts = |text: &str| {
            let server = Server::parse(text).unwrap();
            let security = match server.security {
                Security::Tls(tls) => format!("tls to {}", tls.domain()),
                Security::StartTls(tls) => format!("starttls to {}", tls.domain()),
                Security::Plaintext => "plaintext".to_owned(),
            };
            (server.host, server.port, security, server.credentials)
        };
        let credentials = Credentials::new("ada@example.org".into(), "p@ss/w#rd".into());
        assert_eq!(
            parts("smtp://ada%40example.org:p%40ss%2Fw%23rd@mail.example.org"),
            ("mail.example.org".into(), 587, "starttls to mail.example.org".into(), Some(credentials))
        );
        assert_eq!(
            parts("smtps://mail.example.org"),
            ("mail.example.org".into(), 465, "tls to mail.example.org".into(), None)
        );
        assert_eq!(parts("smtps://[::1]:2465/"), ("::1".into(), 2465, "tls to ::1".into(), None));
        assert_eq!(
            parts("smtp://127.0.0.1:2525?insecure=plaintext"),
            ("127.0.0.1".into(), 2525, "plaintext".into(), None)
        );
    }

    #[test]
    fn a_bad_address_is_refused_without_repeating_it() {
        for bad in [
            "",
            "smtp://",
            "smtp:hunter2",
            "smtp://user:hunter2@",
            "https://user:hunter2@mail.example.org",
            "smtp://user:hunter2/x@mail.example.org",
            "smtp://user:1/hunter2@mail.example.org",
            "smtp://user:1#hunter2@mail.example.org",
            "smtp://user:1?hunter2@mail.example.org",
            "smtp://user:hunter2@mail.example.org/hunter2",
            "smtp://user:hunter2@mail.example.org:99999",
            "smtp://hunter2@mail.example.org",
            "smtp://:hunter2@mail.example.org",
            "smtp://user:hunter2%ff@mail.example.org",
            "smtp://user:hunter2@mail.example.org?tls=none",
            "smtp://user:hunter2@mail.example.org?insecure=hunter2",
            "smtp://user:hunter2@mail.example.org?insecure=plaintext",
            "smtps://mail.example.org?insecure=plaintext",
            "smtp://user:hunter2@mail.example.org?ca=/nowhere/ca.pem",
            "smtp://user:hunter2@mail.example.org?ca=/dev/null",
        ] {
            let error = Server::parse(bad).err().map(|error| format!("{error} {error:?}"));
            assert!(error.as_ref().is_some_and(|error| !error.contains("hunter2")), "{bad}: {error:?}");
        }
    }
}
