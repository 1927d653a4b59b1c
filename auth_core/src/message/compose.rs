//! The content of a mail, which the worker composes from an intent and the account as it is when the mail is sent.

use std::time::Duration;

use crate::Request;
use crate::port::{Audience, ClaimedMail, Mail, MailLink, MailMatter, MailPurpose, MailedSignUp, StoreError, UserKey};
use crate::token::{LinkPurpose, SealedLink, SealedPurpose};
use crate::types::{Email, MailId, Timestamp, User, UserStatus};

impl Request<'_> {
    /// The mail for the account as it is now.
    pub(super) async fn compose(&self, claim: &ClaimedMail) -> Result<Content, StoreError> {
        let (intent, audience) = (&claim.intent, claim.intent.purpose.audience());
        if audience == Audience::FormerAddress {
            let left_by = self.left_by_another(&intent.tenant, &intent.to, None).await?;
            let mail = Content::mail(claim, intent.purpose, &intent.to, None);
            return Ok(left_by.map_or(Content::Nothing, |_| mail));
        }
        let key = intent.about.as_ref().map_or(UserKey::Email(&intent.to), |about| UserKey::Id(&about.user));
        let user = self.ports().users.find(&intent.tenant, key).await?;
        let Some(user) = user.filter(|user| user.status != UserStatus::Deleted) else { return Ok(Content::Nothing) };
        let Some(about) = intent.about else { return Ok(self.compose_by_address(claim, &user)) };
        Ok(match audience {
            Audience::Candidate => self.compose_change(claim, &user, about).await?,
            Audience::Warning => self.compose_warning(claim, &user, about),
            Audience::Lockout => {
                // A password that was set since is not off.
                let over = user.token_version != about.token_version || !user.is_active();
                if over { Content::Nothing } else { Content::mail(claim, intent.purpose, &user.email, None) }
            }
            _ if user.token_version.next() == about.token_version => Content::NotYet,
            Audience::Address => self.compose_reset(claim, &user, about).await?,
            Audience::Dispute => self.compose_dispute(claim, &user, about),
            Audience::Change | Audience::FormerAddress => self.compose_notice(claim, &user, about),
        })
    }

    /// A mail to whoever has the address.
    fn compose_by_address(&self, claim: &ClaimedMail, user: &User) -> Content {
        let policy = self.policy();
        let verify = Some((LinkPurpose::VerifyEmail, policy.verify_link_lifetime));
        let reset = Some((LinkPurpose::SetPassword, policy.reset_link_lifetime));
        // The account as it is may need other words than those that were asked for.
        let (purpose, link) = match (claim.intent.purpose, user.status) {
            (MailPurpose::VerifyEmail, UserStatus::Active) if !user.is_verified() => (MailPurpose::VerifyEmail, verify),
            (
                MailPurpose::AccountExists | MailPurpose::ResetPassword | MailPurpose::SetPassword,
                UserStatus::Disabled,
            ) if !user.is_disputed() => (MailPurpose::AccountDisabled, None),
            (_, UserStatus::Deactivated { .. }) if self.is_lapsed(user) => return Content::Nothing,
            (MailPurpose::AccountExists, UserStatus::Deactivated { .. }) => (MailPurpose::AccountDeactivated, reset),
            (MailPurpose::AccountExists, _) => (MailPurpose::AccountExists, None),
            // Verified by another link meanwhile is not enough: its owner still waits for a way to a password.
            (MailPurpose::SetPassword, _) if user.is_verified() && user.password_hash.is_some() => {
                return Content::Nothing;
            }
            (purpose @ (MailPurpose::SetPassword | MailPurpose::ResetPassword), _) => (purpose, reset),
            // Nothing to verify, or about an account that is not named.
            _ => return Content::Nothing,
        };
        let link = link.map(|(purpose, lifetime)| self.mac_link(purpose, user, lifetime));
        let sign_up = (purpose == MailPurpose::VerifyEmail && user.is_unclaimed()).then(|| MailedSignUp {
            at: user.created_at,
            from: user.claim.from(),
            denial: self.mac_link(LinkPurpose::DenySignUp, user, policy.verify_link_lifetime),
        });
        match Content::mail(claim, purpose, &user.email, link) {
            Content::Mail(mail) => Content::Mail(Mail { sign_up, ..mail }),
            other => other,
        }
    }

    /// A link that depends on the account as it is now.
    fn mac_link(&self, purpose: LinkPurpose, user: &User, lifetime: Duration) -> MailLink {
        let token = self.tokens().link(purpose, user, self.ports().clock.now() + lifetime);
        MailLink { user: user.id, token, lifetime }
    }

    /// The link to a new address. Where a verified account has the address, or left it a short while ago, its mailbox is
    /// told instead. A request that a later one replaced is dropped.
    async fn compose_change(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Result<Content, StoreError> {
        let to = &claim.intent.to;
        let other = self.ports().users.find(&user.tenant, UserKey::Email(to)).await?;
        let serial = self.newest_serial(user, to).await?;
        let left_by = self.left_by_another(&user.tenant, to, Some(&user.id)).await?;
        if user.token_version != about.token_version || !user.is_active() || user.email == *to {
            return Ok(Content::Nothing);
        }
        let Some(serial) = serial else { return Ok(Content::Nothing) };
        Ok(match other.filter(User::is_verified) {
            Some(other) if other.status == UserStatus::Deleted => Content::Nothing,
            Some(other) => Content::mail(claim, MailPurpose::EmailTaken, &other.email, None),
            None if left_by.is_some() => Content::mail(claim, MailPurpose::AddressReserved, to, None),
            None => {
                let lifetime = self.policy().change_email_link_lifetime;
                let link = self.sealed(SealedPurpose::ChangeEmail, claim, about, lifetime, serial);
                Content::mail(claim, MailPurpose::ChangeEmail, to, Some(link))
            }
        })
    }

    /// Tells an address of a change that was made, with a way to take it back.
    fn compose_notice(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        let (purpose, to) = (claim.intent.purpose, &claim.intent.to);
        // Another change may have led to this version, and the announced one lost to it.
        let lost = match purpose {
            MailPurpose::EmailChanged | MailPurpose::EmailSet => user.email == *to,
            MailPurpose::EmailConfirmed => user.email != *to,
            _ => false,
        };
        // A taking-back covers the version that it leads to, and tells of itself.
        let taken_back = purpose != MailPurpose::AccountShut && user.recoveries.cover(about.token_version);
        if self.is_stale(claim) || taken_back || (lost && user.token_version == about.token_version) {
            return Content::Nothing;
        }
        let lifetime = self.policy().not_me_link_lifetime;
        let link = match purpose {
            // An operator's decision, for one, is not for the mailbox that is left to take back.
            _ if purpose.page().is_none() => None,
            // The address is kept from others for as long, counted from the move.
            MailPurpose::EmailChanged => {
                let left = lifetime.saturating_sub(self.age(claim).unwrap_or_default());
                Some(self.sealed(SealedPurpose::NotMe, claim, about, left, vec![]))
            }
            _ => Some(self.sealed(SealedPurpose::NotMe, claim, about, lifetime, vec![])),
        };
        Content::mail(claim, purpose, to, link)
    }

    /// Tells a side of a taking-back of it, with a link that objects or decides.
    fn compose_dispute(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        let (purpose, to) = (claim.intent.purpose, &claim.intent.to);
        let dispute = user.recoveries.dispute();
        // Another change may have led to this version, and the announced one lost to it.
        let stands = match purpose {
            MailPurpose::AddressLost => user.recoveries.contestable(about.token_version, to).is_some(),
            MailPurpose::AccountDisputed => dispute.is_some_and(|it| it.claimants().any(|claimant| claimant == to)),
            _ => dispute.is_none(),
        };
        if !stands || self.is_stale(claim) {
            return Content::Nothing;
        }
        let link = purpose.page().map(|_| {
            let lifetime = self.policy().not_me_link_lifetime.saturating_sub(self.age(claim).unwrap_or_default());
            self.sealed(SealedPurpose::TakenBack, claim, about, lifetime, vec![])
        });
        Content::mail(claim, purpose, to, link)
    }

    /// Whether a notice waited so long that its link would be over, had it been sent at once. One that an operator revived
    /// must not get a fresh link: what was taken back is remembered no longer than links work.
    fn is_stale(&self, claim: &ClaimedMail) -> bool {
        self.age(claim).is_some_and(|age| age > self.policy().not_me_link_lifetime)
    }

    /// The time since a mail was queued, in whole seconds.
    fn age(&self, claim: &ClaimedMail) -> Option<Duration> {
        let queued = i64::try_from(claim.id.0.get_timestamp()?.to_unix().0).ok()?;
        let now = Timestamp::from_seconds(self.ports().clock.now().seconds());
        Some(now.since(Timestamp::from_seconds(queued)))
    }

    /// The way to a password for the owner of an account that was taken back. While the account is disputed, another one
    /// follows when the dispute ends.
    async fn compose_reset(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Result<Content, StoreError> {
        // Whoever has the address now, if it could not be restored, did not ask for this.
        if user.email != claim.intent.to || user.token_version != about.token_version {
            return Ok(Content::Nothing);
        }
        let dispute = user.dispute();
        let end = dispute.and_then(|dispute| dispute.until).filter(|end| *end > self.ports().clock.now());
        if let Some(end) = end {
            // A reset before the end leaves the account shut. The mail that waited for the end may have become one with
            // this one in the outbox.
            let id = MailId(self.new_id().map_err(StoreError::unavailable)?);
            self.ports().outbox.enqueue(id, &claim.intent, end).await?;
        }
        Ok(self.compose_by_address(claim, user))
    }

    /// Tells of what only somebody who knows the password can do. No change is to be taken back but those to come: what
    /// the account has stays.
    fn compose_warning(&self, claim: &ClaimedMail, user: &User, about: MailMatter) -> Content {
        let over = match claim.intent.purpose {
            // A change that ended the sessions meanwhile does not invalidate the new codes.
            MailPurpose::BackupCodesReplaced => user.factors.is_empty() || self.is_stale(claim),
            // The notice holds even if the factor was changed since, because the code was used.
            MailPurpose::BackupCodeUsed => self.is_stale(claim),
            _ => user.token_version != about.token_version,
        };
        if over {
            return Content::Nothing;
        }
        let next = MailMatter { token_version: about.token_version.next(), ..about };
        let link = self.sealed(SealedPurpose::NotMe, claim, next, self.policy().not_me_link_lifetime, vec![]);
        Content::mail(claim, claim.intent.purpose, &claim.intent.to, Some(link))
    }

    fn sealed(
        &self,
        purpose: SealedPurpose,
        ClaimedMail { intent, .. }: &ClaimedMail,
        MailMatter { user, token_version }: MailMatter,
        lifetime: Duration,
        extra: Vec<u8>,
    ) -> MailLink {
        let expires_at = self.ports().clock.now() + lifetime;
        let link = SealedLink { email: intent.to.clone(), token_version, expires_at, extra };
        MailLink { user, token: self.tokens().sealed_link(purpose, intent.tenant, user, &link), lifetime }
    }
}

/// What an intent comes to.
pub(super) enum Content {
    Mail(Mail),
    Nothing,
    /// The change that it reports was not made yet.
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
        Self::Mail(Mail { id: *id, tenant, to: to.clone(), purpose, locale, link, sign_up: None })
    }
}
