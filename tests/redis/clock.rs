//! The time that all nodes share is that of Redis.

use std::time::Duration;

use auth_system::auth_core::port::{AttemptKey, AttemptStore, PendingSessionStore};
use auth_system::auth_core::types::{Limit, Payload, PendingId, PendingPurpose, PendingSession, TenantId, Timestamp};
use auth_system::store::RedisStore;
use redis::aio::MultiplexedConnection;
use redis::cmd;

use crate::server;

const WINDOW: Duration = Duration::from_secs(3600);

/// The clock of Redis, in microseconds.
async fn time(connection: &mut MultiplexedConnection) -> i64 {
    let (seconds, micros): (i64, i64) = cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1_000_000 + micros
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_window_is_over_by_the_clock_of_redis() {
    let config = server::with_own_prefix();
    let (store, mut connection) = (RedisStore::open(config.clone()).unwrap(), server::connect(&server::url()).await);
    let (key, limit) = (AttemptKey::new("test", &[]), Limit::new(1, WINDOW));

    let before = time(&mut connection).await;
    let hit = store.hit(&key, limit).await.unwrap();
    assert!(hit.allowed && hit.reset_after == WINDOW, "{hit:?}");
    let [name] = &server::keys(&mut connection, &config.prefix).await[..] else { panic!("not one key") };
    let ends_at = server::fields(&mut connection, name).await["ends_at"].clone();
    let started = String::from_utf8(ends_at).unwrap().parse::<i64>().unwrap() - 3_600_000_000;
    let after = time(&mut connection).await;
    assert!((before..=after).contains(&started), "{before} {started} {after}");

    // Windows that end in a minute, and that ended a moment ago.
    let connection = &mut connection;
    let move_end = async |connection: &mut MultiplexedConnection, by: i64| {
        let to = time(connection).await + by;
        cmd("HSET").arg(name).arg("ends_at").arg(to).exec_async(connection).await.unwrap();
    };
    move_end(connection, 60_000_000).await;
    let hit = store.hit(&key, limit).await.unwrap();
    let left = Duration::from_secs(50)..=Duration::from_secs(60);
    assert!(!hit.allowed && left.contains(&hit.reset_after), "{hit:?}");
    move_end(connection, -1).await;
    assert!(store.hit(&key, limit).await.unwrap().allowed);
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn what_waits_is_kept_as_long_as_it_counts_and_ten_minutes_more() {
    let config = server::with_own_prefix();
    let (store, mut connection) = (RedisStore::open(config.clone()).unwrap(), server::connect(&server::url()).await);
    let now = Timestamp::from_micros(time(&mut connection).await);
    let pending = |number: u8, expires_at: Timestamp| PendingSession {
        id: PendingId::from_bytes([number; 32]),
        purpose: PendingPurpose::SecondFactor,
        tenant: TenantId::default(),
        subject: None,
        tries: 0,
        payload: Payload { version: 1, bytes: vec![0xff] },
        expires_at,
    };
    // The second one was over before it was put there, for all that Redis knows.
    for (number, expires_at, kept) in [(1, now + WINDOW, 3600 + 600), (2, now - WINDOW, 600)] {
        let pending = pending(number, expires_at);
        store.put(&pending).await.unwrap();
        let [name] = &server::keys(&mut connection, &config.prefix).await[..] else { panic!("not one key") };
        let left = server::time_left(&mut connection, name).await;
        assert!(((kept - 10) * 1000..=kept * 1000).contains(&left), "{left}");
        // Whether it counts is told by whom it is asked.
        let found = store.take(&pending.id, expires_at - Duration::from_secs(1)).await.unwrap();
        assert_eq!(found, Some(pending));
    }
}
