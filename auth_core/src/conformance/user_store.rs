//! What every [`UserStore`] promises.

mod feed;
mod logins;
mod updates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use uuid::Uuid;

pub(super) use self::feed::changes;
pub use self::feed::{
    the_feed_starts_at_an_age, the_feed_tells_every_change_once, what_changes_behind_a_reader_is_still_told,
};
pub use self::logins::{
    a_login_is_noted_without_a_new_revision, a_login_replaces_only_the_hash_that_it_checked,
    a_new_password_starts_with_no_failures, a_password_given_within_a_session_is_no_login,
    dummy_writes_touch_no_account, failures_are_counted_for_each_account, failures_are_counted_up_to_the_bound,
};
pub use self::updates::{
    a_removal_frees_the_address_and_only_of_the_row_as_it_was_read, a_security_change_bumps_the_token_version,
    an_update_leaves_what_it_does_not_name, an_update_of_an_old_revision_is_stale,
    an_update_to_a_taken_address_conflicts, an_update_writes_what_it_names, one_of_many_removals_or_the_update_wins,
    one_of_many_updates_wins,
};
use super::{Case, SECOND, TICK, assert_unavailable, in_parallel, tenant};
use crate::port::{
    Clock as _, LoginRecord, NewUser, Since, StoreError, Unique, UserChange, UserInsert, UserKey, UserStore, UserUpdate,
};
use crate::testing::ManualClock;
use crate::types::{Attributes, Claim, Email, PasswordHash, TenantId, TokenVersion, User, UserId, UserStatus};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __user_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { user_store [$($arguments)+]
            what_is_inserted_is_found_by_every_key
            attributes_come_back_as_they_were
            an_id_that_was_never_given_out_is_nobody
            a_taken_address_conflicts_and_nothing_is_written
            addresses_that_look_alike_are_different_accounts
            an_address_keeps_the_spelling_that_its_owner_typed
            one_of_many_inserts_creates
            an_update_writes_what_it_names
            an_update_leaves_what_it_does_not_name
            a_security_change_bumps_the_token_version
            an_update_of_an_old_revision_is_stale
            a_removal_frees_the_address_and_only_of_the_row_as_it_was_read
            one_of_many_removals_or_the_update_wins
            an_update_to_a_taken_address_conflicts
            one_of_many_updates_wins
            a_login_is_noted_without_a_new_revision
            a_password_given_within_a_session_is_no_login
            a_login_replaces_only_the_hash_that_it_checked
            failures_are_counted_up_to_the_bound
            failures_are_counted_for_each_account
            dummy_writes_touch_no_account
            a_new_password_starts_with_no_failures
            a_deleted_account_is_found
            another_tenant_reaches_nothing
            the_feed_tells_every_change_once
            the_feed_starts_at_an_age
            what_changes_behind_a_reader_is_still_told
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn UserStore>] = __user_store!(@cases);

/// An account to be made, with an id that no other one has. Two uses of one name have one address.
pub(super) fn new_user(name: &str) -> NewUser {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (high, low) = (0x019b_76da_a800_7000, 0x8000_0000_0000_0000 | NEXT.fetch_add(1, Ordering::Relaxed));
    NewUser {
        tenant: TenantId::default(),
        id: UserId::from(Uuid::from_u64_pair(high, low)),
        email: email(name),
        username: None,
        email_verified_at: None,
        claim: Claim::SignUp { from: "2001:db8::7".parse().ok() },
        password_hash: Some(hash("one")),
        token_version: TokenVersion::new(u32::MAX),
        attributes: attributes(json!({"first_name": name})),
        created_at: ManualClock::new().now() - TICK,
    }
}

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.org")).unwrap()
}

fn hash(name: &str) -> PasswordHash {
    PasswordHash::new(format!("$argon2id${name}"))
}

fn attributes(value: serde_json::Value) -> Attributes {
    value.as_object().unwrap().clone()
}

pub(super) async fn create(store: &dyn UserStore, user: &NewUser) -> User {
    match store.insert(user).await.unwrap() {
        UserInsert::Created(user) => user,
        UserInsert::Conflict(what) => panic!("{what:?} of a new account is taken"),
    }
}

pub(super) async fn find(store: &dyn UserStore, tenant: &TenantId, key: UserKey<'_>) -> Option<User> {
    store.find(tenant, key).await.unwrap()
}

async fn load(store: &dyn UserStore, user: &User) -> User {
    find(store, &user.tenant, UserKey::Id(&user.id)).await.unwrap()
}

