//! What every [`UserDirectory`] promises. The store under test is a
//! [`UserStore`] as well, which the accounts come from.

use std::sync::Arc;

use serde_json::{Value, json};

use super::user_store::{create, find, new_user, update};
use super::{Case, SECOND, TICK, assert_unavailable};
use crate::port::{Clock as _, Lapse, NewUser, UserChange, UserDirectory, UserKey, UserStore};
use crate::testing::ManualClock;
use crate::types::{Claim, TenantId, Timestamp, User, UserId, UserStatus};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __user_directory {
    ($($arguments:tt)+) => {
        $crate::__conformance! { user_directory [$($arguments)+]
            pages_show_every_account_once
            a_status_shows_those_that_have_it
            superusers_are_told_from_those_who_only_say_so
            what_lapsed_is_told_oldest_first
            only_what_was_deleted_long_ago_is_removed
        }
    };
}

/// A store that keeps accounts and lists them.
pub trait Directory: UserDirectory + UserStore {}
impl<S: UserDirectory + UserStore> Directory for S {}

/// The cases of this suite.
pub const CASES: &[Case<dyn Directory>] = __user_directory!(@cases);

async fn read(store: &dyn Directory, status: Option<UserStatus>, limit: usize) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    loop {
        let after = users.last().map(|user| user.id);
        let page = store.list(&TenantId::default(), status, after.as_ref(), limit).await.unwrap();
        assert!(page.len() <= limit, "a page of {} rows, where {limit} were asked for", page.len());
        if page.is_empty() {
            return users;
        }
        users.extend(page);
    }
}

fn set(status: UserStatus) -> UserChange {
    UserChange { status: Some(status), ..UserChange::default() }
}

/// In the order of their ids, each whole, and none of another tenant.
pub async fn pages_show_every_account_once(store: Arc<dyn Directory>, _: ManualClock) {
    let mut expected = Vec::new();
    for number in 0..10 {
        expected.push(create(&*store, &new_user(&format!("user{number}"))).await);
    }
    expected.sort_by_key(|user| user.id);
    for limit in [1, 3, 10, 100] {
        assert_eq!(read(&*store, None, limit).await, expected, "{limit}");
    }
    let nobody = UserId::parse("~").unwrap();
    assert_eq!(store.list(&TenantId::default(), None, Some(&nobody), 9).await.unwrap(), []);
    assert_eq!(store.list(&super::tenant("other"), None, None, 9).await.unwrap(), []);
}

/// In pages, too.
pub async fn a_status_shows_those_that_have_it(store: Arc<dyn Directory>, clock: ManualClock) {
    let mut disabled = Vec::new();
    for number in 0..9 {
        let user = create(&*store, &new_user(&format!("user{number}"))).await;
        match number % 3 {
            0 => disabled.push(update(&*store, &user, &set(UserStatus::Disabled)).await),
            1 => drop(update(&*store, &user, &set(UserStatus::Deleted)).await),
            _ => {}
        }
    }
    let mut deactivated = Vec::new();
    for number in 0..3_u32 {
        let user = create(&*store, &new_user(&format!("closed{number}"))).await;
        let since = clock.now() + number * SECOND;
        deactivated.push(update(&*store, &user, &set(UserStatus::Deactivated { since })).await);
    }
    deactivated.sort_by_key(|user| user.id);
    disabled.sort_by_key(|user| user.id);
    for limit in [1, 2, 9] {
        assert_eq!(read(&*store, Some(UserStatus::Disabled), limit).await, disabled, "{limit}");
        let any_time = UserStatus::Deactivated { since: Timestamp::default() };
        assert_eq!(read(&*store, Some(any_time), limit).await, deactivated, "{limit}");
        assert_eq!(read(&*store, Some(UserStatus::Deleted), limit).await.len(), 3);
        assert_eq!(read(&*store, Some(UserStatus::Active), limit).await.len(), 3);
    }
}

/// Lists exactly the accounts of one tenant that have the attribute as operators write it, with any status.
pub async fn superusers_are_told_from_those_who_only_say_so(store: Arc<dyn Directory>, _: ManualClock) {
    let with = |name: &str, attributes: Value| {
        let attributes = attributes.as_object().unwrap().clone();
        NewUser { attributes, ..new_user(name) }
    };
    let mut expected = Vec::new();
    for name in ["root", "toor"] {
        let user = create(&*store, &with(name, json!({"a": "\u{0}", "is_superuser": true, "z": 1}))).await;
        expected.push(user);
    }
    for (number, no) in [
        json!({"is_superuser": false}),
        json!({"is_superuser": "true"}),
        json!({"nested": {"is_superuser": true}}),
        json!({"first_name": "\"is_superuser\":true"}),
        json!({"is_superusers": true, "IS_SUPERUSER": true}),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        create(&*store, &with(&format!("user{number}"), no)).await;
    }
    expected[0] = update(&*store, &expected[0], &set(UserStatus::Disabled)).await;
    expected.sort_by_key(|user| user.id);
    assert_eq!(store.superusers(&TenantId::default()).await.unwrap(), expected);
    assert_eq!(store.superusers(&super::tenant("other")).await.unwrap(), []);
}

