use std::time::Duration;

use super::compose::Content;
use crate::AuthSystem;
use crate::error::Error;
use crate::port::{ClaimedMail, Event, MailError, Settlement};
use crate::types::Timestamp;

/// What one round of the outbox did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Mails that the mailer took.
    pub sent: usize,
    /// Intents without anything to send: no such account, or nothing left to verify.
    pub dropped: usize,
    /// Mails that are due again later.
    pub delayed: usize,
    /// Mails that were given up.
    pub dead: usize,
}

impl Delivery {
    /// Whether there was anything to do.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// How long a worker holds an intent. A mailer must answer within; otherwise another worker may send the mail again.
const LEASE: Duration = Duration::from_secs(120);
/// How long a change may take from the notice that is queued in advance to its write.
const CHANGE_TAKES: Duration = Duration::from_secs(60);
/// Intents a round.
const ROUND: usize = 20;
/// The first and the longest wait between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2 * 60 * 60));

impl AuthSystem {
    /// Sends what is due, up to a round. The worker calls this; nothing in a request does.
    ///
    /// The account is looked up and the link derived here, so neither waits in the outbox, and an account that changed
    /// since gets what fits its present state.
    ///
    /// # Errors
    /// `unavailable` when the outbox is down; what was claimed becomes due again when its lease ends.
    pub async fn deliver_mail(&self) -> Result<Delivery, Error> {
        let mut delivery = Delivery::default();
        for _ in 0..ROUND {
            // One at a time, or the last mail of a batch would wait for all others to be sent while its lease runs out.
            let now = self.ports().clock.now();
            let Some(claim) = self.ports().outbox.claim(now, LEASE, 1).await?.pop() else { break };
            let outcome = self.deliver(&claim).await;
            *outcome.count(&mut delivery) += 1;
            if !self.ports().outbox.settle(&claim, outcome.settlement()).await? {
                tracing::warn!(target: "auth", mail = %claim.id, "the lease ended before the mail was settled");
            }
            if let Some(event) = outcome.event(&claim) {
                self.record(&claim.intent.tenant, event);
            }
        }
        Ok(delivery)
    }

    async fn deliver(&self, claim: &ClaimedMail) -> Outcome {
        if claim.tries > self.policy().mail_attempts {
            return Outcome::Dead { why: "no try came to an end".to_owned() };
        }
        let mail = match self.within(claim.intent.tenant).compose(claim).await {
            Ok(Content::Mail(mail)) => mail,
            Ok(Content::Nothing) => return Outcome::Dropped,
            Ok(Content::NotYet) => return self.wait_for_change(claim),
            Err(error) => {
                tracing::warn!(target: "auth", mail = %claim.id, %error, "no account could be looked up for a mail");
                return self.put_off(claim, "the account could not be looked up".to_owned());
            }
        };
        match self.ports().mailer.send(&mail).await {
            Ok(()) => Outcome::Sent,
            Err(error @ MailError::Transient(_)) => self.put_off(claim, error.to_string()),
            Err(error @ MailError::Permanent(_)) => Outcome::Dead { why: error.to_string() },
        }
    }

    fn put_off(&self, claim: &ClaimedMail, why: String) -> Outcome {
        if claim.tries < self.policy().mail_attempts {
            Outcome::Delayed { until: self.ports().clock.now() + backoff(claim.tries), why }
        } else {
            Outcome::Dead { why }
        }
    }

    /// A notice is queued before the change that it reports. Should the change not have come about by the second look,
    /// it never will.
    fn wait_for_change(&self, claim: &ClaimedMail) -> Outcome {
        if claim.tries > 1 {
            return Outcome::Dropped;
        }
        let why = "the change that it reports was not made yet".to_owned();
        Outcome::Delayed { until: self.ports().clock.now() + CHANGE_TAKES, why }
    }
}

enum Outcome {
    Sent,
    Dropped,
    Delayed { until: Timestamp, why: String },
    Dead { why: String },
}

impl Outcome {
    fn count<'a>(&self, delivery: &'a mut Delivery) -> &'a mut usize {
        match self {
            Self::Sent => &mut delivery.sent,
            Self::Dropped => &mut delivery.dropped,
            Self::Delayed { .. } => &mut delivery.delayed,
            Self::Dead { .. } => &mut delivery.dead,
        }
    }

    fn settlement(&self) -> Settlement {
        match self {
            Self::Sent | Self::Dropped => Settlement::Done,
            Self::Delayed { until, .. } => Settlement::Retry(*until),
            Self::Dead { why } => Settlement::Dead(why.clone()),
        }
    }

    fn event(&self, claim: &ClaimedMail) -> Option<Event> {
        let mail = claim.id;
        match self {
            Self::Sent => Some(Event::MailSent { mail, purpose: claim.intent.purpose }),
            Self::Dropped => None,
            Self::Delayed { why, .. } => Some(Event::MailDelayed { mail, tries: claim.tries, why: why.clone() }),
            Self::Dead { why } => Some(Event::MailDead { mail, why: why.clone() }),
        }
    }
}

/// Doubles from try to try.
fn backoff(tries: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(longest)
}
