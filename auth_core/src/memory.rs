//! Reference stores, kept in memory: for tests, examples and as a model of what a store promises.
//!
//! One lock guards everything, so every verb is atomic by construction. Nothing survives the process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::collections::{btree_map, hash_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::port::{
    At, AttemptKey, AttemptStore, ChangePage, ClaimedMail, Clock, CredentialStore, DataKeyUse, DataKeysInUse, DeadMail,
    DeadMails, FeedPosition, Hit, Lapse, LoginRecord, MailIntent, MailOutbox, NewUser, PendingSessionStore, Rotation,
    SessionInsert, SessionStore, Settlement, Since, StoreError, Unique, UserChange, UserDirectory, UserInsert, UserKey,
    UserSecurity, UserStore, UserUpdate, key_of_credential, key_of_password,
};
use crate::types::{
    Credential, CredentialId, FactorKind, Limit, MailId, Payload, PendingId, PendingSession, Session, SessionId,
    TenantId, Timestamp, User, UserId, UserStatus,
};

/// Every store of the account system in one. Clones share the data.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    users: HashMap<(TenantId, UserId), User>,
    sessions: HashMap<SessionId, Session>,
    mails: Vec<QueuedMail>,
    attempts: HashMap<AttemptKey, Window>,
    credentials: BTreeMap<CredentialId, Credential>,
    pending: HashMap<PendingId, PendingSession>,
}

/// A running count or a bucket, which is full again at `ends_at`.
#[derive(Clone, Copy)]
struct Window {
    ends_at: Timestamp,
    attempts: u32,
}

/// The most windows that are kept. An attacker would have to start as many, each within its own limit, to push one out.
const MAX_WINDOWS: usize = 1_000_000;

/// From how many pending sessions on those that are over are swept.
const MAX_PENDING: usize = 10_000;

struct QueuedMail {
    id: MailId,
    intent: MailIntent,
    tries: u32,
    due: Timestamp,
    state: MailState,
}

#[derive(Debug, PartialEq)]
enum MailState {
    Waiting,
    Leased,
    Dead(String),
}

impl MemoryStore {
    /// An empty store with `clock` as its own clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// No verb leaves the state half-written, so a poisoned lock guards good data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of a feed whose rows carry the time of their change and an id.
    fn page<T>(
        &self,
        mut rows: Vec<(Timestamp, String, T)>,
        since: &Since,
        limit: usize,
    ) -> Result<ChangePage<T>, StoreError> {
        let now = self.clock.now();
        rows.retain(|(changed_at, id, _)| match since {
            Since::Ago(ago) => *changed_at >= now - *ago,
            Since::After(position) => (*changed_at, id) > (position.changed_at, &position.id),
        });
        rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let full = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| full);
        let next = next.map(|(changed_at, id, _)| FeedPosition { changed_at: *changed_at, id: id.clone() });
        Ok(ChangePage { rows: rows.into_iter().map(|(_, _, row)| row).collect(), next })
    }
}

/// Ids are random: one that is there already comes from a broken generator. Never is a row replaced.
fn id_taken() -> StoreError {
    StoreError::corrupt("a new row's id is taken")
}

