use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use auth_core::port::RandomError;
use auth_core::types::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::hash::{Argon2Params, PasswordScheme, Pepper};

/// Stands still until a test moves it.
#[derive(Default)]
struct StillClock(AtomicU64);

impl StillClock {
    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Every salt differs from the last.
struct Counter(AtomicU64);

impl Random for Counter {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, next)| *byte = *next);
        Ok(())
    }
}

/// Hands a hash `$probe$WHAT` to a test's closure.
struct Probe<F>(F);

impl<F: Fn(&str) -> Result<bool, HashFault> + Send + Sync + 'static> PasswordScheme for Probe<F> {
    fn prefixes(&self) -> &[&'static str] {
        &["$probe$"]
    }

    fn verify(&self, _: &str, encoded: &str) -> Result<bool, HashFault> {
        (self.0)(encoded.trim_start_matches("$probe$"))
    }
}

fn config(threads: usize, queue: usize) -> HashConfig {
    HashConfig { params: Argon2Params::insecure_for_tests(), threads, queue, ..HashConfig::default() }
}

fn start(config: HashConfig, clock: Arc<StillClock>) -> Arc<HashPool> {
    Arc::new(HashPool::start(config, clock, Arc::new(Counter(AtomicU64::new(1)))).unwrap())
}

fn start_with_probe(
    mut config: HashConfig,
    probe: impl Fn(&str) -> Result<bool, HashFault> + Send + Sync + 'static,
) -> Arc<HashPool> {
    config.legacy.push(Box::new(Probe(probe)));
    start(config, Arc::default())
}

fn password() -> Password {
    Password::new("correct horse").unwrap()
}

/// Checks the hash `$probe$WHAT` in a task of its own, which is queued when this returns.
async fn probe(pool: &Arc<HashPool>, lane: u128, what: &str) -> JoinHandle<Answer<Verdict>> {
    let before = pool.stats();
    let (own, hash) = (Arc::clone(pool), PasswordHash::new(format!("$probe${what}")));
    let task = tokio::spawn(async move { own.verify(own.admit(lane).unwrap(), &password(), Some(&hash)).await });
    until(|| pool.stats() != before).await;
    task
}

async fn until(holds: impl Fn() -> bool) {
    in_time(async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("it takes for ever")
}

/// One thread that is held at `$probe$gate` until the sender speaks, and the names of the probes that ran.
struct Gated {
    pool: Arc<HashPool>,
    clock: Arc<StillClock>,
    open: mpsc::Sender<()>,
    ran: Arc<Mutex<Vec<String>>>,
    gate: JoinHandle<Answer<Verdict>>,
}

async fn gated(queue: usize) -> Gated {
    let (open, gate) = mpsc::channel();
    let (gate, ran, clock) = (Mutex::new(gate), Arc::new(Mutex::new(Vec::new())), Arc::new(StillClock::default()));
    let names = Arc::clone(&ran);
    let probe_scheme = Probe(move |what: &str| {
        names.lock().unwrap().push(what.to_owned());
        if what == "gate" {
            let _ = gate.lock().unwrap().recv();
        }
        Ok(true)
    });
    let mut config = config(1, queue);
    config.legacy.push(Box::new(probe_scheme));
    let pool = start(config, Arc::clone(&clock));
    let gate = probe(&pool, 0, "gate").await;
    until(|| pool.stats().running == 1).await;
    Gated { pool, clock, open, ran, gate }
}

#[tokio::test]
async fn a_hash_matches_its_password_alone() {
    let pool = start(config(1, 8), Arc::default());
    let hash = pool.hash(pool.admit(1).unwrap(), &password()).await.unwrap();
    assert_ne!(hash, pool.hash(pool.admit(1).unwrap(), &password()).await.unwrap(), "each hash has a salt of its own");
    assert_eq!(pool.verify(pool.admit(1).unwrap(), &password(), Some(&hash)).await.unwrap(), Verdict::Match);
    let wrong = Password::new("correct horsf").unwrap();
    assert_eq!(pool.verify(pool.admit(1).unwrap(), &wrong, Some(&hash)).await.unwrap(), Verdict::Mismatch);
    assert_eq!(pool.verify(pool.admit(1).unwrap(), &password(), None).await.unwrap(), Verdict::Mismatch);
    assert_eq!(pool.stats(), HashStats { queued: 0, running: 0, done: 5, refused: 0, mean_wait: Duration::ZERO });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_are_all_answered() {
    let pool = start(config(2, 400), Arc::default());
    let hash = pool.hash(pool.admit(0).unwrap(), &password()).await.unwrap();
    let tasks: Vec<_> = (0..200u128)
        .map(|number| {
            let (pool, hash) = (Arc::clone(&pool), hash.clone());
            tokio::spawn(async move {
                let hash = (number % 3 != 0).then_some(&hash);
                (hash.is_some(), pool.verify(pool.admit(number % 7).unwrap(), &password(), hash).await)
            })
        })
        .collect();
    for task in tasks {
        let (known, verdict) = in_time(task).await.unwrap();
        assert_eq!(verdict.unwrap(), if known { Verdict::Match } else { Verdict::Mismatch });
    }
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running, stats.done, stats.refused), (0, 0, 201, 0));
}

