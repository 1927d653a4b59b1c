//! [`Auth`]: the account system with its HTTP side and its workers, built in one place.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Once};

use auth_core::error::Error;
use auth_core::operator::Admin;
use auth_core::policy::InvalidSetting;
use auth_core::port::{
    AttemptStore, AuditLog, Clock, CredentialStore, DataKeyUse, DeadMails, EventSink, MailOutbox, Mailer,
    PasswordCheck, PasswordHasher, PendingSessionStore, Random, SecondFactorRule, SessionStore, TracingAuditLog,
    TracingEvents, UserDirectory, UserStore,
};
use auth_core::token::{DataRing, TokenRing, Tokens};
use auth_core::{AuthSystem, Ports, Stores};
use http::{Request, Response};

use crate::config::{Config, SameSite, Superuser};
use crate::hash::{HashConfig, HashPool, HashStats, Pepper};
#[cfg(feature = "openapi")]
use crate::http::openapi::Source;
use crate::http::table::{Operations, Table};
use crate::http::{Body, BoxError, Cookies, HttpSettings, Origins, Service, Site, dialect, operations};
use crate::mail::{TemplateMailer, Templates, Transport};
use crate::system::{SystemClock, SystemRandom};
use crate::worker::Workers;

/// The account system, ready to be mounted. Clones are one system.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    service: Arc<Service>,
    workers: Workers,
    superuser: Option<Superuser>,
    /// The pool that `build` started, unless the application brought a hasher of its own.
    hash_pool: Option<Arc<HashPool>>,
}

impl Auth {
    /// Starts building. A store and a mailer must follow.
    pub fn builder(config: Config) -> AuthBuilder {
        AuthBuilder {
            config,
            users: Slot::default(),
            sessions: Slot::default(),
            outbox: Slot::default(),
            attempts: Slot::default(),
            credentials: Slot::default(),
            pending: Slot::default(),
            directory: Slot::default(),
            dead_mails: Slot::default(),
            data_key_use: Vec::new(),
            mailer: None,
            transport: None,
            hasher: None,
            password_check: None,
            second_factor_rule: None,
            audit: Arc::new(TracingAuditLog),
            events: Arc::new(TracingEvents),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            workers: true,
            operations: Vec::new(),
        }
    }

    /// The flows, to be called without HTTP.
    pub fn system(&self) -> &AuthSystem {
        &self.inner.service.site.system
    }

    /// The operator's verbs. Nothing in them asks who calls: guard what you expose of them.
    pub fn admin(&self) -> Admin<'_> {
        self.system().admin()
    }

    /// Ensures that there is a super-user, with the address and password of [`Config::superuser`] if none exists; no-op
    /// without that setting. Call it after [`AuthBuilder::build`], at every start: it changes nothing the second time.
    /// [`Admin::ensure_superuser`] has the details.
    ///
    /// # Errors
    /// `invalid_fields` for an address or a password that no account could have; `overloaded`; `unavailable`.
    pub async fn ensure_superuser(&self) -> Result<(), Error> {
        if let Some(superuser) = &self.inner.superuser {
            let admin = self.admin().acting_as("configuration");
            admin.ensure_superuser(&superuser.email, superuser.password.expose()).await?;
        }
        Ok(())
    }

    /// How the hash pool fares: queue, waiting time, refusals. `None` with a hasher of your own.
    pub fn hash_stats(&self) -> Option<HashStats> {
        self.inner.hash_pool.as_ref().map(|pool| pool.stats())
    }

    /// Sends what waits and ends the workers, in ten seconds at most. What cannot be sent stays in the outbox.
    pub async fn shutdown(&self) {
        self.inner.workers.shutdown().await;
    }

    /// Answers one request: the bare service that every adapter runs.
    ///
    /// `peer` is the address at the other end of the connection. Paths outside
    /// [`public_path`](crate::Config::public_path) are answered with 404.
    pub async fn respond<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        self.service().respond(request, peer).await
    }

    /// All endpoints as an OpenAPI 3.1 document, as the settings have them: the public path, the profile's fields and
    /// shapes, the cookies' names, whether usernames are on, the application's own fields.
    ///
    /// [`Config::openapi`](crate::Config::openapi) also serves it, below the public path.
    #[cfg(feature = "openapi")]
    pub fn openapi(&self) -> serde_json::Value {
        let Service { site, table } = &**self.service();
        Source { table, http: &site.settings, policy: site.system.policy() }.document()
    }

    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.inner.service.site
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.inner.service
    }

    #[cfg(any(feature = "axum", feature = "tower", feature = "actix"))]
    pub(crate) fn http(&self) -> &HttpSettings {
        &self.service().site.settings
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("public_path", &self.service().site.settings.public_path).finish_non_exhaustive()
    }
}

