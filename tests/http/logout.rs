use std::time::Duration;

use auth_system::auth_core::port::Event;
use serde_json::json;

use crate::scenarios;
use crate::world::{ACCESS, Ground, Jar, REFRESH, post};

scenarios![
    a_logout_ends_the_session_at_once,
    either_cookie_is_enough,
    without_a_session_both_cookies_go_all_the_same,
    one_logout_leaves_other_devices_alone,
    the_row_of_a_session_goes_once_no_token_of_it_can_be_alive,
];

const CLEARED: [&str; 2] = [
    "__Host-access_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure",
    "__Host-refresh_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure",
];

async fn a_logout_ends_the_session_at_once(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.events.take();
    let answer = world.send(post("logout/").jar(&jar)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Logged out successfully." })));
    assert_eq!(answer.set_cookies(), CLEARED);
    assert!(matches!(world.events.take()[..], [Event::LoggedOut { .. }]));
    world.me(&jar).await.refused(401, "not_authenticated");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    let restarted = world.restarted(|_| {}).await;
    restarted.me(&jar).await.refused(401, "not_authenticated");
    restarted.refresh(&jar).await.refused(401, "refresh_invalid");
}

async fn either_cookie_is_enough(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for name in [ACCESS, REFRESH] {
        let jar = world.session("ada@example.org").await;
        let mut sent = jar.only(name);
        assert_eq!(world.send(post("logout/").jar(&sent)).await.status, 200, "{name}");
        world.me(&jar).await.refused(401, "not_authenticated");
        world.refresh(&jar).await.refused(401, "refresh_invalid");
        // A bad one beside a good one does not keep anybody in.
        let jar = world.session("ada@example.org").await;
        sent = jar.only(name);
        let other = if name == ACCESS { REFRESH } else { ACCESS };
        sent.cookies.insert(other.into(), "nonsense".into());
        assert_eq!(world.send(post("logout/").jar(&sent)).await.status, 200, "{name}");
        world.me(&jar).await.refused(401, "not_authenticated");
    }
}

async fn without_a_session_both_cookies_go_all_the_same(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.send(post("logout/").jar(&jar)).await;
    for jar in [jar, Jar::default(), Jar::of(ACCESS, "nonsense")] {
        let answer = world.send(post("logout/").jar(&jar)).await;
        answer.refused(401, "not_authenticated");
        assert_eq!(answer.set_cookies(), CLEARED);
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
    }
}

async fn one_logout_leaves_other_devices_alone(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (phone, laptop) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    world.send(post("logout/").jar(&phone)).await;
    assert_eq!(world.me(&laptop).await.status, 200);
    assert_eq!(world.refresh(&laptop).await.status, 200);
}

async fn the_row_of_a_session_goes_once_no_token_of_it_can_be_alive(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let [ended, forgotten] = [world.session("ada@example.org").await, world.session("ada@example.org").await];
    world.send(post("logout/").jar(&ended)).await;
    let system = world.auth.system();
    assert_eq!(system.purge_ended_sessions().await.unwrap(), 0, "a token may still be alive");
    // Tokens of another node, with other settings and a clock an hour slow, live for two hours at most.
    let age = Duration::from_secs(2 * 3600 + 70);
    world.advance(age);
    assert_eq!(system.purge_ended_sessions().await.unwrap(), 1);
    world.me(&ended).await.refused(401, "token_not_valid");
    world.refresh(&ended).await.refused(401, "refresh_invalid");
    world.send(post("logout/").jar(&ended)).await.refused(401, "not_authenticated");

    // Nobody logged this one out; it may be refreshed for seven days, and at most for thirty.
    assert_eq!(world.refresh(&forgotten).await.status, 200);
    world.advance(Duration::from_secs(30 * 24 * 3600) - Duration::from_secs(1));
    assert_eq!(system.purge_ended_sessions().await.unwrap(), 0);
    world.advance(Duration::from_secs(1));
    assert_eq!(system.purge_ended_sessions().await.unwrap(), 1);
    world.refresh(&forgotten).await.refused(401, "refresh_invalid");
}
