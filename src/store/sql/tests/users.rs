use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{
    Clock, LoginRecord, NewUser, Since, Unique, UserChange, UserInsert, UserKey, UserSecurity, UserStore, UserUpdate,
};
use auth_core::types::{
    CredentialId, Email, EnrolledFactor, FactorKind, PasswordHash, TenantId, TokenVersion, User, UserId, UserStatus,
    Username,
};
use serde_json::json;
use uuid::Uuid;

use super::{ManualClock, in_parallel, temporary_store, tenant};

on_sqlite! {
    what_is_inserted_is_found_by_every_key
    a_taken_value_is_named_and_nothing_is_written
    the_same_values_are_free_in_another_tenant
    one_of_many_inserts_creates
    an_update_writes_what_it_names
    an_update_leaves_what_it_does_not_name
    an_update_of_an_old_revision_is_stale
    an_update_to_a_taken_address_conflicts
    one_of_many_updates_wins
    a_login_is_noted
    a_login_replaces_only_the_hash_that_it_checked
    the_feed_tells_every_change_once
    the_feed_starts_at_an_age
}

/// Two uses of one name are one account; of two names, two that differ in every unique value.
pub(super) fn new_user(name: &str) -> NewUser {
    NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(&format!("id-of-{name}")).unwrap(),
        email: email(name),
        username: Some(Username::parse(name).unwrap()),
        email_verified_at: None,
        password_hash: Some(PasswordHash::new("$argon2id$one")),
        token_version: TokenVersion::new(u32::MAX),
        attributes: json!({"first_name": name}).as_object().unwrap().clone(),
        created_at: ManualClock::new().now(),
    }
}

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.org")).unwrap()
}

pub(super) async fn create(store: &dyn UserStore, user: &NewUser) -> User {
    match store.insert(user).await.unwrap() {
        UserInsert::Created(user) => user,
        UserInsert::Conflict(what) => panic!("{what:?}"),
    }
}

pub(super) async fn load(store: &dyn UserStore, user: &User) -> User {
    store.find(&user.tenant, UserKey::Id(&user.id)).await.unwrap().unwrap()
}

async fn update(store: &dyn UserStore, user: &User, change: &UserChange) -> User {
    match store.update_if(user, change).await.unwrap() {
        UserUpdate::Done(user) => user,
        other => panic!("{other:?}"),
    }
}

async fn what_is_inserted_is_found_by_every_key(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let mut full = new_user("ada");
    full.email_verified_at = Some(clock.now());
    full.attributes = json!({"a": {"b": [1, -2.5, null, true, "\u{0}'\"ü"]}, "": {}}).as_object().unwrap().clone();
    let mut bare = new_user("bob");
    (bare.username, bare.password_hash) = (None, None);
    bare.attributes.clear();
    clock.advance(Duration::from_micros(1));
    for user in [full, bare] {
        let created = create(&*store, &user).await;
        assert_eq!(created, user.clone().into_user(clock.now()));
        let mut keys = vec![UserKey::Id(&user.id), UserKey::Email(&user.email)];
        keys.extend(user.username.as_ref().map(UserKey::Username));
        for key in keys {
            assert_eq!(store.find(&user.tenant, key).await.unwrap().as_ref(), Some(&created), "{key:?}");
            assert_eq!(store.find(&tenant("other"), key).await.unwrap(), None, "{key:?}");
        }
    }
}

async fn a_taken_value_is_named_and_nothing_is_written(store: Arc<dyn UserStore>, _: &ManualClock) {
    create(&*store, &new_user("ada")).await;
    create(&*store, &new_user("bob")).await;
    let username = |name| Some(Username::parse(name).unwrap());
    for (email, username, conflict) in [
        (email("ada"), username("new"), Unique::Email),
        (email("ada"), None, Unique::Email),
        (email("new"), username("ada"), Unique::Username),
        (email("ada"), username("bob"), Unique::Email),
    ] {
        let user = NewUser { email, username, ..new_user("new") };
        match store.insert(&user).await.unwrap() {
            UserInsert::Conflict(what) => assert_eq!(what, conflict),
            UserInsert::Created(user) => panic!("{user:?}"),
        }
        assert_eq!(store.find(&user.tenant, UserKey::Id(&user.id)).await.unwrap(), None);
    }
    // Nobody is named by no username.
    for name in ["eve", "fay"] {
        create(&*store, &NewUser { username: None, ..new_user(name) }).await;
    }
}

