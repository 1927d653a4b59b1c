//! One [`Config`] for everything outside the flows: keys, addresses, cookies and the profile. In code or from `AUTH_*`.

mod cookies;
mod env;
mod footguns;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use auth_core::policy::{InvalidSetting, Policy};
use auth_core::token::RootSecret;
use auth_core::types::Limit;
use http::uri::{PathAndQuery, Uri};
use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::hash::Argon2Params;
#[cfg(feature = "mail")]
use crate::mail::Sender;

pub use self::cookies::{CookieConfig, SameSite};
pub(crate) use self::cookies::{Named, Names};

/// The settings. Start from [`Config::new`] or [`Config::from_env`] and change what differs;
/// [`AuthBuilder::build`](crate::AuthBuilder::build) refuses what cannot be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs tokens.
    pub secret: RootSecret,
    /// Secrets whose tokens are still, or already, accepted.
    pub accepted_secrets: Vec<RootSecret>,
    /// Keys of stored data, the current one first. Empty: `secret`, as long as there are no `accepted_secrets`. A secret
    /// that was the data key stays one under another `secret`: put it here before rotating.
    pub data_keys: Vec<RootSecret>,
    /// Whether password hashes also need a key from outside the database. Default off: losing the key then loses all
    /// passwords.
    pub pepper: bool,
    /// The cost of password hashes.
    pub argon2: Argon2Params,
    /// Threads that hash: 1 to 64. Default: one fewer than there are cores, at least one.
    pub hash_threads: Option<usize>,
    /// Passwords that may wait to be hashed: 1 to 100,000. Default 256.
    pub hash_queue: usize,
    /// Which choices of wire format and disclosure apply.
    pub profile: Profile,
    /// Where the endpoints are mounted, seen from the client. Default `/api/auth`. Cookies' paths follow.
    pub public_path: String,
    /// Base of the links in mails: scheme, host and maybe a path, without a slash at the end.
    pub frontend_url: String,
    /// What the application is called in mails, and what passwords must not resemble. Default `AuthSystem`.
    pub product: String,
    /// The sender of mails; transports take it from `Config::sender`. Default `AuthSystem <no-reply@localhost>`.
    pub mail_from: String,
    /// Origins whose pages may send requests with credentials. Empty: the front-end's.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` counts. Empty: the header is ignored.
    pub trusted_proxies: Vec<IpNet>,
    /// The cookies.
    pub cookies: CookieConfig,
    /// How often one address may call what.
    pub throttles: Throttles,
    /// Longest time that the whole body of a request may take to arrive: 1 second to 5 minutes. Default 10 seconds.
    pub body_timeout: Duration,
    /// Whether an access token is also taken from `Authorization: Bearer`. Default off.
    pub bearer: bool,
    /// Whether `openapi.json` is served below the public path, to every caller. Needs the feature `openapi`. Default off.
    pub openapi: bool,
    /// The `iss` of tokens; passwords must not resemble it. Default `auth-system`.
    pub issuer: String,
    /// The `aud` of tokens. Default `auth-system`.
    pub audience: String,
    /// Whose account [`Auth::ensure_superuser`](crate::Auth::ensure_superuser) makes. Default nobody's.
    pub superuser: Option<Superuser>,
    /// What the flows go by.
    pub policy: Policy,
}

/// The account that the configuration itself asks for.
#[derive(Clone)]
pub struct Superuser {
    /// The address.
    pub email: String,
    /// The password of a new account or an unverified one. A verified account keeps its own.
    pub password: Secret,
}

/// Shows no password.
impl fmt::Debug for Superuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Superuser").field("email", &self.email).finish_non_exhaustive()
    }
}

/// A text of the configuration that is shown nowhere.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which choices of wire format and disclosure apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// `application/problem+json`; nobody learns which addresses have accounts.
    #[default]
    Standard,
    /// What a front-end written for django-auth-system reads: its JSON shapes and texts. Usernames and
    /// `confirm_password` are required, sign-up tells that an address is taken, and no password is entirely numeric.
    Django,
}

