//! What the flows go by: lifetimes, limits and rules, as data with safe defaults.

mod common_passwords;
mod password;

use std::time::Duration;

pub use password::{NewPassword, PasswordPolicy};

use crate::types::{Limit, SUPERUSER};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that [`Policy::refresh_retry`] may be.
const MAX_REFRESH_RETRY: Duration = Duration::from_secs(300);
/// The most that [`Policy::access_lifetime`] may be.
pub(crate) const MAX_ACCESS_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The rules of the account system. `Policy::default()` is safe; [`check`](Policy::check) refuses contradictions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long an access token lives: 1 s to 1 h, and longer than `refresh_window`. Default 15 min.
    pub access_lifetime: Duration,
    /// How long a session lives without a refresh: at least `access_lifetime`. Default 7 d.
    pub idle_lifetime: Duration,
    /// How long a session lives at most: at least `idle_lifetime`. Default 30 d.
    pub session_lifetime: Duration,
    /// How long after a rotation its predecessor is answered with the current token: at most 60 s. Default 10 s.
    /// Zero is strict: a tab that loses a race ends the session.
    pub refresh_window: Duration,
    /// The time after a rotation in which its predecessor is answered with the current token, while that token was never
    /// presented. This serves clients that lost the answer. Zero to 300 s, and shorter than `access_lifetime`. `None`, the
    /// default, means 60 s, less if access tokens expire earlier, and zero if `refresh_window` is zero. An attacker who
    /// presents a stolen token within this time, before the client does, gets the current token. The session is revoked as
    /// soon as either of them presents a token that was replaced.
    pub refresh_retry: Option<Duration>,
    /// How old this node's knowledge of revocations may be before an access check waits for a poll: 10 ms to 60 s.
    /// Default 1 s. What this node itself revokes is known at once.
    pub revocation_lag: Duration,
    /// How long a verification link works: 1 min to 30 d. Default 3 d.
    pub verify_link_lifetime: Duration,
    /// How long a link that sets a password works: 1 min to 1 d. Default 60 min.
    pub reset_link_lifetime: Duration,
    /// How long a link that moves an account to another address works: 1 min to 1 d. Default 60 min.
    pub change_email_link_lifetime: Duration,
    /// How long the link of a notice takes back the change that it reports: 1 h to 30 d. Default 72 h.
    pub not_me_link_lifetime: Duration,
    /// The way back to an account that more than one address claims. Default [`Disputes::Wait`].
    pub disputes: Disputes,
    /// The time that a sign-up waits for its mailbox to be verified before it is removed: 1 d to 3650 d, and at least
    /// `verify_link_lifetime`. Default 30 d.
    pub unverified_lifetime: Duration,
    /// The time in which the owner of a closed account can reopen it before it is removed: 1 d to 3650 d, and at least
    /// `not_me_link_lifetime`. Default 30 d.
    pub deactivated_lifetime: Duration,
    /// The time after a login in which its user makes sensitive changes without giving the password again: up to 1 d. A
    /// refresh does not count as a login. Zero requires the proof for each change. Default 15 min.
    pub sudo_max_age: Duration,
    /// What makes an acceptable password.
    pub password: PasswordPolicy,
    /// Whether accounts have usernames beside addresses. Default off: a username that is taken can only be refused
    /// openly, so sign-up then tells which usernames exist. In two steps it tells of addresses, too: a username given
    /// with a known address stays free, and the next sign-up finds it so.
    pub usernames: bool,
    /// Whether sign-up says openly that an address is taken. Default off.
    pub reveal_taken_emails: bool,
    /// Whether attempts are limited by time at all: per account here, per address in HTTP. Default on. Durable limits
    /// stay whatever this says.
    pub timed_limits: bool,
    /// Logins for one identifier from devices that are not known, successes aside. Default 10 in 10 min.
    pub login_attempts: Limit,
    /// Logins from one known device, successes aside. Default 10 in 10 min.
    pub device_attempts: Limit,
    /// The time for which a device stays known after its last login: 1 d to 400 d. Default 180 d. A new password ends that sooner.
    pub device_lifetime: Duration,
    /// Mails to one recipient that callers without a session of the account can cause, for each kind. Default 10 an hour,
    /// refilled one by one. It applies even if [`timed_limits`](Self::timed_limits) is off. A known device of the account has
    /// a budget of its own. Notices of changes are outside it. A mail with a link is never withheld for longer than the
    /// link works.
    pub mails_per_recipient: Limit,
    /// Whether every account must have a second factor. Default no: [`SecondFactorRule`](crate::port::SecondFactorRule)
    /// may still ask for one of some. Sessions that are there already go on as they are.
    pub require_second_factor: bool,
    /// Codes of one second factor of one account, successes aside. Default 5 in 5 min.
    pub second_factor_attempts: Limit,
    /// How many steps of 30 s a code may be off, either way: 0 to 2. Default 1 (RFC 6238 section 5.2).
    pub totp_skew: u16,
    /// How long the second step of a login may take: 1 min to 15 min. Default 5 min.
    pub pending_lifetime: Duration,
    /// How long setting up an authenticator may take: 1 min to 1 h. Default 10 min.
    pub totp_setup_lifetime: Duration,
    /// What authenticators call the application: 1 to 64 characters without a colon. Default `AuthSystem`.
    pub totp_issuer: String,
    /// How many backup codes are made: 1 to 50. Default 10.
    pub backup_codes: usize,
    /// Wrong passwords, or codes of one factor, in a row, over any time, after which the password is off until it is reset: 10 to 1000. Default
    /// 100 (NIST SP 800-63B-4 section 3.2.2). Each known device may fail as often by itself, and so may
    /// the account's sessions together, where the password is asked for again.
    pub max_consecutive_failures: u32,
    /// The application's own sign-up fields; whatever else a client sends is dropped.
    pub attributes: Vec<AttributeRule>,
    /// How often a mail is tried before it is set aside as dead: 1 to 100. Default 20, which spans about a day.
    pub mail_attempts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_lifetime: 15 * MINUTE,
            idle_lifetime: 7 * DAY,
            session_lifetime: 30 * DAY,
            refresh_window: Duration::from_secs(10),
            refresh_retry: None,
            revocation_lag: Duration::from_secs(1),
            verify_link_lifetime: 3 * DAY,
            reset_link_lifetime: 60 * MINUTE,
            change_email_link_lifetime: 60 * MINUTE,
            not_me_link_lifetime: 3 * DAY,
            disputes: Disputes::Wait,
            unverified_lifetime: 30 * DAY,
            deactivated_lifetime: 30 * DAY,
            sudo_max_age: 15 * MINUTE,
            password: PasswordPolicy::default(),
            usernames: false,
            reveal_taken_emails: false,
            timed_limits: true,
            login_attempts: Limit::new(10, Duration::from_secs(600)),
            device_attempts: Limit::new(10, Duration::from_secs(600)),
            device_lifetime: 180 * DAY,
            mails_per_recipient: Limit::new(10, 60 * MINUTE),
            require_second_factor: false,
            second_factor_attempts: Limit::new(5, 5 * MINUTE),
            totp_skew: 1,
            pending_lifetime: 5 * MINUTE,
            totp_setup_lifetime: 10 * MINUTE,
            totp_issuer: "AuthSystem".to_owned(),
            backup_codes: 10,
            max_consecutive_failures: 100,
            attributes: vec![AttributeRule::new("first_name", 150), AttributeRule::new("last_name", 150)],
            mail_attempts: 20,
        }
    }
}

