//! Updates and removals of a row: each takes effect at most once, and only on the row as it was read.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::{attributes, create, email, find, hash, load, new_user, update};
use crate::conformance::{SECOND, TICK, in_parallel, tenant};
use crate::port::{Clock as _, LoginRecord, Unique, UserChange, UserKey, UserStore, UserUpdate};
use crate::testing::ManualClock;
use crate::types::{
    Attributes, CredentialId, EnrolledFactor, FactorKind, Recoveries, TokenVersion, User, UserId, UserStatus,
};

/// Each field that a change can name is written, together with what follows from it, and answered as it is then read.
pub async fn an_update_writes_what_it_names(store: Arc<dyn UserStore>, clock: ManualClock) {
    let mut user = create(&*store, &new_user("ada")).await;
    let first = user.email.clone();
    let factor = |number| EnrolledFactor {
        credential: CredentialId(Uuid::from_u128(number)),
        kind: kind("totp"),
        since: TokenVersion::new(u32::MAX),
    };
    let none = UserChange::default;
    let version = TokenVersion::new(0x7fff_fffe);
    let recoveries = Recoveries::default().with(version, version.next(), clock.now(), SECOND);
    for change in [
        UserChange { email: Some(email("new")), ..none() },
        UserChange { email_verified_at: Some(Some(clock.now())), ..none() },
        UserChange { email_verified_at: Some(None), ..none() },
        UserChange { status: Some(UserStatus::Disabled), ..none() },
        UserChange { status: Some(UserStatus::Deactivated { since: clock.now() - TICK }), ..none() },
        UserChange { attributes: Some(attributes(json!({"x": [0]}))), ..none() },
        UserChange { status: Some(UserStatus::Deleted), ..none() },
        UserChange { status: Some(UserStatus::Active), ..none() },
        UserChange { password_hash: Some(None), ..none() },
        UserChange { password_hash: Some(Some(hash("two"))), ..none() },
        UserChange { factors: Some(vec![factor(2), factor(1), factor(2)]), ..none() },
        UserChange { factors: Some(Vec::new()), ..none() },
        UserChange { attributes: Some(attributes(json!({"x": [1]}))), ..none() },
        UserChange { attributes: Some(Attributes::new()), ..none() },
        UserChange { recoveries: Some(recoveries.clone()), ..none() },
        UserChange { recoveries: Some(Recoveries::default()), ..none() },
        UserChange { end_sessions: true, ..none() },
        UserChange { email: Some(email("last")), status: Some(UserStatus::Disabled), ..none() },
        none(),
    ] {
        clock.advance(SECOND + TICK);
        let next = update(&*store, &user, &change).await;
        assert_eq!(next, change.apply(&user, clock.now()));
        assert_eq!(load(&*store, &user).await, next);
        user = next;
    }
    // The old addresses are free again, the new one leads here.
    for free in [&first, &email("new")] {
        assert_eq!(find(&*store, &user.tenant, UserKey::Email(free)).await, None);
    }
    assert_eq!(find(&*store, &user.tenant, UserKey::Email(&email("last"))).await, Some(user));
    create(&*store, &new_user("ada")).await;
}

fn kind(name: &str) -> FactorKind {
    FactorKind(name.into())
}

/// A login in between leaves the revision alone, so an update from an older read succeeds; it must not undo the login.
pub async fn an_update_leaves_what_it_does_not_name(store: Arc<dyn UserStore>, clock: ManualClock) {
    let read = create(&*store, &new_user("ada")).await;
    let rehash = Some((hash("one"), hash("stronger")));
    store.record_login(&read.tenant, &read.id, &LoginRecord { at: Some(clock.now()), rehash }).await.unwrap();
    assert!(store.count_failure(&read.tenant, &read.id, 9).await.unwrap());
    let change = UserChange { email_verified_at: Some(Some(clock.now())), ..UserChange::default() };
    let next = update(&*store, &read, &change).await;
    let expected = User {
        password_hash: Some(hash("stronger")),
        last_login_at: Some(clock.now()),
        consecutive_failures: 1,
        ..change.apply(&read, clock.now())
    };
    assert_eq!(next, expected);
    assert_eq!(load(&*store, &read).await, expected);
}

/// A change that ends sessions and links raises version and revision, the version within 31 bits. Others raise the revision.
pub async fn a_security_change_bumps_the_token_version(store: Arc<dyn UserStore>, clock: ManualClock) {
    let none = UserChange::default;
    let user = create(&*store, &new_user("ada")).await;
    assert_eq!((user.token_version.get(), user.revision), (0x7fff_ffff, 0));
    let user = update(&*store, &user, &UserChange { password_hash: Some(Some(hash("two"))), ..none() }).await;
    assert_eq!((user.token_version.get(), user.revision), (0, 1));
    let user = update(&*store, &user, &UserChange { status: Some(UserStatus::Disabled), ..none() }).await;
    assert_eq!((user.token_version.get(), user.revision), (1, 2));
    let user = update(&*store, &user, &UserChange { attributes: Some(Attributes::new()), ..none() }).await;
    assert_eq!((user.token_version.get(), user.revision), (1, 3));
    let verified = Some(Some(clock.now()));
    let user = update(&*store, &user, &UserChange { email_verified_at: verified, ..none() }).await;
    assert_eq!((user.token_version.get(), user.revision), (1, 4));
    assert_eq!(load(&*store, &user).await, user);
}

