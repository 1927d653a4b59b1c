//! Does the time of an answer tell whether an address has an account? Medians of interleaved requests, with the real
//! Argon2id, on SQLite and in memory:
//!
//! ```sh
//! cargo run --features full --example timing
//! ```
//!
//! Within `tests/servers`, also on PostgreSQL and Redis. `--through axum` or `--through actix` sends the requests through
//! that framework instead of the bare service.
//!
//! With `--check` the program fails if an answer about an account differs from that about an unknown address by more
//! than 5 ms and more than 5 %. `--samples N` sets how often each is measured; up to four times as often where
//! medians differ, since noise goes away with samples and a cause does not.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures time and prints it")]

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Service as _;
use actix_web::rt::System;
use actix_web::test::{TestRequest, init_service};
use async_trait::async_trait;
use auth_system::auth_core::testing::root_secret;
use auth_system::hash::{Argon2Params, HashConfig, HashPool};
use auth_system::port::{Mail, MailError, Mailer, NewUser, UserChange, UserInsert, UserUpdate};
use auth_system::store::{MemoryStore, PostgresStore, RedisStore, SqliteStore};
use auth_system::system::{SystemClock, SystemRandom};
use auth_system::types::{Attributes, Claim, Email, PasswordHash, TenantId, TokenVersion, UserId, UserStatus};
use auth_system::{Auth, AuthBuilder, Config};
use axum::body::Body;
use http::{Request, Response, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

type Failed = Box<dyn Error + Send + Sync>;

const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";
/// The states of accounts; each has one, named after it.
const ACCOUNTS: [&str; 6] = ["known", "unverified", "disabled", "deleted", "passwordless", "outdated"];
/// By how much two medians may differ: whichever is more.
const TOLERANCE: (Duration, f64) = (Duration::from_millis(5), 0.05);

/// How many times as often an endpoint is measured at most, as long as its medians differ.
const MORE: usize = 4;

/// Where mails go.
struct Nowhere;

#[async_trait]
impl Mailer for Nowhere {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

/// Through what the requests go.
#[derive(Clone, Copy)]
pub(crate) enum Through {
    Service,
    Axum,
    Actix,
}

/// A request to an endpoint, as JSON.
struct Sent {
    endpoint: &'static str,
    cookie: String,
    body: String,
}

struct Answer {
    status: u16,
    cookies: Vec<String>,
}

type Door = Rc<dyn Fn(Sent) -> Pin<Box<dyn Future<Output = Result<Answer, Failed>>>>>;

struct Bench {
    auth: Auth,
    door: Door,
    /// Of somebody who is logged in.
    cookie: String,
    sent: usize,
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map(|at| arguments.get(at + 1).map(String::as_str).ok_or(format!("{name} needs a value"))).transpose()
    };
    let samples = value("--samples")?.map_or(Ok(61), str::parse)?;
    let through = match value("--through")? {
        None => Through::Service,
        Some("axum") => Through::Axum,
        Some("actix") => Through::Actix,
        Some(_) => return Err("--through takes axum or actix".into()),
    };
    // Its runtime is actix-web's, which serves the others as well.
    let holds = System::new().block_on(measure_all(through, samples))?;
    println!("{}", if holds { "no account is told by time" } else { "TIME TELLS" });
    if !holds && arguments.iter().any(|argument| argument == "--check") {
        return Err("the time of an answer tells of accounts".into());
    }
    Ok(())
}

async fn measure_all(through: Through, samples: usize) -> Result<bool, Failed> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}", dir.path().join("auth.db").display());
    let sqlite = Auth::builder(settings()?).store(SqliteStore::open(&url).await?);
    let memory = Auth::builder(settings()?).store(MemoryStore::new(Arc::new(SystemClock)));
    let mut systems = vec![("SQLite", sqlite), ("memory", memory)];
    if let (Ok(postgres), Ok(redis)) = (std::env::var("AUTH_TEST_POSTGRES"), std::env::var("AUTH_TEST_REDIS")) {
        let accounts = Auth::builder(settings()?).store(PostgresStore::open(&postgres).await?);
        systems.push(("PostgreSQL and Redis", accounts.short_lived(RedisStore::open(redis.as_str())?)));
    }
    let mut holds = true;
    for (name, builder) in systems {
        holds &= measure(name, builder, through, samples).await?;
    }
    Ok(holds)
}

pub(crate) fn settings() -> Result<Config, Failed> {
    let mut config = Config::new(
        root_secret("8f1d7a3c5e9b2046d8fa17c35be90246a1c3e5f708192a3b4c5d6e7f80912233"),
        "https://app.example.org",
    );
    config.policy.timed_limits = false;
    // All of them are used up below, and then a password is off.
    config.policy.max_consecutive_failures = 1000;
    Ok(config)
}

