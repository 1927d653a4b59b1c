//! The suites find what they are for: stores with one planted bug each fail the cases that name it, and no others.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::conformance::{self, Case, attempt_store, mail_outbox, session_store, tenants, user_store, usernames};
use auth_core::memory::MemoryStore;
use auth_core::port::*;
use auth_core::testing::ManualClock;
use auth_core::types::*;
use tokio::sync::Mutex;

/// The names of the cases that fail, each over a store of its own.
fn broken_promises<P: ?Sized + 'static>(
    cases: &[Case<P>],
    store: impl Fn(MemoryStore, ManualClock) -> Arc<P>,
) -> Vec<&'static str> {
    conformance::run(async {
        let mut broken = Vec::new();
        for case in cases {
            let clock = ManualClock::new();
            let store = store(MemoryStore::new(Arc::new(clock.clone())), clock.clone());
            if tokio::spawn((case.run)(store, clock)).await.is_err() {
                broken.push(case.name);
            }
        }
        broken
    })
}

/// Between two steps that should be one: long enough for all others to take the first.
async fn gap() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[derive(Clone, Copy, PartialEq)]
enum UserBug {
    None,
    /// Writes whatever was read.
    LostUpdate,
    /// Compares, then writes: two steps.
    LateUpdate,
    /// Takes `ada+shop@` for `ada@`.
    LooseAddress,
    /// Looks for the address, then inserts: two steps, without a unique index.
    LateInsert,
    /// Compares, then removes: two steps.
    LateRemoval,
    /// Counts a login as a change.
    LoginIsAChange,
    /// Replaces whatever hash there is.
    LoginOverwritesHash,
    /// Reads the count, then writes it: two steps.
    LateCount,
    /// Counts on and on.
    EndlessCount,
    /// Writes to some account where there is none to write to.
    MeaningfulDummy,
    /// Keeps deleted accounts to itself.
    DeletedIsGone,
    /// Forgets the tenant.
    OneForAll,
    /// Leaves out the first row of each page but the first.
    SkippingFeed,
}

struct Users(MemoryStore, UserBug);

fn users(bug: UserBug) -> impl Fn(MemoryStore, ManualClock) -> Arc<dyn UserStore> {
    move |store, _| Arc::new(Users(store, bug))
}

impl Users {
    async fn by_id(&self, tenant: &TenantId, id: &UserId) -> Option<User> {
        UserStore::find(&self.0, tenant, UserKey::Id(id)).await.unwrap()
    }
}

