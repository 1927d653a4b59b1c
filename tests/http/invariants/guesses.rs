//! Guesses at what an account keeps secret: counted before they are looked at, at every door, under every setting.

#[cfg(feature = "openapi")]
use std::collections::BTreeSet;

use auth_system::Config;
use auth_system::auth_core::port::MailPurpose;
use serde_json::{Value, json};

use super::{ADA, Case, EVE, NEW, STEP, cases, shape};
use crate::scenarios;
use crate::world::{Authenticator, Call, Ground, Jar, Link, PASSWORD, World, post};

scenarios![
    every_guess_at_a_password_is_counted_at_every_door,
    every_guess_at_a_code_is_counted_at_every_door,
    every_guess_at_a_backup_code_is_counted_at_every_door,
    sign_up_guesses_no_password_past_the_limit,
    strangers_who_guess_lock_no_owner_out,
];

/// An endpoint that takes a secret: its path, what a request needs besides, and the request with a guess.
type Door = (&'static str, Needs, fn(&Stage, &str) -> Call);

#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// A session of an account without a second factor.
    Session,
    /// A session of such an account, and the link of a change of address.
    Move,
    /// A session of an account with an authenticator.
    Factor,
    /// A session of such an account, and the link of a change of address.
    FactorAndMove,
    /// A session of such an account, and another authenticator that was set up to take the place of the first.
    NewFactor,
    /// A login that waits for a code.
    PendingLogin,
    /// The link of an address that lost the account by a taking-back.
    Objection,
}

#[rustfmt::skip]
const PASSWORD_DOORS: &[Door] = &[
    ("login/",                Needs::Session,       |at, guess| post("login/").json(json!({ "email": at.email, "password": guess }))),
    ("reauthenticate/",       Needs::Session,       |at, guess| at.post("reauthenticate/", json!({ "password": guess }))),
    ("change-password/",      Needs::Session,       |at, guess| at.post("change-password/", json!({ "old_password": guess, "new_password": NEW, "confirm_password": NEW }))),
    ("change-email/",         Needs::Session,       |at, guess| at.post("change-email/", json!({ "new_email": EVE, "password": guess }))),
    ("change-email-confirm/", Needs::Move,          |at, guess| at.link().change_email_by_post(json!({ "password": guess }))),
    ("change-email-confirm/", Needs::FactorAndMove, |at, guess| at.link().change_email_by_post(json!({ "password": guess, "code": at.code }))),
    ("deactivate-account/",   Needs::Session,       |at, guess| at.post("deactivate-account/", json!({ "password": guess, "confirm_deactivation": true }))),
    ("2fa/setup/",            Needs::Session,       |at, guess| at.post("2fa/setup/", json!({ "password": guess }))),
    ("2fa/backup-codes/",     Needs::Factor,        |at, guess| at.post("2fa/backup-codes/", json!({ "password": guess, "code": at.code }))),
    ("2fa/disable/",          Needs::Factor,        |at, guess| at.post("2fa/disable/", json!({ "password": guess, "code": at.code }))),
    ("2fa/replace/",          Needs::NewFactor,     |at, guess| at.post("2fa/replace/", json!({ "code": at.new_code, "password": guess, "backup_code": at.backup_code }))),
];

#[rustfmt::skip]
const CODE_DOORS: &[Door] = &[
    ("2fa/verify-login/",     Needs::PendingLogin,  |at, guess| at.finish_login(guess)),
    ("reauthenticate/",       Needs::Factor,        |at, guess| at.post("reauthenticate/", json!({ "code": guess }))),
    ("change-email/",         Needs::Factor,        |at, guess| at.post("change-email/", json!({ "new_email": EVE, "code": guess }))),
    ("change-email-confirm/", Needs::FactorAndMove, |at, guess| at.link().change_email_by_post(json!({ "password": PASSWORD, "code": guess }))),
    ("2fa/setup/",            Needs::Factor,        |at, guess| at.post("2fa/setup/", json!({ "replace": true, "code": guess }))),
    ("2fa/backup-codes/",     Needs::Factor,        |at, guess| at.post("2fa/backup-codes/", json!({ "password": PASSWORD, "code": guess }))),
    ("2fa/disable/",          Needs::Factor,        |at, guess| at.post("2fa/disable/", json!({ "password": PASSWORD, "code": guess }))),
    ("2fa/replace/",          Needs::NewFactor,     |at, guess| at.post("2fa/replace/", json!({ "code": at.new_code, "current_code": guess }))),
    ("not-me/",               Needs::Objection,     |at, guess| at.object(guess)),
];