#[tokio::test]
async fn a_lane_waits_behind_itself_alone() {
    let Gated { pool, open, ran, gate, .. } = gated(256).await;
    let mut tasks = vec![gate];
    for _ in 0..100 {
        tasks.push(probe(&pool, 1, "flood").await);
    }
    tasks.push(probe(&pool, 2, "single").await);
    assert_eq!(pool.stats().queued, 101);
    open.send(()).unwrap();
    for task in tasks {
        assert_eq!(in_time(task).await.unwrap().unwrap(), Verdict::MatchOutdated);
    }
    let ran = ran.lock().unwrap();
    assert_eq!(ran[..4], ["gate", "flood", "single", "flood"]);
    assert_eq!(ran.len(), 102);
}

#[tokio::test]
async fn past_the_bounds_calls_are_refused_and_nothing_else_is_lost() {
    let Gated { pool, clock, open, ran, gate } = gated(4).await;
    let first = vec![probe(&pool, 1, "a").await, probe(&pool, 1, "b").await];
    let full = |lane| {
        let pool = Arc::clone(&pool);
        async move {
            match pool.admit(lane) {
                Err(HashError::Overloaded { retry_after }) => retry_after,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(full(1).await, Duration::from_secs(1), "no job is done yet: the least");
    let second = vec![probe(&pool, 2, "c").await, probe(&pool, 3, "d").await];
    assert_eq!(full(4).await, Duration::from_secs(1));
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running, stats.refused), (4, 1, 2));

    clock.advance(10);
    open.send(()).unwrap();
    for task in [gate].into_iter().chain(first).chain(second) {
        assert_eq!(in_time(task).await.unwrap().unwrap(), Verdict::MatchOutdated);
    }
    assert_eq!(*ran.lock().unwrap(), ["gate", "a", "c", "d", "b"]);
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running, stats.done, stats.refused), (0, 0, 5, 2));
    assert_eq!(stats.mean_wait, Duration::from_secs(8), "four of five waited 10 s");

    // Five jobs took 10 s: 2 s each.
    let gate = probe(&pool, 0, "gate").await;
    until(|| pool.stats().running == 1).await;
    let waiting = [probe(&pool, 1, "e").await, probe(&pool, 1, "f").await, probe(&pool, 2, "g").await];
    assert_eq!(full(1).await, Duration::from_secs(6));
    open.send(()).unwrap();
    for task in waiting.into_iter().chain([gate]) {
        assert!(in_time(task).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn retry_after_is_never_beyond_half_a_minute() {
    let Gated { pool, clock, open, gate, .. } = gated(2).await;
    clock.advance(3600);
    open.send(()).unwrap();
    in_time(gate).await.unwrap().unwrap();
    let gate = probe(&pool, 0, "gate").await;
    until(|| pool.stats().running == 1).await;
    let waiting = probe(&pool, 1, "a").await;
    let refused = pool.admit(1);
    let most = Duration::from_secs(30);
    assert!(matches!(refused, Err(HashError::Overloaded { retry_after }) if retry_after == most), "{refused:?}");
    open.send(()).unwrap();
    assert!(in_time(gate).await.unwrap().is_ok() && in_time(waiting).await.unwrap().is_ok());
}

#[tokio::test]
async fn who_goes_away_is_not_hashed_for() {
    let Gated { pool, open, ran, gate, .. } = gated(8).await;
    let gone = probe(&pool, 1, "gone").await;
    let stays = probe(&pool, 1, "stays").await;
    gone.abort();
    assert!(gone.await.is_err());
    open.send(()).unwrap();
    assert!(in_time(gate).await.unwrap().is_ok() && in_time(stays).await.unwrap().is_ok());
    assert_eq!(*ran.lock().unwrap(), ["gate", "stays"]);
    assert_eq!(pool.stats().done, 2);
}

#[tokio::test]
async fn a_panic_fails_its_own_job_alone() {
    let pool = start_with_probe(config(1, 8), |_| panic!("a defect of the scheme"));
    let hash = PasswordHash::new("$probe$secret");
    let failed = in_time(pool.verify(pool.admit(1).unwrap(), &password(), Some(&hash))).await.unwrap_err();
    assert!(matches!(&failed, HashError::Failed(fault) if fault.is::<HashFault>()), "{failed:?}");
    assert!(!format!("{failed} {failed:?}").contains("secret"));
    assert_eq!(in_time(pool.verify(pool.admit(1).unwrap(), &password(), None)).await.unwrap(), Verdict::Mismatch);
    let stats = pool.stats();
    assert_eq!((stats.running, stats.done), (0, 2));
}

#[cfg(feature = "import")]
#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the check waits on a thread of the pool, not on this one")]
async fn checks_that_need_lent_memory_leave_a_thread_to_others() {
    let pool = HashPool::start(config(2, 64), Arc::<StillClock>::default(), Arc::new(Counter(AtomicU64::new(1))));
    let pool = Arc::new(pool.unwrap());
    let scrypt = |lane: u128| {
        let pool = pool.clone();
        let hash = PasswordHash::new(format!("scrypt$2$salt$1$1${}==", "A".repeat(86)));
        tokio::spawn(async move { pool.verify(pool.admit(lane).unwrap(), &password(), Some(&hash)).await })
    };
    // Another hash holds the memory.
    let lent = pool.shared.schemes.spare().turn();
    let heavy: Vec<_> = (1..=8).map(scrypt).collect();
    until(|| pool.stats().running == 1 && pool.stats().queued == 7).await;
    let password = password();
    let other = pool.verify(pool.admit(9).unwrap(), &password, None);
    assert_eq!(in_time(other).await.unwrap(), Verdict::Mismatch);
    assert_eq!((pool.stats().running, pool.stats().queued), (1, 7));
    drop(lent);
    for check in heavy {
        assert_eq!(in_time(check).await.unwrap().unwrap(), Verdict::Mismatch);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_are_named_and_give_way() {
    let (tell, told) = mpsc::channel();
    let pool = start_with_probe(config(1, 8), move |_| {
        let name = thread::current().name().map(str::to_owned);
        let _ = tell.send((name, rustix::process::getpriority_process(None).unwrap()));
        Ok(false)
    });
    let before = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(probe(&pool, 1, "where").await.await.unwrap().unwrap(), Verdict::Mismatch);
    assert_eq!(told.recv().unwrap(), (Some("auth-hash-1".to_owned()), (before + 5).min(19)));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), before, "only the hashing threads");
}

#[tokio::test]
async fn dropping_the_pool_ends_its_threads() {
    let pool = HashPool::start(config(3, 8), Arc::<StillClock>::default(), Arc::new(Counter(AtomicU64::new(1))));
    let pool = pool.unwrap();
    assert!(pool.hash(pool.admit(1).unwrap(), &password()).await.is_ok());
    let shared = Arc::downgrade(&pool.shared);
    assert_eq!(shared.strong_count(), 4);
    drop(pool);
    until(|| shared.strong_count() == 0).await;
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |config| {
        let random = Arc::new(Counter(AtomicU64::new(1)));
        HashPool::start(config, Arc::<StillClock>::default(), random).err().map(|error| error.setting)
    };
    assert_eq!(refused(config(0, 8)), Some("hash.threads"));
    assert_eq!(refused(config(65, 8)), Some("hash.threads"));
    assert_eq!(refused(config(1, 0)), Some("hash.queue"));
    assert_eq!(refused(config(1, 100_001)), Some("hash.queue"));
    assert_eq!(refused(config(64, 100_000)), None);
    assert_eq!(refused(HashConfig::default()), None);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let mut config = config(1, 8);
    config.pepper = Some(Pepper::new(&[("2026", &std::array::from_fn(|i| 200 + i as u8))]).unwrap());
    config.legacy.push(Box::new(Probe(|_: &str| Ok(false))));
    let shown = format!("{config:?}");
    assert!(shown.contains("2026") && shown.contains("$probe$") && !shown.contains("201"), "{shown}");
    let pool = start(config, Arc::default());
    let hash = pool.hash(pool.admit(1).unwrap(), &password()).await.unwrap();
    let shown = format!("{pool:?} {:?} {hash:?}", pool.stats());
    assert!(!shown.contains("argon2id") && !shown.contains("correct") && !shown.contains("201"), "{shown}");
    // The pool uses the pepper that it was given.
    assert!(hash.expose().contains(",keyid=MjAyNg$"));
    assert_eq!(pool.verify(pool.admit(1).unwrap(), &password(), Some(&hash)).await.unwrap(), Verdict::Match);
}
