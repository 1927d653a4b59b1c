//! Settings: each one, changed, changes what happens. An option that nothing reads is worse than none.

mod common;

use std::time::Duration;

use auth_core::error::FieldReason;
use auth_core::port::MailPurpose;
use common::{
    ADA, DAY, Fault, HOUR, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, TICK, World, bytes, refused, wrong_fields,
};

#[tokio::test]
async fn access_lifetime() {
    let world = World::with(|policy| policy.access_lifetime = MINUTE);
    let tokens = world.logged_in().await;
    world.clock.advance(MINUTE - TICK);
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    world.clock.advance(TICK);
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap_err();
}

#[tokio::test]
async fn idle_lifetime() {
    for (idle, alive) in [(2 * DAY - TICK, true), (2 * DAY, false)] {
        let world = World::with(|policy| policy.idle_lifetime = 2 * DAY);
        let tokens = world.logged_in().await;
        world.clock.advance(DAY);
        let tokens = world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
        world.clock.advance(idle);
        assert_eq!(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.is_ok(), alive);
    }
}

#[tokio::test]
async fn session_lifetime() {
    for (age, alive) in [(3 * DAY - TICK, true), (3 * DAY, false)] {
        let world = World::with(|policy| {
            policy.idle_lifetime = 2 * DAY;
            policy.session_lifetime = 3 * DAY;
        });
        let tokens = world.logged_in().await;
        world.clock.advance(2 * DAY - TICK);
        let tokens = world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
        world.clock.advance(age - (2 * DAY - TICK));
        assert_eq!(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.is_ok(), alive);
    }
}

#[tokio::test]
async fn refresh_window() {
    for (age, repeated) in [(20 * SECOND, true), (20 * SECOND + TICK, false)] {
        let world = World::with(|policy| {
            (policy.refresh_window, policy.refresh_retry) = (20 * SECOND, Some(Duration::ZERO));
        });
        let first = world.logged_in().await;
        let second = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap();
        world.clock.advance(age);
        let again = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await;
        assert_eq!(again.ok().map(|tokens| bytes(&tokens)), repeated.then(|| bytes(&second)));
    }
}

#[tokio::test]
async fn refresh_retry() {
    for (age, repeated) in [(90 * SECOND, true), (90 * SECOND + TICK, false)] {
        let world = World::with(|policy| policy.refresh_retry = Some(90 * SECOND));
        let first = world.logged_in().await;
        let second = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap();
        world.clock.advance(age);
        let again = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await;
        assert_eq!(again.ok().map(|tokens| bytes(&tokens)), repeated.then(|| bytes(&second)));
    }
}

#[tokio::test]
async fn revocation_lag() {
    let world = World::with(|policy| policy.revocation_lag = 5 * SECOND);
    let tokens = world.logged_in().await;
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    world.faults.plan(|_, _| Some(Fault::FailBefore));
    world.clock.advance(5 * SECOND);
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    world.clock.advance(TICK);
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap_err();
}

#[tokio::test]
async fn verify_link_lifetime() {
    for (age, works) in [(HOUR - TICK, true), (HOUR, false)] {
        let world = World::with(|policy| policy.verify_link_lifetime = HOUR);
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let link = world.link().await;
        world.clock.advance(age);
        assert_eq!(world.verify(&link).await.is_ok(), works);
    }
}

#[tokio::test]
async fn reset_link_lifetime() {
    for (age, works) in [(2 * MINUTE - TICK, true), (2 * MINUTE, false)] {
        let world = World::with(|policy| policy.reset_link_lifetime = 2 * MINUTE);
        world.verified(ADA, PASSWORD).await;
        let link = world.reset_link().await;
        world.clock.advance(age);
        assert_eq!(world.reset(&link, OTHER_PASSWORD).await.is_ok(), works);
        // A link that follows from a sign-up lives as long.
        let world = World::with(|policy| policy.reset_link_lifetime = 2 * MINUTE);
        world.sign_up(ADA, PASSWORD).await.unwrap();
        world.link().await;
        world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
        let link = world.link().await;
        assert_eq!(link.purpose, MailPurpose::SetPassword);
        world.clock.advance(age);
        assert_eq!(world.reset(&link, OTHER_PASSWORD).await.is_ok(), works);
    }
}

#[tokio::test]
async fn password() {
    let world = World::with(|policy| {
        policy.password.min_chars = 15;
        policy.password.max_chars = 128;
    });
    for (chars, reason) in
        [(14, Some(FieldReason::PasswordTooShort(15))), (15, None), (128, None), (129, Some(FieldReason::TooLong(128)))]
    {
        let answer = world.sign_up(ADA, &"é".repeat(chars)).await;
        match reason {
            None => assert!(answer.is_ok(), "{chars}"),
            Some(reason) => assert_eq!(wrong_fields(answer), [("password", reason)], "{chars}"),
        }
    }
    // At login no rule counts: who had a shorter one before the rules changed still gets in.
    refused(world.login(ADA, "short").await);
}

#[tokio::test]
async fn mail_attempts() {
    let world = World::with(|policy| policy.mail_attempts = 2);
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.mailer.set_down(true);
    assert_eq!(world.auth.deliver_mail().await.unwrap().delayed, 1);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.auth.deliver_mail().await.unwrap().dead, 1);
}
