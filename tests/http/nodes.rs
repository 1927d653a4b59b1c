//! Two nodes on the same stores, under parallel load: what holds on one holds across both.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{Event, UserKey};
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::auth_core::types::{Email, Limit, TenantId};
use auth_system::{Auth, Config};
use serde_json::json;
use tokio::task::JoinSet;

use crate::door::Driver;
use crate::logs::Logs;
use crate::place::Store;
use crate::races::succeeded;
use crate::scenarios;
use crate::world::{Answer, Call, Ground, PASSWORD, World, claims, config, get, post};

scenarios![
    a_limit_is_one_limit_on_both_nodes,
    a_durable_count_is_one_count_on_both_nodes,
    an_address_has_one_limit_on_both_nodes,
    both_nodes_refresh_to_the_same_bytes,
    a_generation_that_one_node_replaced_is_stale_on_the_other,
    a_logout_at_one_node_holds_at_the_other_within_the_lag,
    a_mail_is_sent_by_one_node_alone,
];

const ADA: &str = "ada@example.org";
const CALLERS: usize = 40;

/// Two nodes, each with connections, a view of revocations and workers of its own.
struct Nodes([Arc<World>; 2]);

impl Nodes {
    async fn of(ground: Ground, configure: fn(&mut Config)) -> Self {
        let one = ground.world_with(configure).await;
        let other = one.restarted(configure).await;
        Self([one.into(), other.into()])
    }

    /// Sends all at once, by turns to the one and the other.
    async fn at_once(&self, calls: Vec<Call>) -> Vec<Answer> {
        let mut tasks = JoinSet::new();
        for (number, call) in calls.into_iter().enumerate() {
            let node = self.0[number % 2].clone();
            tasks.spawn(async move { node.send(call).await });
        }
        tasks.join_all().await
    }

    fn hashed(&self) -> u64 {
        self.0.iter().map(|node| node.hasher.work()).sum()
    }
}

fn guess(password: &str) -> Call {
    post("login/").json(json!({ "email": ADA, "password": password }))
}

