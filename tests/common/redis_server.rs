//! A Redis of a test's own, which it may kill.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::ports::free_port;

/// A Redis without persistence, on a port that stays the same.
pub(crate) struct Redis {
    port: u16,
    folder: tempfile::TempDir,
    settings: Vec<String>,
    process: Child,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings in the words of its command line.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = run(port, &folder, &settings);
        Self { port, folder, settings, process }
    }

    /// SIGKILL: nothing is told, flushed or settled.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again, on the same port, what was killed; answers as soon as it does.
    pub(crate) fn restart(&mut self) {
        self.process = run(self.port, &self.folder, &self.settings);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn run(port: u16, folder: &tempfile::TempDir, settings: &[String]) -> Child {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]).arg("--dir");
    let mut process = command.arg(folder.path()).args(settings).stdout(Stdio::null()).spawn().unwrap();
    for _ in 0..1000 {
        if answers(&port) {
            return process;
        }
        if let Some(status) = process.try_wait().unwrap() {
            panic!("redis-server ended: {status}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("redis-server does not answer");
}

/// Whether it answers anything at all, a demand for a password too.
fn answers(port: &str) -> bool {
    let ping = || {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        stream.read(&mut [0; 16])
    };
    ping().is_ok_and(|length: usize| length > 0)
}
