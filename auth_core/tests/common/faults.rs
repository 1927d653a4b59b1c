//! A store that does as it is told: it fails, hangs or waits at chosen calls, and remembers what it was asked.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::memory::MemoryStore;
use auth_core::port::{
    At, AttemptKey, AttemptStore, ChangePage, ClaimedMail, CredentialStore, DeadMails, Hit, LoginRecord, MailIntent,
    MailOutbox, NewUser, PendingSessionStore, Rotation, SessionInsert, SessionStore, Settlement, Since, StoreError,
    UserChange, UserDirectory, UserInsert, UserKey, UserSecurity, UserStore, UserUpdate,
};
use auth_core::types::{
    Credential, CredentialId, FactorKind, Limit, MailId, Payload, PendingId, PendingSession, Session, SessionId,
    TenantId, Timestamp, User, UserId,
};

/// What happens at a call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It fails and does nothing.
    FailBefore,
    /// It does its work, yet the caller is told that it failed.
    FailAfter,
    /// It never answers and does nothing: whoever polls drops the caller.
    HangBefore,
    /// It does its work and never answers.
    HangAfter,
    /// It lets others go first, so that parallel flows interleave at every call.
    Yield,
    /// It does its work once the gate is open.
    Wait(Gate),
    /// It does its work, then fails once the gate is open.
    WaitAndFail(Gate),
}

/// Shut until opened. Clones are one gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    async fn pass(&self) {
        poll_fn(|context| {
            if self.0.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

type Plan = Box<dyn FnMut(usize, &'static str) -> Option<Fault> + Send>;

#[derive(Default)]
struct Script {
    plan: Option<Plan>,
    calls: Vec<&'static str>,
    sessions: Vec<Session>,
    hangs: bool,
}

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

/// All stores in one. Clones share everything.
#[derive(Clone)]
pub(crate) struct FaultyStore<S = MemoryStore> {
    inner: S,
    script: Arc<Mutex<Script>>,
}

impl FaultyStore {
    /// The store itself, without faults.
    pub(crate) fn memory(&self) -> &MemoryStore {
        &self.inner
    }
}

impl<S> FaultyStore<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The store itself, without faults.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// Runs a flow to its end, or until a call hangs for good: `None` then.
    pub(crate) async fn until_it_hangs<T>(&self, flow: impl Future<Output = T>) -> Option<T> {
        let mut flow = pin!(flow);
        poll_fn(|context| match flow.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if self.script.lock().unwrap().hangs => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    async fn hang<T>(&self) -> T {
        self.script.lock().unwrap().hangs = true;
        pending().await
    }

    /// From now on asks `plan` at each call, with the number of calls since and the call's name.
    pub(crate) fn plan(&self, plan: impl FnMut(usize, &'static str) -> Option<Fault> + Send + 'static) {
        let mut script = self.script.lock().unwrap();
        script.plan = Some(Box::new(plan));
        script.calls.clear();
        script.hangs = false;
    }

    /// From now on the store is well.
    pub(crate) fn heal(&self) {
        let mut script = self.script.lock().unwrap();
        script.plan = None;
        // Or the next flow that really waits would be taken for one that hangs.
        script.hangs = false;
    }

    /// Takes out the names of the calls so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.script.lock().unwrap().calls)
    }

    /// Every session that was ever handed in.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.script.lock().unwrap().sessions.clone()
    }

    async fn call<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut script = self.script.lock().unwrap();
            let number = script.calls.len();
            script.calls.push(name);
            script.plan.as_mut().and_then(|plan| plan(number, name))
        };
        let down = || Err(StoreError::unavailable("out of order"));
        match fault {
            None => work.await,
            Some(Fault::FailBefore) => down(),
            Some(Fault::FailAfter) => work.await.and_then(|_| down()),
            Some(Fault::HangBefore) => self.hang().await,
            Some(Fault::HangAfter) => {
                work.await?;
                self.hang().await
            }
            Some(Fault::Yield) => {
                yield_once().await;
                let outcome = work.await;
                yield_once().await;
                outcome
            }
            Some(Fault::Wait(gate)) => {
                gate.pass().await;
                work.await
            }
            Some(Fault::WaitAndFail(gate)) => {
                gate.pass().await;
                work.await.and_then(|_| down())
            }
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl<S: Store> UserStore for FaultyStore<S> {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        self.call("users.insert", UserStore::insert(&self.inner, user)).await
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        self.call("users.find", UserStore::find(&self.inner, tenant, key)).await
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        self.call("users.update_if", UserStore::update_if(&self.inner, current, change)).await
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        self.call("users.count_failure", UserStore::count_failure(&self.inner, tenant, id, below)).await
    }

    async fn dummy_write(&self, row: &str) -> Result<(), StoreError> {
        self.call("users.dummy_write", self.inner.dummy_write(row)).await
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        self.call("users.record_login", self.inner.record_login(tenant, id, login)).await
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        self.call("users.changes", self.inner.changes(since, limit)).await
    }
}

#[async_trait]
impl<S: Store> SessionStore for FaultyStore<S> {
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError> {
        self.script.lock().unwrap().sessions.push(session.clone());
        self.call("sessions.insert", SessionStore::insert(&self.inner, session)).await
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        self.call("sessions.find", SessionStore::find(&self.inner, tenant, id)).await
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        self.call("sessions.rotate_if", self.inner.rotate_if(current, next)).await
    }

    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        self.call("sessions.revoke", self.inner.revoke(tenant, id, at)).await
    }

    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        self.call("sessions.purge_ended", self.inner.purge_ended(age, limit)).await
    }

    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError> {
        self.call("sessions.revocations", self.inner.revocations(since, limit)).await
    }
}

#[async_trait]
impl<S: Store> AttemptStore for FaultyStore<S> {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        self.call("attempts.hit", self.inner.hit(key, limit)).await
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.call("attempts.clear", self.inner.clear(key)).await
    }
}

