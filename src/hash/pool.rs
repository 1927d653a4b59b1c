//! The threads that hash, and the queue before them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, thread};

use argon2::Block;
use async_trait::async_trait;
use auth_core::policy::InvalidSetting;
use auth_core::port::{Clock, HashError, PasswordHasher, Random, Ticket, Verdict};
use auth_core::token::KeyId;
use auth_core::types::{Password, PasswordHash};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::queue::{FairQueue, Full};
use super::schemes::Schemes;
use super::{HashConfig, HashFault};

/// Hashes on threads of its own, behind a bounded queue in which lanes take turns.
///
/// Past the bounds a call is refused at once with [`HashError::Overloaded`], whose `retry_after` (1 s to 30 s) is what
/// the queue takes at the average of all jobs so far. A call whose future is dropped is not run. Dropping the pool
/// ends its threads, each after the job at hand.
pub struct HashPool {
    shared: Arc<Shared>,
}

/// What a [`HashPool`] does and did, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashStats {
    /// Jobs that wait, those of callers who went away included.
    pub queued: usize,
    /// Jobs that threads work at.
    pub running: usize,
    /// Jobs that ran to their end, whatever came out.
    pub done: u64,
    /// Calls that found the queue full.
    pub refused: u64,
    /// How long a job waited for a thread, on average over all that got one.
    pub mean_wait: Duration,
}

impl HashPool {
    /// Starts the threads. `clock` measures waiting and work, `random` gives the salts.
    ///
    /// # Errors
    /// [`InvalidSetting`] naming the first of `hash.threads`, `hash.queue`, `hash.legacy` and `hash.params` that is out
    /// of range or, for threads, more than the system gives.
    pub fn start(config: HashConfig, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, InvalidSetting> {
        let HashConfig { params, pepper, legacy, threads, queue } = config;
        if !(1..=64).contains(&threads) {
            return Err(InvalidSetting::new("hash.threads", format!("{threads} is not between 1 and 64")));
        }
        if !(1..=100_000).contains(&queue) {
            return Err(InvalidSetting::new("hash.queue", format!("{queue} is not between 1 and 100000")));
        }
        let schemes = Schemes::new(params, pepper, legacy, random)?;
        let state = State {
            queue: FairQueue::new(queue),
            closing: false,
            running: 0,
            heavy: false,
            done: 0,
            refused: 0,
            waited: Duration::ZERO,
            worked: Duration::ZERO,
        };
        // From here on its drop ends the threads that did start.
        let pool = Self {
            shared: Arc::new(Shared { schemes, clock, threads, state: Mutex::new(state), news: Condvar::new() }),
        };
        for number in 1..=threads {
            let shared = Arc::clone(&pool.shared);
            let started = thread::Builder::new().name(format!("auth-hash-{number}")).spawn(move || work(&shared));
            started.map_err(|error| InvalidSetting::new("hash.threads", format!("{number} cannot start: {error}")))?;
        }
        Ok(pool)
    }

    /// The figures of this moment, for metrics.
    pub fn stats(&self) -> HashStats {
        let state = self.shared.state();
        HashStats {
            queued: state.queue.len(),
            running: state.running,
            done: state.done,
            refused: state.refused,
            mean_wait: mean(state.waited, state.done.saturating_add(state.running as u64)),
        }
    }

    async fn submit<T>(
        &self,
        ticket: Ticket,
        password: &Password,
        task: impl FnOnce(oneshot::Sender<Answer<T>>) -> Task,
    ) -> Answer<T> {
        let lane = ticket.lane();
        let place = match ticket.into_place::<Place>() {
            Some(place) if Arc::ptr_eq(&place.shared, &self.shared) => place,
            _ => self.reserve(lane)?,
        };
        let (reply, answer) = oneshot::channel();
        let (password, task) = (Zeroizing::new(password.expose().to_owned()), task(reply));
        let heavy = matches!(&task, Task::Verify(hash, _) if self.shared.schemes.is_heavy(hash.as_ref()));
        place.fill(Job { password, asked_at: self.shared.clock.monotonic(), heavy, task });
        answer.await.unwrap_or_else(|_| Err(HashFault::NotRun("the pool has ended".into()).into()))
    }

    fn reserve(&self, lane: u128) -> Result<Place, HashError> {
        self.shared.reserve(lane)?;
        Ok(Place { shared: Arc::clone(&self.shared), lane, filled: false })
    }
}

#[async_trait]
impl PasswordHasher for HashPool {
    fn admit(&self, lane: u128) -> Result<Ticket, HashError> {
        self.reserve(lane).map(|place| Ticket::new(lane, place))
    }

