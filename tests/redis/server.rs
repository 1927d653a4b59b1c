//! The Redis that all tests share, and a look into it.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use auth_system::store::RedisConfig;
use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};

pub(crate) fn url() -> String {
    env::var("AUTH_TEST_REDIS").expect("AUTH_TEST_REDIS: run the tests by tests/servers")
}

/// Settings with a prefix that no other test has.
pub(crate) fn with_own_prefix() -> RedisConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    RedisConfig { prefix: format!("test{}-{number}:", std::process::id()), ..RedisConfig::new(url()) }
}

pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// All keys with a prefix, sorted.
pub(crate) async fn keys(connection: &mut MultiplexedConnection, prefix: &str) -> Vec<String> {
    let (mut cursor, mut keys) = (0_u64, Vec::new());
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1000);
        let (next, mut page): (_, Vec<String>) = scan.query_async(connection).await.unwrap();
        keys.append(&mut page);
        cursor = next;
        if cursor == 0 {
            keys.sort();
            keys.dedup();
            return keys;
        }
    }
}

/// What a key holds, field by field.
pub(crate) async fn fields(connection: &mut MultiplexedConnection, key: &str) -> BTreeMap<String, Vec<u8>> {
    cmd("HGETALL").arg(key).query_async(connection).await.unwrap()
}

/// How many milliseconds a key has left.
pub(crate) async fn time_left(connection: &mut MultiplexedConnection, key: &str) -> i64 {
    cmd("PTTL").arg(key).query_async(connection).await.unwrap()
}
