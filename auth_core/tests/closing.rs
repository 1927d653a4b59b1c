//! Closing an account, reopening it by the mailbox with its factors for a while, and the purge of unclaimed accounts.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use std::sync::Arc;

use auth_core::Reason;
use auth_core::account::{ImportedUser, UserImport};
use auth_core::operator::NewAccount;
use auth_core::port::{Event, MailPurpose, UserKey};
use auth_core::types::{Attributes, Client, Email, Password, PasswordHash, TenantId, Timestamp, UserId, UserStatus};
use common::{ADA, DAY, Fault, HOUR, Look, OTHER_PASSWORD, PASSWORD, TICK, World, refused};

/// The notice of an account that its owner just closed.
async fn closed(world: &World) -> UserId {
    let tokens = world.logged_in().await;
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    let password = Password::new(PASSWORD).unwrap();
    world.auth.request(&world.client).deactivate(&live, &password).await.unwrap();
    live.user()
}

async fn exists(world: &World, id: &UserId) -> bool {
    world.store.find_user(&TenantId::default(), UserKey::Id(id)).await.is_some()
}

#[tokio::test]
async fn an_owner_who_closed_the_account_is_told_and_every_session_ends() {
    let world = World::new();
    let id = closed(&world).await;
    let user = world.user(ADA).await;
    assert_eq!(user.status, UserStatus::Deactivated { since: auth_core::port::Clock::now(&world.clock) });
    assert_eq!(world.events.take().last(), Some(&Event::Deactivated { user: id }));
    let mails = world.deliver().await;
    assert_eq!(mails.iter().map(|mail| mail.purpose).collect::<Vec<_>>(), [MailPurpose::Deactivated]);
    assert!(mails[0].link.is_some());
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(world.mails().await, []);
}

#[tokio::test]
async fn a_reset_reopens_a_closed_account_until_its_time_is_over() {
    for (age, opens) in [(Duration::ZERO, true), (30 * DAY - TICK, true), (30 * DAY, false)] {
        let world = World::new();
        let id = closed(&world).await;
        world.mails().await;
        world.clock.advance(age);
        world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await.unwrap();
        let links = world.links().await;
        assert_eq!(links.len(), usize::from(opens), "{age:?}");
        let Some(link) = links.first() else { continue };
        world.events.take();
        world.reset(link, OTHER_PASSWORD).await.unwrap();
        assert_eq!(world.events.take(), [Event::Reactivated { user: id }, Event::PasswordReset { user: id }]);
        world.login(ADA, OTHER_PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_does_not_outlive_the_time_of_a_closed_account() {
    let world = World::new();
    closed(&world).await;
    world.mails().await;
    world.clock.advance(30 * DAY - TICK);
    let link = world.reset_link().await;
    world.clock.advance(TICK);
    assert_eq!(refused(world.reset(&link, OTHER_PASSWORD).await), Reason::LinkInvalid);
}

#[tokio::test]
async fn a_sign_up_mails_the_owner_of_a_closed_account_the_way_back() {
    for reveals in [false, true] {
        let world = World::with(|policy| policy.reveal_taken_emails = reveals);
        closed(&world).await;
        world.mails().await;
        assert_eq!(world.sign_up(ADA, OTHER_PASSWORD).await.is_ok(), !reveals);
        let link = world.link().await;
        assert_eq!(link.purpose, MailPurpose::AccountDeactivated);
        assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
        world.reset(&link, OTHER_PASSWORD).await.unwrap();
        world.login(ADA, OTHER_PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn the_owner_takes_a_closing_back_that_a_thief_made() {
    let world = World::new();
    let id = closed(&world).await;
    let notice = world.all_links().await.remove(0);
    world.auth.request(&world.client).take_back(Some(id), &notice.token, None).await.unwrap();
    let link = world.link().await;
    assert_eq!(link.purpose, MailPurpose::ResetPassword);
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_owner_is_told_that_a_disabled_account_cannot_be_reset() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.set_status(ADA, UserStatus::Disabled).await;
    let before = world.user(ADA).await;
    world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await.unwrap();
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::AccountDisabled)]);
    world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::AccountDisabled)]);
    assert_eq!(world.user(ADA).await, before);
}

