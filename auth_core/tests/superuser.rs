//! Super-users: an unverified account has no owner, one is made by configuration, and the last one stays.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use auth_core::Reason;
use auth_core::account::SignUpRequest;
use auth_core::operator::{Admin, NewAccount};
use auth_core::port::{AdminAction, CredentialStore, Event, MailPurpose, UserChange, UserStore};
use auth_core::types::{Credential, CredentialId, FactorKind, Payload, User, UserStatus};
use common::{ADA, Fault, OTHER_PASSWORD, PASSWORD, SECOND, World, refused};
use uuid::Uuid;

const ROOT: &str = "root@example.org";
const CONFIGURED: &str = "the configured password";

fn admin(world: &World) -> Admin<'_> {
    world.auth.admin()
}

async fn ensure(world: &World) -> User {
    admin(world).ensure_superuser(ROOT, CONFIGURED).await.unwrap()
}

fn unused(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::SuperuserPasswordUnused { .. }))
}

async fn superusers(world: &World) -> Vec<String> {
    let all = world.auth.ports().directory.clone().unwrap().superusers(&world.client.tenant).await.unwrap();
    all.iter().map(|user| user.email.to_string()).collect()
}

#[tokio::test]
async fn a_strangers_unverified_account_is_not_the_superusers() {
    let world = World::with(|policy| policy.usernames = true);
    let attributes = vec![("first_name", "Eve")];
    let request = SignUpRequest::new(common::to_email(ROOT), common::new_password("the stranger's"))
        .username(common::to_username("root"))
        .attributes(attributes);
    world.auth.request(&world.client).sign_up(request).await.unwrap();
    let strangers_link = world.link().await;
    let before = world.user(ROOT).await;
    world.events.take();

    let user = ensure(&world).await;
    assert_eq!((user.id, user.token_version), (before.id, before.token_version.next()));
    assert!(user.is_verified() && user.is_superuser() && user.is_active());
    assert_eq!((user.username.clone(), user.attributes.len()), (None, 1));
    assert_eq!(user, world.user(ROOT).await);
    assert!(!unused(&world.events.take()), "the configured password is the account's");
    world.login(ROOT, CONFIGURED).await.unwrap();
    assert_eq!(refused(world.login(ROOT, "the stranger's").await), Reason::InvalidCredentials);
    assert_eq!(refused(world.verify(&strangers_link).await), Reason::LinkInvalid);
    // The username is free.
    let request =
        SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD)).username(common::to_username("root"));
    world.auth.request(&world.client).sign_up(request).await.unwrap();
}

#[tokio::test]
async fn an_unverified_account_that_an_earlier_start_lifted_is_taken_over() {
    let world = World::new();
    world.sign_up(ROOT, "the stranger's").await.unwrap();
    let attributes = serde_json::json!({ "is_superuser": true }).as_object().cloned();
    world.change(ROOT, UserChange { attributes, ..UserChange::default() }).await;
    ensure(&world).await;
    assert_eq!(refused(world.login(ROOT, "the stranger's").await), Reason::InvalidCredentials);
    world.login(ROOT, CONFIGURED).await.unwrap();
}

