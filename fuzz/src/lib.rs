//! What the targets share: keys, tokens genuine and forged, and an account system to send requests to.
//!
//! Everything is the same in every run, so an input that fails once fails always.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth_core::memory::MemoryStore;
use auth_core::policy::Policy;
use auth_core::port::{NewUser, SessionStore, Since, UserKey, UserStore};
use auth_core::testing::{InsecureCountingRandom, InsecurePlainHasher, ManualClock, RecordingEvents, RecordingMailer};
use auth_core::token::{AccessClaims, LinkPurpose, RootSecret, TokenError, TokenRing, Tokens};
use auth_core::types::{
    Attributes, AuthMethods, Channel, Email, PasswordHash, Session, SessionId, TenantId, Timestamp, TokenVersion, User,
    UserId, UserStatus, Username,
};
use auth_system::config::Profile;
use auth_system::{Auth, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, ORIGIN, REFERRER_POLICY, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// 2100-01-01: what is in time then is so by the machine's clock, too, which `jsonwebtoken` asks.
pub const NOW: i64 = 4_102_444_800;
/// The `iss` of tokens.
pub const ISSUER: &str = "auth-system";
/// The `aud` of tokens.
pub const AUDIENCE: &str = "auth-system";
/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";
/// The one origin whose pages may send requests.
pub const ORIGIN_ALLOWED: &str = "https://app.example.org";

// ---- keys and tokens ----

/// The secret of a number: 0 signs, 1 is accepted, 2 is a stranger's.
pub fn secret(number: u8) -> RootSecret {
    RootSecret::from_bytes(&secret_bytes(number)).expect("a secret")
}

fn secret_bytes(number: u8) -> [u8; 32] {
    std::array::from_fn(|index| index as u8 * 7 + number)
}

/// The key of secret 0 for a purpose: by the documented derivation, not by the crate's code.
pub fn key(purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let info = format!("auth-system/1/{purpose}");
    Hkdf::<Sha256>::new(None, &secret_bytes(0)).expand(info.as_bytes(), &mut key).expect("32 bytes fit");
    key
}

/// HMAC-SHA-256.
pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key does");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Any payload as an access token, by whoever has secret 0.
pub fn sign_access(payload: &[u8]) -> String {
    static HEADER: LazyLock<String> = LazyLock::new(|| {
        let id = URL_SAFE_NO_PAD.encode(&key("key-id")[..6]);
        URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{id}"}}"#))
    });
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| key("access"));
    let signed = format!("{}.{}", *HEADER, URL_SAFE_NO_PAD.encode(payload));
    let signature = mac(&*KEY, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Tokens under a ring of keys.
pub fn tokens_of(signing: RootSecret, accepted: &[RootSecret]) -> Tokens {
    Tokens::new(TokenRing::new(&signing, accepted), ISSUER, AUDIENCE, &Policy::default()).expect("good settings")
}

/// The tokens under test: signed with secret 0, accepted under 0 and 1.
pub fn tokens() -> &'static Tokens {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| tokens_of(secret(0), &[secret(1)]));
    &TOKENS
}

/// The two kinds of JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For requests.
    Access,
    /// For new tokens.
    Refresh,
}

/// A genuine JWT of somebody's.
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its kind.
    pub kind: Kind,
    /// Whether its key is in our ring.
    pub known_key: bool,
    /// Whether issuer and audience are ours.
    pub for_us: bool,
    session: SessionId,
    issued_at: i64,
    expires_at: i64,
}

impl Issued {
    /// What a good token is worth at a time.
    pub fn in_time(&self, now: Timestamp) -> Result<SessionId, TokenError> {
        match now.seconds() {
            now if self.issued_at > now + 5 => Err(TokenError::Invalid),
            now if now >= self.expires_at => Err(TokenError::Expired),
            _ => Ok(self.session),
        }
    }
}

/// Ten JWTs: ours, of the other key in our ring, of a stranger's key, for another issuer, for another audience; each
/// an access token and a refresh token.
pub fn issued() -> &'static [Issued] {
    static ISSUED: LazyLock<Vec<Issued>> = LazyLock::new(|| {
        let ring = |number| TokenRing::new(&secret(number), &[]);
        let of = |number, issuer, audience| Tokens::new(ring(number), issuer, audience, &Policy::default());
        let makers = [
            (of(0, ISSUER, AUDIENCE), true, true),
            (of(1, ISSUER, AUDIENCE), true, true),
            (of(2, ISSUER, AUDIENCE), false, true),
            (of(0, "another", AUDIENCE), true, false),
            (of(0, ISSUER, "another"), true, false),
        ];
        let session = session(&account("ada", true), 1);
        let mut all = Vec::new();
        for (maker, known_key, for_us) in makers {
            let maker = maker.expect("good settings");
            for (kind, issued) in [(Kind::Access, maker.access(&session)), (Kind::Refresh, maker.refresh(&session))] {
                let (issued_at, expires_at) = (issued.issued_at.seconds(), issued.expires_at.seconds());
                let token = issued.token.expose().to_owned();
                all.push(Issued { token, kind, known_key, for_us, session: session.id, issued_at, expires_at });
            }
        }
        all
    });
    &ISSUED
}

