//! Revocation across nodes: what one ends, the others refuse within the lag; without knowledge nobody answers.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use auth_core::policy::Policy;
use auth_core::port::{NewUser, SessionStore, UserChange, UserStore};
use auth_core::proof::LiveSession;
use auth_core::session::SessionTokens;
use auth_core::testing::ManualClock;
use auth_core::types::{
    Claim, Email, PasswordHash, Scope, Session, SessionId, TenantId, TokenVersion, User, UserId, UserStatus,
};
use auth_core::{AuthSystem, Error, Reason};
use common::{
    ADA, DAY, Fault, Gate, HOUR, Look, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, SkewedClock, TICK, World, login,
    refused, session,
};
use uuid::Uuid;

const LAG: Duration = SECOND;
const POLL: [&str; 2] = ["users.changes", "sessions.revocations"];

async fn check(node: &AuthSystem, tokens: &SessionTokens) -> Result<LiveSession, Error> {
    node.authenticate(tokens.access.token.expose()).await
}

/// Two nodes that have just looked, and a session that both accept.
async fn two_nodes() -> (World, AuthSystem, SessionTokens) {
    let world = World::new();
    let tokens = world.logged_in().await;
    let other = world.node();
    check(&world.auth, &tokens).await.unwrap();
    check(&other, &tokens).await.unwrap();
    world.faults.calls();
    (world, other, tokens)
}

/// Checks under way: they run only when polled.
type Checks<'a> = Vec<Pin<Box<dyn Future<Output = Result<LiveSession, Error>> + 'a>>>;

