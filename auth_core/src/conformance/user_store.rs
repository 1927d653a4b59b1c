//! What every [`UserStore`] promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{Case, SECOND, TICK, assert_unavailable, in_parallel, read_feed, tenant};
use crate::port::{
    Clock, FeedPosition, LoginRecord, NewUser, Since, StoreError, Unique, UserChange, UserInsert, UserKey,
    UserSecurity, UserStore, UserUpdate,
};
use crate::testing::ManualClock;
use crate::types::{
    Attributes, Claim, CredentialId, Email, EnrolledFactor, FactorKind, PasswordHash, Recoveries, TenantId,
    TokenVersion, User, UserId, UserStatus,
};

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

/// What ends sessions and links raises version and revision, the version within 31 bits; the rest raises the revision.
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

/// Who read an old row, or one that is not there, must check and decide again; nothing is written.
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

/// An address moves only where it is free; one's own is no other's.
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

/// A login is no change that anybody must learn of: revision, version and time of the last change stay.
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
    // Nobody logs in, and nobody minds.
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
        // What the caller read may be older than the failures.
        user.consecutive_failures = 0;
        user = update(&*store, &user, &change).await;
        assert_eq!(user.consecutive_failures, failures);
        assert_eq!(load(&*store, &user).await, user);
    }
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

pub(super) async fn changes(store: &dyn UserStore, since: Since, limit: usize) -> Vec<UserSecurity> {
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
