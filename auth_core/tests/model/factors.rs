//! The model's second factors: what is set up, what is enrolled, and which codes of it still count.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_core::Reason;
use auth_core::port::{Clock as _, MailPurpose};
use auth_core::testing::ManualClock;
use auth_core::types::UserStatus;

use super::account::{Mail, Model, Shown, Step};
use super::common::MINUTE;

/// The size of a set of backup codes.
pub(crate) const CODES: usize = 10;

/// The factors that the account lists, and what their rows hold.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// Which of the authenticators that were ever set up.
    pub(crate) authenticator: usize,
    last_step: u64,
    /// Which of the sets of backup codes that were ever shown, and those of it that are left.
    pub(crate) set: Option<usize>,
    pub(crate) left: BTreeSet<usize>,
    /// The version that their enrolment led to.
    pub(crate) since: u32,
    /// How often the rows of the authenticator and of the codes were written.
    pub(crate) writes: (u64, u64),
}

/// An authenticator that waits for its first code.
#[derive(Clone, Debug)]
pub(crate) struct SetUp {
    pub(crate) authenticator: usize,
    end: Duration,
}

/// A login that waits for its second step.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    version: u32,
    begun: Duration,
    end: Duration,
    pub(crate) taken: bool,
    /// Unknown while nobody holds it.
    pub(crate) token: Option<String>,
}

/// What somebody types at the second step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Code {
    /// Of an authenticator, so many steps from now.
    Totp(usize, i64),
    /// Of a set of backup codes.
    Backup(usize, usize),
    Wrong,
}

/// The step of a time, as RFC 6238 counts.
fn step_at(now: Duration, steps: i64) -> u64 {
    let seconds = ManualClock::new().now().seconds() + i64::try_from(now.as_secs()).unwrap();
    u64::try_from(seconds / 30 + steps).unwrap()
}

impl Factors {
    /// What the rows are after a right code; `None` for a wrong or a used one.
    fn spend(&self, code: Code, now: Duration) -> Option<Self> {
        let mut after = self.clone();
        match code {
            Code::Totp(authenticator, steps) => {
                after.last_step = step_at(now, steps);
                after.writes.0 += 1;
                let right = authenticator == self.authenticator && steps.abs() <= 1;
                (right && after.last_step > self.last_step).then_some(after)
            }
            Code::Backup(set, number) => {
                after.writes.1 += 1;
                (Some(set) == self.set && after.left.remove(&number)).then_some(after)
            }
            Code::Wrong => None,
        }
    }
}

impl Pending {
    pub(crate) fn waits(&self, now: Duration) -> bool {
        !self.taken && now < self.end
    }
}

impl Model {
    fn factors(&self) -> Option<&Factors> {
        self.account.as_ref()?.factors.as_ref()
    }

    /// A code as it is typed.
    pub(crate) fn text(&self, code: Code, clock: &ManualClock) -> String {
        match code {
            Code::Totp(with, steps) => self.authenticators[with].code_at(clock, steps),
            Code::Backup(set, number) => self.code_sets[set][number].clone(),
            Code::Wrong => "ABCDEFGH".to_owned(),
        }
    }

    /// The code of now of the account's authenticator, if it has one.
    pub(crate) fn code_of_now(&self, clock: &ManualClock) -> Option<String> {
        self.factors().map(|factors| self.text(Code::Totp(factors.authenticator, 0), clock))
    }

    /// Takes note of backup codes that were just shown.
    pub(crate) fn learn_codes(&mut self, codes: Vec<String>) {
        self.code_sets.push(codes);
        let set = self.code_sets.len() - 1;
        self.account().factors.as_mut().unwrap().set = Some(set);
    }
}

impl Step {
    /// The account's version goes up, and its owner is told why.
    fn change_factors(&mut self, factors: Option<Factors>, purpose: MailPurpose) {
        let account = self.after.account();
        account.version += 1;
        let old = std::mem::replace(&mut account.factors, factors);
        account.retired.extend(old.map(|factors| (account.version, factors)));
        let to = account.email;
        self.notify(to, purpose);
    }

    /// The rows are those after the code was used, whatever becomes of the rest.
    pub(crate) fn spend(&mut self, code: Code) -> Result<(), Reason> {
        let now = self.after.now;
        let spent = self.after.factors().and_then(|factors| factors.spend(code, now)).ok_or(Reason::InvalidCode)?;
        self.factors = Some(spent.clone());
        self.after.account().factors = Some(spent);
        Ok(())
    }

