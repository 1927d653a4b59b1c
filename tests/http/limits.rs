//! How often one may try: per address, per account, per device.

use std::sync::Arc;
use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::port::{AttemptKey, AttemptStore, MailPurpose};
use auth_system::auth_core::types::Limit;
use serde_json::json;
use tokio::task::JoinSet;

use crate::place::Store;
use crate::scenarios;
use crate::world::{ACCESS, Answer, Call, DEVICE, Ground, Jar, PASSWORD, REFRESH, World, get, post};

scenarios![
    an_address_is_told_when_to_come_back,
    whatever_is_sent_counts,
    an_address_cannot_dress_up_as_another,
    every_limit_follows_its_setting,
    every_limit_has_its_default,
    parallel_guesses_never_exceed_the_limit,
    known_and_unknown_accounts_are_limited_alike,
    only_the_same_accounts_success_ends_its_window,
    a_refused_attempt_does_not_extend_the_window,
    a_hundred_failures_turn_the_password_off_until_it_is_reset,
    a_stranger_cannot_lock_a_known_device_out,
    a_device_cookie_opens_nothing_and_fits_one_account,
    cache_pressure_resets_nothing,
];

fn limited(config: &mut Config) {
    config.policy.timed_limits = true;
}

/// Account windows alone: addresses may do what they like.
fn accounts_only(config: &mut Config) {
    limited(config);
    let plenty = Limit::new(1_000_000, Duration::from_secs(60));
    config.throttles.set("login", plenty);
    config.throttles.set("signup", plenty);
    config.throttles.set("refresh", plenty);
    config.throttles.set("confirm", plenty);
    config.throttles.set("password_reset", plenty);
}

fn guess(email: &str, password: &str) -> Call {
    post("login/").json(json!({ "email": email, "password": password }))
}

#[track_caller]
fn throttled(answer: &Answer, name: &str) {
    answer.refused(429, "throttled");
    assert!(answer.header("ratelimit").starts_with(&format!("\"{name}\";r=0;t=")), "{:?}", answer.headers);
}

async fn an_address_is_told_when_to_come_back(ground: Ground) {
    let world = ground.world_with(limited).await;
    for _ in 0..10 {
        assert_eq!(world.send(guess("nobody@example.org", "wrong")).await.status, 401);
        world.advance(Duration::from_secs(1));
    }
    let answer = world.send(guess("somebody@example.org", "wrong")).await;
    throttled(&answer, "login");
    assert_eq!(answer.header("retry-after"), "50");
    assert_eq!(answer.header("ratelimit"), "\"login\";r=0;t=50");
    assert_eq!(answer.header("ratelimit-policy"), "\"login\";q=10;w=60");
    assert_eq!(answer.json()["detail"], "Request was throttled. Expected available in 50 seconds.");
    world.advance(Duration::from_secs(49));
    let answer = world.send(guess("somebody@example.org", "wrong")).await;
    assert_eq!(answer.json()["detail"], "Request was throttled. Expected available in 1 second.");
    world.advance(Duration::from_secs(1));
    assert_eq!(world.send(guess("somebody@example.org", "wrong")).await.status, 401);
    let django = ground.world_with(limited).await;
    assert_eq!(django.send(get("me/")).await.status, 401, "what is not limited is not counted");
}

async fn whatever_is_sent_counts(ground: Ground) {
    let world = ground.world_with(limited).await;
    let broken = post("signup/").body("application/json", "{");
    for call in [&broken, &post("signup/"), &post("signup"), &post("signup/?x=1"), &broken] {
        assert_eq!(world.send(call.clone()).await.status, 400);
    }
    throttled(&world.sign_up("ada@example.org", PASSWORD).await, "signup");
    throttled(&world.send(post("signup").json(json!({}))).await, "signup");
}

async fn an_address_cannot_dress_up_as_another(ground: Ground) {
    let world = ground.world_with(limited).await;
    let from = |peer: &str, call: Call| Call { peer: Some(peer.parse().unwrap()), ..call };
    for number in 0..10 {
        let call = guess(&format!("user{number}@example.org"), "wrong");
        let call = call.header("x-forwarded-for", &format!("198.51.100.{number}"));
        assert_eq!(world.send(from(&format!("2001:db8::{number}"), call)).await.status, 401);
    }
    for disguise in ["2001:db8::ffff", "2001:db8::1:2:3:4"] {
        let call = guess("one.more@example.org", "wrong").header("x-forwarded-for", "203.0.113.9");
        throttled(&world.send(from(disguise, call)).await, "login");
    }
    let other = guess("one.more@example.org", "wrong");
    assert_eq!(world.send(from("2001:db8:0:1::1", other)).await.status, 401, "another /64 is another client");
}