/// The end of a dispute in which neither side shows a second factor that was on before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disputes {
    /// After [`Policy::not_me_link_lifetime`] the account goes back to the address that was verified longest, by a reset.
    #[default]
    Wait,
    /// The account stays shut until an operator opens it.
    Operator,
}

/// One text field of the application's own that sign-up accepts.
#[derive(Clone, Debug)]
pub struct AttributeRule {
    /// The field's name in requests and in the account's attributes.
    pub name: &'static str,
    /// The longest value, in characters.
    pub max_chars: usize,
}

impl AttributeRule {
    /// An optional text of at most `max_chars` characters.
    pub const fn new(name: &'static str, max_chars: usize) -> Self {
        Self { name, max_chars }
    }

    /// Whether a value keeps the rule.
    pub(crate) fn permits(&self, value: &str) -> bool {
        value.chars().count() <= self.max_chars
    }
}

/// Names that fields of our own bear; an attribute cannot take them.
const RESERVED_FIELDS: [&str; 18] = [
    "id",
    "email",
    "new_email",
    "username",
    "password",
    "old_password",
    "new_password",
    "confirm_password",
    "status",
    "token",
    "uid",
    "code",
    "tenant",
    "role",
    "roles",
    "permissions",
    "is_staff",
    SUPERUSER,
];