    pub(crate) fn set_up(&mut self, token: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.after.factors().is_some() {
            return Err(Reason::TwoFactorEnabled);
        }
        let (now, authenticator) = (self.after.now, self.after.authenticators.len());
        let session = &mut self.after.sessions[session];
        let shown = session.shown.recently(now);
        if shown.password.or(shown.totp).is_none() {
            return Err(Reason::ReauthenticationRequired);
        }
        session.set_up = Some(SetUp { authenticator, end: now + 10 * MINUTE });
        session.set_up_unknown = false;
        Ok(())
    }

    /// With the code of now of an authenticator.
    pub(crate) fn enable(&mut self, token: usize, authenticator: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.after.factors().is_some() {
            return Err(Reason::TwoFactorEnabled);
        }
        let (now, shown) = (self.after.now, self.after.sessions[session].shown);
        let set_up = self.after.sessions[session].set_up.clone().filter(|set_up| now < set_up.end);
        let set_up = set_up.ok_or(Reason::TwoFactorNotSetUp)?;
        if set_up.authenticator != authenticator {
            return Err(Reason::InvalidCode);
        }
        self.after.sessions[session].set_up = None;
        let version = self.after.version() + 1;
        let factors = Factors {
            authenticator,
            last_step: step_at(now, 0),
            set: None,
            left: (0..CODES).collect(),
            since: version,
            writes: (0, 0),
        };
        self.change_factors(Some(factors), MailPurpose::TwoFactorEnabled);
        self.open_session(Shown { totp: Some(now), ..shown }, true);
        Ok(())
    }

    pub(crate) fn disable(&mut self, token: usize, password: usize, authenticator: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.after.factors().is_none() {
            return Err(Reason::TwoFactorDisabled);
        }
        if self.after.account().password != Some(password) {
            return Err(Reason::InvalidCredentials);
        }
        self.spend(Code::Totp(authenticator, 0))?;
        self.change_factors(None, MailPurpose::TwoFactorDisabled);
        self.renew(session);
        Ok(())
    }

    pub(crate) fn regenerate(&mut self, token: usize, password: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        let mut factors = self.after.factors().cloned().ok_or(Reason::TwoFactorDisabled)?;
        if self.after.account().password != Some(password) {
            return Err(Reason::InvalidCredentials);
        }
        if self.after.sessions[session].shown.recently(self.after.now).totp.is_none() {
            return Err(Reason::ReauthenticationRequired);
        }
        factors.set = None;
        factors.left = (0..CODES).collect();
        factors.writes.1 += 1;
        self.factors = Some(factors.clone());
        self.after.account().factors = Some(factors);
        let (to, version) = (self.after.account().email, self.after.version());
        self.mails.push(Mail { to, purpose: MailPurpose::BackupCodesReplaced, version });
        Ok(())
    }

    /// The right password of an account with two factors.
    pub(crate) fn first_step(&mut self) {
        let (version, begun) = (self.after.version(), self.after.now);
        let pending = Pending { version, begun, end: begun + 5 * MINUTE, taken: false, token: None };
        self.after.pendings.push(pending);
    }

    pub(crate) fn second_step(&mut self, number: usize, code: Code) -> Result<(), Reason> {
        let (now, pending) = (self.after.now, self.after.pendings[number].clone());
        let fits = self.after.active() && self.after.version() == pending.version;
        if !fits || !pending.waits(now) {
            return Err(Reason::PendingSessionInvalid);
        }
        if let Err(wrong) = self.spend(code) {
            let (to, version) = (self.after.account().email, pending.version);
            // Once an hour.
            self.possible.push(Mail { to, purpose: MailPurpose::SecondFactorFailed, version });
            return Err(wrong);
        }
        if let Code::Backup(..) = code {
            let to = self.after.account().email;
            self.mails.push(Mail { to, purpose: MailPurpose::BackupCodeUsed, version: pending.version });
        }
        self.after.pendings[number].taken = true;
        let shown = Shown { password: Some(pending.begun), ..Shown::default() };
        self.open_session(
            match code {
                Code::Backup(..) => Shown { backup_code: Some(now), ..shown },
                Code::Totp(..) | Code::Wrong => Shown { totp: Some(now), ..shown },
            },
            true,
        );
        Ok(())
    }

    pub(crate) fn reset_factors(&mut self) -> Result<(), Reason> {
        let Some(account) = &mut self.after.account else { return Ok(()) };
        if account.status == UserStatus::Deleted {
            return Err(Reason::UserNotFound);
        }
        if let Some(factors) = account.factors.take() {
            account.version += 1;
            account.retired.push((account.version, factors));
        }
        Ok(())
    }
}
