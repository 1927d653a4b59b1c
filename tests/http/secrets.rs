//! Nothing secret in logs, in Debug output or in error texts, and nothing in the database that opens anything.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth_system::auth_core::flow::{LoginOutcome, LoginRequest, SecondFactorRequest};
use auth_system::auth_core::port::{Clock as _, MailError};
use auth_system::auth_core::proof::LiveSession;
use auth_system::auth_core::testing::ManualClock;
use auth_system::auth_core::token::{DataRing, RootSecret};
use auth_system::auth_core::types::{Client, Password, PendingId, PendingPurpose};
use auth_system::hash::Argon2Params;
use auth_system::mail::{RenderedMail, Transport};
use auth_system::store::SqliteStore;
use auth_system::{Auth, Config};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, SqliteConnection};

use crate::logs::Logs;
use crate::totp::totp;
use crate::world::{Answer, Call, Jar, Link, SECRET, config, get, post};

/// The one that opens the account in the end, and all others that were ever typed.
const PASSWORD: &str = "Sesame-4711-at-last";
const TYPED: [&str; 8] = [
    PASSWORD,
    "Sesame-4712-of-a-squatter",
    "Sesame-4713-of-the-owner",
    "Sesame-4714-before-the-reset",
    "Sesame-4715-wrong",
    "Ses-471",
    "Sesame-4716-in-a-broken-body",
    "Sesame-4717-within-a-session",
];
const DATA_KEY: &str = "2b5ad8f0c3914e67b80d12fa9c6e3571d4a0b9e8f7c6d5e4f3a2b1c0d9e8f7a6";

/// Keeps mails as they go out, or refuses them.
#[derive(Clone, Default)]
struct Postbox {
    mails: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Postbox {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        tracing::info!(?mail, "a mail goes out");
        if self.down.load(Ordering::SeqCst) {
            return Err(MailError::Transient("421 try again later".into()));
        }
        self.mails.lock().unwrap().push(mail.text.clone());
        Ok(())
    }
}

/// A system with the real hasher and a pepper on a file of its own, and every secret that it ever gave or was given.
struct Vault {
    auth: Auth,
    post: Postbox,
    clock: ManualClock,
    dir: tempfile::TempDir,
    /// In the order in which they were issued.
    tokens: Mutex<Vec<String>>,
    links: Mutex<Vec<Link>>,
    second: Mutex<Second>,
}

/// Eve's second factor, and one that Ada set up and did not turn on.
#[derive(Clone, Default)]
struct Second {
    secret: String,
    backup_codes: Vec<String>,
    /// A login of Eve's that waits for its second step.
    pending: String,
    adas_secret: String,
}

/// The parts of an answer that open something, and whatever Debug shows of it.
fn cookies(response: &Response<bytes::Bytes>) -> Vec<String> {
    let cookies = response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let values = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('=')).map(|(_, value)| value);
    values.filter(|value| value.len() > 2).map(str::to_owned).collect()
}

impl Vault {
    async fn new() -> Self {
        let (dir, clock, post) = (tempfile::tempdir().unwrap(), ManualClock::new(), Postbox::default());
        let url = format!("sqlite://{}", dir.path().join("auth.db").display());
        let store = SqliteStore::open_with_clock(&url, Arc::new(clock.clone())).await.unwrap();
        let mut config = config();
        config.argon2 = Argon2Params::insecure_for_tests();
        config.pepper = true;
        config.data_keys = vec![RootSecret::parse(DATA_KEY).unwrap()];
        // The guesses below are many.
        config.policy.max_consecutive_failures = 1000;
        let auth = Auth::builder(config).store(store).mail(post.clone()).clock(clock.clone()).without_workers();
        let (tokens, links, second) = Default::default();
        Self { auth: auth.build().unwrap(), post, clock, dir, tokens, links, second }
    }

