//! A database in trouble: 503, a clear line in the log, nothing half-done.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use serde_json::json;
use sqlx::Executor as _;

use crate::world::{Answer, Driver, Ground, PASSWORD, Store, World, get, post};

const GROUND: Ground = Ground { store: Store::Sqlite, driver: Driver::Axum };

/// One request to each endpoint that needs the store.
async fn everything(world: &World, jar: &crate::world::Jar) -> Vec<Answer> {
    let email = json!({ "email": "ada@example.org" });
    let credentials = json!({ "email": "new@example.org", "password": PASSWORD });
    let reset = json!({ "uid": "MQ", "token": format!("1-{}", "A".repeat(43)), "password": PASSWORD });
    let mut answers = Vec::new();
    for call in [
        post("signup/").json(credentials.clone()),
        get(&format!("verify-account/?uid=MQ&token=1-{}", "A".repeat(43))),
        post("resend-verification/").json(email.clone()),
        post("login/").json(credentials),
        post("refresh/").jar(jar),
        post("logout/").jar(jar),
        get("me/").jar(jar),
        post("password-reset/").json(email),
        post("password-reset-confirm/").json(reset),
    ] {
        answers.push(world.send(call).await);
    }
    answers
}

#[track_caller]
fn unavailable(answers: &[Answer]) {
    for answer in answers {
        answer.refused(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_503_and_nothing_is_half_done() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", world.database().display())).await.unwrap();
    let mut thief = pool.acquire().await.unwrap();
    thief.execute("BEGIN EXCLUSIVE").await.unwrap();
    let credentials = json!({ "email": "new@example.org", "password": PASSWORD });
    let started = tokio::time::Instant::now();
    unavailable(&[
        world.send(post("signup/").json(credentials.clone())).await,
        world.send(post("logout/").jar(&jar)).await,
    ]);
    assert!(started.elapsed() < Duration::from_secs(20), "a lock is not waited for without end");
    thief.execute("ROLLBACK").await.unwrap();

    assert_eq!(world.me(&jar).await.status, 200, "the logout did not happen by half");
    assert_eq!(world.send(post("signup/").json(credentials)).await.status, 201);
    let link = world.link("new@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    assert_eq!(world.log_in("new@example.org", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_503_and_never_an_empty_one() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let (file, aside) = (world.database(), world.database().with_extension("aside"));
    std::fs::rename(&file, &aside).unwrap();
    // What was revoked within the lag is known; past it, an access check is not guessed.
    world.advance(Duration::from_secs(2));
    unavailable(&everything(&world, &jar).await);
    assert!(!file.exists(), "no empty database takes its place");
    let own_route = world.app(get("/whoami").jar(&jar)).await;
    own_route.refused(503, "unavailable");
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(world.me(&jar).await.status, 200);
    assert_eq!(world.sign_up("new@example.org", PASSWORD).await.status, 201);
}
