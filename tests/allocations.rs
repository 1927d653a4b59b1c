//! The access check takes no memory from the heap, whatever it is shown: not for who is let in, and not for who floods
//! the server with tokens that lead nowhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use auth_system::auth_core::error::Reason;
use auth_system::auth_core::login::LoginRequest;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{Clock as _, NewUser, PasswordHasher as _, UserChange, UserKey, UserStore as _};
use auth_system::auth_core::session::SessionTokens;
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer, root_secret_of};
use auth_system::auth_core::types::{
    Channel, Claim, Client, Email, Identifier, Password, Scope, TenantId, TokenVersion, UserId, UserStatus,
};
use auth_system::{Auth, Config};

const LIFETIME: Duration = Duration::from_secs(900);

/// Nodes over one store whose key rings differ.
struct World {
    clock: ManualClock,
    store: MemoryStore,
    password: Password,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Self { clock, store, password: Password::new("correct horse battery").unwrap() }
    }

    /// Signs with the first of these keys and accepts all.
    fn node(&self, keys: &[u8]) -> Auth {
        // Thirty-two bytes that differ from key to key.
        let secret = |key: &u8| root_secret_of(&std::array::from_fn::<u8, 32, _>(|at| at as u8 ^ *key));
        let mut config = Config::new(secret(&keys[0]), "https://app.example.org");
        config.accepted_secrets = keys[1..].iter().map(secret).collect();
        config.data_keys = vec![secret(&keys[0])];
        config.policy.access_lifetime = LIFETIME;
        let builder = Auth::builder(config).store(self.store.clone()).mailer(RecordingMailer::default());
        let builder = builder.hasher(InsecurePlainHasher::default()).clock(self.clock.clone());
        builder.without_workers().build().unwrap()
    }

    async fn account(&self, name: &str, id: u128) -> Email {
        let (hasher, email) = (InsecurePlainHasher::default(), Email::parse(&format!("{name}@example.org")).unwrap());
        let user = NewUser {
            tenant: TenantId::default(),
            id: UserId::from(uuid::Uuid::from_u128(id)),
            email: email.clone(),
            username: None,
            email_verified_at: Some(self.clock.now()),
            claim: Claim::Settled,
            password_hash: Some(hasher.hash(hasher.admit(0).unwrap(), &self.password).await.unwrap()),
            token_version: TokenVersion::new(7),
            attributes: Default::default(),
            created_at: self.clock.now(),
        };
        self.store.insert(&user).await.unwrap();
        email
    }

    async fn log_in(&self, node: &Auth, email: &Email) -> SessionTokens {
        let (identifier, channel) = (email.as_str(), Channel::Cookie);
        let request = LoginRequest::new(Identifier::parse(identifier), &self.password).channel(channel);
        node.system().request(&Client::default()).login(request).await.unwrap().logged_in().unwrap().session
    }
}

/// What both ways of the check say of a token on a view that is fresh, and how often they took memory for it.
fn check(auth: &Auth, token: &str) -> (Result<(), Reason>, u64) {
    let system = auth.system();
    let mut now = None;
    let at_once = measure(|| {
        let outcome = black_box(system.authenticate_now(black_box(token), &[Scope::Full]));
        now = Some(outcome.map(|outcome| outcome.map(drop).map_err(|error| error.reason())));
    });
    let mut later = None;
    let awaited = measure(|| {
        let check = pin!(system.authenticate(black_box(token)));
        later = match check.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome.map(drop).map_err(|error| error.reason())),
            Poll::Pending => None,
        };
    });
    let outcome = now.flatten().unwrap();
    assert_eq!(later, Some(outcome), "both ways agree");
    (outcome, at_once.count_total + awaited.count_total)
}