impl State {
    /// Which unique value of `user` another account of the tenant has.
    fn conflict(&self, user: &User) -> Option<Unique> {
        let others = || self.users.values().filter(|other| other.tenant == user.tenant && other.id != user.id);
        if others().any(|other| other.email == user.email) {
            return Some(Unique::Email);
        }
        let same_name = |other: &User| user.username.is_some() && other.username == user.username;
        others().any(same_name).then_some(Unique::Username)
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        let mut state = self.lock();
        let user = user.clone().into_user(self.clock.now());
        if let Some(unique) = state.conflict(&user) {
            return Ok(UserInsert::Conflict(unique));
        }
        match state.users.entry((user.tenant, user.id)) {
            Entry::Occupied(_) => Err(id_taken()),
            Entry::Vacant(place) => Ok(UserInsert::Created(place.insert(user).clone())),
        }
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        let state = self.lock();
        let found = match key {
            UserKey::Id(id) => state.users.get(&(*tenant, *id)),
            UserKey::Email(email) => state.users.values().find(|user| user.tenant == *tenant && user.email == *email),
            UserKey::Username(name) => {
                state.users.values().find(|user| user.tenant == *tenant && user.username.as_ref() == Some(name))
            }
        };
        Ok(found.cloned())
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        let mut state = self.lock();
        let key = (current.tenant, current.id);
        let Some(stored) = state.users.get(&key).filter(|stored| stored.revision == current.revision) else {
            return Ok(UserUpdate::Stale);
        };
        let next = change.apply(stored, self.clock.now());
        if let Some(unique) = state.conflict(&next) {
            return Ok(UserUpdate::Conflict(unique));
        }
        state.users.insert(key, next.clone());
        Ok(UserUpdate::Done(next))
    }

    async fn remove_if(&self, current: &User) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let key = (current.tenant, current.id);
        let unchanged = state.users.get(&key).is_some_and(|stored| stored.revision == current.revision);
        Ok(unchanged && state.users.remove(&key).is_some())
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let user = state.users.get_mut(&(*tenant, *id)).filter(|user| user.consecutive_failures < below);
        let Some(user) = user else { return Ok(false) };
        user.consecutive_failures += 1;
        Ok(true)
    }

    /// There is nothing to wait for.
    async fn dummy_write(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        if let Some(user) = self.lock().users.get_mut(&(*tenant, *id)) {
            *user = login.apply(user);
        }
        Ok(())
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        let row = |user: &User| (user.changed_at, format!("{} {}", user.tenant, user.id), UserSecurity::from(user));
        let rows = self.lock().users.values().map(row).collect();
        self.page(rows, since, limit)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError> {
        let mut state = self.lock();
        let rival = |other: &Session| {
            let same_place = (other.tenant, other.user, other.slot) == (session.tenant, session.user, session.slot);
            same_place && other.revoked_at.is_none()
        };
        if session.slot.is_some() && state.sessions.values().any(rival) {
            return Ok(SessionInsert::SlotTaken);
        }
        match state.sessions.entry(session.id) {
            Entry::Occupied(_) => Err(id_taken()),
            Entry::Vacant(place) => {
                place.insert(Session { changed_at: self.clock.now(), ..session.clone() });
                Ok(SessionInsert::Created)
            }
        }
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        let found = self.lock().sessions.get(&id).filter(|session| session.tenant == *tenant).cloned();
        Ok(found.map(|row| At { row, now: self.clock.now() }))
    }

    async fn of_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let state = self.lock();
        let place = |session: &Session| (session.created_at, session.id);
        let theirs = state.sessions.values().filter(|session| session.tenant == *tenant && session.user == *user);
        let behind = theirs.filter(|session| after.is_none_or(|after| place(session) < after));
        let mut sessions: Vec<_> = behind.cloned().collect();
        sessions.sort_by_key(|session| Reverse(place(session)));
        sessions.truncate(limit);
        Ok(sessions)
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        let mut state = self.lock();
        let unchanged = |stored: &&mut Session| {
            stored.tenant == current.tenant && stored.generation == current.generation && stored.revoked_at.is_none()
        };
        Ok(state.sessions.get_mut(&current.id).filter(unchanged).map(|session| {
            session.generation = next.generation;
            session.rotated_at = next.rotated_at;
            session.last_seen_at = next.rotated_at;
            session.idle_expires_at = next.idle_expires_at;
            session.clone()
        }))
    }

    async fn note_presented(&self, tenant: &TenantId, id: SessionId, generation: u32) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let current = |session: &&mut Session| {
            session.tenant == *tenant && session.generation == generation && session.revoked_at.is_none()
        };
        let found = state.sessions.get_mut(&id).filter(current);
        Ok(found.map(|session| session.presented = Some(generation)).is_some())
    }

    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let live = |session: &&mut Session| session.tenant == *tenant && session.revoked_at.is_none();
        let Some(session) = state.sessions.get_mut(&id).filter(live) else { return Ok(false) };
        session.revoked_at = Some(at);
        session.changed_at = self.clock.now();
        Ok(true)
    }

    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError> {
        let rows = {
            let state = self.lock();
            let ended = state.sessions.values().filter(|session| session.revoked_at.is_some());
            ended.map(|session| (session.changed_at, session.id.to_string(), session.id)).collect()
        };
        self.page(rows, since, limit)
    }

    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let before = self.clock.now() - age;
        let over = |session: &&Session| {
            session.expires_at <= before || session.revoked_at.is_some() && session.changed_at <= before
        };
        let over: Vec<_> = state.sessions.values().filter(over).map(|session| session.id).take(limit).collect();
        over.iter().for_each(|id| drop(state.sessions.remove(id)));
        Ok(over.len())
    }
}

