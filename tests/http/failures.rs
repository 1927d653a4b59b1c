//! What goes wrong around a real database file, what clients hear of it and what operators read.

use std::sync::Arc;
use std::time::Duration;

use auth_system::Auth;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::MailPurpose;
use http::StatusCode;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, raw_sql};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::conventions::successes;
use crate::door::Driver;
use crate::faults::{Fault, Faults};
use crate::logs::Logs;
use crate::place::Store;
use crate::world::{self, ACCESS, Answer, Call, Ground, Jar, PASSWORD, World, get, post};

const SQLITE: Ground = Ground { store: Store::Sqlite, driver: Driver::Axum };
const MEMORY: Ground = Ground { store: Store::Memory, driver: Driver::Axum };
/// Beyond the revocation lag.
const LAG: Duration = Duration::from_secs(2);

/// A connection of somebody else to the same file.
async fn stranger(world: &World) -> SqliteConnection {
    SqliteConnectOptions::new().filename(world.database()).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Sends all calls at once; the answers are in their order.
async fn at_once(world: &Arc<World>, calls: &[Call]) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for (number, call) in calls.iter().cloned().enumerate() {
        let world = world.clone();
        tasks.spawn(async move { (number, world.send(call).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.refused(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

/// The lines of level ERROR, each of which must name the cause.
#[track_caller]
fn errors_about(logs: &Logs, cause: &str) -> usize {
    let lines = logs.take();
    let errors: Vec<_> = lines.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.iter().all(|line| line.contains(cause)), "{errors:#?}");
    assert!(!lines.contains("panicked"), "{lines}");
    errors.len()
}

async fn all_succeed(world: &World, calls: Vec<Call>) {
    for call in calls {
        let answer = world.send(call.clone()).await;
        assert!(answer.status.is_success(), "{} {answer:?}", call.path);
    }
}

#[tokio::test]
async fn a_lock_that_somebody_holds_keeps_writers_out_and_nobody_else() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = Arc::new(SQLITE.world().await);
    let calls = successes(&world).await;
    world.advance(LAG);
    let mut stranger = stranger(&world).await;
    run(&mut stranger, "BEGIN EXCLUSIVE").await;
    logs.take();
    let start = Instant::now();
    for (call, answer) in calls.iter().zip(at_once(&world, &calls).await) {
        let reads = ["/api/auth/me/", "/api/auth/2fa/backup-codes/"].contains(&call.path.as_str());
        if reads && call.method == http::Method::GET {
            assert_eq!(answer.status, 200);
        } else {
            unavailable(&answer);
            assert!(answer.set_cookies().is_empty());
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // Who waits behind the one that waits for the lock.
    let lines = logs.take().replace("every connection was busy for too long", "database is locked");
    let locked = lines.lines().filter(|line| line.contains("request failed") && line.contains("database is locked"));
    assert_eq!(locked.count(), calls.len() - 2, "{lines}");
    assert_eq!(world.events.take(), []);
    run(&mut stranger, "ROLLBACK").await;
    all_succeed(&world, calls).await;
    assert_eq!(world.mails().await.iter().filter(|mail| mail.to == "new@example.org").count(), 1);
}

#[tokio::test]
async fn without_its_file_nothing_is_answered_from_memory() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = SQLITE.world().await;
    let calls = successes(&world).await;
    let jar = world.session("ada@example.org").await;
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.status, 200);
    let away = world.database().with_extension("away");
    std::fs::rename(world.database(), &away).unwrap();
    logs.take();

    // Within the lag the last poll still speaks for the session, and for nothing that needs a row.
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.status, 200);
    unavailable(&world.me(&jar).await);
    world.advance(LAG);
    for path in ["/whoami", "/maybe", "/required"] {
        unavailable(&world.app(get(path).jar(&jar)).await);
        assert!(errors_about(&logs, "auth.db") > 0);
    }
    for call in &calls {
        unavailable(&world.send(call.clone()).await);
        assert!(errors_about(&logs, "auth.db") > 0, "{}", call.path);
    }
    assert!(!world.database().exists(), "no new file took its place");
    assert_eq!(world.app(get("/open")).await.status, 200);
    world.me(&Jar::of(ACCESS, "nonsense")).await.refused(401, "token_not_valid");

    std::fs::rename(&away, world.database()).unwrap();
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.status, 200);
    all_succeed(&world, calls).await;
}

#[tokio::test]
async fn a_deleted_database_never_comes_back_empty_under_a_running_server() {
    let world = SQLITE.world().await;
    world.account("ada@example.org").await;
    for name in ["auth.db", "auth.db-wal", "auth.db-shm"] {
        std::fs::remove_file(world.database().with_file_name(name)).unwrap();
    }
    // Another process makes a new one.
    let restarted = world.restarted(|_| {}).await;
    restarted.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    for _ in 0..3 {
        unavailable(&world.log_in("ada@example.org", PASSWORD).await);
        unavailable(&world.sign_up("ada@example.org", "a stranger's password").await);
    }
    assert_eq!(restarted.sign_up("ada@example.org", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn a_row_that_cannot_be_is_an_error_of_ours_with_its_column_in_the_log() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = SQLITE.world().await;
    world.account("ada@example.org").await;
    world.account("bob@example.org").await;
    let (adas, bobs) = (world.session("ada@example.org").await, world.session("bob@example.org").await);
    // Past the window of the refresh, within that of the revocations.
    world.advance(Duration::from_secs(14 * 60));
    assert_eq!(world.refresh(&bobs).await.status, 200);
    let mut stranger = stranger(&world).await;
    run(&mut stranger, "UPDATE auth_users SET status = 'asleep' WHERE email = 'ada@example.org'").await;
    logs.take();
    let calls = [
        post("login/").json(json!({ "email": "ada@example.org", "password": PASSWORD })),
        post("signup/").json(json!({ "email": "ada@example.org", "password": PASSWORD })),
        post("refresh/").jar(&adas),
    ];
    for call in calls {
        let path = call.path.clone();
        let answer = world.send(call).await;
        answer.refused(500, "internal");
        assert!(!answer.text().contains("status\":\"asleep") && answer.set_cookies().is_empty());
        assert_eq!(errors_about(&logs, "unreadable value in column status"), 1, "{path}");
    }
    // What a newer build calls an account here only shuts that account, and blinds nobody else's check.
    world.me(&adas).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&bobs).await.status, 200);
    assert_eq!(world.log_in("bob@example.org", PASSWORD).await.status, 200);
    run(&mut stranger, "UPDATE auth_users SET status = 'active'").await;
    assert_eq!(world.refresh(&adas).await.status, 200);

    run(&mut stranger, "UPDATE auth_sessions SET channel = 'pigeon'").await;
    logs.take();
    world.refresh(&adas).await.refused(500, "internal");
    assert_eq!(errors_about(&logs, "unreadable value in column channel"), 1);
}

#[tokio::test]
async fn a_queued_mail_that_cannot_be_read_holds_up_no_other() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = SQLITE.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    run(&mut stranger(&world).await, "UPDATE auth_mail_outbox SET purpose = 'greeting'").await;
    world.sign_up("bob@example.org", PASSWORD).await;
    let mut mails = world.mails().await;
    mails.extend(world.mails().await);
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["bob@example.org"]);
    assert!(errors_about(&logs, "unreadable value in column purpose") > 0);
}

