//! Nodes of a cluster that die, hang, lose what they had, or send others away for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use auth_system::auth_core::port::{AttemptKey, AttemptStore as _, StoreError};
use auth_system::auth_core::types::Limit;
use auth_system::store::RedisStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cluster::{attempts, name_of};
use crate::cluster_servers::{Cluster, command, until};
use crate::fake_node::FakeNode;
use crate::ports::free_port;
use crate::redis_server::Redis;

/// A call answers within a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1800);
const QUICK: [&str; 2] = ["--cluster-node-timeout", "1000"];
const LIMIT: u32 = 5;

async fn hit(store: &RedisStore, key: &AttemptKey) -> Result<bool, StoreError> {
    let start = Instant::now();
    let hit = store.hit(key, Limit::new(LIMIT, Duration::from_secs(3600))).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    hit.map(|hit| hit.allowed)
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

/// Keys that a master has at the start.
async fn keys_of(cluster: &Cluster, master: usize) -> Vec<AttemptKey> {
    let mut keys = Vec::new();
    for key in (0..100).map(attempts) {
        if Cluster::owner(cluster.slot(&name_of(&key, "auth:")).await) == master {
            keys.push(key);
        }
    }
    keys
}

/// Keeps trying until it works, which is to be soon.
async fn recovers(store: &RedisStore, key: &AttemptKey) -> bool {
    let start = Instant::now();
    loop {
        match hit(store, key).await {
            Ok(allowed) => return allowed,
            result => unavailable(&result),
        }
        assert!(start.elapsed() < Duration::from_secs(2), "still down");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_replica_that_takes_over_goes_on_counting() {
    let debug = ["--enable-debug-command", "yes"];
    let mut cluster = Cluster::start(1, &[QUICK, debug].concat()).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    // Knows the other nodes only from the one that will be gone.
    let other = RedisStore::open(cluster.nodes[0].url().as_str()).unwrap();
    let keys = keys_of(&cluster, 0).await;
    for _ in 0..2 {
        assert!(hit(&store, &keys[0]).await.unwrap());
    }
    for key in &keys_of(&cluster, 1).await[..2] {
        hit(&other, key).await.unwrap();
    }
    until("the replica has it, too", async || {
        let [master, replica] = [0, 3].map(async |node| cluster.tell::<String>(node, "INFO replication").await);
        let offset =
            |info: String| info.lines().find(|line| line.starts_with("master_repl_offset:")).map(str::to_owned);
        offset(master.await) == offset(replica.await)
    })
    .await;

    let takes_over = async |cluster: &Cluster, node: usize| {
        let mut failures = 0;
        let mut operator = cluster.operator(node).await;
        loop {
            let role: String = command("INFO replication").query_async(&mut operator).await.unwrap();
            if role.contains("role:master") {
                break;
            }
            _ = hit(&other, &keys[1]).await;
            let result = hit(&store, &keys[1]).await;
            if result.is_ok() {
                break;
            }
            unavailable(&result);
            failures += 1;
            sleep(Duration::from_millis(50)).await;
        }
        assert!(failures > 0);
    };
    cluster.nodes[0].kill();
    takes_over(&cluster, 3).await;
    cluster.whole(1..4).await;
    assert!(recovers(&store, &keys[0]).await);
    assert!(recovers(&other, &keys[0]).await);
    assert!(hit(&store, &keys[0]).await.unwrap());
    assert!(!hit(&store, &keys[0]).await.unwrap(), "five with those before");

    // The first one comes back as a replica, and takes over from one that hangs.
    cluster.nodes[0].restart();
    until("the first one is a replica", async || {
        cluster.tell::<String>(0, "INFO replication").await.contains("master_link_status:up")
    })
    .await;
    assert!(!hit(&store, &keys[0]).await.unwrap());
    let mut hanging = TcpStream::connect(("127.0.0.1", cluster.nodes[3].port())).await.unwrap();
    hanging.write_all(b"DEBUG SLEEP 8\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    takes_over(&cluster, 0).await;
    cluster.whole(0..3).await;
    assert!(!recovers(&store, &keys[0]).await);
    // It wakes up as a replica.
    hanging.read_u8().await.unwrap();
    until("the other one is a replica", async || {
        !hit(&store, &keys[0]).await.unwrap()
            && cluster.tell::<String>(3, "INFO replication").await.contains("role:slave")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_cluster_that_is_back_is_used_at_once() {
    let mut cluster = Cluster::start(0, &QUICK).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    let mut keys = Vec::new();
    for master in 0..3 {
        keys.push(keys_of(&cluster, master).await.remove(0));
    }
    for key in &keys {
        for count in 0..=LIMIT {
            assert_eq!(hit(&store, key).await.unwrap(), count < LIMIT);
        }
    }
    cluster.nodes.iter_mut().for_each(Redis::kill);
    for key in &keys {
        for _ in 0..3 {
            unavailable(&hit(&store, key).await);
        }
    }
    unavailable(&store.ping().await);
    cluster.nodes.iter_mut().for_each(Redis::restart);
    cluster.whole(0..3).await;
    for key in &keys {
        assert!(recovers(&store, key).await, "they have forgotten all windows");
    }
    // One that was restarted so fast that nobody missed it.
    cluster.nodes[1].kill();
    cluster.nodes[1].restart();
    cluster.whole(0..3).await;
    assert!(recovers(&store, &keys[1]).await);
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_slot_that_nobody_serves_is_unavailable_and_others_are_not() {
    let cluster = Cluster::start(0, &["--cluster-require-full-coverage", "no"]).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    let keys = keys_of(&cluster, 2).await;
    let slot = cluster.slot(&name_of(&keys[0], "auth:")).await;
    assert!(hit(&store, &keys[0]).await.unwrap());
    for node in 0..3 {
        cluster.order(node, &format!("CLUSTER DELSLOTS {slot}")).await;
    }
    for _ in 0..2 {
        unavailable(&hit(&store, &keys[0]).await);
        assert!(hit(&store, &keys[1]).await.unwrap());
    }
    cluster.order(1, &format!("CLUSTER ADDSLOTS {slot}")).await;
    assert!(recovers(&store, &keys[0]).await);
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn servers_that_are_no_cluster_do_not_share_a_limit() {
    let (one, two) = (Redis::start(), Redis::start());
    let store = RedisStore::open([one.url(), two.url()].join(",").as_str()).unwrap();
    for _ in 0..2 {
        unavailable(&hit(&store, &attempts(0)).await);
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn while_one_node_hangs_the_others_go_on() {
    let cluster = Cluster::start(0, &["--enable-debug-command", "yes", "--cluster-node-timeout", "15000"]).await;
    let store = RedisStore::open(cluster.urls().as_str()).unwrap();
    let mut keys = Vec::new();
    for master in 0..3 {
        keys.push(keys_of(&cluster, master).await.remove(0));
        hit(&store, &keys[master]).await.unwrap();
    }
    let mut hanging = TcpStream::connect(("127.0.0.1", cluster.nodes[0].port())).await.unwrap();
    hanging.write_all(b"DEBUG SLEEP 4\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (store, key) = (store.clone(), keys[0]);
        load.spawn(async move {
            while start.elapsed() < Duration::from_secs(3) {
                unavailable(&hit(&store, &key).await);
            }
        });
    }
    let mut answered = Vec::new();
    while start.elapsed() < Duration::from_secs(3) {
        for key in &keys[1..] {
            let start = Instant::now();
            hit(&store, key).await.unwrap();
            answered.push(start.elapsed());
        }
        sleep(Duration::from_millis(10)).await;
    }
    load.join_all().await;
    answered.sort();
    let (half, all) = (answered[answered.len() / 2], answered[answered.len() - 1]);
    println!("{} calls, half of them within {half:?}, all of them within {all:?}", answered.len());
    assert!(half < Duration::from_millis(100), "{half:?}");
}

/// The answer to CLUSTER SLOTS of a node that has them all.
fn all_slots_at(host: &str, port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n${}\r\n{host}\r\n:{port}\r\n", host.len())
}

const COUNTED: &str = "*2\r\n:1\r\n:60000000\r\n";

/// What such a node answers.
fn has_all_slots(port: u16, name: &str) -> Option<String> {
    Some(if name == "CLUSTER" { all_slots_at("127.0.0.1", port) } else { COUNTED.to_owned() })
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_sent_once_more() {
    let node = FakeNode::start(|port, name| (name == "CLUSTER").then(|| all_slots_at("127.0.0.1", port))).await;
    for (url, calls) in [(node.url(), 2), ([node.url(), node.url()].join(","), 4)] {
        unavailable(&hit(&RedisStore::open(url.as_str()).unwrap(), &attempts(0)).await);
        assert_eq!(node.seen("EVAL"), calls);
    }
}

#[tokio::test]
async fn nodes_that_send_each_other_calls_for_ever_are_asked_sixteen_times() {
    for answer in ["MOVED", "ASK"] {
        let node = FakeNode::start(move |port, name| match name {
            "CLUSTER" => Some(all_slots_at("127.0.0.1", port)),
            "ASKING" => Some("+OK\r\n".into()),
            _ => Some(format!("-{answer} 1 127.0.0.1:{port}\r\n")),
        })
        .await;
        unavailable(&hit(&RedisStore::open(node.url().as_str()).unwrap(), &attempts(0)).await);
        assert_eq!(node.seen("EVAL"), 16, "{answer}");
    }
}

#[tokio::test]
async fn one_who_accepts_a_connection_and_says_nothing_holds_no_call_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    for urls in [url.clone(), format!("{url},{url}")] {
        let store = RedisStore::open(urls.as_str()).unwrap();
        for _ in 0..3 {
            unavailable(&hit(&store, &attempts(0)).await);
        }
    }
    // Nor does one that says nothing any more.
    let fell_silent = Arc::new(AtomicBool::new(false));
    let node = FakeNode::start({
        let fell_silent = fell_silent.clone();
        move |port, name| {
            if fell_silent.load(Ordering::SeqCst) { Some(String::new()) } else { has_all_slots(port, name) }
        }
    })
    .await;
    for urls in [node.url(), [node.url(), node.url()].join(",")] {
        let store = RedisStore::open(urls.as_str()).unwrap();
        for is_silent in [false, true, false] {
            fell_silent.store(is_silent, Ordering::SeqCst);
            if is_silent {
                unavailable(&hit(&store, &attempts(0)).await)
            } else {
                assert!(recovers(&store, &attempts(0)).await)
            }
        }
    }
}

#[tokio::test]
async fn a_node_without_a_host_is_where_the_one_is_that_names_it() {
    let there = FakeNode::start(|_, name| (name == "EVAL").then(|| COUNTED.to_owned())).await;
    let port = there.port;
    let node = FakeNode::start(move |_, name| match name {
        "CLUSTER" => Some(format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:{port}\r\n")),
        _ => Some(format!("-MOVED 1 :{port}\r\n")),
    })
    .await;
    let store = RedisStore::open(node.url().as_str()).unwrap();
    for _ in 0..2 {
        assert!(hit(&store, &attempts(0)).await.unwrap());
    }
    assert_eq!((node.seen("EVAL"), there.seen("EVAL")), (1, 2));
    // One that does not know where the other is.
    let lost = FakeNode::start(|_, name| match name {
        "CLUSTER" => Some("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\n?\r\n:1\r\n".into()),
        _ => Some("-MOVED 1 ?:1\r\n".into()),
    })
    .await;
    for url in [lost.url(), [lost.url(), lost.url()].join(",")] {
        unavailable(&hit(&RedisStore::open(url.as_str()).unwrap(), &attempts(0)).await);
    }
}

/// A node that comes back after a replica has taken over says only that it loads what it had.
#[tokio::test]
async fn a_node_that_loads_is_left_for_the_one_that_has_its_slots_by_now() {
    let heir = FakeNode::start(has_all_slots).await;
    let loading = FakeNode::start(|_, _| Some("-LOADING Redis is loading the dataset in memory\r\n".into())).await;
    let old = loading.port;
    // Tells of the old one first.
    let third = FakeNode::start({
        let (turn, heir) = (AtomicU32::new(0), heir.port);
        move |_, _| {
            let first = turn.fetch_add(1, Ordering::SeqCst) == 0;
            Some(all_slots_at("127.0.0.1", if first { old } else { heir }))
        }
    })
    .await;
    let store = RedisStore::open([third.url(), loading.url()].join(",").as_str()).unwrap();
    unavailable(&hit(&store, &attempts(0)).await);
    sleep(Duration::from_millis(250)).await;
    assert!(recovers(&store, &attempts(0)).await);
    assert_eq!(heir.seen("EVAL"), 1);
}

#[tokio::test]
async fn a_call_waits_a_moment_for_somebody_to_serve_its_slot() {
    let turn = AtomicU32::new(0);
    let node = FakeNode::start(move |port, name| match name {
        "CLUSTER" => Some(all_slots_at("127.0.0.1", port)),
        _ if turn.fetch_add(1, Ordering::SeqCst) < 2 => Some("-CLUSTERDOWN Hash slot not served\r\n".into()),
        _ => Some(COUNTED.into()),
    })
    .await;
    assert!(hit(&RedisStore::open(node.url().as_str()).unwrap(), &attempts(0)).await.unwrap());
    assert_eq!(node.seen("EVAL"), 3);
}

#[tokio::test]
async fn one_who_is_behind_is_not_believed_for_ever() {
    let (gone, heir) = (free_port(), FakeNode::start(has_all_slots).await);
    let behind = FakeNode::start(move |_, _| Some(all_slots_at("127.0.0.1", gone))).await;
    let store = RedisStore::open([behind.url(), heir.url()].join(",").as_str()).unwrap();
    unavailable(&hit(&store, &attempts(0)).await);
    assert!(recovers(&store, &attempts(0)).await);
}

#[tokio::test]
async fn a_cluster_that_a_single_server_replaced_is_forgotten() {
    let (gone, is_replaced) = (free_port(), Arc::new(AtomicBool::new(false)));
    let replaced = is_replaced.clone();
    let seed = FakeNode::start(move |_, name| {
        Some(match (name, replaced.load(Ordering::SeqCst)) {
            ("CLUSTER", false) => all_slots_at("127.0.0.1", gone),
            ("CLUSTER", true) => "-ERR This instance has cluster support disabled\r\n".into(),
            (_, false) => format!("-MOVED 1 127.0.0.1:{gone}\r\n"),
            (_, true) => COUNTED.into(),
        })
    })
    .await;
    let store = RedisStore::open(seed.url().as_str()).unwrap();
    unavailable(&hit(&store, &attempts(0)).await);
    is_replaced.store(true, Ordering::SeqCst);
    assert!(recovers(&store, &attempts(0)).await);
    assert!(hit(&store, &attempts(0)).await.unwrap());
}

#[tokio::test]
async fn nodes_are_asked_for_slots_five_times_a_second() {
    let node = FakeNode::start(|port, name| match name {
        "CLUSTER" => Some(all_slots_at("127.0.0.1", port)),
        _ => Some("-LOADING Redis is loading the dataset in memory\r\n".into()),
    })
    .await;
    let store = RedisStore::open([node.url(), node.url()].join(",").as_str()).unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        unavailable(&hit(&store, &attempts(0)).await);
    }
    let most = 1 + start.elapsed().as_millis() / 200;
    assert!(node.seen("CLUSTER") as u128 <= most, "{} in {:?}", node.seen("CLUSTER"), start.elapsed());
}