/// A row goes only as it was read; then its address is free, and the others stay.
pub async fn a_removal_frees_the_address_and_only_of_the_row_as_it_was_read(store: Arc<dyn UserStore>, _: ManualClock) {
    let read = create(&*store, &new_user("ada")).await;
    let bob = create(&*store, &new_user("bob")).await;
    let now = update(&*store, &read, &UserChange::default()).await;
    let gone = User { id: new_user("nobody").id, ..now.clone() };
    let elsewhere = User { tenant: tenant("other"), ..now.clone() };
    for other in [&read, &gone, &elsewhere] {
        assert!(!store.remove_if(other).await.unwrap(), "{other:?}");
    }
    assert_eq!(load(&*store, &now).await, now);
    assert!(store.remove_if(&now).await.unwrap());
    assert!(!store.remove_if(&now).await.unwrap());
    for key in [UserKey::Id(&now.id), UserKey::Email(&now.email)] {
        assert_eq!(find(&*store, &now.tenant, key).await, None, "{key:?}");
    }
    assert!(matches!(store.update_if(&now, &UserChange::default()).await.unwrap(), UserUpdate::Stale));
    assert_eq!(load(&*store, &bob).await, bob);
    create(&*store, &new_user("ada")).await;
}

/// Of 63 parallel removals and an update of one revision exactly one succeeds.
pub async fn one_of_many_removals_or_the_update_wins(store: Arc<dyn UserStore>, clock: ManualClock) {
    for round in 0..4 {
        let user = create(&*store, &new_user(&format!("user{round}"))).await;
        let verified = UserChange { email_verified_at: Some(Some(clock.now())), ..UserChange::default() };
        let results = in_parallel(|number| {
            let (store, user, verified) = (store.clone(), user.clone(), verified.clone());
            async move {
                match number {
                    0 => matches!(store.update_if(&user, &verified).await.unwrap(), UserUpdate::Done(_)),
                    _ => store.remove_if(&user).await.unwrap(),
                }
            }
        });
        assert_eq!(results.await.into_iter().filter(|won| *won).count(), 1);
        let left = find(&*store, &user.tenant, UserKey::Id(&user.id)).await;
        assert!(left.is_none_or(|left| left == verified.apply(&user, clock.now())));
    }
}

/// An update of an old row, or of one that is not there, writes nothing. The caller must check and decide again.
pub async fn an_update_of_an_old_revision_is_stale(store: Arc<dyn UserStore>, _: ManualClock) {
    let read = create(&*store, &new_user("ada")).await;
    create(&*store, &new_user("bob")).await;
    let next = update(&*store, &read, &UserChange::default()).await;
    let gone = User { id: new_user("nobody").id, ..read.clone() };
    let odd = User { id: UserId::parse("nobody").unwrap(), ..read.clone() };
    let future = User { revision: next.revision + 1, ..next.clone() };
    // Stale comes before any conflict.
    for address in ["bob", "free"] {
        let change = UserChange { email: Some(email(address)), ..UserChange::default() };
        for current in [&read, &gone, &odd, &future] {
            assert!(matches!(store.update_if(current, &change).await.unwrap(), UserUpdate::Stale), "{current:?}");
        }
    }
    assert_eq!(load(&*store, &next).await, next);
}

/// An address moves only where it is free. The present address of the account counts as free.
pub async fn an_update_to_a_taken_address_conflicts(store: Arc<dyn UserStore>, _: ManualClock) {
    create(&*store, &new_user("ada")).await;
    let bob = create(&*store, &new_user("bob")).await;
    let change = UserChange { email: Some(email("ada")), password_hash: Some(None), ..UserChange::default() };
    assert!(matches!(store.update_if(&bob, &change).await.unwrap(), UserUpdate::Conflict(Unique::Email)));
    assert_eq!(load(&*store, &bob).await, bob);
    update(&*store, &bob, &UserChange { email: Some(email("bob")), ..UserChange::default() }).await;
}

/// Of 64 parallel updates from one read exactly one succeeds, and the row is what that one says.
pub async fn one_of_many_updates_wins(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let results = in_parallel(|number| {
        let (store, user) = (store.clone(), user.clone());
        async move {
            let password_hash = Some(Some(hash(&number.to_string())));
            store.update_if(&user, &UserChange { password_hash, ..UserChange::default() }).await.unwrap()
        }
    });
    let mut won = Vec::new();
    for result in results.await {
        match result {
            UserUpdate::Done(user) => won.push(user),
            UserUpdate::Stale => {}
            UserUpdate::Conflict(what) => panic!("{what:?}"),
        }
    }
    assert_eq!(won, [load(&*store, &user).await]);
    assert_eq!(won[0].token_version, user.token_version.next());
}
