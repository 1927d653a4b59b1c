//! Login: one answer and one piece of work for every refusal, and a session stamped from what was checked.

mod common;

use std::net::IpAddr;

use auth_core::Reason;
use auth_core::account::SignUpRequest;
use auth_core::login::{LoginOutcome, LoginRequest};
use auth_core::port::{Event, HashError, LoginRefusal, MailPurpose, UserChange, UserStore};
use auth_core::proof::Authenticated;
use auth_core::types::{
    AuthMethods, Channel, Client, CredentialId, EnrolledFactor, FactorKind, Password, PasswordHash, Scope, TenantId,
    TokenVersion, User, UserStatus,
};
use common::{ADA, DAY, Fault, Look, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, World, login, refused};
use uuid::Uuid;

fn factor() -> EnrolledFactor {
    EnrolledFactor {
        credential: CredentialId(Uuid::from_u128(1)),
        kind: FactorKind::totp(),
        since: TokenVersion::new(0),
    }
}

#[tokio::test]
async fn a_session_for_enrolment_is_refused_unless_it_is_asked_for() {
    let world = World::with(|policy| policy.require_second_factor = true);
    world.verified(ADA, PASSWORD).await;
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let token = tokens.access.token.expose();
    assert_eq!(refused(world.auth.authenticate(token).await), Reason::SecondFactorRequired);
    let live = world.auth.authenticate_within(token, &Scope::ALL).await.unwrap();
    assert_eq!(live.scope(), Scope::EnrolFactor);
    assert_eq!(refused(world.auth.request(&world.client).current_user(&live).await), Reason::SecondFactorRequired);
}

#[tokio::test]
async fn every_refusal_gives_one_answer_after_the_same_work() {
    for (kind, password, why) in [
        ("unknown", PASSWORD, LoginRefusal::Unknown),
        ("wrong", OTHER_PASSWORD, LoginRefusal::WrongPassword),
        ("without a password", PASSWORD, LoginRefusal::WrongPassword),
        ("unverified", PASSWORD, LoginRefusal::Unverified),
        ("unverified", OTHER_PASSWORD, LoginRefusal::WrongPassword),
        ("disabled", PASSWORD, LoginRefusal::Disabled),
        ("disabled", OTHER_PASSWORD, LoginRefusal::WrongPassword),
        ("closed", PASSWORD, LoginRefusal::Disabled),
        ("deleted", PASSWORD, LoginRefusal::Disabled),
        ("guessed at", PASSWORD, LoginRefusal::PasswordOff),
    ] {
        let world = World::with(|policy| policy.timed_limits = false);
        match kind {
            "unknown" => {}
            "unverified" => {
                world.sign_up(ADA, PASSWORD).await.unwrap();
                world.mails().await;
            }
            _ => {
                world.verified(ADA, PASSWORD).await;
            }
        }
        match kind {
            "guessed at" => {
                let (ada, below) = (world.user(ADA).await, world.auth.policy().max_consecutive_failures);
                while UserStore::count_failure(&world.store, &ada.tenant, &ada.id, below).await.unwrap() {}
                ada.revision
            }
            "disabled" => world.set_status(ADA, UserStatus::Disabled).await.revision,
            "closed" => {
                let since = auth_core::port::Clock::now(&world.clock);
                world.set_status(ADA, UserStatus::Deactivated { since }).await.revision
            }
            "deleted" => world.set_status(ADA, UserStatus::Deleted).await.revision,
            "without a password" => {
                let change = UserChange { password_hash: Some(None), ..UserChange::default() };
                world.change(ADA, change).await.revision
            }
            _ => 0,
        };
        let user = if kind == "unknown" { None } else { Some(world.user(ADA).await) };
        let work = world.hasher.work();
        world.events.take();
        world.faults.calls();

        let refusal = world.login(ADA, password).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::InvalidCredentials, "{kind}");
        assert_eq!(refusal.to_string(), "invalid_credentials", "{kind}");
        assert_eq!(refusal.retry_after(), None, "{kind}");
        assert_eq!(world.hasher.work() - work, 1, "{kind}");
        let calls = world.faults.calls();
        // One look and three writes, each of which waits for the disk.
        let counts = match why {
            LoginRefusal::Unknown | LoginRefusal::PasswordOff => "users.dummy_write",
            _ => "users.count_failure",
        };
        if why == LoginRefusal::Unverified {
            // Only who reads its mail can tell.
            assert_eq!(calls, ["users.find", counts, "attempts.draw", "outbox.enqueue"]);
            assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::VerifyEmail)]);
        } else {
            let off = why == LoginRefusal::PasswordOff;
            let written = if off { "outbox.enqueue" } else { "users.dummy_write" };
            assert_eq!(calls, ["users.find", counts, "attempts.draw", written], "{kind}");
            let told = off.then(|| (ADA.to_owned(), MailPurpose::PasswordOff));
            assert_eq!(world.mails().await, Vec::from_iter(told), "{kind}");
        }
        let id = user.as_ref().map(|user| user.id);
        let refusals: Vec<_> = world.events.take();
        assert_eq!(refusals[0], Event::LoginRefused { user: id, why }, "{kind}");
        assert_eq!(world.faults.sessions(), [], "{kind}");
        if let Some(user) = user {
            let counted = u32::from(why != LoginRefusal::PasswordOff);
            let counted = User { consecutive_failures: user.consecutive_failures + counted, ..user };
            assert_eq!(world.user(ADA).await, counted, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_login_makes_a_session_stamped_from_the_row_that_was_checked() {
    let world = World::new();
    let id = world.verified(ADA, PASSWORD).await;
    world.clock.advance(DAY);
    let password = Password::new(PASSWORD).unwrap();
    let client = Client {
        address: Some("192.0.2.7".parse::<IpAddr>().unwrap()),
        agent: Some(format!("\0x{}", "é".repeat(1000))),
        ..Client::default()
    };
    let request = LoginRequest::new(auth_core::types::Identifier::parse(" ADA@example.org"), &password);
    let tokens = world.auth.request(&client).login(request).await.unwrap().logged_in().unwrap().session;
    let user = world.user(ADA).await;
    let session = world.store.find_session(tokens.session).await;
    assert_eq!(world.events.take(), [Event::LoggedIn { user: id, session: session.id }]);
    assert_eq!((session.user, session.token_version, session.generation), (id, user.token_version, 0));
    assert_eq!(session.created_at + 7 * DAY, session.idle_expires_at);
    assert_eq!(session.created_at + 30 * DAY, session.expires_at);
    assert_eq!((session.address, session.device_name), (client.address, None));
    // Cut within 256 bytes, between two characters.
    assert_eq!(session.agent.as_deref(), Some(&*format!("x{}", "é".repeat(127))));
    assert_eq!(session.context, serde_json::json!({}));

    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    assert_eq!((live.user(), live.session(), live.token_version()), (id, session.id, user.token_version));
    assert_eq!((live.channel(), live.methods()), (Channel::Cookie, AuthMethods::PASSWORD));
    assert_eq!(live.auth_time(), session.created_at);
    assert_eq!(world.auth.request(&world.client).current_user(&live).await.unwrap().id, id);
}

#[tokio::test]
async fn a_login_is_noted_without_touching_revision_or_version() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let before = world.user(ADA).await;
    world.clock.advance(DAY);
    world.login(ADA, PASSWORD).await.unwrap();
    let after = world.user(ADA).await;
    assert_eq!(after.last_login_at, Some(before.changed_at + DAY));
    assert_eq!((after.revision, after.token_version), (before.revision, before.token_version));
    assert_eq!((after.changed_at, after.password_hash), (before.changed_at, before.password_hash));
}

#[tokio::test]
async fn a_listed_factor_is_never_skipped() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.change(ADA, UserChange { factors: Some(vec![factor()]), ..UserChange::default() }).await;
    let password = Password::new(PASSWORD).unwrap();
    let request = LoginRequest::new(auth_core::types::Identifier::parse(ADA), &password).channel(Channel::Header);
    let outcome = world.auth.request(&world.client).login(request).await.unwrap();
    assert!(matches!(outcome, LoginOutcome::SecondFactorRequired(_)), "{outcome:?}");
    assert_eq!(world.faults.sessions(), []);
    assert_eq!(world.user(ADA).await.last_login_at, None);
    // Without the password nobody learns of it.
    assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
}