/// Times about the ends of tokens made at [`NOW`], and the ends of time.
pub fn instants() -> [Timestamp; 9] {
    let access = 15 * 60;
    let refresh = 7 * 24 * 60 * 60;
    let [a, b, c, d, e, f, g] =
        [-6, -5, 0, access - 1, access, refresh - 1, refresh].map(|after| Timestamp::from_seconds(NOW + after));
    [Timestamp::from_micros(i64::MIN), a, b, c, d, e, f, g, Timestamp::from_micros(i64::MAX)]
}

/// A text made of genuine tokens. The first line is a template: `$3` is token 3, `$3a`, `$3b` and `$3c` are its parts.
/// What follows edits the outcome, three bytes each: where (two of them) and what, which is a character to be put
/// over another, the same plus 128 to be put between, or 0 to delete.
pub fn forge<'a>(data: &[u8], genuine: impl Iterator<Item = &'a str>, separator: char) -> Option<String> {
    let (template, edits) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let mut text = std::str::from_utf8(template).ok()?.to_owned();
    for (index, token) in genuine.enumerate() {
        let parts = token.splitn(if separator == '-' { 2 } else { 3 }, separator);
        for (letter, part) in ('a'..).zip(parts) {
            text = text.replace(&format!("${index}{letter}"), part);
        }
        text = text.replace(&format!("${index}"), token);
    }
    // A token is longer than its name, and many of them say nothing new.
    if text.len() > 8192 {
        return None;
    }
    for edit in edits.chunks_exact(3) {
        let wanted = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (text.len() + 1);
        let at = (0..=wanted).rev().find(|at| text.is_char_boundary(*at))?;
        match char::from(edit[2] & 0x7f) {
            new if edit[2] >= 0x80 => text.insert(at, new),
            new if at < text.len() => {
                text.remove(at);
                if new != '\0' {
                    text.insert(at, new);
                }
            }
            _ => {}
        }
    }
    Some(text)
}

// ---- claims ----

/// The members of a JSON object in order, those that come twice included. `None` for what serde_json alone refuses: a
/// number that no double can hold.
pub fn members(json: &[u8]) -> Option<Vec<(String, Value)>> {
    struct Members(Vec<(String, Value)>);

    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Members;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                    let mut members = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        members.push(member);
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }

    serde_json::from_slice(json).ok().map(|Members(members)| members)
}

fn only<'a>(members: &'a [(String, Value)], name: &str) -> &'a Value {
    let mut found = members.iter().filter(|(other, _)| other == name);
    let (first, second) = (found.next(), found.next());
    assert!(second.is_none(), "{name} comes twice");
    &first.unwrap_or_else(|| panic!("{name} is missing")).1
}

/// The text of the one member of a name.
pub fn text<'a>(members: &'a [(String, Value)], name: &str) -> &'a str {
    only(members, name).as_str().unwrap_or_else(|| panic!("{name} is no text"))
}

/// The integer of the one member of a name.
pub fn number(members: &[(String, Value)], name: &str) -> i64 {
    only(members, name).as_i64().unwrap_or_else(|| panic!("{name} is no integer"))
}

/// What was read of an access token at [`NOW`] must be what another reader finds there.
pub fn check_access_claims(claims: &AccessClaims, members: &[(String, Value)]) {
    let (issued_at, expires_at) = (number(members, "iat"), number(members, "exp"));
    assert!(issued_at <= NOW + 5 && NOW < expires_at && expires_at - issued_at <= 15 * 60, "out of time");
    let [issuer, audience, token_type] = ["iss", "aud", "token_type"].map(|name| text(members, name));
    assert_eq!((issuer, audience, token_type), (ISSUER, AUDIENCE, "access"));
    let _ = text(members, "jti");
    let methods = only(members, "amr").as_array().expect("amr is an array").iter();
    let methods = methods.map(|name| AuthMethods::from_name(name.as_str().expect("amr holds texts")));
    let version = number(members, "token_version");
    assert!((0..1 << 31).contains(&version), "no token version");
    let theirs = AccessClaims {
        tenant: TenantId::parse(text(members, "tid")).expect("tid is an id"),
        user: UserId::parse(text(members, "sub")).expect("sub is an id"),
        session: SessionId(Uuid::try_parse(text(members, "sid")).expect("sid is a UUID")),
        token_version: TokenVersion::new(version as u32),
        channel: Channel::parse(text(members, "channel")).expect("a channel"),
        auth_time: Timestamp::from_seconds(number(members, "auth_time")),
        methods: methods.fold(AuthMethods::default(), AuthMethods::and),
        issued_at: Timestamp::from_seconds(issued_at),
        expires_at: Timestamp::from_seconds(expires_at),
    };
    assert_eq!(*claims, theirs);
}

