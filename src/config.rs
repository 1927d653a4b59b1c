//! One [`Config`] for everything outside the flows: keys, addresses, cookies and the profile. In code or from `AUTH_*`.

use std::cell::Cell;
use std::env::{self, VarError};
use std::fmt;
use std::time::Duration;

use auth_core::policy::{InvalidSetting, Policy};
use auth_core::token::RootSecret;
use auth_core::types::Limit;
use http::uri::{PathAndQuery, Uri};
use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::hash::Argon2Params;
use crate::http::throttle;
#[cfg(feature = "mail")]
use crate::mail::Sender;

/// The settings. Start from [`Config::new`] or [`Config::from_env`] and change what differs;
/// [`AuthBuilder::build`](crate::AuthBuilder::build) refuses what cannot be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs tokens.
    pub secret: RootSecret,
    /// Secrets whose tokens are still, or already, accepted.
    pub accepted_secrets: Vec<RootSecret>,
    /// Keys of stored data, the current one first. Empty: `secret` and `accepted_secrets`.
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
    /// Whether an access token is also taken from `Authorization: Bearer`. Default off.
    pub bearer: bool,
    /// Whether `openapi.json` and the page `docs/` are served below the public path, to anybody; needs the feature
    /// `openapi`. Default off.
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
    /// The password of a new account; one that exists keeps its own.
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
pub enum Profile {
    /// `application/problem+json`; nobody learns which addresses have accounts.
    #[default]
    Standard,
    /// What a front-end written for django-auth-system reads: its JSON shapes and texts. Usernames and
    /// `confirm_password` are required, sign-up tells that an address is taken, and no password is entirely numeric.
    Django,
}

/// `SameSite` of the cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Only on requests from the same site.
    Strict,
    /// Also when a link from elsewhere is followed.
    Lax,
    /// Always; needs `secure`.
    None,
}

