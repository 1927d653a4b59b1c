//! The settings from the environment: which variable sets which field, and what its text means.

use std::cell::Cell;
use std::env::{self, VarError};
use std::time::Duration;

use auth_core::policy::{Disputes, InvalidSetting};
use auth_core::token::RootSecret;
use auth_core::types::Limit;
use ipnet::IpNet;

use super::{Config, Profile, SameSite, Secret, Superuser};
use crate::hash::Argon2Params;

/// The limits by address: the variable of each, and its name in [`Throttles`](super::Throttles).
const THROTTLES: [(&str, &str); 11] = [
    ("AUTH_THROTTLE_SIGNUP", "signup"),
    ("AUTH_THROTTLE_LOGIN", "login"),
    ("AUTH_THROTTLE_REFRESH", "refresh"),
    ("AUTH_THROTTLE_PASSWORD_RESET", "password_reset"),
    ("AUTH_THROTTLE_RESEND_VERIFICATION", "resend_verification"),
    ("AUTH_THROTTLE_CONFIRM", "confirm"),
    ("AUTH_THROTTLE_CHANGE_PASSWORD", "change_password"),
    ("AUTH_THROTTLE_CHANGE_EMAIL", "change_email"),
    ("AUTH_THROTTLE_REAUTHENTICATE", "reauthenticate"),
    ("AUTH_THROTTLE_TWO_FACTOR", "two_factor"),
    ("AUTH_THROTTLE_VERIFY_2FA", "verify_2fa"),
];

impl Config {
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
        env.set("AUTH_ACCESS_COOKIE_NAME", &mut config.cookies.access_name, parse_name)?;
        env.set("AUTH_REFRESH_COOKIE_NAME", &mut config.cookies.refresh_name, parse_name)?;
        env.set("AUTH_DEVICE_COOKIE_NAME", &mut config.cookies.device_name, parse_name)?;
        env.set("AUTH_COOKIE_SECURE", &mut config.cookies.secure, parse_bool)?;
        env.set("AUTH_COOKIE_HTTPONLY", &mut config.cookies.http_only, parse_bool)?;
        env.set("AUTH_COOKIE_SAMESITE", &mut config.cookies.same_site, parse_same_site)?;
        env.set("AUTH_BODY_TIMEOUT", &mut config.body_timeout, parse_seconds)?;
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
        for (variable, name) in THROTTLES {
            match env.get(variable).as_deref() {
                None => {}
                Some("off") => _ = config.throttles.off(name),
                Some(text) => _ = config.throttles.set(name, parse_limit(variable, text)?),
            }
        }
        let policy = &mut config.policy;
        env.set("AUTH_THROTTLE", &mut policy.timed_limits, parse_bool)?;
        env.set("AUTH_LOGIN_ATTEMPTS", &mut policy.login_attempts, parse_limit)?;
        env.set("AUTH_DEVICE_ATTEMPTS", &mut policy.device_attempts, parse_limit)?;
        env.set("AUTH_DEVICE_LIFETIME", &mut policy.device_lifetime, parse_seconds)?;
        env.set("AUTH_MAILS_PER_RECIPIENT", &mut policy.mails_per_recipient, parse_limit)?;
        env.set("AUTH_MAX_CONSECUTIVE_FAILURES", &mut policy.max_consecutive_failures, parse_number)?;
        env.set("AUTH_ACCESS_LIFETIME", &mut policy.access_lifetime, parse_seconds)?;
        env.set("AUTH_IDLE_LIFETIME", &mut policy.idle_lifetime, parse_seconds)?;
        env.set("AUTH_SESSION_LIFETIME", &mut policy.session_lifetime, parse_seconds)?;
        env.set("AUTH_REFRESH_WINDOW", &mut policy.refresh_window, parse_seconds)?;
        env.set("AUTH_REFRESH_RETRY", &mut policy.refresh_retry, |name, text| parse_seconds(name, text).map(Some))?;
        env.set("AUTH_REVOCATION_LAG", &mut policy.revocation_lag, parse_seconds)?;
        env.set("AUTH_VERIFY_LINK_LIFETIME", &mut policy.verify_link_lifetime, parse_seconds)?;
        env.set("AUTH_RESET_LINK_LIFETIME", &mut policy.reset_link_lifetime, parse_seconds)?;
        env.set("AUTH_CHANGE_EMAIL_LINK_LIFETIME", &mut policy.change_email_link_lifetime, parse_seconds)?;
        env.set("AUTH_NOT_ME_LINK_LIFETIME", &mut policy.not_me_link_lifetime, parse_seconds)?;
        env.set("AUTH_DISPUTES", &mut policy.disputes, parse_disputes)?;
        env.set("AUTH_UNVERIFIED_LIFETIME", &mut policy.unverified_lifetime, parse_seconds)?;
        env.set("AUTH_DEACTIVATED_LIFETIME", &mut policy.deactivated_lifetime, parse_seconds)?;
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

fn parse_name(_name: &'static str, text: &str) -> Result<Option<String>, InvalidSetting> {
    Ok(Some(text.to_owned()))
}

fn parse_secret(name: &'static str, text: &str) -> Result<RootSecret, InvalidSetting> {
    RootSecret::parse(text).map_err(|weak| InvalidSetting::new(name, weak.to_string()))
}

fn parse_disputes(name: &'static str, text: &str) -> Result<Disputes, InvalidSetting> {
    match text {
        "wait" => Ok(Disputes::Wait),
        "operator" => Ok(Disputes::Operator),
        _ => Err(InvalidSetting::new(name, format!("`{text}` is neither `wait` nor `operator`"))),
    }
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
