//! Revocation without a query per request: a view, in memory, of what was revoked within the last access lifetime.
//!
//! The rows themselves feed it, so no second write can be lost. A poll reads what changed since the last one, with an
//! overlap for statements that were slow to commit; every half minute it reads the whole window again. What this node
//! changes applies at once. A view older than the allowed lag answers nothing until it was polled, and one caller's
//! poll serves all who wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_lock::Mutex;

use crate::error::Error;
use crate::port::{ChangePage, Clock, SessionStore, Since, StoreError, UserSecurity, UserStore};
use crate::token::AccessClaims;
use crate::types::{SessionId, TenantId, UserId};

/// How much of the past each poll reads again. Statements time out well before.
pub(crate) const OVERLAP: Duration = Duration::from_secs(10);
/// How often the whole window is read again.
const RESYNC: Duration = Duration::from_secs(30);
/// Rows a page.
const PAGE: usize = 1000;

/// Returns the time for which revocations are remembered and read back, for a lifetime of access tokens.
pub(crate) const fn window(access_lifetime: Duration) -> Duration {
    access_lifetime.saturating_mul(2).saturating_add(OVERLAP)
}

/// The view. One per node.
pub(crate) struct Revocations {
    /// The time for which a revoked row matters: until the last token from before it has expired, by the clock of a node
    /// that is an access lifetime slow. A slower node rejects every token that is newer than its clock allows.
    window: Duration,
    max_lag: Duration,
    view: RwLock<View>,
    polling: Mutex<()>,
    failed_polls: AtomicU64,
}

#[derive(Default)]
struct View {
    sessions: HashMap<SessionId, Learnt<()>>,
    users: HashMap<(TenantId, UserId), Learnt<UserSecurity>>,
    /// When the last good poll started, and the last one that read the whole window; monotonic.
    polled_at: Option<Duration>,
    resynced_at: Option<Duration>,
}

/// What was learnt, and when first; monotonic.
struct Learnt<T> {
    what: T,
    at: Duration,
}

/// What the view says of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing speaks against it.
    Live,
    /// Its session or its account's version was ended.
    Revoked,
    /// The view is too old to say.
    Unknown,
}

impl Revocations {
    pub(crate) fn new(access_lifetime: Duration, max_lag: Duration) -> Self {
        Self {
            window: window(access_lifetime),
            max_lag,
            view: RwLock::default(),
            polling: Mutex::new(()),
            failed_polls: AtomicU64::new(0),
        }
    }

    /// Judges a token, whose signature and claims are good, of a request that arrived at `arrived`. No I/O.
    pub(crate) fn standing(&self, claims: &AccessClaims, arrived: Duration) -> Standing {
        let view = self.read();
        if !view.sessions.is_empty() && view.sessions.contains_key(&claims.session) {
            return Standing::Revoked;
        }
        let account = || view.users.get(&(claims.tenant, claims.user));
        if !view.users.is_empty() && account().is_some_and(|account| ends(&account.what, claims)) {
            return Standing::Revoked;
        }
        if view.is_fresh(arrived, self.max_lag) { Standing::Live } else { Standing::Unknown }
    }

    /// A session that this node ended.
    pub(crate) fn session_ended(&self, session: SessionId, clock: &dyn Clock) {
        self.write().learn_session(session, clock.monotonic());
    }

    /// An account that this node changed.
    pub(crate) fn account_changed(&self, account: UserSecurity, clock: &dyn Clock) {
        self.write().learn_account(account, clock.monotonic());
    }

