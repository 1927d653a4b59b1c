//! A process that is killed, again and again and at any moment: what was acknowledged is there, each mail goes out, and
//! what was not acknowledged can be asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use auth_system::auth_core::port::{Clock, Random as _};
use auth_system::auth_core::types::Timestamp;
use auth_system::mail::transport_from;
use auth_system::store::SqliteStore;
use auth_system::system::{SystemClock, SystemRandom};
use auth_system::{Auth, Config};
use tokio::runtime::Builder;

use crate::server::{Example, PASSWORD, Site, link};

/// How often a process is killed, on all sites together.
const ROUNDS: usize = 100;
/// Sites that live side by side.
const SITES: usize = 2;
/// Who signs up at the same time on each site.
const CLIENTS: usize = 3;

#[test]
fn a_hundred_kills_lose_no_acknowledged_sign_up_and_no_mail() {
    thread::scope(|scope| {
        for _ in 0..SITES {
            scope.spawn(|| lives_and_dies(ROUNDS / SITES));
        }
    });
}

fn lives_and_dies(rounds: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let site = Example::Axum.site();
    // How long a start takes here and now; the kills come before, during and after it.
    let began = SystemClock.monotonic();
    drop(site.start());
    let longest = (SystemClock.monotonic() - began) * 2 + Duration::from_millis(400);

    let mut clients: Vec<_> = (0..CLIENTS).map(Client::new).collect();
    for round in 0..rounds {
        let log = File::options().create(true).append(true).open(site.path("stderr.log")).unwrap();
        let mut process = site.command().stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.sign_up_until(&over, &site));
            }
            thread::sleep(longest.mul_f64(random_fraction()));
            // SIGKILL: nothing is told, flushed or settled.
            process.kill().unwrap();
            process.wait().unwrap();
            over.store(true, Ordering::SeqCst);
        });
        let users: BTreeSet<_> = runtime.block_on(site.column("SELECT email FROM auth_users")).into_iter().collect();
        let (sent, waiting) = (sent(&site), waiting(&site, &runtime));
        for email in clients.iter().flat_map(|client| &client.acknowledged) {
            assert!(users.contains(email), "round {round}: the account of {email} is lost");
            let has_mail = sent.contains_key(email) || waiting.contains_key(email);
            assert!(has_mail, "round {round}: the mail to {email} is neither sent nor queued");
        }
    }
    let (before, left) = (sent(&site), waiting(&site, &runtime));
    runtime.block_on(send_what_is_left(&site));
    assert_eq!(waiting(&site, &runtime), BTreeMap::new());
    let after = sent(&site);
    let copies = |of: &BTreeMap<String, usize>, email: &str| of.get(email).copied().unwrap_or(0);
    for client in &clients {
        assert!(client.acknowledged.len() >= rounds / 4, "too few sign-ups to tell: {client:?}");
        for email in &client.acknowledged {
            // A mail that was sent and is queued still met its kill between the two writes: it goes out twice. No other
            // does, unless somebody asked twice.
            let expected = copies(&before, email) + copies(&left, email);
            assert_eq!(copies(&after, email), expected, "{email}");
            let once = client.repeated.contains(email) || copies(&before, email) <= 1 && copies(&left, email) <= 1;
            assert!(once, "{email}: {before:?} {left:?}");
        }
    }

    // They are accounts that work.
    let server = site.start();
    for email in clients.iter().filter_map(|client| client.acknowledged.last()) {
        let link = link(&site.mail(email));
        let verify = format!("/api/auth/verify-account/?{}", link.split_once('?').unwrap().1);
        assert_eq!(site.call("GET", &verify).send().status, 200);
        assert_eq!(site.log_in(email).status, 200);
    }
    assert!(server.end().success(), "and none of the processes panicked");
}

/// Between 0 and 1.
fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    SystemRandom.fill(&mut bytes).unwrap();
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// Signs up one address after the other, each until it is acknowledged.
#[derive(Debug)]
struct Client {
    number: usize,
    acknowledged: Vec<String>,
    /// Those that it had to ask for again.
    repeated: BTreeSet<String>,
}

impl Client {
    fn new(number: usize) -> Self {
        Self { number, acknowledged: Vec::new(), repeated: BTreeSet::new() }
    }

    fn sign_up_until(&mut self, over: &AtomicBool, site: &Site) {
        while !over.load(Ordering::SeqCst) {
            if TcpStream::connect(site.address).is_err() {
                // Not yet up, or down by now.
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let email = format!("client{}-{}@example.org", self.number, self.acknowledged.len());
            let body = serde_json::json!({ "email": email, "password": PASSWORD });
            match site.call("POST", "/api/auth/signup/").json(&body).try_send() {
                Some(answer) => {
                    assert_eq!(answer.status, 201, "{answer:?}");
                    self.acknowledged.push(email);
                }
                None => _ = self.repeated.insert(email),
            }
        }
    }
}

/// How many mails each recipient has.
fn sent(site: &Site) -> BTreeMap<String, usize> {
    let to = |mail: String| mail.lines().find_map(|line| line.strip_prefix("To: ").map(str::to_owned));
    count(site.mails().into_iter().map(|mail| to(mail).unwrap()))
}

/// How many mails to each recipient are in the outbox: due, or in the hands of a process that is no more.
fn waiting(site: &Site, runtime: &tokio::runtime::Runtime) -> BTreeMap<String, usize> {
    let alive = "SELECT address FROM auth_mail_outbox WHERE state <> 'dead'";
    count(runtime.block_on(site.column(alive)).into_iter())
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    names.fold(BTreeMap::new(), |mut counts, name| {
        *counts.entry(name).or_default() += 1;
        counts
    })
}

/// What the next process would do once the leases of the dead ones have ended: the same outbox and the same mails, on a
/// clock that is past them.
async fn send_what_is_left(site: &Site) {
    struct Later;
    impl Clock for Later {
        fn now(&self) -> Timestamp {
            SystemClock.now() + Duration::from_secs(180)
        }

        fn monotonic(&self) -> Duration {
            SystemClock.monotonic()
        }
    }

    let config = Config::from_lookup(|name| match name {
        "AUTH_SECRET" => Some(fs::read_to_string(site.path("auth.key")).unwrap()),
        "AUTH_FRONTEND_URL" => Some(format!("http://{}", site.address)),
        _ => None,
    });
    let config = config.unwrap();
    let mails = transport_from(&format!("dir:{}", site.path("mails").display()), config.sender().unwrap()).unwrap();
    let store = SqliteStore::open(&format!("sqlite://{}", site.path("auth.db").display())).await.unwrap();
    let auth = Auth::builder(config).store(store).mail(mails).clock(Later).without_workers().build().unwrap();
    while !auth.system().deliver_mail().await.unwrap().is_idle() {}
}
