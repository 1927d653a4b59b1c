//! The account system behind the bare service, and what must hold of every answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth_core::factor::{Confirmation, TotpPurpose, TotpSetup};

use auth_core::login::{LoginOutcome, LoginRequest};

use auth_core::memory::MemoryStore;
use auth_core::port::{PendingSessionStore, SessionStore, Since, UserKey, UserStore};
use auth_core::proof::LiveSession;
use auth_core::session::SessionTokens;
use auth_core::testing::{InsecureCountingRandom, InsecurePlainHasher, ManualClock, RecordingEvents, RecordingMailer};
use auth_core::token::{LinkPurpose, SealedLink, SealedPurpose};
use auth_core::types::{
    Client, Email, Identifier, Password, Payload, PendingId, PendingPurpose, PendingSession, PendingSubject, TenantId,
    Timestamp, Token, User, UserId, UserStatus,
};
use auth_system::config::Profile;
use auth_system::{Auth, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, REFERRER_POLICY,
    SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use totp_rs::Secret;

use crate::{NOW, PASSWORD, account, members, new_account, secret, session, text, tokens};

/// The one origin whose pages may send requests.
const FRONT_END: &str = "https://app.example.org";
/// The names of the accounts, and whether their mailboxes are proven. All but Cleo are logged in; Dora has two factors,
/// and a login that waits for the second.
const NAMES: [(&str, bool); 4] = [("ada", true), ("bob", true), ("dora", true), ("cleo", false)];
/// The endpoints that may set cookies.
const OPEN_SESSIONS: [&str; 7] =
    ["/login", "/refresh", "/reauthenticate", "/change-password", "/2fa/enable", "/2fa/disable", "/2fa/verify-login"];

/// The serial of Ada's newest request for a change of address. Other links have no use for it.
const SERIAL: [u8; 16] = [7; 16];

/// What no input can guess: in inputs, these names stand for it.
static WORDS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
    let [ada, bob, _, cleo] = &*ACCOUNTS;
    let uid = |user: &User| URL_SAFE_NO_PAD.encode(user.id.as_str());
    let link =
        |user: &User, purpose| tokens().link(purpose, user, Timestamp::from_seconds(NOW + 60)).expose().to_owned();
    let sealed = |purpose, email: &str| {
        let (tenant, expires_at) = (TenantId::default(), Timestamp::from_seconds(NOW + 60));
        let email = Email::parse(email).expect("an address");
        let link = SealedLink { email, token_version: ada.token_version, expires_at, extra: SERIAL.to_vec() };
        tokens().sealed_link(purpose, tenant, ada.id, &link).expose().to_owned()
    };
    let mut words = vec![
        ("$ada_change", sealed(SealedPurpose::ChangeEmail, "moved@example.org")),
        ("$ada_not_me", sealed(SealedPurpose::NotMe, "ada@example.org")),
        ("$ada_uid", uid(ada)),
        ("$ada_reset", link(ada, LinkPurpose::SetPassword)),
        ("$cleo_uid", uid(cleo)),
        ("$cleo_verify", link(cleo, LinkPurpose::VerifyEmail)),
    ];
    for (access, refresh, user, number) in
        [("$ada_access", "$ada_refresh", ada, 1), ("$bob_access", "$bob_refresh", bob, 2)]
    {
        let session = session(user, number);
        words.push((access, tokens().access(&session).unwrap().token.expose().to_owned()));
        words.push((refresh, tokens().refresh(&session).unwrap().token.expose().to_owned()));
    }
    words
});

/// The token that a name in inputs stands for.
pub fn word(name: &str) -> &'static str {
    find(WORDS.iter(), name)
}

/// An input with words in place of their names.
pub fn fill(data: &[u8]) -> Vec<u8> {
    fill_with(WORDS.iter(), data)
}

type Word = (&'static str, String);

fn find<'a>(mut words: impl Iterator<Item = &'a Word>, name: &str) -> &'a str {
    let found = words.find(|(known, _)| *known == name);
    found.map(|(_, word)| word.as_str()).unwrap_or_else(|| panic!("no word {name}"))
}

