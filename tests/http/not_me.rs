use std::time::Duration;

use auth_system::auth_core::operator::NewAccount;
use auth_system::auth_core::port::{Event, MailPurpose};
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Ground, Jar, Link, PASSWORD, World, get};

scenarios![
    a_stolen_session_cannot_keep_the_password_it_set,
    a_stolen_account_comes_back_with_its_address,
    it_works_once,
    an_earlier_notice_outranks_a_later_one,
    a_notice_outlives_later_changes,
    a_notice_ends_after_three_days,
    a_sign_up_for_the_former_address_does_not_sabotage_the_recovery,
    an_address_that_an_operator_gave_away_shuts_the_account,
    a_disabled_account_stays_disabled,
    only_a_post_takes_back,
    a_notice_that_waited_too_long_is_not_sent,
    a_link_of_another_kind_takes_nothing_back,
];

const THEIRS: &str = "the thief's password";

/// The link of a notice to this address.
async fn notice(world: &World, to: &str, purpose: MailPurpose) -> Link {
    world.link(to, purpose).await
}

/// A thief who has a session and the password.
async fn moved_away(world: &World, jar: &Jar, to: &str) -> Answer {
    let link = world.change_email_link(jar, to).await;
    world.send(link.change_email(jar)).await
}

async fn a_stolen_session_cannot_keep_the_password_it_set(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let thief = world.change_password(&jar, PASSWORD, THEIRS).await.jar();
    let link = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    let answer = world.send(link.not_me()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["outcome"]), (200, &json!("account_restored")), "{answer:?}");
    assert!(answer.set_cookies().is_empty(), "a link does not log in");
    world.me(&thief).await.refused(401, "not_authenticated");
    world.refresh(&thief).await.refused(401, "refresh_invalid");
    for password in [THEIRS, PASSWORD] {
        world.log_in("ada@example.org", password).await.refused(401, "invalid_credentials");
    }
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a fresh password").await.status, 200);
}

async fn a_stolen_account_comes_back_with_its_address(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    assert_eq!(moved_away(&world, &jar, "thief@example.org").await.status, 200);
    let link = notice(&world, "ada@example.org", MailPurpose::EmailChanged).await;
    let thief = world.session("thief@example.org").await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.me(&thief).await.refused(401, "not_authenticated");
    world.log_in("thief@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let events = world.events.take();
    assert!(events.iter().any(|it| matches!(it, Event::ChangeTakenBack { address_lost: false, .. })), "{events:?}");
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a fresh password").await.status, 200);
}

async fn it_works_once(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.change_password(&jar, PASSWORD, THEIRS).await;
    let link = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    world.send(reset.set_password("a fresh password")).await;
    let jar = world.log_in("ada@example.org", "a fresh password").await.jar();
    world.send(link.not_me()).await.refused(400, "link_invalid");
    assert_eq!(world.me(&jar).await.status, 200);
}

/// A thief moves the account twice and holds the mailbox in between: the notice there must not outrank the owner's.
async fn an_earlier_notice_outranks_a_later_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    moved_away(&world, &world.session("ada@example.org").await, "thief@example.org").await;
    let owners = notice(&world, "ada@example.org", MailPurpose::EmailChanged).await;
    moved_away(&world, &world.session("thief@example.org").await, "thief2@example.org").await;
    let thiefs = notice(&world, "thief@example.org", MailPurpose::EmailChanged).await;

    assert_eq!(world.send(thiefs.not_me()).await.status, 200, "the thief takes back their own change first");
    assert_eq!(world.send(owners.not_me()).await.status, 200, "which does not keep the owner from theirs");
    world.send(thiefs.not_me()).await.refused(400, "link_invalid");
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a fresh password").await.status, 200);

    // The other way round: the owner's link takes back all that came after, the thief's link with it.
    moved_away(&world, &world.log_in("ada@example.org", "a fresh password").await.jar(), "thief@example.org").await;
    let owners = notice(&world, "ada@example.org", MailPurpose::EmailChanged).await;
    let thief = world.log_in("thief@example.org", "a fresh password").await.jar();
    moved_away(&world, &thief, "thief2@example.org").await;
    let thiefs = notice(&world, "thief@example.org", MailPurpose::EmailChanged).await;
    assert_eq!(world.send(owners.not_me()).await.status, 200);
    world.send(thiefs.not_me()).await.refused(400, "link_invalid");
}

async fn a_notice_outlives_later_changes(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let mut jar = world.change_password(&jar, PASSWORD, THEIRS).await.jar();
    let link = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    for round in 0..5 {
        let (old, new) = (THEIRS, format!("{THEIRS} {round}"));
        jar = world.change_password(&jar, old, &new).await.jar();
        jar = world.change_password(&jar, &new, old).await.jar();
    }
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.me(&jar).await.refused(401, "not_authenticated");
}

async fn a_notice_ends_after_three_days(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let links = async || {
        world.change_password(&world.session("ada@example.org").await, PASSWORD, PASSWORD).await;
        notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await
    };
    let (first, second) = (links().await, links().await);
    world.advance(Duration::from_secs(3 * 24 * 60 * 60 - 1));
    assert_eq!(world.send(second.not_me()).await.status, 200);
    world.advance(Duration::from_secs(1));
    world.send(first.not_me()).await.refused(400, "link_invalid");
}

