//! Limits of login: counted before the password is looked at, alike for known and unknown, and never at the cost of an
//! owner whose device is known.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use auth_core::login::{LoggedIn, LoginRequest};
use auth_core::policy::Policy;
use auth_core::port::{Event, HashError, LoginRefusal, PasswordHasher, Ticket, Verdict};
use auth_core::token::{DeviceId, TokenRing, Tokens};
use auth_core::types::{Channel, Client, Email, Limit, Password, PasswordHash, TenantId, User, UserId};
use auth_core::{AuthSystem, Error, Reason};
use common::{ADA, DAY, Fault, HOUR, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, TICK, World, refused, secret};

const UNKNOWN: &str = "unknown@example.org";

/// A world with the timed limits that integrators get.
async fn world() -> World {
    limited(|_| {}).await
}

async fn limited(adjust: impl FnOnce(&mut Policy)) -> World {
    let world = World::with(|policy| {
        policy.timed_limits = true;
        adjust(policy);
    });
    world.verified(ADA, PASSWORD).await;
    world
}

/// Only the durable limit.
async fn untimed() -> World {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world
}

async fn attempt(node: &AuthSystem, email: &str, password: &str, device: Option<&str>) -> Result<LoggedIn, Error> {
    let password = Password::new(password).unwrap();
    let request = LoginRequest::new(auth_core::types::Identifier::parse(email), &password)
        .channel(Channel::Header)
        .device(device);
    node.request(&Client::default()).login(request).await.map(|outcome| outcome.logged_in().unwrap())
}

async fn guess(world: &World, times: usize, email: &str, device: Option<&str>) {
    for time in 0..times {
        let refusal = attempt(&world.auth, email, "a wrong guess", device).await;
        assert_eq!(refused(refusal), Reason::InvalidCredentials, "guess no. {time}");
    }
}

#[tokio::test]
async fn the_eleventh_attempt_in_ten_minutes_is_refused_for_known_and_unknown_alike() {
    let mut refusals = Vec::new();
    for email in [ADA, UNKNOWN, "nobody can have this"] {
        let world = world().await;
        guess(&world, 10, email, None).await;
        let work = world.hasher.work();
        world.events.take();
        for password in [PASSWORD, OTHER_PASSWORD] {
            let refusal = attempt(&world.auth, email, password, None).await.unwrap_err();
            assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Throttled, Some(10 * MINUTE)));
            let throttle = refusal.throttle().unwrap();
            refusals.push((throttle.name, throttle.limit, throttle.hit, refusal.to_string()));
        }
        assert_eq!(world.hasher.work(), work, "a refused guess was evaluated");
        assert_eq!(world.faults.sessions(), []);
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
}