#[async_trait]
impl UserStore for Users {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        if self.1 == UserBug::LateInsert
            && UserStore::find(&self.0, &user.tenant, UserKey::Email(&user.email)).await?.is_none()
        {
            gap().await;
            let made = UserStore::insert(&self.0, user).await?;
            let second = user.clone().into_user(Timestamp::default());
            return Ok(if let UserInsert::Conflict(_) = made { UserInsert::Created(second) } else { made });
        }
        UserStore::insert(&self.0, user).await
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        let tenant = if self.1 == UserBug::OneForAll { TenantId::default() } else { *tenant };
        let mut found = UserStore::find(&self.0, &tenant, key).await?;
        if let (UserBug::LooseAddress, UserKey::Email(email)) = (self.1, key)
            && let Some((name, _)) = email.as_str().split_once('+')
            && let Ok(loose) = Email::parse(&format!("{name}@example.org"))
        {
            found = UserStore::find(&self.0, &tenant, UserKey::Email(&loose)).await?.or(found);
        }
        Ok(found.filter(|user| self.1 != UserBug::DeletedIsGone || user.status != UserStatus::Deleted))
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        let stored = self.by_id(&current.tenant, &current.id).await;
        let late = self.1 == UserBug::LateUpdate && stored.as_ref().is_some_and(|it| it.revision == current.revision);
        if late {
            gap().await;
        }
        match self.by_id(&current.tenant, &current.id).await {
            Some(stored) if late || self.1 == UserBug::LostUpdate => {
                UserStore::update_if(&self.0, &stored, change).await
            }
            _ => UserStore::update_if(&self.0, current, change).await,
        }
    }

    async fn remove_if(&self, current: &User) -> Result<bool, StoreError> {
        let stored = self.by_id(&current.tenant, &current.id).await;
        let late = self.1 == UserBug::LateRemoval && stored.as_ref().is_some_and(|it| it.revision == current.revision);
        if late {
            gap().await;
        }
        match self.by_id(&current.tenant, &current.id).await {
            Some(stored) if late => UserStore::remove_if(&self.0, &stored).await,
            _ => UserStore::remove_if(&self.0, current).await,
        }
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        match self.1 {
            UserBug::EndlessCount => UserStore::count_failure(&self.0, tenant, id, u32::MAX).await,
            UserBug::LateCount => {
                let counted = self.by_id(tenant, id).await.is_some_and(|user| user.consecutive_failures < below);
                gap().await;
                Ok(counted && UserStore::count_failure(&self.0, tenant, id, u32::MAX).await?)
            }
            _ => UserStore::count_failure(&self.0, tenant, id, below).await,
        }
    }

    async fn dummy_write(&self, row: &str) -> Result<(), StoreError> {
        if self.1 == UserBug::MeaningfulDummy {
            let all = UserDirectory::list(&self.0, &TenantId::default(), None, None, 1).await?;
            let change = UserChange { end_sessions: true, ..UserChange::default() };
            UserStore::update_if(&self.0, &all[0], &change).await?;
        }
        UserStore::dummy_write(&self.0, row).await
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        let mut login = login.clone();
        let stored = self.by_id(tenant, id).await;
        if let (UserBug::LoginOverwritesHash, Some((old, _)), Some(user)) = (self.1, &mut login.rehash, &stored) {
            *old = user.password_hash.clone().unwrap_or_else(|| old.clone());
        }
        self.0.record_login(tenant, id, &login).await?;
        if let (UserBug::LoginIsAChange, Some(user)) = (self.1, stored) {
            UserStore::update_if(&self.0, &user, &UserChange::default()).await?;
        }
        Ok(())
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        let mut page = self.0.changes(since, limit).await?;
        if self.1 == UserBug::SkippingFeed && matches!(since, Since::After(_)) && !page.rows.is_empty() {
            page.rows.remove(0);
        }
        Ok(page)
    }
}

#[test]
fn bugs_in_a_user_store_are_named() {
    for (bug, expected) in [
        (UserBug::None, &[][..]),
        (UserBug::LostUpdate, &["an_update_of_an_old_revision_is_stale", "one_of_many_updates_wins"]),
        (UserBug::LateUpdate, &["one_of_many_updates_wins"]),
        (UserBug::LateRemoval, &["one_of_many_removals_or_the_update_wins"]),
        (UserBug::LooseAddress, &["addresses_that_look_alike_are_different_accounts"]),
        (UserBug::LateInsert, &["one_of_many_inserts_creates"]),
        (
            UserBug::LoginIsAChange,
            &[
                "an_update_leaves_what_it_does_not_name",
                "a_login_is_noted_without_a_new_revision",
                "a_password_given_within_a_session_is_no_login",
                "a_login_replaces_only_the_hash_that_it_checked",
                "the_feed_starts_at_an_age",
            ],
        ),
        (UserBug::LoginOverwritesHash, &["a_login_replaces_only_the_hash_that_it_checked"]),
        (UserBug::LateCount, &["failures_are_counted_up_to_the_bound"]),
        (UserBug::EndlessCount, &["failures_are_counted_up_to_the_bound", "failures_are_counted_for_each_account"]),
        (UserBug::MeaningfulDummy, &["dummy_writes_touch_no_account"]),
        (UserBug::DeletedIsGone, &["an_update_writes_what_it_names", "a_deleted_account_is_found"]),
        (UserBug::OneForAll, &["another_tenant_reaches_nothing"]),
        (UserBug::SkippingFeed, &["the_feed_tells_every_change_once", "what_changes_behind_a_reader_is_still_told"]),
    ] {
        assert_eq!(broken_promises(user_store::CASES, users(bug)), expected);
    }
    assert_eq!(broken_promises(tenants::CASES, users(UserBug::OneForAll)).len(), 2);
    assert_eq!(broken_promises(usernames::CASES, users(UserBug::None)), Vec::<&str>::new());
}

#[derive(Clone, Copy, PartialEq)]
enum SessionBug {
    None,
    /// Writes whatever generation was read.
    RotatesAnyway,
    /// Reports each revocation as the one that did it.
    RevokesAgain,
    /// Lets any number of sessions have a slot.
    ForgetsSlots,
    /// Removes what just ended.
    ForgetsEarly,
    /// Notes the current token whichever one was presented.
    NotesAnyGeneration,
    /// Lists the live ones alone.
    HidesEnded,
}