async fn a_limit_is_one_limit_on_both_nodes(ground: Ground) {
    let nodes = Nodes::of(ground, |config| {
        config.policy.timed_limits = true;
        config.policy.login_attempts = Limit::new(7, Duration::from_secs(300));
        config.policy.device_attempts = Limit::new(7, Duration::from_secs(300));
        config.throttles.off("login");
    })
    .await;
    let [one, other] = &nodes.0;
    one.account(ADA).await;
    let before = nodes.hashed();
    nodes.at_once(vec![guess("wrong"); CALLERS]).await;
    assert!(nodes.hashed() - before <= 7, "{} guesses were evaluated", nodes.hashed() - before);
    for node in [one, other] {
        node.send(guess(PASSWORD)).await.refused(429, "throttled");
    }
    one.advance(Duration::from_secs(301));
    assert_eq!(other.send(guess(PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a_node_whose_clock_is_off_says_so() {
    for (seconds, is_off) in [(5, false), (6, true)] {
        // Bare, so that all of it runs in the thread of this test.
        let world = Ground { store: Store::Memory, driver: Driver::Bare }.world().await;
        let stores = ManualClock::new();
        let builder = Auth::builder(config()).store(MemoryStore::new(Arc::new(stores.clone())));
        let builder = builder.mailer(RecordingMailer::default()).hasher(InsecurePlainHasher::default());
        let node = world.clock.clone();
        let world = world.around(builder.clock(node.clone()).without_workers().build().unwrap());
        world.auth.admin().ensure_superuser(ADA, PASSWORD).await.unwrap();
        let jar = world.session(ADA).await;
        node.advance(Duration::from_secs(seconds));
        let (logs, _guard) = Logs::of_this_thread();
        assert_eq!(world.refresh(&jar).await.status, 200);
        assert_eq!(logs.take().contains("the clocks of this node and of its store differ"), is_off, "{seconds}");
    }
}

async fn a_durable_count_is_one_count_on_both_nodes(ground: Ground) {
    let nodes = Nodes::of(ground, |config| config.policy.max_consecutive_failures = 15).await;
    let [one, other] = &nodes.0;
    one.account(ADA).await;
    nodes.at_once(vec![guess("wrong"); CALLERS]).await;
    let email = Email::parse(ADA).unwrap();
    let row = one.auth.system().ports().users.find(&TenantId::default(), UserKey::Email(&email)).await.unwrap();
    assert_eq!(row.unwrap().consecutive_failures, 15, "none is lost, and none counts beyond the limit");
    for node in [one, other] {
        node.send(guess(PASSWORD)).await.refused(401, "invalid_credentials");
    }
}

async fn an_address_has_one_limit_on_both_nodes(ground: Ground) {
    let nodes = Nodes::of(ground, |config| {
        config.policy.timed_limits = true;
        config.throttles.set("password_reset", Limit::new(5, Duration::from_secs(60)));
    })
    .await;
    let answers = nodes.at_once(vec![post("password-reset/").json(json!({ "email": ADA })); CALLERS]).await;
    assert_eq!(succeeded(&answers), 5);
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status.as_u16())), "{answers:?}");
}

async fn both_nodes_refresh_to_the_same_bytes(ground: Ground) {
    let nodes = Nodes::of(ground, |_| {}).await;
    let [one, other] = &nodes.0;
    one.account(ADA).await;
    let mut jar = other.session(ADA).await;
    for generation in 1..=20 {
        one.advance(Duration::from_secs(30));
        let answers = nodes.at_once(vec![post("refresh/").jar(&jar); CALLERS / 2]).await;
        assert_eq!(succeeded(&answers), CALLERS / 2, "{answers:?}");
        assert_eq!(answers.iter().map(Answer::set_cookies).collect::<BTreeSet<_>>().len(), 1);
        jar = answers[0].jar();
        assert_eq!(claims(jar.refresh())["generation"], generation);
    }
}

async fn a_generation_that_one_node_replaced_is_stale_on_the_other(ground: Ground) {
    let nodes = Nodes::of(ground, |_| {}).await;
    let [one, other] = &nodes.0;
    one.account(ADA).await;
    let stolen = one.session(ADA).await;
    let jar = other.refresh(&stolen).await.jar();
    assert_eq!(one.refresh(&jar).await.status, 200, "the new one arrived");
    one.advance(Duration::from_secs(11));
    // Whoever comes with the old one shows that somebody copied it: the session is over, everywhere.
    one.refresh(&stolen).await.refused(401, "refresh_invalid");
    other.refresh(&jar).await.refused(401, "refresh_invalid");
    one.advance(Duration::from_secs(2));
    for node in [one, other] {
        node.me(&jar).await.refused(401, "not_authenticated");
    }
}

async fn a_logout_at_one_node_holds_at_the_other_within_the_lag(ground: Ground) {
    let nodes = Nodes::of(ground, |_| {}).await;
    let [one, other] = &nodes.0;
    one.account(ADA).await;
    for round in 0..20 {
        let (here, there) = if round % 2 == 0 { (one, other) } else { (other, one) };
        let jar = here.session(ADA).await;
        assert_eq!(there.me(&jar).await.status, 200);
        // So that a refresh makes new tokens.
        here.advance(Duration::from_secs(30));
        let mut calls = [vec![get("me/").jar(&jar); 10], vec![post("refresh/").jar(&jar); 10]].concat();
        calls.insert(round, post("logout/").jar(&jar));
        let answers = nodes.at_once(calls).await;
        assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status.as_u16())), "{answers:?}");
        // The lag is a second.
        here.advance(Duration::from_millis(1001));
        let refreshed = answers.iter().map(Answer::jar).filter(|jar| jar.has_access());
        for jar in refreshed.chain([jar]) {
            for node in [here, there] {
                node.me(&jar).await.refused(401, "not_authenticated");
                node.refresh(&jar).await.refused(401, "refresh_invalid");
            }
        }
    }
}

async fn a_mail_is_sent_by_one_node_alone(ground: Ground) {
    let nodes = Nodes::of(ground, |_| {}).await;
    let address = |number: usize| format!("user{number}@example.org");
    let sign_ups =
        (0..CALLERS).map(|number| post("signup/").json(json!({ "email": address(number), "password": PASSWORD })));
    assert_eq!(succeeded(&nodes.at_once(sign_ups.collect()).await), CALLERS);
    let mut workers = JoinSet::new();
    for worker in 0..8 {
        let node = nodes.0[worker % 2].clone();
        workers.spawn(async move { while !node.auth.system().deliver_mail().await.unwrap().is_idle() {} });
    }
    workers.join_all().await;
    let mut sent: Vec<_> = nodes.0.iter().flat_map(|node| node.mailer.take()).map(|mail| mail.to).collect();
    sent.sort_unstable();
    let mut expected: Vec<_> = (0..CALLERS).map(address).collect();
    expected.sort_unstable();
    assert_eq!(sent, expected);
    let events = nodes.0.iter().flat_map(|node| node.events.take());
    assert_eq!(events.filter(|event| matches!(event, Event::MailSent { .. })).count(), CALLERS);
}
