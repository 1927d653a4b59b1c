//! What the example servers share: settings from the environment, with what suits a first run where they are unset, and
//! the page.

mod docs;

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use auth_system::mail::transport_from;
use auth_system::port::Random as _;
use auth_system::store::{MemoryStore, PostgresStore, RedisConfig, RedisStore, SqliteStore};
use auth_system::system::{SystemClock, SystemRandom};
use auth_system::{Auth, Config, CurrentUser, InvalidSetting, RootSecret};
use bytes::Bytes;
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// What a page needs; no inline script or style, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const INDEX_HTML: &str = include_str!("../page/index.html");
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Path, type and text of what the page loads.
const ASSETS: [(&str, &str, &str); 12] = [
    ("/assets/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/assets/app.js", JAVASCRIPT, include_str!("../page/app.js")),
    ("/assets/api.js", JAVASCRIPT, include_str!("../page/api.js")),
    ("/assets/forms.js", JAVASCRIPT, include_str!("../page/forms.js")),
    ("/assets/login.js", JAVASCRIPT, include_str!("../page/login.js")),
    ("/assets/mail_links.js", JAVASCRIPT, include_str!("../page/mail_links.js")),
    ("/assets/not_me.js", JAVASCRIPT, include_str!("../page/not_me.js")),
    ("/assets/profile.js", JAVASCRIPT, include_str!("../page/profile.js")),
    ("/assets/session.js", JAVASCRIPT, include_str!("../page/session.js")),
    ("/assets/signup.js", JAVASCRIPT, include_str!("../page/signup.js")),
    ("/assets/two_factor.js", JAVASCRIPT, include_str!("../page/two_factor.js")),
    ("/assets/view.js", JAVASCRIPT, include_str!("../page/view.js")),
];
/// Where the page lives: at the root, and where the links in mails lead.
const PAGE_PATHS: [&str; 5] = ["/", "/verify-account", "/verify-email-change", "/password-reset-confirm", "/not-me"];

/// What is served beside the account system.
#[derive(Clone)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    content_type: &'static str,
    policy: &'static str,
    pub(crate) text: Bytes,
}

impl Asset {
    pub(crate) fn headers(&self) -> [(&'static str, &'static str); 3] {
        [
            ("content-type", self.content_type),
            ("content-security-policy", self.policy),
            ("x-content-type-options", "nosniff"),
        ]
    }
}

/// Returns what the app's own route says, as JSON.
pub(crate) async fn hello(user: &CurrentUser) -> Result<String, auth_system::Error> {
    let account = user.load().await?;
    Ok(json!({ "message": format!("Hello, user {}.", account.email) }).to_string())
}

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// How long a client may take to finish its request once the server was asked to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a server with a log; why it ended is for the person at the terminal.
#[expect(clippy::print_stderr, reason = "it is for the person at the terminal")]
pub(crate) async fn run(serve: impl Future<Output = Outcome>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match serve.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) struct Server {
    pub(crate) auth: Auth,
    pub(crate) bind: SocketAddr,
    /// Where to go, and where database, key and mails are.
    greeting: String,
    /// The page of the endpoints, where `AUTH_OPENAPI` is on.
    docs: Option<String>,
}

#[expect(clippy::print_stdout, reason = "the greeting is for the person at the terminal")]
impl Server {
    pub(crate) fn cannot_bind(&self, error: &io::Error) -> String {
        format!("AUTH_BIND {}: {error}", self.bind)
    }

    /// Returns the page, wherever it lives, what it loads, and the page of the endpoints.
    pub(crate) fn assets(&self) -> Vec<Asset> {
        let asset = |path, content_type, policy, text| Asset { path, content_type, policy, text };
        let pages = PAGE_PATHS.into_iter().map(|path| (path, HTML, INDEX_HTML)).chain(ASSETS);
        let pages = pages.map(|(path, kind, text)| asset(path, kind, CONTENT_SECURITY_POLICY, text.into()));
        let docs = self.docs.clone().map(|text| asset("/docs", HTML, docs::POLICY, text.into()));
        pages.chain(docs).collect()
    }

    pub(crate) fn greet(&self) {
        println!("{}Ctrl-C ends the server.\n", self.greeting);
    }

    /// Sends what waits.
    pub(crate) async fn end(self) -> Outcome {
        self.auth.shutdown().await;
        println!("Goodbye.");
        Ok(())
    }
}