struct Sessions(MemoryStore, SessionBug);

#[async_trait]
impl SessionStore for Sessions {
    async fn insert(&self, session: &Session) -> Result<SessionInsert, StoreError> {
        match SessionStore::insert(&self.0, session).await? {
            SessionInsert::SlotTaken if self.1 == SessionBug::ForgetsSlots => Ok(SessionInsert::Created),
            inserted => Ok(inserted),
        }
    }

    async fn find(&self, tenant: &TenantId, id: SessionId) -> Result<Option<At<Session>>, StoreError> {
        SessionStore::find(&self.0, tenant, id).await
    }

    async fn of_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let mut sessions = SessionStore::of_user(&self.0, tenant, user, after, limit).await?;
        sessions.retain(|session| self.1 != SessionBug::HidesEnded || session.revoked_at.is_none());
        Ok(sessions)
    }

    async fn rotate_if(&self, current: &Session, next: &Rotation) -> Result<Option<Session>, StoreError> {
        match SessionStore::find(&self.0, &current.tenant, current.id).await? {
            Some(stored) if self.1 == SessionBug::RotatesAnyway => self.0.rotate_if(&stored.row, next).await,
            _ => self.0.rotate_if(current, next).await,
        }
    }

    async fn note_presented(&self, tenant: &TenantId, id: SessionId, generation: u32) -> Result<bool, StoreError> {
        match SessionStore::find(&self.0, tenant, id).await? {
            Some(At { row, .. }) if self.1 == SessionBug::NotesAnyGeneration => {
                self.0.note_presented(tenant, id, row.generation).await
            }
            _ => self.0.note_presented(tenant, id, generation).await,
        }
    }

    async fn revoke(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let ended = self.0.revoke(tenant, id, at).await?;
        Ok(ended || (self.1 == SessionBug::RevokesAgain && SessionStore::find(&self.0, tenant, id).await?.is_some()))
    }

    async fn revocations(&self, since: &Since, limit: usize) -> Result<ChangePage<SessionId>, StoreError> {
        self.0.revocations(since, limit).await
    }

    async fn purge_ended(&self, age: Duration, limit: usize) -> Result<usize, StoreError> {
        let age = if self.1 == SessionBug::ForgetsEarly { Duration::ZERO } else { age };
        self.0.purge_ended(age, limit).await
    }
}