#[async_trait]
impl CredentialStore for MemoryStore {
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let key = |it: &Credential| (it.tenant, it.kind.clone(), it.lookup_key.clone());
        if credential.lookup_key.is_some() && state.credentials.values().any(|it| key(it) == key(credential)) {
            return Ok(false);
        }
        match state.credentials.entry(credential.id) {
            btree_map::Entry::Occupied(_) => Err(id_taken()),
            btree_map::Entry::Vacant(place) => {
                place.insert(credential.clone());
                Ok(true)
            }
        }
    }

    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        Ok(self.lock().credentials.get(&id).filter(|it| it.tenant == *tenant).cloned())
    }

    async fn find_by_key(
        &self,
        tenant: &TenantId,
        kind: &FactorKind,
        key: &[u8],
    ) -> Result<Option<Credential>, StoreError> {
        let named =
            |it: &&Credential| it.tenant == *tenant && it.kind == *kind && it.lookup_key.as_deref() == Some(key);
        Ok(self.lock().credentials.values().find(named).cloned())
    }

    async fn of_user(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        let theirs = |it: &&Credential| it.tenant == *tenant && it.user == *user;
        Ok(self.lock().credentials.values().filter(theirs).cloned().collect())
    }

    async fn older_of_kind(
        &self,
        kind: &FactorKind,
        before: CredentialId,
        limit: usize,
    ) -> Result<Vec<Credential>, StoreError> {
        let state = self.lock();
        let older = state.credentials.range(..before).map(|(_, it)| it);
        Ok(older.filter(|it| it.kind == *kind).take(limit).cloned().collect())
    }

    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError> {
        let mut state = self.lock();
        let unchanged = |it: &&mut Credential| it.tenant == current.tenant && it.revision == current.revision;
        Ok(state.credentials.get_mut(&current.id).filter(unchanged).map(|credential| {
            credential.payload = payload.clone();
            credential.consecutive_failures = 0;
            credential.revision += 1;
            credential.clone()
        }))
    }

    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let open = |it: &&mut Credential| it.tenant == *tenant && it.consecutive_failures < below;
        let Some(credential) = state.credentials.get_mut(&id).filter(open) else { return Ok(false) };
        credential.consecutive_failures += 1;
        Ok(true)
    }

    async fn remove(&self, tenant: &TenantId, id: CredentialId) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let found = state.credentials.get(&id).is_some_and(|it| it.tenant == *tenant);
        Ok(found && state.credentials.remove(&id).is_some())
    }
}

#[async_trait]
impl DataKeyUse for MemoryStore {
    async fn data_keys_in_use(&self) -> Result<DataKeysInUse, StoreError> {
        let state = self.lock();
        let credentials: BTreeSet<_> = state.credentials.values().filter_map(key_of_credential).collect();
        let hashes = state.users.values().filter_map(|user| user.password_hash.as_ref());
        let passwords: BTreeSet<_> = hashes.filter_map(key_of_password).collect();
        Ok(DataKeysInUse { credentials: credentials.into_iter().collect(), passwords: passwords.into_iter().collect() })
    }
}

