//! An account system whose accounts are in memory, and whose pending sessions and attempts are in Redis.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{Clock as _, MailPurpose, UserKey};
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::auth_core::token::RootSecret;
use auth_system::auth_core::types::{Email, Limit, TenantId, User};
use auth_system::store::{RedisConfig, RedisStore};
use auth_system::{Auth, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::totp::totp;

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Wrong passwords for one account, before it is refused for a while.
pub(crate) const LIMIT: u32 = 5;
const SECRET: &str = concat!("c41f7ab8092e5d63f8b4107e9a2cd53f", "6e04b1d79c8f23a05b7ee1468d3092fc");

pub(crate) struct World {
    pub(crate) auth: Auth,
    pub(crate) clock: ManualClock,
    pub(crate) hasher: InsecurePlainHasher,
    mailer: RecordingMailer,
    accounts: MemoryStore,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// `name=value; …`, as a browser would send them back.
    pub(crate) cookies: String,
}

/// An account with two-factor login, and a session of it.
pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) cookies: String,
    pub(crate) secret: String,
    pub(crate) backup_codes: Vec<String>,
}

impl World {
    pub(crate) fn new(redis: impl Into<RedisConfig>) -> Self {
        let clock = ManualClock::new();
        let accounts = MemoryStore::new(Arc::new(clock.clone()));
        Self::start(clock, accounts, redis.into())
    }

    /// The same accounts and the same Redis after a restart of the application.
    pub(crate) fn restarted(&self, redis: impl Into<RedisConfig>) -> Self {
        Self::start(self.clock.clone(), self.accounts.clone(), redis.into())
    }

    fn start(clock: ManualClock, accounts: MemoryStore, redis: RedisConfig) -> Self {
        let mut config = Config::new(RootSecret::parse(SECRET).unwrap(), "https://app.example.org");
        config.policy.login_attempts = Limit::new(LIMIT, Duration::from_secs(600));
        config.policy.max_consecutive_failures = 1000;
        // These tests are about accounts; one peer sends most of a test's requests.
        let many = Limit::new(1_000_000, Duration::from_secs(60));
        for name in ["signup", "login", "confirm", "two_factor", "verify_2fa"] {
            config.throttles.set(name, many);
        }
        let redis = RedisStore::open_with_clock(redis, Arc::new(clock.clone())).unwrap();
        let (mailer, hasher) = (RecordingMailer::default(), InsecurePlainHasher::default());
        let auth = Auth::builder(config).store(accounts.clone()).short_lived(redis).clock(clock.clone());
        let auth = auth.mailer(mailer.clone()).hasher(hasher.clone()).without_workers().build().unwrap();
        Self { auth, clock, hasher, mailer, accounts }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, cookies: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/auth/{path}"));
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(body)).unwrap();
        let response = self.auth.respond(request, Some(IpAddr::from([192, 0, 2, 1]))).await;
        Answer::of(&response.map(|body| body.into_bytes().unwrap()))
    }

    pub(crate) async fn get(&self, path: &str, cookies: &str) -> Answer {
        self.send(Method::GET, path, cookies, None).await
    }

    pub(crate) async fn post(&self, path: &str, cookies: &str, body: Value) -> Answer {
        self.send(Method::POST, path, cookies, Some(body)).await
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("login/", "", json!({ "email": email, "password": password })).await
    }

    /// The first step of a two-factor login.
    pub(crate) async fn begin(&self, email: &str) -> Result<String, Answer> {
        let answer = self.log_in(email, PASSWORD).await;
        match answer.body["session_token"].as_str() {
            Some(token) if answer.status == 200 => Ok(token.to_owned()),
            _ => Err(answer),
        }
    }

    pub(crate) async fn verify(&self, token: &str, code: &str) -> Answer {
        self.post("2fa/verify-login/", "", json!({ "session_token": token, "code": code })).await
    }

    /// An account that may log in with its password.
    pub(crate) async fn account(&self, email: &str) {
        let answer = self.post("signup/", "", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        let mails = self.mailer.take();
        let mail = mails.iter().find(|mail| mail.to == email && mail.purpose == MailPurpose::VerifyEmail).unwrap();
        let (user, token) = mail.link.clone().unwrap();
        let path = format!("verify-account/?uid={}&token={token}", URL_SAFE_NO_PAD.encode(user));
        assert_eq!(self.get(&path, "").await.status, 200);
    }

    pub(crate) async fn two_factor_account(&self, email: &str) -> Account {
        self.account(email).await;
        let cookies = self.log_in(email, PASSWORD).await.cookies;
        let secret = self.set_up(&cookies).await;
        let code = json!({ "code": totp(&secret, self.clock.now().seconds()) });
        let answer = self.post("2fa/enable/", &cookies, code).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // The code of now is used up.
        self.clock.advance(Duration::from_secs(30));
        let backup_codes = serde_json::from_value(answer.body["backup_codes"].clone()).unwrap();
        Account { email: email.to_owned(), cookies: answer.cookies, secret, backup_codes }
    }

    /// Begins to set up an authenticator: its secret.
    pub(crate) async fn set_up(&self, cookies: &str) -> String {
        let answer = self.post("2fa/setup/", cookies, json!({})).await;
        answer.body["secret"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// The code of now.
    pub(crate) fn code(&self, account: &Account) -> String {
        totp(&account.secret, self.clock.now().seconds())
    }

    pub(crate) async fn user(&self, email: &str) -> User {
        let users = &self.auth.system().ports().users;
        let email = Email::parse(email).unwrap();
        users.find(&TenantId::default(), UserKey::Email(&email)).await.unwrap().unwrap()
    }
}

impl Answer {
    fn of(response: &Response<Bytes>) -> Self {
        let cookies = response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        let cookies: Vec<_> = cookies.map(|cookie| cookie.split(';').next().unwrap()).collect();
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Self { status: response.status().as_u16(), body, cookies: cookies.join("; ") }
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}
