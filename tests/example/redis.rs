//! The example server beside a Redis.

use std::time::Duration;

use crate::redis_server::Redis;
use crate::server::{Example, PASSWORD};

#[test]
#[ignore = "needs Redis: tests/run starts one"]
fn attempts_are_kept_in_redis_under_the_prefix_and_the_server_outlives_it() {
    let mut redis = Redis::start();
    let site = Example::Axum.site().with("AUTH_REDIS_URL", &redis.url()).with("AUTH_REDIS_PREFIX", "x:");
    let site = site.with("AUTH_THROTTLE", "on");
    let server = site.start();
    let body = serde_json::json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(site.call("POST", "/api/auth/signup/").json(&body).send().status, 201);
    assert_eq!(site.log_in("ada@example.org").status, 401);
    let mut connection = ::redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("x:attempts:")), "{keys:?}");
    redis.kill();
    assert_eq!(site.log_in("ada@example.org").status, 503);
    redis.restart();
    // For less than a second after it failed to connect, the store does not try again.
    for _ in 0..100 {
        if site.log_in("ada@example.org").status != 503 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(site.log_in("ada@example.org").status, 401);
    assert!(server.end().success());
}