/// Lists unverified sign-ups and closed accounts in the order of their times, in pages.
pub async fn what_lapsed_is_told_oldest_first(store: Arc<dyn Directory>, clock: ManualClock) {
    let start = clock.now();
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for number in 0..4_u32 {
        let created_at = start + number * SECOND;
        let user = |name: &str| NewUser { created_at, ..new_user(&format!("{name}{number}")) };
        open.push(create(&*store, &user("open")).await);
        create(&*store, &NewUser { claim: Claim::Settled, ..user("made") }).await;
        create(&*store, &NewUser { claim: Claim::Unknown, ..user("old") }).await;
        create(&*store, &NewUser { email_verified_at: Some(start), ..user("verified") }).await;
        let disabled = create(&*store, &user("disabled")).await;
        update(&*store, &disabled, &set(UserStatus::Disabled)).await;
        let doubted = create(&*store, &user("doubted")).await;
        let verified = UserChange { email_verified_at: Some(Some(start)), ..UserChange::default() };
        let doubted = update(&*store, &doubted, &verified).await;
        update(&*store, &doubted, &UserChange { email_verified_at: Some(None), ..UserChange::default() }).await;
        let since = start + number * SECOND;
        let user = create(&*store, &NewUser { email_verified_at: Some(start), ..user("closed") }).await;
        closed.push(update(&*store, &user, &set(UserStatus::Deactivated { since })).await);
    }
    for (kind, expected) in [(Lapse::Unverified, open), (Lapse::Deactivated, closed)] {
        assert_eq!(store.lapsed(kind, start - TICK, 9).await.unwrap(), []);
        assert_eq!(store.lapsed(kind, start + 2 * SECOND - TICK, 9).await.unwrap(), expected[..2]);
        assert_eq!(store.lapsed(kind, start + 2 * SECOND, 9).await.unwrap(), expected[..3]);
        assert_eq!(store.lapsed(kind, start + 9 * SECOND, 1).await.unwrap(), expected[..1]);
    }
}

/// By the store's clock, so many at a time; their addresses are free again.
pub async fn only_what_was_deleted_long_ago_is_removed(store: Arc<dyn Directory>, clock: ManualClock) {
    let mut old = Vec::new();
    for number in 0..3 {
        let user = create(&*store, &new_user(&format!("old{number}"))).await;
        old.push(update(&*store, &user, &set(UserStatus::Deleted)).await);
    }
    let active = create(&*store, &new_user("active")).await;
    let disabled = update(&*store, &create(&*store, &new_user("disabled")).await, &set(UserStatus::Disabled)).await;
    clock.advance(SECOND);
    let young = update(&*store, &create(&*store, &new_user("young")).await, &set(UserStatus::Deleted)).await;
    clock.advance(SECOND - TICK);
    assert_eq!(store.purge_deleted(2 * SECOND, 9).await.unwrap(), 0);
    clock.advance(TICK);
    assert_eq!(store.purge_deleted(2 * SECOND, 2).await.unwrap(), 2);
    assert_eq!(store.purge_deleted(2 * SECOND, 2).await.unwrap(), 1);
    assert_eq!(store.purge_deleted(2 * SECOND, 2).await.unwrap(), 0);
    for user in &old {
        assert_eq!(find(&*store, &user.tenant, UserKey::Id(&user.id)).await, None);
        create(&*store, &NewUser { email: user.email.clone(), ..new_user("again") }).await;
    }
    for user in [active, disabled, young] {
        assert_eq!(find(&*store, &user.tenant, UserKey::Id(&user.id)).await.as_ref(), Some(&user));
    }
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn Directory>, _: ManualClock) {
    assert_unavailable(store.list(&TenantId::default(), None, None, 9).await);
    assert_unavailable(store.superusers(&TenantId::default()).await);
    assert_unavailable(store.lapsed(Lapse::Deactivated, Timestamp::default(), 9).await);
    assert_unavailable(store.purge_deleted(SECOND, 9).await);
}