#[async_trait]
impl PendingSessionStore for MemoryStore {
    async fn put(&self, pending: &PendingSession) -> Result<(), StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        if state.pending.len() >= MAX_PENDING {
            state.pending.retain(|_, pending| now < pending.expires_at);
        }
        state.pending.insert(pending.id, pending.clone());
        Ok(())
    }

    async fn find(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        Ok(self.lock().pending.get(id).filter(|pending| now < pending.expires_at).cloned())
    }

    async fn attempt(&self, id: &PendingId, limit: u32, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        let mut state = self.lock();
        let open = |pending: &&mut PendingSession| now < pending.expires_at && pending.tries < limit;
        let pending = state.pending.get_mut(id).filter(open);
        Ok(pending.map(|pending| {
            pending.tries += 1;
            pending.clone()
        }))
    }

    async fn take(&self, id: &PendingId, now: Timestamp) -> Result<Option<PendingSession>, StoreError> {
        Ok(self.lock().pending.remove(id).filter(|pending| now < pending.expires_at))
    }
}

#[async_trait]
impl UserDirectory for MemoryStore {
    async fn list(
        &self,
        tenant: &TenantId,
        status: Option<UserStatus>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError> {
        let state = self.lock();
        let wanted = |user: &&User| {
            user.tenant == *tenant
                && status.is_none_or(|it| it.is_like(user.status))
                && after.is_none_or(|it| *it < user.id)
        };
        let mut users: Vec<User> = state.users.values().filter(wanted).cloned().collect();
        users.sort_by_key(|user| user.id);
        users.truncate(limit);
        Ok(users)
    }

    async fn superusers(&self, tenant: &TenantId) -> Result<Vec<User>, StoreError> {
        let state = self.lock();
        let theirs = state.users.values().filter(|user| user.tenant == *tenant && user.is_superuser());
        let mut users: Vec<User> = theirs.cloned().collect();
        users.sort_by_key(|user| user.id);
        Ok(users)
    }

    async fn lapsed(&self, kind: Lapse, before: Timestamp, limit: usize) -> Result<Vec<User>, StoreError> {
        let state = self.lock();
        let over = state.users.values().filter(|user| kind.is_over(user, before));
        let mut users: Vec<User> = over.cloned().collect();
        users.sort_by_key(|user| (user.status.since().unwrap_or(user.created_at), user.id));
        users.truncate(limit);
        Ok(users)
    }

    async fn purge_deleted(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let before = self.clock.now() - age;
        let over = |user: &&User| user.status == UserStatus::Deleted && user.changed_at <= before;
        let over: Vec<_> = state.users.values().filter(over).map(|user| (user.tenant, user.id)).take(limit).collect();
        over.iter().for_each(|key| drop(state.users.remove(key)));
        Ok(over.len())
    }
}

#[async_trait]
impl AttemptStore for MemoryStore {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        if state.attempts.len() >= MAX_WINDOWS && !state.attempts.contains_key(key) {
            state.make_room(now);
        }
        let fresh = Window { ends_at: now + limit.window, attempts: 0 };
        let window = state.attempts.entry(*key).or_insert(fresh);
        if window.ends_at <= now {
            *window = fresh;
        }
        window.attempts = window.attempts.saturating_add(1);
        Ok(Hit::of(window.attempts, limit, window.ends_at.since(now)))
    }

    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        if state.attempts.len() >= MAX_WINDOWS && !state.attempts.contains_key(key) {
            state.make_room(now);
        }
        let bucket = state.attempts.entry(*key).or_insert(Window { ends_at: now, attempts: 0 });
        let full_at = bucket.ends_at.max(now) + limit.interval();
        let allowed = full_at <= now + limit.interval() * limit.count;
        if allowed {
            bucket.ends_at = full_at;
        }
        Ok(allowed)
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.lock().attempts.remove(key);
        Ok(())
    }
}

