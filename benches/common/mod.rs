//! What the benches share: an account system in memory with one account, and how long to measure.

use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::login::LoginRequest;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{Clock as _, NewUser, PasswordHasher, UserStore as _};
use auth_system::auth_core::testing::{RecordingMailer, root_secret};
use auth_system::auth_core::types::{Claim, Client, Email, Identifier, Password, TenantId, TokenVersion, UserId};
use auth_system::system::SystemClock;
use auth_system::{Auth, Config};
use criterion::Criterion;
use tokio::runtime::{Builder, Runtime};

pub(crate) const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";
const SECRET: &str = "8f1d7a3c5e9b2046d8fa17c35be90246a1c3e5f708192a3b4c5d6e7f80912233";

/// Short, and the first half second counts nothing: `--measurement-time` and its like still change it.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn password() -> Password {
    Password::new(PASSWORD).unwrap()
}

/// An account system on a memory store with one account that may log in.
pub(crate) async fn system(hasher: impl PasswordHasher) -> Auth {
    let store = MemoryStore::new(Arc::new(SystemClock));
    let user = NewUser {
        tenant: TenantId::default(),
        id: UserId::parse("0199f2c0-7a3b-7c11-9a52-3f4d5e6a7b8c").unwrap(),
        email: Email::parse(EMAIL).unwrap(),
        username: None,
        email_verified_at: Some(SystemClock.now()),
        claim: Claim::Settled,
        password_hash: Some(hasher.hash(hasher.admit(0).unwrap(), &password()).await.unwrap()),
        token_version: TokenVersion::new(0x1234_5678),
        attributes: Default::default(),
        created_at: SystemClock.now(),
    };
    store.insert(&user).await.unwrap();
    let mut config = Config::new(root_secret(SECRET), "https://app.example.org");
    // One poll at the start serves the whole run: what is measured is the check, not the store.
    config.policy.revocation_lag = Duration::from_secs(60);
    let builder = Auth::builder(config).store(store).mailer(RecordingMailer::default()).hasher(hasher);
    let auth = builder.without_workers().build().unwrap();
    auth.system().sync_revocations(Duration::ZERO).await.unwrap();
    auth
}

/// The access token of a fresh login.
pub(crate) async fn log_in(auth: &Auth) -> String {
    let password = password();
    let request = LoginRequest::new(Identifier::parse(EMAIL), &password);
    let tokens = auth.system().request(&Client::default()).login(request).await.unwrap().logged_in().unwrap();
    tokens.session.access.token.expose().to_owned()
}
