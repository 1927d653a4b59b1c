//! What the tests of the flows share: an account system in memory with every part in reach.

// Each test file uses a part of this; helpers outside of test functions may panic like tests.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authenticator;
mod faults;
pub(crate) mod forge;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::account::{PasswordResetConfirm, SignUpRequest, SignedUp};
use auth_core::error::{Error, FieldReason};
use auth_core::login::LoginRequest;
use auth_core::memory::MemoryStore;
use auth_core::policy::{NewPassword, PasswordPolicy, Policy};
use auth_core::port::{
    AttemptStore, AuditLog, Clock, CredentialStore, DeadMails, HashError, MailOutbox, MailPurpose, NewUser,
    PasswordHasher, PendingSessionStore, SessionStore, Ticket, TracingAuditLog, UserChange, UserDirectory, UserKey,
    UserStore, UserUpdate, Verdict,
};
use auth_core::session::SessionTokens;
use auth_core::testing::{InsecureCountingRandom, InsecurePlainHasher, ManualClock, RecordingEvents, RecordingMailer};
use auth_core::token::{DataRing, RootSecret, TokenRing, Tokens};
use auth_core::types::{
    Attributes, AuthMethods, Channel, Claim, Client, Email, Limit, MethodTimes, Password, PasswordHash, Personal,
    Scope, Session, SessionId, TenantId, Timestamp, TokenVersion, User, UserId, UserStatus, Username,
};
use auth_core::{AuthSystem, Ports, Reason, Stores};
use uuid::Uuid;

pub(crate) use authenticator::{Authenticator, first_step, second_step};
pub(crate) use faults::{Fault, Faults, Gate};

pub(crate) const ADA: &str = "ada@example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const OTHER_PASSWORD: &str = "staple of another kind";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The smallest step of time that stores keep.
pub(crate) const TICK: Duration = Duration::from_micros(1);

/// What keeps everything.
pub(crate) trait Store:
    UserStore
    + SessionStore
    + AttemptStore
    + MailOutbox
    + CredentialStore
    + PendingSessionStore
    + UserDirectory
    + DeadMails
    + Clone
{
}

impl<S> Store for S where
    S: UserStore
        + SessionStore
        + AttemptStore
        + MailOutbox
        + CredentialStore
        + PendingSessionStore
        + UserDirectory
        + DeadMails
        + Clone
{
}

/// An account system and all its parts.
pub(crate) struct World<S = MemoryStore> {
    pub(crate) clock: ManualClock,
    /// The store itself, without faults.
    pub(crate) store: S,
    /// What befalls it where the flows call it.
    pub(crate) faults: Faults,
    pub(crate) hasher: InsecurePlainHasher,
    pub(crate) mailer: RecordingMailer,
    pub(crate) events: RecordingEvents,
    pub(crate) policy: Policy,
    pub(crate) ports: Ports,
    pub(crate) auth: AuthSystem,
    pub(crate) client: Client,
}

/// A link as its mail carried it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) purpose: MailPurpose,
    pub(crate) user: UserId,
    pub(crate) token: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world with another policy.
    pub(crate) fn with(adjust: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        Self::with_clocks(clock.clone(), Arc::new(clock), adjust)
    }

    /// A world whose store has a clock of its own.
    pub(crate) fn with_clocks(
        clock: ManualClock,
        store_clock: Arc<dyn Clock>,
        adjust: impl FnOnce(&mut Policy),
    ) -> Self {
        Self::over(MemoryStore::new(store_clock), clock, adjust)
    }
}