async fn the_same_values_are_free_in_another_tenant(store: Arc<dyn UserStore>, _: &ManualClock) {
    for name in ["default", "other"] {
        create(&*store, &NewUser { tenant: tenant(name), ..new_user("ada") }).await;
    }
}

async fn one_of_many_inserts_creates(store: Arc<dyn UserStore>, _: &ManualClock) {
    let results = in_parallel(|number| {
        let store = store.clone();
        let id = UserId::parse(&number.to_string()).unwrap();
        async move { store.insert(&NewUser { id, ..new_user("ada") }).await.unwrap() }
    });
    let results = results.await;
    assert_eq!(results.iter().filter(|result| matches!(result, UserInsert::Created(_))).count(), 1);
    assert!(results.iter().all(|result| !matches!(result, UserInsert::Conflict(Unique::Username))));
}

async fn an_update_writes_what_it_names(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let mut user = create(&*store, &new_user("ada")).await;
    let totp = EnrolledFactor { credential: CredentialId(Uuid::from_u128(7)), kind: FactorKind("totp".into()) };
    let none = UserChange::default;
    for change in [
        UserChange { email: Some(email("new")), ..none() },
        UserChange { email_verified_at: Some(Some(clock.now())), ..none() },
        UserChange { email_verified_at: Some(None), ..none() },
        UserChange { status: Some(UserStatus::Disabled), ..none() },
        UserChange { status: Some(UserStatus::Deleted), ..none() },
        UserChange { status: Some(UserStatus::Active), ..none() },
        UserChange { password_hash: Some(None), ..none() },
        UserChange { password_hash: Some(Some(PasswordHash::new("$argon2id$two"))), ..none() },
        UserChange { factors: Some(vec![totp.clone(), totp.clone()]), ..none() },
        UserChange { factors: Some(Vec::new()), ..none() },
        UserChange { attributes: json!({"x": [1]}).as_object().cloned(), ..none() },
        UserChange { attributes: Some(serde_json::Map::new()), ..none() },
        UserChange { email: Some(email("last")), status: Some(UserStatus::Disabled), ..none() },
        none(),
    ] {
        clock.advance(Duration::from_secs(1));
        let next = update(&*store, &user, &change).await;
        assert_eq!(next, change.apply(&user, clock.now()));
        assert_eq!(load(&*store, &user).await, next);
        user = next;
    }
    // The old address is free again, the new one leads here.
    assert_eq!(store.find(&user.tenant, UserKey::Email(&email("ada"))).await.unwrap(), None);
    assert_eq!(store.find(&user.tenant, UserKey::Email(&email("last"))).await.unwrap(), Some(user));
}

async fn an_update_leaves_what_it_does_not_name(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let read = create(&*store, &new_user("ada")).await;
    let rehash = Some((PasswordHash::new("$argon2id$one"), PasswordHash::new("$argon2id$stronger")));
    store.record_login(&read.tenant, &read.id, &LoginRecord { at: clock.now(), rehash }).await.unwrap();
    // `read` is older than the login, which left the revision alone.
    let change = UserChange { email_verified_at: Some(Some(clock.now())), ..UserChange::default() };
    let next = update(&*store, &read, &change).await;
    assert_eq!(next.password_hash, Some(PasswordHash::new("$argon2id$stronger")));
    assert_eq!(next.last_login_at, Some(clock.now()));
}

async fn an_update_of_an_old_revision_is_stale(store: Arc<dyn UserStore>, _: &ManualClock) {
    let read = create(&*store, &new_user("ada")).await;
    create(&*store, &new_user("bob")).await;
    let next = update(&*store, &read, &UserChange::default()).await;
    // Stale comes before any conflict.
    let change = UserChange { email: Some(email("bob")), ..UserChange::default() };
    let stranger = create(&*store, &new_user("eve")).await;
    let gone = User { id: UserId::parse("nobody").unwrap(), ..stranger.clone() };
    let elsewhere = User { tenant: tenant("other"), ..stranger };
    for current in [read, gone, elsewhere] {
        assert!(matches!(store.update_if(&current, &change).await.unwrap(), UserUpdate::Stale));
    }
    assert_eq!(load(&*store, &next).await, next);
}

async fn an_update_to_a_taken_address_conflicts(store: Arc<dyn UserStore>, _: &ManualClock) {
    create(&*store, &new_user("ada")).await;
    let bob = create(&*store, &new_user("bob")).await;
    let change = UserChange { email: Some(email("ada")), ..UserChange::default() };
    assert!(matches!(store.update_if(&bob, &change).await.unwrap(), UserUpdate::Conflict(Unique::Email)));
    assert_eq!(load(&*store, &bob).await, bob);
    // One's own address is no other's.
    update(&*store, &bob, &UserChange { email: Some(email("bob")), ..UserChange::default() }).await;
}

