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
            a_bucket_gives_what_it_holds_and_refills_one_by_one
            a_bucket_holds_no_more_than_its_limit
            of_many_draws_as_many_succeed_as_the_bucket_holds
            refused_draws_do_not_delay_the_refill
            buckets_are_drawn_apart_and_a_cleared_one_is_full
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

const BUCKET: Limit = Limit::new(4, Duration::from_secs(60));

async fn draw(store: &dyn AttemptStore, name: &str) -> bool {
    store.draw(&key(name), BUCKET).await.unwrap()
}

/// A full bucket gives all at once, then one for each interval that passes, neither earlier nor two at once.
pub async fn a_bucket_gives_what_it_holds_and_refills_one_by_one(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for number in 0..6 {
        assert_eq!(draw(&*store, "a").await, number < 4, "{number}");
    }
    for _ in 0..5 {
        clock.advance(BUCKET.interval() - Duration::from_micros(1));
        assert!(!draw(&*store, "a").await, "refilled too early");
        clock.advance(Duration::from_micros(1));
        assert!(draw(&*store, "a").await, "refilled too late");
        assert!(!draw(&*store, "a").await, "refilled by two");
    }
    clock.advance(2 * BUCKET.interval());
    assert_eq!([draw(&*store, "a").await, draw(&*store, "a").await, draw(&*store, "a").await], [true, true, false]);
}

/// However long a bucket waits, it never holds more than its limit.
pub async fn a_bucket_holds_no_more_than_its_limit(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for pause in [SECOND, 30 * SECOND, 100 * BUCKET.window] {
        clock.advance(BUCKET.window + pause);
        for number in 0..6 {
            assert_eq!(draw(&*store, "a").await, number < 4, "{number} after {pause:?}");
        }
    }
}

/// Of 64 parallel calls as many succeed as the bucket holds, also after it has gained two.
pub async fn of_many_draws_as_many_succeed_as_the_bucket_holds(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    for holds in [4, 2, 4, 2] {
        let draws = in_parallel(|_| {
            let store = store.clone();
            async move { draw(&*store, "a").await }
        });
        assert_eq!(draws.await.into_iter().filter(|allowed| *allowed).count(), holds);
        clock.advance(if holds == 4 { BUCKET.interval() * 2 } else { BUCKET.window });
    }
}

/// A caller that keeps asking is served as soon as one that waits.
pub async fn refused_draws_do_not_delay_the_refill(store: Arc<dyn AttemptStore>, clock: ManualClock) {
    let mut allowed = 0;
    for _ in 0..60 {
        allowed += u32::from(draw(&*store, "a").await);
        clock.advance(SECOND);
    }
    // Four at the start, then one at 15, 30 and 45 seconds.
    assert_eq!(allowed, 7);
}

/// One bucket says nothing of another, and clearing fills one of them alone.
pub async fn buckets_are_drawn_apart_and_a_cleared_one_is_full(store: Arc<dyn AttemptStore>, _: ManualClock) {
    store.clear(&key("a")).await.unwrap();
    for name in ["a", "b"] {
        for number in 0..5 {
            assert_eq!(draw(&*store, name).await, number < 4, "{name} {number}");
        }
    }
    store.clear(&key("a")).await.unwrap();
    assert_eq!((draw(&*store, "a").await, draw(&*store, "b").await), (true, false));
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn AttemptStore>, _: ManualClock) {
    assert_unavailable(store.hit(&key("a"), Limit::new(1, WINDOW)).await);
    assert_unavailable(store.draw(&key("a"), BUCKET).await);
    assert_unavailable(store.clear(&key("a")).await);
}