/// Prints the medians of a system with these [`settings`], and says whether none tells of an account.
pub(crate) async fn measure(
    name: &str,
    builder: AuthBuilder,
    through: Through,
    samples: usize,
) -> Result<bool, Failed> {
    let auth = builder.mailer(Nowhere).without_workers().build()?;
    println!("{name:<22} {:<26} {:>11} {:>11} {:>8}", "account", "median", "difference", "");
    let holds = Bench::new(auth, through).await?.run(samples.max(1)).await?;
    println!();
    Ok(holds)
}

impl Through {
    async fn to(self, auth: &Auth) -> Door {
        match self {
            Self::Service => {
                let auth = auth.clone();
                Rc::new(move |sent| {
                    let auth = auth.clone();
                    Box::pin(async move { Ok(Answer::of(&auth.respond(sent.request()?, None).await.map(drop))) })
                })
            }
            Self::Axum => {
                let router = auth_system::router(auth.clone());
                Rc::new(move |sent| {
                    let router = router.clone();
                    Box::pin(async move { Ok(Answer::of(&router.oneshot(sent.request()?).await?)) })
                })
            }
            Self::Actix => {
                let app = actix_web::App::new().service(auth_system::scope(auth.clone()));
                let app = Rc::new(init_service(app).await);
                Rc::new(move |sent| {
                    let app = app.clone();
                    Box::pin(async move {
                        let request = TestRequest::post()
                            .uri(&format!("/api/auth/{}", sent.endpoint))
                            .insert_header(("content-type", "application/json"))
                            .insert_header(("cookie", sent.cookie))
                            .set_payload(sent.body);
                        let response = app.call(request.to_request()).await.map_err(|error| error.to_string())?;
                        let cookies = response.headers().get_all("set-cookie");
                        let cookies = cookies.filter_map(|cookie| Some(cookie.to_str().ok()?.to_owned())).collect();
                        Ok(Answer { status: response.status().as_u16(), cookies })
                    })
                })
            }
        }
    }
}

impl Sent {
    fn request(self) -> Result<Request<Body>, Failed> {
        let request = Request::post(format!("/api/auth/{}", self.endpoint))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, self.cookie);
        Ok(request.body(Body::from(self.body))?)
    }
}

impl Answer {
    fn of<B>(response: &Response<B>) -> Self {
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookies = cookies.filter_map(|cookie| Some(cookie.to_str().ok()?.to_owned())).collect();
        Self { status: response.status().as_u16(), cookies }
    }
}

impl Bench {
    async fn new(auth: Auth, through: Through) -> Result<Self, Failed> {
        let door = through.to(&auth).await;
        let mut bench = Self { auth, door, cookie: String::new(), sent: 0 };
        let pool = |params| {
            let config = HashConfig { params, ..HashConfig::default() };
            HashPool::start(config, Arc::new(SystemClock), Arc::new(SystemRandom))
        };
        let today = bench.hash(pool(Argon2Params::default())?).await?;
        let weak = bench.hash(pool(Argon2Params::insecure_for_tests())?).await?;
        for state in ACCOUNTS.iter().chain(&["caller"]) {
            bench.add(state, if *state == "outdated" { &weak } else { &today }).await?;
        }
        let (_, cookies) = bench.post("login/", &json!({ "email": address("caller"), "password": PASSWORD })).await?;
        bench.cookie = cookies;
        Ok(bench)
    }

    async fn hash(&self, pool: HashPool) -> Result<PasswordHash, Failed> {
        use auth_system::port::PasswordHasher;
        let password = auth_system::types::Password::new(PASSWORD).map_err(|_| "too long")?;
        Ok(pool.hash(pool.admit(0)?, &password).await?)
    }

    async fn add(&self, state: &str, hash: &PasswordHash) -> Result<(), Failed> {
        let users = &self.auth.system().ports().users;
        let now = self.auth.system().ports().clock.now();
        let user = NewUser {
            tenant: TenantId::default(),
            id: UserId::parse(state)?,
            email: Email::parse(&address(state))?,
            username: None,
            email_verified_at: (state != "unverified").then_some(now),
            claim: Claim::SignUp { from: None },
            password_hash: (state != "passwordless").then(|| hash.clone()),
            token_version: TokenVersion::new(7),
            attributes: Attributes::new(),
            created_at: now,
        };
        let UserInsert::Created(user) = users.insert(&user).await? else { return Err("a name is taken".into()) };
        let status = match state {
            "disabled" => Some(UserStatus::Disabled),
            "deleted" => Some(UserStatus::Deleted),
            _ => None,
        };
        let change = UserChange { status, ..UserChange::default() };
        match users.update_if(&user, &change).await? {
            UserUpdate::Done(_) => Ok(()),
            _ => Err("a fresh account changed".into()),
        }
    }

