//! Second factors under many callers at the same moment: each code counts once, no guess is free, and nothing of the
//! state before a change lives on after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::port::{Event, UserKey};
use auth_system::auth_core::types::{Credential, Email, FactorKind};
use serde_json::{Value, json};

use crate::races::{CALLERS, at_once, succeeded};
use crate::scenarios;
use crate::world::{Answer, Authenticator, Call, Ground, Jar, PASSWORD, ROUNDS, World, claims, get, post};

scenarios![
    one_code_finishes_one_of_twenty_logins,
    one_backup_code_finishes_one_of_twenty_logins,
    many_right_codes_finish_one_login_once,
    two_set_ups_come_to_one_authenticator,
    no_session_of_a_password_alone_outlives_the_enabling,
    no_login_with_the_old_factor_outlives_its_disabling,
    a_new_set_of_codes_ends_the_old_one_and_loses_none_of_its_own,
    twenty_guesses_get_what_the_timed_budget_allows,
    twenty_guesses_get_what_the_durable_budget_allows,
];

const STEP: Duration = Duration::from_secs(30);

fn address(round: usize) -> String {
    format!("ada{round}@example.org")
}

/// An account with a fresh code, and a session of it.
async fn enrolled(world: &World, round: usize) -> (Jar, Authenticator) {
    let enrolled = Authenticator::enrolled(world, &address(round)).await;
    world.advance(STEP);
    enrolled
}

async fn first_step(world: &World, email: &str) -> Value {
    let answer = world.log_in(email, PASSWORD).await;
    assert_eq!(answer.json()["requires_2fa"], true, "{answer:?}");
    answer.json()["session_token"].clone()
}

async fn first_steps(world: &World, email: &str, count: usize) -> Vec<Value> {
    let mut tokens = Vec::new();
    for _ in 0..count {
        tokens.push(first_step(world, email).await);
    }
    tokens
}

fn verify(token: &Value, code: &str) -> Call {
    post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))
}

fn says(answer: &Answer, detail: &str) -> bool {
    answer.status == 200 && answer.json()["detail"] == detail
}

async fn alive(world: &World, answer: &Answer) -> bool {
    let alive = world.me(&answer.jar()).await.status == 200;
    assert_eq!(alive, world.refresh(&answer.jar()).await.status == 200);
    alive
}

/// The credential that the account lists.
async fn credential(world: &World, email: &str, kind: &FactorKind) -> Credential {
    let email = Email::parse(email).unwrap();
    let user = world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap();
    let factor = user.factors.iter().find(|factor| factor.kind == *kind).unwrap();
    let credentials = world.auth.system().ports().credentials.clone();
    credentials.find(&user.tenant, factor.credential).await.unwrap().unwrap()
}

async fn one_code_finishes_one_of_twenty_logins(ground: Ground) {
    let world = Arc::new(ground.world().await);
    let (_, authenticator) = enrolled(&world, 0).await;
    for _ in 0..ROUNDS {
        let code = authenticator.code(&world);
        let tokens = first_steps(&world, &address(0), CALLERS).await;
        let answers = at_once(&world, tokens.iter().map(|token| verify(token, &code)).collect()).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| !answer.status.is_success()) {
            answer.refused(400, "invalid_code");
        }
        world.advance(STEP);
    }
}

async fn one_backup_code_finishes_one_of_twenty_logins(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS.div_ceil(10) {
        let (_, authenticator) = enrolled(&world, round).await;
        for (used, code) in authenticator.backup_codes.iter().enumerate() {
            let tokens = first_steps(&world, &address(round), CALLERS).await;
            let answers = at_once(&world, tokens.iter().map(|token| verify(token, code)).collect()).await;
            assert_eq!(succeeded(&answers), 1, "{answers:?}");
            let success = answers.iter().find(|answer| answer.status.is_success()).unwrap();
            assert_eq!(success.json()["backup_codes_remaining"], 9 - used);
        }
    }
}

async fn many_right_codes_finish_one_login_once(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let (_, authenticator) = enrolled(&world, round).await;
        let token = first_step(&world, &address(round)).await;
        let mut calls: Vec<_> = authenticator.backup_codes.iter().map(|code| verify(&token, code)).collect();
        calls.extend((0..CALLERS - calls.len()).map(|at| {
            let steps = if at % 2 == 0 { 0 } else { 1 };
            verify(&token, &authenticator.code_at(&world, steps))
        }));
        let answers = at_once(&world, calls).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let sessions = world.events.take().iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count();
        assert_eq!(sessions, 1);
        world.send(verify(&token, &authenticator.backup_codes[0])).await;
    }
}

