//! Refresh: one lineage of tokens whoever asks how often, and a copy that is used ends the session.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use auth_core::Reason;
use auth_core::login::LoginRequest;
use auth_core::policy::Policy;
use auth_core::port::{Event, SessionStore, UserChange};
use auth_core::session::SessionTokens;
use auth_core::testing::ManualClock;
use auth_core::types::{Channel, Client, EnrolledFactor, Identifier, Password, PasswordHash, UserStatus};
use common::{ADA, DAY, Fault, Look, MINUTE, PASSWORD, SECOND, SkewedClock, TICK, World, bytes, refused, session};

const WINDOW: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(60);

async fn refresh(world: &World, tokens: &SessionTokens) -> SessionTokens {
    world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap()
}

async fn refuses(world: &World, tokens: &SessionTokens) {
    assert_eq!(
        refused(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

async fn generation(world: &World, tokens: &SessionTokens) -> u32 {
    world.store.find_session(tokens.session).await.generation
}

/// Whether the session was ended, and by an event that says why.
async fn assert_ended_by_reuse(world: &World, tokens: &SessionTokens) {
    let session = world.store.find_session(tokens.session).await;
    assert!(session.revoked_at.is_some());
    assert_eq!(world.events.take(), [Event::RefreshReused { user: session.user, session: session.id }]);
    assert_eq!(refused(world.auth.authenticate(tokens.access.token.expose()).await), Reason::NotAuthenticated);
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_one() {
    let world = World::new();
    let first = world.logged_in().await;
    let before = world.store.find_session(first.session).await;
    world.clock.advance(MINUTE);
    let second = refresh(&world, &first).await;
    assert_eq!((second.session, second.channel), (first.session, first.channel));
    assert_ne!(bytes(&first), bytes(&second));
    assert_eq!(world.events.take(), [Event::Refreshed { session: first.session, generation: 1 }]);
    let after = world.store.find_session(first.session).await;
    assert_eq!((after.generation, after.rotated_at), (1, before.rotated_at + MINUTE));
    assert_eq!(after.last_seen_at, after.rotated_at);
    assert_eq!(after.idle_expires_at, before.idle_expires_at + MINUTE);
    // It moves neither the end of the session nor the time of the login.
    assert_eq!((after.expires_at, after.auth_time), (before.expires_at, before.auth_time));
    let live = world.auth.authenticate(second.access.token.expose()).await.unwrap();
    assert_eq!((live.auth_time(), live.session()), (before.auth_time, first.session));
}

#[tokio::test]
async fn the_first_token_is_exchanged_at_once() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    assert_eq!(generation(&world, &second).await, 1);
}

#[tokio::test]
async fn within_the_window_the_predecessor_gets_the_very_same_tokens() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.events.take();
    for step in [Duration::ZERO, SECOND, WINDOW - SECOND] {
        world.clock.advance(step);
        assert_eq!(bytes(&refresh(&world, &first).await), bytes(&second));
    }
    // The answer arrived.
    refresh(&world, &second).await;
    assert_eq!(bytes(&refresh(&world, &first).await), bytes(&second));
    world.clock.advance(TICK);
    refuses(&world, &first).await;
    assert_ended_by_reuse(&world, &second).await;
    refuses(&world, &second).await;
    assert_eq!(world.events.take(), []);
}

#[tokio::test]
async fn a_client_that_lost_the_answer_gets_it_again_until_the_retry_time_is_over() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.events.take();
    for step in [WINDOW + TICK, SECOND, RETRY - WINDOW - SECOND - TICK] {
        world.clock.advance(step);
        assert_eq!(bytes(&refresh(&world, &first).await), bytes(&second));
    }
    assert_eq!(world.events.take(), []);
    world.clock.advance(TICK);
    refuses(&world, &first).await;
    assert_ended_by_reuse(&world, &second).await;
}

#[tokio::test]
async fn once_the_successor_was_presented_its_predecessor_is_a_copy() {
    for in_window in [true, false] {
        let world = World::new();
        let first = world.logged_in().await;
        let second = refresh(&world, &first).await;
        world.clock.advance(if in_window { WINDOW } else { WINDOW + TICK });
        // Answered as it is, or rotated.
        let third = refresh(&world, &second).await;
        assert_eq!(bytes(&third) == bytes(&second), in_window);
        world.events.take();
        world.clock.advance(2 * TICK);
        refuses(&world, &first).await;
        assert_ended_by_reuse(&world, &third).await;
    }
}

#[tokio::test]
async fn a_client_that_loses_answer_after_answer_goes_on() {
    let world = World::new();
    let mut held = world.logged_in().await;
    for round in 0..5 {
        let lost = refresh(&world, &held).await;
        world.clock.advance(RETRY);
        held = refresh(&world, &held).await;
        assert_eq!(bytes(&held), bytes(&lost), "round {round}");
        world.clock.advance(MINUTE);
    }
    assert_eq!(generation(&world, &held).await, 5);
}

#[tokio::test]
async fn a_retry_time_of_zero_leaves_the_window_alone() {
    let world = World::with(|policy| policy.refresh_retry = Some(Duration::ZERO));
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.events.take();
    world.clock.advance(WINDOW);
    assert_eq!(bytes(&refresh(&world, &first).await), bytes(&second));
    world.clock.advance(TICK);
    refuses(&world, &first).await;
    assert_ended_by_reuse(&world, &second).await;
}

#[tokio::test]
async fn a_retry_time_counts_under_a_strict_window_where_it_is_set() {
    let strict = |policy: &mut Policy| {
        (policy.refresh_window, policy.refresh_retry) = (Duration::ZERO, Some(30 * SECOND));
    };
    let world = World::with(strict);
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.clock.advance(30 * SECOND);
    assert_eq!(bytes(&refresh(&world, &first).await), bytes(&second));
    let third = refresh(&world, &second).await;
    assert_eq!(generation(&world, &third).await, 2);
    world.events.take();
    refuses(&world, &first).await;
    assert_ended_by_reuse(&world, &third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_retries_and_first_uses_all_get_the_very_same_bytes_and_the_note_holds() {
    let world = World::new();
    world.logged_in().await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    for _ in 0..50 {
        let first = world.login(ADA, PASSWORD).await.unwrap();
        let second = refresh(&world, &first).await;
        world.clock.advance(WINDOW);
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let token = if number % 2 == 0 { &first } else { &second };
                let (auth, token) = (world.auth.clone(), token.refresh.token.expose().to_owned());
                tokio::spawn(async move { auth.request(&Client::default()).refresh(&token).await.unwrap() })
            })
            .collect();
        for call in calls {
            assert_eq!(bytes(&call.await.unwrap()), bytes(&second));
        }
        world.clock.advance(TICK);
        world.events.take();
        refuses(&world, &first).await;
        assert_ended_by_reuse(&world, &second).await;
    }
}

#[tokio::test]
async fn within_the_window_the_current_token_is_not_rotated_again() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.clock.advance(WINDOW);
    assert_eq!(bytes(&refresh(&world, &second).await), bytes(&second));
    world.clock.advance(TICK);
    let third = refresh(&world, &second).await;
    assert_eq!(generation(&world, &third).await, 2);
    assert_eq!(bytes(&refresh(&world, &second).await), bytes(&third));
}

