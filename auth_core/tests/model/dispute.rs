//! The model's takings-back: the changes that they cover, and the two sides of a dispute.

use std::time::Duration;

use auth_core::Reason;
use auth_core::port::MailPurpose;
use auth_core::types::UserStatus;

use super::account::{Account, Mail, Step, whole};
use super::common::DAY;
use super::factors::{Code, Factors};

/// The versions that one taking-back covers, both ends included.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    from: u32,
    to: u32,
    at: Duration,
    contest: Option<Contest>,
}

/// An objection to a taking-back that is still possible.
#[derive(Clone, Copy, Debug)]
struct Contest {
    /// The address that got the account.
    home: usize,
    /// The only address that may object, or `None` for each that lost the account.
    by: Option<usize>,
}

impl Span {
    pub(crate) fn covers(&self, version: u32) -> bool {
        (self.from..=self.to).contains(&version)
    }
}

/// Two or more addresses claim the account, which is shut.
#[derive(Clone, Debug)]
pub(crate) struct Dispute {
    home: usize,
    rival: usize,
    /// Further addresses that lost the account by the dispute, or while it was open.
    displaced: Vec<usize>,
    /// The version of the first change. A factor from before it decides.
    from: u32,
    /// The version that the account has while the dispute goes on.
    version: u32,
    until: Option<Duration>,
    reopens: bool,
}

impl Dispute {
    fn claimants(&self) -> Vec<usize> {
        [&[self.home, self.rival], &self.displaced[..]].concat()
    }

    /// The account goes to another claimant or a further address.
    fn moved_to(mut self, home: usize, version: u32) -> Self {
        let mut claimants = self.claimants();
        claimants.retain(|claimant| *claimant != home);
        self.rival = if home == self.rival { self.home } else { self.rival };
        claimants.retain(|claimant| *claimant != self.rival);
        Self { home, version, displaced: claimants, ..self }
    }
}

impl Account {
    /// The dispute, while the account is as it left it.
    fn standing(&self) -> Option<&Dispute> {
        self.dispute.as_ref().filter(|dispute| dispute.version == self.version && !self.is_active())
    }

    pub(crate) fn is_disputed(&self) -> bool {
        self.standing().is_some()
    }

    /// Whether a reset opens the account that more than one address claims.
    pub(crate) fn is_due_back(&self, now: Duration) -> bool {
        self.standing().is_some_and(|dispute| dispute.until.is_some_and(|until| until <= now))
    }

    pub(crate) fn was_taken_back(&self, version: u32) -> bool {
        self.taken_back.iter().any(|span| span.covers(version))
    }

    fn cover(&mut self, from: u32, at: Duration, contest: Option<Contest>) {
        let mut span = Span { from, to: self.version, at, contest: None };
        let covered = self.taken_back.iter().filter(|old| span.covers(old.to));
        let carried = covered.filter_map(|old| old.contest).next_back();
        self.taken_back.retain(|old| at < old.at + 3 * DAY && !(span.covers(old.from) && span.covers(old.to)));
        span.contest = contest.or(carried);
        self.taken_back.push(span);
    }

    fn settle(&mut self) {
        self.dispute = None;
        self.taken_back.iter_mut().for_each(|span| span.contest = None);
    }

    /// The factors that were on before the changes from this version on.
    fn factors_before(&self, from: u32) -> Option<Factors> {
        let taken_off = self.retired.iter().filter(|retired| (from..=self.version).contains(&retired.until));
        let mut factors = self.factors.clone();
        for retired in taken_off.rev() {
            let older = retired.factors.clone();
            factors = Some(match factors {
                // Rows that are on keep what became of them since.
                Some(now) if now.since == older.since => {
                    let same = now.totp.authenticator == older.totp.authenticator;
                    let totp = if same { now.totp } else { older.totp };
                    Factors { totp, ..now }
                }
                _ => older,
            });
        }
        factors.filter(|factors| factors.since < from)
    }
}

impl Step {
    /// By the link of a notice.
    pub(crate) fn take_back(&mut self, mail: &Mail, in_time: bool) -> Result<(), Reason> {
        let now = self.after.now;
        let account = self.account();
        if !in_time || account.was_taken_back(mail.version) || account.is_deleted() {
            return Err(Reason::LinkInvalid);
        }
        let (left, disputed) = (account.email.unwrap(), account.is_disputed());
        account.version += 1;
        account.password = None;
        account.factors = account.factors_before(mail.version);
        account.cover(mail.version, now, (left != mail.to).then_some(Contest { home: mail.to, by: None }));
        if disputed {
            let dispute = account.dispute.take().map(|dispute| dispute.moved_to(mail.to, account.version));
            account.settle();
            account.dispute = dispute;
        }
        self.relocate(mail.to);
        if left != mail.to {
            self.notify(left, if disputed { MailPurpose::AccountDisputed } else { MailPurpose::AddressLost });
        }
        self.announce_reset(mail.to);
        self.announce_end(mail.to);
        Ok(())
    }

