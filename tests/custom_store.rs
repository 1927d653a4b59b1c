//! A user table of an application's own keeps what every store promises.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

#[path = "../examples/custom_store.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;

use auth_system::auth_core::conformance;
use auth_system::auth_core::testing::ManualClock;
use example::AppUsers;
use tempfile::TempDir;

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("app.db").display())
}

async fn store(clock: ManualClock) -> (AppUsers, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (AppUsers::new(example::open(&url(&folder)).await.unwrap(), Arc::new(clock)), folder)
}

/// A store whose connections are closed.
async fn broken(clock: ManualClock) -> (AppUsers, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pool = example::open(&url(&folder)).await.unwrap();
    pool.close().await;
    (AppUsers::new(pool, Arc::new(clock)), folder)
}

conformance::user_store!(store, broken: broken);

/// Damaged, or of a newer build.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_row_shuts_its_account_and_hides_no_other() {
    use auth_system::auth_core::port::{NewUser, Since, UserInsert, UserStore};
    use auth_system::auth_core::types::{Email, TenantId, Timestamp, TokenVersion, UserId};
    let folder = tempfile::tempdir().unwrap();
    let pool = example::open(&url(&folder)).await.unwrap();
    let store = AppUsers::new(pool.clone(), Arc::new(ManualClock::new()));
    let mut ids = Vec::new();
    for name in ["ada", "eve", "zoe"] {
        let user = NewUser {
            tenant: TenantId::default(),
            id: UserId::parse("1").unwrap(),
            email: Email::parse(&format!("{name}@example.org")).unwrap(),
            username: None,
            email_verified_at: None,
            claim: auth_system::auth_core::types::Claim::Settled,
            password_hash: None,
            token_version: TokenVersion::new(7),
            attributes: Default::default(),
            created_at: Timestamp::from_seconds(0),
        };
        let UserInsert::Created(user) = store.insert(&user).await.unwrap() else { panic!("taken") };
        ids.push(user.id);
    }
    let damage = sqlx::query("UPDATE app_users SET auth = '{\"v\":99}' WHERE email = 'eve@example.org'");
    damage.execute(&pool).await.unwrap();
    for limit in [1, 2, 10] {
        let (mut since, mut seen) = (Since::Ago(std::time::Duration::from_secs(60)), Vec::new());
        loop {
            let page = store.changes(&since, limit).await.unwrap();
            seen.extend(page.rows.iter().map(|row| (row.id, row.unreadable)));
            let Some(next) = page.next else { break };
            since = Since::After(next);
        }
        assert_eq!(seen, [(ids[0], false), (ids[1], true), (ids[2], false)], "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    example::life_of_an_account(&url(&folder)).await.unwrap();
}
