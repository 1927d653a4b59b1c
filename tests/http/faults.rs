//! A world whose store or hasher fails when told to.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth_system::auth_core::port::{
    At, AttemptKey, AttemptStore, ChangePage, ClaimedMail, CredentialStore, HashError, Hit, LoginRecord, MailIntent,
    MailOutbox, NewUser, PasswordHasher, PendingSessionStore, Rotation, SessionInsert, SessionStore, Settlement, Since,
    StoreError, Ticket, UserChange, UserInsert, UserKey, UserSecurity, UserStore, UserUpdate, Verdict,
};
use auth_system::auth_core::testing::InsecurePlainHasher;
use auth_system::auth_core::types::{
    Credential, CredentialId, FactorKind, Limit, MailId, Password, PasswordHash, Payload, PendingId, PendingSession,
    Session, SessionId, TenantId, Timestamp, User, UserId,
};
use auth_system::{Auth, AuthBuilder, Config};

use crate::world::{self, World};

/// What the store does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    Down,
    /// It does its work, yet says that it is down.
    Lost,
    Corrupt,
    Hangs,
}

/// The switches. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Switches>>);

#[derive(Default)]
struct Switches {
    store: Fault,
    /// The one call that the fault strikes; all without.
    only: Option<usize>,
    calls: Vec<&'static str>,
    busy: Option<Duration>,
}

impl Faults {
    /// What a store says when it fails; clients must never read it.
    pub(crate) const CAUSE: &str = "disk 7 of db.internal is gone";

    /// The same world with these switches built in.
    pub(crate) fn around(&self, world: World, configure: impl FnOnce(&mut Config)) -> World {
        let mut config = world::config();
        configure(&mut config);
        let auth = self.builder(&world, config).without_workers().build().unwrap();
        world.around(auth)
    }

    /// The parts of a world behind these switches.
    pub(crate) fn builder(&self, world: &World, config: Config) -> AuthBuilder {
        let ports = world.auth.system().ports();
        Auth::builder(config)
            .users(Faulty { port: ports.users.clone(), faults: self.clone() })
            .sessions(Faulty { port: ports.sessions.clone(), faults: self.clone() })
            .outbox(Faulty { port: ports.outbox.clone(), faults: self.clone() })
            .attempts(Faulty { port: ports.attempts.clone(), faults: self.clone() })
            .credentials(Faulty { port: ports.credentials.clone(), faults: self.clone() })
            .pending_sessions(Faulty { port: ports.pending.clone(), faults: self.clone() })
            .hasher(Busy { hasher: world.hasher.clone(), faults: self.clone() })
            .mailer(world.mailer.clone())
            .events(world.events.clone())
            .clock(world.clock.clone())
    }

    pub(crate) fn store(&self, fault: Fault) {
        let mut switches = self.0.lock().unwrap();
        (switches.store, switches.only) = (fault, None);
    }

    /// As [`store`](Self::store), at one call of the next ones.
    pub(crate) fn store_at(&self, call: usize, fault: Fault) {
        let mut switches = self.0.lock().unwrap();
        (switches.store, switches.only) = (fault, Some(call));
        switches.calls.clear();
    }

    /// Takes out the names of the calls so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// The hasher turns everybody away for so long, or nobody.
    pub(crate) fn busy(&self, retry_after: Option<Duration>) {
        self.0.lock().unwrap().busy = retry_after;
    }

    async fn call<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut switches = self.0.lock().unwrap();
            switches.calls.push(name);
            let struck = switches.only.is_none_or(|only| only + 1 == switches.calls.len());
            if struck { switches.store } else { Fault::None }
        };
        match fault {
            Fault::None => work.await,
            Fault::Down => Err(StoreError::unavailable(Self::CAUSE)),
            Fault::Lost => work.await.and(Err(StoreError::unavailable(Self::CAUSE))),
            Fault::Corrupt => Err(StoreError::corrupt(Self::CAUSE)),
            Fault::Hangs => pending().await,
        }
    }
}

struct Faulty<P: ?Sized> {
    port: Arc<P>,
    faults: Faults,
}