async fn every_limit_follows_its_setting(ground: Ground) {
    let once = Limit::new(1, Duration::from_secs(60));
    for (name, _, call) in by_address() {
        let configure = |config: &mut Config| {
            limited(config);
            config.throttles.set(name, once);
        };
        let world = ground.world_with(configure).await;
        assert_ne!(world.send(call.clone()).await.status, 429, "{name}");
        throttled(&world.send(call.clone()).await, name);
        // Switched off, alone or with all others.
        let off = |config: &mut Config| {
            configure(config);
            config.throttles.off(name);
        };
        let all_off = |config: &mut Config| {
            configure(config);
            config.policy.timed_limits = false;
        };
        for world in [ground.world_with(off).await, ground.world_with(all_off).await] {
            for _ in 0..3 {
                assert_ne!(world.send(call.clone()).await.status, 429, "{name}");
            }
        }
    }
}

async fn every_limit_has_its_default(ground: Ground) {
    for (name, per_minute, call) in by_address() {
        let world = ground.world_with(limited).await;
        for _ in 0..per_minute {
            assert_ne!(world.send(call.clone()).await.status, 429, "{name}");
        }
        let refused = world.send(call).await;
        let policy = format!("\"{name}\";q={per_minute};w=60");
        assert_eq!(refused.refused(429, "throttled").header("ratelimit-policy"), policy);
    }
}

