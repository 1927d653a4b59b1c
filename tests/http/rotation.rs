//! Secrets and data keys change by the book: each step of the README's recipe, on a running fleet, and what a step too
//! early comes to.

use std::time::Duration;

use auth_system::auth_core::port::{Clock as _, Event, MailPurpose};
use auth_system::auth_core::testing::{ManualClock, RecordingEvents, RecordingMailer};
use auth_system::auth_core::token::{DataRing, RootSecret};
use auth_system::hash::Argon2Params;
use auth_system::{Auth, Config};
use serde_json::{Value, json};

use crate::door::Door;
use crate::place::Place;
use crate::scenarios;
use crate::totp::totp;
use crate::world::{self, Answer, Call, Ground, Jar, Link, PASSWORD, get, post};

scenarios![
    secrets_and_data_keys_change_by_the_book_and_nobody_is_logged_out,
    a_key_that_stored_data_needs_is_named_at_start,
    an_owner_whose_pepper_is_gone_is_refused_as_for_a_wrong_password,
];

/// A fleet whose nodes are replaced one after the other.
struct Fleet {
    ground: Ground,
    place: Place,
    clock: ManualClock,
    mailer: RecordingMailer,
    events: RecordingEvents,
}

struct Node {
    auth: Auth,
    door: Door,
}

/// The configured keys of a node: the secret, the accepted secrets, the data keys.
struct Keys<'a>(&'a str, &'a [&'a str], &'a [&'a str]);

fn key(name: &str) -> RootSecret {
    auth_system::auth_core::testing::root_secret(&format!("{name}{}", &world::SECRET[name.len()..]))
}

/// The id of a data key, as operators read it.
fn id(name: &str) -> String {
    DataRing::new(&key(name), &[]).keys_for("any")[0].0.as_str().to_owned()
}

impl Fleet {
    async fn new(ground: Ground) -> Self {
        let clock = ManualClock::new();
        let place = Place::of(ground.store, &clock).await;
        Self { ground, place, clock, mailer: RecordingMailer::default(), events: RecordingEvents::default() }
    }

    async fn node(&self, Keys(secret, accepted, data): Keys<'_>) -> Node {
        let mut config = Config::new(key(secret), "https://app.example.org");
        config.policy.timed_limits = false;
        config.accepted_secrets = accepted.iter().map(|name| key(name)).collect();
        config.data_keys = data.iter().map(|name| key(name)).collect();
        config.argon2 = Argon2Params::insecure_for_tests();
        config.pepper = true;
        let builder = Auth::builder(config).mailer(self.mailer.clone()).events(self.events.clone());
        let builder = builder.clock(self.clock.clone()).without_workers();
        let auth = self.place.open(builder, &self.clock).await.0.build().unwrap();
        Node { door: Door::of(self.ground.driver, &auth), auth }
    }

    /// A code that was not used yet.
    fn next_code(&self, secret: &Value) -> String {
        self.clock.advance(Duration::from_secs(30));
        totp(secret.as_str().unwrap(), self.clock.now().seconds())
    }

    async fn account(&self, node: &Node, email: &str) -> Jar {
        let body = json!({ "email": email, "password": PASSWORD });
        assert_eq!(node.send(post("signup/").json(body)).await.status, 201);
        while !node.auth.system().deliver_mail().await.unwrap().is_idle() {}
        let mails = self.mailer.take();
        let mail = mails.iter().find(|mail| mail.to == email && mail.purpose == MailPurpose::VerifyEmail);
        assert_eq!(node.send(Link::of(mail.unwrap()).verify()).await.status, 200);
        node.log_in(email).await.jar()
    }

    /// Turns two-factor login on: the new cookies, the secret and the backup codes.
    async fn enrol(&self, node: &Node, jar: &Jar) -> (Jar, Value, Vec<String>) {
        let secret = node.send(post("2fa/setup/").jar(jar).json(json!({}))).await.json()["secret"].clone();
        let body = json!({ "code": self.next_code(&secret) });
        let answer = node.send(post("2fa/enable/").jar(jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.jar(), secret, serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap())
    }
}

impl Node {
    async fn send(&self, call: Call) -> Answer {
        self.door.send(call).await
    }

    async fn log_in(&self, email: &str) -> Answer {
        self.send(post("login/").json(json!({ "email": email, "password": PASSWORD }))).await
    }

