//! Stores that do as they are told: they fail, hang or wait at chosen calls, and remember what they were asked.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::Ports;
use auth_core::port::{
    At, AttemptKey, AttemptStore, ChangePage, ClaimedMail, CredentialStore, Hit, LoginRecord, MailIntent, MailOutbox,
    NewUser, PendingSessionStore, Rotation, SessionInsert, SessionStore, Settlement, Since, StoreError, UserChange,
    UserInsert, UserKey, UserSecurity, UserStore, UserUpdate,
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
    /// It finds what nobody can read.
    Corrupt,
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
    /// Of whoever waits until a call hangs.
    waker: Option<Waker>,
}

/// What the stores are told. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Script>>);

impl Faults {
    /// What a store says when it fails; clients must never read it.
    pub(crate) const CAUSE: &str = "disk 7 of db.internal is gone";

    /// A store that does what these say.
    pub(crate) fn around<P: ?Sized>(&self, port: &Arc<P>) -> Faulty<P> {
        Faulty { port: port.clone(), faults: self.clone() }
    }

    /// The same ports, with stores that do what these say.
    pub(crate) fn in_front_of(&self, ports: &Ports) -> Ports {
        let mut ports = ports.clone();
        ports.users = Arc::new(self.around(&ports.users));
        ports.sessions = Arc::new(self.around(&ports.sessions));
        ports.outbox = Arc::new(self.around(&ports.outbox));
        ports.attempts = Arc::new(self.around(&ports.attempts));
        ports.credentials = Arc::new(self.around(&ports.credentials));
        ports.pending = Arc::new(self.around(&ports.pending));
        ports
    }

    /// From now on asks `plan` at each call, with the number of calls since and the call's name.
    pub(crate) fn plan(&self, plan: impl FnMut(usize, &'static str) -> Option<Fault> + Send + 'static) {
        let mut script = self.0.lock().unwrap();
        script.plan = Some(Box::new(plan));
        script.calls.clear();
        script.hangs = false;
    }

    /// From now on the same at every call.
    pub(crate) fn always(&self, fault: Fault) {
        self.plan(move |_, _| Some(fault.clone()));
    }

    /// Once, at one call of the next ones.
    pub(crate) fn at(&self, call: usize, fault: Fault) {
        self.plan(move |number, _| (number == call).then(|| fault.clone()));
    }

    /// From now on the stores are well.
    pub(crate) fn heal(&self) {
        let mut script = self.0.lock().unwrap();
        script.plan = None;
        // Or the next flow that really waits would be taken for one that hangs.
        script.hangs = false;
    }

    /// Takes out the names of the calls so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// Every session that was ever handed in.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.0.lock().unwrap().sessions.clone()
    }

    /// Runs a flow to its end, or until a call hangs for good: `None` then.
    pub(crate) async fn until_it_hangs<T>(&self, flow: impl Future<Output = T>) -> Option<T> {
        let mut flow = pin!(flow);
        poll_fn(|context| {
            // Before the flow is polled: it may run elsewhere and hang meanwhile.
            self.0.lock().unwrap().waker = Some(context.waker().clone());
            match flow.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if self.0.lock().unwrap().hangs => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    async fn hang<T>(&self) -> T {
        let waker = {
            let mut script = self.0.lock().unwrap();
            script.hangs = true;
            script.waker.take()
        };
        waker.inspect(Waker::wake_by_ref);
        pending().await
    }

    async fn call<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut script = self.0.lock().unwrap();
            let number = script.calls.len();
            script.calls.push(name);
            script.plan.as_mut().and_then(|plan| plan(number, name))
        };
        let down = || Err(StoreError::unavailable(Self::CAUSE));
        match fault {
            None => work.await,
            Some(Fault::FailBefore) => down(),
            Some(Fault::FailAfter) => work.await.and_then(|_| down()),
            Some(Fault::Corrupt) => Err(StoreError::corrupt(Self::CAUSE)),
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

/// A store behind [`Faults`].
pub(crate) struct Faulty<P: ?Sized> {
    port: Arc<P>,
    faults: Faults,
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

    async fn remove_if(&self, current: &User) -> Result<bool, StoreError> {
        self.faults.call("users.remove_if", self.port.remove_if(current)).await
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
        self.faults.0.lock().unwrap().sessions.push(session.clone());
        self.faults.call("sessions.insert", self.port.insert(session)).await
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        self.faults.call("sessions.find", self.port.find(tenant, id)).await
    }

    async fn of_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.faults.call("sessions.of_user", self.port.of_user(tenant, user, after, limit)).await
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        self.faults.call("sessions.rotate_if", self.port.rotate_if(current, next)).await
    }

    async fn note_presented(&self, tenant: &TenantId, id: SessionId, generation: u32) -> Result<bool, StoreError> {
        self.faults.call("sessions.note_presented", self.port.note_presented(tenant, id, generation)).await
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
impl AttemptStore for Faulty<dyn AttemptStore> {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        self.faults.call("attempts.hit", self.port.hit(key, limit)).await
    }

    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError> {
        self.faults.call("attempts.draw", self.port.draw(key, limit)).await
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.faults.call("attempts.clear", self.port.clear(key)).await
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
impl CredentialStore for Faulty<dyn CredentialStore> {
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError> {
        self.faults.call("credentials.insert", self.port.insert(credential)).await
    }

    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        self.faults.call("credentials.find", self.port.find(tenant, id)).await
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

    async fn older_of_kind(
        &self,
        kind: &FactorKind,
        before: CredentialId,
        limit: usize,
    ) -> Result<Vec<Credential>, StoreError> {
        self.faults.call("credentials.older_of_kind", self.port.older_of_kind(kind, before, limit)).await
    }

    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError> {
        self.faults.call("credentials.update_if", self.port.update_if(current, payload)).await
    }

    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError> {
        self.faults.call("credentials.count_failure", self.port.count_failure(tenant, id, below)).await
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
        self.faults.call("pending.find", self.port.find(id, now)).await
    }

    async fn attempt(&self, id: &PendingId, limit: u32, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.faults.call("pending.attempt", self.port.attempt(id, limit, now)).await
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        self.faults.call("pending.take", self.port.take(id, now)).await
    }
}