/// Builds the account system from `AUTH_*`.
pub(crate) async fn server() -> Result<Server, Box<dyn Error>> {
    let bind: SocketAddr = var("AUTH_BIND")
        .unwrap_or_else(|| "127.0.0.1:3000".into())
        .parse()
        .map_err(|error| format!("AUTH_BIND must be an address with a port, such as 127.0.0.1:3000: {error}"))?;
    let database = var("AUTH_DATABASE_URL").unwrap_or_else(|| "sqlite://auth.db".into());
    let file = database.strip_prefix("sqlite://").filter(|file| !file.is_empty());
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme));
    if file.is_none() && !is_postgres && database != "memory:" {
        return Err("AUTH_DATABASE_URL must be `sqlite://FILE`, `postgres://...` or `memory:`".into());
    }
    let key = match var("AUTH_SECRET") {
        Some(_) => Key { secret: None, place: "AUTH_SECRET".into() },
        // Beside the database.
        None => Key::of_file(&file.map_or("auth.key".into(), |file| Path::new(file).with_extension("key")))?,
    };
    let config = config(bind, &key)?;
    let mail = var("AUTH_MAIL").unwrap_or_else(|| "console".into());
    let transport = transport_from(&mail, config.sender()?).map_err(|error| format!("AUTH_MAIL: {error}"))?;
    let builder = Auth::builder(config.clone()).mail(transport);
    let builder = if database == "memory:" {
        builder.store(MemoryStore::new(Arc::new(SystemClock)))
    } else if is_postgres {
        // The URL may hold a password.
        let store = PostgresStore::open(&database).await;
        builder.store(store.map_err(|error| format!("AUTH_DATABASE_URL: {error}"))?)
    } else {
        let store = SqliteStore::open(&database).await;
        builder.store(store.map_err(|error| format!("AUTH_DATABASE_URL {database}: {error}"))?)
    };
    let builder = match var("AUTH_REDIS_URL") {
        Some(url) => builder.short_lived(redis(url)?),
        None if var("AUTH_REDIS_PREFIX").is_some() => {
            return Err("AUTH_REDIS_PREFIX: AUTH_REDIS_URL does not say where Redis is".into());
        }
        None => builder,
    };
    let mut greeting = String::new();
    writeln!(greeting, "Open      {}", config.frontend_url)?;
    writeln!(greeting, "Database  {}", if is_postgres { "PostgreSQL, as AUTH_DATABASE_URL says" } else { &database })?;
    writeln!(greeting, "Key       {}", key.place)?;
    // An SMTP address may hold a password.
    writeln!(greeting, "Mails     {}", if mail.starts_with("smtp") { "by SMTP, as AUTH_MAIL says" } else { &mail })?;
    let auth = builder.build()?;
    auth.check_data_keys().await?;
    auth.ensure_superuser().await?;
    let address = format!("{}/openapi.json", config.public_path);
    let docs = config.openapi.then(|| docs::render(&auth.openapi(), &address)).transpose()?;
    Ok(Server { auth, bind, greeting, docs })
}

/// Pending sessions and attempts, beside the database.
fn redis(url: String) -> Result<RedisStore, InvalidSetting> {
    let mut config = RedisConfig::new(url);
    config.prefix = var("AUTH_REDIS_PREFIX").unwrap_or(config.prefix);
    RedisStore::open(config)
}

fn config(bind: SocketAddr, key: &Key) -> Result<Config, Box<dyn Error>> {
    let frontend = var("AUTH_FRONTEND_URL").unwrap_or_else(|| format!("http://{bind}"));
    // Browsers keep a Secure cookie from plain http; on loopback nobody listens in.
    let insecure = bind.ip().is_loopback() && frontend.starts_with("http://");
    Ok(Config::from_lookup(|name| match name {
        "AUTH_SECRET" => var(name).or_else(|| key.secret.clone()),
        "AUTH_FRONTEND_URL" => Some(frontend.clone()),
        "AUTH_COOKIE_SECURE" => var(name).or_else(|| insecure.then(|| "false".into())),
        _ => var(name),
    })?)
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

struct Key {
    secret: Option<String>,
    place: String,
}

impl Key {
    /// Reads the key, or makes one that only this user can read. The library itself never makes a key: on a server it
    /// belongs into a secret store.
    fn of_file(path: &Path) -> Result<Self, Box<dyn Error>> {
        let place = path.display().to_string();
        let explain = |error: io::Error| format!("the key file {place}: {error}");
        let secret = match fs::read_to_string(path) {
            Ok(secret) => {
                RootSecret::parse(&secret).map_err(|weak| format!("the key file {place} {weak}"))?;
                secret
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                SystemRandom.fill(&mut bytes)?;
                let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut options = OpenOptions::new();
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file = options.write(true).create_new(true).open(path);
                file.and_then(|mut file| file.write_all(secret.as_bytes())).map_err(explain)?;
                secret
            }
            Err(error) => return Err(explain(error).into()),
        };
        Ok(Self { secret: Some(secret), place })
    }
}

/// Resolves at Ctrl-C or when the system asks the process to end.
pub(crate) async fn asked_to_end() {
    let interrupt = async { _ = tokio::signal::ctrl_c().await };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}

/// Resolves a while after [`asked_to_end`]: a client that never finishes its request must not keep the server up.
#[allow(dead_code, reason = "actix-web brings a patience of its own")]
pub(crate) async fn out_of_patience() {
    asked_to_end().await;
    tokio::time::sleep(PATIENCE).await;
}
