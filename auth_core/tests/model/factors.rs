//! The model's second factors: what is set up, what is enrolled, and which codes of it still count.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_core::Reason;
use auth_core::port::{Clock as _, MailPurpose};
use auth_core::testing::ManualClock;
use auth_core::types::UserStatus;

use super::account::{Mail, Model, Principal, Shown, Step};
use super::common::MINUTE;

/// The size of a set of backup codes.
pub(crate) const CODES: usize = 10;

/// The factors that an account lists, and what their rows hold.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    pub(crate) totp: Totp,
    pub(crate) codes: Codes,
    /// The version that their enrolment led to. A replacement keeps it.
    pub(crate) since: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Totp {
    /// Which of the authenticators that were ever set up.
    pub(crate) authenticator: usize,
    last_step: u64,
    /// The number of writes of its row.
    writes: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Codes {
    /// Which of the sets of backup codes that were ever shown, and those of it that are left.
    pub(crate) set: Option<usize>,
    left: BTreeSet<usize>,
    writes: u64,
}

/// The factors that one change took off.
#[derive(Clone, Debug)]
pub(crate) struct Retired {
    /// The version that the change led to.
    pub(crate) until: u32,
    pub(crate) factors: Factors,
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
    pub(crate) by: Principal,
    pub(crate) account: usize,
    version: u32,
    begun: Duration,
    end: Duration,
    pub(crate) taken: bool,
    /// Unknown until a principal has it.
    pub(crate) token: Option<String>,
}

/// A text that is typed where a code is asked for.
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

/// The right to replace an authenticator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Right {
    /// A code of now of the old authenticator, which is one that was ever set up.
    Totp(usize),
    /// A password and a backup code.
    Backup(usize, usize, usize),
}

impl Right {
    /// The code of it.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Totp(old) => Code::Totp(old, 0),
            Self::Backup(_, set, number) => Code::Backup(set, number),
        }
    }
}

impl Factors {
    /// The numbers of writes of the rows of the authenticator and of the codes.
    pub(crate) fn writes(&self) -> (u64, u64) {
        (self.totp.writes, self.codes.writes)
    }