    /// Another way to a password follows when a dispute that goes on ends.
    fn announce_end(&mut self, to: usize) {
        let now = self.after.now;
        let account = self.account();
        let (version, end) = (account.version, account.standing().and_then(|dispute| dispute.until));
        if let (Some(end), Some(account)) = (end.filter(|end| *end > now), self.subject) {
            self.after.later.push((end, Mail { account, to, purpose: MailPurpose::ResetPassword, version }));
        }
    }

    /// The way to a password, which is announced before the change that it follows.
    fn announce_reset(&mut self, to: usize) {
        let reset = self.after.by_address(to, MailPurpose::ResetPassword);
        self.notices.extend(reset);
    }

    /// By the link that an address gets which lost the account, or that is a side of a dispute.
    pub(crate) fn object(&mut self, mail: &Mail, end: Duration, code: Option<Code>) -> Result<(), Reason> {
        self.subject = Some(mail.account);
        let (in_time, account) = (whole(self.after.now) < end, self.account());
        let contest = account.taken_back.iter().find(|span| span.covers(mail.version) && span.contest.is_some());
        let contest = contest.map(|span| (span.from, span.contest.unwrap()));
        // An address that has the account by an even older notice does not object to itself.
        let may_object = |contest: &Contest| contest.home != mail.to && contest.by.is_none_or(|only| only == mail.to);
        let (home, from, sides, open) = match (account.standing(), contest) {
            (Some(dispute), _) => (dispute.home, dispute.from, dispute.claimants(), true),
            (None, Some((from, contest))) if may_object(&contest) => {
                (contest.home, from, vec![contest.home, mail.to], false)
            }
            (None, _) => return Err(Reason::LinkInvalid),
        };
        if !in_time || account.is_deleted() || !sides.contains(&mail.to) {
            return Err(Reason::LinkInvalid);
        }
        match code {
            Some(code) => self.decide(mail.to, &sides, from, code),
            None if open => Err(Reason::InvalidFields),
            None => {
                self.shut(home, mail.to, from);
                Ok(())
            }
        }
    }

    /// A code of a factor that was on before the first change gives the account to the side that shows it. An address that
    /// the account moved on to meanwhile can object to that.
    fn decide(&mut self, winner: usize, sides: &[usize], from: u32, code: Code) -> Result<(), Reason> {
        if self.account().factors.as_ref().is_none_or(|factors| factors.since >= from) {
            return Err(Reason::InvalidCode);
        }
        self.spend(code)?;
        let now = self.after.now;
        let account = self.account();
        if account.standing().is_some_and(|dispute| dispute.reopens) {
            account.status = UserStatus::Active;
        }
        let third = account.email.filter(|email| !sides.contains(email));
        account.version += 1;
        account.password = None;
        account.cover(from, now, None);
        account.settle();
        let contest = third.map(|third| Contest { home: winner, by: Some(third) });
        account.taken_back.last_mut().unwrap().contest = contest;
        self.relocate(winner);
        self.announce_reset(winner);
        for loser in sides.iter().filter(|side| **side != winner) {
            self.notify(*loser, MailPurpose::DisputeSettled);
        }
        if let Some(third) = third {
            self.notify(third, MailPurpose::AddressLost);
        }
        Ok(())
    }

    /// The account is shut, and waits for the address that was verified longest.
    fn shut(&mut self, home: usize, rival: usize, from: u32) {
        let ends = self.after.now + 3 * DAY;
        let account = self.account();
        let reopens = account.status != UserStatus::Disabled;
        let displaced: Vec<_> = account.email.into_iter().filter(|email| ![home, rival].contains(email)).collect();
        account.version += 1;
        account.status = UserStatus::Disabled;
        account.password = None;
        account.settle();
        let version = account.version;
        let until = reopens.then_some(ends);
        let dispute = Dispute { home, rival, displaced, from, version, until, reopens };
        account.dispute = Some(dispute.clone());
        self.relocate(home);
        for claimant in dispute.claimants() {
            self.notify(claimant, MailPurpose::AccountDisputed);
        }
        if reopens {
            let account = self.subject.unwrap();
            let reset = Mail { account, to: home, purpose: MailPurpose::ResetPassword, version };
            self.after.later.push((ends, reset));
        }
    }

    /// A reset ends a dispute once its time is over.
    pub(crate) fn settle_by_reset(&mut self) {
        let now = self.after.now;
        let account = self.account();
        let Some(dispute) = account.standing().cloned() else { return };
        if dispute.until.is_some_and(|until| until <= now) {
            account.status = UserStatus::Active;
            account.settle();
            // Told of the version that the reset leads to.
            let (version, owner) = (account.version + 1, account.email);
            let account = self.subject.unwrap();
            let losers = dispute.claimants().into_iter().filter(|claimant| Some(*claimant) != owner);
            let told = losers.map(|to| Mail { account, to, purpose: MailPurpose::DisputeSettled, version });
            self.notices.extend(told);
        } else {
            account.dispute = Some(Dispute { version: account.version + 1, ..dispute });
        }
    }
}
