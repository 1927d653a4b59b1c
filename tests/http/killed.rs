//! Accounts in PostgreSQL and what may be lost in Redis, each of which is killed again and again under load: nothing that
//! was acknowledged is lost, nothing is answered wrong, and everything works soon after the server is back.

#![allow(clippy::disallowed_methods, reason = "what is measured is the time of a clock on the wall")]

mod facts;
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use auth_system::Config;
use auth_system::auth_core::operator::NewAccount;
use auth_system::auth_core::types::Limit;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, query_scalar};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::facts::{first_step, second_step};
use self::load::{Kind, Load, Owner, Server, WRONG, WRONG_CODE, address};
use crate::door::Driver;
use crate::killable_redis::Redis;
use crate::place::{Place, Store};
use crate::postgres_server::Postgres;
use crate::schema::Schema;
use crate::world::{Authenticator, Call, Ground, Jar, PASSWORD, World, get, post};

/// How often each server is killed.
const ROUNDS: u32 = 3;
const UP: Duration = Duration::from_millis(1000);
const DOWN: Duration = Duration::from_millis(300);
/// Within this time of a server's return everything works again.
const RECOVERY: Duration = Duration::from_secs(2);
/// The longest lease of a mail, and the time in which a change is made after its notice was queued.
const LEASE: Duration = Duration::from_secs(121);
const MAX_FAILURES: u32 = 400;
const LIMIT: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
async fn axum_loses_nothing_acknowledged_when_either_server_is_killed() {
    nothing_is_lost(Driver::Axum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: tests/run starts them"]
async fn actix_loses_nothing_acknowledged_when_either_server_is_killed() {
    nothing_is_lost(Driver::Actix).await;
}

struct Servers {
    postgres: Postgres,
    redis: Redis,
}

struct Outage {
    server: Server,
    killed: Instant,
    /// It takes connections again.
    back: Instant,
    /// Whoever asked meanwhile was answered.
    over: Instant,
}

async fn nothing_is_lost(driver: Driver) {
    let mut servers = Servers { postgres: Postgres::start(), redis: Redis::start() };
    let place = Place::on_both(Schema::create_on(servers.postgres.url()).await, servers.redis.url());
    assert_waits_for_the_disk(&servers.postgres).await;
    let world = Ground { store: Store::Servers, driver }.world_at(place, configure).await;
    let owners = accounts(&world).await;
    let limited = world.restarted(|config| {
        configure(config);
        config.policy.timed_limits = true;
    });
    let limited = limited.await;
    let load = Arc::new(Load::new(world, limited));
    let courier = tokio::spawn(load::courier(load.clone()));
    let clients = load::clients(&load, owners);

    let mut outages = Vec::new();
    for _ in 0..ROUNDS {
        for server in [Server::Postgres, Server::Redis] {
            sleep(UP).await;
            outages.push(servers.fail(server, &load).await);
        }
    }
    sleep(RECOVERY).await;
    load.over.store(true, Ordering::SeqCst);
    let facts = clients.join_all().await;
    courier.abort();
    assert!(courier.await.unwrap_err().is_cancelled(), "the courier ended");

    let slowest = recoveries(&load, &outages);
    check(facts, &load).await;
    tell(driver, &load, slowest);
}

async fn assert_waits_for_the_disk(server: &Postgres) {
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    for show in ["SHOW fsync", "SHOW synchronous_commit"] {
        let value: String = query_scalar(show).fetch_one(&mut connection).await.unwrap();
        assert_eq!(value, "on", "{show}");
    }
}

fn configure(config: &mut Config) {
    let policy = &mut config.policy;
    // Time passes in leaps, and only between calls.
    policy.refresh_window = Duration::from_secs(60);
    policy.access_lifetime = Duration::from_secs(60 * 60);
    policy.pending_lifetime = Duration::from_secs(15 * 60);
    policy.max_consecutive_failures = MAX_FAILURES;
    policy.backup_codes = 2;
    policy.login_attempts = Limit::new(LIMIT, Duration::from_secs(24 * 60 * 60));
    config.throttles.set("login", Limit::new(1_000_000, Duration::from_secs(60)));
}

/// Makes the accounts of the clients; those with two-factor login it returns.
async fn accounts(world: &World) -> Vec<Owner> {
    let mut owners = Vec::new();
    for number in 0..3 {
        for name in ["visitor", "changer", "guessed"] {
            let email = address(name, number);
            let account =
                NewAccount { email: &email, password: Some(PASSWORD), verified: true, ..NewAccount::default() };
            world.auth.admin().create_user(account).await.unwrap();
        }
        let email = address("owner", number);
        let (jar, authenticator) = Authenticator::enrolled(world, &email).await;
        owners.push(Owner { email, jar, authenticator });
    }
    owners
}

impl Servers {
    /// Kills one and starts it again. Meanwhile, what does not need it works, and the rest is refused; then all works.
    async fn fail(&mut self, server: Server, load: &Load) -> Outage {
        let visitor = Visitor::come(load).await;
        let killed = Instant::now();
        match server {
            Server::Postgres => {
                self.postgres.kill();
                visitor.without_accounts(load).await;
                sleep(DOWN).await;
                self.postgres.restart();
            }
            Server::Redis => {
                // Before anybody could notice.
                load.losses.fetch_add(1, Ordering::SeqCst);
                self.redis.kill();
                visitor.without_what_is_short_lived(load).await;
                sleep(DOWN).await;
                self.redis.restart();
            }
        }
        let back = Instant::now();
        let all_answered = timeout(RECOVERY, load.asking.write()).await;
        let all_answered = all_answered.unwrap_or_else(|_| panic!("{server:?} is back, and some still wait"));
        let over = Instant::now();
        // Mails that were about to be sent are due again, and refreshes rotate.
        load.world.advance(LEASE);
        drop(all_answered);
        Outage { server, killed, back, over }
    }
}

/// Somebody who looks around while a server is down.
struct Visitor {
    jar: Jar,
    pending: Value,
}

impl Visitor {
    async fn come(load: &Load) -> Self {
        let jar = load.world.session(&address("changer", 1)).await;
        assert_eq!(load.world.send(get("/whoami").jar(&jar)).await.status, 200);
        Self { jar, pending: first_step(&load.world, &address("owner", 1)).await }
    }

    async fn without_accounts(&self, Load { world, limited, .. }: &Load) {
        let access = get("/whoami").jar(&self.jar);
        assert_eq!(world.send(access.clone()).await.status, 200, "what was revoked is known for a while");
        let email = json!({ "email": address("changer", 1) });
        for call in [
            log_in("changer", PASSWORD),
            log_in("owner", PASSWORD),
            log_in("nobody", WRONG),
            post("signup/").json(json!({ "email": "late@example.org", "password": PASSWORD })),
            post("password-reset/").json(email.clone()),
            post("resend-verification/").json(email),
            get("me/").jar(&self.jar),
            post("refresh/").jar(&self.jar),
            post("logout/").jar(&self.jar),
        ] {
            world.send(call).await.refused(503, "unavailable");
        }
        second_step(world, &self.pending, WRONG_CODE).await.refused(503, "unavailable");
        limited.send(log_in("nobody", WRONG)).await.refused(503, "unavailable");
        world.advance(Duration::from_secs(2));
        world.send(access).await.refused(503, "unavailable");
    }

    async fn without_what_is_short_lived(&self, Load { world, limited, .. }: &Load) {
        assert_eq!(world.me(&self.jar).await.status, 200);
        let jar = world.refresh(&self.jar).await.jar();
        assert_eq!(world.send(get("/whoami").jar(&jar)).await.status, 200);
        assert_eq!(world.send(post("logout/").jar(&jar)).await.status, 200);
        world.me(&jar).await.refused(401, "not_authenticated");
        assert_eq!(world.send(log_in("changer", PASSWORD)).await.status, 200);
        world.send(log_in("owner", PASSWORD)).await.refused(503, "unavailable");
        second_step(world, &self.pending, WRONG_CODE).await.refused(503, "unavailable");
        for password in [PASSWORD, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG] {
            limited.send(log_in("guessed", password)).await.refused(503, "unavailable");
        }
    }
}

fn log_in(name: &str, password: &str) -> Call {
    post("login/").json(json!({ "email": address(name, 1), "password": password }))
}

/// How long the slowest kind of call took to work after each server's return. Nothing was refused at another time, nor
/// for a server that it does not need.
fn recoveries(load: &Load, outages: &[Outage]) -> [Duration; 2] {
    let answers = load.answers.lock().unwrap();
    for &(kind, at, _) in answers.iter().filter(|(_, _, status)| *status == 503) {
        let explains = |it: &Outage| kind.needs(it.server) && (it.killed..=it.over).contains(&at);
        assert!(outages.iter().any(explains), "503 for {kind:?} {:?} after the start", at.duration_since(answers[0].1));
    }
    // The others are asked for only if an answer was lost.
    let is_steady = |kind: &Kind| !matches!(kind, Kind::EitherPassword | Kind::DoubtfulCode);
    let steady: BTreeSet<_> = answers.iter().map(|(kind, ..)| *kind).filter(is_steady).collect();
    let mut slowest = [Duration::ZERO; 2];
    for Outage { server, back, .. } in outages {
        for kind in steady.iter().filter(|kind| kind.needs(*server)) {
            let works = |(other, at, status): &&(Kind, Instant, u16)| other == kind && at > back && *status != 503;
            let first = answers.iter().filter(works).map(|(_, at, _)| at.duration_since(*back)).min();
            let first = first.unwrap_or_else(|| panic!("{kind:?} never works after the return of {server:?}"));
            assert!(first < RECOVERY, "{kind:?} works {first:?} after the return of {server:?}");
            let slowest = &mut slowest[*server as usize];
            *slowest = first.max(*slowest);
        }
    }
    slowest
}

/// On a node that knows nothing but what the servers kept.
async fn check(facts: Vec<Vec<facts::Fact>>, load: &Load) {
    let mut mails = std::mem::take(&mut *load.mails.lock().unwrap());
    for _ in 0..3 {
        load.world.advance(LEASE);
        mails.extend(load.world.mails().await);
    }
    let (world, mails) = (Arc::new(load.world.restarted(configure).await), Arc::new(mails));
    let mut checks = JoinSet::new();
    for facts in facts {
        let (world, mails) = (world.clone(), mails.clone());
        checks.spawn(async move {
            for fact in facts {
                fact.check(&world, &mails).await;
            }
        });
    }
    checks.join_all().await;
}

fn tell(driver: Driver, load: &Load, [postgres, redis]: [Duration; 2]) {
    let mut calls = BTreeMap::<_, BTreeMap<_, u32>>::new();
    for (kind, _, status) in load.answers.lock().unwrap().iter() {
        *calls.entry(*kind).or_default().entry(*status).or_default() += 1;
    }
    // Past the capture of passed tests, for the figures are what one wants to see of them.
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{driver:?}: PostgreSQL and Redis killed {ROUNDS} times each; everything works {postgres:?} after the return of \
         PostgreSQL and {redis:?} after that of Redis, at worst; answers by status: {calls:?}"
    )
    .unwrap();
}