#[async_trait]
impl<S: Store> MailOutbox for FaultyStore<S> {
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError> {
        self.call("outbox.enqueue", self.inner.enqueue(id, intent, now)).await
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError> {
        self.call("outbox.claim", self.inner.claim(now, lease, limit)).await
    }

    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError> {
        self.call("outbox.settle", self.inner.settle(claim, settlement)).await
    }
}

#[async_trait]
impl<S: Store> CredentialStore for FaultyStore<S> {
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError> {
        self.call("credentials.insert", CredentialStore::insert(&self.inner, credential)).await
    }

    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        self.call("credentials.find", CredentialStore::find(&self.inner, tenant, id)).await
    }

    async fn find_by_key(
        &self,
        tenant: &TenantId,
        kind: &FactorKind,
        key: &[u8],
    ) -> Result<Option<Credential>, StoreError> {
        self.call("credentials.find_by_key", self.inner.find_by_key(tenant, kind, key)).await
    }

    async fn of_user(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        self.call("credentials.of_user", self.inner.of_user(tenant, user)).await
    }

    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError> {
        self.call("credentials.update_if", CredentialStore::update_if(&self.inner, current, payload)).await
    }

    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError> {
        self.call("credentials.count_failure", CredentialStore::count_failure(&self.inner, tenant, id, below)).await
    }

    async fn remove(&self, tenant: &TenantId, id: CredentialId) -> Result<bool, StoreError> {
        self.call("credentials.remove", self.inner.remove(tenant, id)).await
    }
}

#[async_trait]
impl<S: Store> PendingSessionStore for FaultyStore<S> {
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError> {
        self.call("pending.put", self.inner.put(pending)).await
    }

    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.call("pending.find", PendingSessionStore::find(&self.inner, id, now)).await
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.call("pending.take", self.inner.take(id, now)).await
    }
}
