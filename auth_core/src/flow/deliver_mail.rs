use std::time::Duration;

use crate::AuthSystem;
use crate::error::Error;
use crate::port::{
    ClaimedMail, Event, Mail, MailError, MailLink, MailMatter, MailPurpose, Settlement, StoreError, UserKey,
};
use crate::token::{LinkPurpose, SealedLink, SealedPurpose};
use crate::types::{Email, Timestamp, User, UserStatus};

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
        let mail = match self.compose(claim).await {
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

    /// The mail for the account as it is now.
    async fn compose(&self, claim: &ClaimedMail) -> Result<Content, StoreError> {
        let intent = &claim.intent;
        let key = intent.about.as_ref().map_or(UserKey::Email(&intent.to), |about| UserKey::Id(&about.user));
        let user = self.ports().users.find(&intent.tenant, key).await?;
        let Some(user) = user.filter(|user| user.status != UserStatus::Deleted) else { return Ok(Content::Nothing) };
        Ok(match intent.about {
            None => self.compose_by_address(claim, &user),
            Some(about) if intent.purpose == MailPurpose::ChangeEmail => {
                let other = self.ports().users.find(&intent.tenant, UserKey::Email(&intent.to)).await?;
                self.compose_change(claim, &user, about, other)
            }
            Some(about)
                if matches!(
                    intent.purpose,
                    MailPurpose::SecondFactorFailed | MailPurpose::BackupCodesReplaced | MailPurpose::BackupCodeUsed
                ) =>
            {
                self.compose_warning(claim, &user, about)
            }
            Some(about) if intent.purpose == MailPurpose::PasswordOff => {
                // A password that was set since is not off.
                let over = user.token_version != about.token_version || !user.is_active();
                if over { Content::Nothing } else { Content::mail(claim, intent.purpose, &user.email, None) }
            }
            Some(about) if user.token_version.next() == about.token_version => Content::NotYet,
            Some(about) if intent.purpose == MailPurpose::ResetPassword => self.compose_reset(claim, &user, about),
            Some(about) => self.compose_notice(claim, &user, about),
        })
    }

    /// A mail to whoever has the address.
    fn compose_by_address(&self, claim: &ClaimedMail, user: &User) -> Content {
        let policy = self.policy();
        let link = match claim.intent.purpose {
            MailPurpose::VerifyEmail if user.is_verified() || !user.is_active() => return Content::Nothing,
            MailPurpose::VerifyEmail => Some((LinkPurpose::VerifyEmail, policy.verify_link_lifetime)),
            // Verified by another link meanwhile is not enough: its owner still waits for a way to a password.
            MailPurpose::SetPassword if user.is_verified() && user.password_hash.is_some() => return Content::Nothing,
            MailPurpose::SetPassword | MailPurpose::ResetPassword => {
                Some((LinkPurpose::SetPassword, policy.reset_link_lifetime))
            }
            MailPurpose::AccountExists => None,
            // About an account that is not named.
            _ => return Content::Nothing,
        };
        let link = link.map(|(purpose, lifetime)| {
            let token = self.tokens().link(purpose, user, self.ports().clock.now() + lifetime);
            MailLink { user: user.id, token, lifetime }
        });
        Content::mail(claim, claim.intent.purpose, &user.email, link)
    }

    /// The link to a new address; if that belongs to somebody by now, they are told instead.
    fn compose_change(&self, claim: &ClaimedMail, user: &User, about: MailMatter, other: Option<User>) -> Content {
        let to = &claim.intent.to;
        if user.token_version != about.token_version || !user.is_active() || user.email == *to {
            return Content::Nothing;
        }
        match other {
            Some(other) if other.status == UserStatus::Deleted => Content::Nothing,
            Some(other) => Content::mail(claim, MailPurpose::EmailTaken, &other.email, None),
            None => {
                let lifetime = self.policy().change_email_link_lifetime;
                let link = self.sealed(SealedPurpose::ChangeEmail, claim, about, lifetime);
                Content::mail(claim, MailPurpose::ChangeEmail, to, Some(link))
            }
        }
    }

    /// Tells an address of a change that was made, with a way to take it back.
    fn compose_notice(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        let (purpose, to) = (claim.intent.purpose, &claim.intent.to);
        // Another change may have led to this version, and the announced one lost to it.
        let lost = match purpose {
            MailPurpose::EmailChanged => user.email == *to,
            MailPurpose::EmailConfirmed => user.email != *to,
            _ => false,
        };
        if self.is_stale(claim)
            || user.recoveries.cover(about.token_version)
            || (lost && user.token_version == about.token_version)
        {
            return Content::Nothing;
        }
        let link = match purpose {
            MailPurpose::EmailConfirmed => None,
            _ => Some(self.sealed(SealedPurpose::NotMe, claim, about, self.policy().not_me_link_lifetime)),
        };
        Content::mail(claim, purpose, to, link)
    }

    /// Whether a notice waited so long that its link would be over, had it been sent at once. One that an operator revived
    /// must not get a fresh link: what was taken back is remembered no longer than links work.
    fn is_stale(&self, claim: &ClaimedMail) -> bool {
        let queued = claim.id.0.get_timestamp().and_then(|time| i64::try_from(time.to_unix().0).ok());
        let age = queued.map(|seconds| self.ports().clock.now().since(Timestamp::from_seconds(seconds)));
        age.is_some_and(|age| age > self.policy().not_me_link_lifetime)
    }

    /// The way to a password for the owner of an account that was taken back.
    fn compose_reset(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        // Whoever has the address now, if it could not be restored, did not ask for this.
        if user.email != claim.intent.to || user.token_version != about.token_version {
            return Content::Nothing;
        }
        self.compose_by_address(claim, user)
    }

    /// Tells of what only somebody who knows the password can do. No change is to be taken back but those to come: what
    /// the account has stays.
    fn compose_warning(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        let over = match claim.intent.purpose {
            // Whatever ended the sessions meanwhile, the codes are somebody's.
            MailPurpose::BackupCodesReplaced => user.factors.is_empty() || self.is_stale(claim),
            // It was used, whatever happened to the factor since.
            MailPurpose::BackupCodeUsed => self.is_stale(claim),
            _ => user.token_version != about.token_version,
        };
        if over {
            return Content::Nothing;
        }
        let next = MailMatter { token_version: about.token_version.next(), ..about };
        let link = self.sealed(SealedPurpose::NotMe, claim, next, self.policy().not_me_link_lifetime);
        Content::mail(claim, claim.intent.purpose, &claim.intent.to, Some(link))
    }

    fn sealed(
        &self,
        purpose: SealedPurpose,
        ClaimedMail { intent, .. }: &ClaimedMail,
        MailMatter { user, token_version }: MailMatter,
        lifetime: Duration,
    ) -> MailLink {
        let expires_at = self.ports().clock.now() + lifetime;
        let link = SealedLink { email: intent.to.clone(), token_version, expires_at };
        MailLink { user, token: self.tokens().sealed_link(purpose, intent.tenant, user, &link), lifetime }
    }
}

/// What an intent comes to.
enum Content {
    Mail(Mail),
    Nothing,
    NotYet,
}

impl Content {
    fn mail(
        ClaimedMail { id, intent, .. }: &ClaimedMail,
        purpose: MailPurpose,
        to: &Email,
        link: Option<MailLink>,
    ) -> Self {
        let (tenant, locale) = (intent.tenant, intent.locale);
        Self::Mail(Mail { id: *id, tenant, to: to.clone(), purpose, locale, link })
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