// ---- the account system ----

/// An account of this name at example.org.
pub fn account(name: &str, verified: bool) -> User {
    let now = Timestamp::from_seconds(NOW);
    let new = NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(name).expect("an id"),
        email: Email::parse(&format!("{name}@example.org")).expect("an address"),
        username: Some(Username::parse(name).expect("a username")),
        email_verified_at: verified.then_some(now),
        password_hash: Some(PasswordHash::new(format!("$plain${PASSWORD}"))),
        token_version: TokenVersion::new(7),
        attributes: Attributes::default(),
        created_at: now,
    };
    new.into_user(now)
}

fn session(user: &User, number: u128) -> Session {
    let now = Timestamp::from_seconds(NOW);
    let policy = Policy::default();
    Session {
        id: SessionId(Uuid::from_u128(number)),
        tenant: user.tenant,
        user: user.id,
        token_version: user.token_version,
        generation: 0,
        rotated_at: now,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now + policy.idle_lifetime,
        expires_at: now + policy.session_lifetime,
        auth_time: now,
        methods: AuthMethods::PASSWORD,
        channel: Channel::Cookie,
        context: json!({}),
        slot: None,
        revoked_at: None,
        changed_at: now,
    }
}

/// What no input can guess: in inputs, these names stand for it.
static WORDS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
    let [ada, bob, cleo] = &*ACCOUNTS;
    let uid = |user: &User| URL_SAFE_NO_PAD.encode(user.id.as_str());
    let link =
        |user: &User, purpose| tokens().link(purpose, user, Timestamp::from_seconds(NOW + 60)).expose().to_owned();
    let mut words = vec![
        ("$ada_uid", uid(ada)),
        ("$ada_reset", link(ada, LinkPurpose::SetPassword)),
        ("$cleo_uid", uid(cleo)),
        ("$cleo_verify", link(cleo, LinkPurpose::VerifyEmail)),
    ];
    for (access, refresh, user, number) in
        [("$ada_access", "$ada_refresh", ada, 1), ("$bob_access", "$bob_refresh", bob, 2)]
    {
        let session = session(user, number);
        words.push((access, tokens().access(&session).token.expose().to_owned()));
        words.push((refresh, tokens().refresh(&session).token.expose().to_owned()));
    }
    words
});

/// The token that a name in inputs stands for.
pub fn word(name: &str) -> &'static str {
    let found = WORDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, word)| word.as_str()).unwrap_or_else(|| panic!("no word {name}"))
}

