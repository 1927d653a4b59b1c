//! A Redis Cluster: what every store promises, and that it holds while slots move.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::conformance;
use auth_system::auth_core::port::{AttemptKey, AttemptStore as _, Clock as _, PendingSessionStore as _, StoreError};
use auth_system::auth_core::testing::ManualClock;
use auth_system::auth_core::types::{Limit, Payload, PendingId, PendingPurpose, PendingSession, TenantId};
use auth_system::store::{RedisConfig, RedisStore};
use auth_system::system::SystemClock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::cluster_servers::{Cluster, until};
use crate::ports::free_port;
use crate::redis_server::Redis;
use crate::server;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);
/// Who calls at once.
const CALLERS: usize = 24;

async fn store(clock: ManualClock) -> (RedisStore, Arc<Cluster>) {
    let cluster = Cluster::shared().await;
    let config = RedisConfig { url: cluster.urls(), ..server::with_own_prefix() };
    (RedisStore::open_with_clock(config, Arc::new(clock)).unwrap(), cluster)
}

/// A store of a cluster that is not there.
async fn broken(clock: ManualClock) -> (RedisStore, ()) {
    let urls = "redis://127.0.0.1:1/,redis://127.0.0.1:2/";
    (RedisStore::open_with_clock(urls, Arc::new(clock)).unwrap(), ())
}