    async fn send(&self, call: Call) -> Answer {
        let mut request = Request::builder().method(call.method).uri(call.path).body(Full::new(call.body)).unwrap();
        *request.headers_mut() = call.headers;
        let response = self.auth.respond(request, call.peer).await;
        // Not the body: some are there to show a secret, once.
        tracing::info!(status = ?response.status(), headers = ?response.headers(), "answered");
        self.tokens.lock().unwrap().extend(cookies(&response));
        Answer { status: response.status(), headers: response.headers().clone(), body: response.into_body() }
    }

    async fn post(&self, path: &str, body: serde_json::Value) -> Answer {
        self.send(post(path).json(body)).await
    }

    /// The code of now.
    fn code(&self, secret: &str) -> String {
        totp(secret, self.clock.now().seconds())
    }

    /// Two-factor login with every kind of failure in it. In the end a login of Eve's and a set-up of Ada's wait.
    async fn live_with_two_factors(&self, eves_password: &str, adas: &Jar) {
        let eve = json!({ "email": "eve@example.org", "password": eves_password });
        let jar = self.post("login/", eve.clone()).await.jar();
        let set_up = async |jar: &Jar| {
            let answer = self.send(post("2fa/setup/").jar(jar)).await.json();
            answer["secret"].as_str().unwrap().to_owned()
        };
        let replaced = set_up(&jar).await;
        let secret = set_up(&jar).await;
        let enable = async |code: &str| self.send(post("2fa/enable/").jar(&jar).json(json!({ "code": code }))).await;
        enable(&self.code(&replaced)).await.refused(400, "invalid_code");
        let answer = enable(&self.code(&secret)).await;
        let mut codes: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
        let jar = answer.jar();
        let first_step =
            async || self.post("login/", eve.clone()).await.json()["session_token"].as_str().unwrap().to_owned();
        let verify = async |token: &str, code: &str| {
            self.post("2fa/verify-login/", json!({ "session_token": token, "code": code })).await
        };
        let finished = first_step().await;
        verify(&finished, "000000").await.refused(400, "invalid_code");
        verify(&finished, &self.code(&secret)).await.refused(400, "invalid_code");
        self.clock.advance(Duration::from_secs(30));
        let used = self.code(&secret);
        assert_eq!(verify(&finished, &used).await.status, 200);
        assert_eq!(verify(&first_step().await, &codes[0]).await.status, 200);
        let answer = self.send(post("2fa/backup-codes/").jar(&jar).json(json!({ "password": eves_password }))).await;
        let fresh: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
        verify(&first_step().await, &fresh[0]).await;
        verify(&first_step().await, &codes[1]).await.refused(400, "invalid_code");
        let (pending, adas_secret) = (first_step().await, set_up(adas).await);
        codes.extend(fresh.clone());
        // Six digits may be anywhere by chance, even if they are a code: those that are not, are told by their secrets.
        self.tokens.lock().unwrap().extend(codes);
        let shown = [&replaced, &secret, &adas_secret, &finished, &pending];
        self.tokens.lock().unwrap().extend(shown.into_iter().cloned());
        let backup_codes = fresh[1..].to_vec();
        *self.second.lock().unwrap() = Second { secret, backup_codes, pending, adas_secret };
    }

    async fn log_in(&self, password: &str) -> Answer {
        self.post("login/", json!({ "email": "ada@example.org", "password": password })).await
    }

    /// The link to a page in a mail that waits.
    async fn link(&self, page: &str) -> Link {
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        let mails = std::mem::take(&mut *self.post.mails.lock().unwrap()).join("\n");
        let query = mails.split_whitespace().find_map(|word| word.split_once(&format!("/{page}?uid="))).unwrap().1;
        let (uid, token) = query.split_once("&token=").unwrap();
        let link = Link { uid: uid.into(), token: token.into() };
        self.links.lock().unwrap().push(link.clone());
        link
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("auth.db")
    }