/// An input with words in place of their names.
pub fn fill(data: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((first, others)) = rest.split_first() {
        match WORDS.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
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

/// Ada and Bob are verified and logged in; Cleo has yet to follow the link.
static ACCOUNTS: LazyLock<[User; 3]> =
    LazyLock::new(|| [account("ada", true), account("bob", true), account("cleo", false)]);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// An account system with three accounts and two sessions.
pub struct World {
    auth: Auth,
    store: MemoryStore,
    profile: Profile,
}

impl World {
    /// Always the same one.
    pub fn new(profile: Profile) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(NOW as u64 - 1_767_225_600));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let config = Config {
            accepted_secrets: vec![secret(1)],
            profile,
            bearer: true,
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
            ..Config::new(secret(0), ORIGIN_ALLOWED)
        };
        let auth = Auth::builder(config).store(store.clone()).clock(clock).random(InsecureCountingRandom::default());
        let auth = auth.hasher(InsecurePlainHasher::default()).mailer(RecordingMailer::default());
        let auth = auth.events(RecordingEvents::default()).without_workers().build().expect("good settings");
        RUNTIME.block_on(async {
            for user in ACCOUNTS.clone() {
                let User { tenant, id, email, username, email_verified_at, password_hash, token_version, .. } = user;
                let (attributes, created_at) = (user.attributes, user.created_at);
                let new = NewUser {
                    tenant,
                    id,
                    email,
                    username,
                    email_verified_at,
                    password_hash,
                    token_version,
                    attributes,
                    created_at,
                };
                UserStore::insert(&store, &new).await.expect("memory answers");
            }
            for (user, number) in ACCOUNTS.iter().zip(1..=2) {
                SessionStore::insert(&store, &session(user, number)).await.expect("memory answers");
            }
        });
        Self { auth, store, profile }
    }

    /// Sends a request and checks what every answer must be like.
    pub fn send(&self, request: Request<Vec<u8>>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let (method, path, headers) = (parts.method.clone(), parts.uri.path().to_owned(), parts.headers.clone());
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let response = RUNTIME.block_on(self.auth.respond(request, Some(peer)));
        self.check(&method, &path, &headers, &response);
        response
    }

    fn check(&self, method: &Method, path: &str, sent: &HeaderMap, response: &Response<Bytes>) {
        let (status, headers, body) = (response.status(), response.headers(), response.body());
        let header = |name| headers.get(name).map_or("", |value| value.to_str().expect("readable headers"));
        let shown = || format!("{method} {path}: {status} {headers:?} {}", String::from_utf8_lossy(body));
        assert!(!status.is_server_error(), "{}", shown());
        let common = [CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS, REFERRER_POLICY, VARY].map(header);
        assert_eq!(common, ["no-store", "nosniff", "no-referrer", "Origin"], "{}", shown());

        if *method == Method::HEAD || status == 204 {
            assert!(body.is_empty(), "{}", shown());
        } else {
            let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
            let problem = status.is_client_error();
            let standard = problem && self.profile == Profile::Standard;
            let content_type = if standard { "application/problem+json" } else { "application/json" };
            assert_eq!(header(CONTENT_TYPE), content_type, "{}", shown());
            assert!(status == 200 || status == 201 || (problem && body["code"].is_string()), "{}", shown());
            let as_told = body["status"] == status.as_u16() && body["title"].is_string() && body["detail"].is_string();
            assert!(!standard || as_told, "{}", shown());
        }

        let opens_session =
            path.trim_end_matches('/').ends_with("/login") || path.trim_end_matches('/').ends_with("/refresh");
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("readable cookies");
            let names = ["access_token=", "refresh_token=", "known_device="];
            assert!(names.iter().any(|name| cookie.starts_with(name)), "{}", shown());
            let set = ["; Secure", " HttpOnly;", "; SameSite=Lax", "; Path=/"].iter().all(|part| cookie.contains(part));
            assert!(cookie.contains("=\"\"; ") || (set && status == 200 && opens_session), "{}", shown());
        }

        // A page of another site can neither read an answer nor change anything.
        let origin = sent.get(ORIGIN).map(|origin| origin.as_bytes());
        let foreign = origin.is_some_and(|origin| origin != ORIGIN_ALLOWED.as_bytes());
        assert!(!foreign || header(http::header::ACCESS_CONTROL_ALLOW_ORIGIN).is_empty(), "{}", shown());
        let same_site =
            sent.get("sec-fetch-site").is_some_and(|site| ["same-origin", "none"].iter().any(|ok| site == ok));
        assert!(!foreign || same_site || *method != Method::POST || !status.is_success(), "{}", shown());
    }

    /// Nobody's account was taken over: what changed, the input had the means to change.
    pub fn check_accounts(&self, input: &[u8]) {
        let has = |word: &str| input.windows(word.len()).any(|window| window == word.as_bytes());
        let [ada, bob, _] = &*ACCOUNTS;
        let security = |user: &User| {
            (user.revision, user.token_version, user.password_hash.clone(), user.email.clone(), user.email_verified_at)
        };
        assert!(has("$ada_reset") || security(&self.find("ada")) == security(ada), "Ada's account was changed");
        assert_eq!(security(&self.find("bob")), security(bob));
        assert!(has("$cleo_verify") || !self.find("cleo").is_verified(), "Cleo's mailbox was not proven");
        let everything = Since::Ago(Duration::from_secs(3600));
        let users = RUNTIME.block_on(UserStore::changes(&self.store, &everything, 100)).expect("memory answers").rows;
        for user in users.iter().filter(|user| !["ada", "bob", "cleo"].contains(&user.id.as_str())) {
            let user = self.find(user.id.as_str());
            assert!(!user.is_verified() && user.status == UserStatus::Active && user.factors.is_empty(), "{user:?}");
            assert!(
                user.attributes
                    .iter()
                    .all(|(name, value)| { ["first_name", "last_name"].contains(&name.as_str()) && value.is_string() })
            );
        }
    }

    /// The accounts and sessions as they stand.
    pub fn find(&self, id: &str) -> User {
        let (tenant, id) = (TenantId::default(), UserId::parse(id).expect("an id"));
        let found = UserStore::find(&self.store, &tenant, UserKey::Id(&id));
        let found: Result<Option<User>, _> = RUNTIME.block_on(found);
        found.expect("memory answers").expect("the account is there")
    }
}
