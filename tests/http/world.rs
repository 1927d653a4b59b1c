//! A whole account system to send requests to. A scenario is written once, as requests and answers, and runs through
//! every adapter on every store: see [`scenarios!`](crate::scenarios).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::Ports;
use auth_system::auth_core::port::{DeadMails, MailPurpose};
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingEvents, RecordingMailer, SentMail};
use auth_system::auth_core::token::RootSecret;
use auth_system::auth_core::types::Limit;
use auth_system::config::Profile;
use auth_system::{Auth, AuthBuilder, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::door::{Door, Driver};
use crate::new_password::Check;
use crate::place::{Place, Store};
use crate::totp::totp;

pub(crate) const SECRET: &str = concat!("c41f7ab8092e5d63f8b4107e9a2cd53f", "6e04b1d79c8f23a05b7ee1468d3092fc");
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The names of the cookies in the profile `standard`.
pub(crate) const ACCESS: &str = "__Host-access_token";
pub(crate) const REFRESH: &str = "__Host-refresh_token";
pub(crate) const DEVICE: &str = "__Host-known_device";

/// How often a race is run.
pub(crate) const ROUNDS: usize = 50;

/// What a scenario runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) driver: Driver,
}

/// Runs each scenario on every ground; those that begin with `@kept`, where something is kept that one can look into.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $crate::scenarios!(@on [] memory_bare Memory Bare $($name)*);
        $crate::scenarios!(@on [] memory_axum Memory Axum $($name)*);
        $crate::scenarios!(@kept $($name),*);
    };
    (@kept $($name:ident),* $(,)?) => {
        $crate::scenarios!(@on [] sqlite_bare Sqlite Bare $($name)*);
        $crate::scenarios!(@on [] sqlite_axum Sqlite Axum $($name)*);
        $crate::scenarios!(@on [] sqlite_actix Sqlite Actix $($name)*);
        $crate::scenarios!(
            @on [#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]] servers_bare Servers Bare $($name)*
        );
        $crate::scenarios!(
            @on [#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]] servers_axum Servers Axum $($name)*
        );
        $crate::scenarios!(
            @on [#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]] servers_actix Servers Actix $($name)*
        );
    };
    (@on $attributes:tt $module:ident $store:ident $driver:ident $($name:ident)*) => {
        mod $module {
            $($crate::scenarios!(@test $attributes $store $driver $name);)*
        }
    };
    (@test [$($attribute:tt)*] $store:ident $driver:ident $name:ident) => {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $($attribute)*
            async fn $name() {
                let ground = $crate::world::Ground {
                    store: $crate::place::Store::$store,
                    driver: $crate::door::Driver::$driver,
                };
                super::$name(ground).await;
            }
    };
}

pub(crate) struct World {
    pub(crate) auth: Auth,
    pub(crate) clock: ManualClock,
    pub(crate) mailer: RecordingMailer,
    pub(crate) events: RecordingEvents,
    pub(crate) hasher: InsecurePlainHasher,
    pub(crate) check: Check,
    ground: Ground,
    place: Place,
    dead_mails: Arc<dyn DeadMails>,
    door: Door,
}

impl Ground {
    /// Whether the store writes to a file: slower, so where the number does not matter, do less.
    pub(crate) fn is_durable(self) -> bool {
        self.store != Store::Memory
    }

    pub(crate) async fn world(self) -> World {
        self.world_with(|_| {}).await
    }

    pub(crate) async fn django(self) -> World {
        self.world_with(|config| config.profile = Profile::Django).await
    }

    pub(crate) async fn world_with(self, configure: impl FnOnce(&mut Config)) -> World {
        let clock = ManualClock::new();
        let place = Place::of(self.store, &clock).await;
        World::start(self, clock, place, configure).await
    }

    /// A world in a place that a test has made itself.
    pub(crate) async fn world_at(self, place: Place, configure: impl FnOnce(&mut Config)) -> World {
        World::start(self, ManualClock::new(), place, configure).await
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(RootSecret::parse(SECRET).unwrap(), "https://app.example.org");
    // One peer sends most of a scenario's requests.
    config.policy.timed_limits = false;
    config.policy.mails_per_recipient = Limit::new(1_000_000, Duration::from_secs(3600));
    config
}

impl World {
    async fn start(ground: Ground, clock: ManualClock, place: Place, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        configure(&mut config);
        let (mailer, events) = (RecordingMailer::default(), RecordingEvents::default());
        let hasher = InsecurePlainHasher::default();
        let builder = Auth::builder(config).mailer(mailer.clone()).events(events.clone()).hasher(hasher.clone());
        let check = Check::default();
        let builder = builder.password_check(check.clone()).clock(clock.clone()).without_workers();
        let (builder, dead_mails) = place.open(builder, &clock).await;
        let auth = builder.build().unwrap();
        let door = Door::of(ground.driver, &auth);
        Self { auth, clock, mailer, events, hasher, check, ground, place, dead_mails, door }
    }

    /// The same accounts after a restart of the process, or on another node.
    pub(crate) async fn restarted(&self, configure: impl FnOnce(&mut Config)) -> Self {
        Self::start(self.ground, self.clock.clone(), self.place.clone(), configure).await
    }

    /// The same world around another system, such as one whose store fails.
    pub(crate) fn around(self, auth: Auth) -> Self {
        let door = Door::of(self.ground.driver, &auth);
        Self { auth, door, ..self }
    }

    /// Another system of its parts, on the same stores.
    pub(crate) fn builder(&self, config: Config) -> AuthBuilder {
        let Ports { users, sessions, outbox, attempts, credentials, pending, .. } = self.auth.system().ports().clone();
        let builder = Auth::builder(config).users(users).sessions(sessions).outbox(outbox).attempts(attempts);
        let builder = builder.credentials(credentials).pending_sessions(pending).password_check(self.check.clone());
        let builder = builder.mailer(self.mailer.clone()).events(self.events.clone()).hasher(self.hasher.clone());
        builder.clock(self.clock.clone()).without_workers()
    }

    pub(crate) fn dead_mails(&self) -> Arc<dyn DeadMails> {
        self.dead_mails.clone()
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.place.file()
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        self.door.send(call).await
    }

    /// Through the application's own routes.
    pub(crate) async fn app(&self, call: Call) -> Answer {
        self.door.app(call).await
    }

    /// Sends what waits in the outbox and takes it from the mailer.
    pub(crate) async fn mails(&self) -> Vec<SentMail> {
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        self.mailer.take()
    }

    /// The query of the one link that was mailed to an address for a purpose.
    pub(crate) async fn link(&self, to: &str, purpose: MailPurpose) -> Link {
        let mails = self.mails().await;
        let mail = mails.iter().find(|mail| mail.to.eq_ignore_ascii_case(to) && mail.purpose == purpose);
        Link::of(mail.unwrap_or_else(|| panic!("no link in {mails:?}")))
    }

    pub(crate) async fn sign_up(&self, email: &str, password: &str) -> Answer {
        self.send(post("signup/").json(json!({ "email": email, "password": password }))).await
    }

    /// An account that may log in.
    pub(crate) async fn account(&self, email: &str) {
        let body = json!({
            "email": email, "password": PASSWORD, "confirm_password": PASSWORD,
            "username": email.split('@').next(),
        });
        assert_eq!(self.send(post("signup/").json(body)).await.status, 201);
        let link = self.link(email, MailPurpose::VerifyEmail).await;
        assert_eq!(self.send(link.verify()).await.status, 200);
        self.events.take();
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.send(post("login/").json(json!({ "email": email, "password": password }))).await
    }

    /// The cookies of a fresh login.
    pub(crate) async fn session(&self, email: &str) -> Jar {
        let answer = self.log_in(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.jar()
    }

    /// The link that moves the account of a session to another address.
    pub(crate) async fn change_email_link(&self, jar: &Jar, to: &str) -> Link {
        let answer = self.send(post("change-email/").jar(jar).json(json!({ "new_email": to }))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.link(to, MailPurpose::ChangeEmail).await
    }

    pub(crate) async fn change_password(&self, jar: &Jar, old: &str, new: &str) -> Answer {
        let body = json!({ "old_password": old, "new_password": new, "confirm_password": new });
        self.send(post("change-password/").jar(jar).json(body)).await
    }

    /// The name of the access cookie.
    pub(crate) fn access_cookie(&self) -> &'static str {
        ACCESS
    }

    pub(crate) async fn refresh(&self, jar: &Jar) -> Answer {
        self.send(post("refresh/").jar(jar)).await
    }

    pub(crate) async fn me(&self, jar: &Jar) -> Answer {
        self.send(get("me/").jar(jar)).await
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// Somebody's authenticator, an implementation that is not ours.
#[derive(Clone, Debug)]
pub(crate) struct Authenticator {
    pub(crate) secret: String,
    pub(crate) backup_codes: Vec<String>,
}

impl Authenticator {
    /// Sets one up in a session that was just confirmed, without turning it on.
    pub(crate) async fn set_up(world: &World, jar: &Jar) -> Self {
        Self::set_up_with(world, jar, json!({})).await
    }

    /// Sets one up with what a request sends along, without turning it on.
    pub(crate) async fn set_up_with(world: &World, jar: &Jar, body: Value) -> Self {
        let answer = world.send(post("2fa/setup/").jar(jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { secret: answer.json()["secret"].as_str().unwrap().to_owned(), backup_codes: Vec::new() }
    }

    /// An account with two-factor login, and a session of it.
    pub(crate) async fn enrolled(world: &World, email: &str) -> (Jar, Self) {
        world.account(email).await;
        let jar = world.session(email).await;
        let mut authenticator = Self::set_up_with(world, &jar, json!({ "password": PASSWORD })).await;
        let body = json!({ "code": authenticator.code(world) });
        let answer = world.send(post("2fa/enable/").jar(&jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let codes = answer.json()["backup_codes"].clone();
        authenticator.backup_codes = serde_json::from_value(codes).unwrap();
        world.mails().await;
        world.events.take();
        (answer.jar(), authenticator)
    }

    /// The code of now.
    pub(crate) fn code(&self, world: &World) -> String {
        self.code_at(world, 0)
    }

    /// The code of so many steps from now.
    pub(crate) fn code_at(&self, world: &World, steps: i64) -> String {
        let seconds = auth_system::auth_core::port::Clock::now(&world.clock).seconds() + steps * 30;
        totp(&self.secret, seconds)
    }
}

/// The parameters of a mailed link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) uid: String,
    pub(crate) token: String,
}

impl Link {
    /// The link of a mail.
    pub(crate) fn of(mail: &SentMail) -> Self {
        let (user, token) = mail.link.as_ref().unwrap_or_else(|| panic!("no link in {mail:?}"));
        Self::from_parts(user, token)
    }

    pub(crate) fn from_parts(user: &str, token: &str) -> Self {
        Self { uid: URL_SAFE_NO_PAD.encode(user), token: token.to_owned() }
    }

    pub(crate) fn verify(&self) -> Call {
        get(&format!("verify-account/?uid={}&token={}", self.uid, self.token))
    }

    pub(crate) fn verify_by_post(&self) -> Call {
        post("verify-account/").json(json!({ "uid": self.uid, "token": self.token }))
    }

    /// With a session, as a front-end of the contract opens it.
    pub(crate) fn change_email(&self, jar: &Jar) -> Call {
        get(&format!("change-email-confirm/?uid={}&token={}", self.uid, self.token)).jar(jar)
    }

    /// With what else a page sends: nothing, or a password and a code.
    pub(crate) fn change_email_by_post(&self, mut proof: Value) -> Call {
        proof["uid"] = self.uid.as_str().into();
        proof["token"] = self.token.as_str().into();
        post("change-email-confirm/").json(proof)
    }

    /// Confirms without a session, by the password.
    pub(crate) fn change_email_by_password(&self) -> Call {
        self.change_email_by_post(json!({ "password": PASSWORD }))
    }

    pub(crate) fn not_me(&self) -> Call {
        post("not-me/").json(json!({ "uid": self.uid, "token": self.token }))
    }

    pub(crate) fn set_password(&self, password: &str) -> Call {
        let Self { uid, token } = self;
        let body = json!({ "uid": uid, "token": token, "password": password, "confirm_password": password });
        post("password-reset-confirm/").json(body)
    }
}

/// A request to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: Option<IpAddr>,
    /// The connection breaks after the body.
    pub(crate) breaks_off: bool,
}

pub(crate) fn call(method: Method, path: &str) -> Call {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/auth/{path}") };
    let (headers, body, peer) = (HeaderMap::new(), Bytes::new(), Some([192, 0, 2, 1].into()));
    Call { method, path, headers, body, peer, breaks_off: false }
}

pub(crate) fn get(path: &str) -> Call {
    call(Method::GET, path)
}

pub(crate) fn post(path: &str) -> Call {
    call(Method::POST, path)
}

impl Call {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub(crate) fn json(self, body: Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn jar(self, jar: &Jar) -> Self {
        let cookies: Vec<_> = jar.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { self } else { self.header("cookie", &cookies.join("; ")) }
    }
}

/// Cookies by name, as a browser would keep them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Jar {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Jar {
    pub(crate) fn of(name: &str, value: &str) -> Self {
        Self { cookies: BTreeMap::from([(name.to_owned(), value.to_owned())]) }
    }

    /// The name and value of a cookie by its plain name: the profile and `Secure` decide about the prefix.
    fn find(&self, plain: &str) -> Option<(&str, &str)> {
        let found = self.cookies.iter().find(|(name, _)| name.strip_prefix("__Host-").unwrap_or(name) == plain);
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has_access(&self) -> bool {
        self.find("access_token").is_some()
    }

    pub(crate) fn access(&self) -> &str {
        self.find("access_token").unwrap().1
    }

    pub(crate) fn refresh(&self) -> &str {
        self.find("refresh_token").unwrap().1
    }

    pub(crate) fn device(&self) -> &str {
        self.find("known_device").unwrap().1
    }

    pub(crate) fn only(&self, plain: &str) -> Self {
        let (name, value) = self.find(plain.strip_prefix("__Host-").unwrap_or(plain)).unwrap();
        Self::of(name, value)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<String> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// The cookies that this answer leaves in an empty browser.
    pub(crate) fn jar(&self) -> Jar {
        let mut jar = Jar::default();
        for cookie in self.set_cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if !cookie.contains("Max-Age=0") {
                jar.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        jar
    }

    /// Asserts a refusal: its status and its stable code, and that it hands out no session.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.json()["code"].as_str()), (status, Some(code)), "{:?}", self.text());
        assert_eq!(self.jar(), Jar::default());
        self
    }

    /// The codes of a field's errors.
    pub(crate) fn field(&self, name: &str) -> Vec<String> {
        let errors = self.json()["errors"][name].clone();
        let errors = errors.as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["code"].as_str().unwrap_or("?").to_owned()).collect()
    }
}

/// The claims of a JWT, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
