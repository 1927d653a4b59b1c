//! A cluster of a test's own, and what its operators do with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::ports::free_port;
use crate::redis_server::Redis;
use crate::server;

/// The first and the last slot that each of the masters has at the start.
const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

pub(crate) struct Cluster {
    /// The masters, then the replicas of the first one.
    pub(crate) nodes: Vec<Redis>,
    ids: Vec<String>,
    /// What an operator's URL has before the host.
    login: &'static str,
}

/// A command in the words of its line.
pub(crate) fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = command.arg(word));
    command
}

impl Cluster {
    /// One for all tests that have keys of their own and leave it as it is. It ends with the last of them.
    pub(crate) async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start(0, &["--cluster-node-timeout", "15000"]).await);
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    pub(crate) async fn start(replicas: usize, settings: &[&str]) -> Self {
        Self::start_with(replicas, "", |_| settings.iter().map(|&setting| setting.to_owned()).collect()).await
    }

    /// With settings for each node by its number.
    pub(crate) async fn start_with(
        replicas: usize,
        login: &'static str,
        settings: impl Fn(usize) -> Vec<String>,
    ) -> Self {
        let count = SLOTS.len() + replicas;
        let buses: Vec<_> = (0..count).map(|_| free_port().to_string()).collect();
        let nodes = buses.iter().enumerate().map(|(number, bus)| {
            let settings = settings(number);
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", bus];
            Redis::start_with(&cluster.into_iter().chain(settings.iter().map(String::as_str)).collect::<Vec<_>>())
        });
        let mut cluster = Self { nodes: nodes.collect(), ids: Vec::new(), login };
        for number in 0..count {
            cluster.ids.push(cluster.tell(number, "CLUSTER MYID").await);
            cluster.order(number, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await;
            if let Some((first, last)) = SLOTS.get(number) {
                cluster.order(number, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
            }
        }
        for number in 0..count {
            for (other, bus) in cluster.nodes.iter().zip(&buses) {
                cluster.order(number, &format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port())).await;
            }
        }
        for number in 0..count {
            until("all have met", async || {
                let nodes: String = cluster.tell(number, "CLUSTER NODES").await;
                nodes.lines().count() == count && !nodes.contains("handshake")
            })
            .await;
        }
        for replica in SLOTS.len()..count {
            cluster.order(replica, &format!("CLUSTER REPLICATE {}", cluster.ids[0])).await;
            until("the replica is one", async || {
                cluster.tell::<String>(replica, "INFO replication").await.contains("master_link_status:up")
            })
            .await;
        }
        cluster.whole(0..count).await;
        cluster
    }

    /// All nodes, as the settings name them.
    pub(crate) fn urls(&self) -> String {
        self.nodes.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    pub(crate) async fn operator(&self, number: usize) -> MultiplexedConnection {
        server::connect(&self.nodes[number].url().replace("//", &format!("//{}", self.login))).await
    }

    /// Asks one node.
    pub(crate) async fn tell<T: FromRedisValue>(&self, number: usize, line: &str) -> T {
        let answer = command(line).query_async(&mut self.operator(number).await).await;
        answer.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Has one node do something.
    pub(crate) async fn order(&self, number: usize, line: &str) {
        self.tell(number, line).await
    }

    /// Waits until these nodes agree that all slots are served.
    pub(crate) async fn whole(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            until("the cluster is whole", async || {
                self.tell::<String>(number, "CLUSTER INFO").await.contains("cluster_state:ok")
            })
            .await;
        }
    }

    pub(crate) async fn slot(&self, key: &str) -> u16 {
        self.tell(0, &format!("CLUSTER KEYSLOT {key}")).await
    }

    /// Which master had a slot at the start.
    pub(crate) fn owner(slot: u16) -> usize {
        SLOTS.iter().position(|(first, last)| (*first..=*last).contains(&slot)).unwrap()
    }

    /// From now on new keys of a slot are made at the other node.
    pub(crate) async fn begin_to_move(&self, slot: u16, from: usize, to: usize) {
        self.order(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", self.ids[from])).await;
        self.order(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", self.ids[to])).await;
    }

    /// Moves one key of such a slot, if it is there.
    pub(crate) async fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port();
        let _: String = self.tell(from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 5000")).await;
    }

    /// From now on the slot belongs to the other node.
    pub(crate) async fn end_to_move(&self, slot: u16, from: usize, to: usize) {
        for number in [to, from] {
            self.order(number, &format!("CLUSTER SETSLOT {slot} NODE {}", self.ids[to])).await;
        }
        // What a node still tells of an earlier move may win over this one, unless its new owner claims it again.
        until("both nodes agree whose the slot is", async || {
            let agree = self.owns(to, slot, to).await && self.owns(from, slot, to).await;
            if !agree {
                let _: String = self.tell(to, "CLUSTER BUMPEPOCH").await;
                self.order(to, &format!("CLUSTER SETSLOT {slot} NODE {}", self.ids[to])).await;
            }
            agree
        })
        .await;
    }

    /// Whether a node believes that a slot belongs to `owner`.
    async fn owns(&self, witness: usize, slot: u16, owner: usize) -> bool {
        let nodes: String = self.tell(witness, "CLUSTER NODES").await;
        let line = nodes.lines().find(|line| line.starts_with(&self.ids[owner])).unwrap();
        line.split(' ').skip(8).any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let numbers = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
            numbers.is_some_and(|(first, last)| (first..=last).contains(&slot))
        })
    }
}

/// Waits for something that the servers do by themselves.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(30), "still waiting until {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