/// The limits by address that differ from their defaults: how often one address (of IPv6: one /64) may call what,
/// successes included.
///
/// | name | endpoints that share it | default per minute |
/// |---|---|---|
/// | `signup` | `signup/` | 5 |
/// | `login` | `login/` | 10 |
/// | `refresh` | `refresh/` | 60 |
/// | `password_reset` | `password-reset/` | 5 |
/// | `resend_verification` | `resend-verification/` | 5 |
/// | `confirm` | `verify-account/`, `password-reset-confirm/`, `change-email-confirm/`, `not-me/` | 20 |
/// | `change_password` | `change-password/` | 10 |
/// | `change_email` | `change-email/` | 5 |
/// | `reauthenticate` | `reauthenticate/`, `deactivate-account/` | 10 |
/// | `two_factor` | `2fa/setup/`, `2fa/enable/`, `2fa/disable/`, `2fa/replace/`, new backup codes | 10 |
/// | `verify_2fa` | `2fa/verify-login/` | 10 |
///
/// An endpoint of the application's own has its path as the name, without the slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttles(BTreeMap<String, Option<Limit>>);

impl Throttles {
    /// Sets the limit of this name. [`AuthBuilder::build`](crate::AuthBuilder::build) refuses names that no endpoint has.
    pub fn set(&mut self, name: &str, limit: Limit) -> &mut Self {
        self.0.insert(name.to_owned(), Some(limit));
        self
    }

    /// Switches the limit of this name off; all others stay on.
    pub fn off(&mut self, name: &str) -> &mut Self {
        self.0.insert(name.to_owned(), None);
        self
    }

    /// What was set for this name: a limit, or that there is none.
    pub fn get(&self, name: &str) -> Option<Option<Limit>> {
        self.0.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Config {
    /// Safe defaults around a secret and the front-end's address, such as `https://app.example.org`.
    pub fn new(secret: RootSecret, frontend_url: impl Into<String>) -> Self {
        Self {
            secret,
            accepted_secrets: Vec::new(),
            data_keys: Vec::new(),
            pepper: false,
            argon2: Argon2Params::default(),
            hash_threads: None,
            hash_queue: 256,
            profile: Profile::Standard,
            public_path: "/api/auth".into(),
            frontend_url: frontend_url.into(),
            product: "AuthSystem".into(),
            mail_from: "AuthSystem <no-reply@localhost>".into(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            cookies: CookieConfig::default(),
            throttles: Throttles::default(),
            body_timeout: Duration::from_secs(10),
            bearer: false,
            openapi: false,
            issuer: "auth-system".into(),
            audience: "auth-system".into(),
            superuser: None,
            policy: Policy::default(),
        }
    }

    /// The policy as the profile has it.
    pub(crate) fn effective_policy(&self) -> Policy {
        let django = self.profile == Profile::Django;
        let mut policy = self.policy.clone();
        policy.password.refuse_numeric |= django;
        policy.password.service_names.extend([self.product.clone(), self.issuer.clone()]);
        Policy {
            usernames: policy.usernames || django,
            reveal_taken_emails: policy.reveal_taken_emails || django,
            ..policy
        }
    }

    /// The origin of the front-end.
    pub(crate) fn frontend_origin(&self) -> Result<String, InvalidSetting> {
        parse_origin("frontend_url", &self.frontend_url, true)
    }

    /// The origins that may send credentials: those configured, or the front-end's own.
    pub(crate) fn effective_origins(&self) -> Result<Vec<String>, InvalidSetting> {
        let frontend = self.frontend_origin()?;
        if self.allowed_origins.is_empty() {
            return Ok(vec![frontend]);
        }
        self.allowed_origins.iter().map(|origin| parse_origin("allowed_origins", origin, false)).collect()
    }

    /// Refuses what the other parts' own checks do not see.
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        let segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
        };
        let path = self.public_path.strip_prefix('/');
        if !path.is_some_and(|path| path.split('/').all(|part| segment(part) && part != "." && part != "..")) {
            return Err(InvalidSetting::new("public_path", "must look like `/api/auth`, without a slash at the end"));
        }
        if self.openapi && !cfg!(feature = "openapi") {
            return Err(InvalidSetting::new("openapi", "needs the feature `openapi`, and this was built without it"));
        }
        if !self.accepted_secrets.is_empty() && self.data_keys.is_empty() {
            let problem = "must be given beside `accepted_secrets` (AUTH_DATA_KEYS beside AUTH_SECRET_ACCEPTED): dropping a \
                secret would destroy what is stored under it. Where there were none so far, begin with the secret of so far";
            return Err(InvalidSetting::new("data_keys", problem));
        }
        self.cookies.check(self.profile, &self.public_path)?;
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.body_timeout) {
            return Err(InvalidSetting::new("body_timeout", "must be 1 second to 5 minutes"));
        }
        if self.product.is_empty() || self.product.len() > 100 || self.product.chars().any(char::is_control) {
            return Err(InvalidSetting::new("product", "must be 1 to 100 bytes without control characters"));
        }
        if footguns::hold_every_address(&self.trusted_proxies) {
            let problem = "must not hold every address: a client could then claim any other one";
            return Err(InvalidSetting::new("trusted_proxies", problem));
        }
        #[cfg(feature = "mail")]
        self.sender()?;
        self.effective_origins().map(|_| ())
    }

