//! Whether the time of an answer tells that an address has an account, with the real Argon2id, through both frameworks
//! on PostgreSQL and Redis. A program of its own: cargo runs one at a time, and nothing else is to take time meanwhile.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

#[path = "../examples/timing.rs"]
#[allow(dead_code, reason = "its main")]
mod example;
#[path = "common/schema.rs"]
mod schema;

use std::sync::{Mutex, PoisonError};

use actix_web::rt::System;
use auth_system::Auth;
use auth_system::store::{PostgresStore, RedisConfig, RedisStore};
use example::Through;
use schema::Schema;

const SAMPLES: usize = 31;

#[test]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
fn no_time_tells_of_an_account_through_axum() {
    no_time_tells(Through::Axum);
}

#[test]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
fn no_time_tells_of_an_account_through_actix() {
    no_time_tells(Through::Actix);
}

fn no_time_tells(through: Through) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let holds = System::new().block_on(async {
        let schema = Schema::create().await;
        let accounts = PostgresStore::open(&schema.url()).await.unwrap();
        let prefix = format!("{}:", schema.name());
        let redis = RedisConfig { prefix, ..RedisConfig::new(std::env::var("AUTH_TEST_REDIS").unwrap()) };
        let builder = Auth::builder(example::settings().unwrap()).store(accounts);
        let builder = builder.short_lived(RedisStore::open(redis).unwrap());
        example::measure("PostgreSQL and Redis", builder, through, SAMPLES).await.unwrap()
    });
    assert!(holds, "the medians are above");
}