#[tokio::test]
async fn an_operator_disables_and_opens_a_closed_account() {
    let world = World::new();
    let id = closed(&world).await;
    let admin = world.auth.admin();
    let closed = admin.list(Some(UserStatus::Deactivated { since: Timestamp::default() }), None, 9).await.unwrap();
    assert_eq!(closed.iter().map(|user| user.id).collect::<Vec<_>>(), [id]);
    admin.disable(&id).await.unwrap();
    world.clock.advance(60 * DAY);
    assert_eq!(world.auth.purge_deactivated_accounts().await.unwrap(), 0);
    admin.enable(&id).await.unwrap();
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_closed_account_is_removed_with_its_credentials_when_its_time_is_over() {
    let world = World::new();
    let id = closed(&world).await;
    world.mails().await;
    let row = auth_core::types::Credential {
        id: auth_core::types::CredentialId(uuid::Uuid::from_u128(1)),
        tenant: TenantId::default(),
        user: id,
        kind: auth_core::types::FactorKind::totp(),
        lookup_key: None,
        payload: auth_core::types::Payload { version: 0, bytes: vec![] },
        consecutive_failures: 0,
        revision: 0,
    };
    world.ports.credentials.insert(&row).await.unwrap();
    world.clock.advance(30 * DAY - TICK);
    assert_eq!(world.auth.purge_deactivated_accounts().await.unwrap(), 0);
    world.clock.advance(TICK);
    world.events.take();
    assert_eq!(world.auth.purge_deactivated_accounts().await.unwrap(), 1);
    assert_eq!(world.events.take(), [Event::Purged { user: id }]);
    assert!(!exists(&world, &id).await);
    assert_eq!(world.ports.credentials.of_user(&TenantId::default(), &id).await.unwrap(), []);
    world.verified(ADA, OTHER_PASSWORD).await;
}

#[tokio::test]
async fn the_address_of_a_lapsed_account_is_free_before_the_purge_comes() {
    for lapsed in ["closed", "unverified"] {
        let world = World::new();
        if lapsed == "closed" {
            closed(&world).await;
        } else {
            world.sign_up(ADA, PASSWORD).await.unwrap();
        }
        world.mails().await;
        let before = world.user(ADA).await.id;
        world.clock.advance(30 * DAY);
        assert_ne!(world.verified(ADA, OTHER_PASSWORD).await, before, "{lapsed}");
        world.login(ADA, OTHER_PASSWORD).await.unwrap();
    }
}

fn imported(email: &str) -> ImportedUser {
    ImportedUser {
        tenant: TenantId::default(),
        id: None,
        email: Email::parse(email).unwrap(),
        username: None,
        email_verified_at: None,
        status: UserStatus::Active,
        password_hash: Some(PasswordHash::new("$plain$old")),
        attributes: Attributes::new(),
        created_at: Timestamp::from_seconds(1),
        last_login_at: None,
    }
}

#[tokio::test]
async fn a_sign_up_that_nobody_verified_is_removed_and_nothing_else_is() {
    let world = World::new();
    world.sign_up("stale@example.org", PASSWORD).await.unwrap();
    let stale = world.user("stale@example.org").await.id;
    let verified = world.verified_late().await;
    let made = NewAccount { email: "made@example.org", ..NewAccount::default() };
    let made = world.auth.admin().create_user(made).await.unwrap().id;
    let UserImport::Created(old) = world.auth.import_user(&imported("old@example.org")).await.unwrap() else {
        panic!("not imported")
    };
    world.clock.advance(30 * DAY - TICK);
    assert_eq!(world.auth.purge_unverified_accounts().await.unwrap(), 0);
    world.sign_up("young@example.org", PASSWORD).await.unwrap();
    let young = world.user("young@example.org").await.id;
    world.clock.advance(TICK);
    assert_eq!(world.auth.purge_unverified_accounts().await.unwrap(), 1);
    assert!(!exists(&world, &stale).await);
    for kept in [verified, made, old, young] {
        assert!(exists(&world, &kept).await, "{kept}");
    }
}

impl World {
    async fn verified_late(&self) -> UserId {
        self.mails().await;
        self.sign_up(ADA, PASSWORD).await.unwrap();
        let link = self.link().await;
        self.verify(&link).await.unwrap();
        link.user
    }
}

#[tokio::test]
async fn the_lifetimes_are_those_of_the_policy() {
    let world = World::with(|policy| {
        policy.unverified_lifetime = 5 * DAY;
        policy.deactivated_lifetime = 6 * DAY;
    });
    let id = closed(&world).await;
    world.sign_up("stale@example.org", PASSWORD).await.unwrap();
    world.clock.advance(5 * DAY);
    assert_eq!(world.auth.purge_unverified_accounts().await.unwrap(), 1);
    assert_eq!(world.auth.purge_deactivated_accounts().await.unwrap(), 0);
    world.clock.advance(DAY);
    assert_eq!(world.auth.purge_deactivated_accounts().await.unwrap(), 1);
    assert!(!exists(&world, &id).await);
}

#[tokio::test]
async fn a_verification_that_comes_first_keeps_the_account_from_the_purge() {
    let world = World::with(|policy| policy.verify_link_lifetime = 30 * DAY);
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.clock.advance(29 * DAY);
    world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
    let link = world.link().await;
    world.clock.advance(DAY);
    // A node whose stores are well.
    let mut stores = world.ports.clone();
    (stores.users, stores.credentials) = (Arc::new(world.store.clone()), Arc::new(world.store.clone()));
    (stores.attempts, stores.outbox) = (Arc::new(world.store.clone()), Arc::new(world.store.clone()));
    let (auth, client) = (common::node(&stores, &world.policy), world.client.clone());
    let mut done = false;
    world.faults.plan(move |_, name| {
        if name == "users.remove_if" && !std::mem::replace(&mut done, true) {
            common::now(auth.request(&client).verify_email(Some(link.user), &link.token)).unwrap();
        }
        None
    });
    assert_eq!(world.auth.purge_unverified_accounts().await.unwrap(), 0);
    world.faults.heal();
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_mail_tells_of_a_sign_up_and_its_second_link_removes_the_account() {
    let world = World::new();
    let client = Client { address: "203.0.113.9".parse().ok(), ..Client::default() };
    let request = auth_core::account::SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD));
    world.auth.request(&client).sign_up(request).await.unwrap();
    // A mail that another client asks for names the client address of the sign-up.
    world.mails().await;
    world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
    let mail = world.deliver().await.remove(0);
    let (from, (uid, token)) = mail.sign_up.unwrap();
    assert_eq!(from, client.address);
    let user = UserId::parse(&uid).unwrap();
    world.events.take();
    assert!(world.auth.request(&world.client).deny_sign_up(Some(user), &token).await.unwrap());
    assert_eq!(world.events.take(), [Event::SignUpDenied { user }]);
    assert!(!world.auth.request(&world.client).deny_sign_up(Some(user), &token).await.unwrap());
    assert_ne!(world.verified(ADA, OTHER_PASSWORD).await, user);
}

