//! One table: every policy flag and profile, beside every rule that it could touch. A rule is written once, as requests and
//! answers, and holds under each setting.

use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::policy::Policy;
use auth_system::auth_core::port::{LoginRecord, MailPurpose};
use auth_system::auth_core::types::Limit;
use auth_system::config::Profile;
use http::Method;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Authenticator, Call, Ground, Jar, Link, PASSWORD, World, call, get, post};

scenarios![
    strangers_choose_nothing_of_an_account_that_its_mailbox_takes_over,
    no_answer_tells_known_from_unknown_addresses,
    a_session_for_enrolment_opens_nothing_else,
    no_way_leads_around_a_second_factor,
    mails_of_strangers_are_capped_and_notices_are_not,
    a_refresh_token_is_used_once_and_dies_with_its_session,
    every_guess_at_a_password_is_counted_at_every_door,
];

const ADA: &str = "ada@example.org";
const EVE: &str = "eve@example.org";
const OWNERS: &str = "what the owner chose";
const STRANGERS: &str = "what a stranger chose";
const NEW: &str = "a new password";
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
    ("bearer",                 |config| config.bearer = true),
    ("strict refresh",         |config| config.policy.refresh_window = Duration::ZERO),
    ("totp_skew 0",            |config| config.policy.totp_skew = 0),
    ("totp_skew 2",            |config| config.policy.totp_skew = 2),
    ("sudo_max_age",           |config| config.policy.sudo_max_age = Duration::from_secs(60)),
    ("openapi",                |config| config.openapi = true),
    ("insecure cookies",       |config| config.cookies.secure = false),
];

/// The limits of accounts alone: one peer sends a scenario's requests.
fn timed_limits(config: &mut Config) {
    let many = Limit::new(1_000_000, Duration::from_secs(60));
    config.policy.timed_limits = true;
    let throttles = &mut config.throttles;
    for limit in [
        &mut throttles.signup,
        &mut throttles.login,
        &mut throttles.refresh,
        &mut throttles.password_reset,
        &mut throttles.resend_verification,
        &mut throttles.confirm,
        &mut throttles.change_password,
        &mut throttles.change_email,
        &mut throttles.reauthenticate,
        &mut throttles.two_factor,
        &mut throttles.verify_2fa,
    ] {
        *limit = many;
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
}

async fn strangers_choose_nothing_of_an_account_that_its_mailbox_takes_over(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let name = case.name;
        let first = case.sign_up(ADA, STRANGERS, "Chosen by a stranger").await;
        assert_eq!(first.status, 201, "{name}: {first:?}");
        case.world.mails().await;
        // The owner signs up as anybody would. Whatever the answer says, the stranger's password is gone.
        let second = case.sign_up(ADA, OWNERS, "Ada").await;
        let told = case.policy().reveal_taken_emails || case.policy().usernames;
        assert_eq!(second.status, if told { 400 } else { 201 }, "{name}: {second:?}");
        let link = case.world.link(ADA, MailPurpose::SetPassword).await;
        assert!(!case.opens(ADA, STRANGERS).await, "{name}");
        let answer = case.set(&link, NEW).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(!case.opens(ADA, STRANGERS).await && !case.opens(ADA, OWNERS).await, "{name}");
        let jar = case.log_in(ADA, NEW).await.jar();
        if !case.policy().require_second_factor {
            let me = case.world.me(&jar).await;
            assert_eq!(me.status, 200, "{name}: {me:?}");
            assert!(!me.text().contains("stranger"), "{name}: {me:?}");
        }
    }
}

async fn no_answer_tells_known_from_unknown_addresses(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        case.world.account("known@example.org").await;
        case.sign_up("waits@example.org", PASSWORD, "").await;
        case.world.mails().await;
        let mut seen = Vec::new();
        for email in ["unknown@example.org", "known@example.org", "waits@example.org"] {
            let mut answers = Vec::new();
            let mail = json!({ "email": email });
            for call in [
                post("password-reset/").json(mail.clone()),
                post("resend-verification/").json(mail),
                post("login/").json(json!({ "email": email, "password": STRANGERS })),
            ] {
                let Answer { status, headers, body } = case.world.send(call).await;
                answers.push((status, headers, body));
            }
            if !case.policy().reveal_taken_emails && !case.policy().usernames {
                let Answer { status, headers, body } = case.sign_up(email, STRANGERS, "").await;
                answers.push((status, headers, body));
            }
            seen.push(answers);
        }
        assert!(seen.iter().all(|answers| *answers == seen[0]), "{}: {seen:?}", case.name);
    }
}

