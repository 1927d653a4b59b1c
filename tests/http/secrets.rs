//! Nothing secret in logs, and nothing in the database that opens anything.

use std::io;
use std::sync::{Arc, Mutex};

use auth_system::auth_core::port::MailPurpose;
use auth_system::auth_core::testing::{ManualClock, RecordingMailer};
use auth_system::hash::Argon2Params;
use auth_system::store::SqliteStore;
use auth_system::{Auth, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use sqlx::{Column, Row};
use tracing::instrument::WithSubscriber as _;

use crate::world::{Answer, Call, Jar, Link, SECRET, config, get, post};

const PASSWORD: &str = "a password nobody prints";

/// A system with the real hasher and a pepper, on a file of its own.
struct Vault {
    auth: Auth,
    mailer: RecordingMailer,
    dir: tempfile::TempDir,
}

impl Vault {
    async fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let url = format!("sqlite://{}", dir.path().join("auth.db").display());
        let store = SqliteStore::open_with_clock(&url, Arc::new(clock.clone())).await.unwrap();
        let mut config = config();
        config.argon2 = Argon2Params::insecure_for_tests();
        config.pepper = true;
        configure(&mut config);
        let mailer = RecordingMailer::default();
        let auth = Auth::builder(config).store(store).mailer(mailer.clone()).clock(clock).without_workers();
        Self { auth: auth.build().unwrap(), mailer, dir }
    }

    async fn send(&self, call: Call) -> Answer {
        let mut request = Request::builder().method(call.method).uri(call.path).body(Full::new(call.body)).unwrap();
        *request.headers_mut() = call.headers;
        let response: Response<Bytes> = self.auth.respond(request, Some(call.peer)).await;
        Answer { status: response.status(), headers: response.headers().clone(), body: response.into_body() }
    }

    async fn link(&self, purpose: MailPurpose) -> Link {
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        let mail = self.mailer.take().into_iter().find(|mail| mail.purpose == purpose).unwrap();
        let (user, token) = mail.link.unwrap();
        Link { uid: URL_SAFE_NO_PAD.encode(user), token }
    }

    /// A life with everything that is secret in it: the session, its successor, and the links that were mailed.
    async fn live(&self) -> (Vec<Jar>, Vec<Link>) {
        let body = json!({ "email": "ada@example.org", "password": PASSWORD });
        assert_eq!(self.send(post("signup/").json(body.clone())).await.status, 201);
        self.send(post("login/").json(body.clone())).await.refused(401, "invalid_credentials");
        let verify = self.link(MailPurpose::VerifyEmail).await;
        assert_eq!(self.send(verify.verify()).await.status, 200);
        let first = self.send(post("login/").json(body.clone())).await.jar();
        let second = self.send(post("refresh/").jar(&first)).await.jar();
        assert_eq!(self.send(get("me/").jar(&second)).await.status, 200);
        self.send(post("login/").json(json!({ "email": "ada@example.org", "password": "an incorrect guess" }))).await;
        self.send(get("me/").jar(&Jar::of("access_token", second.refresh()))).await;
        self.send(post("refresh/").jar(&Jar::of("refresh_token", second.access()))).await;
        self.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
        let reset = self.link(MailPurpose::ResetPassword).await;
        self.mailer.set_down(true);
        self.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
        self.auth.system().deliver_mail().await.unwrap();
        self.mailer.set_down(false);
        (vec![first, second], vec![verify, reset])
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let life = async {
        let vault = Vault::new(|_| {}).await;
        let (jars, links) = vault.live().await;
        std::fs::remove_file(vault.dir.path().join("auth.db")).unwrap();
        let body = json!({ "email": "ada@example.org", "password": PASSWORD });
        vault.send(post("login/").json(body)).await.refused(503, "unavailable");
        tracing::info!(config = ?config(), auth = ?vault.auth, system = ?vault.auth.system());
        (jars, links)
    };
    let (jars, links) = life.with_subscriber(subscriber).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["SignedUp", "LoggedIn", "Refreshed", "MailDelayed", "ERROR"] {
        assert!(log.contains(expected), "{expected} is not logged:\n{log}");
    }
    let tokens = jars.iter().flat_map(|jar| jar.cookies.values().cloned());
    let secrets = tokens.chain(links.into_iter().map(|link| link.token));
    for secret in secrets.chain([PASSWORD.into(), SECRET.into(), "$argon2id$".into(), "an incorrect guess".into()]) {
        // Its second half would be enough to see that it is there.
        assert!(!log.contains(&secret[secret.len() / 2..]), "a secret is logged: {secret}\n{log}");
    }
}

#[tokio::test]
async fn nothing_in_a_dump_opens_anything() {
    // Every guess below is a request of one client, and none of them may be refused for that.
    let vault = Vault::new(|config| config.policy.max_consecutive_failures = 1000).await;
    let (jars, links) = vault.live().await;
    // Pending work as well: another mail that waits.
    vault.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;

    let mut raw = Vec::new();
    for file in std::fs::read_dir(vault.dir.path()).unwrap() {
        raw.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let raw = String::from_utf8_lossy(&raw);
    assert!(raw.contains("ada@example.org"), "the dump is a dump");
    let tokens = jars.iter().flat_map(|jar| jar.cookies.values()).chain(links.iter().map(|link| &link.token));
    for token in tokens.map(String::as_str).chain([PASSWORD, SECRET]) {
        assert!(!raw.contains(token), "found in the files: {token}");
    }

    let uid = &links[0].uid;
    let values = dump(&vault).await;
    assert!(values.len() > 30, "{values:?}");
    for value in values {
        let login = json!({ "email": "ada@example.org", "password": value });
        assert!(!vault.send(post("login/").json(login)).await.status.is_success(), "a password: {value}");
        let cookie: String = value.chars().filter(|c| c.is_ascii_graphic() && *c != ';').collect();
        let jar = |name: &str| Jar::of(name, &cookie);
        assert_eq!(vault.send(get("me/").jar(&jar("access_token"))).await.status, 401, "an access token: {value}");
        assert_eq!(
            vault.send(post("refresh/").jar(&jar("refresh_token"))).await.status,
            401,
            "a refresh token: {value}"
        );
        let body = json!({ "uid": uid, "token": value, "password": "a new password" });
        assert_eq!(vault.send(post("password-reset-confirm/").json(body)).await.status, 400, "a link: {value}");
    }
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(vault.send(post("login/").json(login)).await.status, 200);
}

/// Every value of every table as text and, where it is bytes, in the usual encodings; and the parts of composed texts.
async fn dump(vault: &Vault) -> Vec<String> {
    let url = format!("sqlite://{}", vault.dir.path().join("auth.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&pool).await.unwrap();
    let mut values = std::collections::BTreeSet::new();
    for table in tables.iter().map(|row| row.get::<String, _>(0)) {
        let select = sqlx::AssertSqlSafe(format!("SELECT * FROM \"{table}\""));
        for row in sqlx::query(select).fetch_all(&pool).await.unwrap() {
            for column in row.columns() {
                let index = column.ordinal();
                if let Ok(Some(text)) = row.try_get_unchecked::<Option<String>, _>(index) {
                    values.extend(text.split(['$', '"', ',', ':']).map(str::to_owned));
                    values.insert(text);
                }
                if let Ok(Some(bytes)) = row.try_get_unchecked::<Option<Vec<u8>>, _>(index) {
                    values.insert(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
                    values.insert(URL_SAFE_NO_PAD.encode(&bytes));
                }
            }
        }
    }
    values.remove("");
    values.into_iter().filter(|value| value.len() < 2000).collect()
}

#[test]
fn bad_secrets_are_refused_without_being_repeated() {
    let refused = |name: &'static str, secret: &'static str| {
        Config::from_lookup(move |asked| match asked {
            _ if asked == name => Some(secret.to_owned()),
            "AUTH_SECRET" => Some(SECRET.to_owned()),
            "AUTH_FRONTEND_URL" => Some("https://app.example.org".to_owned()),
            _ => None,
        })
        .unwrap_err()
    };
    let repeated = "ab".repeat(32);
    for secret in ["hunter2hunter2", "0123456789abcdef", &*repeated.leak()] {
        for name in ["AUTH_SECRET", "AUTH_SECRET_ACCEPTED", "AUTH_DATA_KEYS"] {
            let error = refused(name, secret);
            assert_eq!(error.setting, name);
            assert!(error.problem.contains("openssl rand -hex 32"), "{error}");
            assert!(!format!("{error} {error:?}").contains(secret));
        }
    }
    let missing = Config::from_lookup(|_| None::<String>).unwrap_err();
    assert_eq!(missing.setting, "AUTH_SECRET");
    assert!(missing.problem.contains("openssl rand -hex 32"));
}