/// A setting that contradicts safety or another setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidSetting {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl InvalidSetting {
    /// Names the setting and the problem.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}

impl Policy {
    /// Refuses values outside their ranges and contradictions between them.
    ///
    /// # Errors
    /// The first [`InvalidSetting`] found.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let within = |setting, value: Duration, low: Duration, high: Duration| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(InvalidSetting::new(setting, format!("{value:?} is not between {low:?} and {high:?}")))
            }
        };
        let second = Duration::from_secs(1);
        within("refresh_window", self.refresh_window, Duration::ZERO, MINUTE)?;
        within("access_lifetime", self.access_lifetime, self.refresh_window + second, MAX_ACCESS_LIFETIME)?;
        if let Some(retry) = self.refresh_retry {
            within("refresh_retry", retry, Duration::ZERO, MAX_REFRESH_RETRY)?;
            // The retry answers with a token that is dated by the rotation and must not have expired.
            within("access_lifetime", self.access_lifetime, retry + second, MAX_ACCESS_LIFETIME)?;
        }
        within("idle_lifetime", self.idle_lifetime, self.access_lifetime, 365 * DAY)?;
        within("session_lifetime", self.session_lifetime, self.idle_lifetime, 3650 * DAY)?;
        within("revocation_lag", self.revocation_lag, Duration::from_millis(10), MINUTE)?;
        within("verify_link_lifetime", self.verify_link_lifetime, MINUTE, 30 * DAY)?;
        within("reset_link_lifetime", self.reset_link_lifetime, MINUTE, DAY)?;
        within("change_email_link_lifetime", self.change_email_link_lifetime, MINUTE, DAY)?;
        within("not_me_link_lifetime", self.not_me_link_lifetime, 60 * MINUTE, 30 * DAY)?;
        within("device_lifetime", self.device_lifetime, DAY, 400 * DAY)?;
        within("unverified_lifetime", self.unverified_lifetime, self.verify_link_lifetime.max(DAY), 3650 * DAY)?;
        within("deactivated_lifetime", self.deactivated_lifetime, self.not_me_link_lifetime.max(DAY), 3650 * DAY)?;
        within("sudo_max_age", self.sudo_max_age, Duration::ZERO, DAY)?;
        if !(1..=100).contains(&self.mail_attempts) {
            return Err(InvalidSetting::new(
                "mail_attempts",
                format!("{} is not between 1 and 100", self.mail_attempts),
            ));
        }
        within("pending_lifetime", self.pending_lifetime, MINUTE, 15 * MINUTE)?;
        within("totp_setup_lifetime", self.totp_setup_lifetime, MINUTE, 60 * MINUTE)?;
        self.check_second_factor()?;
        let limits = [
            ("login_attempts", self.login_attempts),
            ("device_attempts", self.device_attempts),
            ("mails_per_recipient", self.mails_per_recipient),
            ("second_factor_attempts", self.second_factor_attempts),
        ];
        for (setting, limit) in limits {
            check_limit(setting, limit)?;
        }
        if !(10..=1000).contains(&self.max_consecutive_failures) {
            let problem = format!("{} is not between 10 and 1000", self.max_consecutive_failures);
            return Err(InvalidSetting::new("max_consecutive_failures", problem));
        }
        for (index, rule) in self.attributes.iter().enumerate() {
            let repeated = self.attributes.iter().take(index).any(|other| other.name == rule.name);
            if RESERVED_FIELDS.contains(&rule.name) || repeated || !(1..=10_000).contains(&rule.max_chars) {
                let problem = format!("`{}` is reserved, repeated, or not 1 to 10000 characters long", rule.name);
                return Err(InvalidSetting::new("attributes", problem));
            }
        }
        self.password.check()
    }
}

impl Policy {
    /// Returns [`refresh_retry`](Self::refresh_retry), or its default under the other settings.
    pub(crate) fn effective_refresh_retry(&self) -> Duration {
        self.refresh_retry.unwrap_or_else(|| match self.refresh_window {
            Duration::ZERO => Duration::ZERO,
            _ => MINUTE.min(self.access_lifetime.saturating_sub(Duration::from_secs(1))),
        })
    }

