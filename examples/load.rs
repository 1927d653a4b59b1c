//! What a storm of logins does to everybody else: `cargo run --release --features full --example load`.
//!
//! A server, in a process of its own as in the quick start, is asked for a guarded route 200 times a second, first alone
//! and then while 64 logins are in flight all the time. Latency counts from the moment at which a request was due, not
//! from when it could be sent, so a stall shows in all requests that it held up.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `--seconds N` | how long each of the two phases takes: 1 to 600 | 10 |
//! | `--logins N` | logins in flight: 1 to 250 | 64 |
//! | `--check` | fail unless the loaded p99 stays below 6 ms and the memory within its bound | |
//!
//! Linux only: it reads the server's peak memory from `/proc`, and calls from many addresses of 127.0.0.0/8, so that the
//! logins wait in many lanes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are for the person at the terminal")]

use std::error::Error;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use auth_system::auth_core::testing::root_secret;
use auth_system::hash::HashConfig;
use auth_system::mail::ConsoleTransport;
use auth_system::port::{Clock as _, NewUser};
use auth_system::store::SqliteStore;
use auth_system::system::SystemClock;
use auth_system::types::{Claim, Email, Limit, Password, TenantId, TokenVersion, UserId};
use auth_system::{Auth, Config, CurrentUser};
use axum::{Router, routing::get};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;

type Failure = Box<dyn Error + Send + Sync>;

const SECRET: &str = "8f1d7a3c5e9b2046d8fa17c35be90246a1c3e5f708192a3b4c5d6e7f80912233";
const PASSWORD: &str = "correct horse battery";
const ACCOUNTS: usize = 16;
/// One guarded request each.
const PERIOD: Duration = Duration::from_millis(5);
/// Connections that the guarded requests take turns on, so that one slow answer holds up few others.
const PROBES: u32 = 8;
/// What `--check` asks for.
const P99_LIMIT: Duration = Duration::from_millis(6);
/// What the server may take beside the working memory of its hash threads, in MiB.
const MEMORY_LIMIT: f64 = 25.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("serve") => serve(arguments.get(1).map_or("", String::as_str)).map(|()| true),
        _ => Options::parse(&arguments).and_then(|options| measure(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    seconds: u32,
    logins: u8,
    check: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        fn number<N: FromStr + PartialOrd>(text: Option<&String>, lowest: N, highest: N) -> Option<N> {
            text?.parse().ok().filter(|number| (lowest..=highest).contains(number))
        }
        let mut options = Self { seconds: 10, logins: 64, check: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--check" => options.check = true,
                "--seconds" => options.seconds = number(arguments.next(), 1, 600).ok_or("--seconds takes 1 to 600")?,
                "--logins" => options.logins = number(arguments.next(), 1, 250).ok_or("--logins takes 1 to 250")?,
                other => return Err(format!("{other}: the options are --seconds N, --logins N and --check").into()),
            }
        }
        Ok(options)
    }
}

/// The server: prints its address and serves until it is killed.
fn serve(database: &str) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = Config::new(root_secret(SECRET), "http://localhost");
        // Counted as ever, but all these logins are meant.
        let (logins, window) = (1_000_000, Duration::from_secs(60));
        config.throttles.set("login", Limit::new(logins, window));
        config.policy.login_attempts = Limit::new(logins, window);
        let store = SqliteStore::open(&format!("sqlite://{database}")).await?;
        let auth = Auth::builder(config).store(store).mail(ConsoleTransport).build()?;
        make_accounts(&auth).await?;
        let app = Router::new()
            .route("/hello", get(|user: CurrentUser| async move { format!("Hello {}", user.id()) }))
            .layer(auth.layer())
            .merge(auth_system::router(auth));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
        Ok(())
    })
}

async fn make_accounts(auth: &Auth) -> Result<(), Failure> {
    let ports = auth.system().ports();
    let password = Password::new(PASSWORD).map_err(|_| "the password is too long")?;
    let hash = ports.hasher.hash(ports.hasher.admit(0)?, &password).await?;
    for number in 0..ACCOUNTS {
        let user = NewUser {
            tenant: TenantId::default(),
            id: UserId::from(uuid::Uuid::from_u128(number as u128)),
            email: Email::parse(&email(number))?,
            username: None,
            email_verified_at: Some(ports.clock.now()),
            claim: Claim::Settled,
            password_hash: Some(hash.clone()),
            token_version: TokenVersion::new(7),
            attributes: Default::default(),
            created_at: ports.clock.now(),
        };
        ports.users.insert(&user).await?;
    }
    Ok(())
}

fn email(number: usize) -> String {
    format!("user{number}@example.org")
}