fn fill_with<'a>(words: impl Iterator<Item = &'a Word> + Clone, data: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((first, others)) = rest.split_first() {
        match words.clone().find(|(name, _)| rest.starts_with(name.as_bytes())) {
            Some((name, word)) => {
                filled.extend_from_slice(word.as_bytes());
                rest = &rest[name.len()..];
            }
            None => {
                filled.push(*first);
                rest = others;
            }
        }
    }
    filled
}

static ACCOUNTS: LazyLock<[User; 4]> = LazyLock::new(|| NAMES.map(|(name, verified)| account(name, verified)));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// The newest request of an account for a change of address, as its flow keeps it. A confirmation compares the serial.
fn newest_change(user: &User) -> PendingSession {
    let (tenant, id) = (user.tenant.as_str(), user.id.as_str());
    PendingSession {
        id: PendingId::of(PendingPurpose::EmailChange, format!("{} {tenant} {id}", tenant.len()).as_bytes()),
        purpose: PendingPurpose::EmailChange,
        tenant: user.tenant,
        subject: Some(PendingSubject::of(user)),
        tries: 0,
        payload: Payload { version: 1, bytes: [&SERIAL[..], &[0; 32]].concat() },
        expires_at: Timestamp::from_seconds(NOW + 60),
    }
}

/// An account system with four accounts and three sessions.
pub struct World {
    auth: Auth,
    store: MemoryStore,
    profile: Profile,
    /// Of Dora, whose factors are made with the world.
    words: Vec<Word>,
    dora: Option<User>,
}

