//! Logging in with a second factor: the hand-off, the codes, their budgets, and what dies when.

use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose, UserKey};
use auth_system::auth_core::types::Email;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{ACCESS, Answer, Authenticator, Ground, Jar, PASSWORD, REFRESH, World, claims, get, post};

scenarios![
    a_code_of_the_authenticator_finishes_the_login,
    a_backup_code_finishes_it_once,
    a_wrong_code_leaves_the_login_pending,
    a_code_is_good_once,
    other_shapes_of_a_used_code_are_refused,
    a_pending_login_ends_with_its_time_and_its_account,
    a_pending_login_is_good_for_nothing_else,
    several_logins_wait_side_by_side,
    the_budget_is_the_factors_own,
    a_hundred_failures_turn_the_authenticator_off,
    the_owner_is_told_that_the_password_is_known,
    no_reset_or_verification_gets_around_the_factor,
    a_pending_login_survives_a_restart,
    a_lost_data_key_lets_nobody_in,
    a_rotated_data_key_is_sealed_anew,
];

const EMAIL: &str = "ada@example.org";

async fn first_step(world: &World) -> Value {
    let answer = world.log_in(EMAIL, PASSWORD).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["requires_2fa"]), (200, &json!(true)));
    assert!(answer.set_cookies().is_empty());
    answer.json()["session_token"].clone()
}

async fn verify(world: &World, token: &Value, code: &str) -> Answer {
    world.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
}

/// An account whose authenticator has a fresh code.
async fn enrolled(world: &World) -> Authenticator {
    let (_, authenticator) = Authenticator::enrolled(world, EMAIL).await;
    world.advance(Duration::from_secs(30));
    authenticator
}

async fn a_code_of_the_authenticator_finishes_the_login(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let token = first_step(&world).await;
    let spelt = token.as_str().unwrap().to_uppercase().replace('-', "");
    let answer = verify(&world, &json!(spelt), &authenticator.code(&world)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Login successful." })));
    let jar = answer.jar();
    assert_eq!(world.me(&jar).await.status, 200);
    assert_eq!(claims(jar.access())["amr"], json!(["pwd", "otp", "mfa"]));
    assert!(!jar.device().is_empty());
    assert_eq!(world.refresh(&jar).await.status, 200);
    assert!(world.mails().await.is_empty());
    verify(&world, &token, &authenticator.code_at(&world, 1)).await.refused(401, "pending_session_invalid");
}

async fn a_backup_code_finishes_it_once(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let code = &authenticator.backup_codes[3];
    let spelt = format!("{}-{}", &code[..4].to_lowercase(), &code[4..]);
    let answer = verify(&world, &first_step(&world).await, &spelt).await;
    let expected =
        json!({ "detail": "Login successful.", "warning": "Backup code used.", "backup_codes_remaining": 9 });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    let shown = world.send(get("2fa/backup-codes/").jar(&answer.jar())).await;
    assert_eq!(shown.json()["count"], 9);
    let token = first_step(&world).await;
    for again in [code.clone(), code.to_lowercase(), spelt, format!(" {code} ")] {
        verify(&world, &token, &again).await.refused(400, "invalid_code");
    }
    let answer = verify(&world, &token, &authenticator.backup_codes[4]).await;
    assert_eq!(answer.json()["backup_codes_remaining"], 8);
}

async fn a_wrong_code_leaves_the_login_pending(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let token = first_step(&world).await;
    for wrong in ["000000", "ABCDEFGH", "12 34 56"] {
        let answer = verify(&world, &token, wrong).await;
        answer.refused(400, "invalid_code");
    }
    assert_eq!(verify(&world, &token, &authenticator.code(&world)).await.status, 200);
}

async fn a_code_is_good_once(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let (first, second) = (first_step(&world).await, first_step(&world).await);
    let code = authenticator.code(&world);
    let before = authenticator.code_at(&world, -1);
    assert_eq!(verify(&world, &first, &code).await.status, 200);
    verify(&world, &second, &code).await.refused(400, "invalid_code");
    verify(&world, &second, &before).await.refused(400, "invalid_code");
    assert_eq!(verify(&world, &second, &authenticator.code_at(&world, 1)).await.status, 200, "the next step, early");
    world.advance(Duration::from_secs(30));
    verify(&world, &first_step(&world).await, &authenticator.code(&world)).await.refused(400, "invalid_code");
    world.advance(Duration::from_secs(30));
    assert_eq!(verify(&world, &first_step(&world).await, &authenticator.code(&world)).await.status, 200);
}

async fn other_shapes_of_a_used_code_are_refused(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let code = authenticator.code(&world);
    assert_eq!(verify(&world, &first_step(&world).await, &code).await.status, 200);
    let token = first_step(&world).await;
    let wide: String = code.chars().map(|c| char::from_u32(u32::from(c) - 0x30 + 0xff10).unwrap()).collect();
    let number: u64 = code.parse().unwrap();
    for shape in [
        json!(code),
        json!(format!(" {code}")),
        json!(format!("{code} ")),
        json!(format!("{} {}", &code[..3], &code[3..])),
        json!(wide),
        json!(number),
        json!(format!("0{code}")),
        json!(&code[..5]),
        json!(format!("+{code}")),
        json!(format!("{code}.0")),
        json!([code]),
    ] {
        let body = json!({ "session_token": token, "code": shape });
        let answer = world.send(post("2fa/verify-login/").json(body)).await;
        assert_eq!(answer.status, 400, "{shape}");
        assert_eq!(answer.jar(), Jar::default());
    }
}

async fn a_pending_login_ends_with_its_time_and_its_account(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let token = first_step(&world).await;
    world.advance(Duration::from_secs(299));
    assert_eq!(verify(&world, &token, &authenticator.code(&world)).await.status, 200);
    let token = first_step(&world).await;
    world.advance(Duration::from_secs(300));
    verify(&world, &token, &authenticator.code(&world)).await.refused(401, "pending_session_invalid");
    // A reset, by whoever reads the mail.
    let token = first_step(&world).await;
    world.send(post("password-reset/").json(json!({ "email": EMAIL }))).await;
    let reset = world.link(EMAIL, MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password(PASSWORD)).await.status, 200);
    verify(&world, &token, &authenticator.code(&world)).await.refused(401, "pending_session_invalid");
    // A ban.
    let token = first_step(&world).await;
    let email = Email::parse(EMAIL).unwrap();
    let id = world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap().id;
    world.auth.admin().disable(&id).await.unwrap();
    verify(&world, &token, &authenticator.code(&world)).await.refused(401, "pending_session_invalid");
    world.auth.admin().enable(&id).await.unwrap();
    verify(&world, &token, &authenticator.code(&world)).await.refused(401, "pending_session_invalid");
}