fn old_hash(password: &str) -> UserChange {
    let hash = PasswordHash::new(format!("$old${password}"));
    UserChange { password_hash: Some(Some(hash)), ..UserChange::default() }
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_at_login() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let before = world.change(ADA, old_hash(PASSWORD)).await;
    world.login(ADA, PASSWORD).await.unwrap();
    let after = world.user(ADA).await;
    assert_eq!(after.password_hash, Some(PasswordHash::new(format!("$plain${PASSWORD}"))));
    assert_eq!((after.revision, after.token_version), (before.revision, before.token_version));
    let work = world.hasher.work();
    world.login(ADA, PASSWORD).await.unwrap();
    assert_eq!(world.hasher.work() - work, 1, "hashed again without need");
}

#[tokio::test]
async fn a_refused_login_replaces_no_hash() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.change(ADA, old_hash(PASSWORD)).await;
    world.set_status(ADA, UserStatus::Disabled).await;
    let (before, work) = (world.user(ADA).await, world.hasher.work());
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
    let counted = User { consecutive_failures: 2, ..before };
    assert_eq!((world.user(ADA).await, world.hasher.work() - work), (counted, 2));
}

#[tokio::test]
async fn a_rehash_never_overwrites_a_password_that_was_set_meanwhile() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let user = world.change(ADA, old_hash(PASSWORD)).await;
    let store = world.store.clone();
    world.faults.plan(move |_, name| {
        if name == "users.record_login" {
            let hash = PasswordHash::new(format!("$plain${OTHER_PASSWORD}"));
            let change = UserChange { password_hash: Some(Some(hash)), ..UserChange::default() };
            common::now(auth_core::port::UserStore::update_if(&store, &user, &change)).unwrap();
        }
        None
    });
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let after = world.user(ADA).await;
    assert_eq!(after.password_hash, Some(PasswordHash::new(format!("$plain${OTHER_PASSWORD}"))));
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
    // And the session that the old password opened is dead.
    assert_eq!(
        refused(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

#[tokio::test]
async fn a_password_that_changes_while_it_is_checked_opens_nothing() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let (user, store) = (world.user(ADA).await, world.store.clone());
    let node = world.node_that_checks(move || {
        let hash = PasswordHash::new(format!("$plain${OTHER_PASSWORD}"));
        let change = UserChange { password_hash: Some(Some(hash)), ..UserChange::default() };
        common::now(auth_core::port::UserStore::update_if(&store, &user, &change)).unwrap();
        Ok(())
    });
    // The login may answer with tokens, but they carry the version that was checked and are dead on arrival.
    let tokens = login(&node, ADA, PASSWORD).await.unwrap();
    assert_eq!(refused(world.auth.authenticate(tokens.access.token.expose()).await), Reason::NotAuthenticated);
    assert_eq!(
        refused(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

#[tokio::test]
async fn what_fails_after_the_session_was_made_does_not_take_it_back() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.change(ADA, old_hash(PASSWORD)).await;
    world.faults.plan(|_, name| (name == "users.record_login").then_some(Fault::FailBefore));
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_means_unavailable_for_everybody() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    for call in ["users.find", "sessions.insert"] {
        world.faults.plan(move |_, name| (name == call).then_some(Fault::FailBefore));
        let refusal = world.login(ADA, PASSWORD).await.unwrap_err();
        assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Unavailable, Some(SECOND)));
        // What the store said is for operators.
        assert_eq!(refusal.to_string(), "unavailable");
    }
    world.faults.plan(|_, name| (name == "users.find").then_some(Fault::FailBefore));
    assert_eq!(refused(world.login("unknown@example.org", PASSWORD).await), Reason::Unavailable);
}

#[tokio::test]
async fn too_much_work_is_refused_alike_for_known_and_unknown() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let busy = world.node_that_checks(|| Err(HashError::Overloaded { retry_after: 3 * SECOND }));
    for email in [ADA, "unknown@example.org"] {
        let refusal = login(&busy, email, PASSWORD).await.unwrap_err();
        assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Overloaded, Some(3 * SECOND)), "{email}");
    }
    assert_eq!(world.faults.sessions(), []);
}

