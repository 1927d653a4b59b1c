//! The model: accounts, their sessions and their mails as they ought to be.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::Reason;
use auth_core::port::{Clock as _, MailPurpose};
use auth_core::testing::ManualClock;
use auth_core::types::{SessionId, UserStatus};

use super::common::{ADA, Authenticator, DAY, Link, MINUTE, SECOND};
use super::dispute::{Dispute, Span};
use super::factors::{Factors, Pending, Retired, SetUp};
use super::ops::{Fixed, Op};

pub(crate) const PASSWORDS: [&str; 3] = ["the first password", "the second password", "the third password"];
/// The last one is for the end of a life.
pub(crate) const ADDRESSES: [&str; 4] = [ADA, "shared@example.org", "eve@example.org", "fresh@example.org"];

/// A person with a mailbox, sessions, authenticators and backup codes. Passwords are guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    Ada,
    Eve,
}

impl Principal {
    /// Each has a mailbox of their own. The one between is Ada's too, and Eve broke into it.
    pub(crate) fn reads(self, mailbox: usize) -> bool {
        match self {
            Self::Ada => mailbox <= 1,
            Self::Eve => mailbox >= 1,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Which of [`ADDRESSES`]; `None` for an account that gave way or whose row is gone.
    pub(crate) email: Option<usize>,
    /// Its row was removed.
    pub(crate) gone: bool,
    pub(crate) created: Duration,
    pub(crate) verified: bool,
    pub(crate) status: UserStatus,
    pub(crate) password: Option<usize>,
    /// Counted from the account's beginning.
    pub(crate) version: u32,
    pub(crate) name: Option<u8>,
    pub(crate) factors: Option<Factors>,
    /// Factors that were taken off.
    pub(crate) retired: Vec<Retired>,
    /// The changes that not-me links took back.
    pub(crate) taken_back: Vec<Span>,
    pub(crate) dispute: Option<Dispute>,
    /// The newest request for a change of address, as its store keeps it.
    pub(crate) newest: Option<Vec<u8>>,
}

/// Times count from the start of the world, which is a whole second.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) account: usize,
    /// Unknown until a principal has its tokens.
    pub(crate) id: Option<SessionId>,
    version: u32,
    pub(crate) generation: u32,
    rotated: Duration,
    /// Whether the current token was presented and answered as it is.
    pub(crate) presented: bool,
    idle_end: Duration,
    end: Duration,
    pub(crate) shown: Shown,
    /// Both factors were given when the session, or the one that it took the place of, was made.
    pub(crate) two_factors: bool,
    pub(crate) ended: bool,
    pub(crate) set_up: Option<SetUp>,
    /// A set-up broke off, so it is unknown which one waits.
    pub(crate) set_up_unknown: bool,
}

/// When each method was last shown in a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) password: Option<Duration>,
    pub(crate) totp: Option<Duration>,
    pub(crate) backup_code: Option<Duration>,
}

impl Shown {
    /// The methods that were shown a short while ago.
    pub(crate) fn recently(self, now: Duration) -> Self {
        let recent = |at: &Duration| now - *at <= 15 * MINUTE;
        Self {
            password: self.password.filter(recent),
            totp: self.totp.filter(recent),
            backup_code: self.backup_code.filter(recent),
        }
    }

    /// Whether tokens of the session say that more than one factor was given.
    pub(crate) fn is_multi_factor(self) -> bool {
        self.password.is_some() && self.totp.or(self.backup_code).is_some()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) session: usize,
    /// The principals that have the tokens.
    pub(crate) holders: Vec<Principal>,
    generation: u32,
    pub(crate) access_end: Duration,
    pub(crate) refresh_end: Duration,
    pub(crate) tokens: Tokens,
}