impl<S: Store> World<S> {
    /// A world on a store.
    pub(crate) fn over(store: S, clock: ManualClock, adjust: impl FnOnce(&mut Policy)) -> Self {
        let (hasher, mailer) = (InsecurePlainHasher::default(), RecordingMailer::default());
        let (events, faults) = (RecordingEvents::default(), Faults::default());
        // Most tests log in more often than anybody may.
        let mails_per_recipient = Limit::new(1_000_000, HOUR);
        let mut policy = Policy { timed_limits: false, mails_per_recipient, ..Policy::default() };
        adjust(&mut policy);
        let random = Arc::new(InsecureCountingRandom::default());
        let (sent, hashed) = (Arc::new(mailer.clone()), Arc::new(hasher.clone()));
        let stores = Stores::of(Arc::new(store.clone()));
        let mut ports = Ports::new(stores, sent, hashed, Arc::new(clock.clone()), random);
        ports.directory = Some(Arc::new(store.clone()));
        ports.dead_mails = Some(Arc::new(store.clone()));
        ports.events = Arc::new(events.clone());
        let ports = faults.in_front_of(&ports);
        let auth = node(&ports, &policy);
        Self { clock, store, faults, hasher, mailer, events, policy, ports, auth, client: Client::default() }
    }

    /// Another node over the same stores, as after a restart.
    pub(crate) fn node(&self) -> AuthSystem {
        node(&self.ports, &self.policy)
    }

    /// Another node, with a log of changes.
    pub(crate) fn node_with_audit(&self, audit: impl AuditLog) -> AuthSystem {
        let mut ports = self.ports.clone();
        ports.audit = Arc::new(audit);
        node(&ports, &self.policy)
    }

    /// This world's node, with something that happens while a password is checked.
    pub(crate) fn node_that_checks(
        &self,
        during_verify: impl Fn() -> Result<(), HashError> + Send + Sync + 'static,
    ) -> AuthSystem {
        let hasher = Arc::new(HookedHasher { inner: self.hasher.clone(), during_verify });
        let mut ports = self.ports.clone();
        ports.hasher = hasher;
        node(&ports, &self.policy)
    }

    /// What makes and reads this world's tokens.
    pub(crate) fn tokens(&self) -> Tokens {
        tokens(&self.policy)
    }

    pub(crate) async fn sign_up(&self, email: &str, password: &str) -> Result<SignedUp, Error> {
        let auth = self.auth.request(&self.client);
        let password = auth.new_password("password", password, Personal::default())?;
        auth.sign_up(SignUpRequest::new(to_email(email), password)).await
    }

    /// Sends all mail that is due and takes it out of the mailer.
    pub(crate) async fn mails(&self) -> Vec<(String, MailPurpose)> {
        self.deliver().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect()
    }

    /// The links of all mail that is due, save those of notices.
    pub(crate) async fn links(&self) -> Vec<Link> {
        let notice = |link: &Link| matches!(link.purpose, MailPurpose::PasswordChanged | MailPurpose::EmailChanged);
        self.all_links().await.into_iter().filter(|link| !notice(link)).collect()
    }

    pub(crate) async fn all_links(&self) -> Vec<Link> {
        let link = |mail: auth_core::testing::SentMail| {
            let (user, token) = mail.link?;
            Some(Link { purpose: mail.purpose, user: UserId::parse(&user).unwrap(), token })
        };
        self.deliver().await.into_iter().filter_map(link).collect()
    }

    /// Sends all mail that is due and takes it out of the mailer.
    pub(crate) async fn deliver(&self) -> Vec<auth_core::testing::SentMail> {
        while !self.auth.deliver_mail().await.unwrap().is_idle() {}
        self.mailer.take()
    }

    /// The one link that waits in the outbox.
    pub(crate) async fn link(&self) -> Link {
        let mut links = self.links().await;
        assert_eq!(links.len(), 1, "{links:?}");
        links.remove(0)
    }

    pub(crate) async fn verify(&self, link: &Link) -> Result<(), Error> {
        self.auth.request(&self.client).verify_email(Some(link.user), &link.token).await
    }

    /// An account, signed up and verified.
    pub(crate) async fn verified(&self, email: &str, password: &str) -> UserId {
        self.sign_up(email, password).await.unwrap();
        let link = self.link().await;
        self.verify(&link).await.unwrap();
        self.events.take();
        link.user
    }

