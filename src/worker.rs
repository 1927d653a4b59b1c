//! What runs beside the requests: sending mails, and keeping the view of revocations fresh.

use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use auth_core::AuthSystem;
use auth_core::error::Error;
use auth_core::policy::InvalidSetting;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::data_keys;

/// How long the outbox rests at most: mails that were put off, or queued by other nodes, are found by then.
const MAIL_PAUSE: Duration = Duration::from_secs(5);
/// How long rows that nobody needs any more wait to be removed.
const SWEEP_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Between two rounds, for the sake of those who wait to write.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// How long a shutdown waits for mails.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a worker rests after a panic, which may come again at once.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// The tasks of one account system. They end when this is dropped.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
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
        let (mails, revocations, rows) = (system.clone(), system.clone(), system.clone());
        let stop = workers.stop.subscribe();
        {
            let mut tasks = workers.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            let send = move || send_mails(mails.clone(), stop.clone());
            tasks.spawn_on(until_done("mails", send), &runtime);
            let follow = move || follow_revocations(revocations.clone());
            tasks.spawn_on(until_stopped(workers.stop.subscribe(), until_done("revocations", follow)), &runtime);
            let sweep = move || sweep(rows.clone());
            tasks.spawn_on(until_stopped(workers.stop.subscribe(), until_done("sweep", sweep)), &runtime);
        }
        Ok(workers)
    }

    /// Sends what waits and ends the tasks, within bounds.
    pub(crate) async fn shutdown(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_PATIENCE, ended).await.is_err() {
            tracing::warn!(target: "auth", "mails are left in the outbox; the next start sends them");
        }
    }
}

/// Ends a task when told to stop.
async fn until_stopped(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}

/// Runs a task to its end. After a panic, of a mailer or a store of the application's own, it starts anew: nobody would
/// notice that no mail goes out any more.
async fn until_done<F: Future<Output = ()> + Send + 'static>(worker: &'static str, task: impl Fn() -> F) {
    loop {
        // A task of its own, which ends with this one.
        let mut run = JoinSet::new();
        run.spawn(task());
        match run.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(target: "auth", worker, "a worker panicked; it starts anew");
                sleep(PANIC_PAUSE).await;
            }
            _ => return,
        }
    }
}

/// Sends mails until told to stop, and then what is left. The mail at hand is never dropped half-sent: its receiver
/// would get it twice, once its lease has ended, or a store in memory would lose it.
async fn send_mails(system: AuthSystem, mut stop: watch::Receiver<bool>) {
    loop {
        let stopping = *stop.borrow();
        let queued = system.mail_queued();
        if deliver(&system).await {
            if stopping {
                return;
            }
            tokio::select! {
                () = queued => {}
                () = sleep(MAIL_PAUSE) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }
}

/// One round; true when there is nothing more to do for now.
async fn deliver(system: &AuthSystem) -> bool {
    match system.deliver_mail().await {
        Ok(delivery) => delivery.is_idle(),
        Err(error) => {
            let cause = error.source().map(tracing::field::display);
            tracing::warn!(target: "auth", %error, cause, "the outbox does not answer");
            true
        }
    }
}

/// Polls twice within the allowed lag, so that requests seldom have to.
async fn follow_revocations(system: AuthSystem) {
    let pause = system.policy().revocation_lag / 2;
    let mut failing = false;
    loop {
        let outcome = system.sync_revocations(pause / 2).await;
        // Once for each outage, not for each poll.
        match &outcome {
            Err(error) if !failing => {
                let cause = error.source().map(tracing::field::display);
                tracing::warn!(target: "auth", %error, cause, "revocations cannot be read: no session is let in");
            }
            Ok(()) if failing => tracing::info!(target: "auth", "revocations are read again"),
            _ => {}
        }
        failing = outcome.is_err();
        sleep(pause).await;
    }
}

/// Removes what is over and looks whether a data key is missing: at the start, and then once an hour.
async fn sweep(system: AuthSystem) {
    loop {
        if let Err(error) = data_keys::check(&system).await {
            tracing::error!(target: "auth", %error, "second factors and passwords that need these keys are refused");
        }
        let more = purge(&system).await;
        sleep(if more { ROUND_PAUSE } else { SWEEP_PAUSE }).await;
    }
}

/// One round; whether there may be more to remove.
async fn purge(system: &AuthSystem) -> bool {
    let accounts = removed("deleted accounts", system.purge_deleted_accounts().await);
    let unverified = removed("unverified accounts", system.purge_unverified_accounts().await);
    let deactivated = removed("deactivated accounts", system.purge_deactivated_accounts().await);
    let sessions = removed("ended sessions", system.purge_ended_sessions().await);
    let addresses = removed("former addresses", system.purge_former_emails().await);
    let factors = removed("retired factors", system.purge_retired_factors().await);
    accounts || unverified || deactivated || sessions || addresses || factors
}

fn removed(what: &'static str, rows: Result<usize, Error>) -> bool {
    match rows {
        Ok(0) => false,
        Ok(rows) => {
            tracing::info!(target: "auth", what, rows, "removed");
            true
        }
        Err(error) => {
            let cause = error.source().map(tracing::field::display);
            tracing::warn!(target: "auth", what, %error, cause, "not removed");
            false
        }
    }
}
