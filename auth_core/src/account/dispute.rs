//! Two takings-back in opposite directions. The mailbox that loses an account by a taking-back is told, and can object.

use super::not_me::TakenBack;
use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::factor::code::wrong_code;
use crate::policy::{Disputes, Policy};
use crate::port::{Event, MailPurpose, UserChange, UserKey};
use crate::token::SealedLink;
use crate::types::{Dispute, Email, Timestamp, TokenVersion, User, UserId, UserStatus};

/// The sides of a taking-back: the address that got the account, and the addresses that lost it.
struct Sides {
    home: Email,
    rival: Email,
    /// Further addresses that lost the account while the dispute was open, or when it began.
    displaced: Vec<Email>,
    /// The version that the first change led to.
    from: TokenVersion,
    /// Whether the account is shut already.
    open: bool,
}

impl Sides {
    /// Reads them from the account, for a link that a side of them got.
    fn of(user: &User, link: &SealedLink, now: Timestamp) -> Option<Self> {
        let in_time = now < link.expires_at && user.status != UserStatus::Deleted;
        // An operator who changed the account since then has decided the dispute.
        let sides = match user.dispute() {
            Some(Dispute { home, rival, displaced, from, .. }) => {
                Self { home: home.clone(), rival: rival.clone(), displaced: displaced.clone(), from: *from, open: true }
            }
            None => {
                let contestable = user.recoveries.contestable(link.token_version, &link.email);
                // An address that has the account by an even older notice does not object to itself.
                let (from, home) = contestable.filter(|(_, home)| **home != link.email)?;
                Self { home: home.clone(), rival: link.email.clone(), displaced: Vec::new(), from, open: false }
            }
        };
        let is_side = sides.all().any(|side| *side == link.email);
        Some(sides).filter(|_| in_time && is_side)
    }

    fn all(&self) -> impl Iterator<Item = &Email> {
        [&self.home, &self.rival].into_iter().chain(&self.displaced)
    }

    /// Returns the address that the account moves away from, if the account had moved on to one that is no side.
    fn third<'u>(&self, user: &'u User) -> Option<&'u Email> {
        Some(&user.email).filter(|email| self.all().all(|side| side != *email))
    }
}

impl Request<'_> {
    /// Objects to a taking-back, with the link that the address got which lost the account.
    ///
    /// A code of a second factor that was on before the first change decides at once: the account goes to the side that
    /// shows it. Without a code the account is shut, and both sides are told.
    pub(crate) async fn contest(
        &self,
        user: &UserId,
        link: &SealedLink,
        code: Option<&str>,
    ) -> Result<TakenBack, Error> {
        let mut shown = false;
        until_won!({
            let now = self.ports().clock.now();
            let found = self.ports().users.find(self.tenant(), UserKey::Id(user)).await?;
            let user = found.ok_or(Reason::LinkInvalid)?;
            let sides = Sides::of(&user, link, now).ok_or(Reason::LinkInvalid)?;
            match code {
                Some(code) => {
                    // Spent once: a second round finds the factor still listed, or the code was of none that counts.
                    let before = with_older_factors(&user, sides.from);
                    if before.factors.is_empty() || (!shown && self.spend_code(&before, code).await?.is_none()) {
                        return Err(wrong_code());
                    }
                    shown = true;
                    self.decide_for(&user, &sides, &link.email, now).await
                }
                None if sides.open => {
                    let field = FieldError { field: "code", reason: FieldReason::Required };
                    Err(Error::invalid_fields(vec![field]))
                }
                None => self.shut_for(&user, &sides, now).await,
            }
        })
    }

    /// Gives the account to the side that showed a second factor. Returns `None` when the row changed meanwhile.
    ///
    /// The other sides have had their say. An address that the account moved on to meanwhile can still object.
    async fn decide_for(
        &self,
        user: &User,
        sides: &Sides,
        winner: &Email,
        now: Timestamp,
    ) -> Result<Option<TakenBack>, Error> {
        let moved = user.email != *winner;
        if !self.make_way(&user.id, winner).await? {
            return Err(Reason::LinkInvalid.into());
        }
        if moved {
            self.keep_address(user).await?;
        }
        let change = give_to(winner, user, sides, now, self.policy());
        let Some(changed) = self.commit(user, change).await? else { return Ok(None) };
        let gone: Vec<_> = user.factors.iter().filter(|it| !changed.factors.contains(it)).cloned().collect();
        self.remove_credentials(&user.tenant, &gone).await;
        Ok(Some(TakenBack::Restored))
    }

    /// Shuts the account for both sides. It goes back to the address that was verified longest, by a reset once the time
    /// is over, or by an operator. Returns `None` when the row changed meanwhile.
    async fn shut_for(&self, user: &User, sides: &Sides, now: Timestamp) -> Result<Option<TakenBack>, Error> {
        if !self.make_way(&user.id, &sides.home).await? {
            return Err(Reason::LinkInvalid.into());
        }
        if user.email != sides.home {
            self.keep_address(user).await?;
        }
        let change = shut(user, sides, now, self.policy());
        Ok(self.commit(user, change).await?.map(|_| TakenBack::Disputed))
    }
}