/// Both phases. `false` when a check was asked for and fails.
fn measure(options: &Options) -> Result<bool, Failure> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&folder.path().join("auth.db").display().to_string())?;
    let token = log_in(&mut server.connect(1)?, 0)?;
    let mut probes = (0..PROBES).map(|_| server.connect(1)).collect::<Result<Vec<_>, _>>()?;

    let idle = probe(&mut probes, &token, options.seconds)?;
    let idle_memory = server.peak_memory()?;
    let storm = Storm::start(&server, options.logins)?;
    let loaded = probe(&mut probes, &token, options.seconds)?;
    let logins = f64::from(storm.logins.load(Ordering::Relaxed)) / f64::from(options.seconds);
    let loaded_memory = server.peak_memory()?;
    storm.end()?;

    let HashConfig { threads, params, .. } = HashConfig::default();
    let bound = mebibytes(params.memory_kib()) * threads as f64 + MEMORY_LIMIT;
    let cores = thread::available_parallelism()?;
    println!("{} logins in flight, 200 guarded requests/s, {cores} cores, {threads} hashing", options.logins);
    println!("                         idle     loaded");
    for (name, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
        let (idle, loaded) = (percentile(&idle, percent), percentile(&loaded, percent));
        println!("guarded route {name}   {:8.2} ms {:8.2} ms", millis(idle), millis(loaded));
    }
    println!("peak memory         {idle_memory:8.1} MiB {loaded_memory:7.1} MiB   bound: {bound:.1} MiB");
    println!("logins per second          - {logins:10.1}");
    if !options.check {
        return Ok(true);
    }
    let quick = percentile(&loaded, 99) < P99_LIMIT;
    let small = loaded_memory <= bound;
    for (holds, what) in [(quick, "the loaded p99 is below 6 ms"), (small, "the memory is within its bound")] {
        println!("{}: {what}", if holds { "holds" } else { "FAILS" });
    }
    Ok(quick && small)
}

/// The value below which so many percent of the sorted samples are.
fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let rank = (samples.len() * percent).div_ceil(100).max(1);
    samples.get(rank - 1).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn mebibytes(kib: u32) -> f64 {
    f64::from(kib) / 1024.0
}

/// The server's process, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(database: &str) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(["serve", database]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self { child, address: line.trim().parse().map_err(|_| "the server did not start")? })
    }

    /// A connection from one of 250 addresses.
    fn connect(&self, from: u8) -> io::Result<TcpStream> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connected = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into())?;
            socket.connect(self.address).await?.into_std()
        });
        let stream = connected?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The most that was ever resident, in MiB.
    fn peak_memory(&self) -> Result<f64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc")?;
        Ok(mebibytes(line.trim().trim_end_matches(" kB").parse()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Logins, each client's next one as soon as its last one is answered.
struct Storm {
    over: &'static AtomicBool,
    logins: &'static AtomicU32,
    clients: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Storm {
    fn start(server: &Server, clients: u8) -> Result<Self, Failure> {
        static OVER: AtomicBool = AtomicBool::new(false);
        static LOGINS: AtomicU32 = AtomicU32::new(0);
        let client = |number: u8| {
            let mut stream = server.connect(number + 2)?;
            Ok(thread::spawn(move || {
                while !OVER.load(Ordering::Relaxed) {
                    log_in(&mut stream, usize::from(number) % ACCOUNTS)?;
                    LOGINS.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }))
        };
        let clients = (0..clients).map(client).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { over: &OVER, logins: &LOGINS, clients })
    }

    fn end(self) -> Result<(), Failure> {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client panicked")?)
    }
}

/// The access token of a fresh login.
fn log_in(stream: &mut TcpStream, account: usize) -> Result<String, Failure> {
    let body = format!(r#"{{"email":"{}","password":"{PASSWORD}"}}"#, email(account));
    let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length:";
    let answer = exchange(stream, format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())?;
    let token = answer.split_once("__Host-access_token=").and_then(|(_, rest)| rest.split(';').next());
    Ok(token.ok_or("a login without a cookie")?.to_owned())
}

/// Sends the guarded requests of one phase when each is due. The sorted latencies.
fn probe(streams: &mut [TcpStream], token: &str, seconds: u32) -> Result<Vec<Duration>, Failure> {
    let request = format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-access_token={token}\r\n\r\n");
    let (request, start) = (request.as_bytes(), SystemClock.monotonic() + PERIOD);
    let mut latencies = thread::scope(|scope| {
        let due = |turn: u32| {
            let count = seconds * 1000 / (PROBES * 5);
            (0..count).map(move |round| start + PERIOD * (round * PROBES + turn))
        };
        let probes =
            (0..).zip(streams).map(|(turn, stream)| scope.spawn(move || send_when(due(turn), stream, request)));
        let probes: Vec<_> = probes.collect();
        let joined = probes.into_iter().map(|probe| probe.join().map_err(|_| "a probe panicked")?);
        joined.collect::<Result<Vec<_>, Failure>>().map(|all| all.concat())
    })?;
    latencies.sort_unstable();
    Ok(latencies)
}

fn send_when(
    due: impl Iterator<Item = Duration>,
    stream: &mut TcpStream,
    request: &[u8],
) -> Result<Vec<Duration>, Failure> {
    let send = |due: Duration| {
        thread::sleep(due.saturating_sub(SystemClock.monotonic()));
        exchange(stream, request)?;
        Ok(SystemClock.monotonic() - due)
    };
    due.map(send).collect()
}

/// Sends a request and reads its answer, which must be a 200 with its length, on a connection that stays.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<String, Failure> {
    stream.write_all(request)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let text = std::str::from_utf8(&bytes)?;
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            if !head.starts_with("HTTP/1.1 200 ") {
                return Err(format!("an answer other than 200: {text}").into());
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.ok_or("an answer without a length")?.parse::<usize>()? {
                return Ok(text.to_owned());
            }
        }
        if count == 0 {
            return Err("the server closed the connection".into());
        }
    }
}