fn start<'a>(count: usize, node: &'a AuthSystem, token: &'a str) -> Checks<'a> {
    let mut checks: Checks<'a> = (0..count).map(|_| Box::pin(node.authenticate(token)) as Pin<Box<_>>).collect();
    for check in &mut checks {
        assert!(check.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    checks
}

/// Polls all checks until each has its answer.
fn finish(checks: Checks<'_>) -> Vec<Result<LiveSession, Error>> {
    let mut slots: Vec<_> = checks.into_iter().map(|check| (check, None)).collect();
    for _ in 0..1000 {
        for (check, answer) in slots.iter_mut().filter(|(_, answer)| answer.is_none()) {
            if let Poll::Ready(value) = check.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                *answer = Some(value);
            }
        }
    }
    slots.into_iter().map(|(_, answer)| answer.expect("a check never ended")).collect()
}

#[tokio::test]
async fn a_node_whose_clock_is_slow_lets_no_revoked_token_in() {
    let clock = ManualClock::new();
    let store_clock = SkewedClock::new(&clock);
    let world = World::with_clocks(clock, Arc::new(store_clock.clone()), |_| {});
    let tokens = world.logged_in().await;
    // Ten minutes slow: the token works here, by this clock, ten minutes longer than elsewhere.
    store_clock.set_seconds(600);
    let tokens = world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
    let revoked = world.store.revoke(&world.client.tenant, tokens.session, tokens.access.issued_at).await;
    assert!(revoked.unwrap(), "by another node");
    for minute in 0..=25 {
        // As its worker does: the node learns of the revocation long before the token works by its clock.
        world.auth.sync_revocations(Duration::ZERO).await.unwrap();
        assert!(world.auth.authenticate(tokens.access.token.expose()).await.is_err(), "minute {minute}");
        world.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn what_one_node_ends_the_other_refuses_within_the_lag() {
    for what in ["logout", "reset", "disabled", "deleted", "factors"] {
        let (world, other, tokens) = two_nodes().await;
        match what {
            "logout" => {
                world.auth.request(&world.client).logout(Some(tokens.access.token.expose()), None).await.unwrap()
            }
            "reset" => {
                let link = world.reset_link().await;
                world.reset(&link, OTHER_PASSWORD).await.unwrap();
            }
            "disabled" => drop(world.set_status(ADA, UserStatus::Disabled).await),
            "deleted" => drop(world.set_status(ADA, UserStatus::Deleted).await),
            _ => drop(world.change(ADA, UserChange { factors: Some(vec![]), ..UserChange::default() }).await),
        }
        world.clock.advance(LAG + TICK);
        for node in [&world.auth, &other, &world.node()] {
            assert_eq!(refused(check(node, &tokens).await), Reason::NotAuthenticated, "{what}");
        }
    }
}

#[tokio::test]
async fn a_node_knows_its_own_changes_at_once_and_without_asking() {
    let (world, _, tokens) = two_nodes().await;
    world.auth.request(&world.client).logout(Some(tokens.access.token.expose()), None).await.unwrap();
    assert_eq!(refused(check(&world.auth, &tokens).await), Reason::NotAuthenticated);
    assert_eq!(world.faults.calls(), ["sessions.revoke"]);

    let (world, _, tokens) = two_nodes().await;
    let link = world.reset_link().await;
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    world.faults.calls();
    assert_eq!(refused(check(&world.auth, &tokens).await), Reason::NotAuthenticated);
    assert_eq!(world.faults.calls(), [""; 0]);
    // What ended is refused even while the view is too old to accept anything.
    world.clock.advance(HOUR / 6);
    world.faults.plan(|_, _| Some(Fault::FailBefore));
    assert_eq!(refused(check(&world.auth, &tokens).await), Reason::NotAuthenticated);
}

#[tokio::test]
async fn a_fresh_view_answers_without_the_store() {
    let (world, other, tokens) = two_nodes().await;
    world.clock.advance(LAG);
    for _ in 0..10 {
        check(&other, &tokens).await.unwrap();
    }
    assert_eq!(world.faults.calls(), [""; 0]);
    world.clock.advance(TICK);
    check(&other, &tokens).await.unwrap();
    assert_eq!(world.faults.calls(), POLL);
}

#[tokio::test]
async fn the_check_without_io_says_nothing_rather_than_something_old() {
    let (world, other, tokens) = two_nodes().await;
    let token = tokens.access.token.expose();
    let at_once = |node: &AuthSystem| {
        node.authenticate_now(token, &[Scope::Full]).map(|answer| answer.map(|live| live.session()))
    };
    assert!(at_once(&world.node()).is_none());
    world.clock.advance(LAG);
    assert!(matches!(at_once(&other), Some(Ok(session)) if session == tokens.session));
    world.clock.advance(TICK);
    assert!(at_once(&other).is_none());
    // What ended or expired is refused in any case.
    world.auth.request(&world.client).logout(Some(token), None).await.unwrap();
    assert_eq!(refused(at_once(&world.auth).unwrap()), Reason::NotAuthenticated);
    assert_eq!(refused(other.authenticate_now("rubbish", &[Scope::Full]).unwrap()), Reason::TokenInvalid);
    world.clock.advance(HOUR);
    assert_eq!(refused(at_once(&other).unwrap()), Reason::TokenExpired);
    assert_eq!(world.faults.calls(), ["sessions.revoke"]);
}

#[tokio::test]
async fn nobody_is_let_in_before_the_first_look() {
    let (world, _, tokens) = two_nodes().await;
    for call in POLL {
        let node = world.node();
        world.faults.plan(move |_, name| (name == call).then_some(Fault::FailBefore));
        assert_eq!(refused(check(&node, &tokens).await), Reason::Unavailable, "{call}");
        world.faults.heal();
        check(&node, &tokens).await.unwrap();
    }
    let late = world.node();
    world.auth.request(&world.client).logout(Some(tokens.access.token.expose()), None).await.unwrap();
    assert_eq!(refused(check(&late, &tokens).await), Reason::NotAuthenticated);
}

#[tokio::test]
async fn a_store_that_is_down_means_unavailable_and_never_a_skipped_check() {
    for call in POLL {
        let (world, other, tokens) = two_nodes().await;
        world.auth.request(&world.client).logout(Some(tokens.access.token.expose()), None).await.unwrap();
        let second = world.login(ADA, PASSWORD).await.unwrap();
        world.faults.plan(move |_, name| (name == call).then_some(Fault::FailBefore));
        // What was known is good for the lag, and for no tick more.
        world.clock.advance(LAG);
        check(&other, &second).await.unwrap();
        world.clock.advance(TICK);
        for _ in 0..3 {
            assert_eq!(refused(check(&other, &second).await), Reason::Unavailable, "{call}");
            let refusal = refused(check(&other, &tokens).await);
            assert!(matches!(refusal, Reason::Unavailable | Reason::NotAuthenticated), "{call}");
            world.clock.advance(MINUTE);
        }
        world.faults.heal();
        check(&other, &second).await.unwrap();
        assert_eq!(refused(check(&other, &tokens).await), Reason::NotAuthenticated, "{call}");
    }
}

#[tokio::test]
async fn a_feed_of_many_pages_is_read_to_its_end() {
    let world = World::new();
    let store = &world.store;
    let numbers = 0..2500_u32;
    // All at one moment, so that pages are told apart by id alone.
    for number in numbers.clone() {
        let session = Session { id: SessionId(Uuid::from_u128(number.into())), ..session() };
        SessionStore::insert(store, &session).await.unwrap();
        store.revoke(&session.tenant, session.id, session.created_at).await.unwrap();
        let user = insert_user(&world, &format!("u{number}"), TokenVersion::new(5)).await;
        let change = UserChange { status: Some(UserStatus::Active), ..UserChange::default() };
        store.update_if(&user, &change).await.unwrap();
    }
    let tokens = world.tokens();
    let accepted = async |session: Session| {
        let token = tokens.access(&session).unwrap();
        world.auth.authenticate(token.token.expose()).await.is_ok()
    };
    assert!(accepted(session()).await);
    assert_eq!(world.faults.calls(), [[POLL[0]; 3], [POLL[1]; 3]].concat());
    for number in numbers {
        let ended = Session { id: SessionId(Uuid::from_u128(number.into())), ..session() };
        assert!(!accepted(ended).await, "session {number}");
        let user = UserId::parse(&format!("u{number}")).unwrap();
        assert!(!accepted(Session { user, token_version: TokenVersion::new(5), ..session() }).await, "user {number}");
        assert!(accepted(Session { user, token_version: TokenVersion::new(6), ..session() }).await, "user {number}");
    }
}

async fn insert_user(world: &World, id: &str, token_version: TokenVersion) -> User {
    let created_at = session().created_at;
    let new = NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(id).unwrap(),
        email: Email::parse(&format!("{id}@example.org")).unwrap(),
        username: None,
        email_verified_at: Some(created_at),
        claim: Claim::Settled,
        password_hash: Some(PasswordHash::new(format!("$plain${PASSWORD}"))),
        token_version,
        attributes: Default::default(),
        created_at,
    };
    match UserStore::insert(&world.store, &new).await.unwrap() {
        auth_core::port::UserInsert::Created(user) => user,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_poll_serves_a_hundred_who_wait() {
    let (world, other, tokens) = two_nodes().await;
    world.clock.advance(LAG + TICK);
    let gate = Gate::default();
    let held = gate.clone();
    world.faults.plan(move |_, name| (name == POLL[0]).then(|| Fault::Wait(held.clone())));
    let checks = start(100, &other, tokens.access.token.expose());
    gate.open();
    assert!(finish(checks).iter().all(Result::is_ok));
    assert_eq!(world.faults.calls(), POLL);
}

#[tokio::test]
async fn one_failed_poll_is_enough_for_a_hundred_who_wait() {
    let (world, other, tokens) = two_nodes().await;
    world.clock.advance(LAG + TICK);
    let gate = Gate::default();
    let held = gate.clone();
    world.faults.plan(move |_, name| (name == POLL[1]).then(|| Fault::WaitAndFail(held.clone())));
    let checks = start(100, &other, tokens.access.token.expose());
    gate.open();
    for answer in finish(checks) {
        assert_eq!(refused(answer), Reason::Unavailable);
    }
    assert_eq!(world.faults.calls(), POLL);
    // Whoever comes later does not inherit the failure.
    world.faults.heal();
    check(&other, &tokens).await.unwrap();
}

#[tokio::test]
async fn a_poll_slower_than_the_lag_still_serves_those_who_waited_for_it() {
    let (world, other, tokens) = two_nodes().await;
    world.clock.advance(LAG + TICK);
    let gate = Gate::default();
    let held = gate.clone();
    world.faults.plan(move |number, _| (number == 0).then(|| Fault::Wait(held.clone())));
    let mut checks = start(50, &other, tokens.access.token.expose());
    world.clock.advance(LAG);
    checks.extend(start(50, &other, tokens.access.token.expose()));
    world.clock.advance(3 * LAG);
    gate.open();
    assert!(finish(checks).iter().all(Result::is_ok));
    assert_eq!(world.faults.calls(), POLL);
}

#[tokio::test]
async fn whoever_comes_too_late_for_a_slow_poll_has_another_one() {
    let (world, other, tokens) = two_nodes().await;
    world.clock.advance(LAG + TICK);
    let gate = Gate::default();
    let held = gate.clone();
    world.faults.plan(move |number, _| (number == 0).then(|| Fault::Wait(held.clone())));
    let mut checks = start(1, &other, tokens.access.token.expose());
    world.clock.advance(LAG + TICK);
    checks.extend(start(20, &other, tokens.access.token.expose()));
    gate.open();
    assert!(finish(checks).iter().all(Result::is_ok));
    assert_eq!(world.faults.calls(), [POLL, POLL].concat());
}

#[tokio::test]
async fn whoever_gives_up_waiting_leaves_the_poll_to_the_next() {
    for hang in [Fault::HangBefore, Fault::HangAfter] {
        let (world, other, tokens) = two_nodes().await;
        world.clock.advance(LAG + TICK);
        world.faults.plan(move |number, _| (number == 0).then(|| hang.clone()));
        let mut checks = start(10, &other, tokens.access.token.expose());
        drop(checks.remove(0));
        assert!(finish(checks).iter().all(Result::is_ok));
        assert_eq!(world.faults.calls(), [&POLL[..1], &POLL].concat());
    }
}

#[tokio::test]
async fn what_was_ended_stays_refused_until_its_last_token_has_expired() {
    for what in ["session", "account"] {
        let (world, other, tokens) = two_nodes().await;
        if what == "session" {
            world.auth.request(&world.client).logout(Some(tokens.access.token.expose()), None).await.unwrap();
        } else {
            world.set_status(ADA, UserStatus::Disabled).await;
        }
        world.clock.advance(LAG + TICK);
        let end = tokens.access.expires_at;
        while auth_core::port::Clock::now(&world.clock) + SECOND < end {
            for node in [&world.auth, &other] {
                assert_eq!(refused(check(node, &tokens).await), Reason::NotAuthenticated, "{what}");
            }
            world.clock.advance(SECOND);
        }
        assert_eq!(refused(check(&world.node(), &tokens).await), Reason::NotAuthenticated, "{what}");
        world.clock.advance(SECOND);
        assert_eq!(refused(check(&other, &tokens).await), Reason::TokenExpired, "{what}");
    }
}

#[tokio::test]
async fn a_login_that_was_long_under_way_gets_no_time_that_nobody_remembers() {
    // The password waits a minute for its check; the account is shut right after its row was read.
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let (clock, store, user) = (world.clock.clone(), world.store.clone(), world.user(ADA).await);
    let slow = world.node_that_checks(move || {
        let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
        common::now(store.update_if(&user, &change)).unwrap();
        clock.advance(MINUTE);
        Ok(())
    });
    let tokens = login(&slow, ADA, PASSWORD).await.unwrap();
    for second in 0..20 * 60 {
        // A node that starts now reads as much of the past as any other remembers.
        for node in [&slow, &world.node()] {
            assert!(check(node, &tokens).await.is_err(), "accepted after {second} s");
        }
        world.clock.advance(SECOND);
    }
}

#[tokio::test]
async fn a_login_after_a_change_is_welcome_where_the_change_is_not_yet_known() {
    let (world, other, _) = two_nodes().await;
    // The other node learns of one change ...
    let link = world.reset_link().await;
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    let second = world.login(ADA, OTHER_PASSWORD).await.unwrap();
    world.clock.advance(LAG + TICK);
    check(&other, &second).await.unwrap();
    // ... and not yet of the next.
    let link = world.reset_link().await;
    world.reset(&link, PASSWORD).await.unwrap();
    let third = world.login(ADA, PASSWORD).await.unwrap();
    world.faults.calls();
    check(&other, &third).await.unwrap();
    assert_eq!(world.faults.calls(), [""; 0]);
    world.clock.advance(LAG + TICK);
    check(&other, &third).await.unwrap();
    assert_eq!(refused(check(&other, &second).await), Reason::NotAuthenticated);
}

#[tokio::test]
async fn an_account_that_was_opened_again_is_welcome_where_it_is_still_known_as_shut() {
    let (world, other, tokens) = two_nodes().await;
    world.set_status(ADA, UserStatus::Disabled).await;
    world.clock.advance(LAG + TICK);
    other.sync_revocations(Duration::ZERO).await.unwrap();
    assert_eq!(refused(check(&other, &tokens).await), Reason::NotAuthenticated);
    world.set_status(ADA, UserStatus::Active).await;
    let after = world.login(ADA, PASSWORD).await.unwrap();
    // Neither while the view is fresh nor when it is too old to say.
    for _ in 0..3 {
        check(&other, &after).await.unwrap();
        assert_eq!(refused(check(&other, &tokens).await), Reason::NotAuthenticated);
        world.clock.advance(LAG + TICK);
    }
}

#[tokio::test]
async fn a_version_may_wrap_around() {
    let world = World::new();
    let user = insert_user(&world, "u1", TokenVersion::new(u32::MAX)).await;
    let before = world.login("u1@example.org", PASSWORD).await.unwrap();
    let change = UserChange { status: Some(UserStatus::Active), ..UserChange::default() };
    world.store.update_if(&user, &change).await.unwrap();
    let after = world.login("u1@example.org", PASSWORD).await.unwrap();
    assert_eq!(world.store.find_session(after.session).await.token_version, TokenVersion::new(0));
    for node in [&world.auth, &world.node()] {
        assert_eq!(refused(check(node, &before).await), Reason::NotAuthenticated);
        check(node, &after).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_of_another_tenant_is_another_account() {
    let (world, other, tokens) = two_nodes().await;
    world.set_status(ADA, UserStatus::Disabled).await;
    world.clock.advance(LAG + TICK);
    let stored = world.store.find_session(tokens.session).await;
    let namesake = Session { tenant: TenantId::parse("other").unwrap(), ..stored };
    let token = world.tokens().access(&namesake).unwrap();
    other.authenticate(token.token.expose()).await.unwrap();
    assert_eq!(refused(check(&other, &tokens).await), Reason::NotAuthenticated);
}

#[tokio::test]
async fn a_statement_that_was_slow_to_commit_is_not_missed() {
    // The row says when the statement ran; it shows up after others, later ones, were read. Within the overlap the
    // next poll finds it, and in any case the next reading of the whole window.
    for (late_by, known_after) in [(9, LAG + TICK), (10, LAG + TICK), (600, 30 * SECOND)] {
        let clock = ManualClock::new();
        let store_clock = SkewedClock::new(&clock);
        let world = World::with_clocks(clock, Arc::new(store_clock.clone()), |_| {});
        let tokens = world.logged_in().await;
        check(&world.auth, &tokens).await.unwrap();
        world.clock.advance(LAG + TICK);
        check(&world.auth, &tokens).await.unwrap();
        store_clock.set_seconds(-late_by);
        world.store.revoke(&TenantId::default(), tokens.session, tokens.access.issued_at).await.unwrap();
        store_clock.set_seconds(0);
        world.clock.advance(known_after);
        assert_eq!(refused(check(&world.auth, &tokens).await), Reason::NotAuthenticated, "{late_by} s late");
    }
}

#[tokio::test]
async fn a_worker_that_looks_often_spares_requests_the_wait() {
    let (world, other, tokens) = two_nodes().await;
    for _ in 0..5 {
        world.clock.advance(LAG / 2);
        other.sync_revocations(LAG / 2).await.unwrap();
        assert_eq!(world.faults.calls(), [""; 0], "nothing to do within the age asked for");
        world.clock.advance(TICK);
        other.sync_revocations(LAG / 2).await.unwrap();
        assert_eq!(world.faults.calls(), POLL);
        check(&other, &tokens).await.unwrap();
        assert_eq!(world.faults.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn an_explicit_load_sees_the_row_as_it_is() {
    let (world, other, tokens) = two_nodes().await;
    let live = check(&other, &tokens).await.unwrap();
    assert_eq!(other.request(&world.client).current_user(&live).await.unwrap().id, live.user());
    world.set_status(ADA, UserStatus::Disabled).await;
    assert_eq!(refused(other.request(&world.client).current_user(&live).await), Reason::UserInactive);
    world.set_status(ADA, UserStatus::Active).await;
    assert_eq!(refused(other.request(&world.client).current_user(&live).await), Reason::NotAuthenticated);
    let ghost = Session { user: UserId::parse("ghost").unwrap(), ..session() };
    let ghost = other.authenticate(world.tokens().access(&ghost).unwrap().token.expose()).await.unwrap();
    assert_eq!(refused(other.request(&world.client).current_user(&ghost).await), Reason::UserNotFound);
    world.faults.plan(|_, _| Some(Fault::FailBefore));
    assert_eq!(refused(other.request(&world.client).current_user(&live).await), Reason::Unavailable);
}

#[test]
fn tokens_that_outlive_the_memory_of_revocations_are_refused_at_the_start() {
    let world = World::new();
    let adjust: [fn(&mut Policy); 2] =
        [|policy| policy.access_lifetime = HOUR, |policy| policy.session_lifetime = 60 * DAY];
    for adjust in adjust {
        let mut policy = Policy::default();
        adjust(&mut policy);
        let refusal =
            AuthSystem::new(world.ports.clone(), Policy::default(), common::tokens(&policy), &common::data_ring());
        assert!(refusal.is_err());
        assert!(
            AuthSystem::new(world.ports.clone(), policy.clone(), common::tokens(&policy), &common::data_ring()).is_ok()
        );
    }
}