/// The tokens that a login hands out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tokens {
    pub(crate) session: SessionId,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A mail and the version that its link was made under, or that its notice reports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mail {
    pub(crate) account: usize,
    pub(crate) to: usize,
    pub(crate) purpose: MailPurpose,
    pub(crate) version: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Mailed {
    pub(crate) mail: Mail,
    pub(crate) end: Duration,
    pub(crate) link: Link,
    /// The newest request for a change of address when it was mailed.
    pub(crate) newest: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) now: Duration,
    pub(crate) accounts: Vec<Account>,
    /// Addresses that accounts left: which account, and until when they are kept from others.
    pub(crate) kept: BTreeMap<usize, (usize, Duration)>,
    /// Mails that are due at a later time.
    pub(crate) later: Vec<(Duration, Mail)>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) issued: Vec<Issued>,
    pub(crate) mailed: Vec<Mailed>,
    /// Authenticators that were ever set up, and who has them.
    pub(crate) authenticators: Vec<(Principal, Authenticator)>,
    /// Backup codes that were ever shown, and who has them.
    pub(crate) code_sets: Vec<(Principal, Vec<String>)>,
    pub(crate) pendings: Vec<Pending>,
}

/// The predicted result of an operation.
pub(crate) struct Step {
    pub(crate) by: Principal,
    pub(crate) outcome: Result<(), Reason>,
    pub(crate) after: Model,
    /// The account that it is about.
    pub(crate) subject: Option<usize>,
    /// The session whose tokens are the answer.
    pub(crate) session: Option<usize>,
    /// Mails that are sent whenever the operation ended well.
    pub(crate) mails: Vec<Mail>,
    /// Mails that are sent whenever the change was made.
    pub(crate) notices: Vec<Mail>,
    /// Mails that may be sent besides.
    pub(crate) possible: Vec<Mail>,
    /// The rows of the factors once a code is used or the codes are replaced. They stay so even if the rest of the operation
    /// does not happen.
    pub(crate) factors: Option<Factors>,
}

pub(crate) fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

impl Account {
    pub(crate) fn new(to: usize, password: usize, name: u8, now: Duration) -> Self {
        Self {
            email: Some(to),
            gone: false,
            created: now,
            verified: false,
            status: UserStatus::Active,
            password: Some(password),
            version: 0,
            name: Some(name),
            factors: None,
            retired: vec![],
            taken_back: vec![],
            dispute: None,
            newest: None,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.status == UserStatus::Active && !self.gone
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.status == UserStatus::Deleted || self.gone
    }

    /// Whether the row is due to be removed: the owner closed the account 30 days ago, or no mailbox was verified within
    /// 30 days.
    pub(crate) fn is_lapsed(&self, now: Duration) -> bool {
        let since = match self.status {
            UserStatus::Active if !self.verified => Some(ManualClock::new().now() + self.created),
            status => status.since(),
        };
        !self.gone && since.is_some_and(|since| ManualClock::new().now() + now >= since + 30 * DAY)
    }

    /// The row is removed.
    pub(crate) fn vanish(&mut self) {
        self.gone = true;
        self.email = None;
        self.factors = None;
    }
}

impl Session {
    fn new(account: usize, version: u32, now: Duration, shown: Shown, two_factors: bool) -> Self {
        Self {
            account,
            id: None,
            version,
            generation: 0,
            rotated: now,
            presented: false,
            idle_end: now + 7 * DAY,
            end: now + 30 * DAY,
            shown,
            two_factors,
            ended: false,
            set_up: None,
            set_up_unknown: false,
        }
    }
}

impl Model {
    /// The account that has an address.
    pub(crate) fn at(&self, address: usize) -> Option<usize> {
        self.accounts.iter().position(|account| account.email == Some(address))
    }

    /// Whether the account is still the one that a session was made for.
    pub(crate) fn fits(&self, session: usize) -> bool {
        let Session { account, version, .. } = self.sessions[session];
        self.accounts[account].is_active() && self.accounts[account].version == version
    }

    pub(crate) fn access_is_over(&self, issued: &Issued) -> bool {
        whole(self.now) >= issued.access_end
    }

    pub(crate) fn access_is_alive(&self, issued: &Issued) -> bool {
        !self.access_is_over(issued) && self.fits(issued.session) && !self.sessions[issued.session].ended
    }