conformance::attempt_store!(#[ignore = "needs Redis: tests/run starts one"] store, broken: broken);
conformance::pending_session_store!(#[ignore = "needs Redis: tests/run starts one"] store, broken: broken);

pub(crate) fn attempts(number: u32) -> AttemptKey {
    AttemptKey::new("test", &[&number.to_be_bytes()])
}

/// What stands for attempts in Redis.
pub(crate) fn name_of(key: &AttemptKey, prefix: &str) -> String {
    format!("{prefix}attempts:{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

async fn allowed(store: &RedisStore, key: &AttemptKey, limit: u32) -> Result<bool, StoreError> {
    Ok(store.hit(key, Limit::new(limit, HOUR)).await?.allowed)
}

/// How many of so many attempts by each caller are allowed. None may fail.
async fn allowed_at_once(store: &RedisStore, key: &AttemptKey, limit: u32, each: usize) -> u32 {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (store, key) = (store.clone(), *key);
        callers.spawn(async move {
            let mut count = 0;
            for _ in 0..each {
                count += u32::from(allowed(&store, &key, limit).await.unwrap());
            }
            count
        });
    }
    callers.join_all().await.into_iter().sum()
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn keys_are_spread_over_all_nodes_whichever_of_them_the_settings_name() {
    let cluster = Cluster::shared().await;
    let seeds = [cluster.urls()].into_iter().chain(cluster.nodes.iter().map(Redis::url));
    for url in seeds {
        let config = RedisConfig { url, ..server::with_own_prefix() };
        let store = RedisStore::open(config.clone()).unwrap();
        store.ping().await.unwrap();
        for number in 0..60 {
            assert!(allowed(&store, &attempts(number), 1).await.unwrap());
            assert!(!allowed(&store, &attempts(number), 1).await.unwrap());
        }
        for number in 0..cluster.nodes.len() {
            let keys = server::keys(&mut cluster.operator(number).await, &config.prefix).await;
            assert!(keys.len() > 5, "{number}: {keys:?}");
        }
        for number in 0..60 {
            store.clear(&attempts(number)).await.unwrap();
            assert!(allowed(&store, &attempts(number), 1).await.unwrap());
        }
    }
}

#[test]
#[ignore = "needs Redis: tests/run starts one"]
fn a_connection_whose_runtime_ended_is_replaced_before_anybody_notices() {
    let run = || Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = run().block_on(Cluster::shared());
    let store = RedisStore::open(RedisConfig { url: cluster.urls(), ..server::with_own_prefix() }).unwrap();
    for _ in 0..3 {
        run().block_on(store.ping()).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn people_log_in_with_two_factors() {
    let cluster = Cluster::shared().await;
    let world = World::new(RedisConfig { url: cluster.urls(), ..server::with_own_prefix() });
    for name in ["ada", "eve", "joe"] {
        let account = world.two_factor_account(&format!("{name}@example.org")).await;
        let token = world.begin(&account.email).await.unwrap();
        assert_eq!(world.verify(&token, "000000").await.code(), "invalid_code");
        assert_eq!(world.verify(&token, &world.code(&account)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_limit_holds_before_while_and_after_its_slot_moves() {
    let cluster = Cluster::start(0, &[]).await;
    for (number, is_there) in [(0, true), (1, false), (2, true)] {
        let store = RedisStore::open(cluster.urls().as_str()).unwrap();
        let (key, limit) = (attempts(number), 2 * CALLERS as u32 + 10);
        let name = name_of(&key, "auth:");
        let slot = cluster.slot(&name).await;
        let from = Cluster::owner(slot);
        let to = (from + 1) % 3;
        let mut sum = 0;
        if is_there {
            sum += allowed_at_once(&store, &key, limit, 1).await;
        }
        cluster.begin_to_move(slot, from, to).await;
        sum += allowed_at_once(&store, &key, limit, 1).await;
        cluster.move_key(&name, from, to).await;
        sum += allowed_at_once(&store, &key, limit, 1).await;
        cluster.end_to_move(slot, from, to).await;
        sum += allowed_at_once(&store, &key, limit, 2).await;
        assert_eq!(sum, limit, "{number}");
        let config: RedisConfig = cluster.nodes[from].url().as_str().into();
        assert!(!allowed(&RedisStore::open(config).unwrap(), &key, limit).await.unwrap(), "one who hears of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_limit_holds_while_its_slot_goes_round() {
    let cluster = Cluster::start(0, &[]).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    let (key, limit) = (attempts(0), 1000);
    let name = name_of(&key, "auth:");
    let slot = cluster.slot(&name).await;
    let load = tokio::spawn(async move { allowed_at_once(&store, &key, limit, 100).await });
    let (mut at, mut moves) = (Cluster::owner(slot), 0);
    while !load.is_finished() {
        let to = (at + 1) % 3;
        cluster.begin_to_move(slot, at, to).await;
        cluster.move_key(&name, at, to).await;
        cluster.end_to_move(slot, at, to).await;
        (at, moves) = (to, moves + 1);
    }
    assert_eq!(load.await.unwrap(), limit);
    println!("{moves} moves");
    assert!(moves > 3, "{moves} moves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn what_waits_is_taken_once_while_its_slot_moves() {
    let cluster = Cluster::start(0, &[]).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    let now = SystemClock.now();
    for number in 0..30_u8 {
        let pending = PendingSession {
            id: PendingId::of(PendingPurpose::SecondFactor, &[number]),
            purpose: PendingPurpose::SecondFactor,
            tenant: TenantId::default(),
            subject: None,
            tries: 0,
            payload: Payload { version: 1, bytes: vec![number] },
            expires_at: now + HOUR,
        };
        let name = format!("auth:pending:{}", URL_SAFE_NO_PAD.encode(pending.id.as_bytes()));
        let slot = cluster.slot(&name).await;
        let from = Cluster::owner(slot);
        let to = (from + 1) % 3;
        // Now and then it is put there only while the slot moves.
        if number % 3 != 0 {
            store.put(&pending).await.unwrap();
            cluster.begin_to_move(slot, from, to).await;
        } else {
            cluster.begin_to_move(slot, from, to).await;
            store.put(&pending).await.unwrap();
        }
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (store, id) = (store.clone(), pending.id);
            callers.spawn(async move { store.take(&id, now).await.unwrap() });
        }
        cluster.move_key(&name, from, to).await;
        cluster.end_to_move(slot, from, to).await;
        let taken: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
        assert_eq!(taken, [pending]);
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn all_nodes_are_reached_with_the_user_the_password_and_the_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (pem, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&pem, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let (pem_file, key_file) = (pem.to_str().unwrap(), key.to_str().unwrap());
    let ports = [free_port(), free_port(), free_port()];
    let cluster = Cluster::start_with(0, ":hunter2@", |number| {
        let port = ports[number].to_string();
        let tls = ["--tls-port", &port, "--tls-cert-file", pem_file, "--tls-key-file", key_file];
        let trust = ["--tls-ca-cert-file", pem_file, "--tls-auth-clients", "no", "--tls-cluster", "yes"];
        let users = ["--requirepass", "hunter2", "--user", "app", "on", ">s3same", "~auth:*", "+@all"];
        [tls.as_slice(), &trust, &users].concat().into_iter().map(str::to_owned).collect()
    })
    .await;
    let trusted =
        |url: String| RedisConfig { root_certificates: Some(fs::read(&pem).unwrap()), ..RedisConfig::new(url) };
    let url = |user: &str, number: usize| format!("rediss://{user}127.0.0.1:{}/", ports[number]);
    let all = |user: &str| [url(user, 0), url(user, 1), url(user, 2)].join(",");
    for config in [trusted(all("app:s3same@")), trusted(url("app:s3same@", 2))] {
        let store = RedisStore::open(config).unwrap();
        // A handshake may take longer than a call on a busy machine.
        for number in 0..30 {
            until("every node is reached", async || allowed(&store, &attempts(number), 1).await.is_ok()).await;
        }
    }
    for number in 0..ports.len() {
        assert!(!server::keys(&mut cluster.operator(number).await, "auth:").await.is_empty(), "{number}");
    }
    for refused in [trusted(all("app:wrong@")), trusted(all("")), RedisConfig::new(all("app:s3same@"))] {
        let result = allowed(&RedisStore::open(refused).unwrap(), &attempts(0), 1).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
}