async fn a_session_for_enrolment_opens_nothing_else(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = true).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        let jar = world.session(ADA).await;
        let password = json!({ "password": PASSWORD });
        let calls: Vec<(Call, &str)> = vec![
            (get("me/"), "me"),
            (call(Method::PATCH, "me/").json(json!({ "first_name": "x" })), "profile"),
            (post("reauthenticate/").json(password.clone()), "reauthenticate"),
            (
                post("change-password/")
                    .json(json!({ "old_password": PASSWORD, "new_password": NEW, "confirm_password": NEW })),
                "password",
            ),
            (post("change-email/").json(json!({ "new_email": EVE, "password": PASSWORD })), "address"),
            (
                post("deactivate-account/").json(json!({ "password": PASSWORD, "confirm_deactivation": true })),
                "closing",
            ),
            (get("2fa/backup-codes/"), "codes"),
            (post("2fa/backup-codes/").json(password.clone()), "new codes"),
            (post("2fa/disable/").json(json!({ "password": PASSWORD, "code": "123456" })), "disable"),
        ];
        for (call, what) in calls {
            let answer = world.send(call.jar(&jar)).await;
            assert_eq!(answer.status, 403, "{name}: {what}: {answer:?}");
            assert_eq!(answer.json()["code"], "second_factor_required", "{name}: {what}");
        }
        let own = world.app(get("/whoami").jar(&jar)).await;
        assert_eq!(own.status, 403, "{name}: {own:?}");
        // It is good for the one thing, and the session that follows is whole.
        let authenticator = Authenticator::set_up(world, &jar).await;
        let enabled =
            world.send(post("2fa/enable/").jar(&jar).json(json!({ "code": authenticator.code(world) }))).await;
        assert_eq!(enabled.status, 200, "{name}: {enabled:?}");
        assert_eq!(world.me(&enabled.jar()).await.status, 200, "{name}");
    }
}

async fn no_way_leads_around_a_second_factor(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = Authenticator::enrolled(world, ADA).await;
        world.advance(Duration::from_secs(60));
        let first = case.log_in(ADA, PASSWORD).await;
        assert_eq!((first.status.as_u16(), first.jar()), (200, Jar::default()), "{name}: {first:?}");
        // The mailbox alone gets as far as the password does.
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        world.refresh(&jar).await.refused(401, "refresh_invalid");
        let pending = case.log_in(ADA, NEW).await;
        assert!(!pending.jar().cookies.contains_key("access_token"), "{name}: {pending:?}");
        let step = |answer: &Answer, code: &str| {
            let token =
                answer.json()["session_token"].as_str().unwrap_or_else(|| panic!("{name}: {answer:?}")).to_owned();
            post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))
        };
        world.send(step(&first, &authenticator.code(world))).await.refused(401, "pending_session_invalid");
        let wrong = world.send(step(&pending, "000000")).await;
        assert_eq!((wrong.status.as_u16(), wrong.jar()), (400, Jar::default()), "{name}: {wrong:?}");
        let code = authenticator.code(world);
        assert_eq!(world.send(step(&pending, &code)).await.status, 200, "{name}");
        // A code counts once, in whatever window the settings have.
        let again = case.log_in(ADA, NEW).await;
        let replayed = world.send(step(&again, &code)).await;
        assert_eq!((replayed.status.as_u16(), replayed.jar()), (400, Jar::default()), "{name}: {replayed:?}");
        let backup = &authenticator.backup_codes[0];
        assert_eq!(world.send(step(&again, backup)).await.status, 200, "{name}");
        let again = case.log_in(ADA, NEW).await;
        assert_eq!(world.send(step(&again, backup)).await.status, 400, "{name}");
        let told: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
        for purpose in [MailPurpose::PasswordChanged, MailPurpose::BackupCodeUsed] {
            assert!(told.contains(&purpose), "{name}: {told:?}");
        }
    }
}

async fn mails_of_strangers_are_capped_and_notices_are_not(ground: Ground) {
    let needs = |config: &mut Config| config.policy.mails_per_recipient = Policy::default().mails_per_recipient;
    for case in cases(ground, needs).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        world.advance(HOUR);
        let mut mails = 0;
        for _ in 0..15 {
            world.send(post("password-reset/").json(json!({ "email": ADA }))).await;
            case.sign_up(ADA, STRANGERS, "").await;
            mails += world.mails().await.len();
        }
        // Where sign-up says openly that an address is taken, no mail has to.
        assert!((10..=20).contains(&mails), "{name}: {mails}");
        let user = world.auth.system().admin().list(None, None, 10).await.unwrap().remove(0);
        world.auth.system().admin().start_reset(&user.id).await.unwrap();
        let link = world.link(ADA, MailPurpose::ResetPassword).await;
        assert_eq!(case.set(&link, NEW).await.status, 200, "{name}");
        let told: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
        assert_eq!(told, [MailPurpose::PasswordChanged], "{name}");
    }
}