#[tokio::test]
async fn an_older_token_ends_the_session_even_within_the_window() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    world.clock.advance(MINUTE);
    let third = refresh(&world, &second).await;
    world.events.take();
    refuses(&world, &first).await;
    assert_ended_by_reuse(&world, &third).await;
    for tokens in [&first, &second, &third] {
        refuses(&world, tokens).await;
    }
    assert_eq!(world.events.take(), []);
}

#[tokio::test]
async fn a_token_from_the_future_ends_the_session() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let mut session = world.store.find_session(tokens.session).await;
    for ahead in [1, 2, u32::MAX] {
        session.generation = ahead;
        let world = World::new();
        let tokens = world.logged_in().await;
        let stored = world.store.find_session(tokens.session).await;
        let future = world.tokens().refresh(&auth_core::types::Session { generation: ahead, ..stored }).unwrap();
        assert_eq!(
            refused(world.auth.request(&world.client).refresh(future.token.expose()).await),
            Reason::RefreshInvalid
        );
        assert_ended_by_reuse(&world, &tokens).await;
    }
}

#[tokio::test]
async fn a_window_of_zero_is_strict() {
    let world = World::with(|policy| policy.refresh_window = Duration::ZERO);
    let first = world.logged_in().await;
    let second = refresh(&world, &first).await;
    let third = refresh(&world, &second).await;
    assert_eq!(generation(&world, &third).await, 2);
    world.events.take();
    refuses(&world, &second).await;
    assert_ended_by_reuse(&world, &third).await;
}

