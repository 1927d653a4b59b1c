//! What is special to a database, in `sqlite`. What every store promises is in `auth_core::conformance`, which
//! `tests/conformance.rs` runs.

mod sqlite;

use auth_core::port::{Clock, NewUser, UserInsert, UserKey, UserStore};
use auth_core::types::{Email, PasswordHash, TenantId, TokenVersion, User, UserId, Username};
use serde_json::json;
use tokio::task::JoinSet;

use crate::system::SystemClock;

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("auth.db").display())
}

/// Two uses of one name are one account; of two names, two that differ in every unique value.
fn new_user(name: &str) -> NewUser {
    NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(&format!("id-of-{name}")).unwrap(),
        email: Email::parse(&format!("{name}@example.org")).unwrap(),
        username: Some(Username::parse(name).unwrap()),
        email_verified_at: None,
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
