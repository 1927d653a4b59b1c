//! The account service beside a PostgreSQL that is killed again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a step that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "what is measured is the time of a clock on the wall")]

#[path = "common/ports.rs"]
mod ports;
#[path = "common/postgres_server.rs"]
mod postgres_server;

use std::collections::HashSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_system::auth_core::operator::NewAccount;
use auth_system::auth_core::port::{MailPurpose, UserKey, UserStore};
use auth_system::auth_core::testing::{InsecurePlainHasher, RecordingMailer};
use auth_system::auth_core::token::RootSecret;
use auth_system::auth_core::types::{Email, TenantId, User};
use auth_system::store::PostgresStore;
use auth_system::{Auth, Config};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_scalar, raw_sql};
use tokio::task::{JoinSet, spawn_blocking};

use self::postgres_server::Postgres;

const ROUNDS: u32 = 4;
const WORKERS: u32 = 12;
/// The most that the policy allows.
const MAX_FAILURES: u32 = 1_000;
const PASSWORD: &str = "correct horse battery";
/// Within this time of the server's return everything works again.
const RECOVERY: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Service {
    auth: Auth,
    store: PostgresStore,
    mailer: RecordingMailer,
}

/// What a client was told, and what it was not.
#[derive(Default)]
struct Figures {
    answers: AtomicU32,
    unavailable: Mutex<Vec<Instant>>,
    signed_up: Mutex<Vec<String>>,
    logged_out: Mutex<Vec<String>>,
}

impl Service {
    async fn start(url: &str) -> Self {
        let secret = concat!("c41f7ab8092e5d63f8b4107e9a2cd53f", "6e04b1d79c8f23a05b7ee1468d3092fc");
        let mut config = Config::new(RootSecret::parse(secret).unwrap(), "https://app.example.org");
        config.policy.timed_limits = false;
        config.policy.max_consecutive_failures = MAX_FAILURES;
        // A client whose refresh was cut off asks again with the same token, after the server is back.
        config.policy.refresh_window = Duration::from_secs(60);
        let store = PostgresStore::open(url).await.unwrap();
        let mailer = RecordingMailer::default();
        let builder = Auth::builder(config).store(store.clone()).mailer(mailer.clone());
        let auth = builder.hasher(InsecurePlainHasher::default()).without_workers().build().unwrap();
        Self { auth, store, mailer }
    }

    async fn send(&self, path: &str, cookie: &str, body: Value) -> (StatusCode, HeaderMap) {
        let request = Request::post(format!("/api/auth/{path}/")).header("content-type", "application/json");
        let request = request.header("cookie", cookie).body(http_body_util::Full::new(Bytes::from(body.to_string())));
        let response = self.auth.respond(request.unwrap(), Some(IpAddr::from([192, 0, 2, 1]))).await;
        (response.status(), response.headers().clone())
    }

