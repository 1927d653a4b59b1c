use std::time::Duration;

use auth_system::auth_core::port::Event;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Ground, Jar, PASSWORD, World, claims, post};

scenarios![
    it_replaces_the_session_by_a_recent_one,
    a_wrong_password_leaves_the_session_as_it_is,
    a_refresh_makes_no_login_recent,
    a_session_of_an_older_password_cannot_renew_itself,
];

async fn reauthenticate(world: &World, jar: &Jar, password: &str) -> Answer {
    world.send(post("reauthenticate/").jar(jar).json(json!({ "password": password }))).await
}

async fn it_replaces_the_session_by_a_recent_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let old = world.session("ada@example.org").await;
    let other = world.session("ada@example.org").await;
    world.advance(Duration::from_secs(600));
    let answer = reauthenticate(&world, &old, PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Password confirmed." })));
    let new = answer.jar();
    let time = |jar: &Jar| claims(jar.access())["auth_time"].as_i64().unwrap();
    assert_eq!(time(&new) - time(&old), 600);
    assert_ne!(claims(new.access())["sid"], claims(old.access())["sid"]);
    world.me(&old).await.refused(401, "not_authenticated");
    world.refresh(&old).await.refused(401, "refresh_invalid");
    assert_eq!((world.me(&new).await.status.as_u16(), world.me(&other).await.status.as_u16()), (200, 200));
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::Reauthenticated { .. })), "{events:?}");
}

async fn a_wrong_password_leaves_the_session_as_it_is(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let answer = reauthenticate(&world, &jar, "a wrong password").await;
    assert_eq!(answer.refused(400, "wrong_password").field("password"), ["wrong_password"]);
    assert_eq!(world.me(&jar).await.status, 200);
    reauthenticate(&world, &Jar::default(), PASSWORD).await.refused(401, "not_authenticated");
}

async fn a_refresh_makes_no_login_recent(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let mut jar = world.session("ada@example.org").await;
    let first = claims(jar.access())["auth_time"].clone();
    for _ in 0..3 {
        world.advance(Duration::from_secs(600));
        jar = world.refresh(&jar).await.jar();
        assert_eq!(claims(jar.access())["auth_time"], first);
    }
    let change = |jar: &Jar| post("change-email/").jar(jar).json(json!({ "new_email": "new@example.org" }));
    world.send(change(&jar)).await.refused(403, "reauthentication_required");
    let renewed = reauthenticate(&world, &jar, PASSWORD).await.jar();
    assert_eq!(world.send(change(&renewed)).await.status, 200);
}

async fn a_session_of_an_older_password_cannot_renew_itself(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (stolen, mine) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    assert_eq!(world.change_password(&mine, PASSWORD, "another password").await.status, 200);
    for password in [PASSWORD, "another password"] {
        reauthenticate(&world, &stolen, password).await.refused(401, "not_authenticated");
    }
}