    async fn refresh(&self, jar: &Jar) -> Jar {
        let answer = self.send(post("refresh/").jar(jar)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.jar()
    }

    async fn second_step(&self, email: &str, code: &str) -> Answer {
        let token = self.log_in(email).await.json()["session_token"].clone();
        self.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
    }

    /// Returns the error of a server's start, or an empty text if it serves.
    async fn refusal(&self) -> String {
        self.auth.check_data_keys().await.err().map(|error| error.to_string()).unwrap_or_default()
    }
}

async fn secrets_and_data_keys_change_by_the_book_and_nobody_is_logged_out(ground: Ground) {
    let fleet = Fleet::new(ground).await;
    let (ada, bea, day) = ("ada@example.org", "bea@example.org", Duration::from_secs(24 * 3600));
    // The secret was the data key as well: the default.
    let node = fleet.node(Keys("aaaa", &[], &[])).await;
    let adas = fleet.account(&node, ada).await;
    let beas = fleet.account(&node, bea).await;
    let (mut beas, totp, codes) = fleet.enrol(&node, &beas).await;
    fleet.clock.advance(day);
    // 1. Every node names the data key, and accepts the new secret.
    let node = fleet.node(Keys("aaaa", &["bbbb"], &["aaaa"])).await;
    assert_eq!(node.refusal().await, "");
    let mut adas = node.refresh(&adas).await;
    // 2. Every node signs with the new secret, and accepts the old one. The nodes before understand it.
    let next = fleet.node(Keys("bbbb", &["aaaa"], &["aaaa"])).await;
    adas = next.refresh(&adas).await;
    assert_eq!(node.send(get("me/").jar(&adas)).await.status, 200);
    beas = next.refresh(&beas).await;
    // 3. The old secret goes after the longest session.
    fleet.clock.advance(6 * day);
    let node = fleet.node(Keys("bbbb", &[], &["aaaa"])).await;
    assert_eq!(node.refusal().await, "");
    adas = node.refresh(&adas).await;
    beas = node.refresh(&beas).await;
    assert_eq!(node.second_step(bea, &codes[0]).await.status, 200);
    // A. Every node knows the new data key, B. and then uses it first. The nodes before can read it.
    let node = fleet.node(Keys("bbbb", &[], &["aaaa", "cccc"])).await;
    let next = fleet.node(Keys("bbbb", &[], &["cccc", "aaaa"])).await;
    assert_eq!((node.refusal().await, next.refusal().await), (String::new(), String::new()));
    assert_eq!(next.second_step(bea, &fleet.next_code(&totp)).await.status, 200);
    assert_eq!(node.second_step(bea, &fleet.next_code(&totp)).await.status, 200);
    assert_eq!(next.second_step(bea, &fleet.next_code(&totp)).await.status, 200);
    // C. The old data key goes when nothing needs it: Ada has not logged in since, and Bea has her old backup codes.
    let early = fleet.node(Keys("bbbb", &[], &["cccc"])).await;
    let refusal = early.refusal().await;
    assert!(refusal.contains(&id("aaaa")) && !refusal.contains(&id("cccc")), "{refusal}");
    assert_eq!(next.log_in(ada).await.status, 200);
    let body = json!({ "password": PASSWORD, "code": fleet.next_code(&totp) });
    let answer = next.send(post("2fa/backup-codes/").jar(&beas).json(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let codes: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
    let node = fleet.node(Keys("bbbb", &[], &["cccc"])).await;
    assert_eq!(node.refusal().await, "");
    assert_eq!(node.log_in(ada).await.status, 200);
    assert_eq!(node.second_step(bea, &codes[1]).await.status, 200);
    assert_eq!(node.second_step(bea, &fleet.next_code(&totp)).await.status, 200);
    for jar in [&adas, &beas] {
        assert_eq!(node.send(get("me/").jar(&node.refresh(jar).await)).await.status, 200);
    }
}

async fn a_key_that_stored_data_needs_is_named_at_start(ground: Ground) {
    let fleet = Fleet::new(ground).await;
    let node = fleet.node(Keys("aaaa", &[], &["bbbb"])).await;
    assert_eq!(node.refusal().await, "", "of an empty database");
    let jar = fleet.account(&node, "bea@example.org").await;
    fleet.enrol(&node, &jar).await;
    assert_eq!(node.refusal().await, "");
    let lost = fleet.node(Keys("aaaa", &[], &["cccc"])).await;
    let refusal = lost.refusal().await;
    let needed = id("bbbb");
    let told = format!(
        "data_keys (AUTH_DATA_KEYS): second factors need the keys {needed}, which are missing; password hashes need the \
         peppers of the keys {needed}, which are missing or the pepper is off; put them back behind the current key until \
         nothing needs them"
    );
    assert_eq!(refusal, told);
    // Values that were written meanwhile under another key need that key, too.
    fleet.account(&lost, "eve@example.org").await;
    let both = fleet.node(Keys("aaaa", &[], &["dddd"])).await.refusal().await;
    assert!(both.contains(&needed) && both.contains(&id("cccc")), "{both}");
    assert_eq!(fleet.node(Keys("aaaa", &[], &["cccc", "bbbb"])).await.refusal().await, "");
}

async fn an_owner_whose_pepper_is_gone_is_refused_as_for_a_wrong_password(ground: Ground) {
    let fleet = Fleet::new(ground).await;
    let node = fleet.node(Keys("aaaa", &[], &["bbbb"])).await;
    let jar = fleet.account(&node, "ada@example.org").await;
    let lost = fleet.node(Keys("aaaa", &[], &["cccc"])).await;
    fleet.events.take();
    let (right, unknown) = (lost.log_in("ada@example.org").await, lost.log_in("nobody@example.org").await);
    right.refused(401, "invalid_credentials");
    assert_eq!(
        (right.status, right.text(), right.set_cookies()),
        (unknown.status, unknown.text(), unknown.set_cookies())
    );
    let events = fleet.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::PasswordUnreadable { .. })), "{events:?}");
    // Within a session as well.
    let body = json!({ "password": PASSWORD });
    let answer = lost.send(post("reauthenticate/").jar(&jar).json(body)).await;
    assert_eq!(answer.status.as_u16() / 100, 4, "{answer:?}");
    assert_eq!(node.log_in("ada@example.org").await.status, 200, "with the key it is right again");
}