async fn two_set_ups_come_to_one_authenticator(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = address(round);
        world.account(&email).await;
        let jars = [world.session(&email).await, world.session(&email).await];
        let both = [Authenticator::set_up(&world, &jars[0]).await, Authenticator::set_up(&world, &jars[1]).await];
        let enable = |at: usize| {
            let body = json!({ "code": both[at % 2].code(&world) });
            post("2fa/enable/").jar(&jars[at % 2]).json(body)
        };
        let answers = at_once(&world, (0..CALLERS).map(enable).collect()).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let success = answers.iter().find(|answer| answer.status.is_success()).unwrap();
        assert!(alive(&world, success).await);
        for jar in &jars {
            world.me(jar).await.refused(401, "not_authenticated");
        }
        // The one that was turned on opens the door, with the codes that were shown; the other one is nothing.
        world.advance(STEP);
        let mut opened = 0;
        for authenticator in &both {
            let token = first_step(&world, &email).await;
            opened += usize::from(world.send(verify(&token, &authenticator.code(&world))).await.status.is_success());
        }
        assert_eq!(opened, 1);
        let token = first_step(&world, &email).await;
        let shown = success.json()["backup_codes"][0].as_str().unwrap().to_owned();
        assert_eq!(world.send(verify(&token, &shown)).await.json()["backup_codes_remaining"], 9);
    }
}

async fn no_session_of_a_password_alone_outlives_the_enabling(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = address(round);
        world.account(&email).await;
        let jar = world.session(&email).await;
        let authenticator = Authenticator::set_up(&world, &jar).await;
        let body = json!({ "email": email, "password": PASSWORD });
        let logins = [
            post("login/").json(body),
            post("login/").json(json!({ "email": email.to_uppercase(), "password": PASSWORD })),
        ];
        // They replace the session that the enabling comes with, and may be the first to do so.
        let renewals =
            [post("refresh/").jar(&jar), post("reauthenticate/").jar(&jar).json(json!({ "password": PASSWORD }))];
        let with_renewals = round % 2 == 0;
        let kinds: Vec<_> = logins.into_iter().chain(renewals.into_iter().filter(|_| with_renewals)).collect();
        let mut calls: Vec<_> = kinds.into_iter().cycle().take(CALLERS - 1).collect();
        let enable = post("2fa/enable/").jar(&jar).json(json!({ "code": authenticator.code(&world) }));
        calls.insert(round % CALLERS, enable);
        let answers = at_once(&world, calls).await;
        assert!(answers.iter().all(|answer| !answer.status.is_server_error()), "{answers:?}");
        if !answers.iter().any(|answer| says(answer, "Two-factor authentication enabled.")) {
            assert!(with_renewals, "{answers:?}");
            continue;
        }
        for answer in answers.iter().filter(|answer| answer.jar().has_access()) {
            let two_factors = claims(answer.jar().access())["amr"] == json!(["pwd", "otp", "mfa"]);
            assert_eq!(alive(&world, answer).await, two_factors, "{answer:?}");
        }
        world.me(&jar).await.refused(401, "not_authenticated");
    }
}

async fn no_login_with_the_old_factor_outlives_its_disabling(ground: Ground) {
    let world = Arc::new(ground.world().await);
    let mut disabled = 0;
    for round in 0..ROUNDS {
        let (jar, authenticator) = enrolled(&world, round).await;
        let code = authenticator.code(&world);
        let tokens = first_steps(&world, &address(round), CALLERS - 1).await;
        // Every other round, one in five has the very code that disabling needs; the others have backup codes.
        let verify = |(at, token): (usize, &Value)| match at % 5 + round % 2 {
            0 => verify(token, &code),
            _ => verify(token, &authenticator.backup_codes[at % 10]),
        };
        let mut calls: Vec<_> = tokens.iter().enumerate().map(verify).collect();
        let disable = post("2fa/disable/").jar(&jar).json(json!({ "password": PASSWORD, "code": code }));
        calls.insert(round % 3, disable);
        let answers = at_once(&world, calls).await;
        assert!(answers.iter().all(|answer| !answer.status.is_server_error()), "{answers:?}");
        let is_off = answers.iter().any(|answer| says(answer, "Two-factor authentication disabled."));
        let by_code = answers.iter().filter(|answer| answer.json() == json!({ "detail": "Login successful." })).count();
        assert!(by_code + usize::from(is_off) <= 1, "one code was taken twice: {answers:?}");
        for answer in answers.iter().filter(|answer| answer.status.is_success()) {
            let of_now = !is_off || says(answer, "Two-factor authentication disabled.");
            assert_eq!(alive(&world, answer).await, of_now, "{answer:?}");
        }
        let login = world.log_in(&address(round), PASSWORD).await;
        assert_eq!(login.json()["requires_2fa"] == true, !is_off);
        for token in &tokens {
            if is_off {
                world.send(self::verify(token, &code)).await.refused(401, "pending_session_invalid");
            }
        }
        disabled += usize::from(is_off);
    }
    assert!(disabled > 0);
}