    pub(crate) async fn login(&self, identifier: &str, password: &str) -> Result<SessionTokens, Error> {
        login(&self.auth, identifier, password).await
    }

    /// A verified account of Ada's and a session of hers.
    pub(crate) async fn logged_in(&self) -> SessionTokens {
        self.verified(ADA, PASSWORD).await;
        let tokens = self.login(ADA, PASSWORD).await.unwrap();
        self.events.take();
        tokens
    }

    /// A link that sets Ada's password.
    pub(crate) async fn reset_link(&self) -> Link {
        self.auth.request(&self.client).request_password_reset(&to_email(ADA)).await.unwrap();
        self.link().await
    }

    pub(crate) async fn reset(&self, link: &Link, password: &str) -> Result<(), Error> {
        let auth = self.auth.request(&self.client);
        let password = auth.new_password("password", password, Personal::default())?;
        let request = PasswordResetConfirm { user: Some(link.user), token: &link.token, password: &password };
        auth.confirm_password_reset(request).await.map(|_| ())
    }

    pub(crate) async fn user(&self, email: &str) -> User {
        let email = Email::parse(email).unwrap();
        let found = UserStore::find(&self.store, &self.client.tenant, UserKey::Email(&email)).await;
        found.unwrap().expect("no such account")
    }