    /// The sender of mails, for the transports that take one.
    ///
    /// # Errors
    /// [`InvalidSetting`] when `mail_from` is not exactly one mailbox.
    #[cfg(feature = "mail")]
    pub fn sender(&self) -> Result<Sender, InvalidSetting> {
        self.mail_from
            .parse()
            .map_err(|error: crate::mail::SetupError| InvalidSetting::new("mail_from", error.to_string()))
    }
}

/// The origin of a URL, as browsers spell it (RFC 6454 section 6.2). With `base`, a path may follow.
fn parse_origin(setting: &'static str, url: &str, base: bool) -> Result<String, InvalidSetting> {
    // What stands before an `@` may be a password.
    let shown = if url.contains('@') { String::new() } else { format!("`{url}` ") };
    let wrong = |problem: &str| InvalidSetting::new(setting, format!("{shown}{problem}"));
    let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
        return Err(wrong("must begin with http:// or https:// and a host"));
    };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(wrong("must have a host and no user"));
    }
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let bare = path.is_empty() || path == "/";
    if url.ends_with('/') || url.contains(['?', '#']) || (!base && !bare) {
        return Err(wrong(if base {
            "must not end with a slash or have a query"
        } else {
            "must be scheme, host and port only"
        }));
    }
    let host = authority.host().to_ascii_lowercase();
    let named = |b: u8| b.is_ascii_alphanumeric() || b".-[]:".contains(&b);
    // What the parser drops must not pass for an origin with the default port.
    let port = authority.as_str().get(host.len()..).unwrap_or("");
    let port_fits =
        port.is_empty() || (authority.port_u16().is_some() && port.bytes().skip(1).all(|b| b.is_ascii_digit()));
    if !host.bytes().all(named) || !port_fits {
        return Err(wrong("must have a host of letters, digits, dots and dashes, and a port up to 65535 if any"));
    }
    let default_port = if scheme == "https" { 443 } else { 80 };
    Ok(match authority.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelt_as_browsers_spell_it() {
        let origin = |url: &str| parse_origin("allowed_origins", url, false).ok();
        for (url, expected) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://app.example:8080", "http://app.example:8080"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(expected), "{url}");
        }
        for url in [
            "https://a.example:99999",
            "https://a.example:",
            "https://a.example:+80",
            "https://*.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://a.example?x",
            "https://u@a.example",
            "ftp://a.example",
            "a.example",
            "null",
            "",
        ] {
            assert_eq!(origin(url), None, "{url}");
        }
    }
}