    async fn stranger(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file()).connect().await.unwrap()
    }

    /// What must never be seen: each whole, and of tokens the part that nobody can make up.
    fn secrets(&self) -> Vec<String> {
        let ring = DataRing::new(&RootSecret::parse(DATA_KEY).unwrap(), &[]);
        let keys = ring.keys_for("pepper").into_iter().map(|(_, key)| key.to_vec());
        let keys = keys.chain([SECRET, DATA_KEY].map(|hex| (0..32).map(|at| byte(hex, at)).collect()));
        let spellings = |key: Vec<u8>| {
            let hex = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{key:?}").trim_matches(['[', ']']).to_owned();
            [hex, list, STANDARD_NO_PAD.encode(&key), URL_SAFE_NO_PAD.encode(&key)]
        };
        let tokens = self.tokens.lock().unwrap();
        let parts = tokens.iter().map(|token| token.rsplit('.').next().unwrap_or(token).to_owned());
        let links = self.links.lock().unwrap();
        // A MAC after the time at which it ends, or all of it sealed.
        let secret =
            |token: &str| token.split_once('-').map(|(_, mac)| mac).filter(|mac| mac.len() == 43).map(str::to_owned);
        let links = links.iter().map(|link| secret(&link.token).unwrap_or_else(|| link.token.clone()));
        keys.flat_map(spellings).chain(parts).chain(links).chain(TYPED.map(str::to_owned)).collect()
    }

    /// A whole life, with every kind of failure in it. In the end two sessions are alive, and mails and links wait.
    async fn live(&self) -> Vec<Jar> {
        let [password, squatter, owner, before, wrong, short, broken, changed] = TYPED;
        let ada = |password: &str| json!({ "email": "ada@example.org", "password": password });
        self.post("signup/", ada(squatter)).await;
        self.post("signup/", ada(owner)).await;
        let link = self.link("password-reset-confirm").await;
        self.send(link.set_password(short)).await.refused(400, "invalid_fields");
        assert_eq!(self.send(link.set_password(before)).await.status, 200);
        self.send(link.set_password(password)).await.refused(400, "link_invalid");
        self.post("signup/", json!({ "email": "eve@example.org", "password": owner })).await;
        let eves = self.link("verify-account").await;
        self.send(Link { uid: link.uid.clone(), ..eves.clone() }.verify()).await.refused(400, "link_invalid");
        assert_eq!(self.send(eves.verify()).await.status, 200);

        // Within sessions: what is refused, what is taken back, and what stays.
        let mut jar = self.log_in(before).await.jar();
        let change = |old: &str, new: &str| json!({ "old_password": old, "new_password": new });
        for (path, body) in [
            ("reauthenticate/", json!({ "password": wrong })),
            ("change-password/", change(wrong, changed)),
            ("change-email/", json!({ "new_email": "ada2@example.org", "password": wrong })),
            ("deactivate-account/", json!({ "password": wrong, "confirm_deactivation": true })),
        ] {
            self.send(post(path).jar(&jar).json(body)).await.refused(400, "wrong_password");
        }
        for (path, body) in [
            ("reauthenticate/", json!({ "password": before })),
            ("change-password/", change(before, changed)),
            ("change-password/", change(changed, before)),
        ] {
            let answer = self.send(post(path).jar(&jar).json(body)).await;
            assert_eq!(answer.status, 200, "{path} {answer:?}");
            jar = answer.jar();
        }
        self.send(post("change-email/").jar(&jar).json(json!({ "new_email": "ada2@example.org" }))).await;
        let moved = self.link("verify-email-change").await;
        assert_eq!(self.send(moved.change_email()).await.status, 200);
        self.send(moved.change_email()).await.refused(400, "link_spent");
        let notice = self.link("not-me").await;
        assert_eq!(self.send(notice.not_me()).await.status, 200);
        self.send(notice.not_me()).await.refused(400, "link_invalid");
        let reset = self.link("password-reset-confirm").await;
        assert_eq!(self.send(reset.set_password(before)).await.status, 200);

        // Wrong and broken.
        self.log_in(wrong).await.refused(401, "invalid_credentials");
        self.post("login/", json!({ "email": "nobody@example.org", "password": wrong })).await;
        let torn = format!("{{\"email\": \"ada@example.org\", \"password\": \"{broken}");
        self.send(post("login/").body("application/json", torn)).await.refused(400, "malformed_json");
        self.send(post("login/").body("text/plain", broken)).await.refused(415, "unsupported_media_type");
        let form = format!("email=ada%40example.org&password={before}");
        let jar = self.send(post("login/").body("application/x-www-form-urlencoded", form)).await.jar();
        for (name, token) in &jar.cookies {
            for token in [&token[1..], &token[..token.len() - 1], &format!("{token}x")] {
                self.send(get("me/").jar(&Jar::of(name, token))).await;
                self.send(post("refresh/").jar(&Jar::of(name, token))).await;
                self.send(get("me/").header("authorization", &format!("Bearer {token}"))).await;
            }
        }

        // A copied token, and a mail server that is down.
        self.clock.advance(Duration::from_secs(60));
        assert_eq!(self.send(post("refresh/").jar(&jar)).await.status, 200);
        self.clock.advance(Duration::from_secs(60));
        self.send(post("refresh/").jar(&jar)).await.refused(401, "refresh_invalid");
        self.post.down.store(true, Ordering::SeqCst);
        self.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        self.auth.system().deliver_mail().await.unwrap();
        self.post.down.store(false, Ordering::SeqCst);
        self.clock.advance(Duration::from_secs(60));
        let reset = self.link("password-reset-confirm").await;

        // A store that is gone, and rows that cannot be.
        let jar = self.log_in(before).await.jar();
        let away = self.file().with_extension("away");
        std::fs::rename(self.file(), &away).unwrap();
        self.clock.advance(Duration::from_secs(2));
        let calls = [post("login/").json(ada(before)), get("me/").jar(&jar), post("refresh/").jar(&jar)];
        for call in calls.into_iter().chain([reset.set_password(password), eves.verify(), post("logout/").jar(&jar)]) {
            self.send(call).await.refused(503, "unavailable");
        }
        std::fs::rename(&away, self.file()).unwrap();
        let mut stranger = self.stranger().await;
        for column in ["status", "password_hash"] {
            let spoil = format!("UPDATE auth_users SET {column} = substr({column}, 2)");
            sqlx::query(AssertSqlSafe(spoil)).execute(&mut stranger).await.unwrap();
            self.log_in(before).await.refused(500, "internal");
            let first = if column == "status" { 'a' } else { '$' };
            let mend = format!("UPDATE auth_users SET {column} = '{first}' || {column}");
            sqlx::query(AssertSqlSafe(mend)).execute(&mut stranger).await.unwrap();
        }

        // A new start, a logout, and what is left alive.
        assert_eq!(self.send(reset.set_password(password)).await.status, 200);
        let gone = self.log_in(password).await.jar();
        assert_eq!(self.send(post("logout/").jar(&gone)).await.status, 200);
        let alive = [self.log_in(password).await.jar(), self.log_in(password).await.jar()];
        self.link("not-me").await;
        self.send(post("change-email/").jar(&alive[0]).json(json!({ "new_email": "ada3@example.org" }))).await;
        self.link("verify-email-change").await;
        self.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        self.link("password-reset-confirm").await;
        self.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        self.post("signup/", json!({ "email": "bob@example.org", "password": owner })).await;
        self.live_with_two_factors(owner, &alive[0]).await;
        alive.to_vec()
    }
}