pub(super) async fn update(store: &dyn UserStore, user: &User, change: &UserChange) -> User {
    match store.update_if(user, change).await.unwrap() {
        UserUpdate::Done(user) => user,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn assert_conflict(store: &dyn UserStore, user: &NewUser, expected: Unique) {
    match store.insert(user).await.unwrap() {
        UserInsert::Conflict(what) => assert_eq!(what, expected),
        UserInsert::Created(user) => panic!("made beside the account that has the value: {user:?}"),
    }
    assert_eq!(find(store, &user.tenant, UserKey::Id(&user.id)).await, None, "a refused insert wrote");
}

/// Every field of a new account comes back, by its id and by its address.
pub async fn what_is_inserted_is_found_by_every_key(store: Arc<dyn UserStore>, clock: ManualClock) {
    let mut full = new_user("ada");
    full.email_verified_at = Some(clock.now() - 3 * TICK);
    full.email = Email::parse("zoë.o'brien+ünïcode@bücher.example").unwrap();
    let mut bare = new_user("bob");
    (bare.password_hash, bare.token_version) = (None, TokenVersion::new(0));
    bare.attributes.clear();
    clock.advance(7 * TICK);
    for user in [full, bare] {
        let created = create(&*store, &user).await;
        let expected = User { id: created.id, ..user.clone().into_user(clock.now()) };
        assert_eq!(created, expected);
        for key in [UserKey::Id(&created.id), UserKey::Email(&user.email)] {
            assert_eq!(find(&*store, &user.tenant, key).await.as_ref(), Some(&expected), "{key:?}");
        }
    }
}

/// The application's own fields come back to the byte: any text, any depth, a lot of them.
pub async fn attributes_come_back_as_they_were(store: Arc<dyn UserStore>, _: ManualClock) {
    let text = "\u{0}'\"\\%_$1 ü é e\u{301} ﬁ \u{202e} 你好 🦀\r\n\t ";
    let numbers = json!([0, -1, 1.5, -2.5e-9, i64::MIN, u64::MAX, 0.1, true, null]);
    let mut many = attributes(json!({"": {}, " ": [], "a": {"b": {"c": [[[{}]]]}}, "numbers": numbers}));
    many.insert(text.into(), text.into());
    many.insert("large".into(), text.repeat(2000).into());
    let user = create(&*store, &NewUser { attributes: many.clone(), ..new_user("ada") }).await;
    let bytes = |attributes: &Attributes| serde_json::to_string(attributes).unwrap();
    assert_eq!(bytes(&load(&*store, &user).await.attributes), bytes(&many));

    let other = attributes(json!({"second": text.repeat(1000)}));
    let change = UserChange { attributes: Some(other.clone()), ..UserChange::default() };
    let user = update(&*store, &user, &change).await;
    assert_eq!(bytes(&load(&*store, &user).await.attributes), bytes(&other));
}

/// Clients name ids in links: whatever they write is nobody, not an error.
pub async fn an_id_that_was_never_given_out_is_nobody(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let longest = "9".repeat(64);
    for id in ["nobody", "0", "-1", "1e3", "99999999999999999999", "+1", "%", &longest, new_user("x").id.as_str()] {
        let id = UserId::parse(id).unwrap();
        assert_eq!(find(&*store, &user.tenant, UserKey::Id(&id)).await, None, "{id}");
    }
    // Nor is one's own id in another form.
    for id in [format!("0{}", user.id), format!("+{}", user.id), format!("{}.0", user.id)] {
        let id = UserId::parse(&id).unwrap();
        assert_eq!(find(&*store, &user.tenant, UserKey::Id(&id)).await, None, "{id}");
    }
}

/// All ways to write an address are one account's, and a refused insert leaves no trace.
pub async fn a_taken_address_conflicts_and_nothing_is_written(store: Arc<dyn UserStore>, _: ManualClock) {
    let ada = create(&*store, &new_user("ada")).await;
    for variant in ["ada@example.org", "Ada@Example.ORG", " ada@example.org ", "ａｄａ@example.org"] {
        let email = Email::parse(variant).unwrap();
        assert_eq!(find(&*store, &ada.tenant, UserKey::Email(&email)).await.as_ref(), Some(&ada), "{variant}");
        assert_conflict(&*store, &NewUser { email, ..new_user("new") }, Unique::Email).await;
    }
    assert_eq!(load(&*store, &ada).await, ada);
}

/// Unique and found by the key; mail goes to the spelling, which another spelling of a look-up or a conflict never moves.
pub async fn an_address_keeps_the_spelling_that_its_owner_typed(store: Arc<dyn UserStore>, _: ManualClock) {
    let email = |text: &str| Email::parse(text).unwrap();
    let typed = NewUser { email: email("Zoë.Straße@Example.org"), ..new_user("zoe") };
    let user = create(&*store, &typed).await;
    assert_eq!(user.email.spelling(), "Zoë.Straße@example.org");
    let stranger = email("ZOË.STRASSE@example.org");
    assert_conflict(&*store, &NewUser { email: stranger.clone(), ..new_user("eve") }, Unique::Email).await;
    let found = find(&*store, &user.tenant, UserKey::Email(&stranger)).await.unwrap();
    assert_eq!((&found, found.email.spelling()), (&user, "Zoë.Straße@example.org"));
    let verified = UserChange { email_verified_at: Some(Some(user.created_at)), ..UserChange::default() };
    assert_eq!(update(&*store, &found, &verified).await.email.spelling(), "Zoë.Straße@example.org");
    for spelling in ["ZOE@example.org", "zoe@example.org"] {
        let current = load(&*store, &user).await;
        let moved = UserChange { email: Some(email(spelling)), ..UserChange::default() };
        assert_eq!(update(&*store, &current, &moved).await.email.spelling(), spelling);
        assert_eq!(load(&*store, &user).await.email.spelling(), spelling);
    }
}

/// An address is compared byte by byte: collations, patterns and "helpful" rules would give one account to two people.
pub async fn addresses_that_look_alike_are_different_accounts(store: Arc<dyn UserStore>, _: ManualClock) {
    let names = ["adam", "ad.am", "adam+tag", "ádam", "ad_m", "ad%", "strasse", "strase", "ali", "alı", "o'neil"];
    let mut users = Vec::new();
    for name in names {
        users.push(create(&*store, &new_user(name)).await);
    }
    for user in &users {
        let found = find(&*store, &user.tenant, UserKey::Email(&user.email)).await;
        assert_eq!(found.as_ref(), Some(user), "{}", user.email.as_str());
    }
    for absent in ["a", "%", "_____", "adam@example"] {
        let Ok(absent) = Email::parse(&format!("{absent}@example.org")) else { continue };
        assert_eq!(find(&*store, &users[0].tenant, UserKey::Email(&absent)).await, None, "{}", absent.as_str());
    }
}

/// Of 64 parallel sign-ups with one address exactly one creates; the others learn of the conflict.
pub async fn one_of_many_inserts_creates(store: Arc<dyn UserStore>, _: ManualClock) {
    let results = in_parallel(|_| {
        let store = store.clone();
        async move { store.insert(&new_user("ada")).await.unwrap() }
    });
    let mut created = Vec::new();
    for result in results.await {
        match result {
            UserInsert::Created(user) => created.push(user),
            UserInsert::Conflict(what) => assert_eq!(what, Unique::Email),
        }
    }
    let found = find(&*store, &TenantId::default(), UserKey::Email(&email("ada"))).await;
    assert_eq!(created, Vec::from_iter(found));
}

/// Deletion is a status: the row keeps its address, and says that it is deleted.
pub async fn a_deleted_account_is_found(store: Arc<dyn UserStore>, _: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let change = UserChange { status: Some(UserStatus::Deleted), ..UserChange::default() };
    let deleted = update(&*store, &user, &change).await;
    assert!(!deleted.is_active());
    for key in [UserKey::Id(&user.id), UserKey::Email(&user.email)] {
        assert_eq!(find(&*store, &user.tenant, key).await.as_ref(), Some(&deleted), "{key:?}");
    }
    assert_conflict(&*store, &new_user("ada"), Unique::Email).await;
}

/// No verb reaches an account by another tenant's name.
pub async fn another_tenant_reaches_nothing(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = create(&*store, &new_user("ada")).await;
    let other = tenant("other");
    for key in [UserKey::Id(&user.id), UserKey::Email(&user.email)] {
        assert_eq!(find(&*store, &other, key).await, None, "{key:?}");
    }
    let change = UserChange { password_hash: Some(None), ..UserChange::default() };
    let elsewhere = User { tenant: other, ..user.clone() };
    assert!(matches!(store.update_if(&elsewhere, &change).await.unwrap(), UserUpdate::Stale));
    assert!(!store.count_failure(&other, &user.id, 9).await.unwrap());
    let login = LoginRecord { at: Some(clock.now()), rehash: Some((hash("one"), hash("two"))) };
    store.record_login(&other, &user.id, &login).await.unwrap();
    assert_eq!(load(&*store, &user).await, user);
}

/// Every verb of a store that is down says so; none guesses. What cannot be an id of the store at all may be nobody's.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn UserStore>, clock: ManualClock) {
    let user = new_user("ada").into_user(clock.now());
    assert_unavailable(store.insert(&new_user("ada")).await);
    assert_unavailable(store.find(&user.tenant, UserKey::Email(&user.email)).await);
    assert_unavailable(store.changes(&Since::Ago(SECOND), 9).await);
    assert_unavailable(store.dummy_write("nobody@example.org").await);

    // Ids as stores have them: UUIDs, or numbers. One of the two is worth asking for.
    let mut down = [false; 5];
    for id in [user.id, UserId::parse("1").unwrap()] {
        let user = User { id, ..user.clone() };
        let login = LoginRecord { at: Some(clock.now()), rehash: None };
        let unavailable = |error: StoreError| matches!(error, StoreError::Unavailable(_));
        let answers = [
            store.find(&user.tenant, UserKey::Id(&id)).await.map(|found| assert_eq!(found, None)),
            store.update_if(&user, &UserChange::default()).await.map(|it| assert!(matches!(it, UserUpdate::Stale))),
            store.remove_if(&user).await.map(|removed| assert!(!removed)),
            store.count_failure(&user.tenant, &id, 9).await.map(|counted| assert!(!counted)),
            store.record_login(&user.tenant, &id, &login).await,
        ];
        for (down, answer) in down.iter_mut().zip(answers) {
            *down |= answer.is_err_and(unavailable);
        }
    }
    assert_eq!(down, [true; 5], "find by id, update_if, remove_if, count_failure, record_login");
}