#[tokio::test]
async fn a_window_ends_on_time_whatever_came_in_between() {
    let world = world().await;
    guess(&world, 10, ADA, None).await;
    for _ in 0..10 {
        world.clock.advance(MINUTE - TICK);
        let refusal = attempt(&world.auth, ADA, PASSWORD, None).await;
        assert_eq!(refused(refusal), Reason::Throttled);
    }
    world.clock.advance(10 * TICK);
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn spellings_of_one_identifier_share_one_budget() {
    let world = world().await;
    for spelling in ["ada@example.org", "ADA@example.org", " ada@EXAMPLE.org", "ａda@example.org", "ada@example。org"]
    {
        guess(&world, 2, spelling, None).await;
    }
    assert_eq!(refused(attempt(&world.auth, ADA, PASSWORD, None).await), Reason::Throttled);
    // And another account has another one.
    guess(&world, 10, "eve@example.org", None).await;
}

#[tokio::test]
async fn success_gives_the_attempts_back() {
    let world = world().await;
    for _ in 0..5 {
        guess(&world, 9, ADA, None).await;
        attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
        assert_eq!(world.user(ADA).await.consecutive_failures, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_guesses_are_evaluated_no_more_often_than_the_limit_allows() {
    for timed in [true, false] {
        let world = if timed { world().await } else { untimed().await };
        let limit = if timed { 10 } else { 100 };
        let work = world.hasher.work();
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..150)
            .map(|_| {
                let auth = world.auth.clone();
                tokio::spawn(async move { attempt(&auth, ADA, "a wrong guess", None).await.map(|_| ()) })
            })
            .collect();
        for task in tasks {
            let reason = refused(task.await.unwrap());
            assert!(matches!(reason, Reason::InvalidCredentials | Reason::Throttled));
        }
        assert_eq!(world.user(ADA).await.consecutive_failures, limit);
        let evaluated = |event: &Event| matches!(event, Event::LoginRefused { why: LoginRefusal::WrongPassword, .. });
        assert_eq!(world.events.take().iter().filter(|event| evaluated(event)).count(), limit as usize);
        // Past the durable limit the work goes on, against nothing.
        assert_eq!(world.hasher.work() - work, if timed { 10 } else { 150 });
    }
}

#[tokio::test]
async fn a_hundred_wrong_passwords_in_a_row_switch_the_password_off_until_it_is_reset() {
    let world = untimed().await;
    guess(&world, 100, ADA, None).await;
    world.clock.advance(365 * DAY);
    let work = world.hasher.work();
    world.events.take();
    let off = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap_err();
    // It answers as for a wrong guess, after the same work.
    let wrong = attempt(&world.auth, ADA, OTHER_PASSWORD, None).await.unwrap_err();
    assert_eq!((off.reason(), off.to_string()), (Reason::InvalidCredentials, wrong.to_string()));
    assert_eq!(world.hasher.work() - work, 2);
    let user = world.user(ADA).await;
    assert_eq!(user.consecutive_failures, 100);
    let expected = Event::LoginRefused { user: Some(user.id), why: LoginRefusal::PasswordOff };
    assert_eq!(world.events.take(), [expected.clone(), expected]);
    let link = world.reset_link().await;
    world.reset(&link, PASSWORD).await.unwrap();
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn sessions_go_on_while_the_password_is_off() {
    let world = untimed().await;
    let before = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().session;
    guess(&world, 100, ADA, None).await;
    world.auth.authenticate(before.access.token.expose()).await.unwrap();
    world.auth.request(&world.client).refresh(before.refresh.token.expose()).await.unwrap();
}

#[tokio::test]
async fn strangers_lock_nobody_out_of_a_known_device() {
    let world = world().await;
    let device = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().device;
    // A day of guessing: the timed limit is used up, then the durable one.
    for _ in 0..12 {
        for _ in 0..12 {
            attempt(&world.auth, ADA, "a wrong guess", None).await.unwrap_err();
        }
        world.clock.advance(10 * MINUTE);
    }
    assert_eq!(world.user(ADA).await.consecutive_failures, 100);
    for _ in 0..11 {
        attempt(&world.auth, ADA, "a wrong guess", None).await.unwrap_err();
    }
    assert_ne!(attempt(&world.auth, ADA, PASSWORD, None).await.map(|_| ()).map_err(|error| error.reason()), Ok(()));
    attempt(&world.auth, ADA, PASSWORD, Some(device.expose())).await.unwrap();
}

#[tokio::test]
async fn a_known_device_has_limits_too() {
    let world = world().await;
    let device = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().device;
    guess(&world, 10, ADA, Some(device.expose())).await;
    let refusal = attempt(&world.auth, ADA, PASSWORD, Some(device.expose())).await;
    assert_eq!(refused(refusal), Reason::Throttled);
    // Its budget is not that of strangers.
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();

    let world = untimed().await;
    let device = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().device;
    guess(&world, 100, ADA, Some(device.expose())).await;
    let refusal = attempt(&world.auth, ADA, PASSWORD, Some(device.expose())).await;
    assert_eq!(refused(refusal), Reason::InvalidCredentials);
    // It used up nothing but its own.
    assert_eq!(world.user(ADA).await.consecutive_failures, 0);
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn a_device_stays_the_same_from_login_to_login() {
    let world = world().await;
    let first = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().device;
    let again = attempt(&world.auth, ADA, PASSWORD, Some(first.expose())).await.unwrap().device;
    assert_eq!(first.expose(), again.expose());
    let another = attempt(&world.auth, ADA, PASSWORD, None).await.unwrap().device;
    assert_ne!(first.expose(), another.expose());
}

#[test]
fn a_device_token_is_for_one_account_under_one_password() {
    let tokens = common::tokens(&Policy::default());
    let device = DeviceId([7; 16]);
    let now = common::session().created_at;
    let user = User { password_hash: Some(PasswordHash::new("$plain$one")), ..common::user_row() };
    let token = tokens.device(&user, device, now);
    let read = |user: &User, token: &str| tokens.verify_device(Some(user), token, now, DAY);
    assert_eq!(read(&user, token.expose()), Some(device));
    assert_eq!(tokens.verify_device(None, token.expose(), now, DAY), None);
    for (what, other) in [
        ("tenant", User { tenant: TenantId::parse("another").unwrap(), ..user.clone() }),
        ("id", User { id: UserId::parse("43").unwrap(), ..user.clone() }),
        ("password", User { password_hash: Some(PasswordHash::new("$plain$two")), ..user.clone() }),
        ("no password", User { password_hash: None, ..user.clone() }),
    ] {
        assert_eq!(read(&other, token.expose()), None, "{what}");
    }
    // Not what an owner does with the account.
    let moved = User { email: Email::parse("new@example.org").unwrap(), ..user.clone() };
    let moved = User { token_version: user.token_version.next(), revision: 7, consecutive_failures: 9, ..moved };
    assert_eq!(read(&moved, token.expose()), Some(device));
    // A whole second is the finest that it tells.
    for (later, known) in [(DAY - TICK, true), (DAY, false), (2 * DAY, false)] {
        let read = tokens.verify_device(Some(&user), token.expose(), now + later, DAY);
        assert_eq!(read.is_some(), known, "{later:?}");
    }
    // A clock that is a little behind is no reason to refuse it.
    for (earlier, known) in [(5 * SECOND, true), (6 * SECOND, false)] {
        let read = tokens.verify_device(Some(&user), token.expose(), now - earlier, DAY);
        assert_eq!(read.is_some(), known, "{earlier:?}");
    }
    for index in 0..token.expose().len() {
        assert_eq!(read(&user, &token.expose()[..index]), None);
        let mut changed = token.expose().to_owned().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert_eq!(read(&user, &String::from_utf8(changed).unwrap()), None, "{index}");
    }
    let hex = format!("{:x}", now.seconds());
    let upper = token.expose().replacen(&hex, &hex.to_uppercase(), 1);
    let padded = token.expose().replacen(&hex, &format!("0{hex}"), 1);
    for rubbish in ["", ".", "..", &"A".repeat(1_000_000), &format!("{}.", token.expose()), &"é.é".repeat(30), &padded]
    {
        assert_eq!(read(&user, rubbish), None);
    }
    assert!(upper == token.expose() || read(&user, &upper).is_none());
    // It opens nothing.
    assert!(tokens.verify_access(token.expose(), now).is_err() && tokens.verify_refresh(token.expose(), now).is_err());
    let ring = |signing, accepted: &[_]| {
        Tokens::new(TokenRing::new(&secret(signing), accepted), "iss", "aud", &Policy::default()).unwrap()
    };
    assert_eq!(ring(2, &[secret(1)]).verify_device(Some(&user), token.expose(), now, DAY), Some(device));
    assert_eq!(ring(2, &[]).verify_device(Some(&user), token.expose(), now, DAY), None);
}

#[tokio::test]
async fn a_device_token_of_somebody_else_is_no_device() {
    let world = world().await;
    world.verified("eve@example.org", PASSWORD).await;
    let eves = attempt(&world.auth, "eve@example.org", PASSWORD, None).await.unwrap().device;
    let elsewhere = User { tenant: TenantId::parse("other").unwrap(), ..world.user(ADA).await };
    let forged = common::tokens(&Policy::default()).device(&elsewhere, DeviceId([1; 16]), elsewhere.created_at);
    guess(&world, 5, ADA, Some(eves.expose())).await;
    guess(&world, 5, ADA, Some(forged.expose())).await;
    for device in [None, Some(eves.expose()), Some(forged.expose()), Some("")] {
        assert_eq!(refused(attempt(&world.auth, ADA, PASSWORD, device).await), Reason::Throttled);
    }
}

/// A hasher whose queue is full.
struct FullHasher;

#[async_trait]
impl PasswordHasher for FullHasher {
    fn admit(&self, _lane: u128) -> Result<Ticket, HashError> {
        Err(HashError::Overloaded { retry_after: 2 * SECOND })
    }

    async fn hash(&self, _: Ticket, _: &Password) -> Result<PasswordHash, HashError> {
        unreachable!("nobody is admitted")
    }

    async fn verify(&self, _: Ticket, _: &Password, _: Option<&PasswordHash>) -> Result<Verdict, HashError> {
        unreachable!("nobody is admitted")
    }
}

#[tokio::test]
async fn a_flood_that_is_not_admitted_costs_nobody_an_attempt() {
    let world = world().await;
    let mut ports = world.ports.clone();
    ports.hasher = Arc::new(FullHasher);
    let flooded = common::node(&ports, &world.policy);
    world.faults.calls();
    for email in [ADA, UNKNOWN] {
        for _ in 0..20 {
            let refusal = attempt(&flooded, email, PASSWORD, None).await.unwrap_err();
            assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Overloaded, Some(2 * SECOND)));
        }
    }
    assert_eq!(world.faults.calls(), [""; 0]);
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_counted_is_not_evaluated() {
    for calls in [&["attempts.hit"][..], &["users.count_failure", "users.dummy_write"]] {
        let world = world().await;
        let work = world.hasher.work();
        world.faults.plan(move |_, name| calls.contains(&name).then_some(Fault::FailBefore));
        for email in [ADA, UNKNOWN] {
            assert_eq!(refused(attempt(&world.auth, email, PASSWORD, None).await), Reason::Unavailable, "{calls:?}");
        }
        assert_eq!(world.hasher.work(), work, "{calls:?}");
        assert_eq!(world.faults.sessions(), []);
    }
}

#[tokio::test]
async fn that_attempts_cannot_be_cleared_does_not_take_the_login_back() {
    let world = world().await;
    world.faults.plan(|_, name| (name == "attempts.clear").then_some(Fault::FailBefore));
    attempt(&world.auth, ADA, PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn every_refusal_is_counted_first_and_writes_as_much() {
    for (email, counts) in [(ADA, "users.count_failure"), (UNKNOWN, "users.dummy_write")] {
        let world = world().await;
        world.faults.calls();
        guess(&world, 1, email, None).await;
        let expected = ["attempts.hit", "users.find", counts, "attempts.draw", "users.dummy_write"];
        assert_eq!(world.faults.calls(), expected);
    }
}

#[tokio::test]
async fn every_limit_of_the_policy_is_obeyed() {
    let three = Limit::new(3, HOUR);
    let strangers = limited(|policy| policy.login_attempts = three).await;
    guess(&strangers, 3, ADA, None).await;
    let refusal = attempt(&strangers.auth, ADA, PASSWORD, None).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Throttled, Some(HOUR)));

    let devices = limited(|policy| policy.device_attempts = three).await;
    let device = attempt(&devices.auth, ADA, PASSWORD, None).await.unwrap().device;
    guess(&devices, 3, ADA, Some(device.expose())).await;
    assert_eq!(refused(attempt(&devices.auth, ADA, PASSWORD, Some(device.expose())).await), Reason::Throttled);

    let durable = limited(|policy| {
        policy.timed_limits = false;
        policy.max_consecutive_failures = 10;
    })
    .await;
    durable.faults.calls();
    guess(&durable, 10, ADA, None).await;
    assert_eq!(refused(attempt(&durable.auth, ADA, PASSWORD, None).await), Reason::InvalidCredentials);
    assert!(!durable.faults.calls().contains(&"attempts.hit"), "counted although the timed limits are off");
}
