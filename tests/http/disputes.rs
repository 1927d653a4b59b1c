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
    an_authenticator_that_took_the_place_of_an_older_one_decides_in_its_stead,
    a_second_factor_from_after_the_first_change_decides_nothing,
    where_an_operator_decides_no_time_ends_a_dispute,
    an_account_that_an_operator_shut_stays_shut,
    a_link_to_a_password_comes_when_the_wait_is_over,
    an_older_notice_of_the_other_side_does_not_silence_an_objection,
    an_address_that_loses_the_account_in_a_dispute_is_told_and_stays_a_side,
    an_address_that_has_the_account_again_has_nothing_to_object_to,
    twenty_objections_shut_one_account,
    a_third_address_is_told_that_an_objection_took_the_account,
    a_third_address_can_freeze_an_account_that_a_code_took,
    an_address_that_loses_a_disputed_account_is_told,
    a_third_address_that_comes_back_tells_both_sides,
];

const DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const OLD: &str = "old@example.org";
const NEW: &str = "new@example.org";
const THIRD: &str = "third@example.org";

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

/// Its owner showed a code of the older one, which was on before both changes.
async fn an_authenticator_that_took_the_place_of_an_older_one_decides_in_its_stead(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, OLD).await;
    let link = pulled_back(&world, &jar).await;
    assert_eq!(set_password(&world, OLD).await.status, 200);
    let token = world.log_in(OLD, "a fresh password").await.json()["session_token"].clone();
    world.advance(Duration::from_secs(30));
    let body = json!({ "session_token": token, "code": old.code(&world) });
    let jar = world.send(post("2fa/verify-login/").json(body)).await.jar();
    let new = Authenticator::set_up_with(&world, &jar, json!({ "replace": true })).await;
    world.advance(Duration::from_secs(30));
    let body = json!({ "code": new.code(&world), "current_code": old.code(&world) });
    assert_eq!(world.send(post("2fa/replace/").jar(&jar).json(body)).await.status, 200);
    world.mails().await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let mails = world.mails().await;
    let link = Link::of(mails.iter().find(|mail| mail.to == OLD).unwrap());
    world.advance(Duration::from_secs(30));
    with_code(&world, &link, &old.code(&world)).await.refused(400, "invalid_code");
    let answer = with_code(&world, &link, &new.code(&world)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(set_password(&world, OLD).await.status, 200);
    assert_eq!(world.log_in(OLD, "a fresh password").await.json()["requires_2fa"], true);
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
            let mails = world.mails().await;
            for mail in mails.iter().filter(|mail| mail.purpose == MailPurpose::AccountDisputed) {
                with_code(&world, &Link::of(mail), "000000").await.refused(400, "link_invalid");
            }
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

/// An owner moves to the new mailbox and back. Returns the notices of both moves.
async fn moved_there_and_back(world: &World) -> (Link, Link) {
    let jar = account(world).await;
    move_to_new(world, &jar).await;
    let first = world.link(OLD, MailPurpose::EmailChanged).await;
    let jar = world.session(NEW).await;
    let link = world.change_email_link(&jar, OLD).await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    (first, world.link(NEW, MailPurpose::EmailChanged).await)
}

/// The address that was verified longest has a notice from before the dispute.
async fn an_address_that_loses_the_account_in_a_dispute_is_told_and_stays_a_side(ground: Ground) {
    let world = ground.world().await;
    let (first, second) = moved_there_and_back(&world).await;
    assert_eq!(world.send(second.not_me()).await.status, 200);
    let objection = world.link(OLD, MailPurpose::AddressLost).await;
    assert_eq!(world.send(objection.not_me()).await.status, 200);
    world.mails().await;
    assert_eq!(world.send(first.not_me()).await.status, 200);
    let told = world.link(NEW, MailPurpose::AccountDisputed).await;
    assert_eq!(world.send(told.not_me()).await.refused(400, "invalid_fields").field("code"), ["required"]);
    with_code(&world, &told, "ABCDEFGH").await.refused(400, "invalid_code");

    world.advance(DAYS);
    assert_eq!(set_password(&world, OLD).await.status, 200);
    assert_eq!(log_in(&world, OLD).await, 200);
    let told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert!(told.contains(&(NEW.to_owned(), MailPurpose::DisputeSettled)), "{told:?}");
}

async fn an_address_that_has_the_account_again_has_nothing_to_object_to(ground: Ground) {
    let world = ground.world().await;
    let (first, second) = moved_there_and_back(&world).await;
    assert_eq!(world.send(second.not_me()).await.status, 200);
    let objection = world.link(OLD, MailPurpose::AddressLost).await;
    assert_eq!(world.send(first.not_me()).await.status, 200);
    world.send(objection.not_me()).await.refused(400, "link_invalid");
    assert_eq!(set_password(&world, OLD).await.status, 200);
    assert_eq!(log_in(&world, OLD).await, 200);
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

/// An account with an authenticator that moves on to a third address after the taking-back. Returns the link of the address
/// that lost it by the taking-back.
async fn moved_on_with_factor(world: &World) -> (Link, Authenticator) {
    let (jar, authenticator) = Authenticator::enrolled(world, OLD).await;
    let link = pulled_back(world, &jar).await;
    assert_eq!(set_password(world, OLD).await.status, 200);
    world.advance(Duration::from_secs(30));
    let pending = world.log_in(OLD, "a fresh password").await.json();
    let body = json!({ "session_token": pending["session_token"], "code": authenticator.code(world) });
    let jar = world.send(post("2fa/verify-login/").json(body)).await.jar();
    let to_third = world.change_email_link(&jar, THIRD).await;
    assert_eq!(world.send(to_third.change_email(&jar)).await.status, 200);
    world.mails().await;
    world.advance(Duration::from_secs(30));
    (link, authenticator)
}

/// The purposes of the mails to each address, sorted, with their links.
async fn told(world: &World) -> Vec<(String, MailPurpose, Option<Link>)> {
    let mails = world.mails().await;
    let mut told: Vec<_> =
        mails.iter().map(|it| (it.to.clone(), it.purpose, it.link.as_ref().map(|_| Link::of(it)))).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn purposes(told: &[(String, MailPurpose, Option<Link>)]) -> Vec<(&str, MailPurpose)> {
    told.iter().map(|(to, purpose, _)| (to.as_str(), *purpose)).collect()
}

fn link_to(told: &[(String, MailPurpose, Option<Link>)], address: &str) -> Link {
    told.iter().find(|(to, ..)| to == address).and_then(|(.., link)| link.clone()).unwrap()
}

async fn a_third_address_is_told_that_an_objection_took_the_account(ground: Ground) {
    let world = ground.world().await;
    let (link, authenticator) = moved_on_with_factor(&world).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let told = told(&world).await;
    assert_eq!(purposes(&told), [NEW, OLD, THIRD].map(|to| (to, MailPurpose::AccountDisputed)));
    // The account is shut already. A code of a factor from before the changes decides for the third address, too.
    let third = link_to(&told, THIRD);
    world.send(third.not_me()).await.refused(400, "invalid_fields");
    with_code(&world, &third, &authenticator.code_at(&world, 9)).await.refused(400, "invalid_code");
    assert_eq!(with_code(&world, &third, &authenticator.code(&world)).await.status, 200);
    let reset = world.mails().await;
    let reset = reset.iter().find(|it| it.purpose == MailPurpose::ResetPassword && it.to == THIRD).unwrap();
    assert_eq!(world.send(Link::of(reset).set_password("another password")).await.status, 200);
    assert_eq!(world.log_in(THIRD, "another password").await.json()["requires_2fa"], true);
}

async fn a_third_address_can_freeze_an_account_that_a_code_took(ground: Ground) {
    let world = ground.world().await;
    let (link, authenticator) = moved_on_with_factor(&world).await;
    assert_eq!(with_code(&world, &link, &authenticator.code(&world)).await.status, 200);
    let first = told(&world).await;
    let expected =
        [(NEW, MailPurpose::ResetPassword), (OLD, MailPurpose::DisputeSettled), (THIRD, MailPurpose::AddressLost)];
    assert_eq!(purposes(&first), expected);
    assert_eq!(world.send(link_to(&first, NEW).set_password("a fresh password")).await.status, 200);
    world.mails().await;
    // The sides of the dispute that the code decided have had their say.
    world.advance(Duration::from_secs(30));
    with_code(&world, &link, &authenticator.code(&world)).await.refused(400, "link_invalid");
    world.send(link.not_me()).await.refused(400, "link_invalid");
    let third = link_to(&first, THIRD);
    assert_eq!(world.send(third.not_me()).await.status, 200);
    assert_eq!(log_in(&world, NEW).await, 401, "the account is shut");
    let second = told(&world).await;
    assert_eq!(purposes(&second), [NEW, THIRD].map(|to| (to, MailPurpose::AccountDisputed)));
    // The side with the factor ends that at once.
    let code = authenticator.code(&world);
    assert_eq!(with_code(&world, &link_to(&second, NEW), &code).await.status, 200);
    let last = told(&world).await;
    assert_eq!(purposes(&last), [(NEW, MailPurpose::ResetPassword), (THIRD, MailPurpose::DisputeSettled)]);
    assert_eq!(world.send(link_to(&last, NEW).set_password("a fresh password")).await.status, 200);
    world.send(third.not_me()).await.refused(400, "link_invalid");
    assert_eq!(world.log_in(NEW, "a fresh password").await.json()["requires_2fa"], true);
}

/// An address from before the dispute takes its own move back: the side that had the account loses it.
async fn an_address_that_loses_a_disputed_account_is_told(ground: Ground) {
    let world = ground.world().await;
    world.account(THIRD).await;
    let jar = world.session(THIRD).await;
    let to_old = world.change_email_link(&jar, OLD).await;
    assert_eq!(world.send(to_old.change_email(&jar)).await.status, 200);
    let earliest = world.link(THIRD, MailPurpose::EmailChanged).await;
    let link = pulled_back(&world, &world.session(OLD).await).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.mails().await;
    assert_eq!(world.send(earliest.not_me()).await.status, 200);
    let told = told(&world).await;
    assert_eq!(purposes(&told), [(OLD, MailPurpose::AccountDisputed), (THIRD, MailPurpose::ResetPassword)]);
    let code = world.send(link_to(&told, OLD).not_me()).await;
    assert_eq!(code.refused(400, "invalid_fields").field("code"), ["required"], "the account is shut already");
    world.advance(DAYS);
    // Not asked for: the dispute ends.
    let reset = world.link(THIRD, MailPurpose::ResetPassword).await;
    assert_eq!(set_password(&world, OLD).await.status, 400);
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(log_in(&world, THIRD).await, 200);
    let mut settled = world.mails().await;
    settled.retain(|mail| mail.purpose == MailPurpose::DisputeSettled);
    let mut to: Vec<_> = settled.into_iter().map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, [NEW, OLD]);
}

async fn a_third_address_that_comes_back_tells_both_sides(ground: Ground) {
    let world = ground.world().await;
    let (link, authenticator) = moved_on_with_factor(&world).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let third = link_to(&told(&world).await, THIRD);
    assert_eq!(with_code(&world, &third, &authenticator.code(&world)).await.status, 200);
    let told = told(&world).await;
    let expected =
        [(NEW, MailPurpose::DisputeSettled), (OLD, MailPurpose::DisputeSettled), (THIRD, MailPurpose::ResetPassword)];
    assert_eq!(purposes(&told), expected);
}