    async fn hash(&self, ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError> {
        self.submit(ticket, password, Task::Hash).await
    }

    async fn verify(
        &self,
        ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let hash = hash.cloned();
        self.submit(ticket, password, |reply| Task::Verify(hash, reply)).await
    }

    fn has_pepper(&self, id: &KeyId) -> bool {
        self.shared.schemes.has_pepper(id.as_str().as_bytes())
    }
}

/// A place in the queue, given back unless it is filled.
struct Place {
    shared: Arc<Shared>,
    lane: u128,
    filled: bool,
}

impl Place {
    fn fill(mut self, job: Job) {
        self.filled = true;
        self.shared.state().queue.fill(self.lane, job);
        self.shared.news.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.state().queue.release(self.lane);
        }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.news.notify_all();
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

type Answer<T> = Result<T, HashError>;

struct Job {
    password: Zeroizing<String>,
    /// By the clock's monotonic time.
    asked_at: Duration,
    /// Takes memory that one job has at a time.
    heavy: bool,
    task: Task,
}

enum Task {
    Hash(oneshot::Sender<Answer<PasswordHash>>),
    Verify(Option<PasswordHash>, oneshot::Sender<Answer<Verdict>>),
}

impl Job {
    /// Nobody waits for the answer any more.
    fn abandoned(&self) -> bool {
        match &self.task {
            Task::Hash(reply) => reply.is_closed(),
            Task::Verify(_, reply) => reply.is_closed(),
        }
    }

    fn run(self, schemes: &Schemes, memory: &mut [Block], finished: impl FnOnce()) {
        let password = self.password.as_str();
        match self.task {
            Task::Hash(reply) => answer(reply, || schemes.hash(password, memory), finished),
            Task::Verify(hash, reply) => answer(reply, || schemes.verify(password, hash.as_ref(), memory), finished),
        }
    }
}

fn answer<T>(
    reply: oneshot::Sender<Answer<T>>,
    compute: impl FnOnce() -> Result<T, HashFault>,
    finished: impl FnOnce(),
) {
    // A scheme of the application may panic, and the thread must outlive that. Nothing is left half-changed: the
    // memory is scratch that every hash overwrites first.
    let computed = catch_unwind(AssertUnwindSafe(compute))
        .unwrap_or_else(|_| Err(HashFault::NotRun("the scheme panicked".into())));
    // Counted before it is told, so that whoever has an answer finds it in the figures.
    finished();
    // Fails if the caller went away meanwhile.
    let _ = reply.send(computed.map_err(HashError::from));
}

struct Shared {
    schemes: Schemes,
    clock: Arc<dyn Clock>,
    threads: usize,
    state: Mutex<State>,
    /// A job came, or the end.
    news: Condvar,
}

struct State {
    queue: FairQueue<Job>,
    closing: bool,
    running: usize,
    /// A heavy job runs. Others wait in the queue, and not on the threads, which all jobs share.
    heavy: bool,
    done: u64,
    refused: u64,
    /// By all jobs that a thread took.
    waited: Duration,
    /// At all jobs that are done.
    worked: Duration,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, lane: u128) -> Result<(), HashError> {
        let mut state = self.state();
        if let Err(Full) = state.queue.reserve(lane) {
            state.refused += 1;
            let rounds = u32::try_from(state.queue.len().div_ceil(self.threads)).unwrap_or(u32::MAX);
            let until_empty = mean(state.worked, state.done).saturating_mul(rounds);
            let retry_after = until_empty.clamp(Duration::from_secs(1), Duration::from_secs(30));
            return Err(HashError::Overloaded { retry_after });
        }
        Ok(())
    }

    /// The next job that somebody waits for, and when it was taken. `None` is the end.
    fn next(&self) -> Option<(Job, Duration)> {
        let mut state = self.state();
        while !state.closing {
            let busy = state.heavy;
            match state.queue.pop(|job| !(busy && job.heavy)) {
                Some(job) if job.abandoned() => {}
                Some(job) => {
                    let now = self.clock.monotonic();
                    state.waited += now.saturating_sub(job.asked_at);
                    state.running += 1;
                    state.heavy |= job.heavy;
                    return Some((job, now));
                }
                None => state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        None
    }

    fn finished(&self, heavy: bool, taken_at: Duration) {
        let mut state = self.state();
        state.running -= 1;
        if heavy {
            state.heavy = false;
            // The next one may have been all that another thread was waiting for.
            self.news.notify_one();
        }
        state.done += 1;
        state.worked += self.clock.monotonic().saturating_sub(taken_at);
    }
}

/// What a thread does all its life.
fn work(shared: &Shared) {
    // Requests in flight come before logins. A nice value is a thread's own on Linux (sched(7)), the process's
    // elsewhere. Where it is refused, hashing only competes more.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
    let mut memory = shared.schemes.memory();
    while let Some((job, taken_at)) = shared.next() {
        let heavy = job.heavy;
        job.run(&shared.schemes, &mut memory, || shared.finished(heavy, taken_at));
    }
}

fn mean(total: Duration, count: u64) -> Duration {
    let nanos = total.as_nanos().checked_div(count.into()).unwrap_or(0);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
