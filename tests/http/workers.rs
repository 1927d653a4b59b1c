//! What runs beside the requests, in real time: mails go out by themselves, revocations arrive from other nodes, and
//! neither a panic nor an end of the process loses anything.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth_system::Auth;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::operator::NewAccount;
use auth_system::auth_core::port::{Event, Mail, MailError, MailPurpose, Mailer, UserKey};
use auth_system::auth_core::testing::{InsecurePlainHasher, RecordingMailer};
use auth_system::auth_core::types::{Email, SessionId, TenantId};
use auth_system::store::SqliteStore;
use auth_system::system::SystemClock;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::door::Driver;
use crate::faults::{Fault, Faults};
use crate::logs::Logs;
use crate::place::Store;
use crate::world::{self, Ground, Jar, Link, PASSWORD, World, claims, get, post};

const MEMORY: Ground = Ground { store: Store::Memory, driver: Driver::Axum };

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} does not happen");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A world whose workers run, by its own clock.
async fn at_work(mailer: impl Mailer) -> World {
    let world = MEMORY.world().await;
    let faults = Faults::default();
    let auth = faults.builder(&world, world::config()).mailer(mailer).build().unwrap();
    world.around(auth)
}

fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    Some(all).filter(|all| !all.is_empty())
}

/// Works for a moment at each mail, or panics at the first ones.
#[derive(Clone, Default)]
struct Worker {
    sent: RecordingMailer,
    takes: Duration,
    panics: Arc<AtomicU32>,
}

#[async_trait]
impl Mailer for Worker {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let panics = self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(panics.is_err(), "a defect of the application's own mailer");
        sleep(self.takes).await;
        self.sent.send(mail).await
    }
}

