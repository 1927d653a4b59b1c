//! Servers that a test may kill: a process of its own on a free port, with its files in a temporary folder.

#![allow(clippy::disallowed_methods, reason = "other processes take the time of a clock on the wall")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// A PostgreSQL that waits for the disk at each commit, as by default.
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let initialised = postgres("initdb", folder.path())
            .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .status();
        assert!(initialised.unwrap().success());
        let port = free_port();
        let process = Self::spawn(folder.path(), port);
        let server = Self { folder, port, process };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// All its processes at once, as by a power cut.
    pub(crate) fn kill(&mut self) {
        let children = children(self.process.id());
        kill(self.process.id());
        children.iter().copied().for_each(kill);
        self.process.wait().unwrap();
        let gone = || !children.iter().any(|child| is_alive(*child));
        wait_until("the processes of PostgreSQL did not end", gone);
    }

    /// After [`kill`](Self::kill): returns as soon as it takes connections.
    pub(crate) fn restart(&mut self) {
        self.process = Self::spawn(self.folder.path(), self.port);
        self.wait();
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        let mut server = postgres("postgres", folder);
        server.args(["-D", "data", "-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "max_connections=100"]).spawn().unwrap()
    }

    fn wait(&self) {
        let port = self.port.to_string();
        let mut ready = postgres("pg_isready", self.folder.path());
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port]);
        wait_until("PostgreSQL did not start", || ready.status().unwrap().success());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of its programs, which refuse to be run by root.
fn postgres(program: &str, folder: &Path) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let newest = versions.map(|version| version.unwrap().path()).max_by_key(|path| number(path.as_path())).unwrap();
    let program = newest.join("bin").join(program);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn number(version: &Path) -> u32 {
    version.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

fn children(process: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Of a process that may be gone.
fn kill(process: u32) {
    let process = rustix::process::Pid::from_raw(process.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn wait_until(otherwise: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
