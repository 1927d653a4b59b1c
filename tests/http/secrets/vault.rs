//! A whole life of accounts, and every secret in it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth_system::Auth;
use auth_system::auth_core::port::{Clock as _, MailError};
use auth_system::auth_core::testing::ManualClock;
use auth_system::auth_core::token::{DataRing, RootSecret};
use auth_system::hash::Argon2Params;
use auth_system::mail::{RenderedMail, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::door::Door;
use crate::place::{Part, Place, SERVER_PASSWORD};
use crate::totp::totp;
use crate::world::{Answer, Call, Ground, Jar, Link, SECRET, config, get, post};

/// The one that opens the account in the end, and all others that were ever typed.
pub(super) const PASSWORD: &str = "Sesame-4711-at-last";
pub(super) const TYPED: [&str; 8] = [
    PASSWORD,
    "Sesame-4712-of-a-squatter",
    "Sesame-4713-of-the-owner",
    "Sesame-4714-before-the-reset",
    "Sesame-4715-wrong",
    "Ses-471",
    "Sesame-4716-in-a-broken-body",
    "Sesame-4717-within-a-session",
];
const DATA_KEY: &str = concat!("2b5ad8f0c3914e67b80d12fa9c6e3571", "d4a0b9e8f7c6d5e4f3a2b1c0d9e8f7a6");

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

/// A system with the real hasher and a pepper in a place of its own, and every secret that it ever gave or was given.
pub(super) struct Vault {
    pub(super) auth: Auth,
    pub(super) place: Place,
    pub(super) clock: ManualClock,
    ground: Ground,
    door: Door,
    post: Postbox,
    calls: AtomicU32,
    pub(super) tokens: Mutex<Vec<String>>,
    /// In the order in which they were mailed.
    pub(super) links: Mutex<Vec<Link>>,
    pub(super) second: Mutex<Second>,
}

/// Eve's second factor, and one that Ada set up and did not turn on.
#[derive(Clone, Default)]
pub(super) struct Second {
    pub(super) secret: String,
    pub(super) backup_codes: Vec<String>,
    /// A login of Eve's that waits for its second step.
    pub(super) pending: String,
    pub(super) adas_secret: String,
}

/// A system on a place that is new, or that another one has lived in.
async fn node(ground: Ground, place: &Place, post: &Postbox, clock: &ManualClock, timed_limits: bool) -> (Auth, Door) {
    let mut config = config();
    config.argon2 = Argon2Params::insecure_for_tests();
    config.pepper = true;
    config.data_keys = vec![RootSecret::parse(DATA_KEY).unwrap()];
    config.policy.timed_limits = timed_limits;
    // A thief's guesses are many.
    config.policy.max_consecutive_failures = 1000;
    let builder = Auth::builder(config).mail(post.clone()).clock(clock.clone()).without_workers();
    let auth = place.open(builder, clock).await.0.build().unwrap();
    let door = Door::of(ground.driver, &auth);
    (auth, door)
}

impl Vault {
    pub(super) async fn new(ground: Ground) -> Self {
        let (clock, post) = (ManualClock::new(), Postbox::default());
        let place = Place::that_goes_away(ground.store, &clock).await;
        let (auth, door) = node(ground, &place, &post, &clock, true).await;
        let (calls, tokens, links, second) = Default::default();
        Self { auth, place, clock, ground, door, post, calls, tokens, links, second }
    }

    /// The same after a restart with settings that let a thief try whatever there is.
    pub(super) async fn without_timed_limits(self) -> Self {
        let (auth, door) = node(self.ground, &self.place, &self.post, &self.clock, false).await;
        Self { auth, door, ..self }
    }

    pub(super) async fn send(&self, call: Call) -> Answer {
        // Each from elsewhere: a life takes more calls than one address has.
        let peer = Ipv4Addr::from_bits(0x0A00_0000 + self.calls.fetch_add(1, Ordering::Relaxed));
        let answer = self.door.send(Call { peer: Some(peer.into()), ..call }).await;
        // Not the body: some are there to show a secret, once.
        tracing::info!(status = ?answer.status, headers = ?answer.headers, "answered");
        self.tokens.lock().unwrap().extend(answer.jar().cookies.into_values().filter(|value| value.len() > 2));
        answer
    }

    pub(super) async fn post(&self, path: &str, body: serde_json::Value) -> Answer {
        self.send(post(path).json(body)).await
    }

    /// The code of now.
    pub(super) fn code(&self, secret: &str) -> String {
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
        let (uid, rest) = query.split_once("&token=").unwrap();
        let token = rest.split_once('&').map_or(rest, |(token, _)| token);
        let link = Link { uid: uid.into(), token: token.into() };
        self.links.lock().unwrap().push(link.clone());
        link
    }

    /// What must never be seen: each whole, and of tokens the part that nobody can make up.
    pub(super) fn secrets(&self) -> Vec<String> {
        let ring = DataRing::new(&RootSecret::parse(DATA_KEY).unwrap(), &[]);
        let keys = ring.keys_for("pepper").into_iter().map(|(_, key)| key.to_vec());
        let keys = keys.chain([SECRET, DATA_KEY].map(|hex| (0..32).map(|at| byte(hex, at)).collect()));
        let tokens = self.tokens.lock().unwrap();
        let parts = tokens.iter().map(|token| token.rsplit('.').next().unwrap_or(token).to_owned());
        let links = self.links.lock().unwrap();
        // A MAC after the time at which it ends, or all of it sealed.
        let secret =
            |token: &str| token.split_once('-').map(|(_, mac)| mac).filter(|mac| mac.len() == 43).map(str::to_owned);
        let links = links.iter().map(|link| secret(&link.token).unwrap_or_else(|| link.token.clone()));
        keys.flat_map(|key: Vec<u8>| spellings(&key))
            .chain(parts)
            .chain(links)
            .chain(TYPED.into_iter().chain([SERVER_PASSWORD]).map(str::to_owned))
            .collect()
    }

    /// After a store was gone: one that failed is not asked again at once.
    async fn is_back(&self, used: &Link) {
        let coming = async {
            while self.send(used.verify()).await.status == 503 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), coming).await.expect("it does not come back");
    }

    /// A whole life, with every kind of failure in it. In the end two sessions are alive, and mails and links wait.
    pub(super) async fn live(&self) -> Vec<Jar> {
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
        assert_eq!(self.send(moved.change_email(&jar)).await.status, 200);
        self.send(moved.change_email(&jar)).await.refused(400, "link_spent");
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
        self.clock.advance(Duration::from_secs(61));
        self.send(post("refresh/").jar(&jar)).await.refused(401, "refresh_invalid");
        self.post.down.store(true, Ordering::SeqCst);
        self.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        self.auth.system().deliver_mail().await.unwrap();
        self.post.down.store(false, Ordering::SeqCst);
        self.clock.advance(Duration::from_secs(60));
        let reset = self.link("password-reset-confirm").await;

        // A store that is gone, and rows that cannot be.
        let jar = self.log_in(before).await.jar();
        for &part in self.place.parts() {
            self.place.set_away(part, true);
            self.clock.advance(Duration::from_secs(2));
            let limited = [post("login/").json(ada(before)), reset.set_password(password), eves.verify()];
            let limited = limited.into_iter().chain([post("refresh/").jar(&jar)]);
            // What needs no count of attempts does not notice that those are gone.
            let unlimited = [get("me/").jar(&jar), post("logout/").jar(&jar)];
            for call in limited.chain(unlimited.into_iter().filter(|_| part == Part::Accounts)) {
                self.send(call).await.refused(503, "unavailable");
            }
            self.place.set_away(part, false);
            self.is_back(&eves).await;
        }
        let refusals = [("status", 'a', 500, "internal"), ("password_hash", '$', 401, "invalid_credentials")];
        for (column, first, status, code) in refusals {
            self.place.run(&format!("UPDATE auth_users SET {column} = substr({column}, 2)")).await;
            self.log_in(before).await.refused(status, code);
            self.place.run(&format!("UPDATE auth_users SET {column} = '{first}' || {column}")).await;
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

fn byte(hex: &str, at: usize) -> u8 {
    u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
}

/// How somebody may write bytes down.
pub(super) fn spellings(bytes: &[u8]) -> [String; 4] {
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    [hex, list, STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)]
}