    /// Takes note of tokens: new ones of a generation that was never seen, else the very same as before.
    pub(crate) fn learn(&mut self, by: Principal, number: usize, tokens: Tokens) {
        let session = &mut self.sessions[number];
        assert_eq!(*session.id.get_or_insert(tokens.session), tokens.session);
        let Session { generation, rotated, idle_end, end, .. } = *session;
        let same = |issued: &&mut Issued| (issued.session, issued.generation) == (number, generation);
        if let Some(known) = self.issued.iter_mut().find(same) {
            assert_eq!(known.tokens, tokens);
            known.holders.push(by);
            return;
        }
        let access_end = whole((rotated + 15 * MINUTE).min(end));
        let refresh_end = whole(idle_end.min(end));
        self.issued.push(Issued { session: number, holders: vec![by], generation, access_end, refresh_end, tokens });
    }

    pub(crate) fn predict(&self, by: Principal, op: &Fixed) -> Step {
        let (mails, notices, possible) = Default::default();
        let (after, outcome) = (self.clone(), Ok(()));
        let mut step =
            Step { by, outcome, after, subject: None, session: None, mails, notices, possible, factors: None };
        step.outcome = match *op {
            Op::SignUp(to, password) => {
                step.sign_up(to, password);
                Ok(())
            }
            Op::Resend(to) => {
                step.mails = self.by_address(to, MailPurpose::VerifyEmail);
                Ok(())
            }
            Op::AskReset(to) => {
                step.mails = self.by_address(to, MailPurpose::ResetPassword);
                Ok(())
            }
            Op::UseLink(kind, link, password) => step.use_link(kind, &self.mailed[link], password),
            Op::Move(link, mover) => step.move_account(&self.mailed[link], mover),
            Op::Object(link, code) => step.object(&self.mailed[link].mail, self.mailed[link].end, code),
            Op::Login(to, password) => step.login(to, password),
            Op::Refresh(token) => step.refresh(&self.issued[token]),
            Op::LogoutByAccess(token) => step.logout(&self.issued[token], self.issued[token].access_end),
            Op::LogoutByRefresh(token) => step.logout(&self.issued[token], self.issued[token].refresh_end),
            Op::ChangePassword(token, old, new) => step.within(token, Some(old), |step, session| {
                step.change_password(new);
                step.renew(session);
            }),
            Op::AskEmail(token, to, password) => step.ask_email(token, to, password),
            Op::Reauthenticate(token, password) => step.within(token, Some(password), |step, session| {
                step.after.sessions[session].ended = true;
                step.renew(session);
            }),
            Op::Deactivate(token, password) => step.within(token, Some(password), |step, _| {
                let since = ManualClock::new().now() + step.after.now;
                step.account().status = UserStatus::Deactivated { since };
                step.account().version += 1;
                step.notify_owner(MailPurpose::Deactivated);
            }),
            Op::Profile(token, name) => step.within(token, None, |step, _| step.account().name = name),
            Op::SetUp(token, replace) => step.set_up(token, replace),
            Op::Enable(token, authenticator) => step.enable(token, authenticator),
            Op::Replace(token, authenticator, right) => step.replace(token, authenticator, right),
            Op::Disable(token, password, authenticator) => step.disable(token, password, authenticator),
            Op::Regenerate(token, password) => step.regenerate(token, password),
            Op::SecondStep(pending, code) => step.second_step(pending, code),
            Op::ResetFactors(account) => step.reset_factors(account),
            Op::Operator(account, status) => {
                step.subject = Some(account);
                if !step.account().gone {
                    step.account().status = status;
                    step.account().version += 1;
                }
                Ok(())
            }
            Op::Steal(token) => {
                step.after.issued[token].holders.push(by);
                Ok(())
            }
            Op::SetEmail(account, to) => step.set_email(account, to),
            // The run looks at what is gone then.
            Op::Purge => Ok(()),
            Op::Pass(time) => {
                step.after.now += time;
                Ok(())
            }
        };
        step
    }
}

impl Step {
    pub(crate) fn account(&mut self) -> &mut Account {
        &mut self.after.accounts[self.subject.unwrap()]
    }

    pub(crate) fn open_session(&mut self, shown: Shown, two_factors: bool) {
        let (account, version) = (self.subject.unwrap(), self.account().version);
        self.after.sessions.push(Session::new(account, version, self.after.now, shown, two_factors));
        self.session = Some(self.after.sessions.len() - 1);
    }

