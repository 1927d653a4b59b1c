use std::time::Duration;

use crate::AuthSystem;
use crate::error::Error;
use crate::port::{ClaimedMail, Event, Mail, MailError, MailLink, MailPurpose, Settlement, StoreError, UserKey};
use crate::token::LinkPurpose;
use crate::types::{Timestamp, User};

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
/// Intents a round.
const BATCH: usize = 20;
/// The first and the longest wait between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2 * 60 * 60));

impl AuthSystem {
    /// Sends what is due, up to a batch. The worker calls this; nothing in a request does.
    ///
    /// The account is looked up and the link derived here, so neither waits in the outbox, and an account that changed
    /// since gets what fits its present state.
    ///
    /// # Errors
    /// `unavailable` when a store is down; what was claimed becomes due again when its lease ends.
    pub async fn deliver_mail(&self) -> Result<Delivery, Error> {
        let now = self.ports().clock.now();
        let mut delivery = Delivery::default();
        for claim in self.ports().outbox.claim(now, LEASE, BATCH).await? {
            let outcome = self.deliver(&claim).await?;
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

    async fn deliver(&self, claim: &ClaimedMail) -> Result<Outcome, StoreError> {
        let intent = &claim.intent;
        let user = self.ports().users.find(&intent.tenant, UserKey::Email(&intent.to)).await?;
        let Some(mail) = user.and_then(|user| self.compose(claim, &user)) else { return Ok(Outcome::Dropped) };
        Ok(match self.ports().mailer.send(&mail).await {
            Ok(()) => Outcome::Sent,
            Err(MailError::Transient(why)) if claim.tries < self.policy().mail_attempts => {
                Outcome::Delayed { until: self.ports().clock.now() + backoff(claim.tries), why: why.to_string() }
            }
            Err(error) => Outcome::Dead { why: error.to_string() },
        })
    }

    /// The mail for the account as it is now; `None` when there is nothing to say any more.
    fn compose(&self, claim: &ClaimedMail, user: &User) -> Option<Mail> {
        let policy = self.policy();
        let link = match claim.intent.purpose {
            MailPurpose::VerifyEmail if user.is_verified() || !user.is_active() => return None,
            MailPurpose::VerifyEmail => Some((LinkPurpose::VerifyEmail, policy.verify_link_lifetime)),
            MailPurpose::SetPassword if user.is_verified() => return None,
            MailPurpose::SetPassword | MailPurpose::ResetPassword => {
                Some((LinkPurpose::SetPassword, policy.reset_link_lifetime))
            }
            MailPurpose::AccountExists => None,
        };
        let link = link.map(|(purpose, lifetime)| {
            let token = self.tokens().link(purpose, user, self.ports().clock.now() + lifetime);
            MailLink { user: user.id, token, lifetime }
        });
        let ClaimedMail { intent, .. } = claim;
        Some(Mail {
            id: claim.id,
            tenant: intent.tenant,
            to: user.email.clone(),
            purpose: intent.purpose,
            locale: intent.locale,
            link,
        })
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