    /// Makes the view fresh enough for who arrives now, or fails. Callers that wait for another one's poll share its
    /// outcome; how long it takes does not matter, for it began no earlier than they allow.
    pub(crate) async fn refresh(
        &self,
        users: &dyn UserStore,
        sessions: &dyn SessionStore,
        clock: &dyn Clock,
        max_age: Duration,
    ) -> Result<(), Error> {
        let arrived = clock.monotonic();
        let failed_before = self.failed_polls.load(Ordering::Acquire);
        let _turn = self.polling.lock().await;
        if self.read().is_fresh(arrived, max_age) {
            return Ok(());
        }
        if self.failed_polls.load(Ordering::Acquire) != failed_before {
            return Err(Error::unavailable("the poll for revocations failed"));
        }
        let outcome = self.poll(users, sessions, clock.monotonic()).await;
        if outcome.is_err() {
            self.failed_polls.fetch_add(1, Ordering::Release);
        }
        Ok(outcome?)
    }

    async fn poll(
        &self,
        users: &dyn UserStore,
        sessions: &dyn SessionStore,
        started: Duration,
    ) -> Result<(), StoreError> {
        let (polled_at, resynced_at) = {
            let view = self.read();
            (view.polled_at, view.resynced_at)
        };
        let resync = resynced_at.is_none_or(|at| started.saturating_sub(at) >= RESYNC);
        let reach = match polled_at {
            Some(at) if !resync => started.saturating_sub(at) + OVERLAP,
            _ => self.window,
        };
        let mut since = Since::Ago(reach);
        loop {
            let ChangePage { rows, next } = users.changes(&since, PAGE).await?;
            let mut view = self.write();
            rows.into_iter().for_each(|account| view.learn_account(account, started));
            let Some(next) = next else { break };
            since = Since::After(next);
        }
        let mut since = Since::Ago(reach);
        loop {
            let ChangePage { rows, next } = sessions.revocations(&since, PAGE).await?;
            let mut view = self.write();
            rows.into_iter().for_each(|session| view.learn_session(session, started));
            let Some(next) = next else { break };
            since = Since::After(next);
        }
        let mut view = self.write();
        view.polled_at = Some(started);
        if resync {
            view.resynced_at = Some(started);
            let window = self.window;
            view.sessions.retain(|_, learnt| started.saturating_sub(learnt.at) <= window);
            view.users.retain(|_, learnt| started.saturating_sub(learnt.at) <= window);
        }
        Ok(())
    }

    /// A panic elsewhere leaves the maps whole: every change of them is a single call.
    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Whether the last good poll began no longer than `max_age` before `moment`.
    fn is_fresh(&self, moment: Duration, max_age: Duration) -> bool {
        self.polled_at.is_some_and(|at| moment.saturating_sub(at) <= max_age)
    }

    fn learn_session(&mut self, session: SessionId, at: Duration) {
        self.sessions.entry(session).or_insert(Learnt { what: (), at });
    }

    fn learn_account(&mut self, account: UserSecurity, at: Duration) {
        let known = self.users.entry((account.tenant, account.id));
        let learnt = known.or_insert_with(|| Learnt { what: account.clone(), at });
        // Pages overlap: an older report never replaces a newer one. An unreadable row has no order among them.
        let unordered = account.unreadable || learnt.what.unreadable;
        if account.revision > learnt.what.revision || (unordered && account != learnt.what) {
            *learnt = Learnt { what: account, at };
        }
    }
}