    /// Sends until it is answered, and notes each time that it was not.
    async fn ask(&self, figures: &Figures, path: &str, cookie: &str, body: Value) -> (StatusCode, HeaderMap) {
        let mut again = false;
        loop {
            let (status, headers) = self.send(path, cookie, body.clone()).await;
            if status != StatusCode::SERVICE_UNAVAILABLE {
                figures.answers.fetch_add(1, Ordering::Relaxed);
                // What ended a session before its answer got lost.
                let ended = again && path == "logout" && status == StatusCode::UNAUTHORIZED;
                return (if ended { StatusCode::OK } else { status }, headers);
            }
            again = true;
            figures.unavailable.lock().unwrap().push(Instant::now());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn user(&self, email: &str) -> Option<User> {
        let email = Email::parse(email).unwrap();
        self.store.find(&TenantId::default(), UserKey::Email(&email)).await.unwrap()
    }

    /// One client: signs accounts up, fails to log in, logs in, refreshes and logs out, until it is told to stop. Returns
    /// how many wrong passwords were answered.
    async fn client(self, worker: u32, figures: Arc<Figures>, stop: Arc<AtomicBool>) -> u32 {
        let (known, guessed) = (known(worker), guessed(worker));
        let (mut number, mut refused) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let email = format!("new{worker}-{number}@example.org");
            let body = json!({ "email": email, "password": PASSWORD });
            expect(self.ask(&figures, "signup", "", body).await.0, 201, "sign-up");
            figures.signed_up.lock().unwrap().push(email);

            let body = json!({ "email": guessed, "password": "wrong horse battery" });
            expect(self.ask(&figures, "login", "", body).await.0, 401, "a wrong password");
            refused += 1;

            let body = json!({ "email": known, "password": PASSWORD });
            let (status, headers) = self.ask(&figures, "login", "", body).await;
            expect(status, 200, "login");
            let (status, headers) = self.ask(&figures, "refresh", &cookies(&headers), json!({})).await;
            expect(status, 200, "refresh");
            let jar = cookies(&headers);
            expect(self.ask(&figures, "logout", &jar, json!({})).await.0, 200, "logout");
            figures.logged_out.lock().unwrap().push(jar);
        }
        refused
    }
}

fn known(worker: u32) -> String {
    format!("known{worker}@example.org")
}

fn guessed(worker: u32) -> String {
    format!("guessed{worker}@example.org")
}

#[track_caller]
fn expect(status: StatusCode, expected: u16, what: &str) {
    assert_eq!(status.as_u16(), expected, "{what}");
}

fn cookies(headers: &HeaderMap) -> String {
    let cookies = headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    cookies.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs one"]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut server = Postgres::start();
    let service = Service::start(&server.url()).await;
    for worker in 0..WORKERS {
        for email in [known(worker), guessed(worker)] {
            let account =
                NewAccount { email: &email, password: Some(PASSWORD), verified: true, ..NewAccount::default() };
            service.auth.admin().create_user(account).await.unwrap();
        }
    }
    let (figures, stop) = (Arc::new(Figures::default()), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for worker in 0..WORKERS {
        let client = service.clone().client(worker, figures.clone(), stop.clone());
        clients.spawn(async move { (worker, client.await) });
    }
    let mut up = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        up.push((start, Instant::now()));
        server = spawn_blocking(move || {
            server.kill();
            std::thread::sleep(Duration::from_millis(500));
            server.restart();
            server
        })
        .await
        .unwrap();
    }
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    up.push((start, Instant::now()));
    stop.store(true, Ordering::Relaxed);
    let refused = clients.join_all().await;

    let unavailable = figures.unavailable.lock().unwrap().clone();
    let mut slowest = Duration::ZERO;
    for (start, end) in &up {
        let while_up = unavailable.iter().filter(|at| (start..=end).contains(at));
        slowest = while_up.map(|at| at.duration_since(*start)).fold(slowest, Duration::max);
    }
    assert!(slowest < RECOVERY, "not available {slowest:?} after the server's return");
    assert!(unavailable.len() >= usize::try_from(ROUNDS).unwrap(), "nobody noticed that the server was down");

    for (worker, refused) in refused {
        let failures = service.user(&guessed(worker)).await.unwrap().consecutive_failures;
        // A failure whose answer was lost may have been counted as well.
        assert!(failures >= refused.min(MAX_FAILURES), "{failures} of {refused} failures are counted");
    }
    let signed_up = figures.signed_up.lock().unwrap().clone();
    while !service.auth.system().deliver_mail().await.unwrap().is_idle() {}
    let mails = service.mailer.take().into_iter().filter(|mail| mail.purpose == MailPurpose::VerifyEmail);
    let mailed: HashSet<_> = mails.map(|mail| mail.to).collect();
    for email in &signed_up {
        assert!(service.user(email).await.is_some(), "{email} is gone");
        assert!(mailed.contains(email), "the mail to {email} is gone");
    }
    let logged_out = figures.logged_out.lock().unwrap().clone();
    for jar in &logged_out {
        expect(service.send("refresh", jar, json!({})).await.0, 401, "a refresh after the logout");
    }
    // Past the capture of a passed test's output, for the figures are what one wants to see of it.
    writeln!(
        std::io::stdout(),
        "{ROUNDS} kills: {} answers, {} times unavailable, the last one {slowest:?} after a return; {} sign-ups with \
         their mails, {} logouts, all there",
        figures.answers.load(Ordering::Relaxed),
        unavailable.len(),
        signed_up.len(),
        logged_out.len(),
    )
    .unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn tls_needs_a_certificate_that_is_trusted() {
    let server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let mut operator = PgConnection::connect(&server.url()).await.unwrap();
    // By its own hands: a key that others may read is none to it.
    for (file, pem) in [("own.crt", own.cert.pem()), ("own.key", own.signing_key.serialize_pem())] {
        let lines = format!("COPY (SELECT regexp_split_to_table('{pem}', '\\n')) TO PROGRAM 'umask 077; cat >{file}'");
        raw_sql(AssertSqlSafe(lines)).execute(&mut operator).await.unwrap();
    }
    for setting in ["ssl_cert_file = 'own.crt'", "ssl_key_file = 'own.key'", "ssl = on"] {
        raw_sql(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).execute(&mut operator).await.unwrap();
    }
    raw_sql("SELECT pg_reload_conf()").execute(&mut operator).await.unwrap();

    let open = async |host: &str, root: Option<&str>| {
        let url = server.url().replace("127.0.0.1", host) + "?sslmode=verify-full";
        let root = root.map(|root| {
            let path = folder.path().join("root.pem");
            std::fs::write(&path, root).unwrap();
            format!("&sslrootcert={}", path.display())
        });
        PostgresStore::open(&(url + root.as_deref().unwrap_or(""))).await
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    let store = loop {
        match open("localhost", Some(&own.cert.pem())).await {
            Ok(store) => break store,
            // It reads its settings by and by.
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let nobody = Email::parse("nobody@example.org").unwrap();
    assert!(store.find(&TenantId::default(), UserKey::Email(&nobody)).await.unwrap().is_none());
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl";
    let encrypted: i64 = query_scalar(encrypted).fetch_one(&mut operator).await.unwrap();
    assert!(encrypted > 0);
    drop(store);
    for (host, root, why) in [
        ("127.0.0.1", Some(own.cert.pem()), "it is for another name"),
        ("localhost", Some(other.cert.pem()), "it goes back to somebody else"),
        ("localhost", None, "browsers do not trust it"),
    ] {
        assert!(open(host, root.as_deref()).await.is_err(), "{why}");
    }
}