    /// Returns the rows after a right code; `None` for a wrong or a used one.
    fn spend(&self, code: Code, now: Duration) -> Option<Self> {
        let mut after = self.clone();
        match code {
            Code::Totp(authenticator, steps) => {
                after.totp.last_step = step_at(now, steps);
                after.totp.writes += 1;
                let right = authenticator == self.totp.authenticator && steps.abs() <= 1;
                (right && after.totp.last_step > self.totp.last_step).then_some(after)
            }
            Code::Backup(set, number) => {
                after.codes.writes += 1;
                (Some(set) == self.codes.set && after.codes.left.remove(&number)).then_some(after)
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
    /// A code as it is typed.
    pub(crate) fn text(&self, code: Code, clock: &ManualClock) -> String {
        match code {
            Code::Totp(with, steps) => self.authenticators[with].1.code_at(clock, steps),
            Code::Backup(set, number) => self.code_sets[set].1[number].clone(),
            Code::Wrong => "ABCDEFGH".to_owned(),
        }
    }

    /// The authenticator of an account, if it is this principal's.
    pub(crate) fn authenticator_of(&self, by: Principal, account: usize) -> Option<usize> {
        let number = self.accounts[account].factors.as_ref()?.totp.authenticator;
        (self.authenticators[number].0 == by).then_some(number)
    }

    /// Takes note of backup codes that a principal was just shown.
    pub(crate) fn learn_codes(&mut self, by: Principal, account: usize, codes: Vec<String>) {
        self.code_sets.push((by, codes));
        let set = self.code_sets.len() - 1;
        self.accounts[account].factors.as_mut().unwrap().codes.set = Some(set);
    }
}

impl Step {
    fn factors(&mut self) -> Option<Factors> {
        self.account().factors.clone()
    }

    /// The account's version goes up, and its owner is told why.
    fn change_factors(&mut self, factors: Option<Factors>, purpose: MailPurpose) {
        let account = self.account();
        account.version += 1;
        let until = account.version;
        let old = std::mem::replace(&mut account.factors, factors);
        account.retired.extend(old.map(|factors| Retired { until, factors }));
        self.notify_owner(purpose);
    }

    /// The rows are those after the code was used, whatever becomes of the rest.
    pub(crate) fn spend(&mut self, code: Code) -> Result<(), Reason> {
        let now = self.after.now;
        let spent = self.factors().and_then(|factors| factors.spend(code, now)).ok_or(Reason::InvalidCode)?;
        self.factors = Some(spent.clone());
        self.account().factors = Some(spent);
        Ok(())
    }

    pub(crate) fn set_up(&mut self, token: usize, replace: bool) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        match (self.factors(), replace) {
            (Some(_), false) => return Err(Reason::TwoFactorEnabled),
            (None, true) => return Err(Reason::TwoFactorDisabled),
            _ => {}
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

    /// The authenticator that the session set up, if its code is the one of now.
    fn first_code(&mut self, session: usize, authenticator: usize) -> Result<Totp, Reason> {
        let now = self.after.now;
        let session = &mut self.after.sessions[session];
        let set_up = session.set_up.clone().filter(|set_up| now < set_up.end).ok_or(Reason::TwoFactorNotSetUp)?;
        if set_up.authenticator != authenticator {
            return Err(Reason::InvalidCode);
        }
        Ok(Totp { authenticator, last_step: step_at(now, 0), writes: 0 })
    }

    /// With the code of now of an authenticator.
    pub(crate) fn enable(&mut self, token: usize, authenticator: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.factors().is_some() {
            return Err(Reason::TwoFactorEnabled);
        }
        let totp = self.first_code(session, authenticator)?;
        self.after.sessions[session].set_up = None;
        let (now, shown) = (self.after.now, self.after.sessions[session].shown);
        let codes = Codes { set: None, left: (0..CODES).collect(), writes: 0 };
        let factors = Factors { totp, codes, since: self.account().version + 1 };
        self.change_factors(Some(factors), MailPurpose::TwoFactorEnabled);
        self.open_session(Shown { totp: Some(now), ..shown }, true);
        Ok(())
    }

    /// With the code of now of the new authenticator.
    pub(crate) fn replace(&mut self, token: usize, authenticator: usize, right: Right) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.factors().is_none() {
            return Err(Reason::TwoFactorDisabled);
        }
        let totp = self.first_code(session, authenticator)?;
        match right {
            Right::Totp(old) => self.spend(Code::Totp(old, 0))?,
            Right::Backup(password, _, _) if self.account().password != Some(password) => {
                return Err(Reason::WrongPassword);
            }
            Right::Backup(_, set, number) => {
                self.spend(Code::Backup(set, number))?;
                let to = self.account().email.unwrap();
                self.mail(to, MailPurpose::BackupCodeUsed);
            }
        }
        self.after.sessions[session].set_up = None;
        let (now, shown) = (self.after.now, self.after.sessions[session].shown);
        let factors = Factors { totp, ..self.factors().unwrap() };
        self.change_factors(Some(factors), MailPurpose::TwoFactorReplaced);
        self.open_session(Shown { totp: Some(now), ..shown.recently(now) }, true);
        Ok(())
    }

    pub(crate) fn disable(&mut self, token: usize, password: usize, authenticator: usize) -> Result<(), Reason> {
        let mut session = 0;
        self.within(token, None, |_, number| session = number)?;
        if self.factors().is_none() {
            return Err(Reason::TwoFactorDisabled);
        }
        if self.account().password != Some(password) {
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
        let mut factors = self.factors().ok_or(Reason::TwoFactorDisabled)?;
        if self.account().password != Some(password) {
            return Err(Reason::InvalidCredentials);
        }
        if self.after.sessions[session].shown.recently(self.after.now).totp.is_none() {
            return Err(Reason::ReauthenticationRequired);
        }
        factors.codes = Codes { set: None, left: (0..CODES).collect(), writes: factors.codes.writes + 1 };
        self.factors = Some(factors.clone());
        self.account().factors = Some(factors);
        let to = self.account().email.unwrap();
        self.mail(to, MailPurpose::BackupCodesReplaced);
        Ok(())
    }

    /// The right password of an account with two factors.
    pub(crate) fn first_step(&mut self) {
        let (by, account, version) = (self.by, self.subject.unwrap(), self.account().version);
        let begun = self.after.now;
        let pending = Pending { by, account, version, begun, end: begun + 5 * MINUTE, taken: false, token: None };
        self.after.pendings.push(pending);
    }

    pub(crate) fn second_step(&mut self, number: usize, code: Code) -> Result<(), Reason> {
        let (now, pending) = (self.after.now, self.after.pendings[number].clone());
        self.subject = Some(pending.account);
        let fits = self.account().is_active() && self.account().version == pending.version;
        if !fits || !pending.waits(now) {
            return Err(Reason::PendingSessionInvalid);
        }
        let (account, to, version) = (pending.account, self.account().email.unwrap(), pending.version);
        if let Err(wrong) = self.spend(code) {
            // Once an hour.
            self.possible.push(Mail { account, to, purpose: MailPurpose::SecondFactorFailed, version });
            return Err(wrong);
        }
        if let Code::Backup(..) = code {
            self.mail(to, MailPurpose::BackupCodeUsed);
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

    pub(crate) fn reset_factors(&mut self, number: usize) -> Result<(), Reason> {
        self.subject = Some(number);
        let account = self.account();
        if account.gone || account.status == UserStatus::Deleted {
            return Err(Reason::UserNotFound);
        }
        if let Some(factors) = account.factors.take() {
            account.version += 1;
            account.retired.push(Retired { until: account.version, factors });
        }
        Ok(())
    }
}
