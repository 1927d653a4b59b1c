//! What is special to a database, in `sqlite` and `postgres`. What every store promises is in `auth_core::conformance`, which
//! `tests/conformance.rs` runs.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../../../../tests/common/schema.rs"]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::Duration;

use auth_core::port::{Clock, NewUser, StoreError, UserInsert, UserKey, UserStore};
use auth_core::types::{Claim, Email, PasswordHash, TenantId, TokenVersion, User, UserId, Username};
use serde_json::json;
use tokio::task::JoinSet;

use super::statement::Text;
use super::{attempts, credentials, data_keys, directory, outbox, pending_sessions, sessions, users};
use crate::system::SystemClock;

/// Every statement of the stores.
fn statements() -> Vec<&'static LazyLock<Text>> {
    [
        attempts::STATEMENTS,
        credentials::STATEMENTS,
        data_keys::STATEMENTS,
        directory::STATEMENTS,
        outbox::STATEMENTS,
        pending_sessions::STATEMENTS,
        sessions::STATEMENTS,
        users::STATEMENTS,
    ]
    .concat()
}

/// The statement that reads a page of the sessions of a user.
fn page_of_sessions() -> &'static Text {
    statements().into_iter().find(|text| text.sqlite.contains("ORDER BY created_at DESC")).unwrap()
}

/// Two uses of one name are one account; of two names, two that differ in every unique value.
fn new_user(name: &str) -> NewUser {
    NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(&format!("id-of-{name}")).unwrap(),
        email: Email::parse(&format!("{name}@example.org")).unwrap(),
        username: Some(Username::parse(name).unwrap()),
        email_verified_at: None,
        claim: Claim::SignUp { from: None },
        password_hash: Some(PasswordHash::new("$argon2id$one")),
        token_version: TokenVersion::new(u32::MAX),
        attributes: json!({"first_name": name}).as_object().unwrap().clone(),
        created_at: SystemClock.now(),
    }
}

async fn create(store: &dyn UserStore, user: &NewUser) -> User {
    match store.insert(user).await.unwrap() {
        UserInsert::Created(user) => user,
        UserInsert::Conflict(what) => panic!("{what:?}"),
    }
}

async fn load(store: &dyn UserStore, user: &User) -> User {
    store.find(&user.tenant, UserKey::Id(&user.id)).await.unwrap().unwrap()
}

/// Runs 64 calls at once.
async fn in_parallel<T, F>(call: impl Fn(u32) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for number in 0..64 {
        calls.spawn(call(number));
    }
    calls.join_all().await
}

async fn insert(store: &dyn UserStore, name: &str) -> Result<UserInsert, StoreError> {
    store.insert(&new_user(name)).await
}

async fn find(store: &dyn UserStore, user: &User) -> Result<Option<User>, StoreError> {
    store.find(&user.tenant, UserKey::Id(&user.id)).await
}

#[track_caller]
fn assert_unavailable<T: Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

#[track_caller]
fn assert_corrupt<T: Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(StoreError::Corrupt(cause)) => assert!(cause.to_string().contains(why), "{cause}"),
        other => panic!("{other:?}"),
    }
}

/// Gives up 1024 calls, each at another point.
async fn drop_calls<S: UserStore + Clone>(store: &S) {
    let calls = in_parallel(|worker| {
        let store = store.clone();
        async move {
            for number in 0..8 {
                let patience = Duration::from_micros(u64::from(worker) * 40 + number * 7);
                let name = format!("{worker}-{number}");
                let _ = tokio::time::timeout(patience, insert(&store, &name)).await;
                let _ =
                    tokio::time::timeout(patience, find(&store, &new_user(&name).into_user(SystemClock.now()))).await;
            }
        }
    });
    calls.await;
}