impl World {
    /// Always the same one.
    pub fn new(profile: Profile) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(NOW as u64 - 1_767_225_600));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let config = Config {
            accepted_secrets: vec![secret(1)],
            data_keys: vec![secret(0)],
            profile,
            bearer: true,
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
            ..Config::new(secret(0), FRONT_END)
        };
        let auth = Auth::builder(config).store(store.clone()).clock(clock).random(InsecureCountingRandom::default());
        let auth = auth.hasher(InsecurePlainHasher::default()).mailer(RecordingMailer::default());
        let auth = auth.events(RecordingEvents::default()).without_workers().build().expect("good settings");
        RUNTIME.block_on(async {
            for (name, verified) in NAMES {
                UserStore::insert(&store, &new_account(name, verified)).await.expect("memory answers");
            }
            for (user, number) in ACCOUNTS.iter().zip(1..=3) {
                SessionStore::insert(&store, &session(user, number)).await.expect("memory answers");
            }
            store.put(&newest_change(&ACCOUNTS[0])).await.expect("memory answers");
        });
        let mut world = Self { auth, store, profile, words: Vec::new(), dora: None };
        RUNTIME.block_on(world.set_up(word("$ada_access")));
        world.words = RUNTIME.block_on(world.enrol_dora());
        world.dora = Some(world.find("dora"));
        world
    }

    /// An authenticator that waits for its first code.
    async fn set_up(&self, access: &str) -> (LiveSession, TotpSetup) {
        let live = self.auth.system().authenticate(access).await.expect("a session");
        let setup = self
            .auth
            .system()
            .request(&Client::default())
            .two_factor()
            .set_up(&live, Confirmation::default(), TotpPurpose::Enrol)
            .await;
        (live, setup.expect("no factors yet"))
    }

    /// Gives her two factors, and begins a login.
    async fn enrol_dora(&self) -> Vec<Word> {
        let (system, client) = (self.auth.system(), Client::default());
        let [_, _, dora, _] = &*ACCOUNTS;
        let first = tokens().access(&session(dora, 3)).unwrap().token;
        let (live, setup) = self.set_up(first.expose()).await;
        let code = |seconds: i64| {
            let secret = Secret::try_from_base32(setup.secret.expose()).expect("base32");
            let totp = totp_rs::Builder::new().with_secret(secret).build_noncompliant();
            totp.generate(seconds.unsigned_abs()).to_string()
        };
        let enabled = system.request(&client).two_factor().enable(&live, &code(NOW)).await.expect("a right code");
        let password = Password::new(PASSWORD).expect("a password");
        let request = LoginRequest::new(Identifier::parse("dora@example.org"), &password);
        let pending = match system.request(&client).login(request).await.expect("the right password") {
            LoginOutcome::SecondFactorRequired(token) => token,
            LoginOutcome::LoggedIn(_) => panic!("a password alone let Dora in"),
        };
        let SessionTokens { access, refresh, .. } = &enabled.session;
        let text = |token: &Token| token.expose().to_owned();
        vec![
            ("$dora_access", text(&access.token)),
            ("$dora_refresh", text(&refresh.token)),
            ("$dora_pending", text(&pending)),
            // The next one: hers of now is used up.
            ("$dora_code", code(NOW + 30)),
            ("$dora_backup", text(&enabled.backup_codes[0])),
        ]
    }

    /// As [`word`], Dora's included.
    pub fn word(&self, name: &str) -> &str {
        find(WORDS.iter().chain(&self.words), name)
    }

    /// As [`fill`], with Dora's words.
    pub fn fill(&self, data: &[u8]) -> Vec<u8> {
        fill_with(WORDS.iter().chain(&self.words), data)
    }

    /// A session of Dora's comes of one of hers, or of a code.
    pub fn check_second_factor(&self, input: &[u8], answer: &Response<Bytes>) {
        let has = |word: &str| input.windows(word.len()).any(|window| window == word.as_bytes());
        let means = ["$dora_access", "$dora_refresh", "$dora_code", "$dora_backup"];
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let token = cookie.to_str().ok().and_then(|cookie| cookie.strip_prefix("__Host-access_token="));
            let Some(payload) = token.and_then(|token| token.split('.').nth(1)) else { continue };
            let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64");
            let claims = members(&claims).expect("claims");
            assert!(text(&claims, "sub") != "dora" || means.into_iter().any(has), "a password alone let Dora in");
        }
    }

    /// Sends a request and checks what every answer must be like.
    pub fn send(&self, request: Request<Vec<u8>>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let asked = Request::from_parts(parts.clone(), ());
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let answer = RUNTIME.block_on(self.auth.respond(request, Some(peer)));
        let answer = answer.map(|body| body.into_bytes().expect("no endpoint of ours streams"));
        let sound = [
            ("a defect", !answer.status().is_server_error()),
            ("the common headers", common_headers(answer.headers())),
            ("the body", self.body(&asked, &answer)),
            ("the cookies", answer.headers().get_all(SET_COOKIE).iter().all(|cookie| may_set(cookie, &asked, &answer))),
            ("the origin", origin(&asked, &answer)),
        ];
        for (what, sound) in sound {
            assert!(sound, "{what}: {} {}: {answer:?}", asked.method(), asked.uri());
        }
        answer
    }

    /// Nothing, or JSON of the kind that the status announces.
    fn body(&self, asked: &Request<()>, answer: &Response<Bytes>) -> bool {
        if *asked.method() == Method::HEAD || answer.status() == 204 {
            return answer.body().is_empty();
        }
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else { return false };
        let problem = answer.status().is_client_error();
        let standard = problem && self.profile == Profile::Standard;
        let content_type = if standard { "application/problem+json" } else { "application/json" };
        let told =
            body["status"] == answer.status().as_u16() && body["title"].is_string() && body["detail"].is_string();
        answer.headers().get(CONTENT_TYPE).is_some_and(|found| found == content_type)
            // In the Django profile a field of that name keeps its errors.
            && (!problem || body["code"].is_string() || (!standard && body["code"].is_array()))
            && (!standard || told)
            && (problem || [200, 201].iter().any(|status| answer.status() == *status))
    }

    /// Nobody's account was taken over: what changed, the input had the means to change.
    pub fn check_accounts(&self, input: &[u8]) {
        let has = |word: &str| input.windows(word.len()).any(|window| window == word.as_bytes());
        let [ada, bob, ..] = &*ACCOUNTS;
        // A change of the profile is none of security's, and moves the revision alone.
        let security = |user: &User| {
            let factors = user.factors.len();
            let User { token_version, status, password_hash, email, email_verified_at, .. } = user.clone();
            (token_version, status, password_hash, email, email_verified_at, factors)
        };
        // Whoever is logged in may do these; the password is for the target to check.
        let own = has("change-password") || has("deactivate-account");
        let links = ["$ada_reset", "$ada_change", "$ada_not_me"].into_iter().any(has);
        assert!(own || links || security(&self.find("ada")) == security(ada), "Ada's account was changed");
        assert!(
            (own && has("$bob_access")) || security(&self.find("bob")) == security(bob),
            "Bob's account was changed"
        );
        let changes = own || (has("2fa/disable") && has("$dora_code"));
        assert!(
            (changes && has("$dora_access")) || Some(security(&self.find("dora"))) == self.dora.as_ref().map(security),
            "Dora's account was changed"
        );
        assert!(has("$ada_change") || self.find("ada").email == ada.email, "Ada's account was moved");
        assert!(has("$cleo_verify") || !self.find("cleo").is_verified(), "Cleo's mailbox was not proven");
        let everything = Since::Ago(Duration::from_secs(3600));
        let users = RUNTIME.block_on(UserStore::changes(&self.store, &everything, 100)).expect("memory answers").rows;
        for user in users.iter().filter(|user| NAMES.iter().all(|(name, _)| user.id.as_str() != *name)) {
            let user = self.find(user.id.as_str());
            assert!(!user.is_verified() && user.status == UserStatus::Active && user.factors.is_empty(), "{user:?}");
        }
        for user in users {
            let user = self.find(user.id.as_str());
            let names = ["first_name", "last_name"];
            let known = user.attributes.iter().all(|(name, value)| names.contains(&name.as_str()) && value.is_string());
            assert!(known, "{:?}", user.attributes);
        }
    }

    /// All accounts that were there from the beginning, as they stand.
    pub fn accounts(&self) -> [User; 4] {
        NAMES.map(|(name, _)| self.find(name))
    }

    fn find(&self, id: &str) -> User {
        let (tenant, id) = (TenantId::default(), UserId::parse(id).expect("an id"));
        let found = UserStore::find(&self.store, &tenant, UserKey::Id(&id));
        let found: Result<Option<User>, _> = RUNTIME.block_on(found);
        found.expect("memory answers").expect("the account is there")
    }
}