#[tokio::test]
async fn reuse_is_reported_once_however_often_it_happens() {
    let world = World::new();
    let first = world.logged_in().await;
    refresh(&world, &first).await;
    world.clock.advance(RETRY + TICK);
    world.events.take();
    world.faults.plan(|_, _| Some(Fault::Yield));
    let token = first.refresh.token.expose().to_owned();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (auth, token) = (world.auth.clone(), token.clone());
            tokio::spawn(async move { auth.request(&Client::default()).refresh(&token).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        assert_eq!(refused(task.await.unwrap()), Reason::RefreshInvalid);
    }
    assert_ended_by_reuse(&world, &first).await;
}

#[tokio::test]
async fn whatever_changes_the_account_ends_its_sessions() {
    let changes: [(&str, UserChange); 5] = [
        ("disabled", UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() }),
        ("deleted", UserChange { status: Some(UserStatus::Deleted), ..UserChange::default() }),
        ("password", UserChange { password_hash: Some(Some(PasswordHash::new("x"))), ..UserChange::default() }),
        ("factors", UserChange { factors: Some(Vec::<EnrolledFactor>::new()), ..UserChange::default() }),
        ("unverified", UserChange { email_verified_at: Some(None), ..UserChange::default() }),
    ];
    for (what, change) in changes {
        let world = World::new();
        let tokens = world.logged_in().await;
        world.change(ADA, change).await;
        world.pass_lag();
        assert_eq!(
            refused(world.auth.authenticate(tokens.access.token.expose()).await),
            Reason::NotAuthenticated,
            "{what}"
        );
        refuses(&world, &tokens).await;
        // It is no theft, and nothing brings the session back.
        assert_eq!(world.events.take(), [], "{what}");
        world.change(ADA, UserChange { status: Some(UserStatus::Active), ..UserChange::default() }).await;
        refuses(&world, &tokens).await;
    }
}

#[tokio::test]
async fn what_is_no_security_change_ends_nothing() {
    let world = World::new();
    let tokens = world.logged_in().await;
    world.change(ADA, UserChange { attributes: Some(Default::default()), ..UserChange::default() }).await;
    world.pass_lag();
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    refresh(&world, &tokens).await;
}

#[tokio::test]
async fn a_refresh_never_raises_the_version_of_a_session() {
    let world = World::new();
    let mut tokens = world.logged_in().await;
    let version = world.user(ADA).await.token_version;
    for _ in 0..3 {
        world.clock.advance(MINUTE);
        tokens = refresh(&world, &tokens).await;
    }
    assert_eq!(world.store.find_session(tokens.session).await.token_version, version);
    // Nor does one that is under way while the version is bumped.
    let store = world.store.clone();
    let user = world.user(ADA).await;
    world.clock.advance(MINUTE);
    world.faults.plan(move |_, name| {
        if name == "sessions.rotate_if" {
            let change = UserChange { status: Some(UserStatus::Active), ..UserChange::default() };
            common::now(auth_core::port::UserStore::update_if(&store, &user, &change)).unwrap();
        }
        None
    });
    let late = refresh(&world, &tokens).await;
    assert_eq!(world.store.find_session(tokens.session).await.token_version, version);
    world.faults.heal();
    world.pass_lag();
    assert_eq!(refused(world.auth.authenticate(late.access.token.expose()).await), Reason::NotAuthenticated);
    refuses(&world, &late).await;
}

#[tokio::test]
async fn a_session_ends_when_idle_and_in_any_case() {
    let world = World::new();
    let tokens = world.logged_in().await;
    world.clock.advance(7 * DAY);
    refuses(&world, &tokens).await;

    let world = World::new();
    let mut tokens = world.logged_in().await;
    for _ in 0..5 {
        world.clock.advance(6 * DAY - TICK);
        tokens = refresh(&world, &tokens).await;
    }
    world.clock.advance(5 * TICK);
    refuses(&world, &tokens).await;
    assert_eq!(refused(world.auth.authenticate(tokens.access.token.expose()).await), Reason::TokenExpired);
}

#[tokio::test]
async fn the_clock_of_the_store_decides_when_a_session_is_over() {
    let clock = ManualClock::new();
    let store_clock = SkewedClock::new(&clock);
    let world = World::with_clocks(clock, Arc::new(store_clock.clone()), |_| {});
    let tokens = world.logged_in().await;
    store_clock.set_seconds(7 * 24 * 60 * 60);
    refuses(&world, &tokens).await;
    store_clock.set_seconds(7 * 24 * 60 * 60 - 1);
    refresh(&world, &tokens).await;
}

