//! The main job, as a newcomer gets it: the example server as a process of its own, over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a step that fails fails its test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// The server in a folder of its own. It dies with this value, as by a power cut.
struct Server {
    child: Child,
    address: SocketAddr,
    greeting: String,
    /// Kept open: the server says goodbye.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/axum");
    assert!(program.exists(), "{} is missing: `cargo build --features full --example axum`", program.display());
    program
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(folder)
        .env_clear()
        .env("AUTH_MAIL", "dir:mails")
        .env("RUST_LOG", "warn")
        .env("AUTH_THROTTLE", "off");
    command
}

impl Server {
    fn start(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = command(folder).env("AUTH_BIND", address.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !greeting.contains("Ctrl-C") && stdout.read_line(&mut greeting).unwrap() > 0 {}
        Self { child, address, greeting, _stdout: stdout }
    }

    fn send(&self, method: &str, path: &str, cookies: &str, body: Option<Value>) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !cookies.is_empty() {
            head += &format!("Cookie: {cookies}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        // The server may refuse and close before it has read everything.
        let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn post(&self, path: &str, cookies: &str, body: Option<Value>) -> Answer {
        self.send("POST", &format!("/api/auth/{path}"), cookies, body)
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The cookies that it sets, as the next request sends them.
    fn cookies(&self) -> String {
        let set = self.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        set.collect::<Vec<_>>().join("; ")
    }
}

/// The path and query of the one link in the one mail that there is, waited for.
fn mailed_link(folder: &Path, email: &str) -> String {
    for _ in 0..300 {
        let mails = fs::read_dir(folder.join("mails")).into_iter().flatten();
        let texts = mails.filter_map(|mail| fs::read_to_string(mail.ok()?.path()).ok());
        if let Some(text) = texts.into_iter().find(|text| text.contains(email)) {
            let link = text.split_whitespace().find(|word| word.contains("/verify-account?")).unwrap();
            return link.split_once("/verify-account").unwrap().1.to_owned();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no mail to {email}");
}

#[test]
fn a_newcomer_signs_up_logs_in_stays_in_and_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    for (name, value) in [("Open", server.address.to_string().as_str()), ("Database", "auth.db"), ("Key", "auth.key")] {
        assert!(
            server.greeting.lines().any(|line| line.starts_with(name) && line.contains(value)),
            "{}",
            server.greeting
        );
    }
    for (path, kind) in [("/", "text/html"), ("/verify-account", "text/html"), ("/assets/app.js", "text/javascript")] {
        let page = server.send("GET", path, "", None);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.head.contains(kind) && page.head.contains("content-security-policy: default-src 'self'"));
    }
    let credentials = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(server.post("signup/", "", Some(credentials.clone())).status, 201);
    let link = mailed_link(folder.path(), "ada@example.org");
    assert_eq!(server.send("GET", &format!("/api/auth/verify-account/{link}"), "", None).status, 200);
    let first = server.post("login/", "", Some(credentials)).cookies();
    assert!(server.send("GET", "/api/hello", &first, None).body.contains("Hello"));
    assert_eq!(server.send("GET", "/api/hello", "", None).status, 401);
    let second = server.post("refresh/", &first, None).cookies();
    assert_eq!(server.send("GET", "/api/auth/me/", &second, None).status, 200);

    let flood = "x=y; ".repeat(200_000);
    assert!([431, 0].contains(&server.send("GET", "/api/auth/me/", &flood, None).status));
    assert_eq!(server.post("logout/", &second, None).status, 200);
    assert_eq!(server.send("GET", "/api/hello", &second, None).status, 401);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = fs::metadata(folder.path().join("auth.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let asked = Command::new("kill").arg(server.child.id().to_string()).status().unwrap();
        assert!(asked.success() && server.child.wait().unwrap().success(), "SIGTERM ends it cleanly");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let email = format!("user{round}@example.org");
        let credentials = json!({ "email": email, "password": PASSWORD });
        let server = Server::start(folder.path());
        assert_eq!(server.post("signup/", "", Some(credentials.clone())).status, 201);
        drop(server);
        let server = Server::start(folder.path());
        // A mail that was under way at that moment waits for the end of its lease; who is in a hurry asks again.
        let again = json!({ "email": email });
        assert_eq!(server.post("resend-verification/", "", Some(again)).status, 200);
        let link = mailed_link(folder.path(), &email);
        assert_eq!(server.send("GET", &format!("/api/auth/verify-account/{link}"), "", None).status, 200, "{round}");
        assert_eq!(server.post("login/", "", Some(credentials)).status, 200);
    }
}

#[test]
fn settings_that_cannot_be_end_it_with_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("AUTH_SECRET", "short"),
        ("AUTH_BIND", "nowhere"),
        ("AUTH_DATABASE_URL", "mysql://x"),
        ("AUTH_MAIL", "pigeon"),
        ("AUTH_PROFILE", "rails"),
        ("AUTH_ACCESS_LIFETIME", "0"),
    ] {
        let ended = command(folder.path()).env(name, value).output().unwrap();
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{name}");
        assert!(!words.contains("panicked") && words.trim().lines().count() == 1, "{name}: {words}");
    }
}