#[async_trait]
impl UserStore for Faulty<dyn UserStore> {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        self.faults.call("users.insert", self.port.insert(user)).await
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        self.faults.call("users.find", self.port.find(tenant, key)).await
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        self.faults.call("users.update_if", self.port.update_if(current, change)).await
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        self.faults.call("users.count_failure", self.port.count_failure(tenant, id, below)).await
    }

    async fn dummy_write(&self, row: &str) -> Result<(), StoreError> {
        self.faults.call("users.dummy_write", self.port.dummy_write(row)).await
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        self.faults.call("users.record_login", self.port.record_login(tenant, id, login)).await
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        self.faults.call("users.changes", self.port.changes(since, limit)).await
    }
}

#[async_trait]
impl SessionStore for Faulty<dyn SessionStore> {
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError> {
        self.faults.call("sessions.insert", self.port.insert(session)).await
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        self.faults.call("sessions.find", self.port.find(tenant, id)).await
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        self.faults.call("sessions.rotate_if", self.port.rotate_if(current, next)).await
    }

    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        self.faults.call("sessions.revoke", self.port.revoke(tenant, id, at)).await
    }

    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        self.faults.call("sessions.purge_ended", self.port.purge_ended(age, limit)).await
    }

    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError> {
        self.faults.call("sessions.revocations", self.port.revocations(since, limit)).await
    }
}

#[async_trait]
impl MailOutbox for Faulty<dyn MailOutbox> {
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError> {
        self.faults.call("outbox.enqueue", self.port.enqueue(id, intent, now)).await
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError> {
        self.faults.call("outbox.claim", self.port.claim(now, lease, limit)).await
    }

    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError> {
        self.faults.call("outbox.settle", self.port.settle(claim, settlement)).await
    }
}

#[async_trait]
impl AttemptStore for Faulty<dyn AttemptStore> {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        self.faults.call("attempts.hit", self.port.hit(key, limit)).await
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.faults.call("attempts.clear", self.port.clear(key)).await
    }
}

#[async_trait]
impl CredentialStore for Faulty<dyn CredentialStore> {
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError> {
        self.faults.call("credentials.insert", CredentialStore::insert(&*self.port, credential)).await
    }

    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        self.faults.call("credentials.find", CredentialStore::find(&*self.port, tenant, id)).await
    }

    async fn find_by_key(
        &self,
        tenant: &TenantId,
        kind: &FactorKind,
        key: &[u8],
    ) -> Result<Option<Credential>, StoreError> {
        self.faults.call("credentials.find_by_key", self.port.find_by_key(tenant, kind, key)).await
    }

    async fn of_user(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        self.faults.call("credentials.of_user", self.port.of_user(tenant, user)).await
    }

    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError> {
        self.faults.call("credentials.update_if", CredentialStore::update_if(&*self.port, current, payload)).await
    }

    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError> {
        self.faults
            .call("credentials.count_failure", CredentialStore::count_failure(&*self.port, tenant, id, below))
            .await
    }

    async fn remove(&self, tenant: &TenantId, id: CredentialId) -> Result<bool, StoreError> {
        self.faults.call("credentials.remove", self.port.remove(tenant, id)).await
    }
}

#[async_trait]
impl PendingSessionStore for Faulty<dyn PendingSessionStore> {
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError> {
        self.faults.call("pending.put", self.port.put(pending)).await
    }

    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.faults.call("pending.find", PendingSessionStore::find(&*self.port, id, now)).await
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.faults.call("pending.take", self.port.take(id, now)).await
    }
}

struct Busy {
    hasher: InsecurePlainHasher,
    faults: Faults,
}

#[async_trait]
impl PasswordHasher for Busy {
    fn admit(&self, lane: u128) -> Result<Ticket, HashError> {
        let busy = self.faults.0.lock().unwrap().busy;
        busy.map_or_else(|| self.hasher.admit(lane), |retry_after| Err(HashError::Overloaded { retry_after }))
    }

    async fn hash(&self, ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError> {
        self.hasher.hash(ticket, password).await
    }

    async fn verify(
        &self,
        ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        self.hasher.verify(ticket, password, hash).await
    }
}
