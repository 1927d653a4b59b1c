//! What is logged, kept for a test to read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::Subscriber;
use tracing::subscriber::DefaultGuard;

/// Lines of the log, of every level. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Those of this thread, while the guard lives: for a runtime that has no other.
    pub(crate) fn of_this_thread() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let guard = tracing::subscriber::set_default(logs.subscriber());
        (logs, guard)
    }

    /// Those of every thread of the process, other tests' threads included.
    pub(crate) fn of_all_threads() -> Self {
        static LOGS: OnceLock<Logs> = OnceLock::new();
        let install = || {
            let logs = Self::default();
            tracing::subscriber::set_global_default(logs.subscriber()).unwrap();
            logs
        };
        LOGS.get_or_init(install).clone()
    }

    /// Takes out the lines so far.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }

    fn subscriber(&self) -> impl Subscriber + use<> {
        let logs = self.clone();
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        lines.with_writer(move || logs.clone()).finish()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