/// Joins a [`Config`] with stores and a mailer.
///
/// The order of calls does not matter. A part, such as [`users`](Self::users), overrides a bundle, such as
/// [`store`](Self::store). Of two calls of one method, the last one counts.
pub struct AuthBuilder {
    config: Config,
    users: Slot<dyn UserStore>,
    sessions: Slot<dyn SessionStore>,
    outbox: Slot<dyn MailOutbox>,
    attempts: Slot<dyn AttemptStore>,
    credentials: Slot<dyn CredentialStore>,
    pending: Slot<dyn PendingSessionStore>,
    directory: Slot<dyn UserDirectory>,
    dead_mails: Slot<dyn DeadMails>,
    data_key_use: Vec<Arc<dyn DataKeyUse>>,
    mailer: Option<Arc<dyn Mailer>>,
    transport: Option<Box<dyn Transport>>,
    hasher: Option<Arc<dyn PasswordHasher>>,
    password_check: Option<Arc<dyn PasswordCheck>>,
    second_factor_rule: Option<Arc<dyn SecondFactorRule>>,
    audit: Arc<dyn AuditLog>,
    events: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    workers: bool,
    operations: Vec<Change>,
}

/// A part of the system, and the call that gave it.
struct Slot<T: ?Sized>(Option<(Given, Arc<T>)>);

/// The calls that give parts. A later variant is more specific and overrides an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    Store,
    StoresBesideUsers,
    ShortLived,
    Part,
}

impl<T: ?Sized> Slot<T> {
    fn set(&mut self, given: Given, part: Arc<T>) {
        if self.0.as_ref().is_none_or(|(earlier, _)| *earlier <= given) {
            self.0 = Some((given, part));
        }
    }

    fn part(self) -> Option<Arc<T>> {
        self.0.map(|(_, part)| part)
    }