    async fn run(&mut self, samples: usize) -> Result<bool, Failed> {
        let mut holds = true;
        let hasher = RandomState::new();
        for endpoint in ["login/", "signup/", "password-reset/", "resend-verification/", "change-email/"] {
            let mut kinds: Vec<(&str, &str)> = vec![("unknown", WRONG)];
            kinds.extend(ACCOUNTS.map(|state| (state, WRONG)));
            if endpoint == "login/" {
                kinds.extend([("unverified", PASSWORD), ("disabled", PASSWORD)]);
            }
            let mut times = vec![Vec::with_capacity(samples); kinds.len()];
            // The first round warms up.
            for round in 0..=MORE * samples {
                if round > samples && round % samples == 1 && judge(&mut times).iter().all(|it| it.same) {
                    break;
                }
                // In another order each time: no kind always comes after the same other one.
                let mut order: Vec<usize> = (0..kinds.len()).collect();
                order.sort_by_cached_key(|kind| hasher.hash_one((round, kind)));
                for kind in order {
                    let time = self.measure(endpoint, kinds[kind]).await?;
                    if round > 0 {
                        times[kind].push(time);
                    }
                }
            }
            holds &= report(endpoint, &kinds, &mut times);
        }
        Ok(holds)
    }

    async fn measure(&mut self, endpoint: &'static str, (state, password): (&str, &str)) -> Result<Duration, Failed> {
        self.sent += 1;
        let fresh = endpoint == "signup/" && state == "unknown";
        let email = if fresh { address(&format!("unknown{}", self.sent)) } else { address(state) };
        let body = match endpoint {
            "change-email/" => json!({ "new_email": email }),
            "login/" | "signup/" => json!({ "email": email, "password": password }),
            _ => json!({ "email": email }),
        };
        let (time, _) = self.post(endpoint, &body).await?;
        // Or what waits would serve the next request, too.
        while !self.auth.system().deliver_mail().await?.is_idle() {}
        Ok(time)
    }

    /// The time of an answer, and its cookies.
    async fn post(&self, endpoint: &'static str, body: &Value) -> Result<(Duration, String), Failed> {
        let sent = Sent { endpoint, cookie: self.cookie.clone(), body: body.to_string() };
        let start = Instant::now();
        let answer = (self.door)(sent).await?;
        let time = start.elapsed();
        // A refusal of another kind would take as long whoever has the address, and show nothing.
        let right = body["email"] == address("caller");
        let expected = match endpoint {
            "login/" if !right => 401,
            "signup/" => 201,
            _ => 200,
        };
        if answer.status != expected {
            return Err(format!("{endpoint} {body}: {}", answer.status).into());
        }
        let cookies: Vec<_> = answer.cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect();
        Ok((time, cookies.join("; ")))
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

/// In milliseconds.
struct Judged {
    median: f64,
    /// From the first median.
    difference: f64,
    same: bool,
}

/// The medians of an endpoint beside the first of them.
fn judge(times: &mut [Vec<Duration>]) -> Vec<Judged> {
    let mut reference = None;
    let judge = |times: &mut Vec<Duration>| {
        times.sort();
        let median = times[times.len() / 2].as_secs_f64() * 1e3;
        let reference = *reference.get_or_insert(median);
        let difference: f64 = median - reference;
        let allowed = (TOLERANCE.0.as_secs_f64() * 1e3).max(reference * TOLERANCE.1);
        Judged { median, difference, same: difference.abs() <= allowed }
    };
    times.iter_mut().map(judge).collect()
}

/// Prints the medians of an endpoint, and says whether all are that of the first.
fn report(endpoint: &str, kinds: &[(&str, &str)], times: &mut [Vec<Duration>]) -> bool {
    let judged = judge(times);
    for ((state, password), Judged { median, difference, same }) in kinds.iter().zip(&judged) {
        let right = if *password == PASSWORD { ", right password" } else { "" };
        let (percent, mark) = (100.0 * difference / (median - difference), if *same { "" } else { "  <-- told" });
        let state = format!("{state}{right}");
        println!("{endpoint:<22} {state:<26} {median:>8.3} ms {difference:>+8.3} ms {percent:>+6.1} %{mark}");
    }
    judged.iter().all(|it| it.same)
}