fn common_headers(headers: &HeaderMap) -> bool {
    let common = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (VARY, "Origin"),
    ];
    common.iter().all(|(name, value)| headers.get(name).is_some_and(|found| found == value))
}

/// A cookie is taken away, or a good one of a new session.
fn may_set(cookie: &HeaderValue, asked: &Request<()>, answer: &Response<Bytes>) -> bool {
    let Ok(cookie) = cookie.to_str() else { return false };
    let ours = ["access_token=", "refresh_token=", "known_device="]
        .iter()
        .any(|plain| cookie.strip_prefix("__Host-").unwrap_or(cookie).starts_with(plain));
    let cleared = cookie.contains("=\"\"; ") && cookie.contains(" Max-Age=0;");
    let path = asked.uri().path().trim_end_matches('/');
    let opens_session = OPEN_SESSIONS.iter().any(|end| path.ends_with(*end));
    // A reset makes no session, and the device is known from then on.
    let knows_device =
        path.ends_with("/password-reset-confirm") && cookie.trim_start_matches("__Host-").starts_with("known_device=");
    let kept = ["; Secure", " HttpOnly;", " SameSite=Lax", " Path=/"].iter().all(|part| cookie.contains(part));
    ours && (cleared || (answer.status() == 200 && (opens_session || knows_device) && kept))
}

/// A page of another site can neither read an answer nor change anything.
fn origin(asked: &Request<()>, answer: &Response<Bytes>) -> bool {
    let foreign = asked.headers().get(ORIGIN).is_some_and(|origin| origin != FRONT_END);
    let site = asked.headers().get("sec-fetch-site");
    let same_site = site.is_some_and(|site| site == "same-origin" || site == "none");
    let changed = [Method::POST, Method::PATCH].contains(asked.method()) && answer.status().is_success();
    !foreign || (!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && (same_site || !changed))
}
