//! What a [`UserStore`] that serves more than one tenant promises, too.

use std::sync::Arc;

use super::user_store::{changes, create, find, new_user, update};
use super::{Case, SECOND, tenant};
use crate::port::{NewUser, Since, UserChange, UserKey, UserSecurity, UserStore};
use crate::testing::ManualClock;

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __tenants {
    ($($arguments:tt)+) => {
        $crate::__conformance! { tenants [$($arguments)+]
            the_same_values_are_free_in_another_tenant
            an_update_stays_within_its_tenant
            the_feed_tells_of_all_tenants
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn UserStore>] = __tenants!(@cases);

fn of(name: &str, user: NewUser) -> NewUser {
    NewUser { tenant: tenant(name), ..user }
}

/// Uniqueness and look-up are within one tenant: even the id may be the same.
pub async fn the_same_values_are_free_in_another_tenant(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = new_user("ada");
    for name in ["default", "other"] {
        let created = create(&*store, &of(name, user.clone())).await;
        assert_eq!(created.tenant, tenant(name));
        for key in [UserKey::Id(&created.id), UserKey::Email(&created.email)] {
            assert_eq!(find(&*store, &tenant(name), key).await.as_ref(), Some(&created), "{key:?}");
        }
    }
}

/// Of two accounts with the same id and address, an update changes one.
pub async fn an_update_stays_within_its_tenant(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = new_user("ada");
    let here = create(&*store, &user).await;
    let there = create(&*store, &of("other", user)).await;
    update(&*store, &here, &UserChange { password_hash: Some(None), ..UserChange::default() }).await;
    assert!(store.count_failure(&here.tenant, &here.id, 9).await.unwrap());
    assert_eq!(find(&*store, &there.tenant, UserKey::Id(&there.id)).await.as_ref(), Some(&there));
}

/// One feed tells of every tenant's accounts, ids that repeat among them.
pub async fn the_feed_tells_of_all_tenants(store: Arc<dyn UserStore>, _: ManualClock) {
    let mut expected = Vec::new();
    for number in 0..10 {
        let user = new_user(&format!("user{number}"));
        for name in ["default", "other", "a", "z"] {
            expected.push(UserSecurity::from(&create(&*store, &of(name, user.clone())).await));
        }
    }
    for limit in [1, 3, 40, 100] {
        let rows = changes(&*store, Since::Ago(SECOND), limit).await;
        assert_eq!(rows.len(), expected.len(), "{limit}");
        assert!(expected.iter().all(|row| rows.contains(row)), "{limit}");
    }
}
