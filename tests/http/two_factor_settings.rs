//! Each setting of two-factor login does what it says.

use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::types::Limit;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, PASSWORD, World, post};

scenarios![
    a_pending_login_waits_as_long_as_it_is_told,
    a_set_up_waits_as_long_as_it_is_told,
    a_code_counts_for_as_many_steps_as_it_is_told,
    guesses_are_as_many_as_they_are_told,
    a_recent_login_is_as_recent_as_it_is_told,
    variables_name_the_issuer_and_number_the_codes,
];

const EMAIL: &str = "ada@example.org";

async fn first_step(world: &World) -> Value {
    world.log_in(EMAIL, PASSWORD).await.json()["session_token"].clone()
}

async fn verify(world: &World, token: &Value, code: &str) -> Answer {
    world.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
}

async fn a_pending_login_waits_as_long_as_it_is_told(ground: Ground) {
    for seconds in [60, 900] {
        let pending_lifetime = Duration::from_secs(seconds);
        let world = ground.world_with(|config| config.policy.pending_lifetime = pending_lifetime).await;
        let (_, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
        world.advance(Duration::from_secs(30));
        let token = first_step(&world).await;
        world.advance(pending_lifetime - Duration::from_secs(1));
        assert_eq!(verify(&world, &token, &authenticator.code(&world)).await.status, 200);
        let token = first_step(&world).await;
        world.advance(pending_lifetime);
        verify(&world, &token, &authenticator.code(&world)).await.refused(401, "pending_session_invalid");
    }
}

async fn a_set_up_waits_as_long_as_it_is_told(ground: Ground) {
    for seconds in [60, 899] {
        let totp_setup_lifetime = Duration::from_secs(seconds);
        let world = ground.world_with(|config| config.policy.totp_setup_lifetime = totp_setup_lifetime).await;
        for (email, after, status) in [(EMAIL, seconds - 1, 200), ("bob@example.org", seconds, 400)] {
            world.account(email).await;
            let jar = world.session(email).await;
            let authenticator = Authenticator::set_up(&world, &jar).await;
            world.advance(Duration::from_secs(after));
            let body = json!({ "code": authenticator.code(&world) });
            let answer = world.send(post("2fa/enable/").jar(&jar).json(body)).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
    }
}

async fn a_code_counts_for_as_many_steps_as_it_is_told(ground: Ground) {
    for skew in [0, 1, 2] {
        let world = ground.world_with(|config| config.policy.totp_skew = skew).await;
        let (_, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
        let steps = i64::from(skew);
        for (off, accepted) in [(-steps - 1, false), (-steps, true), (steps + 1, false), (steps, true)] {
            world.advance(Duration::from_secs(30 * 10));
            let answer = verify(&world, &first_step(&world).await, &authenticator.code_at(&world, off)).await;
            assert_eq!(answer.status == 200, accepted, "{off} of {skew}");
        }
    }
}

async fn guesses_are_as_many_as_they_are_told(ground: Ground) {
    for (count, window) in [(2, 60), (7, 1000)] {
        let configure = |config: &mut Config| {
            config.policy.timed_limits = true;
            config.throttles.off("verify_2fa");
            config.throttles.off("login");
            config.policy.second_factor_attempts = Limit::new(count, Duration::from_secs(window));
            config.policy.pending_lifetime = Duration::from_secs(300);
        };
        let world = ground.world_with(configure).await;
        let (_, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
        world.advance(Duration::from_secs(30));
        let token = first_step(&world).await;
        for _ in 0..count {
            verify(&world, &token, "000000").await.refused(400, "invalid_code");
        }
        verify(&world, &token, &authenticator.code(&world)).await.refused(429, "throttled");
        world.advance(Duration::from_secs(window - 1));
        let token = first_step(&world).await;
        verify(&world, &token, &authenticator.code(&world)).await.refused(429, "throttled");
        world.advance(Duration::from_secs(1));
        assert_eq!(verify(&world, &token, &authenticator.code(&world)).await.status, 200);
    }
}

async fn a_recent_login_is_as_recent_as_it_is_told(ground: Ground) {
    let world = ground.world_with(|config| config.policy.sudo_max_age = Duration::from_secs(60)).await;
    world.account(EMAIL).await;
    let jar = world.session(EMAIL).await;
    for (after, status) in [(60, 200), (1, 403)] {
        world.advance(Duration::from_secs(after));
        assert_eq!(world.send(post("2fa/setup/").jar(&jar)).await.status, status);
        let body = json!({ "new_email": "new@example.org" });
        assert_eq!(world.send(post("change-email/").jar(&jar).json(body)).await.status, status);
    }
}

async fn variables_name_the_issuer_and_number_the_codes(ground: Ground) {
    let variables = [
        ("AUTH_SECRET", crate::world::SECRET),
        ("AUTH_FRONTEND_URL", "https://app.example.org"),
        ("AUTH_TOTP_ISSUER", "The Shop"),
        ("AUTH_BACKUP_CODES", "3"),
    ];
    let find = |asked| variables.iter().find(|(name, _)| *name == asked).map(|(_, text)| (*text).to_owned());
    let set = Config::from_lookup(find).unwrap();
    let world = ground.world_with(|config| *config = set).await;
    world.account(EMAIL).await;
    let jar = world.session(EMAIL).await;
    let uri = world.send(post("2fa/setup/").jar(&jar)).await.json()["otpauth_uri"].clone();
    assert!(uri.as_str().unwrap().starts_with("otpauth://totp/The%20Shop:ada%40example.org?"), "{uri}");
    let (_, authenticator) = Authenticator::enrolled(&world, "bob@example.org").await;
    assert_eq!(authenticator.backup_codes.len(), 3);
}
