//! Logout: either token ends its session, at once and for good.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use auth_core::Reason;
use auth_core::port::Event;
use auth_core::session::SessionTokens;
use auth_core::types::Client;
use common::{ADA, DAY, Fault, Look, MINUTE, PASSWORD, World, refused, session};

async fn assert_dead(world: &World, tokens: &SessionTokens) {
    assert_eq!(refused(world.auth.authenticate(tokens.access.token.expose()).await), Reason::NotAuthenticated);
    assert_eq!(
        refused(world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

async fn assert_alive(world: &World, tokens: &SessionTokens) {
    world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
}

#[tokio::test]
async fn either_token_or_both_end_the_session() {
    for (with_access, with_refresh) in [(true, false), (false, true), (true, true)] {
        let world = World::new();
        let tokens = world.logged_in().await;
        let user = world.user(ADA).await.id;
        let access = with_access.then(|| tokens.access.token.expose());
        let refresh = with_refresh.then(|| tokens.refresh.token.expose());
        world.auth.request(&world.client).logout(access, refresh).await.unwrap();
        assert_eq!(world.events.take(), [Event::LoggedOut { user, session: tokens.session }]);
        // No time passed: this node knows at once.
        assert_dead(&world, &tokens).await;
        assert_eq!(refused(world.auth.request(&world.client).logout(access, refresh).await), Reason::NotAuthenticated);
        assert_eq!(world.events.take(), []);
    }
}

#[tokio::test]
async fn tokens_of_two_sessions_end_both() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = world.login(ADA, PASSWORD).await.unwrap();
    let third = world.login(ADA, PASSWORD).await.unwrap();
    world
        .auth
        .request(&world.client)
        .logout(Some(first.access.token.expose()), Some(second.refresh.token.expose()))
        .await
        .unwrap();
    assert_dead(&world, &first).await;
    assert_dead(&world, &second).await;
    assert_alive(&world, &third).await;
}

#[tokio::test]
async fn one_good_token_is_enough() {
    let world = World::new();
    let first = world.logged_in().await;
    let second = world.login(ADA, PASSWORD).await.unwrap();
    world.auth.request(&world.client).logout(Some("rubbish"), Some(first.refresh.token.expose())).await.unwrap();
    assert_dead(&world, &first).await;
    // The access token's time may be over; of an ended and a live session, the live one ends.
    world.clock.advance(DAY);
    let refresh = Some(second.refresh.token.expose());
    world.auth.request(&world.client).logout(Some(second.access.token.expose()), refresh).await.unwrap();
    assert_eq!(
        refused(world.auth.request(&world.client).refresh(second.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

#[tokio::test]
async fn without_a_good_token_nothing_ends() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let (access, refresh) = (tokens.access.token.expose(), tokens.refresh.token.expose());
    let stranger = world.tokens().refresh(&session()).unwrap();
    for (access, refresh) in [
        (None, None),
        (Some(""), Some("")),
        (Some(refresh), Some(access)),
        (None, Some(stranger.token.expose())),
        (Some(&access[1..]), Some(&refresh[..refresh.len() - 1])),
    ] {
        assert_eq!(refused(world.auth.request(&world.client).logout(access, refresh).await), Reason::NotAuthenticated);
    }
    assert_eq!(world.events.take(), []);
    assert_alive(&world, &tokens).await;
}

#[tokio::test]
async fn tokens_of_any_generation_end_the_session() {
    let world = World::new();
    let first = world.logged_in().await;
    world.clock.advance(MINUTE);
    let second = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap();
    world.auth.request(&world.client).logout(None, Some(first.refresh.token.expose())).await.unwrap();
    assert_dead(&world, &first).await;
    assert_dead(&world, &second).await;
}

#[tokio::test]
async fn a_store_that_is_down_means_not_logged_out() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let both = (Some(tokens.access.token.expose()), Some(tokens.refresh.token.expose()));
    world.faults.plan(|_, name| (name == "sessions.revoke").then_some(Fault::FailBefore));
    assert_eq!(refused(world.auth.request(&world.client).logout(both.0, both.1).await), Reason::Unavailable);
    world.faults.heal();
    assert_eq!(world.events.take(), []);
    world.auth.request(&world.client).logout(both.0, both.1).await.unwrap();
    assert_dead(&world, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_refresh_gets_past_a_logout() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    for _ in 0..50 {
        let tokens = world.login(ADA, PASSWORD).await.unwrap();
        let refresh = |_| {
            let (auth, token) = (world.auth.clone(), tokens.refresh.token.expose().to_owned());
            tokio::spawn(async move { auth.request(&Client::default()).refresh(&token).await.ok() })
        };
        let before: Vec<_> = (0..5).map(refresh).collect();
        let (auth, token) = (world.auth.clone(), tokens.refresh.token.expose().to_owned());
        let logout = tokio::spawn(async move { auth.request(&Client::default()).logout(None, Some(&token)).await });
        let after: Vec<_> = (0..5).map(refresh).collect();
        logout.await.unwrap().unwrap();
        for task in before.into_iter().chain(after) {
            if let Some(tokens) = task.await.unwrap() {
                assert_dead(&world, &tokens).await;
            }
        }
        assert_dead(&world, &tokens).await;
        assert!(world.store.find_session(tokens.session).await.revoked_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_logouts_one_ends_the_session() {
    let world = World::new();
    let tokens = world.logged_in().await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (auth, token) = (world.auth.clone(), tokens.access.token.expose().to_owned());
            tokio::spawn(async move { auth.request(&Client::default()).logout(Some(&token), None).await.is_ok() })
        })
        .collect();
    let mut ended = 0;
    for task in tasks {
        ended += usize::from(task.await.unwrap());
    }
    assert_eq!((ended, world.events.take().len()), (1, 1));
}