#[test]
fn bugs_in_a_session_store_are_named() {
    for (bug, expected) in [
        (SessionBug::None, &[][..]),
        (SessionBug::RotatesAnyway, &["one_of_many_rotations_wins", "an_older_generation_does_not_rotate"]),
        (SessionBug::RevokesAgain, &["one_of_many_revocations_ends_the_session"]),
        (SessionBug::NotesAnyGeneration, &["a_presented_token_is_noted_for_the_current_generation_alone"]),
        (SessionBug::HidesEnded, &["the_sessions_of_a_user_come_newest_first"]),
        (SessionBug::ForgetsEarly, &["only_what_ended_long_ago_is_removed"]),
        (SessionBug::ForgetsSlots, &["a_slot_holds_one_session", "an_ended_session_gives_its_slot_back"]),
    ] {
        assert_eq!(broken_promises(session_store::CASES, |store, _| Arc::new(Sessions(store, bug)) as _), expected);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum OutboxBug {
    None,
    /// Hands a mail to whoever claims while it is being leased.
    DoubleTake,
    /// Lets a worker settle what it lost.
    SettlesAnything,
}

/// With the mails that are being leased at this moment, and how many workers are at it.
struct Outbox(MemoryStore, OutboxBug, Mutex<(usize, Vec<ClaimedMail>)>);

#[async_trait]
impl MailOutbox for Outbox {
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError> {
        self.0.enqueue(id, intent, now).await
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError> {
        if self.1 != OutboxBug::DoubleTake {
            return self.0.claim(now, lease, limit).await;
        }
        self.2.lock().await.0 += 1;
        gap().await;
        let mut mails = self.0.claim(now, lease, limit).await?;
        let mut at_work = self.2.lock().await;
        at_work.0 -= 1;
        if at_work.0 == 0 {
            at_work.1.clear();
        } else {
            at_work.1.extend(mails.iter().cloned());
        }
        if mails.is_empty() {
            mails.extend(at_work.1.first().cloned());
        }
        Ok(mails)
    }

    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError> {
        let mut claim = claim.clone();
        if self.1 == OutboxBug::SettlesAnything {
            while claim.tries < 9 && !self.0.settle(&claim, settlement.clone()).await? {
                claim.tries += 1;
            }
            return Ok(claim.tries < 9);
        }
        self.0.settle(&claim, settlement).await
    }
}

#[test]
fn bugs_in_an_outbox_are_named() {
    for (bug, expected) in [
        (OutboxBug::None, &[][..]),
        (OutboxBug::DoubleTake, &["many_workers_never_share_a_mail"]),
        (OutboxBug::SettlesAnything, &["a_worker_that_lost_its_claim_settles_nothing"]),
    ] {
        let outbox = |store, _| Arc::new(Outbox(store, bug, Mutex::default())) as _;
        assert_eq!(broken_promises(mail_outbox::CASES, outbox), expected);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum AttemptBug {
    None,
    /// Looks at the count, then counts: two steps.
    ChecksThenCounts,
    /// Begins a window with each attempt.
    SlidingWindow,
    /// Looks at a bucket, then takes from it: two steps.
    ChecksThenDraws,
    /// Fills a bucket at once when its window is over.
    FillsAtOnce,
}

struct Attempts(MemoryStore, AttemptBug, ManualClock, Mutex<HashMap<AttemptKey, (u32, Timestamp)>>);

#[async_trait]
impl AttemptStore for Attempts {
    async fn hit(&self, key: &AttemptKey, limit: Limit) -> Result<Hit, StoreError> {
        if !matches!(self.1, AttemptBug::ChecksThenCounts | AttemptBug::SlidingWindow) {
            return self.0.hit(key, limit).await;
        }
        let now = self.2.now();
        let fresh = (0, now + limit.window);
        let running = self.3.lock().await.get(key).copied().filter(|(_, ends_at)| *ends_at > now);
        let (count, ends_at) = running.unwrap_or(fresh);
        if self.1 == AttemptBug::ChecksThenCounts {
            gap().await;
            self.3.lock().await.insert(*key, (count + 1, ends_at));
            return Ok(Hit::of(count + 1, limit, ends_at.since(now)));
        }
        let mut windows = self.3.lock().await;
        let window = windows.entry(*key).or_insert(fresh);
        *window = (if window.1 <= now { 1 } else { window.0 + 1 }, fresh.1);
        Ok(Hit::of(window.0, limit, fresh.1.since(now)))
    }

    async fn draw(&self, key: &AttemptKey, limit: Limit) -> Result<bool, StoreError> {
        match self.1 {
            AttemptBug::FillsAtOnce => Ok(self.0.hit(key, limit).await?.allowed),
            AttemptBug::ChecksThenDraws => {
                let now = self.2.now();
                let full_at = self.3.lock().await.get(key).map_or(now, |(_, full_at)| (*full_at).max(now));
                gap().await;
                let allowed = full_at + limit.interval() <= now + limit.interval() * limit.count;
                if allowed {
                    self.3.lock().await.insert(*key, (0, full_at + limit.interval()));
                }
                Ok(allowed)
            }
            _ => self.0.draw(key, limit).await,
        }
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.3.lock().await.remove(key);
        self.0.clear(key).await
    }
}

#[test]
fn bugs_in_an_attempt_store_are_named() {
    for (bug, expected) in [
        (AttemptBug::None, &[][..]),
        (AttemptBug::ChecksThenCounts, &["of_many_attempts_as_many_as_the_limit_pass", "keys_are_counted_apart"]),
        (
            AttemptBug::SlidingWindow,
            &[
                "an_attempt_tells_where_the_count_stands",
                "a_window_ends_by_the_stores_clock",
                "refused_attempts_do_not_extend_the_window",
            ],
        ),
        (AttemptBug::ChecksThenDraws, &["of_many_draws_as_many_succeed_as_the_bucket_holds"]),
        (
            AttemptBug::FillsAtOnce,
            &[
                "a_bucket_gives_what_it_holds_and_refills_one_by_one",
                "of_many_draws_as_many_succeed_as_the_bucket_holds",
                "refused_draws_do_not_delay_the_refill",
            ],
        ),
    ] {
        let attempts = |store, clock| Arc::new(Attempts(store, bug, clock, Mutex::default())) as _;
        assert_eq!(broken_promises(attempt_store::CASES, attempts), expected);
    }
}