#[rustfmt::skip]
const BACKUP_CODE_DOORS: &[Door] = &[
    ("2fa/verify-login/",     Needs::PendingLogin,  |at, guess| at.finish_login(guess)),
    ("2fa/replace/",          Needs::NewFactor,     |at, guess| at.post("2fa/replace/", json!({ "code": at.new_code, "password": PASSWORD, "backup_code": guess }))),
    ("not-me/",               Needs::Objection,     |at, guess| at.object(guess)),
];

/// All that a request needs beside the secret that is guessed at. It is right, so nothing else refuses the request.
struct Stage {
    email: String,
    jar: Jar,
    link: Option<Link>,
    pending: Value,
    authenticator: Option<Authenticator>,
    new_authenticator: Option<Authenticator>,
    code: String,
    new_code: String,
    backup_code: String,
}

impl Stage {
    async fn of(case: &Case, number: usize, needs: Needs) -> Self {
        let world = &case.world;
        let (email, other) = (format!("user{number}@example.org"), format!("other{number}@example.org"));
        let enrolled = !matches!(needs, Needs::Session | Needs::Move);
        let (mut jar, authenticator) = match enrolled {
            true => {
                let (jar, authenticator) = Authenticator::enrolled(world, &email).await;
                (jar, Some(authenticator))
            }
            false => {
                world.account(&email).await;
                (world.session(&email).await, None)
            }
        };
        let (mut link, mut pending, mut new_authenticator) = (None, Value::Null, None);
        match needs {
            Needs::Session | Needs::Factor => {}
            Needs::Move | Needs::FactorAndMove => {
                link = Some(case.change_email_link(&jar, authenticator.as_ref(), &other).await);
                // The password is for callers without a session.
                jar = Jar::default();
            }
            Needs::NewFactor => {
                world.advance(STEP);
                let code = authenticator.as_ref().map(|it| it.code(world));
                let body = json!({ "replace": true, "code": code });
                new_authenticator = Some(Authenticator::set_up_with(world, &jar, body).await);
            }
            Needs::PendingLogin => pending = case.log_in(&email, PASSWORD).await.json()["session_token"].clone(),
            Needs::Objection => {
                let moves = case.change_email_link(&jar, authenticator.as_ref(), &other).await;
                assert_eq!(world.send(moves.change_email(&jar)).await.status, 200, "{}", case.name);
                let notice = world.link(&email, MailPurpose::EmailChanged).await;
                assert_eq!(world.send(notice.not_me()).await.status, 200, "{}", case.name);
                link = Some(world.link(&other, MailPurpose::AddressLost).await);
            }
        }
        let backup_code = authenticator.as_ref().map_or_else(String::new, |it| it.backup_codes[0].clone());
        let (code, new_code) = (String::new(), String::new());
        Self { email, jar, link, pending, authenticator, new_authenticator, code, new_code, backup_code }
    }

    /// Takes codes that were not used yet.
    fn take_codes(&mut self, world: &World) {
        world.advance(STEP);
        let code = |it: &Option<Authenticator>| it.as_ref().map_or_else(String::new, |it| it.code(world));
        (self.code, self.new_code) = (code(&self.authenticator), code(&self.new_authenticator));
    }

    fn post(&self, path: &str, body: Value) -> Call {
        post(path).jar(&self.jar).json(body)
    }

    fn link(&self) -> &Link {
        self.link.as_ref().unwrap()
    }

    fn finish_login(&self, code: &str) -> Call {
        post("2fa/verify-login/").json(json!({ "session_token": self.pending, "code": code }))
    }

    fn object(&self, code: &str) -> Call {
        let Link { uid, token } = self.link();
        post("not-me/").json(json!({ "uid": uid, "token": token, "code": code }))
    }
}

/// Past the limit the right secret answers as a wrong one. Once the operator unlocks the account, it is right: so the guesses
/// were looked at for nothing else.
async fn past_the_limit(
    ground: Ground,
    doors: &[Door],
    wrong: fn(&Stage, &World, usize) -> String,
    right: fn(&Stage) -> String,
) {
    let needs = |config: &mut Config| {
        config.policy.max_consecutive_failures = 10;
        config.policy.require_second_factor = false;
    };
    for case in cases(ground, needs).await {
        let Case { name, world } = &case;
        for (number, (door, needs, call)) in doors.iter().enumerate() {
            let mut stage = Stage::of(&case, number, *needs).await;
            let user = case.user(&stage.email).await;
            stage.take_codes(world);
            for number in 0..25 {
                let answer = world.send(call(&stage, &wrong(&stage, world, number))).await;
                assert!([400, 401, 429].contains(&answer.status.as_u16()), "{name}: {door}: {answer:?}");
            }
            let refused = world.send(call(&stage, &wrong(&stage, world, 25))).await;
            let guessed = world.send(call(&stage, &right(&stage))).await;
            assert_eq!(shape(&guessed), shape(&refused), "{name}: {door} tells a right guess from a wrong one");
            world.auth.admin().unlock(&user.id).await.unwrap();
            stage.take_codes(world);
            let opened = world.send(call(&stage, &right(&stage))).await;
            assert_eq!(opened.status, 200, "{name}: {door} does not reach the secret: {opened:?}");
            world.mails().await;
        }
    }
}

