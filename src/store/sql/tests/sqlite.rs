use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth_core::port::{Clock, MailIntent, MailOutbox, MailPurpose, Since, UserKey, UserStore};
use auth_core::types::{Locale, MailId, TenantId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection, query, raw_sql};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::SqliteStore;
use super::super::statement::{self, Text};
use super::{
    assert_corrupt, assert_unavailable, create, drop_calls, find, in_parallel, insert, load, new_user,
    page_of_sessions, statements,
};
use crate::system::SystemClock;

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", file(folder).display())
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("auth.db")
}

/// A connection of somebody else.
async fn stranger(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
}

/// A store on the system's clock, as in production.
async fn store() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(&url(&folder)).await.unwrap(), folder)
}

async fn pragma(store: &SqliteStore, sqlite: &'static str) {
    let text = Box::leak(Box::new(Text::new("", sqlite, "")));
    store.write(|_| statement::query(text)).await.unwrap();
}

#[tokio::test]
async fn a_reopened_file_has_everything() {
    let (store, folder) = store().await;
    let user = create(&store, &new_user("ada")).await;
    drop(store);
    let store = SqliteStore::open(&url(&folder)).await.unwrap();
    assert_eq!(load(&store, &user).await, user);
}

/// What a killed process leaves behind is the file and its log as they are while it runs.
#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    let (store, folder) = store().await;
    let mut users = Vec::new();
    for number in 0..20 {
        users.push(create(&store, &new_user(&format!("user{number}"))).await);
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["auth.db", "auth.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = SqliteStore::open(&url(&copy)).await.unwrap();
    for user in users {
        assert_eq!(load(&store, &user).await, user);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let stores = in_parallel(|_| {
        let url = url.clone();
        async move { SqliteStore::open(&url).await.map(drop) }
    });
    for opened in stores.await {
        opened.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_share_a_file_write_at_the_same_time() {
    let (store, folder) = store().await;
    let other = SqliteStore::open(&url(&folder)).await.unwrap();
    let write = async |store: &SqliteStore, name: &str| {
        let workers = in_parallel(|worker| {
            let (store, name) = (store.clone(), format!("{name}{worker}"));
            async move {
                for number in 0..8 {
                    create(&store, &new_user(&format!("{name}-{number}"))).await;
                }
            }
        });
        workers.await;
    };
    tokio::join!(write(&store, "a"), write(&other, "b"));
    let all = store.changes(&Since::Ago(Duration::MAX), 2000).await.unwrap();
    assert_eq!(all.rows.len(), 2 * 64 * 8);
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_unavailable_in_time() {
    let (store, folder) = store().await;
    let user = create(&store, &new_user("ada")).await;
    let mut stranger = stranger(&file(&folder)).await;
    raw_sql("BEGIN IMMEDIATE").execute(&mut stranger).await.unwrap();
    // The second one queues behind the first and does not wait twice.
    let writes = async { tokio::join!(insert(&store, "bob"), insert(&store, "eve")) };
    let (first, second) = tokio::time::timeout(Duration::from_secs(4), writes).await.unwrap();
    assert_unavailable(first);
    assert_unavailable(second);
    // Reads do not wait for writers.
    let start = Instant::now();
    assert_eq!(load(&store, &user).await, user);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    raw_sql("ROLLBACK").execute(&mut stranger).await.unwrap();
    create(&store, &new_user("bob")).await;
}

#[tokio::test]
async fn a_read_only_database_is_unavailable() {
    let (store, _folder) = store().await;
    let user = create(&store, &new_user("ada")).await;
    // As a file without write permission, which root would not notice.
    pragma(&store, "PRAGMA query_only = 1").await;
    assert_unavailable(insert(&store, "bob").await);
    assert_eq!(load(&store, &user).await, user);
}

/// Says nothing when run by root, who may write every file.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_not_opened() {
    let (store, folder) = store().await;
    create(&store, &new_user("ada")).await;
    // Another file: SQLite uses the handles again that this process has on the first one.
    let copy = tempfile::tempdir().unwrap();
    for name in ["auth.db", "auth.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let mut permissions = std::fs::metadata(file(&copy)).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(file(&copy), permissions).unwrap();
    if File::options().append(true).open(file(&copy)).is_err() {
        assert_unavailable(SqliteStore::open(&url(&copy)).await);
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let (store, _folder) = store().await;
    // Less than the file has is as much as it has.
    pragma(&store, "PRAGMA max_page_count = 1").await;
    let mut big = new_user("big");
    big.attributes.insert("text".into(), "x".repeat(100_000).into());
    assert_unavailable(UserStore::insert(&store, &big).await);
    assert!(UserStore::find(&store, &big.tenant, UserKey::Email(&big.email)).await.unwrap().is_none());
    pragma(&store, "PRAGMA max_page_count = 1000000").await;
    create(&store, &big).await;
}

#[tokio::test]
async fn a_deleted_file_is_unavailable_and_not_made_again() {
    let (store, folder) = store().await;
    let user = create(&store, &new_user("ada")).await;
    let away = folder.path().join("away.db");
    std::fs::rename(file(&folder), &away).unwrap();
    for _ in 0..8 {
        assert_unavailable(find(&store, &user).await);
        assert_unavailable(insert(&store, "bob").await);
    }
    assert!(!file(&folder).exists());
    std::fs::rename(&away, file(&folder)).unwrap();
    assert_eq!(load(&store, &user).await, user);
    create(&store, &new_user("bob")).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_replaced_file_is_unavailable_until_it_is_opened() {
    let (store, folder) = store().await;
    let user = create(&store, &new_user("ada")).await;
    for name in ["auth.db", "auth.db-wal", "auth.db-shm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let other = SqliteStore::open(&url(&folder)).await.unwrap();
    for _ in 0..8 {
        assert_unavailable(find(&store, &user).await);
        assert_unavailable(insert(&store, "bob").await);
    }
    create(&other, &new_user("bob")).await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (store, folder) = store().await;
    create(&store, &new_user("ada")).await;
    for name in ["auth.db", "auth.db-wal", "auth.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["", "sqlite:", "sqlite://", "sqlite::memory:", "sqlite://auth.db?mode=rwc", "postgres://localhost"] {
        assert_unavailable(SqliteStore::open(bad).await);
    }
    let nowhere = format!("sqlite://{}", folder.path().join("no/auth.db").display());
    assert_unavailable(SqliteStore::open(&nowhere).await);
    std::fs::write(file(&folder), "no database at all".repeat(1000)).unwrap();
    assert_corrupt(SqliteStore::open(&url(&folder)).await, "not a database");
}

#[tokio::test]
async fn a_schema_of_a_newer_build_is_refused() {
    let (store, folder) = store().await;
    let newer = "INSERT INTO _auth_migrations (version, description, success, checksum, execution_time) \
        VALUES (1000, 'newer', TRUE, x'00', 0)";
    raw_sql(newer).execute(&mut stranger(&file(&folder)).await).await.unwrap();
    drop(store);
    assert_corrupt(SqliteStore::open(&url(&folder)).await, "1000");
}

#[tokio::test]
async fn a_host_may_keep_its_own_tables_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = stranger(&file(&folder)).await;
    raw_sql("CREATE TABLE _sqlx_migrations (version INTEGER); INSERT INTO _sqlx_migrations VALUES (7)")
        .execute(&mut host)
        .await
        .unwrap();
    let store = SqliteStore::open(&url(&folder)).await.unwrap();
    create(&store, &new_user("ada")).await;
}

#[tokio::test]
async fn a_row_of_a_foreign_hand_is_corrupt() {
    let (store, folder) = store().await;
    let mut stranger = stranger(&file(&folder)).await;
    for (number, (column, value)) in [
        ("email", "'Ada@Example.org'"),
        ("username", "'a@b'"),
        ("status", "'unknown'"),
        ("token_version", "-1"),
        ("token_version", "2147483648"),
        ("factors", "'{}'"),
        ("factors", "'[{\"kind\": \"totp\"}]'"),
        ("attributes", "'[]'"),
        ("consecutive_failures", "-1"),
    ]
    .into_iter()
    .enumerate()
    {
        let user = create(&store, &new_user(&format!("user{number}"))).await;
        let spoil = format!("UPDATE auth_users SET {column} = {value} WHERE id = '{}'", user.id);
        raw_sql(AssertSqlSafe(spoil)).execute(&mut stranger).await.unwrap();
        assert_corrupt(find(&store, &user).await, column);
    }
}

/// A purpose of a newer build, say.
#[tokio::test]
async fn an_unreadable_mail_does_not_hold_up_the_others() {
    let (store, folder) = store().await;
    let now = SystemClock.now();
    for (number, purpose) in (0..).zip(MailPurpose::ALL) {
        let to = new_user("ada").email;
        let intent = MailIntent { tenant: TenantId::default(), to, about: None, purpose, locale: Locale::default() };
        store.enqueue(MailId(Uuid::from_u128(number)), &intent, now).await.unwrap();
    }
    let spoil = "UPDATE auth_mail_outbox SET purpose = 'unknown' WHERE purpose = 'account_exists'";
    raw_sql(spoil).execute(&mut stranger(&file(&folder)).await).await.unwrap();
    let claimed = store.claim(now, Duration::from_secs(60), 100).await.unwrap();
    assert_eq!(claimed.len(), MailPurpose::ALL.len() - 1);
}

/// A server drops a call whose client is gone, at any point of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_calls_leave_nothing_behind() {
    let (store, _folder) = store().await;
    drop_calls(&store).await;
    for number in 0..8 {
        let user = create(&store, &new_user(&format!("user{number}"))).await;
        assert_eq!(load(&store, &user).await, user);
    }
}

/// Whoever runs the service learns why, and nobody learns from the log what was asked for.
#[tokio::test]
async fn an_unavailable_database_is_logged_with_its_cause() {
    let (store, folder) = store().await;
    std::fs::remove_file(file(&folder)).unwrap();
    let log = folder.path().join("log");
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(File::create(&log).unwrap()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    assert_unavailable(insert(&store, "marguerite").await);
    drop(logging);
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    for part in ["ERROR auth: ", "auth.db", "No such file"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("marguerite"), "{log}");
}

/// No statement reads a table from end to end.
#[tokio::test]
async fn every_statement_uses_an_index() {
    let (_store, folder) = store().await;
    let mut connection = stranger(&file(&folder)).await;
    for statement in statements() {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.sqlite));
        for step in query(explain).fetch_all(&mut connection).await.unwrap() {
            let step: &str = step.get("detail");
            assert!(!step.starts_with("SCAN auth_"), "{step}: {}", statement.sqlite);
        }
    }
}

/// A page of a user's sessions is read in the order of an index, so it costs no more than its rows.
#[tokio::test]
async fn a_page_of_sessions_is_read_in_order() {
    let (_store, folder) = store().await;
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", page_of_sessions().sqlite));
    let plan = query(explain).fetch_all(&mut stranger(&file(&folder)).await).await.unwrap();
    let plan: Vec<&str> = plan.iter().map(|step| step.get("detail")).collect();
    let searched = "(tenant=? AND user_id=? AND (created_at,id)<(?,?))";
    assert_eq!(plan, [format!("SEARCH auth_sessions USING INDEX auth_sessions_user {searched}")]);
}