async fn a_pending_login_is_good_for_nothing_else(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let token = first_step(&world).await;
    let text = token.as_str().unwrap();
    for name in [ACCESS, REFRESH] {
        let jar = Jar::of(name, text);
        world.me(&jar).await.refused(401, if name == ACCESS { "token_not_valid" } else { "not_authenticated" });
        world.refresh(&jar).await.refused(401, "refresh_invalid");
    }
    let jar = verify(&world, &token, &authenticator.code(&world)).await.jar();
    for other in [jar.access(), jar.refresh(), "00000000-0000-4000-8000-000000000000"] {
        let answer = verify(&world, &json!(other), &authenticator.code_at(&world, 1)).await;
        assert!([400, 401].contains(&answer.status.as_u16()), "{answer:?}");
        assert_eq!(answer.jar(), Jar::default());
    }
    for bad in [json!(""), json!("no uuid"), json!(null), json!(7), json!([text]), json!(format!("{{{text}}}"))] {
        let answer = verify(&world, &bad, "000000").await;
        answer.refused(400, "invalid_fields");
        assert!(!answer.field("session_token").is_empty());
    }
}

async fn several_logins_wait_side_by_side(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(first_step(&world).await);
    }
    for token in tokens.iter().rev() {
        assert_eq!(verify(&world, token, &authenticator.code(&world)).await.status, 200);
        world.advance(Duration::from_secs(30));
    }
}

/// Neither a new pending login, nor another address, nor the right password starts the count anew.
async fn the_budget_is_the_factors_own(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.throttles.off("verify_2fa");
            config.throttles.off("login");
        })
        .await;
    let authenticator = enrolled(&world).await;
    for number in 0..5_u8 {
        let token = first_step(&world).await;
        let mut guess = post("2fa/verify-login/").json(json!({ "session_token": token, "code": "000000" }));
        guess.peer = Some([203, 0, 113, number].into());
        world.send(guess).await.refused(400, "invalid_code");
    }
    let token = first_step(&world).await;
    verify(&world, &token, &authenticator.code(&world)).await.refused(429, "throttled");
    // Backup codes have a budget of their own.
    assert_eq!(verify(&world, &token, &authenticator.backup_codes[0]).await.status, 200);
    let token = first_step(&world).await;
    verify(&world, &token, &authenticator.code(&world)).await.refused(429, "throttled");
    world.advance(Duration::from_secs(299));
    let token = first_step(&world).await;
    verify(&world, &token, &authenticator.code(&world)).await.refused(429, "throttled");
    world.advance(Duration::from_secs(1));
    assert_eq!(verify(&world, &token, &authenticator.code(&world)).await.status, 200);
}