async fn every_guess_at_a_password_is_counted_at_every_door(ground: Ground) {
    let wrong = |_: &Stage, _: &World, number| format!("wrong guess no. {number}");
    past_the_limit(ground, PASSWORD_DOORS, wrong, |_| PASSWORD.to_owned()).await;
}

async fn every_guess_at_a_code_is_counted_at_every_door(ground: Ground) {
    // Codes that the authenticator shows at no time nearby.
    let wrong = |at: &Stage, world: &World, number| {
        let authenticator = at.authenticator.as_ref().unwrap();
        let shown: Vec<_> = (-5..=5).map(|steps| authenticator.code_at(world, steps)).collect();
        let mut guesses = (0..).map(|guess| format!("{guess:06}")).filter(|guess| !shown.contains(guess));
        guesses.nth(number).unwrap()
    };
    past_the_limit(ground, CODE_DOORS, wrong, |at| at.code.clone()).await;
}

async fn every_guess_at_a_backup_code_is_counted_at_every_door(ground: Ground) {
    let wrong = |_: &Stage, _: &World, number| {
        let letter = |number: usize| char::from(b'A' + u8::try_from(number).unwrap());
        format!("AAAAAA{}{}", letter(number / 6), letter(number % 6))
    };
    past_the_limit(ground, BACKUP_CODE_DOORS, wrong, |at| at.backup_code.clone()).await;
}

/// A sign-up for an unverified account is a guess at its password. Its answer tells nothing, and the mail only tells the owner.
async fn sign_up_guesses_no_password_past_the_limit(ground: Ground) {
    for case in cases(ground, |config| config.policy.max_consecutive_failures = 10).await {
        let name = case.name;
        for (email, guesses, purpose) in [(EVE, 0, MailPurpose::VerifyEmail), (ADA, 12, MailPurpose::SetPassword)] {
            assert_eq!(case.sign_up(email, PASSWORD, "").await.status, 201, "{name}");
            case.world.mails().await;
            for number in 0..guesses {
                assert!(!case.opens(email, &format!("wrong guess no. {number}")).await, "{name}");
            }
            case.world.mails().await;
            case.sign_up(email, PASSWORD, "").await;
            assert_eq!(case.told().await, [(email.to_owned(), purpose)], "{name}: after {guesses} guesses");
        }
    }
}

async fn strangers_who_guess_lock_no_owner_out(ground: Ground) {
    for case in cases(ground, |config| config.policy.max_consecutive_failures = 10).await {
        let Case { name, world } = &case;
        let (jar, _) = case.account(ADA).await;
        for number in 0..25 {
            assert!(!case.opens(ADA, &format!("wrong guess no. {number}")).await, "{name}");
        }
        assert!(!case.opens(ADA, PASSWORD).await, "{name}: the password is off");
        assert_eq!(world.me(&jar).await.status, 200, "{name}: sessions go on");
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        assert!(case.opens(ADA, NEW).await, "{name}: the mailbox leads back");
    }
}

/// The document of the endpoints names every field, so a new endpoint that takes a secret fails this test until it is a door.
#[cfg(feature = "openapi")]
#[tokio::test]
async fn every_endpoint_that_takes_a_secret_is_a_door() {
    let ground = Ground { store: crate::place::Store::Memory, driver: crate::door::Driver::Bare };
    let document = ground.world_with(|config| config.openapi = true).await.auth.openapi();
    // The first two take the password of a new account and a new password, the third the first code of an authenticator.
    let others = ["signup/", "password-reset-confirm/", "2fa/enable/"];
    for (doors, fields) in [(PASSWORD_DOORS, ["password", "old_password"]), (CODE_DOORS, ["code", "current_code"])] {
        let mut taking = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let path = path.trim_start_matches("/api/auth/");
            let body = methods.pointer("/post/requestBody/content/application~1json/schema/properties");
            if fields.iter().any(|field| body.is_some_and(|body| body.get(field).is_some())) && !others.contains(&path)
            {
                taking.insert(path);
            }
        }
        let doors: BTreeSet<_> = doors.iter().map(|(path, ..)| *path).collect();
        assert_eq!(taking, doors, "{fields:?}");
    }
}
