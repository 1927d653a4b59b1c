//! What clients were told, and what must be so ever after.

use std::ops::RangeInclusive;

use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::testing::SentMail;
use auth_system::auth_core::types::{Email, FactorKind, TenantId, User};
use serde_json::{Value, json};

use super::load::{WRONG, WRONG_CODE};
use super::{LIMIT, MAX_FAILURES, ROUNDS};
use crate::world::{Answer, Jar, PASSWORD, World, post};

pub(super) enum Fact {
    /// There is an account, verified, with this password.
    Accepted {
        email: String,
        password: String,
    },
    Refused {
        email: String,
        password: String,
    },
    /// Each change of the password was told by mail.
    Noticed {
        email: String,
        changes: usize,
    },
    GoesOn(Jar),
    Ended(Jar),
    /// `unspent` is a good one, if any is known.
    Codes {
        email: String,
        spent: Vec<String>,
        unspent: Option<String>,
    },
    /// So many wrong ones are counted for good.
    WrongCodes {
        email: String,
        counted: RangeInclusive<u32>,
        right: String,
    },
    WrongPasswords {
        email: String,
        counted: RangeInclusive<u32>,
    },
    /// So many guesses were evaluated behind a timed limit.
    Limited {
        email: String,
        evaluated: u32,
        unanswered: u32,
    },
}

impl Fact {
    pub(super) async fn check(self, world: &World, mails: &[SentMail]) {
        match self {
            Self::Accepted { email, password } => {
                assert_eq!(world.log_in(&email, &password).await.status, 200, "{email}")
            }
            Self::Refused { email, password } => refused(&world.log_in(&email, &password).await),
            Self::Noticed { email, changes } => {
                let is_notice = |mail: &&SentMail| mail.to == email && mail.purpose == MailPurpose::PasswordChanged;
                let notices = mails.iter().filter(is_notice).count();
                assert!(notices >= changes, "{email}: {notices} notices of {changes} changes");
            }
            Self::GoesOn(jar) => assert_eq!(world.refresh(&jar).await.status, 200),
            Self::Ended(jar) => {
                world.me(&jar).await.refused(401, "not_authenticated");
                world.refresh(&jar).await.refused(401, "refresh_invalid");
            }
            Self::Codes { email, spent, unspent } => {
                let pending = first_step(world, &email).await;
                for code in spent {
                    second_step(world, &pending, &code).await.refused(400, "invalid_code");
                }
                if let Some(code) = unspent {
                    assert_eq!(second_step(world, &pending, &code).await.status, 200, "{email}");
                }
            }
            Self::WrongCodes { email, counted, right } => {
                let count = failed_codes(world, &email).await;
                assert!(counted.contains(&count) && count < MAX_FAILURES, "{count} of {counted:?} wrong codes");
                let pending = first_step(world, &email).await;
                for _ in count..MAX_FAILURES {
                    second_step(world, &pending, WRONG_CODE).await.refused(400, "invalid_code");
                }
                second_step(world, &pending, &right).await.refused(400, "invalid_code");
                assert_eq!(failed_codes(world, &email).await, MAX_FAILURES);
            }
            Self::WrongPasswords { email, counted } => {
                let count = user(world, &email).await.consecutive_failures;
                assert!(counted.contains(&count) && count < MAX_FAILURES, "{count} of {counted:?} wrong passwords");
                for _ in count..MAX_FAILURES {
                    refused(&world.log_in(&email, WRONG).await);
                }
                refused(&world.log_in(&email, PASSWORD).await);
                assert_eq!(user(world, &email).await.consecutive_failures, MAX_FAILURES);
            }
            Self::Limited { email, evaluated, unanswered } => {
                // Each life of Redis begins a window, and only that.
                let allowed = LIMIT * (ROUNDS + 1);
                assert!((LIMIT + 1..=allowed).contains(&evaluated), "{evaluated} guesses of {allowed}");
                let count = user(world, &email).await.consecutive_failures;
                assert!((evaluated..=evaluated + unanswered).contains(&count), "{count} of {evaluated} guesses");
            }
        }
    }
}

#[track_caller]
fn refused(answer: &Answer) {
    answer.refused(401, "invalid_credentials");
}

async fn user(world: &World, email: &str) -> User {
    let email = Email::parse(email).unwrap();
    world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap()
}

async fn failed_codes(world: &World, email: &str) -> u32 {
    let user = user(world, email).await;
    let factor = user.factors.iter().find(|factor| factor.kind == FactorKind::backup_codes()).unwrap();
    let credentials = &world.auth.system().ports().credentials;
    credentials.find(&TenantId::default(), factor.credential).await.unwrap().unwrap().consecutive_failures
}

pub(super) async fn first_step(world: &World, email: &str) -> Value {
    let answer = world.log_in(email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["session_token"].clone()
}

pub(super) async fn second_step(world: &World, pending: &Value, code: &str) -> Answer {
    world.send(post("2fa/verify-login/").json(json!({ "session_token": pending, "code": code }))).await
}
