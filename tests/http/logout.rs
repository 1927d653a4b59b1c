use auth_system::auth_core::port::Event;
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, Jar, post};

scenarios![
    a_logout_ends_the_session_at_once,
    either_cookie_is_enough,
    without_a_session_both_cookies_go_all_the_same,
    one_logout_leaves_other_devices_alone,
];

const CLEARED: [&str; 2] = [
    "access_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure",
    "refresh_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/api/auth; Secure",
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
    for name in ["access_token", "refresh_token"] {
        let jar = world.session("ada@example.org").await;
        let mut sent = jar.only(name);
        assert_eq!(world.send(post("logout/").jar(&sent)).await.status, 200, "{name}");
        world.me(&jar).await.refused(401, "not_authenticated");
        world.refresh(&jar).await.refused(401, "refresh_invalid");
        // A bad one beside a good one does not keep anybody in.
        let jar = world.session("ada@example.org").await;
        sent = jar.only(name);
        let other = if name == "access_token" { "refresh_token" } else { "access_token" };
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
    for jar in [jar, Jar::default(), Jar::of("access_token", "nonsense")] {
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
