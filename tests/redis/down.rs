//! A Redis that is down, slow, full, read-only or holds what is not ours; and one that is killed under load.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auth_system::auth_core::port::{AttemptKey, AttemptStore as _, Clock as _, PendingSessionStore as _, StoreError};
use auth_system::auth_core::types::{Limit, PendingId, PendingPurpose};
use auth_system::store::RedisStore;
use auth_system::system::SystemClock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::cmd;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::redis_server::Redis;
use crate::server;
use crate::world::{Account, LIMIT, World};

const MINUTE: Limit = Limit::new(1, Duration::from_secs(60));
/// A call answers within a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1800);

async fn hit(store: &RedisStore) -> Result<(), StoreError> {
    store.hit(&AttemptKey::new("test", &[b"a"]), MINUTE).await.map(drop)
}

#[track_caller]
fn unavailable(result: Result<(), StoreError>, why: &str) {
    assert!(matches!(&result, Err(StoreError::Unavailable(_))), "{why}: {result:?}");
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_server_that_cannot_serve_is_unavailable_until_it_can() {
    let redis = Redis::start();
    let store = RedisStore::open(redis.url().as_str()).unwrap();
    let mut operator = server::connect(&redis.url()).await;
    hit(&store).await.unwrap();
    for (why, spoil, mend) in [
        ("full", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("a replica", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("paused", "CLIENT PAUSE 600000 WRITE", "CLIENT UNPAUSE"),
    ] {
        let command = |line: &str| {
            let mut words = line.split(' ');
            let mut command = cmd(words.next().unwrap());
            words.for_each(|word| _ = command.arg(word));
            command
        };
        command(spoil).exec_async(&mut operator).await.unwrap();
        for _ in 0..2 {
            let start = Instant::now();
            unavailable(hit(&store).await, why);
            assert!(start.elapsed() < SOON, "{why}: {:?}", start.elapsed());
        }
        command(mend).exec_async(&mut operator).await.unwrap();
        sleep(Duration::from_millis(300)).await;
        hit(&store).await.unwrap();
    }
    // A connection that the server closes while nobody uses it is replaced before anybody notices.
    cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec_async(&mut operator).await.unwrap();
    hit(&store).await.unwrap();
}

#[test]
#[ignore = "needs Redis: tests/run starts one"]
fn a_connection_whose_runtime_ended_is_replaced_before_anybody_notices() {
    let store = RedisStore::open(server::with_own_prefix()).unwrap();
    for _ in 0..3 {
        let worker = Builder::new_current_thread().enable_all().build().unwrap();
        worker.block_on(hit(&store)).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn what_is_not_ours_is_corrupt() {
    let config = server::with_own_prefix();
    let store = RedisStore::open(config.clone()).unwrap();
    let id = PendingId::of(PendingPurpose::SecondFactor, b"a");
    let mut operator = server::connect(&server::url()).await;
    hit(&store).await.unwrap();
    let attempts = server::keys(&mut operator, &config.prefix).await.remove(0);
    let pending = format!("{}pending:{}", config.prefix, URL_SAFE_NO_PAD.encode(id.as_bytes()));
    for kind in ["a hash of others", "a text"] {
        for key in [&attempts, &pending] {
            cmd("DEL").arg(key).exec_async(&mut operator).await.unwrap();
            let mut spoil = cmd(if kind == "a text" { "SET" } else { "HSET" });
            spoil.arg(key);
            if kind != "a text" {
                spoil.arg(&["attempts", "many", "ends_at"]);
            }
            spoil.arg("never").exec_async(&mut operator).await.unwrap();
        }
        assert!(matches!(hit(&store).await, Err(StoreError::Corrupt(_))), "{kind}");
        let now = SystemClock.now();
        if kind == "a text" {
            assert!(matches!(store.find(&id, now).await, Err(StoreError::Corrupt(_))), "{kind}");
            assert!(matches!(store.take(&id, now).await, Err(StoreError::Corrupt(_))), "{kind}");
        } else {
            cmd("HSET").arg(&pending).arg("expires_at").arg("never").exec_async(&mut operator).await.unwrap();
            assert!(matches!(store.take(&id, now).await, Err(StoreError::Corrupt(_))), "{kind}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn without_redis_no_limit_is_skipped_and_sessions_go_on() {
    let mut redis = Redis::start();
    let world = World::new(redis.url().as_str());
    let ada = world.two_factor_account("ada@example.org").await;
    let token = world.begin(&ada.email).await.unwrap();
    redis.kill();
    let work = world.hasher.work();
    for path in ["login/", "signup/", "password-reset/", "resend-verification/"] {
        let body = json!({ "email": ada.email, "password": "wrong" });
        assert_eq!((path, world.post(path, "", body).await.status), (path, 503));
    }
    assert_eq!(world.verify(&token, &world.code(&ada)).await.status, 503);
    assert_eq!(world.post("refresh/", &ada.cookies, json!({})).await.status, 503);
    assert_eq!(world.hasher.work(), work, "nothing was evaluated");
    assert_eq!(world.get("me/", &ada.cookies).await.status, 200);
    assert_eq!(world.post("logout/", &ada.cookies, json!({})).await.status, 200);
    assert_eq!(world.get("me/", &ada.cookies).await.status, 401);
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_pending_login_survives_the_application_and_not_redis() {
    let mut redis = Redis::start();
    let world = World::new(redis.url().as_str());
    let ada = world.two_factor_account("ada@example.org").await;
    let token = world.begin(&ada.email).await.unwrap();
    let world = world.restarted(redis.url().as_str());
    assert_eq!(world.verify(&token, &world.code(&ada)).await.status, 200);
    let forgotten = world.begin(&ada.email).await.unwrap();
    redis.kill();
    redis.restart();
    let world = world.restarted(redis.url().as_str());
    assert_eq!(world.verify(&forgotten, &ada.backup_codes[0]).await.code(), "pending_session_invalid");
    let again = world.begin(&ada.email).await.unwrap();
    assert_eq!(world.verify(&again, &ada.backup_codes[0]).await.status, 200, "no code was spent for it");
}

const ROUNDS: u32 = 8;

/// What the clients of the kill test saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u32>,
    /// Wrong passwords that were evaluated, by account.
    evaluated: BTreeMap<String, u32>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn kills_under_load_skip_no_limit_and_lose_no_durable_count() {
    let mut redis = Redis::start();
    let world = Arc::new(World::new(redis.url().as_str()));
    let mut owners = Vec::new();
    for number in 0..4 {
        owners.push(Arc::new(world.two_factor_account(&format!("owner{number}@example.org")).await));
        world.account(&format!("victim{number}@example.org")).await;
    }
    let (mut statuses, mut recovery) = (BTreeMap::<u16, u32>::new(), Vec::new());
    let mut evaluated = BTreeMap::<String, u32>::new();
    for round in 0..ROUNDS {
        let over = Arc::new(AtomicBool::new(false));
        let mut load = JoinSet::new();
        for (number, owner) in owners.iter().enumerate() {
            load.spawn(guess(world.clone(), over.clone(), format!("victim{number}@example.org")));
            load.spawn(fail_at_the_second_step(world.clone(), over.clone(), owner.clone()));
        }
        sleep(Duration::from_millis(300 + u64::from(round) * 37)).await;
        redis.kill();
        for _ in 0..20 {
            assert_eq!(world.log_in("victim0@example.org", "wrong").await.status, 503, "down");
        }
        redis.restart();
        let back = Instant::now();
        while world.log_in("nobody@example.org", "wrong").await.status == 503 {
            assert!(back.elapsed() < Duration::from_secs(2), "still down");
            sleep(Duration::from_millis(10)).await;
        }
        recovery.push(back.elapsed());
        sleep(Duration::from_millis(200)).await;
        over.store(true, Ordering::SeqCst);
        for seen in load.join_all().await {
            for (status, count) in seen.statuses {
                *statuses.entry(status).or_default() += count;
            }
            for (email, count) in seen.evaluated {
                // One window before the kill, and one after it.
                assert!((1..=2 * LIMIT).contains(&count), "round {round}: {count} guesses at {email}");
                *evaluated.entry(email).or_default() += count;
            }
        }
        // Windows end, and each authenticator has a fresh code.
        world.clock.advance(Duration::from_secs(1200));
        for owner in &owners {
            let token = world.begin(&owner.email).await.unwrap();
            let answer = world.verify(&token, &world.code(owner)).await;
            assert_eq!(answer.status, 200, "round {round}: {answer:?}");
        }
        world.clock.advance(Duration::from_secs(1200));
    }
    for (email, count) in &evaluated {
        assert_eq!(world.user(email).await.consecutive_failures, *count, "{email}");
    }
    recovery.sort();
    // Past the capture of a passed test's output, for the figures are what one wants to see of it.
    writeln!(
        std::io::stdout(),
        "{ROUNDS} kills; answers by status: {statuses:?}; recovery {:?} at worst; evaluated guesses, all of them counted \
         durably: {evaluated:?}",
        recovery.last().unwrap(),
    )
    .unwrap();
    assert!(statuses[&401] > 0 && statuses[&429] > 0 && statuses[&503] > 0);
}

async fn guess(world: Arc<World>, over: Arc<AtomicBool>, email: String) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::SeqCst) {
        let answer = world.log_in(&email, "wrong").await;
        match (answer.status, answer.code()) {
            (401, "invalid_credentials") => *seen.evaluated.entry(email.clone()).or_default() += 1,
            (429, "throttled") | (503, "unavailable") => {}
            _ => panic!("{answer:?}"),
        }
        *seen.statuses.entry(answer.status).or_default() += 1;
        sleep(Duration::from_millis(2)).await;
    }
    seen
}

/// Logs in with the right password, and then gives wrong codes.
async fn fail_at_the_second_step(world: Arc<World>, over: Arc<AtomicBool>, owner: Arc<Account>) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::SeqCst) {
        let answer = match world.begin(&owner.email).await {
            Ok(token) => world.verify(&token, "000000").await,
            Err(answer) => answer,
        };
        let expected =
            [(400, "invalid_code"), (401, "pending_session_invalid"), (429, "throttled"), (503, "unavailable")];
        assert!(expected.contains(&(answer.status, answer.code())), "{answer:?}");
        *seen.statuses.entry(answer.status).or_default() += 1;
        sleep(Duration::from_millis(2)).await;
    }
    seen
}