    /// A session in the place of another one, in which the password was given again.
    pub(crate) fn renew(&mut self, session: usize) {
        let (now, Session { shown, two_factors, .. }) = (self.after.now, self.after.sessions[session].clone());
        self.open_session(Shown { password: Some(now), ..shown.recently(now) }, two_factors);
    }

    /// Tells an address of the account as it is after the change so far.
    pub(crate) fn notify(&mut self, to: usize, purpose: MailPurpose) {
        let (account, version) = (self.subject.unwrap(), self.account().version);
        self.notices.push(Mail { account, to, purpose, version });
    }

    pub(crate) fn notify_owner(&mut self, purpose: MailPurpose) {
        let to = self.account().email.unwrap();
        self.notify(to, purpose);
    }

    /// Sends a mail about the account, without a change of it.
    pub(crate) fn mail(&mut self, to: usize, purpose: MailPurpose) {
        let (account, version) = (self.subject.unwrap(), self.account().version);
        self.mails.push(Mail { account, to, purpose, version });
    }

    pub(crate) fn change_password(&mut self, password: usize) {
        let account = self.account();
        account.password = Some(password);
        account.version += 1;
        self.notify_owner(MailPurpose::PasswordChanged);
    }

    /// Runs a change that takes an access token and, where `password` is given, the right password.
    pub(crate) fn within(
        &mut self,
        token: usize,
        password: Option<usize>,
        change: impl FnOnce(&mut Self, usize),
    ) -> Result<(), Reason> {
        let session = self.after.issued[token].session;
        self.subject = Some(self.after.sessions[session].account);
        if !self.account().is_active() {
            // The row of a removed account cannot say that it is shut.
            return Err(if self.account().gone { Reason::UserNotFound } else { Reason::UserInactive });
        }
        if !self.after.fits(session) {
            return Err(Reason::NotAuthenticated);
        }
        if password.is_some() && self.account().password != password {
            return Err(Reason::WrongPassword);
        }
        change(self, session);
        Ok(())
    }

    fn login(&mut self, to: usize, password: usize) -> Result<(), Reason> {
        self.subject = self.after.at(to);
        let account = self.subject.map(|number| self.after.accounts[number].clone());
        match account.filter(|account| account.password == Some(password) && account.is_active()) {
            Some(account) if account.verified && account.factors.is_some() => {
                self.first_step();
                Ok(())
            }
            Some(account) if account.verified => {
                let password = Some(self.after.now);
                self.open_session(Shown { password, ..Shown::default() }, false);
                Ok(())
            }
            unverified => {
                if unverified.is_some() {
                    self.mails = self.after.by_address(to, MailPurpose::VerifyEmail);
                }
                Err(Reason::InvalidCredentials)
            }
        }
    }

    fn refresh(&mut self, issued: &Issued) -> Result<(), Reason> {
        let now = self.after.now;
        let fits = self.after.fits(issued.session);
        let session = &mut self.after.sessions[issued.session];
        self.subject = Some(session.account);
        let in_time = whole(now) < issued.refresh_end && now < session.idle_end && now < session.end;
        if !fits || !in_time || session.ended {
            return Err(Reason::RefreshInvalid);
        }
        let in_window = session.generation > 0 && now - session.rotated <= 10 * SECOND;
        match session.generation - issued.generation {
            0 if !in_window => {
                session.generation += 1;
                session.rotated = now;
                session.presented = false;
                session.idle_end = now + 7 * DAY;
            }
            0 => session.presented = true,
            1 if in_window || (!session.presented && now - session.rotated <= 60 * SECOND) => {}
            _ => {
                session.ended = true;
                return Err(Reason::RefreshInvalid);
            }
        }
        self.session = Some(issued.session);
        Ok(())
    }

    fn logout(&mut self, issued: &Issued, token_end: Duration) -> Result<(), Reason> {
        let in_time = whole(self.after.now) < token_end;
        let session = &mut self.after.sessions[issued.session];
        self.subject = Some(session.account);
        if !in_time || session.ended {
            return Err(Reason::NotAuthenticated);
        }
        session.ended = true;
        Ok(())
    }
}