/// Whether an account's state ends a token: its version moved past the token's, or it is shut. A version *behind* the
/// token's, shut or not, only means that this node has not yet learnt of the latest change.
fn ends(account: &UserSecurity, claims: &AccessClaims) -> bool {
    if account.unreadable {
        return true;
    }
    match account.token_version.get().wrapping_sub(claims.token_version.get()) & 0x7fff_ffff {
        0 => !account.active,
        1..0x4000_0000 => true,
        _ => false,
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use uuid::Uuid;

    use super::*;
    use crate::memory::MemoryStore;
    use crate::testing::ManualClock;
    use crate::types::{AuthMethods, Channel, Scope, Timestamp, TokenVersion};

    const LIFETIME: Duration = Duration::from_secs(900);

    /// The view after a poll; memory answers at once.
    fn polled(view: &Revocations, store: &MemoryStore, clock: &ManualClock) -> (usize, usize) {
        let poll = pin!(view.refresh(store, store, clock, Duration::ZERO));
        assert!(matches!(poll.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
        let view = view.read();
        (view.sessions.len(), view.users.len())
    }

    fn account(revision: u64, token_version: u32) -> UserSecurity {
        let id = UserId::from(Uuid::from_u128(1));
        let token_version = TokenVersion::new(token_version);
        UserSecurity { tenant: TenantId::default(), id, token_version, active: true, revision, unreadable: false }
    }

    #[test]
    fn an_account_ends_tokens_that_it_left_behind_and_none_that_are_ahead() {
        let claims = |version| AccessClaims {
            tenant: TenantId::default(),
            user: UserId::from(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(1)),
            token_version: TokenVersion::new(version),
            channel: Channel::Cookie,
            auth_time: Timestamp::default(),
            methods: AuthMethods::PASSWORD,
            scope: Scope::Full,
            issued_at: Timestamp::default(),
            expires_at: Timestamp::default(),
        };
        let half = 1 << 30;
        for (known, active, token, ended) in [
            (5, true, 5, false),
            // A store of one's own may shut an account without a bump.
            (5, false, 5, true),
            (6, true, 5, true),
            (6, false, 5, true),
            (5, true, 6, false),
            (5, false, 6, false),
            (half + 4, true, 5, true),
            (half + 5, true, 5, false),
            (0, true, u32::MAX, true),
            (u32::MAX, true, 0, false),
        ] {
            let account = UserSecurity { active, ..account(1, known) };
            assert_eq!(ends(&account, &claims(token)), ended, "{known} {active} {token}");
        }
    }

    #[test]
    fn what_no_token_can_need_any_more_is_forgotten_and_nothing_earlier() {
        let clock = ManualClock::new();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let view = Revocations::new(LIFETIME, Duration::from_secs(1));
        view.session_ended(SessionId(Uuid::from_u128(1)), &clock);
        view.account_changed(account(1, 1), &clock);
        let mut age = Duration::ZERO;
        while age <= 2 * LIFETIME + OVERLAP {
            assert_eq!(polled(&view, &store, &clock), (1, 1), "{age:?}");
            clock.advance(Duration::from_secs(1));
            age += Duration::from_secs(1);
        }
        clock.advance(RESYNC);
        assert_eq!(polled(&view, &store, &clock), (0, 0));
    }

    #[test]
    fn a_later_change_is_remembered_from_then_on() {
        let clock = ManualClock::new();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let view = Revocations::new(LIFETIME, Duration::from_secs(1));
        view.account_changed(account(1, 1), &clock);
        clock.advance(LIFETIME + LIFETIME / 2);
        view.account_changed(account(2, 2), &clock);
        clock.advance(LIFETIME + LIFETIME / 2);
        assert_eq!(polled(&view, &store, &clock), (0, 1));
    }

    #[test]
    fn an_unreadable_row_shuts_its_account_until_it_is_read_again() {
        let clock = ManualClock::new();
        let view = Revocations::new(LIFETIME, Duration::from_secs(1));
        let damaged = UserSecurity::unreadable(TenantId::default(), UserId::from(Uuid::from_u128(1)));
        for report in [account(5, 2), damaged.clone(), account(5, 2), damaged, account(6, 3)] {
            view.account_changed(report.clone(), &clock);
            let known: Vec<_> = view.read().users.values().map(|learnt| learnt.what.clone()).collect();
            assert_eq!(known, [report]);
        }
    }

    #[test]
    fn an_older_report_never_replaces_a_newer_one() {
        let clock = ManualClock::new();
        let view = Revocations::new(LIFETIME, Duration::from_secs(1));
        view.account_changed(account(2, 2), &clock);
        view.account_changed(account(1, 1), &clock);
        view.account_changed(account(2, 1), &clock);
        let known: Vec<_> = view.read().users.values().map(|learnt| learnt.what.clone()).collect();
        assert_eq!(known, [account(2, 2)]);
    }
}