fn totp_bytes(secret: &str) -> Vec<u8> {
    data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap()
}

fn byte(hex: &str, at: usize) -> u8 {
    u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level_by_any_thread() {
    let logs = Logs::of_all_threads();
    let vault = Vault::new().await;
    let jars = vault.live().await;
    let live = vault.auth.system().authenticate(jars[0].access()).await.unwrap();
    let user = vault.auth.system().current_user(&live).await.unwrap();
    let store = vault.auth.system().ports().sessions.clone();
    let session = store.find(&user.tenant, live.session()).await.unwrap();
    let layer = vault.auth.layer().required();
    tracing::info!(?user, ?session, ?live, auth = ?vault.auth, system = ?vault.auth.system(), ?layer);
    tracing::info!(config = ?config(), builder = ?Auth::builder(config()), stats = ?vault.auth.hash_stats());
    let shown = second_factor_in_debug(&vault, &live).await;
    let lines = logs.take();
    for expected in [
        "SignUpRepeated",
        "LoginRefused",
        "CodeRefused",
        "BackupCodeUsed",
        "RefreshReused",
        "MailDelayed",
        "request failed",
        "sqlx",
        "DEBUG",
    ] {
        assert!(lines.contains(expected), "{expected} is not logged");
    }
    let hash = user.password_hash.unwrap().expose().to_owned();
    let secrets = vault.secrets();
    assert!(secrets.len() > 30, "{}", secrets.len());
    for secret in secrets.into_iter().chain(shown).chain([
        hash,
        "$argon2id$".into(),
        "&token=".into(),
        "otpauth:".into(),
        "?secret=".into(),
    ]) {
        let found = lines.lines().find(|line| line.contains(&secret[..secret.len().min(40)]));
        assert_eq!(found, None, "{secret}");
    }
}

/// Logs all that the flows of two-factor login take and give, and returns the secrets in it.
async fn second_factor_in_debug(vault: &Vault, live: &LiveSession) -> Vec<String> {
    let (system, client, password) = (vault.auth.system(), Client::default(), Password::new(PASSWORD).unwrap());
    let setup = system.set_up_totp(&client, live, None).await.unwrap();
    let enabled = system.enable_totp(&client, live, &vault.code(setup.secret.expose())).await.unwrap();
    vault.clock.advance(Duration::from_secs(30));
    let user = system.current_user(&system.authenticate(enabled.session.access.token.expose()).await.unwrap()).await;
    let user = user.unwrap();
    let rows = system.ports().credentials.of_user(&user.tenant, &user.id).await.unwrap();
    let channel = auth_system::auth_core::types::Channel::Cookie;
    let request = LoginRequest { identifier: "ada@example.org", password: &password, channel, device: None };
    tracing::info!(?request);
    let first = system.login(&client, request).await.unwrap();
    tracing::info!(?setup, ?enabled, ?rows, ?first, ?user, vault = ?system);
    let LoginOutcome::SecondFactorRequired(token) = first else { panic!("no second factor was asked for") };
    let id = PendingId::of(PendingPurpose::SecondFactor, uuid::Uuid::parse_str(token.expose()).unwrap().as_bytes());
    let pending = system.ports().pending.find(&id, vault.clock.now()).await.unwrap().unwrap();
    let code = vault.code(setup.secret.expose());
    let request = SecondFactorRequest { token: token.expose(), code: &code };
    tracing::info!(?request, ?pending);
    let verified = system.verify_login(&client, request).await.unwrap();
    tracing::info!(?verified);
    let session = &verified.login.session;
    let tokens = [&setup.secret, &setup.uri, &token, &session.access.token, &session.refresh.token];
    let shown = tokens.into_iter().chain(&enabled.backup_codes).map(|token| token.expose().to_owned());
    // Of tokens, what nobody can make up.
    shown.map(|text| text.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn nothing_in_a_dump_opens_anything() {
    let vault = Vault::new().await;
    let jars = vault.live().await;
    let mut raw = files(&vault);
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut vault.stranger().await).await.unwrap();
    raw.extend(files(&vault));
    let text = String::from_utf8_lossy(&raw);
    assert!(text.contains("ada@example.org") && text.contains("$argon2id$"), "the dump is a dump");
    for secret in vault.secrets().into_iter().chain(vault.tokens.lock().unwrap().clone()) {
        assert!(!text.contains(&secret), "{secret} is in the files");
    }

    let second = vault.second.lock().unwrap().clone();
    let pending = uuid::Uuid::parse_str(&second.pending).unwrap().into_bytes().to_vec();
    for secret in [totp_bytes(&second.secret), totp_bytes(&second.adas_secret), pending] {
        assert!(!raw.windows(secret.len()).any(|part| part == secret), "{secret:?} is in the files");
    }

    let mut candidates = values(&vault).await;
    // What the tables no longer show: rows that were changed or deleted.
    for run in text.split(|c: char| !(c.is_ascii_graphic() || c == ' ')).filter(|run| run.len() >= 16) {
        candidates.extend(parts(run));
    }
    candidates.retain(|candidate| (4..2000).contains(&candidate.len()));
    assert!(candidates.len() > 100, "{candidates:?}");
    let uids: BTreeSet<_> = vault.links.lock().unwrap().iter().map(|link| link.uid.clone()).collect();
    assert_eq!(uids.len(), 2);
    for (number, candidate) in candidates.iter().enumerate() {
        assert_eq!(opened(&vault, candidate, &uids).await, None, "{candidate}");
        assert_eq!(passed(&vault, candidate, &jars[0]).await, None, "{candidate}");
        if number % 100 == 0 {
            let forgive = sqlx::query("UPDATE auth_credentials SET consecutive_failures = 0");
            assert_eq!(forgive.execute(&mut vault.stranger().await).await.unwrap().rows_affected(), 2);
            // A success clears the count of failures, which would end the experiment.
            assert_eq!(vault.log_in(PASSWORD).await.status, 200);
        }
    }
    // The experiment finds what does open.
    vault.clock.advance(Duration::from_secs(30));
    let wrong = post("2fa/enable/").jar(&jars[0]).json(json!({ "code": "abcdef" }));
    vault.send(wrong).await.refused(400, "invalid_code");
    assert_eq!(passed(&vault, &second.backup_codes[0], &jars[0]).await, Some("code"));
    let eve = json!({ "email": "eve@example.org", "password": TYPED[2] });
    let pending = vault.post("login/", eve).await.json()["session_token"].as_str().unwrap().to_owned();
    assert_eq!(passed(&vault, &pending, &jars[0]).await, Some("pending login"));
    let links = vault.links.lock().unwrap().clone();
    let [.., notice, change, latest] = &links[..] else { panic!("{links:?}") };
    for (secret, what) in [
        (PASSWORD, "password"),
        (jars[0].access(), "access token"),
        (jars[1].refresh(), "refresh token"),
        (&latest.token, "link"),
        (&change.token, "link"),
        (&notice.token, "link"),
    ] {
        assert_eq!(opened(&vault, secret, &uids).await, Some(what));
    }
}

/// All files of the database, one after the other.
fn files(vault: &Vault) -> Vec<u8> {
    let files = std::fs::read_dir(vault.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

/// A text, and what stands between the marks of JSON, PHC strings and queries.
fn parts(text: &str) -> impl Iterator<Item = String> {
    let pieces = text.split(['$', '"', ',', ':', '=', '{', '}', '[', ']', '(', ')', ' ', '&']);
    pieces.chain([text]).filter(|piece| !piece.is_empty()).map(str::to_owned)
}

/// Every value of every table, the schema's own included: as text and, where it is bytes, in the usual encodings.
async fn values(vault: &Vault) -> BTreeSet<String> {
    let mut connection = vault.stranger().await;
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&mut connection).await;
    let tables: Vec<String> = tables.unwrap().iter().map(|row| row.get(0)).chain(["sqlite_master".into()]).collect();
    assert!(tables.len() > 6, "{tables:?}");
    let mut values = BTreeSet::new();
    for table in tables {
        let select = AssertSqlSafe(format!("SELECT * FROM \"{table}\""));
        for row in sqlx::query(select).fetch_all(&mut connection).await.unwrap() {
            for index in row.columns().iter().map(|column| column.ordinal()) {
                if let Ok(Some(text)) = row.try_get_unchecked::<Option<String>, _>(index) {
                    values.extend(parts(&text));
                }
                if let Ok(Some(bytes)) = row.try_get_unchecked::<Option<Vec<u8>>, _>(index) {
                    values.insert(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
                    values.insert(URL_SAFE_NO_PAD.encode(&bytes));
                    let ids = bytes.chunks_exact(16).filter_map(|id| uuid::Uuid::from_slice(id).ok());
                    values.extend(ids.map(|id| id.to_string()));
                }
            }
        }
    }
    values
}

/// As what a text opens an account, if it does.
async fn opened(vault: &Vault, candidate: &str, uids: &BTreeSet<String>) -> Option<&'static str> {
    if vault.log_in(candidate).await.status == 200 {
        return Some("password");
    }
    // What no header can carry is no cookie.
    if candidate.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
        if vault.send(get("me/").jar(&Jar::of("access_token", candidate))).await.status == 200 {
            return Some("access token");
        }
        if vault.send(post("refresh/").jar(&Jar::of("refresh_token", candidate))).await.status == 200 {
            return Some("refresh token");
        }
    }
    for uid in uids {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("uid", uid)
            .append_pair("token", candidate)
            .finish();
        let verified = vault.send(get(&format!("verify-account/?{query}"))).await;
        let moved = vault.send(get(&format!("change-email-confirm/?{query}"))).await;
        let genuine = [verified, moved].iter().any(|answer| answer.json()["code"] != "link_invalid");
        let body = json!({ "uid": uid, "token": candidate, "password": PASSWORD });
        if genuine
            || vault.post("not-me/", body.clone()).await.status == 200
            || vault.post("password-reset-confirm/", body).await.status == 200
        {
            return Some("link");
        }
    }
    None
}

/// Which part of a second factor a text stands for, if it does.
async fn passed(vault: &Vault, candidate: &str, adas: &Jar) -> Option<&'static str> {
    let second = vault.second.lock().unwrap().clone();
    let verify = async |token: &str, code: &str| {
        vault.post("2fa/verify-login/", json!({ "session_token": token, "code": code })).await.status == 200
    };
    // A code is spent for a pending login that there is, and for no other.
    if verify(candidate, &vault.code(&second.secret)).await {
        return Some("pending login");
    }
    if (6..=17).contains(&candidate.len()) && verify(&second.pending, candidate).await {
        return Some("code");
    }
    if candidate.len() == 6 {
        let enable = post("2fa/enable/").jar(adas).json(json!({ "code": candidate }));
        return (vault.send(enable).await.status == 200).then_some("first code");
    }
    None
}

#[test]
fn errors_never_repeat_a_secret() {
    for text in
        ["hunter2hunter2hunter2", "68756e7465723268756e7465723268", "hunter2hunter2hunter2hunter2hunter2hunter2=="]
    {
        for name in ["AUTH_SECRET", "AUTH_SECRET_ACCEPTED", "AUTH_DATA_KEYS"] {
            let error = Config::from_lookup(|asked| match asked {
                _ if asked == name => Some(text.to_owned()),
                "AUTH_SECRET" => Some(SECRET.to_owned()),
                "AUTH_FRONTEND_URL" => Some("https://app.example.org".to_owned()),
                _ => None,
            });
            let error = error.unwrap_err();
            assert!(!format!("{error} {error:?}").contains(&text[..7]), "{error:?}");
        }
    }
}