/// Every row with a limit by address: the name of the limit, how often a minute it allows, and a call.
fn by_address() -> [(&'static str, u32, Call); 21] {
    [
        ("signup", 5, post("signup/")),
        ("login", 10, post("login/")),
        ("refresh", 60, post("refresh/")),
        ("password_reset", 5, post("password-reset/")),
        ("resend_verification", 5, post("resend-verification/")),
        ("confirm", 20, get("verify-account/")),
        ("confirm", 20, post("password-reset-confirm/")),
        ("confirm", 20, get("change-email-confirm/")),
        ("confirm", 20, post("verify-account/")),
        ("confirm", 20, post("change-email-confirm/")),
        ("confirm", 20, post("not-me/")),
        ("change_password", 10, post("change-password/")),
        ("change_email", 5, post("change-email/")),
        ("reauthenticate", 10, post("reauthenticate/")),
        ("reauthenticate", 10, post("deactivate-account/")),
        ("two_factor", 10, post("2fa/setup/")),
        ("two_factor", 10, post("2fa/enable/")),
        ("two_factor", 10, post("2fa/disable/")),
        ("two_factor", 10, post("2fa/replace/")),
        ("two_factor", 10, post("2fa/backup-codes/")),
        ("verify_2fa", 10, post("2fa/verify-login/")),
    ]
}

/// Sends all calls at once; tells how many passwords were evaluated, and the answers.
async fn at_once(world: &Arc<World>, calls: Vec<Call>) -> (u64, Vec<Answer>) {
    let before = world.hasher.work();
    let mut tasks = JoinSet::new();
    for call in calls {
        let world = world.clone();
        tasks.spawn(async move { world.send(call).await });
    }
    let answers = tasks.join_all().await;
    (world.hasher.work() - before, answers)
}

async fn parallel_guesses_never_exceed_the_limit(ground: Ground) {
    let world = Arc::new(ground.world_with(accounts_only).await);
    world.account("ada@example.org").await;
    let calls = (0..100).map(|number| guess("ada@example.org", &format!("guess {number}"))).collect();
    let (evaluated, answers) = at_once(&world, calls).await;
    assert_eq!(evaluated, 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 90);
    throttled(&world.log_in("ada@example.org", PASSWORD).await, "account");
    throttled(&world.log_in(" ADA@Example.org", PASSWORD).await, "account");
    world.advance(Duration::from_secs(600));
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn known_and_unknown_accounts_are_limited_alike(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account("known@example.org").await;
    let mut seen = Vec::new();
    for email in ["known@example.org", "unknown@example.org"] {
        let mut answers = Vec::new();
        for _ in 0..12 {
            let answer = world.log_in(email, "wrong").await;
            answers.push((answer.status, answer.headers.clone(), answer.body.clone()));
        }
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
}

async fn only_the_same_accounts_success_ends_its_window(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account("ada@example.org").await;
    world.account("bob@example.org").await;
    for _ in 0..10 {
        world.log_in("ada@example.org", "wrong").await.refused(401, "invalid_credentials");
    }
    assert_eq!(world.log_in("bob@example.org", PASSWORD).await.status, 200);
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    world.mails().await;
    throttled(&world.log_in("ada@example.org", PASSWORD).await, "account");

    for round in 0..3 {
        for _ in 0..9 {
            world.log_in("bob@example.org", "wrong").await.refused(401, "invalid_credentials");
        }
        assert_eq!(world.log_in("bob@example.org", PASSWORD).await.status, 200, "round {round}");
    }
}

async fn a_refused_attempt_does_not_extend_the_window(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account("ada@example.org").await;
    for second in 0..600 {
        if second < 10 || second % 50 == 0 {
            world.log_in("ada@example.org", "wrong").await;
        }
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn a_hundred_failures_turn_the_password_off_until_it_is_reset(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    for _ in 0..98 {
        world.log_in("ada@example.org", "wrong").await.refused(401, "invalid_credentials");
    }
    let restarted = world.restarted(|_| {}).await;
    assert_eq!(restarted.log_in("ada@example.org", PASSWORD).await.status, 200, "one success clears them all");

    let (_, answers) = at_once(&world, vec![guess("ada@example.org", "wrong"); 120]).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    let restarted = world.restarted(|_| {}).await;
    let off = restarted.log_in("ada@example.org", PASSWORD).await;
    let unknown = restarted.log_in("nobody@example.org", PASSWORD).await;
    assert_eq!((off.status, &off.headers, &off.body), (unknown.status, &unknown.headers, &unknown.body));
    assert_eq!(off.status, 401);

    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.set_password("a new password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a new password").await.status, 200);
}

async fn a_stranger_cannot_lock_a_known_device_out(ground: Ground) {
    let world = Arc::new(ground.world_with(accounts_only).await);
    world.account("ada@example.org").await;
    let device = world.session("ada@example.org").await.only("known_device");
    let at_home = |password: &str| guess("ada@example.org", password).jar(&device);
    for _ in 0..15 {
        let (_, answers) = at_once(&world, vec![guess("ada@example.org", "wrong"); 12]).await;
        assert!(answers.iter().all(|answer| !answer.status.is_success()));
        world.advance(Duration::from_secs(600));
    }
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    for _ in 0..9 {
        world.send(at_home("wrong")).await.refused(401, "invalid_credentials");
    }
    let answer = world.send(at_home(PASSWORD)).await;
    assert_eq!(answer.status, 200);
    let id = |jar: &Jar| jar.device().split_once('.').unwrap().0.to_owned();
    assert_eq!(id(&answer.jar()), id(&device), "the device stays the same one");

    // Its own budget binds it, too.
    let (evaluated, _) = at_once(&world, vec![at_home("wrong"); 20]).await;
    assert_eq!(evaluated, 10);
    throttled(&world.send(at_home(PASSWORD)).await, "account");
}

async fn a_device_cookie_opens_nothing_and_fits_one_account(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account("ada@example.org").await;
    world.account("bob@example.org").await;
    let adas = world.session("ada@example.org").await.only("known_device");
    let token = adas.device().to_owned();
    for name in [ACCESS, REFRESH] {
        assert_eq!(world.me(&Jar::of(name, &token)).await.status, 401);
        assert_eq!(world.refresh(&Jar::of(name, &token)).await.status, 401);
    }
    for _ in 0..10 {
        world.log_in("bob@example.org", "wrong").await;
    }
    let broken = format!("{}x", &token[..token.len() - 1]);
    for device in [token.as_str(), &broken, "x", ""] {
        let call = guess("bob@example.org", PASSWORD).jar(&Jar::of(DEVICE, device));
        throttled(&world.send(call).await, "account");
    }
    // A logout does not forget the device.
    let jar = world.session("ada@example.org").await;
    let out = world.send(post("logout/").jar(&jar)).await;
    assert!(out.set_cookies().iter().all(|cookie| !cookie.starts_with(DEVICE)));
}

async fn cache_pressure_resets_nothing(ground: Ground) {
    let world = ground.world_with(accounts_only).await;
    world.account("ada@example.org").await;
    for _ in 0..10 {
        world.log_in("ada@example.org", "wrong").await;
    }
    let mut tasks = JoinSet::new();
    // SQLite writes them one after the other.
    let each = if ground.store == Store::Sqlite { 500 } else { 5_000_u32 };
    for task in 0..20_u32 {
        let attempts = world.auth.system().ports().attempts.clone();
        tasks.spawn(async move {
            for other in 0..each {
                let parts: [&[u8]; 3] = [b"default", &task.to_be_bytes(), &other.to_be_bytes()];
                let key = AttemptKey::new("login/identifier", &parts);
                attempts.hit(&key, Limit::new(10, Duration::from_secs(600))).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    throttled(&world.log_in("ada@example.org", PASSWORD).await, "account");
}
