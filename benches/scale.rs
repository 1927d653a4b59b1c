//! The same calls on a thousand and on a million accounts with sessions: none takes much longer.
//!
//! `cargo bench --bench scale -- --check` fails where a call takes more than 1.3 × as long. The two sizes take turns, so
//! a machine that slows down slows both, and what takes longer is measured up to three times, since noise goes away with
//! that and a cause does not. SQLite has the page cache of the store, whatever the size of the file. PostgreSQL is
//! measured where `AUTH_TEST_POSTGRES` names a server: `tests/servers cargo bench --bench scale`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot be set up has nothing to measure"
)]

#[path = "../tests/common/schema.rs"]
mod schema;

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_system::auth_core::port::{FeedPosition, Rotation, SessionStore, Since, UserDirectory, UserKey, UserStore};
use auth_system::auth_core::types::{Email, SessionId, TenantId, Timestamp, UserId, UserStatus};
use auth_system::store::{PostgresStore, SqliteStore};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql};
use tempfile::TempDir;
use uuid::Uuid;

use self::schema::Schema;

const SMALL: u32 = 1_000;
const LARGE: u32 = 1_000_000;
const ROUNDS: u32 = 2_000;
const LIMIT: f64 = 1.3;
/// How often a call is measured that seems to take longer.
const TRIES: u32 = 3;

trait Store: UserStore + UserDirectory + SessionStore {}
impl<S: UserStore + UserDirectory + SessionStore> Store for S {}

/// A store of so many accounts, each with a session.
struct Table {
    store: Arc<dyn Store>,
    rows: u32,
    /// What keeps its files.
    _folder: Option<TempDir>,
}

/// The rows, by number, which is the order of their ids, too, as with UUIDv7. Every hundredth session has ended, and the
/// last ten accounts are disabled.
const FILL: &str = "
    INSERT INTO auth_users (tenant, id, email, status, password_hash, token_version, factors, consecutive_failures,
        attributes, created_at, changed_at, revision, recoveries)
    {series} SELECT 'default', {user}, 'user-' || n || '@example.org',
        CASE WHEN n > {rows} - 10 THEN 'disabled' ELSE 'active' END,
        '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g', 7, '[]', 0,
        '{}', n, n, 0, '[]' FROM series;
    INSERT INTO auth_sessions (id, tenant, user_id, token_version, generation, rotated_at, created_at, last_seen_at,
        idle_expires_at, expires_at, auth_time, methods, channel, context, slot, revoked_at, changed_at, scope, method_times)
    {series} SELECT {id}, 'default', {user}, 7, 0, n, n, n, n, n, n, 1, 'cookie', '{}', 0,
        CASE WHEN n % 100 = 0 THEN n END, n, 'full', '{}' FROM series;
    ";

fn fill(rows: u32, series: &str, user: &str, id: &str) -> AssertSqlSafe<String> {
    let fill = FILL.replace("{series}", series).replace("{user}", user).replace("{id}", id);
    AssertSqlSafe(fill.replace("{rows}", &rows.to_string()))
}

async fn sqlite(rows: u32) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("auth.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    let series = "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {rows})";
    let fill = fill(rows, series, "printf('user-%07d', n)", "unhex(printf('%032x', n))");
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    raw_sql(fill).execute(&mut connection).await.unwrap();
    // Moved from the log into the file, as it is by and by.
    raw_sql("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    Table { store: Arc::new(store), rows, _folder: Some(folder) }
}

async fn postgres(rows: u32) -> Table {
    let schema = Schema::create().await;
    let store = PostgresStore::open(&schema.url()).await.unwrap();
    let series = "WITH series(n) AS (SELECT generate_series(1, {rows}))";
    let fill = fill(rows, series, "'user-' || lpad(n::text, 7, '0')", "decode(lpad(to_hex(n), 32, '0'), 'hex')");
    let mut connection = PgConnection::connect(&schema.url()).await.unwrap();
    raw_sql(fill).execute(&mut connection).await.unwrap();
    // Now, or the server does it in the midst of what is measured.
    raw_sql("VACUUM ANALYZE auth_users, auth_sessions").execute(&mut connection).await.unwrap();
    Table { store: Arc::new(store), rows, _folder: None }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    FindByEmail,
    SessionCheck,
    Refresh,
    Revocations,
    DirectoryPage,
    DisabledPage,
}