#[tokio::test]
async fn whatever_it_is_shown_the_access_check_allocates_nothing() {
    let world = World::new().await;
    // The signing key, and four that a rolling change of keys left accepted.
    let auth = world.node(&[1, 2, 3, 4, 5]);
    let (ada, bob, eve) = (world.account("ada", 1).await, world.account("bob", 2).await, world.account("eve", 3).await);
    let text = |tokens: &SessionTokens| tokens.access.token.expose().to_owned();

    let tokens = world.log_in(&auth, &ada).await;
    let (valid, refresh) = (text(&tokens), tokens.refresh.token.expose().to_owned());
    let of_the_last_key = text(&world.log_in(&world.node(&[5]), &ada).await);
    let of_a_foreign_key = text(&world.log_in(&world.node(&[6]), &ada).await);
    let ended = text(&world.log_in(&auth, &bob).await);
    auth.system().request(&Client::default()).logout(Some(&ended), None).await.unwrap();
    let disabled = text(&world.log_in(&auth, &eve).await);
    let user = world.store.find(&TenantId::default(), UserKey::Email(&eve)).await.unwrap().unwrap();
    let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
    world.store.update_if(&user, &change).await.unwrap();

    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    let shown = [
        ("valid", valid.clone(), Ok(())),
        ("of the key that was accepted first", of_the_last_key, Ok(())),
        ("ended by a logout", ended, Err(Reason::NotAuthenticated)),
        ("of an account that was disabled elsewhere", disabled, Err(Reason::NotAuthenticated)),
        ("of a key that we do not know", of_a_foreign_key, Err(Reason::TokenInvalid)),
        (
            "a signature off by one character",
            format!("{signed}.{swapped}{}", &signature[1..]),
            Err(Reason::TokenInvalid),
        ),
        ("a signature that is no base64", format!("{signed}.{}", "!".repeat(43)), Err(Reason::TokenInvalid)),
        ("another payload", format!("{head}.{payload}AAAA.{signature}"), Err(Reason::TokenInvalid)),
        ("no signature", format!("{signed}."), Err(Reason::TokenInvalid)),
        ("cut off", valid[..valid.len() / 2].to_owned(), Err(Reason::TokenInvalid)),
        ("a refresh token", refresh, Err(Reason::TokenWrongType)),
        ("empty", String::new(), Err(Reason::TokenInvalid)),
        ("garbage", "no token at all, ä, \0 and \u{1f511}".to_owned(), Err(Reason::TokenInvalid)),
        ("dots", ".".repeat(2000), Err(Reason::TokenInvalid)),
        ("a byte too long", format!("{valid}{}", "A".repeat(2049 - valid.len())), Err(Reason::TokenInvalid)),
        ("a mebibyte", format!("{valid}{}", "A".repeat(1 << 20)), Err(Reason::TokenInvalid)),
    ];
    auth.system().sync_revocations(Duration::ZERO).await.unwrap();
    for (what, token, outcome) in &shown {
        assert_eq!(check(&auth, token), (*outcome, 0), "{what}");
    }

    // Past the leeway of five seconds.
    world.clock.advance(LIFETIME + Duration::from_secs(6));
    auth.system().sync_revocations(Duration::ZERO).await.unwrap();
    assert_eq!(check(&auth, &valid), (Err(Reason::TokenExpired), 0));
}

#[tokio::test]
async fn a_view_that_is_too_old_is_told_without_allocating() {
    let world = World::new().await;
    let auth = world.node(&[1]);
    let email = world.account("ada", 1).await;
    let token = world.log_in(&auth, &email).await.access.token;
    let mut says = None;
    let taken =
        measure(|| says = Some(auth.system().authenticate_now(black_box(token.expose()), &[Scope::Full]).is_none()));
    assert_eq!((says, taken.count_total), (Some(true), 0));
}

/// The counter counts: what is known to allocate is seen, in each of the ways in which [`check`] looks.
#[tokio::test]
async fn an_allocation_would_be_seen() {
    let boxed = measure(|| drop(black_box(Box::new(7_u64))));
    assert_eq!((boxed.count_total, boxed.bytes_total), (1, 8));
    let grown = measure(|| {
        let mut text = String::with_capacity(1);
        text.push_str(black_box("longer than it was"));
        black_box(text);
    });
    assert_eq!(grown.count_total, 2, "room, and more room");
    // A login makes tokens, which are texts.
    let world = World::new().await;
    let auth = world.node(&[1]);
    let email = world.account("ada", 1).await;
    let login = measure(|| {
        let login = pin!(world.log_in(&auth, &email));
        assert!(login.poll(&mut Context::from_waker(Waker::noop())).is_ready(), "memory answers at once");
    });
    assert!(login.count_total >= 2, "{login:?}");
}