#[tokio::test]
async fn only_the_second_link_of_an_unverified_account_removes_it() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let mail = world.deliver().await.remove(0);
    let (uid, verify) = mail.link.unwrap();
    let (_, (_, deny)) = mail.sign_up.unwrap();
    let user = UserId::parse(&uid).ok();
    let denied = async |token: &str| world.auth.request(&world.client).deny_sign_up(user, token).await;
    for wrong in ["", &verify, &deny[1..]] {
        assert!(!denied(wrong).await.unwrap());
    }
    // It does not verify, nor set a password.
    assert_eq!(refused(world.auth.request(&world.client).verify_email(user, &deny).await), Reason::LinkInvalid);
    world.auth.request(&world.client).verify_email(user, &verify).await.unwrap();
    assert_eq!(refused(denied(&deny).await), Reason::AlreadyVerified);
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_denials_and_verifications_one_decides() {
    for _ in 0..10 {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let mail = world.deliver().await.remove(0);
        let ((uid, verify), (_, (_, deny))) = (mail.link.unwrap(), mail.sign_up.unwrap());
        let user = UserId::parse(&uid).ok();
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (auth, client, verify, deny) =
                    (world.auth.clone(), Client::default(), verify.clone(), deny.clone());
                tokio::spawn(async move {
                    match number % 2 {
                        0 => auth.request(&client).deny_sign_up(user, &deny).await.unwrap_or(false),
                        _ => auth.request(&client).verify_email(user, &verify).await.is_ok(),
                    }
                })
            })
            .collect();
        let mut decided = 0;
        for task in tasks {
            decided += usize::from(task.await.unwrap());
        }
        assert_eq!(decided, 1);
        world.faults.heal();
        assert_eq!(exists(&world, &user.unwrap()).await, world.login(ADA, PASSWORD).await.is_ok());
    }
}

#[tokio::test]
async fn the_link_of_a_denial_ends_with_the_link_of_its_mail() {
    for (age, works) in [(3 * DAY - TICK, true), (3 * DAY, false), (3 * DAY + HOUR, false)] {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let (_, (uid, token)) = world.deliver().await.remove(0).sign_up.unwrap();
        world.clock.advance(age);
        let denied = world.auth.request(&world.client).deny_sign_up(UserId::parse(&uid).ok(), &token).await;
        assert_eq!(denied.unwrap(), works, "{age:?}");
    }
}
