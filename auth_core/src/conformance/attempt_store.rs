//! What every [`AttemptStore`] promises.

use std::sync::Arc;
use std::time::Duration;

use super::{Case, SECOND, assert_unavailable, in_parallel};
use crate::port::{AttemptKey, AttemptStore, Hit};
use crate::testing::ManualClock;
use crate::types::Limit;

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __attempt_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { attempt_store [$($arguments)+]
            an_attempt_tells_where_the_count_stands
            of_many_attempts_as_many_as_the_limit_pass
            a_window_ends_by_the_stores_clock
            refused_attempts_do_not_extend_the_window
            a_cleared_window_starts_anew
            keys_are_counted_apart
            what_others_count_leaves_a_running_window_alone
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn AttemptStore>] = __attempt_store!(@cases);

const WINDOW: Duration = Duration::from_secs(60);

fn key(name: &str) -> AttemptKey {
    AttemptKey::new("conformance", &[name.as_bytes()])
}

async fn hit(store: &dyn AttemptStore, name: &str, count: u32) -> Hit {
    store.hit(&key(name), Limit::new(count, WINDOW)).await.unwrap()
}

/// Each answer says whether it passes, how many more will, and when the window ends.
pub async fn an_attempt_tells_where_the_count_stands(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for (number, (allowed, remaining)) in (0..).zip([(true, 2), (true, 1), (true, 0), (false, 0), (false, 0)]) {
        let reset_after = WINDOW - number * SECOND;
        assert_eq!(hit(&*store, "a", 3).await, Hit { allowed, remaining, reset_after });
        clock.advance(SECOND);
    }
}

/// Of 64 parallel attempts as many pass as the limit says, in the first window and in the one after it.
pub async fn of_many_attempts_as_many_as_the_limit_pass(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for _ in 0..3 {
        let hits = in_parallel(|_| {
            let store = store.clone();
            async move { hit(&*store, "a", 10).await }
        });
        let mut left: Vec<u32> = hits.await.into_iter().filter(|hit| hit.allowed).map(|hit| hit.remaining).collect();
        left.sort_unstable();
        assert_eq!(left, Vec::from_iter(0..10));
        clock.advance(WINDOW);
    }
}

/// A window starts at its first attempt and is over one length later, neither before nor after.
pub async fn a_window_ends_by_the_stores_clock(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    clock.advance(WINDOW / 2);
    assert!(hit(&*store, "a", 1).await.allowed);
    clock.advance(WINDOW - SECOND);
    let refused = hit(&*store, "a", 1).await;
    assert_eq!((refused.allowed, refused.reset_after), (false, SECOND));
    clock.advance(SECOND);
    assert_eq!(hit(&*store, "a", 1).await, Hit { allowed: true, remaining: 0, reset_after: WINDOW });
}

/// Who keeps trying is let in again as soon as who waits.
pub async fn refused_attempts_do_not_extend_the_window(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for second in 0..60 {
        assert_eq!(hit(&*store, "a", 5).await.allowed, second < 5, "{second}");
        clock.advance(SECOND);
    }
    assert!(hit(&*store, "a", 5).await.allowed);
}

/// Clearing ends a window at once; where there is none, nothing happens.
pub async fn a_cleared_window_starts_anew(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    store.clear(&key("a")).await.unwrap();
    assert!(hit(&*store, "a", 1).await.allowed);
    assert!(hit(&*store, "b", 1).await.allowed);
    assert!(!hit(&*store, "a", 1).await.allowed);
    clock.advance(SECOND);
    store.clear(&key("a")).await.unwrap();
    assert_eq!(hit(&*store, "a", 1).await, Hit { allowed: true, remaining: 0, reset_after: WINDOW });
    assert!(!hit(&*store, "b", 1).await.allowed);
}

/// What is counted for one key says nothing of another, not even with 64 at once.
pub async fn keys_are_counted_apart(store: Arc<dyn AttemptStore>, _: ManualClock) {
    let hits = in_parallel(|number| {
        let store = store.clone();
        async move { (hit(&*store, &number.to_string(), 1).await.allowed, hit(&*store, "all", 64).await.allowed) }
    });
    assert!(hits.await.into_iter().all(|allowed| allowed == (true, true)));
    assert!(!hit(&*store, "all", 64).await.allowed);
}

/// Windows that begin and end elsewhere, and whatever sweeps them up, do not let anybody in early.
pub async fn what_others_count_leaves_a_running_window_alone(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    assert!(hit(&*store, "a", 1).await.allowed);
    for round in 0..10 {
        clock.advance(5 * SECOND);
        for number in 0..20 {
            let limit = Limit::new(1, SECOND);
            store.hit(&key(&format!("{round} {number}")), limit).await.unwrap();
        }
        assert!(!hit(&*store, "a", 1).await.allowed, "{round}");
    }
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn AttemptStore>, _: ManualClock) {
    assert_unavailable(store.hit(&key("a"), Limit::new(1, WINDOW)).await);
    assert_unavailable(store.clear(&key("a")).await);
}