impl Table {
    /// Makes four calls at once, which keep the machine from falling asleep in between, and says how long they took.
    async fn time(&self, call: Call, round: u32) -> Duration {
        let start = Instant::now();
        let make = |number| self.make(call, 4 * round + number);
        tokio::join!(make(0), make(1), make(2), make(3));
        start.elapsed()
    }

    /// Makes a call about one of the rows.
    async fn make(&self, call: Call, round: u32) {
        // Another row each time, never one that has ended.
        let number = u32::try_from(u64::from(round) * 7_919 % u64::from(self.rows - 200)).unwrap() + 1;
        let number = if number % 100 == 0 { number + 1 } else { number };
        let (store, tenant) = (&self.store, TenantId::default());
        match call {
            Call::FindByEmail => {
                let email = Email::parse(&format!("user-{number}@example.org")).unwrap();
                assert!(UserStore::find(store.as_ref(), &tenant, UserKey::Email(&email)).await.unwrap().is_some());
            }
            Call::SessionCheck => {
                let id = SessionId(Uuid::from_u128(number.into()));
                assert!(SessionStore::find(store.as_ref(), &tenant, id).await.unwrap().is_some());
            }
            Call::Refresh => {
                let id = SessionId(Uuid::from_u128(number.into()));
                let session = SessionStore::find(store.as_ref(), &tenant, id).await.unwrap().unwrap().row;
                let at = Timestamp::from_micros(session.rotated_at.micros() + 1);
                let next = Rotation { generation: session.generation + 1, rotated_at: at, idle_expires_at: at };
                assert!(store.rotate_if(&session, &next).await.unwrap().is_some());
            }
            Call::Revocations => {
                // The last ten.
                let changed_at = Timestamp::from_micros(i64::from(self.rows) - 1_000 + 1);
                let since = Since::After(FeedPosition { changed_at, id: Uuid::nil().to_string() });
                assert_eq!(store.revocations(&since, 1_000).await.unwrap().rows.len(), 10);
            }
            Call::DirectoryPage => {
                let after = UserId::parse(&format!("user-{number:07}")).unwrap();
                store.list(&tenant, None, Some(&after), 50).await.unwrap();
            }
            Call::DisabledPage => {
                assert_eq!(store.list(&tenant, Some(UserStatus::Disabled), None, 50).await.unwrap().len(), 10);
            }
        }
    }
}

/// The medians, in microseconds.
async fn medians(small: &Table, large: &Table, call: Call) -> (f64, f64) {
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    // The first pass brings what it reads into the memory of the system, and does not count.
    for counts in [false, true] {
        for round in 0..ROUNDS {
            let times = (small.time(call, round).await, large.time(call, round).await);
            if counts {
                of_small.push(times.0);
                of_large.push(times.1);
            }
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    (median(&mut of_small), median(&mut of_large))
}

/// Prints the ratio of each call, and returns the highest one.
async fn compare(database: &str, small: Table, large: Table) -> f64 {
    let mut worst: f64 = 0.0;
    for call in [
        Call::FindByEmail,
        Call::SessionCheck,
        Call::Refresh,
        Call::Revocations,
        Call::DirectoryPage,
        Call::DisabledPage,
    ] {
        let mut least = f64::MAX;
        for _ in 0..TRIES {
            let (few, many) = medians(&small, &large, call).await;
            let ratio = many / few;
            println!("{database:<11} {:<14} {few:>8.1} us {many:>8.1} us {ratio:>6.2}", format!("{call:?}"));
            least = least.min(ratio);
            if least <= LIMIT {
                break;
            }
        }
        worst = worst.max(least);
    }
    worst
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let check = std::env::args().any(|argument| argument == "--check");
    println!("{:<26} {SMALL:>11} {LARGE:>11} {:>6}", "four at once, median", "ratio");
    let mut worst = compare("SQLite", sqlite(SMALL).await, sqlite(LARGE).await).await;
    if std::env::var("AUTH_TEST_POSTGRES").is_ok() {
        worst = worst.max(compare("PostgreSQL", postgres(SMALL).await, postgres(LARGE).await).await);
    }
    if check && worst > LIMIT {
        panic!("a call takes {worst:.2} times as long on {LARGE} accounts; at most {LIMIT} is allowed");
    }
}
