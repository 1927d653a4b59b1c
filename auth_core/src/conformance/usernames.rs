//! What a [`UserStore`] of an application with usernames promises, too.

use std::sync::Arc;

use super::user_store::{assert_conflict, create, find, new_user, update};
use super::{Case, in_parallel};
use crate::port::{Clock as _, NewUser, Unique, UserChange, UserInsert, UserKey, UserStore};
use crate::testing::ManualClock;
use crate::types::{TenantId, UserStatus, Username};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __usernames {
    ($($arguments:tt)+) => {
        $crate::__conformance! { usernames [$($arguments)+]
            an_account_is_found_by_its_username
            a_taken_username_conflicts_and_nothing_is_written
            accounts_without_a_username_do_not_conflict
            one_of_many_inserts_gets_the_username
            a_username_that_was_cleared_is_free
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn UserStore>] = __usernames!(@cases);

fn username(name: &str) -> Username {
    Username::parse(name).unwrap()
}

/// An account to be made, with a name and an address of that name.
fn named(name: &str) -> NewUser {
    NewUser { username: Some(username(name)), ..new_user(name) }
}

/// The username comes back and stays through changes; a name that looks alike is another one.
pub async fn an_account_is_found_by_its_username(store: Arc<dyn UserStore>, _: ManualClock) {
    for name in ["ada_1", "adax1", "ada.1", "ada+1"] {
        let user = create(&*store, &named(name)).await;
        assert_eq!(user.username, Some(username(name)));
        let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
        let user = update(&*store, &user, &change).await;
        let name = username(&name.to_uppercase());
        assert_eq!(find(&*store, &user.tenant, UserKey::Username(&name)).await, Some(user));
    }
    assert_eq!(find(&*store, &TenantId::default(), UserKey::Username(&username("ada"))).await, None);
}

/// The value that is taken is named: the address where both are.
pub async fn a_taken_username_conflicts_and_nothing_is_written(store: Arc<dyn UserStore>, _: ManualClock) {
    let ada = create(&*store, &named("ada")).await;
    let bob = create(&*store, &named("bob")).await;
    for (email, name, conflict) in [
        (new_user("new").email, Some("ADA"), Unique::Username),
        (ada.email.clone(), Some("new"), Unique::Email),
        (ada.email.clone(), None, Unique::Email),
        (ada.email.clone(), Some("bob"), Unique::Email),
    ] {
        let user = NewUser { email, username: name.map(username), ..new_user("new") };
        assert_conflict(&*store, &user, conflict).await;
    }
    assert_eq!(find(&*store, &bob.tenant, UserKey::Username(&username("bob"))).await, Some(bob));
}

/// No username is nobody's.
pub async fn accounts_without_a_username_do_not_conflict(store: Arc<dyn UserStore>, _: ManualClock) {
    for name in ["ada", "bob", "eve"] {
        assert_eq!(create(&*store, &new_user(name)).await.username, None);
    }
}

/// Of 64 parallel sign-ups with one name exactly one creates.
pub async fn one_of_many_inserts_gets_the_username(store: Arc<dyn UserStore>, _: ManualClock) {
    let results = in_parallel(|number| {
        let store = store.clone();
        let user = NewUser { username: Some(username("ada")), ..new_user(&format!("user{number}")) };
        async move { store.insert(&user).await.unwrap() }
    });
    let mut created = 0;
    for result in results.await {
        match result {
            UserInsert::Created(_) => created += 1,
            UserInsert::Conflict(what) => assert_eq!(what, Unique::Username),
        }
    }
    assert_eq!(created, 1);
}

/// An update takes the name off, an update that does not say so leaves it, and another account may have it then.
pub async fn a_username_that_was_cleared_is_free(store: Arc<dyn UserStore>, clock: ManualClock) {
    let ada = create(&*store, &named("ada")).await;
    let bob = create(&*store, &named("bob")).await;
    let change = UserChange { clear_username: true, ..UserChange::default() };
    let cleared = update(&*store, &ada, &change).await;
    assert_eq!(cleared, change.apply(&ada, clock.now()));
    assert_eq!((&cleared.username, cleared.token_version), (&None, ada.token_version));
    assert_eq!(find(&*store, &ada.tenant, UserKey::Username(&username("ada"))).await, None);
    assert_eq!(find(&*store, &ada.tenant, UserKey::Id(&ada.id)).await, Some(cleared));
    assert_eq!(find(&*store, &bob.tenant, UserKey::Username(&username("bob"))).await, Some(bob));
    let heir = create(&*store, &NewUser { username: Some(username("ada")), ..new_user("eve") }).await;
    assert_eq!(find(&*store, &ada.tenant, UserKey::Username(&username("ada"))).await, Some(heir));
}
