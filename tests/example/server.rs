//! A running example server, and as much of an HTTP client as these tests need.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Runs each test with each of the example servers.
#[macro_export]
macro_rules! on_each_server {
    ($($name:ident),* $(,)?) => {
        mod axum { $(#[test] fn $name() { super::$name($crate::server::Example::Axum); })* }
        mod actix { $(#[test] fn $name() { super::$name($crate::server::Example::Actix); })* }
    };
}

/// Which example server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Example {
    Axum,
    Actix,
}

impl Example {
    /// A folder for it, on a free port, with mails as files.
    pub(crate) fn site(self) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let site = Site { example: self, folder, address, variables: BTreeMap::new() };
        site.with("AUTH_BIND", &address.to_string()).with("AUTH_MAIL", "dir:mails").with("AUTH_THROTTLE", "off")
    }

    /// Its binary, which cargo builds with the tests.
    fn binary(self) -> PathBuf {
        let name = match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        };
        let mut folder = std::env::current_exe().unwrap();
        folder.pop();
        if folder.ends_with("deps") {
            folder.pop();
        }
        let binary = folder.join("examples").join(name);
        let missing = format!("build it with `cargo build --features full --example {name}`");
        assert!(binary.exists(), "{} is missing: {missing}", binary.display());
        binary
    }
}

/// Waits for something that must come soon.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} does not happen");
}

/// A folder with whatever a server leaves behind, and how it is started there.
pub(crate) struct Site {
    example: Example,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    variables: BTreeMap<String, String>,
}

impl Site {
    pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
        self.variables.insert(name.into(), text.into());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.example.binary());
        command.current_dir(self.folder.path()).env_clear().envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it greets.
    pub(crate) fn start(&self) -> Server {
        Server::of(self.command(), self)
    }

    /// Runs a server that must not start: its code and what it says on stderr.
    pub(crate) fn fail(&self, mut command: Command) -> (Option<i32>, String) {
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// The mails that were sent, by their files' names.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("mails")) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    /// The mail to somebody.
    pub(crate) fn mail(&self, to: &str) -> String {
        let to = format!("To: {to}\r\n");
        eventually("the mail", || self.mails().into_iter().find(|mail| mail.contains(&to)))
    }

    /// One column of all rows of a table.
    pub(crate) async fn column(&self, sql: &'static str) -> Vec<String> {
        let rows = sqlx::query(sql).fetch_all(&mut self.database(true).await).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Changes rows beside the server, and says how many.
    pub(crate) async fn execute(&self, sql: &'static str) -> u64 {
        sqlx::query(sql).execute(&mut self.database(false).await).await.unwrap().rows_affected()
    }

    async fn database(&self, read_only: bool) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("auth.db")).read_only(read_only);
        options.connect().await.unwrap()
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call { site: self, method: method.into(), path: path.into(), headers: String::new(), body: String::new() }
    }

    pub(crate) fn sign_up(&self, email: &str) -> Answer {
        self.call("POST", "/api/auth/signup/").json(&serde_json::json!({ "email": email, "password": PASSWORD })).send()
    }

    pub(crate) fn log_in(&self, email: &str) -> Answer {
        self.call("POST", "/api/auth/login/").json(&serde_json::json!({ "email": email, "password": PASSWORD })).send()
    }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) greeting: Vec<String>,
    /// All that was printed so far.
    pub(crate) printed: Arc<Mutex<String>>,
    log: PathBuf,
}

impl Server {
    pub(crate) fn of(mut command: Command, site: &Site) -> Self {
        let log = site.path("stderr.log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeting: Vec<_> = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert!(greeting.len() == 5, "{greeting:?} {}", fs::read_to_string(&log).unwrap());
        let printed = Arc::new(Mutex::new(String::new()));
        let more = printed.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writeln!(more.lock().unwrap(), "{line}").unwrap();
            }
        });
        Self { child, greeting, printed, log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks the server to end, and how it did, within so many seconds.
    pub(crate) fn end(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let status = eventually("the end", || self.child.try_wait().unwrap());
        assert!(!self.log().contains("panicked"), "{}", self.log());
        status
    }
}

/// No server outlives its test.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Call<'a> {
    site: &'a Site,
    method: String,
    path: String,
    headers: String,
    body: String,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.headers, "{name}: {value}\r\n").unwrap();
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.header("Content-Type", "application/json")
    }

    pub(crate) fn jar(self, jar: &BTreeMap<String, String>) -> Self {
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.header("Cookie", &cookies.join("; "))
    }

    pub(crate) fn send(self) -> Answer {
        self.try_send().expect("no answer")
    }

    /// `None` when the connection was closed without an answer.
    pub(crate) fn try_send(self) -> Option<Answer> {
        let Self { site, method, path, headers, body } = self;
        let mut stream = TcpStream::connect(site.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}", site.address);
        // A server that has heard enough may close early; what it said is still to be read.
        let _ = write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::parse(&bytes)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Some(Self {
            status: status.split(' ').nth(1)?.parse().ok()?,
            headers: headers.lines().filter_map(header).collect(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The cookies that were set.
    pub(crate) fn jar(&self) -> BTreeMap<String, String> {
        let cookies = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs = cookies.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// The link in a mail, as it stands there.
pub(crate) fn link(mail: &str) -> String {
    mail.split_whitespace()
        .find(|word| word.starts_with("http"))
        .unwrap_or_else(|| panic!("no link in {mail}"))
        .to_owned()
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}
