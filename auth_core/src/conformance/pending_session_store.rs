//! What every [`PendingSessionStore`] promises.

use std::sync::Arc;

use super::{Case, SECOND, TICK, assert_unavailable, in_parallel};
use crate::port::{Clock, PendingSessionStore};
use crate::testing::ManualClock;
use crate::types::{Payload, PendingId, PendingPurpose, PendingSession, TenantId, Timestamp, TokenVersion, UserId};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __pending_session_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { pending_session_store [$($arguments)+]
            what_is_put_is_found_whole_until_it_is_taken
            one_of_many_takes_gets_it
            it_ends_by_the_given_time
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

fn pending(name: &str, expires_at: Timestamp) -> PendingSession {
    PendingSession {
        id: id(name),
        purpose: PendingPurpose::SecondFactor,
        tenant: TenantId::default(),
        user: UserId::parse("42").unwrap(),
        revision: 7,
        token_version: TokenVersion::new(u32::MAX),
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
            user: UserId::parse(&"9".repeat(64)).unwrap(),
            tenant: super::tenant("other"),
            revision: 1 << 40,
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

/// The newer one is all there is.
pub async fn a_newer_one_takes_the_place_of_an_older(store: Arc<dyn PendingSessionStore>, clock: ManualClock) {
    let now = clock.now();
    store.put(&pending("a", now + SECOND)).await.unwrap();
    let newer = PendingSession {
        purpose: PendingPurpose::TotpSetup,
        user: UserId::parse("43").unwrap(),
        revision: 8,
        token_version: TokenVersion::new(0),
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
    assert_unavailable(store.take(&id("a"), now).await);
}
