//! A login beside its floor, one Argon2id of the default parameters in memory that is reused.
//!
//! `cargo bench --bench login`: `login_flow` takes at most 1.05 × `argon2_alone`. A hash is bound by memory, whose speed
//! drifts by a tenth within seconds where others use it, too; so the ratio is printed of runs that take turns.
//!
//! * `argon2_alone`: the hash, on the measuring thread.
//! * `login_flow`: [`AuthSystem::login`](auth_system::auth_core::AuthSystem::login) on a memory store: look-up, queue,
//!   the pool's thread, session, tokens.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot be set up has nothing to measure"
)]

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use auth_system::hash::{Argon2Params, HashConfig, HashPool};
use auth_system::system::{SystemClock, SystemRandom};

const ROUNDS: usize = 300;

fn main() {
    let mut criterion = common::criterion();
    let runtime = common::runtime();
    let pool = HashPool::start(HashConfig::default(), Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
    let auth = runtime.block_on(common::system(pool));
    // The priority of the pool's threads, so that a busy machine slows both alike.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);

    let mut group = criterion.benchmark_group("login");
    group.sample_size(50);
    let default = Argon2Params::default();
    let params = Params::new(default.memory_kib(), default.iterations(), default.parallelism(), Some(32)).unwrap();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let password = common::password();
    let mut alone = || {
        let mut tag = [0; 32];
        let password = black_box(password.expose().as_bytes());
        argon2.hash_password_into_with_memory(password, &[7; 16], &mut tag, &mut memory).unwrap();
        tag
    };
    let log_in = || runtime.block_on(common::log_in(&auth));
    group.bench_function("argon2_alone", |bencher| bencher.iter(&mut alone));
    group.bench_function("login_flow", |bencher| bencher.iter(log_in));
    group.finish();
    criterion.final_summary();
    println!("login_flow / argon2_alone, in turn: {:.3}", in_turn(log_in, alone));
}

/// The ratio of the medians of many runs that take turns.
fn in_turn<T, U>(mut one: impl FnMut() -> T, mut other: impl FnMut() -> U) -> f64 {
    let (mut ones, mut others): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (time(&mut one), time(&mut other))).unzip();
    ones.sort_unstable();
    others.sort_unstable();
    ones[ROUNDS / 2].as_secs_f64() / others[ROUNDS / 2].as_secs_f64()
}

fn time<T>(run: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    black_box(run());
    start.elapsed()
}