async fn a_hundred_failures_turn_the_authenticator_off(ground: Ground) {
    let world = ground.world_with(|config| config.policy.max_consecutive_failures = 10).await;
    let authenticator = enrolled(&world).await;
    for _ in 0..10 {
        verify(&world, &first_step(&world).await, "000000").await.refused(400, "invalid_code");
    }
    let token = first_step(&world).await;
    verify(&world, &token, &authenticator.code(&world)).await.refused(400, "invalid_code");
    let restarted = world.restarted(|config| config.policy.max_consecutive_failures = 10).await;
    verify(&restarted, &token, &authenticator.code(&world)).await.refused(400, "invalid_code");
    // A backup code still opens the door.
    assert_eq!(verify(&world, &token, &authenticator.backup_codes[0]).await.status, 200);
}

async fn the_owner_is_told_that_the_password_is_known(ground: Ground) {
    let world = ground.world().await;
    enrolled(&world).await;
    let token = first_step(&world).await;
    for _ in 0..3 {
        verify(&world, &token, "000000").await.refused(400, "invalid_code");
        world.advance(Duration::from_secs(60));
    }
    let mails = world.mails().await;
    let told: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.purpose)).collect();
    assert_eq!(told, [(EMAIL, MailPurpose::SecondFactorFailed)], "once an hour");
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::CodeRefused { .. })), "{events:?}");
    // Its link takes the password away, and leaves the factor.
    let link = crate::world::Link::of(&mails[0]);
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.log_in(EMAIL, PASSWORD).await.refused(401, "invalid_credentials");
    let reset = world.link(EMAIL, MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password(PASSWORD)).await.status, 200);
    first_step(&world).await;
    world.mails().await;
    world.advance(Duration::from_secs(60 * 60));
    verify(&world, &first_step(&world).await, "000000").await.refused(400, "invalid_code");
    assert_eq!(world.mails().await.len(), 1);
}

async fn no_reset_or_verification_gets_around_the_factor(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
    let change = world.change_email_link(&jar, "new@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": EMAIL }))).await;
    let reset = world.link(EMAIL, MailPurpose::ResetPassword).await;
    let answer = world.send(change.change_email(&jar)).await;
    assert_eq!((answer.status.as_u16(), answer.jar()), (200, Jar::default()));
    world.send(reset.set_password("another password")).await.refused(400, "link_invalid");
    world.send(post("password-reset/").json(json!({ "email": "new@example.org" }))).await;
    let reset = world.link("new@example.org", MailPurpose::ResetPassword).await;
    let answer = world.send(reset.set_password("another password")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.jar(), answer.jar().only("known_device"), "a reset does not log in");
    let answer = world.log_in("new@example.org", "another password").await;
    assert_eq!(answer.json()["requires_2fa"], true);
    world.advance(Duration::from_secs(30));
    let token = answer.json()["session_token"].clone();
    let jar = verify(&world, &token, &authenticator.code(&world)).await.jar();
    // Nor does proving the password again, or changing it, drop what the session was made with.
    let body = json!({ "password": "another password" });
    let renewed = world.send(post("reauthenticate/").jar(&jar).json(body)).await.jar();
    assert_eq!(claims(renewed.access())["amr"], json!(["pwd", "otp", "mfa"]));
}

async fn a_pending_login_survives_a_restart(ground: Ground) {
    let world = ground.world().await;
    let authenticator = enrolled(&world).await;
    let token = first_step(&world).await;
    let other = world.restarted(|_| {}).await;
    assert_eq!(verify(&other, &token, &authenticator.code(&world)).await.status, 200);
}

fn data_key(first: &str) -> auth_system::auth_core::token::RootSecret {
    let text = format!("{first}{}", &crate::world::SECRET[first.len()..]);
    auth_system::auth_core::token::RootSecret::parse(&text).unwrap()
}

async fn a_lost_data_key_lets_nobody_in(ground: Ground) {
    let world = ground.world_with(|config| config.data_keys = vec![data_key("aaaa")]).await;
    let authenticator = enrolled(&world).await;
    let lost = world.restarted(|config| config.data_keys = vec![data_key("bbbb")]).await;
    let token = first_step(&lost).await;
    for code in [authenticator.code(&world), authenticator.backup_codes[0].clone()] {
        let answer = verify(&lost, &token, &code).await;
        answer.refused(503, "unavailable");
    }
    let found = world.restarted(|config| config.data_keys = vec![data_key("bbbb"), data_key("aaaa")]).await;
    assert_eq!(verify(&found, &token, &authenticator.code(&world)).await.status, 200);
}

async fn a_rotated_data_key_is_sealed_anew(ground: Ground) {
    let world = ground.world_with(|config| config.data_keys = vec![data_key("aaaa")]).await;
    let authenticator = enrolled(&world).await;
    let both = world.restarted(|config| config.data_keys = vec![data_key("bbbb"), data_key("aaaa")]).await;
    assert_eq!(verify(&both, &first_step(&both).await, &authenticator.code(&world)).await.status, 200);
    world.advance(Duration::from_secs(30));
    let new = world.restarted(|config| config.data_keys = vec![data_key("bbbb")]).await;
    assert_eq!(verify(&new, &first_step(&new).await, &authenticator.code(&world)).await.status, 200);
}