impl SameSite {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// How often one address (of IPv6: one /64) may call what, successes included.
#[derive(Clone, Debug)]
pub struct Throttles {
    /// `signup/`. Default 5 a minute.
    pub signup: Limit,
    /// `login/`. Default 10 a minute.
    pub login: Limit,
    /// `refresh/`. Default 60 a minute.
    pub refresh: Limit,
    /// `password-reset/`. Default 5 a minute.
    pub password_reset: Limit,
    /// `resend-verification/`. Default 5 a minute.
    pub resend_verification: Limit,
    /// `verify-account/`, `password-reset-confirm/`, `change-email-confirm/` and `not-me/` together. Default 20 a minute.
    pub confirm: Limit,
    /// `change-password/`. Default 10 a minute.
    pub change_password: Limit,
    /// `change-email/`. Default 5 a minute.
    pub change_email: Limit,
    /// `reauthenticate/` and `deactivate-account/` together. Default 10 a minute.
    pub reauthenticate: Limit,
    /// `2fa/setup/`, `2fa/enable/`, `2fa/disable/` and new backup codes together. Default 10 a minute.
    pub two_factor: Limit,
    /// `2fa/verify-login/`. Default 10 a minute.
    pub verify_2fa: Limit,
}

impl Default for Throttles {
    fn default() -> Self {
        let a_minute = |count| Limit::new(count, Duration::from_secs(60));
        Self {
            signup: a_minute(5),
            login: a_minute(10),
            refresh: a_minute(60),
            password_reset: a_minute(5),
            resend_verification: a_minute(5),
            confirm: a_minute(20),
            change_password: a_minute(10),
            change_email: a_minute(5),
            reauthenticate: a_minute(10),
            two_factor: a_minute(10),
            verify_2fa: a_minute(10),
        }
    }
}

/// The cookies.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    /// Name of the access cookie. Default `access_token`.
    pub access_name: String,
    /// Name of the refresh cookie. Default `refresh_token`.
    pub refresh_name: String,
    /// Name of the cookie that marks a known device. Default `known_device`.
    pub device_name: String,
    /// `Secure`. Default true.
    pub secure: bool,
    /// `HttpOnly`. Default true; without it any script on the page can steal the session.
    pub http_only: bool,
    /// `SameSite`. Default `Lax`.
    pub same_site: SameSite,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            access_name: "access_token".into(),
            refresh_name: "refresh_token".into(),
            device_name: "known_device".into(),
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
        }
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
            bearer: false,
            openapi: false,
            issuer: "auth-system".into(),
            audience: "auth-system".into(),
            superuser: None,
            policy: Policy::default(),
        }
    }

    /// Reads `AUTH_SECRET`, `AUTH_FRONTEND_URL` and all other settings from the environment.
    ///
    /// # Errors
    /// [`InvalidSetting`] names a variable that is missing or cannot be read.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        let garbled = Cell::new(None);
        let config = Self::from_lookup(|name| match env::var(name) {
            Err(VarError::NotUnicode(_)) => {
                garbled.set(Some(name));
                None
            }
            found => found.ok(),
        });
        // Never taken for unset.
        garbled.get().map_or(config, |name| Err(InvalidSetting::new(name, "is not UTF-8")))
    }

    /// As [`from_env`](Self::from_env), with variables from anywhere.
    ///
    /// # Errors
    /// [`InvalidSetting`] names a variable that is missing or cannot be read.
    pub fn from_lookup(lookup: impl Fn(&'static str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let env = Env { lookup };
        let secret = env.required("AUTH_SECRET", "make one with `openssl rand -hex 32`")?;
        let secret = parse_secret("AUTH_SECRET", &secret)?;
        let mut config = Self::new(secret, env.required("AUTH_FRONTEND_URL", "the base of the links in mails")?);
        env.list("AUTH_SECRET_ACCEPTED", &mut config.accepted_secrets, parse_secret)?;
        env.list("AUTH_DATA_KEYS", &mut config.data_keys, parse_secret)?;
        env.set("AUTH_PEPPER", &mut config.pepper, parse_bool)?;
        let argon2 = config.argon2;
        let (mut memory_kib, mut iterations) = (argon2.memory_kib(), argon2.iterations());
        let mut parallelism = argon2.parallelism();
        env.set("AUTH_ARGON2_MEMORY_KIB", &mut memory_kib, parse_number)?;
        env.set("AUTH_ARGON2_ITERATIONS", &mut iterations, parse_number)?;
        env.set("AUTH_ARGON2_PARALLELISM", &mut parallelism, parse_number)?;
        config.argon2 = Argon2Params::new(memory_kib, iterations, parallelism).map_err(by_variable)?;
        env.set("AUTH_HASH_THREADS", &mut config.hash_threads, |name, text| parse_number(name, text).map(Some))?;
        env.set("AUTH_HASH_QUEUE", &mut config.hash_queue, parse_number)?;
        env.set("AUTH_PROFILE", &mut config.profile, parse_profile)?;
        env.set("AUTH_PUBLIC_PATH", &mut config.public_path, parse_text)?;
        env.set("AUTH_PRODUCT", &mut config.product, parse_text)?;
        env.set("AUTH_MAIL_FROM", &mut config.mail_from, parse_text)?;
        env.list("AUTH_ALLOWED_ORIGINS", &mut config.allowed_origins, parse_text)?;
        env.list("AUTH_TRUSTED_PROXIES", &mut config.trusted_proxies, parse_network)?;
        env.set("AUTH_ACCESS_COOKIE_NAME", &mut config.cookies.access_name, parse_text)?;
        env.set("AUTH_REFRESH_COOKIE_NAME", &mut config.cookies.refresh_name, parse_text)?;
        env.set("AUTH_DEVICE_COOKIE_NAME", &mut config.cookies.device_name, parse_text)?;
        env.set("AUTH_COOKIE_SECURE", &mut config.cookies.secure, parse_bool)?;
        env.set("AUTH_COOKIE_HTTPONLY", &mut config.cookies.http_only, parse_bool)?;
        env.set("AUTH_COOKIE_SAMESITE", &mut config.cookies.same_site, parse_same_site)?;
        env.set("AUTH_BEARER", &mut config.bearer, parse_bool)?;
        env.set("AUTH_OPENAPI", &mut config.openapi, parse_bool)?;
        env.set("AUTH_ISSUER", &mut config.issuer, parse_text)?;
        env.set("AUTH_AUDIENCE", &mut config.audience, parse_text)?;
        config.superuser = match (env.get("AUTH_SUPERUSER_EMAIL"), env.get("AUTH_SUPERUSER_PASSWORD")) {
            (Some(email), Some(password)) => Some(Superuser { email, password: Secret::new(password) }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(InvalidSetting::new("AUTH_SUPERUSER_EMAIL", "is not set, but the password is"));
            }
            (Some(_), None) => {
                return Err(InvalidSetting::new("AUTH_SUPERUSER_PASSWORD", "is not set, but the address is"));
            }
        };
        let throttles = &mut config.throttles;
        env.set("AUTH_THROTTLE_SIGNUP", &mut throttles.signup, parse_limit)?;
        env.set("AUTH_THROTTLE_LOGIN", &mut throttles.login, parse_limit)?;
        env.set("AUTH_THROTTLE_REFRESH", &mut throttles.refresh, parse_limit)?;
        env.set("AUTH_THROTTLE_PASSWORD_RESET", &mut throttles.password_reset, parse_limit)?;
        env.set("AUTH_THROTTLE_RESEND_VERIFICATION", &mut throttles.resend_verification, parse_limit)?;
        env.set("AUTH_THROTTLE_CONFIRM", &mut throttles.confirm, parse_limit)?;
        env.set("AUTH_THROTTLE_CHANGE_PASSWORD", &mut throttles.change_password, parse_limit)?;
        env.set("AUTH_THROTTLE_CHANGE_EMAIL", &mut throttles.change_email, parse_limit)?;
        env.set("AUTH_THROTTLE_REAUTHENTICATE", &mut throttles.reauthenticate, parse_limit)?;
        env.set("AUTH_THROTTLE_TWO_FACTOR", &mut throttles.two_factor, parse_limit)?;
        env.set("AUTH_THROTTLE_VERIFY_2FA", &mut throttles.verify_2fa, parse_limit)?;
        let policy = &mut config.policy;
        env.set("AUTH_THROTTLE", &mut policy.timed_limits, parse_bool)?;
        env.set("AUTH_LOGIN_ATTEMPTS", &mut policy.login_attempts, parse_limit)?;
        env.set("AUTH_DEVICE_ATTEMPTS", &mut policy.device_attempts, parse_limit)?;
        env.set("AUTH_MAX_CONSECUTIVE_FAILURES", &mut policy.max_consecutive_failures, parse_number)?;
        env.set("AUTH_ACCESS_LIFETIME", &mut policy.access_lifetime, parse_seconds)?;
        env.set("AUTH_IDLE_LIFETIME", &mut policy.idle_lifetime, parse_seconds)?;
        env.set("AUTH_SESSION_LIFETIME", &mut policy.session_lifetime, parse_seconds)?;
        env.set("AUTH_REFRESH_WINDOW", &mut policy.refresh_window, parse_seconds)?;
        env.set("AUTH_REVOCATION_LAG", &mut policy.revocation_lag, parse_seconds)?;
        env.set("AUTH_VERIFY_LINK_LIFETIME", &mut policy.verify_link_lifetime, parse_seconds)?;
        env.set("AUTH_RESET_LINK_LIFETIME", &mut policy.reset_link_lifetime, parse_seconds)?;
        env.set("AUTH_CHANGE_EMAIL_LINK_LIFETIME", &mut policy.change_email_link_lifetime, parse_seconds)?;
        env.set("AUTH_NOT_ME_LINK_LIFETIME", &mut policy.not_me_link_lifetime, parse_seconds)?;
        env.set("AUTH_SUDO_MAX_AGE", &mut policy.sudo_max_age, parse_seconds)?;
        env.set("AUTH_REQUIRE_SECOND_FACTOR", &mut policy.require_second_factor, parse_bool)?;
        env.set("AUTH_SECOND_FACTOR_ATTEMPTS", &mut policy.second_factor_attempts, parse_limit)?;
        env.set("AUTH_TOTP_SKEW", &mut policy.totp_skew, parse_number)?;
        env.set("AUTH_TOTP_ISSUER", &mut policy.totp_issuer, parse_text)?;
        env.set("AUTH_TOTP_SETUP_LIFETIME", &mut policy.totp_setup_lifetime, parse_seconds)?;
        env.set("AUTH_PENDING_LIFETIME", &mut policy.pending_lifetime, parse_seconds)?;
        env.set("AUTH_BACKUP_CODES", &mut policy.backup_codes, parse_number)?;
        env.set("AUTH_PASSWORD_MIN_LENGTH", &mut policy.password.min_chars, parse_number)?;
        env.set("AUTH_PASSWORD_MAX_LENGTH", &mut policy.password.max_chars, parse_number)?;
        env.set("AUTH_USERNAMES", &mut policy.usernames, parse_bool)?;
        env.set("AUTH_MAIL_ATTEMPTS", &mut policy.mail_attempts, parse_number)?;
        Ok(config)
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

    /// The origins that may send credentials: those configured, or the front-end's own.
    pub(crate) fn effective_origins(&self) -> Result<Vec<String>, InvalidSetting> {
        let frontend = parse_origin("frontend_url", &self.frontend_url, true)?;
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
        self.cookies.check()?;
        throttle::check(&self.throttles)?;
        if self.product.is_empty() || self.product.len() > 100 || self.product.chars().any(char::is_control) {
            return Err(InvalidSetting::new("product", "must be 1 to 100 bytes without control characters"));
        }
        if self.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
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

impl CookieConfig {
    fn check(&self) -> Result<(), InvalidSetting> {
        let names = [
            ("cookies.access_name", &self.access_name),
            ("cookies.refresh_name", &self.refresh_name),
            ("cookies.device_name", &self.device_name),
        ];
        for (setting, name) in names {
            // RFC 6265 section 4.1.1: a token of RFC 9110.
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
                return Err(InvalidSetting::new(setting, "must be 1 to 64 letters, digits, dashes or underscores"));
            }
            let prefix = name.to_ascii_lowercase();
            if (prefix.starts_with("__host-") || prefix.starts_with("__secure-")) && !self.secure {
                return Err(InvalidSetting::new(setting, "this prefix needs `cookies.secure`"));
            }
        }
        for (setting, name) in [names[1], names[2]] {
            if name.to_ascii_lowercase().starts_with("__host-") {
                let problem = "browsers take `__Host-` only with the path `/`, and this cookie's path is narrower";
                return Err(InvalidSetting::new(setting, problem));
            }
        }
        if self.access_name == self.refresh_name {
            return Err(InvalidSetting::new("cookies.refresh_name", "must differ from `cookies.access_name`"));
        }
        if [&self.access_name, &self.refresh_name].contains(&&self.device_name) {
            return Err(InvalidSetting::new("cookies.device_name", "must differ from the other cookies' names"));
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(InvalidSetting::new("cookies.same_site", "browsers take `None` only with `cookies.secure`"));
        }
        Ok(())
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

/// Reads variables; an empty one counts as unset.
struct Env<F> {
    lookup: F,
}

impl<F: Fn(&'static str) -> Option<String>> Env<F> {
    fn get(&self, name: &'static str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn required(&self, name: &'static str, hint: &str) -> Result<String, InvalidSetting> {
        self.get(name).ok_or_else(|| InvalidSetting::new(name, format!("is not set: {hint}")))
    }

    fn set<T>(
        &self,
        name: &'static str,
        slot: &mut T,
        parse: impl Fn(&'static str, &str) -> Result<T, InvalidSetting>,
    ) -> Result<(), InvalidSetting> {
        if let Some(text) = self.get(name) {
            *slot = parse(name, &text)?;
        }
        Ok(())
    }

    /// Values separated by commas.
    fn list<T>(
        &self,
        name: &'static str,
        slot: &mut Vec<T>,
        parse: impl Fn(&'static str, &str) -> Result<T, InvalidSetting>,
    ) -> Result<(), InvalidSetting> {
        self.set(name, slot, |name, text| text.split(',').map(|item| parse(name, item.trim())).collect())
    }
}

/// Which variable is at fault for the cost of a hash: what is too little depends on all three.
fn by_variable(error: InvalidSetting) -> InvalidSetting {
    let setting = match error.setting {
        "hash.memory_kib" => "AUTH_ARGON2_MEMORY_KIB",
        "hash.iterations" => "AUTH_ARGON2_ITERATIONS",
        "hash.parallelism" => "AUTH_ARGON2_PARALLELISM",
        other => other,
    };
    InvalidSetting { setting, ..error }
}

fn parse_text(_name: &'static str, text: &str) -> Result<String, InvalidSetting> {
    Ok(text.to_owned())
}

fn parse_secret(name: &'static str, text: &str) -> Result<RootSecret, InvalidSetting> {
    RootSecret::parse(text).map_err(|weak| InvalidSetting::new(name, weak.to_string()))
}

fn parse_bool(name: &'static str, text: &str) -> Result<bool, InvalidSetting> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "yes" => Ok(true),
        "false" | "off" | "0" | "no" => Ok(false),
        _ => Err(InvalidSetting::new(name, format!("`{text}` is neither true nor false"))),
    }
}

fn parse_number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, InvalidSetting> {
    text.parse().map_err(|_| InvalidSetting::new(name, format!("`{text}` is not a number in range")))
}

fn parse_seconds(name: &'static str, text: &str) -> Result<Duration, InvalidSetting> {
    let seconds: f64 = parse_number(name, text)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| InvalidSetting::new(name, format!("`{text}` is not a number of seconds")))
}

/// `10/min`, `5/2h`, `3/30s`: so many in so much time.
fn parse_limit(name: &'static str, text: &str) -> Result<Limit, InvalidSetting> {
    let parse = || {
        let (count, window) = text.split_once('/')?;
        let digits = window.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = window.split_at(digits);
        let number: u64 = if number.is_empty() { 1 } else { number.parse().ok()? };
        let seconds = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 60 * 60,
            "d" | "day" => 24 * 60 * 60,
            _ => return None,
        };
        Some(Limit::new(count.trim().parse().ok()?, Duration::from_secs(number.checked_mul(seconds)?)))
    };
    parse().ok_or_else(|| InvalidSetting::new(name, format!("`{text}` is not a limit such as `10/min`")))
}

fn parse_network(name: &'static str, text: &str) -> Result<IpNet, InvalidSetting> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .ok()
        .or_else(|| address().ok())
        .ok_or_else(|| InvalidSetting::new(name, format!("`{text}` is not a network such as 10.0.0.0/8")))
}

fn parse_profile(name: &'static str, text: &str) -> Result<Profile, InvalidSetting> {
    match text {
        "standard" => Ok(Profile::Standard),
        "django" => Ok(Profile::Django),
        _ => Err(InvalidSetting::new(name, format!("`{text}` is neither `standard` nor `django`"))),
    }
}

fn parse_same_site(name: &'static str, text: &str) -> Result<SameSite, InvalidSetting> {
    match text.to_ascii_lowercase().as_str() {
        "strict" => Ok(SameSite::Strict),
        "lax" => Ok(SameSite::Lax),
        "none" => Ok(SameSite::None),
        _ => Err(InvalidSetting::new(name, format!("`{text}` is none of Strict, Lax and None"))),
    }
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