async fn a_refresh_token_is_used_once_and_dies_with_its_session(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = false).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        let first = world.session(ADA).await;
        let second = world.refresh(&first).await;
        assert_eq!(second.status, 200, "{name}: {second:?}");
        let window = case.policy().refresh_window;
        world.advance(window + Duration::from_secs(1));
        let third = world.refresh(&second.jar()).await;
        assert_eq!(third.status, 200, "{name}: {third:?}");
        assert_ne!(third.jar(), second.jar(), "{name}");
        // The token before the last one is a copy: nobody holds the session any more.
        world.advance(window + Duration::from_secs(61));
        world.refresh(&first).await.refused(401, "refresh_invalid");
        world.refresh(&third.jar()).await.refused(401, "refresh_invalid");
        assert_eq!(world.me(&third.jar()).await.status, 401, "{name}");

        let other = world.session(ADA).await;
        world.send(post("logout/").jar(&other)).await;
        world.refresh(&other).await.refused(401, "refresh_invalid");
        assert_eq!(world.me(&other).await.status, 401, "{name}");
    }
}

/// Past the limit the right password answers as a wrong one, at every door that takes one.
async fn every_guess_at_a_password_is_counted_at_every_door(ground: Ground) {
    let needs = |config: &mut Config| {
        config.policy.max_consecutive_failures = 10;
        config.policy.require_second_factor = false;
    };
    type Door = (&'static str, fn(&str) -> Call);
    let doors: [Door; 7] = [
        ("login", |word| post("login/").json(json!({ "email": ADA, "password": word }))),
        ("reauthenticate", |word| post("reauthenticate/").json(json!({ "password": word }))),
        ("change-password", |word| {
            let body = json!({ "old_password": word, "new_password": NEW, "confirm_password": NEW });
            post("change-password/").json(body)
        }),
        ("change-email", |word| post("change-email/").json(json!({ "new_email": EVE, "password": word }))),
        ("deactivate-account", |word| {
            post("deactivate-account/").json(json!({ "password": word, "confirm_deactivation": true }))
        }),
        ("backup-codes", |word| post("2fa/backup-codes/").json(json!({ "password": word }))),
        ("disable", |word| post("2fa/disable/").json(json!({ "password": word, "code": "000000" }))),
    ];
    for case in cases(ground, needs).await {
        let Case { name, world } = &case;
        let ports = world.auth.system().ports();
        world.account(ADA).await;
        let mut authenticator = None;
        for (door, call) in doors {
            // Each door begins with no failures, and with a session of its own.
            let user = world.auth.system().admin().list(None, None, 1).await.unwrap().remove(0);
            let clear = LoginRecord { at: None, rehash: None };
            ports.users.record_login(&user.tenant, &user.id, &clear).await.unwrap();
            world.advance(Duration::from_secs(601));
            let jar = match (door, &authenticator) {
                ("login", _) => Jar::default(),
                ("backup-codes" | "disable", None) => {
                    let jar = world.session(ADA).await;
                    let enrolled = Authenticator::set_up(world, &jar).await;
                    let body = json!({ "code": enrolled.code(world) });
                    let answer = world.send(post("2fa/enable/").jar(&jar).json(body)).await;
                    authenticator = Some(enrolled);
                    answer.jar()
                }
                (_, Some(enrolled)) => {
                    let first = case.log_in(ADA, PASSWORD).await.json();
                    let body = json!({ "session_token": first["session_token"], "code": enrolled.code(world) });
                    world.send(post("2fa/verify-login/").json(body)).await.jar()
                }
                (_, None) => world.session(ADA).await,
            };
            for number in 0..25 {
                let wrong = world.send(call(&format!("wrong guess no. {number}")).jar(&jar)).await;
                assert!([400, 401, 429].contains(&wrong.status.as_u16()), "{name}: {door}: {wrong:?}");
            }
            let wrong = world.send(call("another wrong guess").jar(&jar)).await;
            let right = world.send(call(PASSWORD).jar(&jar)).await;
            let shape = |answer: &Answer| (answer.status.as_u16(), answer.json()["code"].clone());
            assert_eq!(shape(&right), shape(&wrong), "{name}: {door} tells a right guess from a wrong one");
        }
        // Signing up again guesses at the password of an account that is not verified.
        case.sign_up(EVE, PASSWORD, "").await;
        for number in 0..12 {
            case.sign_up(EVE, &format!("wrong guess no. {number}"), "").await;
        }
        let events = world.events.take();
        case.sign_up(EVE, PASSWORD, "").await;
        assert!(!case.opens(EVE, PASSWORD).await, "{name}: {events:?}");
    }
}