#[async_trait]
impl MailOutbox for MemoryStore {
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        match state.waiting(intent) {
            Some(mail) => {
                (mail.id, mail.tries, mail.due) = (id, 0, mail.due.min(now));
                mail.intent.to = intent.to.clone();
            }
            None => {
                let (intent, state_of_new) = (intent.clone(), MailState::Waiting);
                state.mails.push(QueuedMail { id, intent, tries: 0, due: now, state: state_of_new });
            }
        }
        Ok(())
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError> {
        let mut state = self.lock();
        let mut due: Vec<_> = state
            .mails
            .iter_mut()
            .filter(|mail| !matches!(mail.state, MailState::Dead(_)) && mail.due <= now)
            .collect();
        due.sort_by_key(|mail| mail.due);
        let claim = |mail: &mut QueuedMail| {
            mail.state = MailState::Leased;
            mail.due = now + lease;
            mail.tries += 1;
            ClaimedMail { id: mail.id, intent: mail.intent.clone(), tries: mail.tries }
        };
        Ok(due.into_iter().take(limit).map(claim).collect())
    }

    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let held =
            |mail: &QueuedMail| mail.id == claim.id && mail.tries == claim.tries && mail.state == MailState::Leased;
        let Some(index) = state.mails.iter().position(held) else { return Ok(false) };
        match settlement {
            Settlement::Retry(due) if state.waiting(&claim.intent).is_none() => {
                state.mails[index].due = due;
                state.mails[index].state = MailState::Waiting;
            }
            Settlement::Done | Settlement::Retry(_) => {
                state.mails.remove(index);
            }
            Settlement::Dead(reason) => state.mails[index].state = MailState::Dead(reason),
        }
        Ok(true)
    }
}

#[async_trait]
impl DeadMails for MemoryStore {
    async fn dead_mails(&self, limit: usize) -> Result<Vec<DeadMail>, StoreError> {
        let state = self.lock();
        let dead = state.mails.iter().filter_map(|mail| match &mail.state {
            MailState::Dead(reason) => {
                Some(DeadMail { id: mail.id, intent: mail.intent.clone(), tries: mail.tries, reason: reason.clone() })
            }
            MailState::Waiting | MailState::Leased => None,
        });
        Ok(dead.take(limit).collect())
    }

    async fn revive(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let dead = |mail: &QueuedMail| mail.id == id && matches!(mail.state, MailState::Dead(_));
        let Some(index) = state.mails.iter().position(dead) else { return Ok(false) };
        let mut mail = state.mails.remove(index);
        if state.waiting(&mail.intent).is_none() {
            (mail.state, mail.tries, mail.due) = (MailState::Waiting, 0, now);
            state.mails.insert(index, mail);
        }
        Ok(true)
    }
}

impl State {
    /// Drops the windows that are over; if that is too few, the half that ends soonest.
    fn make_room(&mut self, now: Timestamp) {
        self.attempts.retain(|_, window| window.ends_at > now);
        if self.attempts.len() >= MAX_WINDOWS / 2 {
            let mut ends: Vec<_> = self.attempts.values().map(|window| window.ends_at).collect();
            let (_, middle, _) = ends.select_nth_unstable(MAX_WINDOWS / 2 - 1);
            let middle = *middle;
            self.attempts.retain(|_, window| window.ends_at > middle);
        }
    }

    /// An equal mail that waits already.
    fn waiting(&mut self, intent: &MailIntent) -> Option<&mut QueuedMail> {
        self.mails.iter_mut().find(|mail| {
            let subject = |intent: &MailIntent| (intent.tenant, intent.purpose, intent.about);
            let same = subject(&mail.intent) == subject(intent) && mail.intent.to == intent.to;
            same && mail.state == MailState::Waiting
        })
    }
}