/// The change that gives an account to the side that showed a second factor.
fn give_to(winner: &Email, user: &User, sides: &Sides, now: Timestamp, policy: &Policy) -> Change {
    let reopens = user.dispute().is_some_and(|dispute| dispute.reopens);
    let older = with_older_factors(user, sides.from).factors;
    let moved = user.email != *winner;
    let third = sides.third(user);
    let recoveries =
        user.recoveries.with(sides.from, user.token_version.next(), now, policy.not_me_link_lifetime).settled();
    let write = UserChange {
        email: moved.then(|| winner.clone()),
        email_verified_at: moved.then_some(Some(now)),
        status: reopens.then_some(UserStatus::Active),
        password_hash: Some(None),
        factors: Some(older).filter(|older| older.len() < user.factors.len()),
        recoveries: Some(match third {
            Some(third) => recoveries.moved_from(third, winner),
            None => recoveries,
        }),
        ..UserChange::default()
    };
    let mut change =
        Change::new(Event::DisputeSettled { user: user.id }, write).notify(MailPurpose::ResetPassword, winner);
    for loser in sides.all().filter(|side| *side != winner) {
        change = change.notify(MailPurpose::DisputeSettled, loser);
    }
    if let Some(third) = third {
        change = change.notify(MailPurpose::AddressLost, third);
    }
    change
}

/// The change that shuts an account for both sides, until a reset at its home address opens it.
fn shut(user: &User, sides: &Sides, now: Timestamp, policy: &Policy) -> Change {
    let moved = user.email != sides.home;
    let reopens = user.status != UserStatus::Disabled;
    let ends = now + policy.not_me_link_lifetime;
    let version = user.token_version.next();
    let dispute = Dispute {
        home: sides.home.clone(),
        rival: sides.rival.clone(),
        displaced: sides.third(user).cloned().into_iter().collect(),
        from: sides.from,
        version,
        until: (reopens && policy.disputes == Disputes::Wait).then_some(ends),
        reopens,
    };
    let (waits, claimants) = (dispute.until.is_some(), dispute.claimants().cloned().collect::<Vec<_>>());
    let write = UserChange {
        email: moved.then(|| sides.home.clone()),
        status: Some(UserStatus::Disabled),
        password_hash: Some(None),
        recoveries: Some(user.recoveries.disputed(dispute)),
        ..UserChange::default()
    };
    let mut change = Change::new(Event::TakingBackDisputed { user: user.id }, write);
    if waits {
        change = change.notify_at(ends, MailPurpose::ResetPassword, &sides.home);
    }
    for claimant in &claimants {
        change = change.notify(MailPurpose::AccountDisputed, claimant);
    }
    change
}

/// Adds to a reset of the password at the address that keeps a disputed account: once the time is over, it opens the account
/// and ends the dispute. Before that, the dispute goes on. Returns the addresses that lost it, if it ends.
pub(super) fn settle_by_reset(user: &User, write: &mut UserChange, now: Timestamp) -> Option<Vec<Email>> {
    let dispute = user.dispute()?;
    if dispute.until.is_none_or(|until| until > now) {
        let version = user.token_version.next();
        write.recoveries = Some(user.recoveries.disputed(Dispute { version, ..dispute.clone() }));
        return None;
    }
    write.status = Some(UserStatus::Active);
    write.recoveries = Some(user.recoveries.clone().settled());
    Some(dispute.claimants().filter(|claimant| **claimant != user.email).cloned().collect())
}

/// The account with those of its second factors alone that were on before a change.
fn with_older_factors(user: &User, change: TokenVersion) -> User {
    let now = user.token_version;
    let is_older = |since: TokenVersion| now.since(since) > now.since(change);
    let factors = user.factors.iter().filter(|factor| is_older(factor.since)).cloned().collect();
    User { factors, ..user.clone() }
}