    /// Returns the part that `method` gives, as does `store`.
    fn required(self, method: &'static str) -> Result<Arc<T>, InvalidSetting> {
        self.part().ok_or_else(|| missing(method, "store"))
    }
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

fn missing(method: &'static str, or: &str) -> InvalidSetting {
    InvalidSetting::new(method, format!("is missing: call `AuthBuilder::{method}` or `AuthBuilder::{or}`"))
}

/// A change of the table.
type Change = Box<dyn FnOnce(&mut Operations<'_>) + Send>;

impl AuthBuilder {
    /// One store for everything.
    #[must_use]
    pub fn store<S>(mut self, store: S) -> Self
    where
        S: UserStore + UserDirectory + SessionStore + CredentialStore + PendingSessionStore + AttemptStore,
        S: MailOutbox + DeadMails + DataKeyUse,
    {
        let store = Arc::new(store);
        self.users.set(Given::Store, store.clone());
        self.directory.set(Given::Store, store.clone());
        self.beside_users(Given::Store, store)
    }

    /// One store for everything but the accounts, which are in a table of your own: [`users`](Self::users).
    #[must_use]
    pub fn stores_beside_users<S>(self, store: S) -> Self
    where
        S: SessionStore + CredentialStore + PendingSessionStore + AttemptStore + MailOutbox + DeadMails + DataKeyUse,
    {
        self.beside_users(Given::StoresBesideUsers, Arc::new(store))
    }

    fn beside_users<S>(mut self, given: Given, store: Arc<S>) -> Self
    where
        S: SessionStore + CredentialStore + PendingSessionStore + AttemptStore + MailOutbox + DeadMails + DataKeyUse,
    {
        self.sessions.set(given, store.clone());
        self.credentials.set(given, store.clone());
        self.pending.set(given, store.clone());
        self.attempts.set(given, store.clone());
        self.outbox.set(given, store.clone());
        self.dead_mails.set(given, store.clone());
        self.data_key_use(store)
    }

    /// One store for what may be lost, pending sessions and attempts: `RedisStore`, say. It overrides
    /// [`store`](Self::store) and [`stores_beside_users`](Self::stores_beside_users).
    #[must_use]
    pub fn short_lived<S: PendingSessionStore + AttemptStore>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.pending.set(Given::ShortLived, store.clone());
        self.attempts.set(Given::ShortLived, store);
        self
    }

    /// The store of accounts: your own table, maybe.
    #[must_use]
    pub fn users(mut self, users: impl UserStore) -> Self {
        self.users.set(Given::Part, Arc::new(users));
        self
    }

    /// The store of sessions.
    #[must_use]
    pub fn sessions(mut self, sessions: impl SessionStore) -> Self {
        self.sessions.set(Given::Part, Arc::new(sessions));
        self
    }

    /// The store of credentials beside passwords.
    #[must_use]
    pub fn credentials(mut self, credentials: impl CredentialStore) -> Self {
        self.credentials.set(Given::Part, Arc::new(credentials));
        self
    }

    /// The store of what waits for a second step.
    #[must_use]
    pub fn pending_sessions(mut self, pending: impl PendingSessionStore) -> Self {
        self.pending.set(Given::Part, Arc::new(pending));
        self
    }

    /// The accounts as an operator lists them. Without one, [`Admin::list`] is refused.
    #[must_use]
    pub fn directory(mut self, directory: impl UserDirectory) -> Self {
        self.directory.set(Given::Part, Arc::new(directory));
        self
    }

    /// The mails that were given up. Without them, [`Admin`] cannot show any.
    #[must_use]
    pub fn dead_mails(mut self, dead_mails: impl DeadMails) -> Self {
        self.dead_mails.set(Given::Part, Arc::new(dead_mails));
        self
    }

    /// A store that tells which data keys its values need, beside those said before:
    /// [`check_data_keys`](Auth::check_data_keys) asks them all. The built-in stores are among them by themselves.
    #[must_use]
    pub fn data_key_use(mut self, store: impl DataKeyUse) -> Self {
        self.data_key_use.push(Arc::new(store));
        self
    }

    /// The store of mails that wait.
    #[must_use]
    pub fn outbox(mut self, outbox: impl MailOutbox) -> Self {
        self.outbox.set(Given::Part, Arc::new(outbox));
        self
    }

    /// The store of attempts within timed windows.
    #[must_use]
    pub fn attempts(mut self, attempts: impl AttemptStore) -> Self {
        self.attempts.set(Given::Part, Arc::new(attempts));
        self
    }

    /// What carries mails, in the words of the built-in templates. For those of your own, see [`mailer`](Self::mailer)
    /// and [`TemplateMailer`].
    #[must_use]
    pub fn mail(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// What sends mails. It overrides [`mail`](Self::mail).
    #[must_use]
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Where events go. Default: `tracing`.
    #[must_use]
    pub fn events(mut self, events: impl EventSink) -> Self {
        self.events = Arc::new(events);
        self
    }

    /// What hashes passwords. Default: Argon2id on a pool of threads, as the settings say.
    #[must_use]
    pub fn hasher(mut self, hasher: impl PasswordHasher) -> Self {
        self.hasher = Some(Arc::new(hasher));
        self
    }

    /// What judges new passwords, after the rules of the policy: a service that knows breached ones, say. Default:
    /// nothing does.
    #[must_use]
    pub fn password_check(mut self, check: impl PasswordCheck) -> Self {
        self.password_check = Some(Arc::new(check));
        self
    }

    /// Whose login needs a second factor, beside what
    /// [`Policy::require_second_factor`](crate::Policy) says. Default: nobody's.
    #[must_use]
    pub fn second_factor_rule(mut self, rule: impl SecondFactorRule) -> Self {
        self.second_factor_rule = Some(Arc::new(rule));
        self
    }

    /// The log of changes of accounts: see [`AuditLog`]. Default: [`TracingAuditLog`],
    /// which keeps nothing.
    #[must_use]
    pub fn audit_log(mut self, log: impl AuditLog) -> Self {
        self.audit = Arc::new(log);
        self
    }

    /// The time. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Unpredictable bytes. Default: the operating system's.
    #[must_use]
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Changes the table of endpoints: rows less, rows wrapped, rows of your own, limits of single rows.
    ///
    /// ```
    /// use auth_system::operation::{Answer, Method, Operation, StatusCode};
    /// # use auth_system::AuthBuilder;
    ///
    /// # fn example(builder: AuthBuilder) -> AuthBuilder {
    /// builder.operations(|table| {
    ///     table.remove(Method::POST, "deactivate-account/");
    ///     table.add(Operation::new(Method::GET, "version/", |_call| async {
    ///         Ok(Answer::detail(StatusCode::OK, env!("CARGO_PKG_VERSION")))
    ///     }));
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn operations(mut self, change: impl FnOnce(&mut Operations<'_>) + Send + 'static) -> Self {
        self.operations.push(Box::new(change));
        self
    }

    /// Leaves out the workers: you call [`AuthSystem::deliver_mail`] yourself. Access checks then poll when needed.
    #[must_use]
    pub fn without_workers(mut self) -> Self {
        self.workers = false;
        self
    }

    /// Checks every setting and starts the workers on the current tokio runtime.
    ///
    /// # Errors
    /// [`InvalidSetting`] names what is missing, weak or contradictory.
    pub fn build(self) -> Result<Auth, InvalidSetting> {
        let config = &self.config;
        config.check()?;
        let policy = config.effective_policy();
        policy.check()?;
        let (hasher, hash_pool): (Arc<dyn PasswordHasher>, _) = match self.hasher {
            Some(_) if config.pepper => {
                let problem = "is for the built-in hasher alone: yours would go without it";
                return Err(InvalidSetting::new("pepper", problem));
            }
            Some(hasher) => (hasher, None),
            None => {
                let pool = HashPool::start(hash_config(config)?, self.clock.clone(), self.random.clone())?;
                let pool = Arc::new(pool);
                (pool.clone(), Some(pool))
            }
        };
        let mailer = match (self.mailer, self.transport) {
            (Some(mailer), _) => mailer,
            (None, Some(transport)) => Arc::new(TemplateMailer::new(templates(config)?, transport)),
            (None, None) => return Err(missing("mail", "mailer")),
        };
        let stores = Stores {
            users: self.users.required("users")?,
            sessions: self.sessions.required("sessions")?,
            outbox: self.outbox.required("outbox")?,
            attempts: self.attempts.required("attempts")?,
            credentials: self.credentials.required("credentials")?,
            pending: self.pending.required("pending_sessions")?,
        };
        let mut ports = Ports::new(stores, mailer, hasher, self.clock, self.random);
        ports.directory = self.directory.part();
        ports.dead_mails = self.dead_mails.part();
        ports.data_key_use = self.data_key_use;
        ports.password_check = self.password_check;
        ports.second_factor_rule = self.second_factor_rule;
        ports.audit = self.audit;
        ports.events = self.events;
        let ring = TokenRing::new(&config.secret, &config.accepted_secrets);
        let tokens = Tokens::new(ring, &config.issuer, &config.audience, &policy)?;
        let origins = config.effective_origins()?;
        config.warn_of_footguns(&config.frontend_origin()?, &origins);
        #[cfg_attr(not(feature = "openapi"), expect(unused_mut, reason = "the feature adds the document"))]
        let mut settings = HttpSettings {
            dialect: dialect::of(config.profile),
            public_path: config.public_path.clone(),
            origins: Origins::new(origins, config.cookies.same_site == SameSite::None),
            throttles: config.throttles.clone(),
            cookies: Cookies::of(&config.cookies, config.profile, &config.public_path),
            bearer: config.bearer,
            trusted_proxies: config.trusted_proxies.clone(),
            proxy_warning: Once::new(),
            body_timeout: config.body_timeout,
            #[cfg(feature = "openapi")]
            document: None,
        };
        let mut table = Table::new(operations(config.openapi));
        let mut operations = Operations::new(&mut table);
        self.operations.into_iter().for_each(|change| change(&mut operations));
        operations.outcome()?;
        table.check(&config.throttles)?;
        #[cfg(feature = "openapi")]
        if config.openapi {
            let source = Source { table: &table, http: &settings, policy: &policy };
            settings.document = Some(source.document().to_string().into());
        }
        let superuser = config.superuser.clone();
        let system = AuthSystem::new(ports, policy, tokens, &data_ring(config))?;
        let workers = if self.workers { Workers::start(&system)? } else { Workers::none() };
        let service = Arc::new(Service { site: Arc::new(Site { system, settings }), table });
        Ok(Auth { inner: Arc::new(Inner { service, workers, superuser, hash_pool }) })
    }
}

impl fmt::Debug for AuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

fn hash_config(config: &Config) -> Result<HashConfig, InvalidSetting> {
    let defaults = HashConfig::default();
    let pepper = if config.pepper { Some(pepper(config)?) } else { None };
    Ok(HashConfig {
        params: config.argon2,
        pepper,
        threads: config.hash_threads.unwrap_or(defaults.threads),
        queue: config.hash_queue,
        ..defaults
    })
}

/// The built-in words, with the application's name and address.
fn templates(config: &Config) -> Result<Templates, InvalidSetting> {
    Templates::new(&config.frontend_url, &config.product)
        .map_err(|error| InvalidSetting::new("frontend_url", error.to_string()))
}

fn data_ring(config: &Config) -> DataRing {
    match config.data_keys.split_first() {
        Some((current, older)) => DataRing::new(current, older),
        None => DataRing::new(&config.secret, &[]),
    }
}

/// The pepper of each data key.
fn pepper(config: &Config) -> Result<Pepper, InvalidSetting> {
    let keys = data_ring(config).keys_for("pepper");
    let keys: Vec<(&str, &[u8; 32])> = keys.iter().map(|(id, key)| (id.as_str(), &**key)).collect();
    Pepper::new(&keys)
}
