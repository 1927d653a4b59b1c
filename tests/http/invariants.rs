//! One table: every flag of the policy and every profile, beside every rule that it could touch. A rule is written once, as
//! requests and answers, and holds under each setting.
//!
//! | Invariants of the design | Module |
//! |---|---|
//! | 8, 9, 10, 17, 18, 21, 24: addresses, sign-ups and mails | `mailbox` |
//! | 7, 19, 20: secrets and the guesses at them | `guesses` |
//! | 15, 16, 23, 25: second factors, step-up and disputes | `factors` |
//! | 1, 3, 6, 11: sessions, links and what ends them | `sessions` |
//!
//! No flag touches the other invariants: 2, 4, 5, 12, 13, 14 and 22 have tests of their own.

mod factors;
mod guesses;
mod mailbox;
mod sessions;

use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::policy::{Disputes, Policy};
use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::types::{Email, Limit, User};
use auth_system::config::{Profile, SameSite};
use serde_json::{Value, json};

use crate::world::{Answer, Authenticator, Ground, Jar, Link, PASSWORD, World, post};

const ADA: &str = "ada@example.org";
const EVE: &str = "eve@example.org";
const OWNERS: &str = "what the owner chose";
const STRANGERS: &str = "what a stranger chose";
const NEW: &str = "a new password";
/// The time of one code of an authenticator.
const STEP: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

type Setting = (&'static str, fn(&mut Config));

/// Every flag of the policy and every profile that changes what clients see.
#[rustfmt::skip]
const SETTINGS: &[Setting] = &[
    ("as it comes",            |_| {}),
    ("django",                 |config| config.profile = Profile::Django),
    ("usernames",              |config| config.policy.usernames = true),
    ("reveal_taken_emails",    |config| config.policy.reveal_taken_emails = true),
    ("both",                   |config| (config.policy.usernames, config.policy.reveal_taken_emails) = (true, true)),
    ("timed_limits",           timed_limits),
    ("require_second_factor",  |config| config.policy.require_second_factor = true),
    ("disputes",               |config| config.policy.disputes = Disputes::Operator),
    ("bearer",                 |config| config.bearer = true),
    ("strict refresh",         |config| config.policy.refresh_window = Duration::ZERO),
    ("refresh_retry 0",        |config| config.policy.refresh_retry = Some(Duration::ZERO)),
    ("totp_skew 0",            |config| config.policy.totp_skew = 0),
    ("totp_skew 2",            |config| config.policy.totp_skew = 2),
    ("sudo_max_age 60",        |config| config.policy.sudo_max_age = Duration::from_secs(60)),
    ("sudo_max_age 0",         |config| config.policy.sudo_max_age = Duration::ZERO),
    ("openapi",                |config| config.openapi = true),
    ("insecure cookies",       |config| config.cookies.secure = false),
    ("SameSite=Strict",        |config| config.cookies.same_site = SameSite::Strict),
    ("http_only",              |config| config.cookies.http_only = false),
];

/// The limits of accounts alone: one peer sends a scenario's requests.
fn timed_limits(config: &mut Config) {
    let many = Limit::new(1_000_000, Duration::from_secs(60));
    config.policy.timed_limits = true;
    let names = [
        "signup",
        "login",
        "refresh",
        "password_reset",
        "resend_verification",
        "confirm",
        "change_password",
        "change_email",
        "reauthenticate",
        "two_factor",
        "verify_2fa",
    ];
    for name in names {
        config.throttles.set(name, many);
    }
}

/// A world under a setting, and what a rule needs besides.
struct Case {
    name: &'static str,
    world: World,
}

/// A world for each setting. The rule's own needs come last.
async fn cases(ground: Ground, needs: fn(&mut Config)) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, set) in SETTINGS {
        let world = ground
            .world_with(|config| {
                set(config);
                needs(config);
            })
            .await;
        cases.push(Case { name, world });
    }
    cases
}

impl Case {
    fn policy(&self) -> &Policy {
        self.world.auth.system().policy()
    }

    fn username(email: &str) -> &str {
        email.split('@').next().unwrap()
    }

    /// Every field that some setting wants.
    async fn sign_up(&self, email: &str, password: &str, name: &str) -> Answer {
        let body = json!({
            "email": email, "password": password, "confirm_password": password, "username": Self::username(email),
            "first_name": name,
        });
        self.world.send(post("signup/").json(body)).await
    }

    async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.world.log_in(email, password).await
    }

    /// Whether a password opens an account, maybe for enrolment alone.
    async fn opens(&self, email: &str, password: &str) -> bool {
        let answer = self.log_in(email, password).await;
        assert!([200, 401, 429].contains(&answer.status.as_u16()), "{}: {answer:?}", self.name);
        answer.status == 200
    }

    /// Sets a password by the newest link in a mailbox.
    async fn reset(&self, email: &str, password: &str) -> Answer {
        self.world.send(post("password-reset/").json(json!({ "email": email }))).await;
        let link = self.world.link(email, MailPurpose::ResetPassword).await;
        self.set(&link, password).await
    }

    async fn set(&self, link: &Link, password: &str) -> Answer {
        let Link { uid, token } = link;
        let body = json!({ "uid": uid, "token": token, "password": password, "confirm_password": password });
        self.world.send(post("password-reset-confirm/").json(body)).await
    }

    async fn user(&self, email: &str) -> User {
        let email = Email::parse(email).unwrap();
        self.world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap()
    }

    /// A verified account and a session for all of it: with an authenticator where every account must have one.
    async fn account(&self, email: &str) -> (Jar, Option<Authenticator>) {
        if self.policy().require_second_factor {
            let (jar, authenticator) = Authenticator::enrolled(&self.world, email).await;
            return (jar, Some(authenticator));
        }
        self.world.account(email).await;
        (self.world.session(email).await, None)
    }

    /// A new session of an account with an authenticator.
    async fn session(&self, email: &str, password: &str, authenticator: &Authenticator) -> Jar {
        // A code counts once.
        self.world.advance(STEP);
        let first = self.log_in(email, password).await;
        assert_eq!(first.json()["requires_2fa"], true, "{}: {first:?}", self.name);
        let body = json!({ "session_token": first.json()["session_token"], "code": authenticator.code(&self.world) });
        let answer = self.world.send(post("2fa/verify-login/").json(body)).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.name);
        answer.jar()
    }

    /// Mails a link that moves the account of a session, with the proofs that every setting wants.
    async fn change_email_link(&self, jar: &Jar, authenticator: Option<&Authenticator>, to: &str) -> Link {
        let answer = self.ask_for_address(jar, authenticator, to).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.name);
        self.world.link(to, MailPurpose::ChangeEmail).await
    }

    async fn ask_for_address(&self, jar: &Jar, authenticator: Option<&Authenticator>, to: &str) -> Answer {
        let mut body = json!({ "new_email": to, "password": PASSWORD });
        if let Some(authenticator) = authenticator {
            self.world.advance(STEP);
            body["code"] = authenticator.code(&self.world).into();
        }
        self.world.send(post("change-email/").jar(jar).json(body)).await
    }

    /// The purposes of the mails that wait, each with its recipient, in the order of these.
    async fn told(&self) -> Vec<(String, MailPurpose)> {
        let mut told: Vec<_> = self.world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    }
}

/// The parts of an answer that a stranger compares.
fn shape(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["code"].clone())
}
