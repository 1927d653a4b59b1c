//! On a database that waits for its disk at each commit: an answer must not come sooner because there was nothing to
//! write.

#![allow(clippy::disallowed_methods, reason = "what is measured is the time of a clock on the wall")]

use std::time::{Duration, Instant};

use auth_system::auth_core::port::UserKey;
use auth_system::auth_core::types::{Email, UserId};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::door::Driver;
use crate::place::{Place, Store};
use crate::postgres_server::Postgres;
use crate::schema::Schema;
use crate::world::{Call, Ground, Jar, PASSWORD, World, post};

/// What a commit waits, if it changed anything. All else that an answer waits for is far less.
const DISK: Duration = Duration::from_millis(60);
const WRONG: &str = "wrong horse battery";
const FAILURES: u32 = 20;
/// The states of accounts; each has one, named after it. The first is no account.
const ACCOUNTS: [&str; 7] = ["unknown", "known", "unverified", "squatted", "disabled", "deleted", "guessed-at"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
async fn axum_waits_for_the_disk_as_often_whoever_has_the_address() {
    waits_as_often(Driver::Axum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
async fn actix_waits_for_the_disk_as_often_whoever_has_the_address() {
    waits_as_often(Driver::Actix).await;
}

async fn waits_as_often(driver: Driver) {
    let server = Postgres::start();
    let place = Place::on(Schema::create_on(server.url()).await);
    let ground = Ground { store: Store::Servers, driver };
    let world = ground.world_at(place, |config| config.policy.max_consecutive_failures = FAILURES).await;
    let session = accounts(&world).await;
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    let delay = format!("ALTER SYSTEM SET commit_delay = {}", DISK.as_micros());
    // One by one: within a transaction, the server takes no change of its settings.
    for statement in ["ALTER SYSTEM SET commit_siblings = 0", &delay, "SELECT pg_reload_conf()"] {
        raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }

    for (path, commits) in
        [("login/", 2), ("signup/", 3), ("password-reset/", 1), ("resend-verification/", 1), ("change-email/", 1)]
    {
        let right: &[_] = if path == "login/" { &["unverified", "disabled", "deleted"] } else { &[] };
        let wrong = ACCOUNTS.iter().map(|account| (account, WRONG));
        for (account, password) in wrong.chain(right.iter().map(|account| (account, PASSWORD))) {
            let mut times = Vec::new();
            for round in 0..5 {
                let name = if *account == "unknown" { format!("unknown{round}-{path}") } else { (*account).to_owned() };
                let call = request(path, &address(name.trim_end_matches('/')), password).jar(&session);
                let start = Instant::now();
                let answer = world.send(call).await;
                times.push(start.elapsed());
                assert!([200, 201, 401].contains(&answer.status.as_u16()), "{path} {account}: {answer:?}");
            }
            // The machine may do something else meanwhile, and a commit may find that the server just wrote everything.
            times.sort_unstable();
            let waited = times[2].as_micros() / DISK.as_micros();
            assert_eq!(waited, commits, "{path} {account} {password:?} took {times:?}");
        }
    }

    // Guesses at the same moment wait for each other where there is an account, and so they do where there is none.
    let known = at_once(&world, "caller").await;
    assert!(known > 5 * DISK, "{known:?}");
    for account in ["unknown", "guessed-at"] {
        let other = at_once(&world, account).await;
        assert!(known.abs_diff(other) < 3 * DISK, "{known:?} {account} {other:?}");
    }
}

/// The median time in which six wrong passwords for one address are all answered.
async fn at_once(world: &World, account: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..3 {
        let guess = async || world.log_in(&address(account), WRONG).await.refused(401, "invalid_credentials").status;
        let start = Instant::now();
        tokio::join!(guess(), guess(), guess(), guess(), guess(), guess());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[1]
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

fn request(path: &str, email: &str, password: &str) -> Call {
    post(path).json(match path {
        "change-email/" => json!({ "new_email": email }),
        "login/" | "signup/" => json!({ "email": email, "password": password }),
        _ => json!({ "email": email }),
    })
}

/// Makes the accounts, and somebody's session.
async fn accounts(world: &World) -> Jar {
    for name in ["known", "disabled", "deleted", "guessed-at", "caller"] {
        world.account(&address(name)).await;
    }
    for (name, password) in [("unverified", PASSWORD), ("squatted", PASSWORD), ("squatted", WRONG)] {
        assert_eq!(world.sign_up(&address(name), password).await.status, 201);
    }
    world.mails().await;
    world.auth.admin().disable(&id(world, "disabled").await).await.unwrap();
    world.auth.admin().delete(&id(world, "deleted").await).await.unwrap();
    for _ in 0..FAILURES {
        world.log_in(&address("guessed-at"), WRONG).await.refused(401, "invalid_credentials");
    }
    world.session(&address("caller")).await
}

async fn id(world: &World, name: &str) -> UserId {
    let email = Email::parse(&address(name)).unwrap();
    world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap().id
}