#[tokio::test]
async fn a_verified_account_keeps_its_password_and_the_operator_is_told() {
    let world = World::new();
    world.verified(ROOT, PASSWORD).await;
    for _ in 0..2 {
        ensure(&world).await;
        assert!(unused(&world.events.take()));
    }
    assert!(world.user(ROOT).await.is_superuser());
    world.login(ROOT, PASSWORD).await.unwrap();
    assert_eq!(refused(world.login(ROOT, CONFIGURED).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn the_second_start_changes_and_says_nothing() {
    let world = World::new();
    let made = ensure(&world).await;
    world.events.take();
    assert_eq!(ensure(&world).await, made);
    assert_eq!(world.events.take(), []);
}

#[tokio::test]
async fn a_superuser_who_moved_is_not_made_twice() {
    for with_directory in [true, false] {
        let world = World::new();
        let mut ports = world.ports.clone();
        ports.directory = ports.directory.filter(|_| with_directory);
        let auth = common::node(&ports, &world.policy);
        let made = auth.admin().ensure_superuser(ROOT, CONFIGURED).await.unwrap();
        auth.admin().set_email(&made.id, ADA).await.unwrap();
        world.sign_up(ROOT, "the stranger's").await.unwrap();
        world.events.take();
        let found = auth.admin().ensure_superuser(ROOT, CONFIGURED).await.unwrap();
        assert_eq!((found.id, found.email.as_str()), (made.id, ADA), "{with_directory}");
        assert!(unused(&world.events.take()), "{with_directory}");
        assert!(!world.user(ROOT).await.is_superuser(), "{with_directory}");
        assert_eq!(superusers(&world).await, [ADA]);
    }
}

#[tokio::test]
async fn a_superuser_of_an_older_version_who_moved_is_found() {
    let world = World::new();
    let account =
        NewAccount { email: ADA, password: Some(PASSWORD), verified: true, superuser: true, ..NewAccount::default() };
    let old = admin(&world).create_user(account).await.unwrap();
    assert_eq!(ensure(&world).await.id, old.id);
    assert_eq!(superusers(&world).await, [ADA]);
    // A deleted one does not count.
    admin(&world).delete(&old.id).await.unwrap();
    assert_eq!(ensure(&world).await.email.as_str(), ROOT);
}

#[tokio::test]
async fn a_deleted_account_keeps_its_address_until_it_is_purged() {
    let world = World::new();
    world.verified(ROOT, PASSWORD).await;
    world.set_status(ROOT, UserStatus::Deleted).await;
    let refusal = admin(&world).ensure_superuser(ROOT, CONFIGURED).await;
    assert_eq!(common::wrong_fields(refusal), [("email", auth_core::error::FieldReason::Taken)]);
}

#[tokio::test]
async fn the_last_superuser_stays_one() {
    let world = World::new();
    let root = ensure(&world).await;
    assert_eq!(refused(admin(&world).revoke_superuser(&root.id).await), Reason::LastSuperuser);
    let account =
        NewAccount { email: ADA, password: Some(PASSWORD), verified: true, superuser: true, ..NewAccount::default() };
    let ada = admin(&world).create_user(account).await.unwrap();
    let session = world.login(ROOT, CONFIGURED).await.unwrap();
    world.events.take();
    let revoked = admin(&world).revoke_superuser(&root.id).await.unwrap();
    assert!(!revoked.is_superuser() && revoked.token_version == root.token_version.next());
    assert_eq!(refused(world.auth.authenticate(session.access.token.expose()).await), Reason::NotAuthenticated);
    let action = AdminAction::RevokedSuperuser;
    assert_eq!(world.events.take(), [Event::Administered { actor: "operator".into(), action, user: Some(root.id) }]);
    assert_eq!(refused(admin(&world).revoke_superuser(&ada.id).await), Reason::LastSuperuser);
    // The configuration does not bring the role back.
    assert_eq!(ensure(&world).await.id, ada.id);
    assert_eq!(superusers(&world).await, [ADA]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_superusers_that_are_revoked_at_the_same_time_one_stays() {
    for _ in 0..10 {
        let world = World::new();
        ensure(&world).await;
        let mut ids = vec![world.user(ROOT).await.id];
        for number in 0..4 {
            let email = format!("root{number}@example.org");
            let account = NewAccount { email: &email, verified: true, superuser: true, ..NewAccount::default() };
            ids.push(admin(&world).create_user(account).await.unwrap().id);
        }
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (auth, id) = (world.auth.clone(), ids[number % ids.len()]);
                tokio::spawn(async move { auth.admin().revoke_superuser(&id).await.map(drop) })
            })
            .collect();
        for task in tasks {
            if let Err(error) = task.await.unwrap() {
                assert!(matches!(error.reason(), Reason::LastSuperuser | Reason::Unavailable), "{error:?}");
            }
        }
        assert!(!superusers(&world).await.is_empty());
    }
}

#[tokio::test]
async fn both_addresses_are_told_of_a_move_and_sessions_end() {
    let world = World::new();
    let session = world.logged_in().await;
    let id = world.user(ADA).await.id;
    // A stranger's sign-up does not hold the address.
    world.sign_up("new@example.org", "the stranger's").await.unwrap();
    world.mails().await;
    let moved = admin(&world).set_email(&id, " New@Example.org").await.unwrap();
    assert_eq!((moved.id, moved.email.as_str()), (id, "new@example.org"));
    assert!(moved.is_verified());
    assert_eq!(refused(world.auth.authenticate(session.access.token.expose()).await), Reason::NotAuthenticated);
    let mut mails = world.deliver().await;
    mails.sort_by(|a, b| a.to.cmp(&b.to));
    let told: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.purpose, mail.link.is_some())).collect();
    let new = "New@example.org";
    assert_eq!(told, [(new, MailPurpose::EmailConfirmed, false), (ADA, MailPurpose::EmailSet, false)]);
    world.login(new, PASSWORD).await.unwrap();
    assert_eq!(refused(world.login(new, "the stranger's").await), Reason::InvalidCredentials);
    // A verified account keeps its address.
    world.verified(ADA, OTHER_PASSWORD).await;
    let refusal = admin(&world).set_email(&id, ADA).await;
    assert_eq!(common::wrong_fields(refusal), [("email", auth_core::error::FieldReason::Taken)]);
}

#[tokio::test]
async fn unlock_brings_back_a_password_and_a_factor_that_were_guessed_at_too_often() {
    let world = World::with(|policy| {
        policy.timed_limits = true;
        policy.max_consecutive_failures = 10;
    });
    let id = world.verified(ADA, PASSWORD).await;
    let factor = Credential {
        id: CredentialId(Uuid::from_u128(1)),
        tenant: world.client.tenant,
        user: id,
        kind: FactorKind::totp(),
        lookup_key: None,
        payload: Payload { version: 0, bytes: vec![] },
        consecutive_failures: 0,
        revision: 0,
    };
    CredentialStore::insert(&world.store, &factor).await.unwrap();
    for _ in 0..10 {
        assert!(CredentialStore::count_failure(&world.store, &factor.tenant, factor.id, 10).await.unwrap());
        assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
    }
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::Throttled);
    let user = world.user(ADA).await;
    let listed =
        auth_core::types::EnrolledFactor { credential: factor.id, kind: FactorKind::totp(), since: user.token_version };
    world.change(ADA, UserChange { factors: Some(vec![listed]), ..UserChange::default() }).await;
    assert_eq!(admin(&world).unlock(&id).await.unwrap().consecutive_failures, 0);
    let row = CredentialStore::find(&world.store, &factor.tenant, factor.id).await.unwrap().unwrap();
    assert_eq!((row.consecutive_failures, row.payload), (0, factor.payload));
    world.change(ADA, UserChange { factors: Some(vec![]), ..UserChange::default() }).await;
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn every_session_of_every_account_ends_at_once() {
    let world = World::new();
    let mut sessions = Vec::new();
    for number in 0..3 {
        let email = format!("ada{number}@example.org");
        world.verified(&email, PASSWORD).await;
        sessions.push(world.login(&email, PASSWORD).await.unwrap());
    }
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let waiting = world.link().await;
    world.events.take();
    assert_eq!(admin(&world).end_all_sessions().await.unwrap(), 3);
    for session in &sessions {
        assert_eq!(refused(world.auth.authenticate(session.access.token.expose()).await), Reason::NotAuthenticated);
        assert_eq!(
            refused(world.auth.request(&world.client).refresh(session.refresh.token.expose()).await),
            Reason::RefreshInvalid
        );
    }
    world.login("ada1@example.org", PASSWORD).await.unwrap();
    world.verify(&waiting).await.unwrap();
    let ended = |event: &Event| matches!(event, Event::Administered { action: AdminAction::EndedAllSessions, .. });
    assert!(world.events.take().iter().any(ended));
}

#[tokio::test]
async fn the_sessions_of_more_accounts_than_a_page_holds_end() {
    let world = World::new();
    let mut sessions = Vec::new();
    // Far more than one page: the first and the last account are on different ones.
    for number in 0..=1000 {
        world.clock.advance(SECOND);
        let email = format!("ada{number}@example.org");
        let account = NewAccount { email: &email, password: Some(PASSWORD), verified: true, ..NewAccount::default() };
        admin(&world).create_user(account).await.unwrap();
        if number % 500 == 0 {
            sessions.push(world.login(&email, PASSWORD).await.unwrap());
        }
    }
    assert_eq!(admin(&world).end_all_sessions().await.unwrap(), 1001);
    for session in &sessions {
        assert_eq!(
            refused(world.auth.request(&world.client).refresh(session.refresh.token.expose()).await),
            Reason::RefreshInvalid
        );
    }
}

#[tokio::test]
async fn a_removed_superuser_row_leaves_no_trace_that_keeps_another_from_being_made() {
    let world = World::new();
    let root = ensure(&world).await;
    assert!(UserStore::remove_if(&world.store, &root).await.unwrap());
    assert_ne!(ensure(&world).await.id, root.id);
}
