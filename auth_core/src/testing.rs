//! Parts for tests: a clock to turn by hand, a hasher that costs nothing, a mailer and a sink that remember.
//!
//! **Never for production**: the hasher does not protect passwords.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::port::{
    Clock, Event, EventSink, HashError, Mail, MailError, MailLink, MailPurpose, Mailer, PasswordHasher, Random,
    RandomError, Ticket, Verdict,
};
use crate::token::RootSecret;
use crate::types::{Password, PasswordHash, TenantId, Timestamp};

/// A root secret of any text, the well-known ones of tests included: [`RootSecret::parse`] refuses those.
pub fn root_secret(text: &str) -> RootSecret {
    RootSecret::unchecked(text)
}

/// Builds a root secret of any bytes, like [`root_secret`].
pub fn root_secret_of(bytes: &[u8]) -> RootSecret {
    RootSecret::unchecked_bytes(bytes)
}

/// A clock that moves when told to. Clones are one clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    micros: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self { micros: Arc::new(AtomicI64::new(1_767_225_600_000_000)) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

/// **Insecure.** Keeps passwords as they are, so that tests of everything else are quick.
#[derive(Clone, Debug, Default)]
pub struct InsecurePlainHasher {
    checks: Arc<AtomicU64>,
    compared: Arc<AtomicU64>,
}

impl InsecurePlainHasher {
    /// How often it was asked to hash or verify: the flow's expensive work.
    pub fn work(&self) -> u64 {
        self.checks.load(Ordering::SeqCst)
    }

    /// Returns the number of comparisons of a password with a stored hash, which are the guesses that could succeed.
    pub fn compared(&self) -> u64 {
        self.compared.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PasswordHasher for InsecurePlainHasher {
    fn admit(&self, lane: u128) -> Result<Ticket, HashError> {
        Ok(Ticket::new(lane, ()))
    }

    async fn hash(&self, _ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        Ok(PasswordHash::new(format!("$plain${}", password.expose())))
    }

    async fn verify(
        &self,
        _ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        self.compared.fetch_add(u64::from(hash.is_some()), Ordering::SeqCst);
        let matches =
            |scheme: &str| hash.is_some_and(|hash| hash.expose().strip_prefix(scheme) == Some(password.expose()));
        Ok(match (matches("$plain$"), matches("$old$")) {
            (true, _) => Verdict::Match,
            (_, true) => Verdict::MatchOutdated,
            _ => Verdict::Mismatch,
        })
    }
}

/// A mail as [`RecordingMailer`] saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// The recipient.
    pub to: String,
    /// What about.
    pub purpose: MailPurpose,
    /// The user and the token of its link.
    pub link: Option<(String, String)>,
    /// The sign-up that it tells of: the client address, and the user and the token of the link that denies it.
    pub sign_up: Option<(Option<IpAddr>, (String, String))>,
}

/// A mailer that keeps what it is given. Clones are one mailer.
#[derive(Clone, Debug, Default)]
pub struct RecordingMailer {
    sent: Arc<Mutex<Vec<SentMail>>>,
    down: Arc<AtomicBool>,
}

impl RecordingMailer {
    /// Takes out all mails so far.
    pub fn take(&self) -> Vec<SentMail> {
        std::mem::take(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets every delivery fail, or succeed again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[async_trait]
impl Mailer for RecordingMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(MailError::Transient("the mail server is down".into()));
        }
        let parts = |link: &MailLink| (link.user.to_string(), link.token.expose().to_owned());
        let sign_up = mail.sign_up.as_ref().map(|sign_up| (sign_up.from, parts(&sign_up.denial)));
        let link = mail.link.as_ref().map(parts);
        let mail = SentMail { to: mail.to.to_string(), purpose: mail.purpose, link, sign_up };
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        Ok(())
    }
}

/// A sink that keeps the events. Clones are one sink.
#[derive(Clone, Debug, Default)]
pub struct RecordingEvents {
    events: Arc<Mutex<Vec<Event>>>,
}

impl RecordingEvents {
    /// Takes out all events so far.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for RecordingEvents {
    fn record(&self, _tenant: &TenantId, event: &Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// **Insecure.** A counter in place of randomness: distinct values, the same in every run.
#[derive(Debug, Default)]
pub struct InsecureCountingRandom {
    next: AtomicU64,
}

impl Random for InsecureCountingRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        for chunk in bytes.chunks_mut(8) {
            // A splitmix step spreads the counter over all bits.
            let mut z = self.next.fetch_add(1, Ordering::SeqCst).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
