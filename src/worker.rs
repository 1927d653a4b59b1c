//! What runs beside the requests: sending mails, and keeping the view of revocations fresh.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use auth_core::AuthSystem;
use auth_core::policy::InvalidSetting;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long the outbox rests at most: mails that were put off, or queued by other nodes, are found by then.
const MAIL_PAUSE: Duration = Duration::from_secs(5);
/// How long a shutdown waits for mails.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// The tasks of one account system. They end when this is dropped.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(crate) fn none() -> Self {
        Self { stop: watch::Sender::new(false), tasks: Mutex::default() }
    }

    /// Starts the tasks on the current runtime.
    pub(crate) fn start(system: &AuthSystem) -> Result<Self, InvalidSetting> {
        let runtime = Handle::try_current()
            .map_err(|_| InvalidSetting::new("runtime", "build inside a tokio runtime, or `without_workers()`"))?;
        let workers = Self::none();
        let tasks = [
            runtime.spawn(until_stopped(workers.stop.subscribe(), send_mails(system.clone()))),
            runtime.spawn(until_stopped(workers.stop.subscribe(), follow_revocations(system.clone()))),
        ];
        workers.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(workers)
    }

    /// Ends the tasks and sends what waits, within bounds.
    pub(crate) async fn shutdown(&self, system: &AuthSystem) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if tasks.is_empty() {
            return;
        }
        for task in tasks {
            // A task that panicked has ended, too.
            let _ = task.await;
        }
        let flush = async { while !deliver(system).await {} };
        if timeout(SHUTDOWN_PATIENCE, flush).await.is_err() {
            tracing::warn!(target: "auth", "mails are left in the outbox; the next start sends them");
        }
    }
}

/// Runs a task until told to stop or until nobody is left to tell.
///
/// A mail that is being sent at that moment is dropped with its future: its lease ends and another worker sends it.
async fn until_stopped(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}

async fn send_mails(system: AuthSystem) {
    loop {
        let queued = system.mail_queued();
        if deliver(&system).await {
            tokio::select! {
                () = queued => {}
                () = sleep(MAIL_PAUSE) => {}
            }
        }
    }
}

/// One round; true when there is nothing more to do for now.
async fn deliver(system: &AuthSystem) -> bool {
    match system.deliver_mail().await {
        Ok(delivery) => delivery.is_idle(),
        Err(error) => {
            tracing::warn!(target: "auth", %error, "the outbox does not answer");
            true
        }
    }
}

/// Polls twice within the allowed lag, so that requests seldom have to.
async fn follow_revocations(system: AuthSystem) {
    let pause = system.policy().revocation_lag / 2;
    loop {
        if let Err(error) = system.sync_revocations(pause / 2).await {
            tracing::warn!(target: "auth", %error, "revocations could not be read; requests wait");
        }
        sleep(pause).await;
    }
}
