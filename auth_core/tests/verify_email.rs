//! Verification: a mailed link proves a mailbox, once, and does nothing else.

mod common;

use auth_core::Reason;
use auth_core::port::{Event, MailPurpose};
use auth_core::types::{Client, UserId, UserStatus};
use common::{ADA, DAY, Fault, OTHER_PASSWORD, PASSWORD, TICK, World, refused};

#[tokio::test]
async fn a_link_verifies_and_then_the_owner_can_log_in() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let (before, link) = (world.user(ADA).await, world.link().await);
    world.events.take();
    world.verify(&link).await.unwrap();
    let after = world.user(ADA).await;
    assert!(after.is_verified());
    assert_eq!((after.token_version, after.password_hash), (before.token_version, before.password_hash));
    assert_eq!(world.events.take(), [Event::EmailVerified { user: before.id }]);
    // It does not log in.
    assert_eq!(world.faults.sessions(), []);
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_used_link_says_so_and_changes_nothing() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    let before = world.user(ADA).await;
    world.events.take();
    for _ in 0..2 {
        assert_eq!(refused(world.verify(&link).await), Reason::AlreadyVerified);
    }
    assert_eq!(world.user(ADA).await, before);
    assert_eq!(world.events.take(), []);
}

#[tokio::test]
async fn a_link_ends_after_three_days_to_the_microsecond() {
    for (age, works) in [(3 * DAY - TICK, true), (3 * DAY, false)] {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let link = world.link().await;
        world.clock.advance(age);
        assert_eq!(world.verify(&link).await.is_ok(), works, "{age:?}");
        assert_eq!(world.user(ADA).await.is_verified(), works);
    }
}

#[tokio::test]
async fn a_disabled_account_stays_disabled() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let early = world.link().await;
    world.set_status(ADA, UserStatus::Disabled).await;
    // Disabling is a security change: it ends the links that were out.
    assert_eq!(refused(world.verify(&early).await), Reason::LinkInvalid);
    let user = world.user(ADA).await;
    let late = world.tokens().link(auth_core::token::LinkPurpose::VerifyEmail, &user, user.created_at + DAY);
    world.auth.request(&world.client).verify_email(Some(user.id), late.expose()).await.unwrap();
    assert_eq!(world.user(ADA).await.status, UserStatus::Disabled);
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn a_link_dies_when_the_password_is_cleared_or_reset() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let first = world.link().await;
    world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    assert_eq!(refused(world.verify(&first).await), Reason::LinkInvalid);
    let set_password = world.link().await;
    world.reset(&set_password, PASSWORD).await.unwrap();
    assert_eq!(refused(world.verify(&first).await), Reason::LinkInvalid);
}

#[tokio::test]
async fn a_link_is_for_its_user_and_its_purpose() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let ada = world.link().await;
    world.sign_up("eve@example.org", PASSWORD).await.unwrap();
    let eve = world.link().await;
    let reset = world.reset_link().await;
    let gone = UserId::parse("nobody").unwrap();
    for (user, token) in [
        (Some(ada.user), eve.token.as_str()),
        (Some(eve.user), &ada.token),
        (Some(gone), &ada.token),
        (None, &ada.token),
        (Some(ada.user), &reset.token),
        (Some(ada.user), ""),
    ] {
        let refusal = world.auth.request(&world.client).verify_email(user, token).await;
        assert_eq!(refused(refusal), Reason::LinkInvalid, "{user:?} {token}");
    }
    assert!(!world.user(ADA).await.is_verified());
}

#[tokio::test]
async fn of_parallel_uses_of_a_link_one_verifies() {
    for _ in 0..20 {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let link = world.link().await;
        world.events.take();
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (auth, link) = (world.auth.clone(), link.clone());
                tokio::spawn(async move {
                    auth.request(&Client::default()).verify_email(Some(link.user), &link.token).await
                })
            })
            .collect();
        let mut verified = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => verified += 1,
                Err(error) => assert_eq!(error.reason(), Reason::AlreadyVerified),
            }
        }
        assert_eq!(verified, 1);
        assert_eq!(world.events.take().len(), 1);
    }
}

#[tokio::test]
async fn a_resend_costs_the_same_for_every_address() {
    let world = World::new();
    world.verified("verified@example.org", PASSWORD).await;
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.mails().await;
    let mut costs = Vec::new();
    for email in [ADA, "verified@example.org", "unknown@example.org"] {
        world.faults.calls();
        world.auth.request(&world.client).resend_verification(&common::to_email(email)).await.unwrap();
        costs.push(world.faults.calls());
    }
    assert_eq!(costs, vec![vec!["attempts.draw", "outbox.enqueue"]; 3]);
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::VerifyEmail)]);
}

#[tokio::test]
async fn several_links_of_one_account_work_until_one_is_used() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let first = world.link().await;
    world.clock.advance(DAY);
    world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
    let second = world.link().await;
    assert_ne!(first.token, second.token);
    world.verify(&second).await.unwrap();
    assert_eq!(refused(world.verify(&first).await), Reason::AlreadyVerified);
}