#[tokio::test]
async fn a_queued_mail_goes_out_by_itself_and_at_once() {
    let mailer = RecordingMailer::default();
    let world = at_work(mailer.clone()).await;
    // The worker rests by now.
    sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    world.sign_up("ada@example.org", PASSWORD).await;
    let mails = eventually("the mail", || some(mailer.take())).await;
    assert_eq!((mails[0].to.as_str(), mails[0].purpose), ("ada@example.org", MailPurpose::VerifyEmail));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_mail_that_another_node_queued_is_found() {
    let mailer = RecordingMailer::default();
    let world = MEMORY.world().await;
    let faults = Faults::default();
    let worker = faults.builder(&world, world::config()).mailer(mailer.clone()).build().unwrap();
    sleep(Duration::from_millis(50)).await;
    world.sign_up("ada@example.org", PASSWORD).await;
    eventually("the mail", || some(mailer.take())).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_mail_that_was_put_off_goes_out_when_its_time_has_come() {
    let mailer = RecordingMailer::default();
    let world = at_work(mailer.clone()).await;
    mailer.set_down(true);
    world.sign_up("ada@example.org", PASSWORD).await;
    let delayed = |event: &Event| matches!(event, Event::MailDelayed { tries: 1, .. });
    eventually("the first try", || world.events.take().iter().any(delayed).then_some(())).await;
    mailer.set_down(false);
    world.advance(Duration::from_secs(9));
    let wake = post("password-reset/").json(json!({ "email": "nobody@example.org" }));
    world.send(wake.clone()).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(mailer.take(), [], "not before ten seconds");
    world.advance(Duration::from_secs(1));
    world.send(wake).await;
    assert_eq!(eventually("the second try", || some(mailer.take())).await.len(), 1);
}

#[tokio::test]
async fn what_is_over_is_removed_at_the_start() {
    let world = MEMORY.world().await;
    let store = MemoryStore::new(Arc::new(world.clock.clone()));
    let clock = world.clock.clone();
    let builder = || {
        let builder = Auth::builder(world::config()).store(store.clone()).mailer(RecordingMailer::default());
        builder.hasher(InsecurePlainHasher::default()).clock(clock.clone())
    };
    let world = world.around(builder().without_workers().build().unwrap());
    let admin = world.auth.admin();
    let account = async |email| {
        let made = NewAccount { email, password: Some(PASSWORD), verified: true, ..NewAccount::default() };
        admin.create_user(made).await.unwrap().id
    };
    account("ada@example.org").await;
    let (bob, eve) = (account("bob@example.org").await, account("eve@example.org").await);
    let jar = world.session("eve@example.org").await;
    let body = json!({ "password": PASSWORD, "confirm_deactivation": true });
    assert_eq!(world.send(post("deactivate-account/").jar(&jar).json(body)).await.status, 200);
    world.sign_up("nobody@example.org", PASSWORD).await;
    let nobody = Email::parse("nobody@example.org").unwrap();
    let jar = world.session("ada@example.org").await;
    world.send(post("logout/").jar(&jar)).await;
    admin.delete(&bob).await.unwrap();
    world.advance(Duration::from_secs(30 * 24 * 60 * 60));

    let at_work = builder().build().unwrap();
    let left = || {
        let keys = [UserKey::Id(&bob), UserKey::Id(&eve), UserKey::Email(&nobody)];
        let (found, session) = (keys.map(|key| admin.find(key)), session_of(&world, &jar));
        async move {
            for found in found {
                if found.await.unwrap().is_some() {
                    return true;
                }
            }
            session.await
        }
    };
    timeout(Duration::from_secs(20), async {
        while left().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    at_work.shutdown().await;
}

/// Whether there still is a row of it.
async fn session_of(world: &World, jar: &Jar) -> bool {
    let id = SessionId(claims(jar.access())["sid"].as_str().unwrap().parse().unwrap());
    world.auth.system().ports().sessions.find(&TenantId::default(), id).await.unwrap().is_some()
}

#[tokio::test]
async fn a_shutdown_sends_what_waits_and_drops_no_mail_half_sent() {
    let mailer = Worker { takes: Duration::from_millis(100), ..Worker::default() };
    let world = at_work(mailer.clone()).await;
    for name in ["ada", "bob", "eve"] {
        world.sign_up(&format!("{name}@example.org"), PASSWORD).await;
    }
    // The first one is at hand.
    sleep(Duration::from_millis(20)).await;
    timeout(Duration::from_secs(5), world.auth.shutdown()).await.unwrap();
    let mut sent: Vec<_> = mailer.sent.take().into_iter().map(|mail| mail.to).collect();
    sent.sort();
    assert_eq!(sent, ["ada@example.org", "bob@example.org", "eve@example.org"]);
    world.advance(Duration::from_secs(3600));
    assert!(world.auth.system().deliver_mail().await.unwrap().is_idle(), "each is settled, so none goes out twice");

    // Requests go on, and what they queue waits for the next start.
    assert_eq!(world.sign_up("fay@example.org", PASSWORD).await.status, 201);
    world.auth.shutdown().await;
    assert_eq!(mailer.sent.take(), []);
    assert_eq!(world.auth.system().deliver_mail().await.unwrap().sent, 1);
}

#[tokio::test]
async fn a_shutdown_ends_though_a_mail_does_not() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = at_work(Worker { takes: Duration::from_secs(3600), ..Worker::default() }).await;
    world.sign_up("ada@example.org", PASSWORD).await;
    timeout(Duration::from_secs(15), world.auth.shutdown()).await.unwrap();
    assert!(logs.take().contains("mails are left in the outbox"));
}

#[tokio::test]
async fn a_mailer_that_panics_stops_no_other_mail() {
    let (logs, _guard) = Logs::of_this_thread();
    let mailer = Worker { panics: Arc::new(AtomicU32::new(2)), ..Worker::default() };
    let world = at_work(mailer.clone()).await;
    for name in ["ada", "bob", "eve"] {
        world.sign_up(&format!("{name}@example.org"), PASSWORD).await;
    }
    eventually("the third mail", || some(mailer.sent.take())).await;
    let lines = logs.take();
    assert_eq!(lines.matches("ERROR auth: a worker panicked; it starts anew worker=\"mails\"").count(), 2, "{lines}");
    // Those at hand come again once their lease has ended.
    world.advance(Duration::from_secs(120));
    world.send(post("password-reset/").json(json!({ "email": "nobody@example.org" }))).await;
    let mut others = Vec::new();
    eventually("the other mails", || {
        others.extend(mailer.sent.take());
        (others.len() == 2).then_some(())
    })
    .await;
}

/// A node of its own over a file, by the machine's clock.
async fn node(file: &Path) -> (World, RecordingMailer) {
    let store = SqliteStore::open(&format!("sqlite://{}", file.display())).await.unwrap();
    let mailer = RecordingMailer::default();
    let auth = Auth::builder(world::config()).store(store).mailer(mailer.clone());
    let auth = auth.hasher(InsecurePlainHasher::default()).build().unwrap();
    (MEMORY.world().await.around(auth), mailer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_ends_is_over_on_the_other_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.db");
    let ((here, mailer), (there, other_mailer)) = (node(&file).await, node(&file).await);
    let link = async || {
        let both = || some([mailer.take(), other_mailer.take()].concat());
        Link::of(&eventually("the mail", both).await[0])
    };
    here.sign_up("ada@example.org", PASSWORD).await;
    assert_eq!(there.send(link().await.verify()).await.status, 200);

    let (first, second) = (here.session("ada@example.org").await, there.session("ada@example.org").await);
    for (node, jar) in [(&here, &second), (&there, &first)] {
        assert_eq!(node.app(get("/whoami").jar(jar)).await.status, 200);
    }
    // A logout.
    assert_eq!(here.send(post("logout/").jar(&first)).await.status, 200);
    ends(&there, &first).await;
    assert_eq!(there.app(get("/whoami").jar(&second)).await.status, 200);
    // A new password.
    there.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    assert_eq!(there.send(link().await.set_password("another good password")).await.status, 200);
    ends(&here, &second).await;
}

async fn ends(node: &World, jar: &Jar) {
    let start = Instant::now();
    while node.app(get("/whoami").jar(jar)).await.status == 200 {
        assert!(start.elapsed() < Duration::from_secs(2), "the session lives on");
        sleep(Duration::from_millis(5)).await;
    }
    node.app(get("/whoami").jar(jar)).await.refused(401, "not_authenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_running_when_the_last_handle_is_dropped() {
    let world = MEMORY.world().await;
    let slow = Worker { takes: Duration::from_secs(3600), ..Worker::default() };
    let store = MemoryStore::new(Arc::new(SystemClock));
    let auth = Auth::builder(world::config()).store(store).mailer(slow).hasher(InsecurePlainHasher::default());
    let world = world.around(auth.build().unwrap());
    world.sign_up("ada@example.org", PASSWORD).await;
    let users = world.auth.system().ports().users.clone();
    // In the middle of a mail that takes an hour.
    sleep(Duration::from_millis(50)).await;
    assert!(Arc::strong_count(&users) > 1);
    drop(world);
    eventually("the end of the tasks", || (Arc::strong_count(&users) == 1).then_some(())).await;
}

#[tokio::test]
async fn an_outage_is_told_once_with_its_cause_and_ends_by_itself() {
    let (logs, _guard) = Logs::of_this_thread();
    let faults = Faults::default();
    let world = MEMORY.world().await;
    let mut config = world::config();
    config.policy.revocation_lag = Duration::from_millis(100);
    let auth = faults.builder(&world, config).clock(SystemClock).build().unwrap();
    let world = world.around(auth);
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.status, 200);

    faults.stores.always(Fault::FailBefore);
    faults.stores.calls();
    let mut polls = 0;
    eventually("twenty polls", || {
        polls += faults.stores.calls().iter().filter(|call| **call == "users.changes").count();
        (polls >= 20).then_some(())
    })
    .await;
    for path in ["/whoami", "/maybe", "/required"] {
        world.app(get(path).jar(&jar)).await.refused(503, "unavailable");
    }
    let lines = logs.take();
    let told = lines.lines().filter(|line| line.contains("revocations cannot be read")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains(Faults::CAUSE), "{told:?}");

    faults.stores.heal();
    eventually("the recovery", || logs.take().contains("revocations are read again").then_some(())).await;
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.status, 200);

    // The outbox, too, names what it suffers from.
    world.mailer.set_down(false);
    faults.stores.at(1, Fault::FailBefore);
    world.sign_up("bob@example.org", PASSWORD).await;
    faults.stores.always(Fault::FailBefore);
    let named = |line: &str| line.contains("the outbox does not answer") && line.contains(Faults::CAUSE);
    eventually("the line", || logs.take().lines().any(named).then_some(())).await;
}
