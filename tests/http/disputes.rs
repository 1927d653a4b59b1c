//! Two takings-back in opposite directions: the address that loses an account is told, and can object.

use std::time::Duration;

use auth_system::auth_core::policy::Disputes;
use auth_system::auth_core::port::{Event, MailPurpose};
use auth_system::auth_core::types::UserId;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, Link, PASSWORD, World, claims, post};

scenarios![
    the_address_that_loses_an_account_is_told,
    an_objection_shuts_the_account_until_the_older_address_gets_it_back,
    a_second_factor_from_before_both_changes_decides_at_once,
    a_backup_code_decides_after_the_account_is_shut,
    a_second_factor_from_after_the_first_change_decides_nothing,
    where_an_operator_decides_no_time_ends_a_dispute,
    an_account_that_an_operator_shut_stays_shut,
    a_link_to_a_password_comes_when_the_wait_is_over,
    an_older_notice_of_the_other_side_does_not_silence_an_objection,
    twenty_objections_shut_one_account,
];

const DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const OLD: &str = "old@example.org";
const NEW: &str = "new@example.org";

async fn move_to_new(world: &World, jar: &Jar) {
    let link = world.change_email_link(jar, NEW).await;
    assert_eq!(world.send(link.change_email(jar)).await.status, 200);
}

/// An owner who moves away from a mailbox that an attacker reads, and the attacker who takes the move back. Returns the
/// link that the owner's new address gets.
async fn pulled_back(world: &World, jar: &Jar) -> Link {
    move_to_new(world, jar).await;
    let attackers = world.link(OLD, MailPurpose::EmailChanged).await;
    assert_eq!(world.send(attackers.not_me()).await.status, 200);
    let mails = world.mails().await;
    let mut told: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.purpose)).collect();
    told.sort_by_key(|(to, _)| *to);
    assert_eq!(told, [(NEW, MailPurpose::AddressLost), (OLD, MailPurpose::ResetPassword)]);
    Link::of(mails.iter().find(|mail| mail.to == NEW).unwrap())
}

async fn account(world: &World) -> Jar {
    world.account(OLD).await;
    world.session(OLD).await
}

async fn with_code(world: &World, link: &Link, code: &str) -> Answer {
    let mut body: Value = serde_json::from_slice(&link.not_me().body).unwrap();
    body["code"] = code.into();
    world.send(post("not-me/").json(body)).await
}

async fn set_password(world: &World, email: &str) -> Answer {
    world.send(post("password-reset/").json(json!({ "email": email }))).await;
    let mails = world.mails().await;
    match mails.iter().find(|mail| mail.purpose == MailPurpose::ResetPassword) {
        Some(mail) => world.send(Link::of(mail).set_password("a fresh password")).await,
        None => world.send(post("password-reset-confirm/").json(json!({}))).await,
    }
}

async fn log_in(world: &World, email: &str) -> u16 {
    world.log_in(email, "a fresh password").await.status.as_u16()
}

async fn the_address_that_loses_an_account_is_told(ground: Ground) {
    let world = ground.world().await;
    let jar = account(&world).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.send(link.change_email(&jar)).await.refused(400, "link_invalid");
}

async fn an_objection_shuts_the_account_until_the_older_address_gets_it_back(ground: Ground) {
    let world = ground.world().await;
    let jar = account(&world).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(set_password(&world, OLD).await.status, 200, "the reader of the old mailbox is in");
    world.mails().await;
    world.events.take();
    let answer = world.send(link.not_me()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["outcome"], "account_disputed", "{answer:?}");
    let events = world.events.take();
    assert!(events.iter().any(|it| matches!(it, Event::TakingBackDisputed { .. })), "{events:?}");
    let mut told: Vec<_> = world.mails().await.into_iter().map(|it| (it.to, it.purpose, it.link.is_some())).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, [NEW, OLD].map(|to| (to.to_owned(), MailPurpose::AccountDisputed, true)));
    assert_eq!((log_in(&world, OLD).await, log_in(&world, NEW).await), (401, 401));
    let again = world.send(link.not_me()).await;
    assert_eq!(again.refused(400, "invalid_fields").field("code"), ["required"]);

    world.advance(DAYS - Duration::from_secs(1));
    set_password(&world, OLD).await;
    assert_eq!(log_in(&world, OLD).await, 401, "the wait is not over");
    world.mails().await;
    world.advance(Duration::from_secs(1));
    assert_eq!(set_password(&world, NEW).await.status, 400);
    assert_eq!(set_password(&world, OLD).await.status, 200);
    assert_eq!((log_in(&world, OLD).await, log_in(&world, NEW).await), (200, 401));
    let told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert!(told.contains(&(NEW.to_owned(), MailPurpose::DisputeSettled)), "{told:?}");
    world.send(link.not_me()).await.refused(400, "link_invalid");
}

async fn a_second_factor_from_before_both_changes_decides_at_once(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, OLD).await;
    let link = pulled_back(&world, &jar).await;
    world.advance(Duration::from_secs(30));
    with_code(&world, &link, &authenticator.code_at(&world, 9)).await.refused(400, "invalid_code");
    world.events.take();
    let answer = with_code(&world, &link, &authenticator.code(&world)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let events = world.events.take();
    assert!(events.iter().any(|it| matches!(it, Event::DisputeSettled { .. })), "{events:?}");
    let mails = world.mails().await;
    let told = |to: &str, purpose| mails.iter().find(|mail| mail.to == to && mail.purpose == purpose);
    assert!(told(OLD, MailPurpose::DisputeSettled).is_some(), "{mails:?}");
    let reset = Link::of(told(NEW, MailPurpose::ResetPassword).unwrap());
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in(NEW, "a fresh password").await.json()["requires_2fa"], true, "the factor stays");
    assert_eq!(log_in(&world, OLD).await, 401);
    with_code(&world, &link, &authenticator.code_at(&world, 1)).await.refused(400, "link_invalid");
}