#[tokio::test]
async fn a_clock_that_goes_back_a_little_counts_as_just_now() {
    let clock = ManualClock::new();
    let store_clock = SkewedClock::new(&clock);
    let world = World::with_clocks(clock, Arc::new(store_clock.clone()), |_| {});
    let first = world.logged_in().await;
    store_clock.set_seconds(3);
    let second = refresh(&world, &first).await;
    store_clock.set_seconds(-2);
    for tokens in [&first, &second] {
        assert_eq!(bytes(&refresh(&world, tokens).await), bytes(&second));
    }
    let session = world.store.find_session(first.session).await;
    assert_eq!((session.generation, session.revoked_at), (1, None));
}

#[tokio::test]
async fn a_clock_that_goes_back_far_opens_no_window_to_a_copy() {
    for reused in [false, true] {
        let clock = ManualClock::new();
        let store_clock = SkewedClock::new(&clock);
        let world = World::with_clocks(clock, Arc::new(store_clock.clone()), |_| {});
        let first = world.logged_in().await;
        store_clock.set_seconds(3);
        let second = refresh(&world, &first).await;
        store_clock.set_seconds(-3600);
        world.events.take();
        if reused {
            refuses(&world, &first).await;
            assert_ended_by_reuse(&world, &second).await;
        } else {
            let third = refresh(&world, &second).await;
            assert_eq!(generation(&world, &third).await, 2);
        }
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_of_ours_changes_nothing() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let stranger = world.tokens().refresh(&session()).unwrap();
    let stored = world.store.find_session(tokens.session).await;
    let of_another = auth_core::types::Session { user: session().user, ..stored.clone() };
    let of_another = world.tokens().refresh(&of_another).unwrap();
    let of_old = auth_core::types::Session { token_version: stored.token_version.next(), ..stored.clone() };
    let of_old = world.tokens().refresh(&of_old).unwrap();
    for token in [
        "",
        "x",
        tokens.access.token.expose(),
        stranger.token.expose(),
        of_another.token.expose(),
        of_old.token.expose(),
    ] {
        assert_eq!(refused(world.auth.request(&world.client).refresh(token).await), Reason::RefreshInvalid);
    }
    assert_eq!(world.store.find_session(tokens.session).await, stored);
    refresh(&world, &tokens).await;
}

#[tokio::test]
async fn a_store_that_is_down_neither_rotates_nor_ends() {
    for call in ["sessions.find", "users.find", "sessions.rotate_if"] {
        let world = World::new();
        let tokens = world.logged_in().await;
        world.faults.plan(move |_, name| (name == call).then_some(Fault::FailBefore));
        assert_eq!(
            refused(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await),
            Reason::Unavailable,
            "{call}"
        );
        world.faults.heal();
        assert_eq!(generation(&world, &refresh(&world, &tokens).await).await, 1);
    }
}

#[tokio::test]
async fn a_session_that_another_node_ended_is_over_and_no_theft() {
    let world = World::new();
    let tokens = world.logged_in().await;
    assert!(world.store.revoke(&world.client.tenant, tokens.session, tokens.access.issued_at).await.unwrap());
    refuses(&world, &tokens).await;
    assert_eq!(world.events.take(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_refreshes_one_rotates_and_all_get_the_very_same_bytes() {
    let world = World::new();
    let mut tokens = world.logged_in().await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    for round in 1..=50 {
        world.clock.advance(MINUTE);
        let token = tokens.refresh.token.expose().to_owned();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (auth, token) = (world.auth.clone(), token.clone());
                tokio::spawn(async move { auth.request(&Client::default()).refresh(&token).await.unwrap() })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        assert!(answers.iter().all(|answer| bytes(answer) == bytes(&answers[0])));
        assert_eq!(generation(&world, &tokens).await, round);
        assert_eq!(world.events.take(), [Event::Refreshed { session: tokens.session, generation: round }]);
        tokens = answers.remove(0);
    }
}

#[tokio::test]
async fn every_channel_is_refreshed_but_that_of_a_token() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let password = Password::new(PASSWORD).unwrap();
    for channel in Channel::ALL {
        let request = LoginRequest::new(Identifier::parse(ADA), &password).channel(channel);
        let tokens = world.auth.request(&world.client).login(request).await.unwrap().logged_in().unwrap().session;
        let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
        assert_eq!((live.channel(), tokens.channel), (channel, channel));
        world.clock.advance(MINUTE);
        if channel == Channel::Token {
            refuses(&world, &tokens).await;
            let session = world.store.find_session(tokens.session).await;
            assert_eq!((session.generation, session.revoked_at), (0, None));
        } else {
            assert_eq!(refresh(&world, &tokens).await.channel, channel);
        }
    }
}