/// A thief who needs no mailbox for it signs up the address that they moved the account away from.
async fn a_sign_up_for_the_former_address_does_not_sabotage_the_recovery(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    moved_away(&world, &jar, "thief@example.org").await;
    let link = notice(&world, "ada@example.org", MailPurpose::EmailChanged).await;
    assert_eq!(world.sign_up("ada@example.org", THEIRS).await.status, 201);
    // Nor does a row that was there before the address was kept, or that an operator made.
    let account = NewAccount { email: "ada@example.org", password: Some(THEIRS), ..NewAccount::default() };
    world.auth.admin().create_user(account).await.unwrap();
    world.mails().await;
    let answer = world.send(link.not_me()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["detail"].as_str().unwrap().contains("Check your mail"), "{answer:?}");
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a fresh password").await.status, 200);
    for (email, password) in [("thief@example.org", PASSWORD), ("ada@example.org", THEIRS)] {
        world.log_in(email, password).await.refused(401, "invalid_credentials");
    }
}

/// Only an operator can have given the address to another account: it is kept from all others.
async fn an_address_that_an_operator_gave_away_shuts_the_account(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    moved_away(&world, &jar, "thief@example.org").await;
    let link = notice(&world, "ada@example.org", MailPurpose::EmailChanged).await;
    let account =
        NewAccount { email: "ada@example.org", password: Some(PASSWORD), verified: true, ..NewAccount::default() };
    world.auth.admin().create_user(account).await.unwrap();
    let thief = world.session("thief@example.org").await;
    let answer = world.send(link.not_me()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["outcome"], "account_frozen", "{answer:?}");
    world.me(&thief).await.refused(401, "not_authenticated");
    let events = world.events.take();
    assert!(events.iter().any(|it| matches!(it, Event::ChangeTakenBack { address_lost: true, .. })), "{events:?}");
    let told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert_eq!(told, [("ada@example.org".to_owned(), MailPurpose::AccountShut)]);
    // Not even a reset lets the thief in.
    world.send(crate::world::post("password-reset/").json(json!({ "email": "thief@example.org" }))).await;
    let told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose, mail.link)).collect();
    assert_eq!(told, [("thief@example.org".to_owned(), MailPurpose::AccountDisabled, None)]);
    world.log_in("thief@example.org", THEIRS).await.refused(401, "invalid_credentials");
    let holder = world.log_in("ada@example.org", PASSWORD).await;
    assert_eq!(holder.status, 200, "the account that has the address now is not touched");
}

async fn a_disabled_account_stays_disabled(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.change_password(&jar, PASSWORD, THEIRS).await;
    let link = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    let email = auth_system::auth_core::types::Email::parse("ada@example.org").unwrap();
    let user = world.auth.admin().find(auth_system::auth_core::port::UserKey::Email(&email)).await.unwrap().unwrap();
    world.auth.admin().disable(&user.id).await.unwrap();
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.purpose, mail.link)).collect();
    assert_eq!(told, [(MailPurpose::AccountDisabled, None)]);
    world.log_in("ada@example.org", THEIRS).await.refused(401, "invalid_credentials");
}

/// Scanners follow links: the link leads to a page, and only what the page sends counts.
async fn only_a_post_takes_back(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let jar = world.change_password(&jar, PASSWORD, THEIRS).await.jar();
    let Link { uid, token } = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    let followed = world.send(get(&format!("not-me/?uid={uid}&token={token}"))).await;
    followed.refused(405, "method_not_allowed");
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn a_link_of_another_kind_takes_nothing_back(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let jar = world.session("ada@example.org").await;
    let change = world.change_email_link(&jar, "new@example.org").await;
    let jar = world.change_password(&jar, PASSWORD, THEIRS).await.jar();
    let ours = notice(&world, "ada@example.org", MailPurpose::PasswordChanged).await;
    world.change_password(&world.session("bob@example.org").await, PASSWORD, THEIRS).await;
    let bobs = notice(&world, "bob@example.org", MailPurpose::PasswordChanged).await;
    let mixed = Link { uid: ours.uid.clone(), token: bobs.token };
    for link in [&change, &mixed, &Link { token: jar.access().to_owned(), ..ours.clone() }] {
        world.send(link.not_me()).await.refused(400, "link_invalid");
    }
    world.send(ours.change_email(&jar)).await.refused(400, "link_invalid");
    world.send(ours.set_password("a fresh password")).await.refused(400, "link_invalid");
    assert_eq!(world.me(&jar).await.status, 200);
}

/// An operator may revive a mail at any time; what was taken back is remembered no longer than links work.
async fn a_notice_that_waited_too_long_is_not_sent(ground: Ground) {
    for (days, sent) in [(2, 1), (4, 0)] {
        let world = ground.world_with(|config| config.policy.mail_attempts = 1).await;
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        world.mailer.set_down(true);
        world.change_password(&jar, PASSWORD, THEIRS).await;
        assert!(world.mails().await.is_empty());
        world.mailer.set_down(false);
        world.advance(Duration::from_secs(days * 24 * 60 * 60));
        let dead = world.auth.admin().dead_mails(9).await.unwrap();
        assert!(world.auth.admin().requeue_mail(dead[0].id).await.unwrap());
        assert_eq!(world.mails().await.len(), sent, "after {days} days");
    }
}
