//! What every [`PendingSessionStore`] promises.

use std::sync::Arc;

use super::{Case, SECOND, TICK, assert_unavailable, in_parallel};
use crate::port::{Clock, PendingSessionStore};
use crate::testing::ManualClock;
use crate::types::{
    Payload, PendingId, PendingPurpose, PendingSession, PendingSubject, Revision, TenantId, Timestamp, TokenVersion,
    UserId,
};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __pending_session_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { pending_session_store [$($arguments)+]
            what_is_put_is_found_whole_until_it_is_taken
            one_of_many_takes_gets_it
            it_ends_by_the_given_time
            no_more_tries_are_counted_than_are_allowed
            a_newer_one_takes_the_place_of_an_older
            many_wait_side_by_side
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn PendingSessionStore>] = __pending_session_store!(@cases);

fn id(name: &str) -> PendingId {
    PendingId::of(PendingPurpose::SecondFactor, name.as_bytes())
}

fn subject(user: &str, revision: Revision, token_version: u32) -> PendingSubject {
    let (user, token_version) = (UserId::parse(user).unwrap(), TokenVersion::new(token_version));
    PendingSubject { user, revision, token_version }
}

fn pending(name: &str, expires_at: Timestamp) -> PendingSession {
    PendingSession {
        id: id(name),
        purpose: PendingPurpose::SecondFactor,
        tenant: TenantId::default(),
        subject: Some(subject("42", 7, u32::MAX)),
        tries: 0,
        payload: Payload { version: 1, bytes: name.into() },
        expires_at,
    }
}

/// Looking does not take, taking leaves nothing.
pub async fn what_is_put_is_found_whole_until_it_is_taken(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    let all_bytes: Vec<u8> = (0..=255).collect();
    for purpose in PendingPurpose::ALL {
        let full = PendingSession {
            id: PendingId::of(purpose, b"full"),
            purpose,
            tenant: super::tenant("other"),
            subject: (purpose != PendingPurpose::TotpSetup).then(|| subject(&"9".repeat(64), 1 << 40, 0)),
            tries: u32::MAX,
            payload: Payload { version: u16::MAX, bytes: all_bytes.repeat(10) },
            ..pending("full", now + SECOND)
        };
        store.put(&full).await.unwrap();
        for _ in 0..3 {
            assert_eq!(store.find(&full.id, now).await.unwrap().as_ref(), Some(&full));
        }
        assert_eq!(store.take(&full.id, now).await.unwrap().as_ref(), Some(&full));
        assert_eq!(store.find(&full.id, now).await.unwrap(), None);
        assert_eq!(store.take(&full.id, now).await.unwrap(), None);
    }
}

/// Of 64 parallel callers one takes.
pub async fn one_of_many_takes_gets_it(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    for round in 0..10 {
        let waiting = pending(&round.to_string(), now + SECOND);
        store.put(&waiting).await.unwrap();
        let takes = in_parallel(|_| {
            let (store, id) = (store.clone(), waiting.id);
            async move { store.take(&id, now).await.unwrap() }
        });
        assert_eq!(takes.await.into_iter().flatten().collect::<Vec<_>>(), [waiting]);
    }
}

/// To the microsecond.
pub async fn it_ends_by_the_given_time(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let end = clock.now() + SECOND;
    store.put(&pending("a", end)).await.unwrap();
    assert!(store.find(&id("a"), end - TICK).await.unwrap().is_some());
    assert_eq!(store.find(&id("a"), end).await.unwrap(), None);
    assert_eq!(store.take(&id("a"), end).await.unwrap(), None);
    store.put(&pending("b", end)).await.unwrap();
    assert!(store.take(&id("b"), end - TICK).await.unwrap().is_some());
}

/// By 64 parallel callers, and by one after the other. A try of one that is over, taken or unknown is none.
pub async fn no_more_tries_are_counted_than_are_allowed(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    let end = now + SECOND;
    let waiting = pending("a", end);
    assert_eq!(store.attempt(&waiting.id, 5, now).await.unwrap(), None);
    store.put(&waiting).await.unwrap();
    assert_eq!(store.attempt(&waiting.id, 0, now).await.unwrap(), None);
    let tries = in_parallel(|_| {
        let (store, id) = (store.clone(), waiting.id);
        async move { store.attempt(&id, 5, now).await.unwrap() }
    });
    let mut counted: Vec<_> = tries.await.into_iter().flatten().collect();
    counted.sort_by_key(|pending| pending.tries);
    let expected: Vec<_> = (1..=5).map(|tries| PendingSession { tries, ..waiting.clone() }).collect();
    assert_eq!(counted, expected);
    assert_eq!(store.attempt(&waiting.id, 5, now).await.unwrap(), None);
    assert_eq!(store.attempt(&waiting.id, 6, end - TICK).await.unwrap().map(|it| it.tries), Some(6));
    assert_eq!(store.attempt(&waiting.id, 7, end).await.unwrap(), None, "it is over");
    assert_eq!(store.find(&waiting.id, now).await.unwrap().map(|it| it.tries), Some(6));
    // A newer one brings its own count along.
    store.put(&PendingSession { tries: 4, ..pending("a", end) }).await.unwrap();
    assert_eq!(store.attempt(&waiting.id, 5, now).await.unwrap().map(|it| it.tries), Some(5));
    assert!(store.take(&waiting.id, now).await.unwrap().is_some());
    assert_eq!(store.attempt(&waiting.id, 9, now).await.unwrap(), None);
    assert_eq!(store.find(&waiting.id, now).await.unwrap(), None, "a try makes nothing");
}

/// The newer one is all there is.
pub async fn a_newer_one_takes_the_place_of_an_older(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    store.put(&pending("a", now + SECOND)).await.unwrap();
    let newer = PendingSession {
        purpose: PendingPurpose::TotpSetup,
        subject: Some(subject("43", 8, 0)),
        tries: 3,
        payload: Payload { version: 2, bytes: Vec::new() },
        ..pending("a", now + 2 * SECOND)
    };
    store.put(&newer).await.unwrap();
    assert_eq!(store.take(&id("a"), now + SECOND).await.unwrap(), Some(newer));
    assert_eq!(store.take(&id("a"), now).await.unwrap(), None);
}

/// None of those that wait is lost to others, however many there are; those that are over are no burden.
pub async fn many_wait_side_by_side(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    for number in 0..100 {
        store.put(&pending(&format!("over {number}"), now)).await.unwrap();
        store.put(&pending(&format!("waits {number}"), now + SECOND)).await.unwrap();
        clock.advance(TICK);
    }
    for number in 0..100 {
        assert!(store.take(&id(&format!("waits {number}")), now).await.unwrap().is_some(), "{number}");
        assert!(store.take(&id(&format!("over {number}")), now).await.unwrap().is_none(), "{number}");
    }
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    assert_unavailable(store.put(&pending("a", now)).await);
    assert_unavailable(store.find(&id("a"), now).await);
    assert_unavailable(store.attempt(&id("a"), 5, now).await);
    assert_unavailable(store.take(&id("a"), now).await);
}