async fn one_of_many_updates_wins(store: Arc<dyn UserStore>, _: &ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let results = in_parallel(|number| {
        let (store, user) = (store.clone(), user.clone());
        let password = PasswordHash::new(number.to_string());
        async move {
            let change = UserChange { password_hash: Some(Some(password)), ..UserChange::default() };
            store.update_if(&user, &change).await.unwrap()
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

async fn a_login_is_noted(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    clock.advance(Duration::from_secs(5));
    let login = LoginRecord { at: clock.now(), rehash: None };
    store.record_login(&user.tenant, &user.id, &login).await.unwrap();
    store.record_login(&tenant("other"), &user.id, &login).await.unwrap();
    // Neither revision, version nor the time of the last change moved.
    assert_eq!(load(&*store, &user).await, User { last_login_at: Some(clock.now()), ..user });
}

async fn a_login_replaces_only_the_hash_that_it_checked(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let login = |old: &str, new: &str| LoginRecord {
        at: clock.now(),
        rehash: Some((PasswordHash::new(old), PasswordHash::new(new))),
    };
    for (login, hash) in [
        (login("$argon2id$other", "$argon2id$bad"), "$argon2id$one"),
        (login("$argon2id$one", "$argon2id$two"), "$argon2id$two"),
        (login("$argon2id$one", "$argon2id$late"), "$argon2id$two"),
    ] {
        store.record_login(&user.tenant, &user.id, &login).await.unwrap();
        assert_eq!(load(&*store, &user).await.password_hash, Some(PasswordHash::new(hash)));
    }
    let user = load(&*store, &user).await;
    let user = update(&*store, &user, &UserChange { password_hash: Some(None), ..UserChange::default() }).await;
    store.record_login(&user.tenant, &user.id, &login("$argon2id$two", "$argon2id$back")).await.unwrap();
    assert_eq!(load(&*store, &user).await.password_hash, None);
}

async fn the_feed_tells_every_change_once(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let mut expected = Vec::new();
    for number in 0..40 {
        // Most share one moment, and ids repeat in the other tenant.
        if number == 30 {
            clock.advance(Duration::from_micros(1));
        }
        for name in ["default", "other"] {
            let user = NewUser { tenant: tenant(name), ..new_user(&format!("user{number:02}")) };
            expected.push(UserSecurity::from(&create(&*store, &user).await));
        }
    }
    let disabled = store.find(&tenant("other"), UserKey::Email(&email("user00"))).await.unwrap().unwrap();
    clock.advance(Duration::from_micros(1));
    let change = UserChange { status: Some(UserStatus::Disabled), ..UserChange::default() };
    let disabled = UserSecurity::from(&update(&*store, &disabled, &change).await);
    expected.retain(|row| (row.tenant, row.id) != (disabled.tenant, disabled.id));
    expected.push(disabled.clone());

    for limit in [1, 7, 79, 80, 81, 1000] {
        let (mut rows, mut since) = (Vec::new(), Since::Ago(Duration::from_secs(60)));
        loop {
            let page = store.changes(&since, limit).await.unwrap();
            assert_eq!(page.next.is_some(), page.rows.len() == limit);
            rows.extend(page.rows);
            assert!(rows.len() <= expected.len(), "{limit}");
            match page.next {
                Some(next) => since = Since::After(next),
                None => break,
            }
        }
        assert_eq!(rows.last(), Some(&disabled), "{limit}");
        assert_eq!(rows.len(), expected.len(), "{limit}");
        assert!(expected.iter().all(|row| rows.contains(row)), "{limit}");
    }
}

async fn the_feed_starts_at_an_age(store: Arc<dyn UserStore>, clock: &ManualClock) {
    let old = create(&*store, &new_user("old")).await;
    clock.advance(Duration::from_secs(10));
    let young = create(&*store, &new_user("young")).await;
    let login = LoginRecord { at: clock.now(), rehash: None };
    store.record_login(&old.tenant, &old.id, &login).await.unwrap();
    let since = async |age| store.changes(&Since::Ago(age), 10).await.unwrap().rows.iter().map(|row| row.id).collect();
    let ids: [Vec<UserId>; 3] = [
        since(Duration::from_secs(10)).await,
        since(Duration::from_secs(10) - Duration::from_micros(1)).await,
        since(Duration::MAX).await,
    ];
    assert_eq!(ids, [vec![old.id, young.id], vec![young.id], vec![old.id, young.id]]);
}
