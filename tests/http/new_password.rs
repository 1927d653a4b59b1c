//! Which passwords may be set: one rule at sign-up and reset, in each profile's words.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_system::auth_core::port::{MailPurpose, PasswordCheck, PasswordCheckError};
use auth_system::auth_core::types::{Client, Password, Personal};
use serde_json::json;

use crate::scenarios;
use crate::world::{self, Answer, Ground, PASSWORD, World, post};

scenarios![
    a_bad_password_is_told_why_at_sign_up_and_at_reset,
    django_says_it_in_its_own_words,
    what_is_known_of_the_owner_is_told_to_the_owner_alone,
    a_long_password_of_any_script_is_accepted,
    the_applications_own_check_has_the_last_word,
    a_check_that_does_not_answer_changes_nothing,
];

/// A password, and the codes and texts of what is wrong with it.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const TOO_SHORT: (&str, &str) =
    ("password_too_short", "This password is too short. It must contain at least 8 characters.");
const TOO_COMMON: (&str, &str) = ("password_too_common", "This password is too common.");
const NUMERIC: (&str, &str) = ("password_entirely_numeric", "This password is entirely numeric.");
const LIKE_EMAIL: (&str, &str) = ("password_too_similar", "The password is too similar to the email address.");
const LIKE_USERNAME: (&str, &str) = ("password_too_similar", "The password is too similar to the username.");
const LIKE_SERVICE: (&str, &str) = ("password_too_similar", "The password is too similar to the name of this service.");

const STANDARD: &[Case] = &[
    ("pass", &[TOO_SHORT]),
    ("password", &[TOO_COMMON]),
    ("iLoveYou2", &[TOO_COMMON]),
    ("1234567890", &[TOO_COMMON]),
    ("AuthSystem2026", &[LIKE_SERVICE]),
    ("lovelace@example.org", &[LIKE_EMAIL]),
    ("Lovelace1", &[LIKE_EMAIL]),
    ("!lovelace", &[LIKE_EMAIL]),
];

const DJANGO: &[Case] = &[
    ("pass", &[TOO_SHORT]),
    ("password", &[TOO_COMMON]),
    ("12345678", &[TOO_COMMON, NUMERIC]),
    ("83749261", &[NUMERIC]),
    ("9374", &[TOO_SHORT, NUMERIC]),
    ("Lovelace1815", &[LIKE_EMAIL]),
    ("countess-9", &[LIKE_USERNAME]),
];

fn sign_up(password: &str) -> world::Call {
    let body = json!({
        "email": "lovelace@example.org", "username": "countess", "password": password, "confirm_password": password,
    });
    post("signup/").json(body)
}

