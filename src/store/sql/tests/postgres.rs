use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{AttemptKey, AttemptStore, Clock, SessionStore, Since, UserChange, UserStore, UserUpdate};
use auth_core::types::{AuthMethods, Channel, Limit, MethodTimes, Scope, Session, SessionId, Timestamp, User};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::{PostgresConfig, PostgresStore};
use super::schema::Schema;
use super::{
    assert_corrupt, assert_unavailable, create, drop_calls, find, in_parallel, insert, load, new_user,
    page_of_sessions, statements,
};
use crate::system::SystemClock;

async fn store() -> (PostgresStore, Schema) {
    let schema = Schema::create().await;
    (PostgresStore::open(&schema.url()).await.unwrap(), schema)
}

/// Runs what somebody else does.
async fn run(stranger: &mut PgConnection, sql: impl Into<String>) -> Vec<PgRow> {
    raw_sql(AssertSqlSafe(sql.into())).fetch_all(stranger).await.unwrap()
}

async fn stranger(schema: &Schema) -> PgConnection {
    PgConnection::connect(&schema.url()).await.unwrap()
}

/// Locks the row of a user, until the connection ends.
async fn lock(schema: &Schema, user: &User) -> PgConnection {
    let mut stranger = stranger(schema).await;
    run(&mut stranger, format!("BEGIN; UPDATE auth_users SET revision = revision WHERE id = '{}'", user.id)).await;
    stranger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn many_may_open_a_new_database_at_once() {
    let schema = Arc::new(Schema::create().await);
    let stores = in_parallel(|number| {
        let schema = schema.clone();
        async move {
            // One of a thousand nodes does not start at the very same moment.
            tokio::time::sleep(Duration::from_millis(u64::from(number / 8) * 20)).await;
            PostgresStore::open(&schema.url()).await.map(drop)
        }
    });
    for opened in stores.await {
        opened.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn a_schema_of_a_newer_build_is_refused() {
    let (store, schema) = store().await;
    drop(store);
    let newer = "INSERT INTO _auth_migrations (version, description, success, checksum, execution_time) \
        VALUES (1000, 'newer', TRUE, '', 0)";
    run(&mut stranger(&schema).await, newer).await;
    assert_corrupt(PostgresStore::open(&schema.url()).await, "1000");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn tables_of_somebody_else_are_not_taken_for_ours() {
    let schema = Schema::create().await;
    run(&mut stranger(&schema).await, "CREATE TABLE auth_users (id BIGINT)").await;
    assert_corrupt(PostgresStore::open(&schema.url()).await, "auth_users");
}

#[tokio::test]
async fn what_cannot_be_a_database_is_not_opened() {
    for bad in ["", "postgres", "sqlite://auth.db", "postgres://a:b:c", "postgres://localhost?sslmode=perhaps"] {
        assert_unavailable(PostgresStore::open(bad).await);
    }
    let default = PostgresConfig::default;
    for config in [
        PostgresConfig { max_connections: 0, ..default() },
        PostgresConfig { max_connections: 1001, ..default() },
        PostgresConfig { acquire_timeout: Duration::ZERO, ..default() },
        PostgresConfig { acquire_timeout: Duration::from_secs(31), ..default() },
    ] {
        assert_unavailable(PostgresStore::open_with("postgres://127.0.0.1:1", config).await);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn a_lock_that_somebody_holds_is_unavailable_in_time() {
    let (store, schema) = store().await;
    let user = create(&store, &new_user("ada")).await;
    let stranger = lock(&schema, &user).await;
    let start = Instant::now();
    assert_unavailable(store.count_failure(&user.tenant, &user.id, 9).await);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // Neither reads nor other rows wait.
    assert_eq!(load(&store, &user).await, user);
    create(&store, &new_user("bob")).await;
    drop(stranger);
    assert!(store.count_failure(&user.tenant, &user.id, 9).await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn there_are_as_many_connections_as_the_settings_say() {
    let schema = Schema::create().await;
    let config = PostgresConfig { max_connections: 1, acquire_timeout: Duration::from_millis(200) };
    let store = PostgresStore::open_with(&schema.url(), config).await.unwrap();
    let user = create(&store, &new_user("ada")).await;
    let stranger = lock(&schema, &user).await;
    let waits = store.count_failure(&user.tenant, &user.id, 9);
    let finds_none = async {
        let start = Instant::now();
        assert_unavailable(find(&store, &user).await);
        let elapsed = start.elapsed();
        assert!((Duration::from_millis(150)..Duration::from_millis(1000)).contains(&elapsed), "{elapsed:?}");
        drop(stranger);
    };
    let (counted, ()) = tokio::join!(waits, finds_none);
    assert!(counted.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn connections_that_the_server_closed_are_replaced() {
    let schema = Schema::create().await;
    let name = "replaced";
    let store = PostgresStore::open(&format!("{}&application_name={name}", schema.url())).await.unwrap();
    let user = create(&store, &new_user("ada")).await;
    let mut stranger = stranger(&schema).await;
    let close =
        format!("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = '{name}'");
    for idle in [Duration::ZERO, Duration::from_millis(1100)] {
        assert_eq!(run(&mut stranger, &close).await.len(), 1);
        tokio::time::sleep(idle).await;
        // One that was used a moment ago is trusted, so its call may fail.
        if idle.is_zero() {
            assert_unavailable(find(&store, &user).await);
        }
        assert_eq!(load(&store, &user).await, user);
    }
}

/// A server drops a call whose client is gone, at any point of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn dropped_calls_leave_nothing_behind() {
    let (store, schema) = store().await;
    drop_calls(&store).await;
    for number in 0..8 {
        let user = create(&store, &new_user(&format!("user{number}"))).await;
        assert_eq!(load(&store, &user).await, user);
    }
    let open = "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%auth_%' \
        AND query NOT LIKE '%BEGIN%'";
    assert!(run(&mut stranger(&schema).await, open).await.is_empty());
}

/// As in another process, whose writes collide with ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn stores_that_share_a_database_write_at_the_same_time() {
    let (store, schema) = store().await;
    let other = PostgresStore::open(&schema.url()).await.unwrap();
    let write = async |store: &PostgresStore, name: &str| {
        let workers = in_parallel(|worker| {
            let (store, name) = (store.clone(), format!("{name}{worker}"));
            async move { drop(insert(&store, &name).await.unwrap()) }
        });
        workers.await;
    };
    tokio::join!(write(&store, "a"), write(&other, "b"));
    let all = store.changes(&Since::Ago(Duration::MAX), 2000).await.unwrap();
    assert_eq!(all.rows.len(), 2 * 64);
}

fn new_session(user: &User) -> Session {
    let now = SystemClock.now();
    Session {
        id: SessionId(Uuid::from_u128(1)),
        tenant: user.tenant,
        user: user.id,
        token_version: user.token_version,
        generation: 0,
        rotated_at: now,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now,
        expires_at: now,
        auth_time: now,
        methods: AuthMethods::from_bits(1),
        method_times: MethodTimes::of(MethodTimes::PASSWORD, Timestamp::from_seconds(1)),
        scope: Scope::Full,
        channel: Channel::Cookie,
        address: None,
        agent: None,
        device_name: None,
        context: serde_json::Value::Null,
        slot: None,
        presented: None,
        revoked_at: None,
        changed_at: now,
    }
}

/// A server whose clock is far ahead of that of the nodes: what nodes must agree on goes by the server's.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn the_stores_time_is_the_servers() {
    const AHEAD: Duration = Duration::from_secs(86400);
    let schema = Schema::create().await;
    let clock = "CREATE FUNCTION clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql \
        AS $$SELECT pg_catalog.clock_timestamp() + interval '1 day'$$";
    run(&mut stranger(&schema).await, clock).await;
    // Names that are not found here are looked up there, and not the other way round, which is the rule.
    let store = PostgresStore::open(&format!("{},pg_catalog", schema.url())).await.unwrap();
    let is_ahead = |time: Timestamp| {
        let ahead = time.since(SystemClock.now());
        assert!((AHEAD - Duration::from_secs(60)..=AHEAD).contains(&ahead), "{ahead:?}");
    };

    let user = create(&store, &new_user("ada")).await;
    is_ahead(user.changed_at);
    let change = UserChange { end_sessions: true, ..UserChange::default() };
    let UserUpdate::Done(user) = store.update_if(&user, &change).await.unwrap() else { panic!("stale") };
    is_ahead(user.changed_at);
    let session = new_session(&user);
    SessionStore::insert(&store, &session).await.unwrap();
    assert!(store.revoke(&user.tenant, session.id, SystemClock.now()).await.unwrap());
    let found = SessionStore::find(&store, &user.tenant, session.id).await.unwrap().unwrap();
    is_ahead(found.now);
    is_ahead(found.row.changed_at);
    // By the nodes' clock all of this is still to come, or was a day ago.
    let recent = Since::Ago(Duration::from_secs(60));
    assert_eq!(store.changes(&recent, 9).await.unwrap().rows.len(), 1);
    assert_eq!(store.revocations(&recent, 9).await.unwrap().rows.len(), 1);

    let (key, limit) = (AttemptKey::new("test", &[]), Limit::new(2, Duration::from_secs(60)));
    for allowed in [true, true, false] {
        let hit = store.hit(&key, limit).await.unwrap();
        assert_eq!(hit.allowed, allowed);
        assert!((Duration::from_secs(50)..=limit.window).contains(&hit.reset_after), "{hit:?}");
    }
    let mut stranger = stranger(&schema).await;
    let ends_at: i64 = run(&mut stranger, "SELECT ends_at FROM auth_attempts").await[0].get(0);
    is_ahead(Timestamp::from_micros(ends_at) - limit.window);
    // Another window, whose beginning takes away what is over by the server's clock.
    run(&mut stranger, format!("UPDATE auth_attempts SET ends_at = ends_at - {}", limit.window.as_micros())).await;
    store.hit(&AttemptKey::new("test", &[b"other"]), limit).await.unwrap();
    assert_eq!(run(&mut stranger, "SELECT key FROM auth_attempts").await.len(), 1);
}

/// No statement reads a table from end to end, if it need not.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn every_statement_uses_an_index() {
    let (_store, schema) = store().await;
    let mut connection = stranger(&schema).await;
    // The tables are empty, for which reading them whole would be right.
    run(&mut connection, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await;
    let of_one_kind =
        "SELECT indexrelid::regclass::text FROM pg_index WHERE pg_get_expr(indpred, indrelid) LIKE '% = %'";
    let partial = run(&mut connection, of_one_kind).await;
    let partial: Vec<String> = partial.iter().map(|index| index.get(0)).collect();
    for (number, statement) in statements().into_iter().enumerate() {
        let statement = &statement.postgres;
        run(&mut connection, format!("PREPARE s{number} AS {statement}")).await;
        let values = (1..).take_while(|value| statement.contains(&format!("${value}"))).map(|_| "NULL");
        let values = values.collect::<Vec<_>>().join(", ");
        let values = if values.is_empty() { values } else { format!(" ({values})") };
        let plan = run(&mut connection, format!("EXPLAIN EXECUTE s{number}{values}")).await;
        let plan: Vec<String> = plan.iter().map(|step| step.get(0)).collect();
        let details = plan[1..].iter().map(String::as_str).chain([""]);
        for (step, detail) in plan.iter().zip(details) {
            // An index that is read from end to end is no better.
            let scans = step.contains("Scan") && step.contains(" on auth_");
            // Unless it holds nothing else than what is asked for.
            let made_for_it = partial.iter().any(|index| step.contains(&format!("Scan using {index} on")));
            assert!(!scans || made_for_it || detail.contains(" Cond: "), "{plan:#?}: {statement}");
        }
    }
}

/// A page of a user's sessions is read in the order of an index, so it costs no more than its rows.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run starts one"]
async fn a_page_of_sessions_is_read_in_order() {
    let (_store, schema) = store().await;
    let mut connection = stranger(&schema).await;
    // The table is empty, for which reading it whole would be right.
    run(&mut connection, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await;
    run(&mut connection, format!("PREPARE page AS {}", page_of_sessions().postgres)).await;
    let plan = run(&mut connection, "EXPLAIN EXECUTE page (NULL, NULL, NULL, NULL, NULL)").await;
    let plan: Vec<&str> = plan.iter().map(|step| step.get(0)).collect();
    assert!(plan[1].contains("Index Scan Backward using auth_sessions_user on auth_sessions"), "{plan:#?}");
    let searched = "((tenant = $1) AND (user_id = $2) AND (ROW(created_at, id) < ROW($3, $4)))";
    assert_eq!(plan[2].trim(), format!("Index Cond: {searched}"), "{plan:#?}");
}