async fn a_new_set_of_codes_ends_the_old_one_and_loses_none_of_its_own(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let (jar, authenticator) = enrolled(&world, round).await;
        let tokens = first_steps(&world, &address(round), 10).await;
        // Each old code twice, with a pending login for each of the two.
        let codes = authenticator.backup_codes.iter().take(5).cycle();
        let mut calls: Vec<_> = tokens.iter().zip(codes).map(|(token, code)| verify(token, code)).collect();
        let regenerate = post("2fa/backup-codes/").jar(&jar).json(json!({ "password": PASSWORD }));
        calls.insert(round % 11, regenerate);
        let answers = at_once(&world, calls).await;
        let logins: Vec<_> = answers.iter().filter(|answer| says(answer, "Login successful.")).collect();
        let left: BTreeSet<_> =
            logins.iter().map(|answer| answer.json()["backup_codes_remaining"].to_string()).collect();
        assert_eq!((left.len(), logins.len() <= 5), (logins.len(), true), "{answers:?}");
        let new = answers.iter().find(|answer| says(answer, "Backup codes regenerated."));
        let count = world.send(get("2fa/backup-codes/").jar(&jar)).await.json()["count"].clone();
        let Some(new) = new else {
            assert_eq!(count, 10 - logins.len());
            continue;
        };
        assert_eq!(count, 10);
        let token = first_step(&world, &address(round)).await;
        for code in &authenticator.backup_codes {
            world.send(verify(&token, code)).await.refused(400, "invalid_code");
        }
        let first = new.json()["backup_codes"][0].as_str().unwrap().to_owned();
        assert_eq!(world.send(verify(&token, &first)).await.json()["backup_codes_remaining"], 9);
    }
}

async fn twenty_guesses_get_what_the_timed_budget_allows(ground: Ground) {
    let configure = |config: &mut auth_system::Config| {
        config.policy.timed_limits = true;
        config.throttles.off("verify_2fa");
        config.throttles.off("login");
        config.throttles.off("signup");
        config.policy.second_factor_attempts.count = 5;
    };
    let world = Arc::new(ground.world_with(configure).await);
    let (_, authenticator) = enrolled(&world, 0).await;
    for _ in 0..ROUNDS {
        let tokens = first_steps(&world, &address(0), CALLERS).await;
        world.events.take();
        let guess = |(at, token): (usize, &Value)| verify(token, &format!("00000{}", at % 10));
        let right = authenticator.code(&world);
        let guesses = tokens.iter().enumerate().map(guess).filter(|call| {
            let body = String::from_utf8_lossy(&call.body).into_owned();
            !body.contains(&right)
        });
        let guesses: Vec<_> = guesses.collect();
        let sent = guesses.len();
        let answers = at_once(&world, guesses).await;
        let evaluated = world.events.take().iter().filter(|event| matches!(event, Event::CodeRefused { .. })).count();
        let throttled = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!((evaluated, throttled), (5, sent - 5), "{answers:?}");
        world.send(verify(&tokens[0], &right)).await.refused(429, "throttled");
        world.advance(Duration::from_secs(300));
        let token = first_step(&world, &address(0)).await;
        assert_eq!(world.send(verify(&token, &authenticator.code(&world))).await.status, 200);
        world.advance(STEP);
    }
}

async fn twenty_guesses_get_what_the_durable_budget_allows(ground: Ground) {
    let world = Arc::new(ground.world_with(|config| config.policy.max_consecutive_failures = 10).await);
    for round in 0..ROUNDS {
        let (_, authenticator) = enrolled(&world, round).await;
        let email = address(round);
        let tokens = first_steps(&world, &email, CALLERS).await;
        let answers = at_once(&world, tokens.iter().map(|token| verify(token, "000000")).collect()).await;
        assert_eq!(succeeded(&answers), 0);
        assert_eq!(credential(&world, &email, &FactorKind::totp()).await.consecutive_failures, 10);
        world.send(verify(&tokens[0], &authenticator.code(&world))).await.refused(400, "invalid_code");
        let answers = at_once(&world, tokens.iter().map(|token| verify(token, "ABCDEFGH")).collect()).await;
        assert_eq!(succeeded(&answers), 0);
        assert_eq!(credential(&world, &email, &FactorKind::backup_codes()).await.consecutive_failures, 10);
        for code in &authenticator.backup_codes {
            world.send(verify(&tokens[1], code)).await.refused(400, "invalid_code");
        }
    }
}
