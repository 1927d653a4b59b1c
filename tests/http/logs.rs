//! What is logged, kept for a test to read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once, Weak};

use tracing::Subscriber;
use tracing::subscriber::DefaultGuard;

type Lines = Mutex<Vec<u8>>;

/// Lines of the log, of every level. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Lines>);

/// Those that hear every thread, for as long as somebody may read them.
static OF_ALL_THREADS: Mutex<Vec<Weak<Lines>>> = Mutex::new(Vec::new());

impl Logs {
    /// Those of this thread, while the guard lives: for a runtime that has no other.
    pub(crate) fn of_this_thread() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let own = logs.clone();
        let guard = tracing::subscriber::set_default(subscriber(move || own.clone()));
        (logs, guard)
    }

    /// Those of every thread of the process, other tests' threads included.
    pub(crate) fn of_all_threads() -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| tracing::subscriber::set_global_default(subscriber(|| OfAllThreads)).unwrap());
        let logs = Self::default();
        OF_ALL_THREADS.lock().unwrap().push(Arc::downgrade(&logs.0));
        logs
    }

    /// Takes out the lines so far.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

fn subscriber<W: Write>(writer: impl Fn() -> W + Send + Sync + 'static) -> impl Subscriber {
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    lines.with_writer(writer).finish()
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

struct OfAllThreads;

impl Write for OfAllThreads {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OF_ALL_THREADS.lock().unwrap().retain(|lines| match lines.upgrade() {
            Some(lines) => Logs(lines).write_all(bytes).is_ok(),
            None => false,
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