#[tokio::test]
async fn what_is_no_identifier_is_an_unknown_account() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    for identifier in ["", " ", "ada", "ada@", "@", "ada@example.org\0", "ada@example.org,eve@example.org", "'--", "%"]
    {
        let work = world.hasher.work();
        assert_eq!(refused(world.login(identifier, PASSWORD).await), Reason::InvalidCredentials, "{identifier:?}");
        assert_eq!(world.hasher.work() - work, 1, "{identifier:?}");
    }
}

#[tokio::test]
async fn usernames_log_in_only_where_they_are_on() {
    for on in [true, false] {
        let world = World::with(|policy| policy.usernames = true);
        let request = SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD))
            .username(common::to_username("ada"));
        world.auth.request(&world.client).sign_up(request).await.unwrap();
        let link = world.link().await;
        world.verify(&link).await.unwrap();
        let mut policy = world.policy.clone();
        policy.usernames = on;
        let node = common::node(&world.ports, &policy);
        for name in ["ada", " ADA ", "ａｄａ"] {
            assert_eq!(login(&node, name, PASSWORD).await.is_ok(), on, "{name}");
        }
        login(&node, ADA, PASSWORD).await.unwrap();
        assert_eq!(refused(login(&node, "eve", PASSWORD).await), Reason::InvalidCredentials);
    }
}

#[tokio::test]
async fn an_account_of_another_tenant_does_not_log_in() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let other = Client { tenant: TenantId::parse("other").unwrap(), ..Client::default() };
    let password = Password::new(PASSWORD).unwrap();
    let request = LoginRequest::new(auth_core::types::Identifier::parse(ADA), &password).channel(Channel::Header);
    assert_eq!(refused(world.auth.request(&other).login(request).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn vouching_for_a_user_does_not_open_a_shut_account() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let vouch = |user| Authenticated::dangerously_vouched_for(&user, AuthMethods::default(), user.created_at);
    assert_eq!(vouch(world.user(ADA).await).err(), Some(LoginRefusal::Unverified));
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    for status in [UserStatus::Disabled, UserStatus::Deleted] {
        assert_eq!(vouch(world.set_status(ADA, status).await).err(), Some(LoginRefusal::Disabled));
    }
    let user = world.set_status(ADA, UserStatus::Active).await;
    world.clock.advance(MINUTE);
    let proof = vouch(user.clone()).unwrap();
    let tokens = world.auth.request(&world.client).issue_session(Channel::Header, proof).await.unwrap();
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    assert_eq!((live.user(), live.auth_time()), (user.id, user.created_at));
}