async fn a_backup_code_decides_after_the_account_is_shut(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, OLD).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let mails = world.mails().await;
    let link = Link::of(mails.iter().find(|mail| mail.to == OLD).unwrap());
    with_code(&world, &link, "ABCDEFGH").await.refused(400, "invalid_code");
    let answer = with_code(&world, &link, &authenticator.backup_codes[0]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let reset = world.link(OLD, MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in(OLD, "a fresh password").await.json()["requires_2fa"], true);
    with_code(&world, &link, &authenticator.backup_codes[1]).await.refused(400, "link_invalid");
}

/// An attacker who has the account turns a factor on. It proves nothing.
async fn a_second_factor_from_after_the_first_change_decides_nothing(ground: Ground) {
    let world = ground.world().await;
    let jar = account(&world).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(set_password(&world, OLD).await.status, 200);
    let jar = world.log_in(OLD, "a fresh password").await.jar();
    let authenticator = Authenticator::set_up(&world, &jar).await;
    let body = json!({ "code": authenticator.code(&world) });
    assert_eq!(world.send(post("2fa/enable/").jar(&jar).json(body)).await.status, 200);
    world.mails().await;
    world.advance(Duration::from_secs(30));
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let mails = world.mails().await;
    let disputed =
        |to: &str| Link::of(mails.iter().find(|it| it.to == to && it.purpose == MailPurpose::AccountDisputed).unwrap());
    for side in [OLD, NEW] {
        with_code(&world, &disputed(side), &authenticator.code(&world)).await.refused(400, "invalid_code");
    }
}

async fn where_an_operator_decides_no_time_ends_a_dispute(ground: Ground) {
    let world = ground.world_with(|config| config.policy.disputes = Disputes::Operator).await;
    let jar = account(&world).await;
    let user = UserId::parse(claims(jar.access())["sub"].as_str().unwrap()).unwrap();
    let link = pulled_back(&world, &jar).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.mails().await;
    world.advance(2 * DAYS);
    set_password(&world, OLD).await;
    assert_eq!(log_in(&world, OLD).await, 401);
    world.auth.admin().enable(&user).await.unwrap();
    assert_eq!(set_password(&world, OLD).await.status, 200);
    assert_eq!(log_in(&world, OLD).await, 200);
}

async fn an_account_that_an_operator_shut_stays_shut(ground: Ground) {
    for before in [true, false] {
        let world = ground.world().await;
        let jar = account(&world).await;
        let user = UserId::parse(claims(jar.access())["sub"].as_str().unwrap()).unwrap();
        let link = pulled_back(&world, &jar).await;
        if before {
            world.auth.admin().disable(&user).await.unwrap();
        }
        assert_eq!(world.send(link.not_me()).await.status, 200);
        if !before {
            // The operator takes the matter over.
            world.auth.admin().enable(&user).await.unwrap();
            world.auth.admin().disable(&user).await.unwrap();
        }
        world.advance(DAYS);
        set_password(&world, OLD).await;
        assert_eq!(log_in(&world, OLD).await, 401, "shut before: {before}");
    }
}

async fn a_link_to_a_password_comes_when_the_wait_is_over(ground: Ground) {
    let world = ground.world().await;
    let jar = account(&world).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.mails().await;
    world.advance(DAYS - Duration::from_secs(1));
    assert_eq!(world.mails().await, []);
    world.advance(Duration::from_secs(1));
    let reset = world.link(OLD, MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(log_in(&world, OLD).await, 200);
}

/// The reader of the old mailbox changes the password and takes that back, to make the objection moot.
async fn an_older_notice_of_the_other_side_does_not_silence_an_objection(ground: Ground) {
    let world = ground.world().await;
    let jar = account(&world).await;
    let jar = world.change_password(&jar, PASSWORD, PASSWORD).await.jar();
    let older = world.link(OLD, MailPurpose::PasswordChanged).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(world.send(older.not_me()).await.status, 200);
    assert_eq!(set_password(&world, OLD).await.status, 200);
    let notice = world.link(OLD, MailPurpose::PasswordChanged).await;
    assert_eq!(world.send(notice.not_me()).await.status, 200);
    let answer = world.send(link.not_me()).await;
    assert_eq!(answer.json()["outcome"], "account_disputed", "{answer:?}");
}

async fn twenty_objections_shut_one_account(ground: Ground) {
    let world = std::sync::Arc::new(ground.world().await);
    let jar = account(&world).await;
    let link = pulled_back(&world, &jar).await;
    world.events.take();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (world, call) = (world.clone(), link.not_me());
            tokio::spawn(async move { world.send(call).await })
        })
        .collect();
    let mut done = 0;
    for call in calls {
        let answer = call.await.unwrap();
        if answer.status == 200 {
            done += 1;
        } else {
            answer.refused(400, "invalid_fields");
        }
    }
    assert_eq!(done, 1);
    let events = world.events.take();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::TakingBackDisputed { .. })).count(), 1);
    assert_eq!(world.mails().await.len(), 2);
}