    fn check_second_factor(&self) -> Result<(), InvalidSetting> {
        if self.totp_skew > 2 {
            return Err(InvalidSetting::new("totp_skew", format!("{} is not between 0 and 2", self.totp_skew)));
        }
        if !(1..=50).contains(&self.backup_codes) {
            return Err(InvalidSetting::new("backup_codes", format!("{} is not between 1 and 50", self.backup_codes)));
        }
        let issuer = &self.totp_issuer;
        let bad = |c: char| c == ':' || c.is_control();
        if issuer.trim().is_empty() || issuer.chars().count() > 64 || issuer.contains(bad) {
            return Err(InvalidSetting::new("totp_issuer", "must be 1 to 64 characters without a colon"));
        }
        Ok(())
    }
}

/// Refuses a limit outside its ranges, by the setting's name.
///
/// # Errors
/// [`InvalidSetting`].
pub fn check_limit(setting: &'static str, limit: Limit) -> Result<(), InvalidSetting> {
    if limit.is_valid() {
        return Ok(());
    }
    let Limit { count, window } = limit;
    let problem = format!("{count} in {window:?} is not 1 to 1,000,000 in 1 s to 1 d");
    Err(InvalidSetting::new(setting, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_consistent() {
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn each_setting_out_of_range_is_refused_by_name() {
        type Spoil = fn(&mut Policy);
        let cases: [(&str, Spoil); 32] = [
            ("login_attempts", |p| p.login_attempts.count = 0),
            ("device_attempts", |p| p.device_attempts.window = Duration::ZERO),
            ("device_lifetime", |p| p.device_lifetime = Duration::ZERO),
            ("mails_per_recipient", |p| p.mails_per_recipient.count = 0),
            ("max_consecutive_failures", |p| p.max_consecutive_failures = 9),
            ("revocation_lag", |p| p.revocation_lag = Duration::ZERO),
            ("refresh_window", |p| p.refresh_window = 2 * MINUTE),
            ("refresh_retry", |p| p.refresh_retry = Some(Duration::from_secs(301))),
            ("access_lifetime", |p| {
                (p.access_lifetime, p.refresh_retry) = (MINUTE, Some(MINUTE));
            }),
            ("access_lifetime", |p| p.access_lifetime = Duration::ZERO),
            ("access_lifetime", |p| p.access_lifetime = p.refresh_window),
            ("idle_lifetime", |p| p.idle_lifetime = MINUTE),
            ("session_lifetime", |p| p.session_lifetime = DAY),
            ("verify_link_lifetime", |p| p.verify_link_lifetime = Duration::MAX),
            ("reset_link_lifetime", |p| p.reset_link_lifetime = 2 * DAY),
            ("change_email_link_lifetime", |p| p.change_email_link_lifetime = 2 * DAY),
            ("not_me_link_lifetime", |p| p.not_me_link_lifetime = MINUTE),
            ("unverified_lifetime", |p| p.unverified_lifetime = p.verify_link_lifetime - MINUTE),
            ("unverified_lifetime", |p| p.unverified_lifetime = 4000 * DAY),
            ("deactivated_lifetime", |p| p.deactivated_lifetime = p.not_me_link_lifetime - MINUTE),
            ("deactivated_lifetime", |p| p.deactivated_lifetime = 4000 * DAY),
            ("sudo_max_age", |p| p.sudo_max_age = 2 * DAY),
            ("second_factor_attempts", |p| p.second_factor_attempts.count = 0),
            ("totp_skew", |p| p.totp_skew = 3),
            ("pending_lifetime", |p| p.pending_lifetime = 60 * MINUTE),
            ("totp_setup_lifetime", |p| p.totp_setup_lifetime = Duration::ZERO),
            ("totp_issuer", |p| p.totp_issuer = "a:b".into()),
            ("backup_codes", |p| p.backup_codes = 0),
            ("mail_attempts", |p| p.mail_attempts = 0),
            ("attributes", |p| p.attributes = vec![AttributeRule::new("email", 10)]),
            ("password.min_chars", |p| p.password.min_chars = 7),
            ("password.max_chars", |p| p.password.max_chars = 127),
        ];
        for (setting, spoil) in cases {
            let mut policy = Policy::default();
            spoil(&mut policy);
            assert_eq!(policy.check().err().map(|error| error.setting), Some(setting));
        }
    }
}
