//! Many at once: no limit lets one more through, and what is there once is taken once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::server;
use crate::world::{Answer, LIMIT, World};

/// How often each status was answered to 64 callers at once.
async fn at_once<F>(world: &Arc<World>, call: impl Fn(Arc<World>) -> F) -> BTreeMap<u16, u32>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        calls.spawn(call(world.clone()));
    }
    let mut statuses = BTreeMap::new();
    for answer in calls.join_all().await {
        *statuses.entry(answer.status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn of_64_guesses_at_once_no_more_are_evaluated_than_the_limit_allows() {
    let world = Arc::new(World::new(server::with_own_prefix()));
    world.account("ada@example.org").await;
    for name in ["ada", "nobody"] {
        let before = world.hasher.work();
        let email = format!("{name}@example.org");
        let guess = |world: Arc<World>| {
            let email = email.clone();
            async move { world.log_in(&email, "wrong").await }
        };
        assert_eq!(at_once(&world, guess).await, BTreeMap::from([(401, LIMIT), (429, 64 - LIMIT)]), "{name}");
        assert_eq!(world.hasher.work() - before, u64::from(LIMIT));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Redis: tests/run starts one"]
async fn of_64_who_finish_one_login_one_gets_a_session() {
    let world = Arc::new(World::new(server::with_own_prefix()));
    let ada = world.two_factor_account("ada@example.org").await;
    for backup_code in &ada.backup_codes[..5] {
        let token = world.begin(&ada.email).await.unwrap();
        let finish = |world: Arc<World>| {
            let (token, code) = (token.clone(), backup_code.clone());
            async move { world.verify(&token, &code).await }
        };
        let statuses = at_once(&world, finish).await;
        assert_eq!(statuses.get(&200), Some(&1), "{statuses:?}");
        assert!(statuses.keys().all(|status| [200, 400, 401, 429].contains(status)), "{statuses:?}");
        world.clock.advance(std::time::Duration::from_secs(600));
    }
}