#[tokio::test]
async fn a_schema_that_is_gone_is_an_error_of_ours() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = SQLITE.world().await;
    let calls = successes(&world).await;
    world.advance(LAG);
    let mut stranger = stranger(&world).await;
    for table in ["users", "sessions", "mail_outbox"] {
        run(&mut stranger, &format!("ALTER TABLE auth_{table} RENAME TO gone_{table}")).await;
    }
    logs.take();
    for call in &calls {
        world.send(call.clone()).await.refused(500, "internal");
        assert_eq!(errors_about(&logs, "no such table"), 1, "{}", call.path);
    }
    for table in ["users", "sessions", "mail_outbox"] {
        run(&mut stranger, &format!("ALTER TABLE gone_{table} RENAME TO auth_{table}")).await;
    }
    all_succeed(&world, calls).await;
}

#[tokio::test]
async fn a_check_that_failed_is_no_verdict_on_one_of_two_cookies() {
    let (logs, _guard) = Logs::of_this_thread();
    for (fault, status) in [(Fault::Corrupt, 500), (Fault::FailBefore, 503)] {
        let faults = Faults::default();
        let world = faults.around(MEMORY.world().await, |_| {});
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        world.advance(LAG);
        faults.stores.always(fault);
        logs.take();
        let two = get("me/").header("cookie", &format!("__Host-access_token=x; __Host-access_token={}", jar.access()));
        let answer = world.send(two.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (status, 0));
        assert_eq!(errors_about(&logs, Faults::CAUSE), 1);
        faults.stores.heal();
        assert_eq!(world.send(two).await.status, 200);
    }
}

#[tokio::test]
async fn a_check_that_took_too_long_says_so() {
    let (logs, _guard) = Logs::of_this_thread();
    let faults = Faults::default();
    let world = faults.around(MEMORY.world().await, |_| {});
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.advance(LAG);
    faults.stores.always(Fault::HangBefore);
    logs.take();
    unavailable(&world.app(get("/whoami").jar(&jar)).await);
    assert_eq!(errors_about(&logs, "the store took too long"), 1);
}

#[tokio::test]
async fn a_hash_pool_that_is_full_says_when_to_come_back_and_not_to_whom() {
    let (logs, _guard) = Logs::of_this_thread();
    let world = MEMORY.world().await;
    let mut config = world::config();
    (config.hash_threads, config.hash_queue) = (Some(1), 1);
    let store = MemoryStore::new(Arc::new(world.clock.clone()));
    let builder = Auth::builder(config).store(store).mailer(world.mailer.clone()).clock(world.clock.clone());
    let world = Arc::new(world.around(builder.without_workers().build().unwrap()));
    world.sign_up("ada@example.org", PASSWORD).await;
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.send(link.verify()).await;
    logs.take();
    let calls: Vec<_> = (0..32)
        .map(|number| {
            let email = if number % 2 == 0 { "ada@example.org" } else { "nobody@example.org" };
            let login = post("login/").json(json!({ "email": email, "password": PASSWORD }));
            Call { peer: Some([192, 0, 2, number].into()), ..login }
        })
        .collect();
    let answers = at_once(&world, &calls).await;
    let refused = |of: usize| {
        let all = answers.iter().enumerate().filter(move |(number, _)| number % 2 == of);
        all.map(|(_, answer)| answer).filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE)
    };
    let (known, unknown): (Vec<_>, Vec<_>) = (refused(0).collect(), refused(1).collect());
    assert!(known.len() > 4 && unknown.len() > 4 && known.len() + unknown.len() < 32, "{answers:?}");
    for answer in known.iter().chain(&unknown) {
        answer.refused(503, "overloaded");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!((&answer.headers, &answer.body), (&known[0].headers, &known[0].body));
    }
    let refused = known.len() + unknown.len();
    assert_eq!(world.auth.hash_stats().unwrap().refused, refused as u64);
    assert_eq!(errors_about(&logs, "overloaded"), refused, "operators learn of it");
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}
