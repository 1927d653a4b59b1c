//! All ports in one plain struct.

use std::sync::Arc;

use super::{
    AttemptStore, AuditLog, Clock, CredentialStore, DataKeyUse, DeadMails, EventSink, MailOutbox, Mailer, OneTenant,
    PasswordBackend, PasswordCheck, PasswordHasher, PendingSessionStore, Random, SecondFactorRule, SessionStore,
    TenantResolver, TracingAuditLog, TracingEvents, UserDirectory, UserStore,
};

/// The stores that every account system needs. No store will be added here without a new major version.
#[derive(Clone)]
pub struct Stores {
    /// The accounts.
    pub users: Arc<dyn UserStore>,
    /// The sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// The credentials beside passwords.
    pub credentials: Arc<dyn CredentialStore>,
    /// The first steps that wait for a second one.
    pub pending: Arc<dyn PendingSessionStore>,
    /// Attempts within timed windows.
    pub attempts: Arc<dyn AttemptStore>,
    /// The mails that wait.
    pub outbox: Arc<dyn MailOutbox>,
}

impl Stores {
    /// One store for everything.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: UserStore + SessionStore + CredentialStore + PendingSessionStore + AttemptStore + MailOutbox,
    {
        let (users, sessions, credentials) = (store.clone(), store.clone(), store.clone());
        Self { users, sessions, credentials, pending: store.clone(), attempts: store.clone(), outbox: store }
    }
}

/// Everything the flows need from the outside. Each port may be shared with others.
///
/// [`new`](Self::new) takes those that have no default; assign to the fields of the others.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ports {
    /// The accounts.
    pub users: Arc<dyn UserStore>,
    /// The sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// The credentials beside passwords.
    pub credentials: Arc<dyn CredentialStore>,
    /// The first steps that wait for a second one.
    pub pending: Arc<dyn PendingSessionStore>,
    /// Attempts within timed windows.
    pub attempts: Arc<dyn AttemptStore>,
    /// The mails that wait.
    pub outbox: Arc<dyn MailOutbox>,
    /// Sends the mails.
    pub mailer: Arc<dyn Mailer>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Judges the passwords of accounts. Default: none, so the hasher judges them by the hashes in their rows.
    pub password_backend: Option<Arc<dyn PasswordBackend>>,
    /// Tells the tenant of a request. Default: [`OneTenant`].
    pub tenants: Arc<dyn TenantResolver>,
    /// Tells whose login needs a second factor, beside the policy. Default: none.
    pub second_factor_rule: Option<Arc<dyn SecondFactorRule>>,
    /// Judges new passwords besides the policy. Default: none.
    pub password_check: Option<Arc<dyn PasswordCheck>>,
    /// The log of changes. Default: [`TracingAuditLog`].
    pub audit: Arc<dyn AuditLog>,
    /// Takes the events. Default: [`TracingEvents`].
    pub events: Arc<dyn EventSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// The accounts as an operator lists them. Default: none.
    pub directory: Option<Arc<dyn UserDirectory>>,
    /// The mails that were given up. Default: none.
    pub dead_mails: Option<Arc<dyn DeadMails>>,
    /// The stores that tell which data keys their values need: none, or several that share the accounts' data.
    pub data_key_use: Vec<Arc<dyn DataKeyUse>>,
}

impl Ports {
    /// Joins the ports that have no default.
    pub fn new(
        stores: Stores,
        mailer: Arc<dyn Mailer>,
        hasher: Arc<dyn PasswordHasher>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let Stores { users, sessions, credentials, pending, attempts, outbox } = stores;
        Self {
            users,
            sessions,
            credentials,
            pending,
            attempts,
            outbox,
            mailer,
            password_backend: None,
            hasher,
            tenants: Arc::new(OneTenant::default()),
            second_factor_rule: None,
            password_check: None,
            audit: Arc::new(TracingAuditLog),
            events: Arc::new(TracingEvents),
            clock,
            random,
            directory: None,
            dead_mails: None,
            data_key_use: Vec::new(),
        }
    }
}
