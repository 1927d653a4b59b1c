use std::time::Duration;

use auth_system::auth_core::port::Event;
use serde_json::json;

use crate::scenarios;
use crate::world::{ACCESS, Answer, Ground, Jar, REFRESH, claims, post};

scenarios![
    a_refresh_rotates_both_tokens,
    the_window_answers_with_the_current_tokens,
    a_lost_answer_is_no_theft,
    a_copy_ends_the_session_for_good,
    a_strict_window_ends_the_session_at_once,
    a_session_ends_idle_and_ends_in_any_case,
    what_is_no_refresh_token_is_refused_and_clears_nothing,
    a_new_secret_is_rolled_out_without_logging_anybody_out,
];

const WINDOW: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(60);
const LATER: Duration = Duration::from_secs(60);

async fn a_refresh_rotates_both_tokens(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    world.advance(LATER);
    let answer = world.refresh(&first).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Token refreshed." })));
    let second = answer.jar();
    assert_ne!(second.access(), first.access());
    assert_ne!(second.refresh(), first.refresh());
    assert_eq!(claims(second.access())["sid"], claims(first.access())["sid"]);
    assert_eq!(claims(second.access())["auth_time"], claims(first.access())["auth_time"]);
    assert_eq!(claims(second.refresh())["generation"], 1);
    assert_eq!(world.me(&second).await.status, 200);
    // The old access token lives until it expires; only the refresh token is single-use.
    assert_eq!(world.me(&first).await.status, 200);
    world.advance(Duration::from_secs(15 * 60));
    world.me(&second).await.refused(401, "token_not_valid");
    assert_eq!(world.refresh(&second).await.status, 200);
}

async fn the_window_answers_with_the_current_tokens(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    world.advance(LATER);
    let second = world.refresh(&first).await;
    world.advance(WINDOW);
    for jar in [&first, &second.jar()] {
        let again = world.refresh(jar).await;
        assert_eq!(again.set_cookies(), second.set_cookies(), "to the last byte");
    }
    world.advance(Duration::from_micros(1));
    let third = world.refresh(&second.jar()).await;
    assert_eq!(third.status, 200);
    assert_ne!(third.jar(), second.jar());
}

async fn a_lost_answer_is_no_theft(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    world.advance(LATER);
    // The phone sleeps before the answer reaches it, and asks again.
    let lost = world.refresh(&first).await;
    world.advance(RETRY);
    let again = world.refresh(&first).await;
    assert_eq!((again.status.as_u16(), again.set_cookies()), (200, lost.set_cookies()), "to the last byte");
    assert_eq!(world.me(&again.jar()).await.status, 200);
    // From now on the new token is known to have arrived.
    let third = world.refresh(&again.jar()).await;
    assert_eq!(third.status, 200);
    world.events.take();
    refused(&world.refresh(&first).await);
    let events = world.events.take();
    assert!(matches!(events[..], [Event::RefreshReused { .. }]), "{events:?}");
    refused(&world.refresh(&third.jar()).await);
}

async fn a_copy_ends_the_session_for_good(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    let bystander = world.session("ada@example.org").await;
    world.advance(LATER);
    let second = world.refresh(&first).await.jar();
    world.events.take();
    assert_eq!(world.refresh(&second).await.status, 200, "the new token arrived");
    world.advance(WINDOW + Duration::from_micros(1));
    refused(&world.refresh(&first).await);
    let events = world.events.take();
    assert!(matches!(events[..], [Event::RefreshReused { .. }]), "{events:?}");

    refused(&world.refresh(&second).await);
    world.me(&second).await.refused(401, "not_authenticated");
    let restarted = world.restarted(|_| {}).await;
    refused(&restarted.refresh(&second).await);
    refused(&restarted.refresh(&first).await);
    restarted.me(&second).await.refused(401, "not_authenticated");
    assert_eq!(world.events.take(), [], "the session was ended once");
    assert_eq!(restarted.refresh(&bystander).await.status, 200, "other sessions live on");
}

async fn a_strict_window_ends_the_session_at_once(ground: Ground) {
    let world = ground.world_with(|config| config.policy.refresh_window = Duration::ZERO).await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    let second = world.refresh(&first).await.jar();
    let third = world.refresh(&second).await.jar();
    refused(&world.refresh(&second).await);
    refused(&world.refresh(&third).await);
}

async fn a_session_ends_idle_and_ends_in_any_case(ground: Ground) {
    let day = Duration::from_secs(24 * 3600);
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let idle = world.session("ada@example.org").await;
    let mut kept = world.session("ada@example.org").await;
    for days in 1..=5 {
        world.advance(6 * day);
        let answer = world.refresh(&kept).await;
        if days == 5 {
            refused(&answer);
            break;
        }
        kept = answer.jar();
        let remaining = (30 - 6 * days).min(7) * 24 * 3600;
        assert_eq!(
            claims(kept.refresh())["exp"].as_i64().unwrap() - claims(kept.refresh())["iat"].as_i64().unwrap(),
            remaining
        );
    }
    refused(&world.refresh(&idle).await);

    let world = ground.world().await;
    world.account("ada@example.org").await;
    let idle = world.session("ada@example.org").await;
    world.advance(7 * day - Duration::from_secs(1));
    assert_eq!(world.refresh(&idle).await.status, 200);
    let idle = world.session("ada@example.org").await;
    world.advance(7 * day);
    refused(&world.refresh(&idle).await);
}

async fn what_is_no_refresh_token_is_refused_and_clears_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let refresh = jar.refresh().to_owned();
    for bad in ["", "x", jar.access(), &refresh[1..], &refresh[..refresh.len() - 1], &format!("{refresh}A"), "a.b.c"] {
        let answer = world.refresh(&Jar::of(REFRESH, bad)).await;
        refused(&answer);
        assert!(answer.set_cookies().is_empty(), "{bad}");
    }
    refused(&world.refresh(&Jar::default()).await);
    refused(&world.refresh(&Jar::of(ACCESS, &refresh)).await);
    assert_eq!(world.refresh(&jar).await.status, 200);
    let django = ground.django().await;
    let detail = "Refresh token is invalid or has expired.";
    let answer = django.send(post("refresh/")).await;
    assert_eq!(answer.json(), json!({ "detail": detail, "code": "refresh_invalid" }));
}

async fn a_new_secret_is_rolled_out_without_logging_anybody_out(ground: Ground) {
    use auth_system::auth_core::token::RootSecret;
    const NEW: &str = concat!("0b7f3ce19d25a8468e60d3f1725bc94a", "a93d580e6cf7b2143e81d6590fac7b28");
    let new = || RootSecret::parse(NEW).unwrap();
    let old = || RootSecret::parse(crate::world::SECRET).unwrap();
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let accepting =
        world.restarted(|config| (config.accepted_secrets, config.data_keys) = (vec![new()], vec![old()])).await;
    let signing = world
        .restarted(|config| {
            config.secret = new();
            (config.accepted_secrets, config.data_keys) = (vec![old()], vec![old()]);
        })
        .await;
    assert_eq!(signing.me(&jar).await.status, 200);
    let renewed = signing.refresh(&jar).await.jar();
    assert_eq!(accepting.me(&renewed).await.status, 200);
    world.me(&renewed).await.refused(401, "token_not_valid");
    let done = world.restarted(|config| config.secret = new()).await;
    assert_eq!(done.me(&renewed).await.status, 200);
    done.me(&jar).await.refused(401, "token_not_valid");
}

#[track_caller]
fn refused(answer: &Answer) {
    answer.refused(401, "refresh_invalid");
    assert_eq!(answer.header("www-authenticate"), "");
}
