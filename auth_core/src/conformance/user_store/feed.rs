//! The feed of changed accounts, from which nodes learn what was revoked.

use std::sync::Arc;
use std::time::Duration;

use super::{create, new_user, update};
use crate::conformance::{SECOND, TICK, read_feed};
use crate::port::{Clock as _, FeedPosition, LoginRecord, Since, UserChange, UserSecurity, UserStore};
use crate::testing::ManualClock;
use crate::types::{UserId, UserStatus};

pub(in crate::conformance) async fn changes(store: &dyn UserStore, since: Since, limit: usize) -> Vec<UserSecurity> {
    read_feed(since, limit, async |since| store.changes(&since, limit).await).await
}

/// In pages of any length, each account is told once, as it is now, in the order of the changes.
pub async fn the_feed_tells_every_change_once(store: Arc<dyn UserStore>, clock: ManualClock) {
    let mut users = Vec::new();
    for number in 0..40 {
        // Most share one moment.
        if number == 30 {
            clock.advance(TICK);
        }
        users.push(create(&*store, &new_user(&format!("user{number:02}"))).await);
    }
    clock.advance(TICK);
    let changed = users.remove(7);
    let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
    users.push(update(&*store, &changed, &change).await);

    let expected: Vec<UserSecurity> = users.iter().map(UserSecurity::from).collect();
    let mut first = None;
    for limit in [1, 7, 39, 40, 41, 1000] {
        let rows = changes(&*store, Since::Ago(60 * SECOND), limit).await;
        assert_eq!(rows.len(), expected.len(), "{limit}");
        assert!(expected.iter().all(|row| rows.contains(row)), "{limit}");
        let times = rows.iter().map(|row| users.iter().find(|user| user.id == row.id).map(|user| user.changed_at));
        assert!(times.is_sorted(), "{limit}");
        assert_eq!(*first.get_or_insert_with(|| rows.clone()), rows, "{limit}");
    }
}

/// An age counts from the store's clock, and includes what is just as old. Logins and failures are no changes.
pub async fn the_feed_starts_at_an_age(store: Arc<dyn UserStore>, clock: ManualClock) {
    let old = create(&*store, &new_user("old")).await;
    clock.advance(10 * SECOND);
    let young = create(&*store, &new_user("young")).await;
    let login = LoginRecord { at: Some(clock.now()), rehash: None };
    store.record_login(&old.tenant, &old.id, &login).await.unwrap();
    assert!(store.count_failure(&old.tenant, &old.id, 9).await.unwrap());
    for (age, expected) in [
        (10 * SECOND, vec![old.id, young.id]),
        (10 * SECOND - TICK, vec![young.id]),
        (Duration::MAX, vec![old.id, young.id]),
        (Duration::ZERO, vec![young.id]),
    ] {
        let ids: Vec<UserId> = changes(&*store, Since::Ago(age), 10).await.iter().map(|row| row.id).collect();
        assert_eq!(ids, expected, "{age:?}");
    }
    clock.advance(SECOND);
    assert_eq!(changes(&*store, Since::Ago(Duration::ZERO), 10).await, []);
}

/// A row that changes between two pages moves to the end, and the reader meets it there.
pub async fn what_changes_behind_a_reader_is_still_told(store: Arc<dyn UserStore>, clock: ManualClock) {
    let first = create(&*store, &new_user("first")).await;
    clock.advance(TICK);
    let second = create(&*store, &new_user("second")).await;
    clock.advance(TICK);
    create(&*store, &new_user("third")).await;
    let page = store.changes(&Since::Ago(SECOND), 1).await.unwrap();
    assert_eq!(page.rows, [UserSecurity::from(&first)]);
    let next: FeedPosition = page.next.unwrap();

    clock.advance(TICK);
    let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
    let first = update(&*store, &first, &change).await;
    let rows = changes(&*store, Since::After(next), 10).await;
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0], &rows[2]), (&UserSecurity::from(&second), &UserSecurity::from(&first)));
}