/// Sends the password to sign-up, and to the reset of an account that is there by then.
async fn set_everywhere(world: &World, cases: &[Case], check: impl Fn(&Answer, &Case)) {
    for case in cases {
        check(&world.send(sign_up(case.0)).await, case);
    }
    assert_eq!(world.mails().await, []);
    assert_eq!(world.send(sign_up(PASSWORD)).await.status, 201);
    let link = world.link("lovelace@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    world.send(post("password-reset/").json(json!({ "email": "lovelace@example.org" }))).await;
    let link = world.link("lovelace@example.org", MailPurpose::ResetPassword).await;
    for case in cases {
        check(&world.send(link.set_password(case.0)).await, case);
    }
    assert_eq!(world.log_in("lovelace@example.org", PASSWORD).await.status, 200, "nothing was changed");
    assert_eq!(world.send(link.set_password("a password of its own")).await.status, 200, "the link still works");
}

async fn a_bad_password_is_told_why_at_sign_up_and_at_reset(ground: Ground) {
    set_everywhere(&ground.world().await, STANDARD, |answer, (password, wrong)| {
        answer.refused(400, "invalid_fields");
        let expected: Vec<_> = wrong.iter().map(|(code, text)| json!({ "code": code, "detail": text })).collect();
        assert_eq!(answer.json()["errors"], json!({ "password": expected }), "{password}");
    })
    .await;
}

async fn django_says_it_in_its_own_words(ground: Ground) {
    set_everywhere(&ground.django().await, DJANGO, |answer, (password, wrong)| {
        let texts: Vec<_> = wrong.iter().map(|(_, text)| *text).collect();
        assert_eq!(answer.json(), json!({ "password": texts, "code": "invalid_fields" }), "{password}");
        assert_eq!(answer.status, 400);
    })
    .await;
}

async fn what_is_known_of_the_owner_is_told_to_the_owner_alone(ground: Ground) {
    let world = ground.world().await;
    world.account("lovelace@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "lovelace@example.org" }))).await;
    let link = world.link("lovelace@example.org", MailPurpose::ResetPassword).await;
    let forged = world::Link { token: format!("{}x", link.token), ..link.clone() };
    world.send(forged.set_password("lovelace1815")).await.refused(400, "link_invalid");
    assert_eq!(world.send(link.set_password("lovelace1815")).await.field("password"), ["password_too_similar"]);
}

async fn a_long_password_of_any_script_is_accepted(ground: Ground) {
    let world = ground.world().await;
    for (number, password) in ["x7".repeat(64), "語".repeat(128), "😀".repeat(256)].into_iter().enumerate() {
        let answer = world.sign_up(&format!("user{number}@example.org"), &password).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(world.sign_up("eve@example.org", &"😀".repeat(257)).await.field("password"), ["too_long"]);
}

/// The application's own check of new passwords. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Check(Arc<Mutex<Opinion>>);

#[derive(Clone, Copy, Default)]
enum Opinion {
    #[default]
    Fine,
    Leaked,
    Away,
}

impl Check {
    fn say(&self, opinion: Opinion) {
        *self.0.lock().unwrap() = opinion;
    }
}

#[async_trait]
impl PasswordCheck for Check {
    async fn check(&self, _: &Client, _: &Password, _: Personal<'_>) -> Result<(), PasswordCheckError> {
        match *self.0.lock().unwrap() {
            Opinion::Fine => Ok(()),
            Opinion::Leaked => Err(PasswordCheckError::Refused(LEAKED)),
            Opinion::Away => Err(PasswordCheckError::unavailable(AWAY)),
        }
    }
}

const LEAKED: &str = "Somebody published this password. Choose another one.";
const AWAY: &str = "breaches.internal is away";

async fn the_applications_own_check_has_the_last_word(ground: Ground) {
    for (world, expected) in [
        (ground.world().await, json!({ "password": [{ "code": "password_refused", "detail": LEAKED }] })),
        (ground.django().await, json!([LEAKED])),
    ] {
        let wrong = |answer: &Answer| {
            answer.refused(400, "invalid_fields");
            let body = answer.json();
            assert_eq!(body.get("errors").unwrap_or(&body["password"]), &expected);
        };
        world.account("ada@example.org").await;
        world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
        let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        world.check.say(Opinion::Leaked);
        wrong(&world.send(sign_up("a fine password")).await);
        wrong(&world.send(link.set_password("a fine password")).await);
        // Who has a password keeps it: a login chooses none.
        assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
        assert_eq!(world.mails().await, []);
        world.check.say(Opinion::Fine);
        assert_eq!(world.send(link.set_password("a fine password")).await.status, 200);
        assert_eq!(world.send(sign_up("a fine password")).await.status, 201);
    }
}

async fn a_check_that_does_not_answer_changes_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    let work = world.hasher.work();
    world.events.take();
    world.check.say(Opinion::Away);
    let known = world.sign_up("ada@example.org", "a fine password").await;
    let unknown = world.sign_up("eve@example.org", "a fine password").await;
    for answer in [&known, &unknown, &world.send(link.set_password("a fine password")).await] {
        answer.refused(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.text().contains(AWAY));
    }
    assert_eq!((&known.headers, &known.body), (&unknown.headers, &unknown.body));
    assert_eq!((world.hasher.work(), world.mails().await, world.events.take()), (work, vec![], vec![]));
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}