    /// Changes an account behind the flows' back, as an operator or another node would.
    pub(crate) async fn change(&self, email: &str, change: UserChange) -> User {
        let user = self.user(email).await;
        match UserStore::update_if(&self.store, &user, &change).await.unwrap() {
            UserUpdate::Done(user) => user,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn set_status(&self, email: &str, status: UserStatus) -> User {
        self.change(email, UserChange { status: Some(status), ..UserChange::default() }).await
    }

    /// Moves past the revocation lag, so that changes from elsewhere are known.
    pub(crate) fn pass_lag(&self) {
        self.clock.advance(self.policy.revocation_lag + TICK);
    }
}

/// Reads of the plain store that tests make often.
pub(crate) trait Look {
    async fn find_user(&self, tenant: &TenantId, key: UserKey<'_>) -> Option<User>;
    async fn find_session(&self, id: SessionId) -> Session;
}

impl Look for MemoryStore {
    async fn find_user(&self, tenant: &TenantId, key: UserKey<'_>) -> Option<User> {
        UserStore::find(self, tenant, key).await.unwrap()
    }

    async fn find_session(&self, id: SessionId) -> Session {
        SessionStore::find(self, &TenantId::default(), id).await.unwrap().expect("no such session").row
    }
}

/// The keys of stored secrets.
pub(crate) fn data_ring() -> DataRing {
    DataRing::new(&secret(2), &[])
}

pub(crate) fn node(ports: &Ports, policy: &Policy) -> AuthSystem {
    AuthSystem::new(ports.clone(), policy.clone(), tokens(policy), &data_ring()).unwrap()
}

pub(crate) async fn login(auth: &AuthSystem, identifier: &str, password: &str) -> Result<SessionTokens, Error> {
    let password = Password::new(password).unwrap();
    let request =
        LoginRequest::new(auth_core::types::Identifier::parse(identifier), &password).channel(Channel::Header);
    auth.request(&Client::default()).login(request).await.map(|outcome| outcome.logged_in().unwrap().session)
}

/// The bytes of both tokens.
pub(crate) fn bytes(tokens: &SessionTokens) -> (String, String) {
    (tokens.access.token.expose().to_owned(), tokens.refresh.token.expose().to_owned())
}

/// Why a flow refused.
pub(crate) fn refused<T>(result: Result<T, Error>) -> Reason {
    match result {
        Ok(_) => panic!("was not refused"),
        Err(error) => error.reason(),
    }
}

/// Which fields a flow refused, and why.
pub(crate) fn wrong_fields<T>(result: Result<T, Error>) -> Vec<(&'static str, FieldReason)> {
    let Err(error) = result else { panic!("was not refused") };
    assert_eq!(error.reason(), Reason::InvalidFields);
    error.fields().iter().map(|error| (error.field, error.reason)).collect()
}

/// A root secret that differs from those of other numbers.
pub(crate) fn secret(number: u8) -> RootSecret {
    auth_core::testing::root_secret_of(&secret_bytes(number))
}

pub(crate) fn secret_bytes(number: u8) -> Vec<u8> {
    (0..32).map(|index: u8| index.wrapping_mul(37).wrapping_add(number)).collect()
}

pub(crate) fn tokens(policy: &Policy) -> Tokens {
    Tokens::new(TokenRing::new(&secret(1), &[]), "iss", "aud", policy).unwrap()
}

/// A session that nobody made, as old as the manual clock.
pub(crate) fn session() -> Session {
    let now = ManualClock::new().now();
    Session {
        id: SessionId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        tenant: TenantId::default(),
        user: UserId::parse("42").unwrap(),
        token_version: TokenVersion::new(7),
        generation: 0,
        rotated_at: now,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now + 7 * DAY,
        expires_at: now + 30 * DAY,
        auth_time: now,
        methods: AuthMethods::PASSWORD,
        method_times: MethodTimes::default(),
        scope: Scope::Full,
        channel: Channel::Cookie,
        address: None,
        agent: None,
        device_name: None,
        context: serde_json::Value::Null,
        slot: None,
        presented: None,
        revoked_at: None,
        changed_at: now,
    }
}

/// An account that nobody made.
pub(crate) fn user_row() -> User {
    let now = ManualClock::new().now();
    let new = NewUser {
        tenant: TenantId::default(),
        id: UserId::parse("42").unwrap(),
        email: Email::parse(ADA).unwrap(),
        username: None,
        email_verified_at: None,
        claim: Claim::SignUp { from: None },
        password_hash: None,
        token_version: TokenVersion::new(7),
        attributes: Attributes::new(),
        created_at: now,
    };
    new.into_user(now)
}

/// Polls a future once. In these tests every port answers at once, unless it was told to hang.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Runs a future that never has to wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    poll_once(future).expect("a port hangs")
}

/// A hasher during whose checks something else happens, or which fails.
pub(crate) struct HookedHasher<F> {
    pub(crate) inner: InsecurePlainHasher,
    pub(crate) during_verify: F,
}

#[async_trait]
impl<F: Fn() -> Result<(), HashError> + Send + Sync + 'static> PasswordHasher for HookedHasher<F> {
    fn admit(&self, lane: u128) -> Result<Ticket, HashError> {
        self.inner.admit(lane)
    }

    async fn hash(&self, ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError> {
        self.inner.hash(ticket, password).await
    }

    async fn verify(
        &self,
        ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let verdict = self.inner.verify(ticket, password, hash).await?;
        (self.during_verify)()?;
        Ok(verdict)
    }
}

/// A clock that is off by some seconds; its time of day may go backwards.
#[derive(Clone)]
pub(crate) struct SkewedClock {
    pub(crate) base: ManualClock,
    micros: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(crate) fn new(base: &ManualClock) -> Self {
        Self { base: base.clone(), micros: Arc::default() }
    }

    pub(crate) fn set_seconds(&self, seconds: i64) {
        self.micros.store(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.base.now().micros() + self.micros.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.base.monotonic()
    }
}

pub(crate) fn to_email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub(crate) fn to_username(text: &str) -> Option<Username> {
    Some(Username::parse(text).unwrap())
}

/// A password that the default policy accepts.
pub(crate) fn new_password(text: &str) -> NewPassword {
    PasswordPolicy::default().accept("password", text, Personal::default()).unwrap()
}
