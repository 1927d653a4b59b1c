//! Logins and failed attempts, which leave the revision of a row alone.

use std::sync::Arc;

use super::feed::changes;
use super::{create, hash, load, new_user, update};
use crate::conformance::{SECOND, TICK, in_parallel};
use crate::port::{Clock as _, LoginRecord, Since, UserChange, UserStore};
use crate::testing::ManualClock;
use crate::types::{TenantId, User, UserId, UserStatus};

/// A login is no security change: revision, version and time of the last change stay.
pub async fn a_login_is_noted_without_a_new_revision(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let other = create(&*store, &new_user("bob")).await;
    assert!(store.count_failure(&user.tenant, &user.id, 9).await.unwrap());
    clock.advance(5 * SECOND);
    let login = LoginRecord { at: Some(clock.now() - TICK), rehash: None };
    store.record_login(&user.tenant, &user.id, &login).await.unwrap();
    assert_eq!(load(&*store, &user).await, User { last_login_at: login.at, ..user });
    assert_eq!(load(&*store, &other).await, other);
}

/// A password that was asked for again clears the failures and leaves the time of the last login.
pub async fn a_password_given_within_a_session_is_no_login(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let login = LoginRecord { at: Some(clock.now()), rehash: None };
    let again = LoginRecord { at: None, rehash: Some((hash("one"), hash("two"))) };
    store.record_login(&user.tenant, &user.id, &login).await.unwrap();
    assert!(store.count_failure(&user.tenant, &user.id, 9).await.unwrap());
    store.record_login(&user.tenant, &user.id, &again).await.unwrap();
    let expected = User { password_hash: Some(hash("two")), ..with_login(&user, &login) };
    assert_eq!(load(&*store, &user).await, expected);
}

/// A hash that was replaced since it was checked stays: a login must not bring an old password back.
pub async fn a_login_replaces_only_the_hash_that_it_checked(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let login = |old, new| LoginRecord { at: Some(clock.now()), rehash: Some((hash(old), hash(new))) };
    for (login, kept) in [(login("other", "bad"), "one"), (login("one", "two"), "two"), (login("one", "late"), "two")] {
        store.record_login(&user.tenant, &user.id, &login).await.unwrap();
        assert_eq!(load(&*store, &user).await, User { password_hash: Some(hash(kept)), ..with_login(&user, &login) });
    }
    let change = UserChange { password_hash: Some(None), ..UserChange::default() };
    let user = update(&*store, &load(&*store, &user).await, &change).await;
    store.record_login(&user.tenant, &user.id, &login("two", "back")).await.unwrap();
    assert_eq!(load(&*store, &user).await.password_hash, None);
}

fn with_login(user: &User, login: &LoginRecord) -> User {
    User { last_login_at: login.at, ..user.clone() }
}

/// Of 64 parallel guesses exactly as many are let through as the bound leaves, and all are on the row.
pub async fn failures_are_counted_up_to_the_bound(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    for (below, passes) in [(10, 10), (10, 0), (25, 15), (0, 0)] {
        let results = in_parallel(|_| {
            let (store, tenant, id) = (store.clone(), user.tenant, user.id);
            async move { store.count_failure(&tenant, &id, below).await.unwrap() }
        });
        assert_eq!(results.await.into_iter().filter(|passed| *passed).count(), passes, "below {below}");
    }
    assert_eq!(load(&*store, &user).await, User { consecutive_failures: 25, ..user });
}

/// One account's failures are no other's, and an account that is not there has none.
pub async fn failures_are_counted_for_each_account(store: Arc<dyn UserStore>, clock: ManualClock) {
    let (ada, bob) = (create(&*store, &new_user("ada")).await, create(&*store, &new_user("bob")).await);
    let count = |id: UserId| {
        let store = store.clone();
        async move { store.count_failure(&TenantId::default(), &id, 1).await.unwrap() }
    };
    assert_eq!((count(ada.id).await, count(ada.id).await, count(bob.id).await), (true, false, true));
    assert!(!count(new_user("nobody").id).await);
    assert!(!count(UserId::parse("nobody").unwrap()).await);
    let login = LoginRecord { at: Some(clock.now()), rehash: None };
    store.record_login(&ada.tenant, &ada.id, &login).await.unwrap();
    assert_eq!((count(ada.id).await, count(bob.id).await), (true, false));
    // A login of an unknown account is a no-op.
    store.record_login(&ada.tenant, &new_user("nobody").id, &login).await.unwrap();
}

/// Any number of dummy writes at once succeeds, and no account shows it.
pub async fn dummy_writes_touch_no_account(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    clock.advance(2 * SECOND);
    let written = in_parallel(|number| {
        let (store, row) = (store.clone(), format!("nobody{}@example.org", number % 4));
        async move { store.dummy_write(&row).await.is_ok() }
    });
    assert!(written.await.into_iter().all(|written| written));
    assert_eq!(load(&*store, &user).await, user);
    assert_eq!(changes(&*store, Since::Ago(SECOND), 9).await, []);
}

/// Of all changes only a new password clears the failures, those counted since the row was read among them.
pub async fn a_new_password_starts_with_no_failures(store: Arc<dyn UserStore>, _: ManualClock) {
    let mut user = create(&*store, &new_user("ada")).await;
    for _ in 0..3 {
        assert!(store.count_failure(&user.tenant, &user.id, 9).await.unwrap());
    }
    let none = UserChange::default;
    for (change, failures) in [
        (UserChange { email_verified_at: Some(None), status: Some(UserStatus::Active), ..none() }, 3),
        (UserChange { password_hash: Some(Some(hash("new"))), ..none() }, 0),
    ] {
        // The caller may have read the row before the failures.
        user.consecutive_failures = 0;
        user = update(&*store, &user, &change).await;
        assert_eq!(user.consecutive_failures, failures);
        assert_eq!(load(&*store, &user).await, user);
    }
}
