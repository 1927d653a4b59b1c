//! Known devices: a reset makes its browser one, and all others are unknown from then on.

use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use crate::scenarios;
use crate::world::{Call, DEVICE, Ground, Jar, PASSWORD, World, post};

scenarios![
    a_reset_makes_its_browser_known_and_lets_it_in_while_strangers_guess,
    a_reset_takes_their_budget_from_all_other_devices,
    the_device_cookie_lives_as_long_as_its_token,
    a_locked_out_owner_is_told_by_mail_and_gets_in_by_a_reset,
];

const ADA: &str = "ada@example.org";
const NEW: &str = "a new password";

/// The limits of accounts alone, without those of addresses.
fn accounts_only(config: &mut Config) {
    config.policy.timed_limits = true;
    let many = auth_system::auth_core::types::Limit::new(1_000_000, Duration::from_secs(60));
    for name in ["login", "signup", "password_reset", "confirm"] {
        config.throttles.set(name, many);
    }
}

fn log_in(password: &str, jar: &Jar) -> Call {
    post("login/").json(json!({ "email": ADA, "password": password })).jar(jar)
}

async fn use_up_the_window(world: &World) {
    for _ in 0..11 {
        world.log_in(ADA, "a wrong guess").await;
    }
    world.log_in(ADA, PASSWORD).await.refused(429, "throttled");
}

/// The cookies of a completed reset.
async fn reset(world: &World) -> Jar {
    world.send(post("password-reset/").json(json!({ "email": ADA }))).await;
    let link = world.link(ADA, MailPurpose::ResetPassword).await;
    let answer = world.send(link.set_password(NEW)).await;
    assert_eq!(answer.json(), json!({ "detail": "Password has been reset successfully." }));
    answer.jar()
}

async fn a_reset_makes_its_browser_known_and_lets_it_in_while_strangers_guess(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account(ADA).await;
    use_up_the_window(&world).await;
    let jar = reset(&world).await;
    assert_eq!(jar, jar.only("known_device"));
    assert_eq!(world.log_in(ADA, NEW).await.status, 200, "the window went with the reset");
    use_up_the_window(&world).await;
    assert_eq!(world.send(log_in(NEW, &jar)).await.status, 200);
}

async fn a_reset_takes_their_budget_from_all_other_devices(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account(ADA).await;
    let old = world.session(ADA).await.only("known_device");
    reset(&world).await;
    use_up_the_window(&world).await;
    world.send(log_in(NEW, &old)).await.refused(429, "throttled");
}

async fn the_device_cookie_lives_as_long_as_its_token(ground: Ground) {
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    for lifetime in [days(180), days(2)] {
        let configure = |config: &mut Config| {
            accounts_only(config);
            config.policy.device_lifetime = lifetime;
        };
        let world = ground.world_with(configure).await;
        world.account(ADA).await;
        let answer = world.log_in(ADA, PASSWORD).await;
        let cookies = answer.set_cookies();
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(DEVICE)).unwrap();
        assert!(cookie.contains(&format!("Max-Age={}", lifetime.as_secs())), "{cookie}");
        let device = answer.jar().only("known_device");
        world.advance(lifetime - Duration::from_secs(1));
        use_up_the_window(&world).await;
        assert_eq!(world.send(log_in(PASSWORD, &device)).await.status, 200);
        world.advance(Duration::from_secs(1));
        use_up_the_window(&world).await;
        world.send(log_in(PASSWORD, &device)).await.refused(429, "throttled");
    }
}

async fn a_locked_out_owner_is_told_by_mail_and_gets_in_by_a_reset(ground: Ground) {
    let world = ground.world_with(|config| config.policy.max_consecutive_failures = 10).await;
    world.account(ADA).await;
    for _ in 0..30 {
        world.log_in(ADA, "a wrong guess").await.refused(401, "invalid_credentials");
    }
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose, mail.link)).collect();
    assert_eq!(mails, [(ADA.to_owned(), MailPurpose::PasswordOff, None)]);
    world.log_in(ADA, PASSWORD).await.refused(401, "invalid_credentials");
    reset(&world).await;
    assert_eq!(world.log_in(ADA, NEW).await.status, 200);
}
