//! The model: one account, its sessions and its mails as they ought to be, small enough to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auth_core::Reason;
use auth_core::port::{Clock as _, MailPurpose};
use auth_core::testing::ManualClock;
use auth_core::types::{SessionId, UserStatus};

use super::common::{ADA, Authenticator, DAY, HOUR, Link, MINUTE, SECOND};
use super::factors::{Code, Factors, Pending, SetUp};
use super::ops::{Fixed, Kind, Op};

pub(crate) const PASSWORDS: [&str; 3] = ["the first password", "the second password", "the third password"];
pub(crate) const ADDRESSES: [&str; 3] = [ADA, "new@example.org", "other@example.org"];

#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Which of [`ADDRESSES`].
    pub(crate) email: usize,
    pub(crate) verified: bool,
    pub(crate) status: UserStatus,
    pub(crate) password: Option<usize>,
    /// Counted from the account's beginning.
    pub(crate) version: u32,
    pub(crate) name: Option<u8>,
    pub(crate) factors: Option<Factors>,
    /// Factors that were taken off, each with the version that this led to.
    pub(crate) retired: Vec<(u32, Factors)>,
    /// The versions that used not-me links took back, both ends included.
    taken_back: Vec<(u32, u32)>,
}

/// Times count from the start of the world, which is a whole second.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Unknown while nobody holds its tokens.
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
    /// A set-up broke off: nobody knows which one waits.
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
    generation: u32,
    access_end: Duration,
    refresh_end: Duration,
    pub(crate) tokens: Tokens,
}

/// What a login hands out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tokens {
    pub(crate) session: SessionId,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A mail and the version that its link was made under, or that its notice reports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mail {
    pub(crate) to: usize,
    pub(crate) purpose: MailPurpose,
    pub(crate) version: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Mailed {
    pub(crate) mail: Mail,
    end: Duration,
    pub(crate) link: Link,
    /// The newest request for a change of address when it was mailed.
    newest: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) now: Duration,
    pub(crate) account: Option<Account>,
    /// Addresses of unverified accounts of others.
    pub(crate) others: BTreeSet<usize>,
    /// Addresses that the account left, and until when they are kept from others.
    kept: BTreeMap<usize, Duration>,
    /// The newest request for a change of address, as its store keeps it.
    pub(crate) newest: Option<Vec<u8>>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) issued: Vec<Issued>,
    pub(crate) mailed: Vec<Mailed>,
    /// That were ever set up.
    pub(crate) authenticators: Vec<Authenticator>,
    /// Backup codes that were ever shown.
    pub(crate) code_sets: Vec<Vec<String>>,
    pub(crate) pendings: Vec<Pending>,
}

/// What an operation comes to.
pub(crate) struct Step {
    pub(crate) outcome: Result<(), Reason>,
    pub(crate) after: Model,
    /// The session whose tokens are the answer.
    pub(crate) session: Option<usize>,
    /// Mails that are sent whenever the operation ended well.
    pub(crate) mails: Vec<Mail>,
    /// Mails that are sent whenever the change was made.
    pub(crate) notices: Vec<Mail>,
    /// Mails that may be sent besides.
    pub(crate) possible: Vec<Mail>,
    /// What the rows of the factors are from the moment that a code is used or the codes are replaced, even if the rest
    /// does not happen.
    pub(crate) factors: Option<Factors>,
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

impl Session {
    fn new(version: u32, now: Duration, shown: Shown, two_factors: bool) -> Self {
        Self {
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
    pub(crate) fn account(&mut self) -> &mut Account {
        self.account.as_mut().unwrap()
    }

    pub(crate) fn active(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.status == UserStatus::Active)
    }

    /// Whether the owner closed the account so long ago that nothing opens it any more.
    pub(crate) fn lapsed(&self) -> bool {
        let since = self.account.as_ref().and_then(|account| account.status.since());
        since.is_some_and(|since| ManualClock::new().now() + self.now >= since + 30 * DAY)
    }

    pub(crate) fn version(&self) -> u32 {
        self.account.as_ref().unwrap().version
    }

    /// Whether the account is still the one that a session was made for.
    pub(crate) fn fits(&self, session: usize) -> bool {
        self.active() && self.version() == self.sessions[session].version
    }

    /// Whether its time is.
    pub(crate) fn access_is_over(&self, issued: &Issued) -> bool {
        whole(self.now) >= issued.access_end
    }

    pub(crate) fn access_is_alive(&self, issued: &Issued) -> bool {
        !self.access_is_over(issued) && self.fits(issued.session) && !self.sessions[issued.session].ended
    }

    /// Takes note of tokens: new ones of a generation that was never seen, else the very same as before.
    pub(crate) fn learn(&mut self, number: usize, tokens: Tokens) {
        let session = &mut self.sessions[number];
        assert_eq!(*session.id.get_or_insert(tokens.session), tokens.session);
        let Session { generation, rotated, idle_end, end, .. } = *session;
        let same = |issued: &&Issued| (issued.session, issued.generation) == (number, generation);
        if let Some(known) = self.issued.iter().find(same) {
            assert_eq!(known.tokens, tokens);
            return;
        }
        let access_end = whole((rotated + 15 * MINUTE).min(end));
        let refresh_end = whole(idle_end.min(end));
        self.issued.push(Issued { session: number, generation, access_end, refresh_end, tokens });
    }

    pub(crate) fn learn_link(&mut self, mut mail: Mail, link: Link) {
        let lifetime = match mail.purpose {
            MailPurpose::VerifyEmail => 3 * DAY,
            purpose if matches!(Kind::of(purpose), Some(Kind::NotMe | Kind::Object)) => 3 * DAY,
            _ => HOUR,
        };
        // A warning takes back what comes after it.
        let warning = matches!(
            mail.purpose,
            MailPurpose::SecondFactorFailed | MailPurpose::BackupCodesReplaced | MailPurpose::BackupCodeUsed
        );
        mail.version += u32::from(warning);
        let newest = self.newest.clone();
        self.mailed.push(Mailed { mail, end: whole(self.now + lifetime), link, newest });
    }

    /// Whether an address is kept for the account, which left it.
    pub(crate) fn keeps(&self, address: usize) -> bool {
        self.kept.get(&address).is_some_and(|end| self.now < *end)
    }

    /// The account leaves its address.
    fn leave(&mut self) {
        let (email, lasts) = (self.account().email, self.now + 3 * DAY);
        let kept = self.kept.get(&email).copied().filter(|end| *end > lasts);
        self.kept.insert(email, kept.unwrap_or(lasts + MINUTE));
    }

    /// The mail that an intent for an address comes to.
    fn by_address(&self, to: usize, purpose: MailPurpose) -> Vec<Mail> {
        let ours = |account: &&Account| account.email == to && account.status != UserStatus::Deleted;
        let Some(account) = self.account.as_ref().filter(ours) else { return vec![] };
        let purpose = match (purpose, account.status) {
            (MailPurpose::VerifyEmail, _) => purpose,
            (_, UserStatus::Disabled) => MailPurpose::AccountDisabled,
            (MailPurpose::AccountExists, UserStatus::Deactivated { .. }) => MailPurpose::AccountDeactivated,
            _ => purpose,
        };
        let sent = match purpose {
            _ if self.lapsed() => false,
            MailPurpose::VerifyEmail => !account.verified && self.active(),
            MailPurpose::SetPassword => !account.verified || account.password.is_none(),
            _ => true,
        };
        if sent { vec![Mail { to, purpose, version: account.version }] } else { vec![] }
    }

    pub(crate) fn predict(&self, op: &Fixed) -> Step {
        let (mails, notices, possible) = Default::default();
        let after = self.clone();
        let mut step = Step { outcome: Ok(()), after, session: None, mails, notices, possible, factors: None };
        step.outcome = match *op {
            Op::SignUp(to, password) => {
                step.mails = step.after.sign_up(to, password);
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
                step.after.account().status = UserStatus::Deactivated { since };
                step.after.account().version += 1;
                let to = step.after.account().email;
                step.notify(to, MailPurpose::Deactivated);
            }),
            Op::Profile(token, name) => step.within(token, None, |step, _| step.after.account().name = name),
            Op::SetUp(token) => step.set_up(token),
            Op::Enable(token, authenticator) => step.enable(token, authenticator),
            Op::Disable(token, password, authenticator) => step.disable(token, password, authenticator),
            Op::Regenerate(token, password) => step.regenerate(token, password),
            Op::SecondStep(pending, code) => step.second_step(pending, code),
            Op::ResetFactors => step.reset_factors(),
            Op::Operator(status) => {
                if let Some(account) = &mut step.after.account {
                    account.status = status;
                    account.version += 1;
                }
                Ok(())
            }
            Op::Pass(time) => {
                step.after.now += time;
                Ok(())
            }
        };
        step
    }

    fn sign_up(&mut self, to: usize, password: usize) -> Vec<Mail> {
        let Some(account) = self.account.as_mut() else {
            let (status, taken_back) = (UserStatus::Active, vec![]);
            let password = Some(password);
            let (name, factors, retired) = (None, None, vec![]);
            let account = Account {
                email: to,
                verified: false,
                status,
                password,
                version: 0,
                name,
                factors,
                retired,
                taken_back,
            };
            self.account = Some(account);
            return self.by_address(to, MailPurpose::VerifyEmail);
        };
        if account.email != to {
            let version = account.version;
            if !self.others.contains(&to) && self.keeps(to) {
                return vec![Mail { to, purpose: MailPurpose::AddressReserved, version }];
            }
            self.others.insert(to);
            return vec![];
        }
        if account.verified || account.status != UserStatus::Active {
            return self.by_address(to, MailPurpose::AccountExists);
        }
        if account.password == Some(password) {
            return self.by_address(to, MailPurpose::VerifyEmail);
        }
        if account.password.take().is_some() {
            account.version += 1;
        }
        self.by_address(to, MailPurpose::SetPassword)
    }
}

impl Step {
    pub(crate) fn open_session(&mut self, shown: Shown, two_factors: bool) {
        let version = self.after.version();
        self.after.sessions.push(Session::new(version, self.after.now, shown, two_factors));
        self.session = Some(self.after.sessions.len() - 1);
    }

    /// A session in the place of another one, whose user gave the password again.
    pub(crate) fn renew(&mut self, session: usize) {
        let (now, Session { shown, two_factors, .. }) = (self.after.now, self.after.sessions[session].clone());
        self.open_session(Shown { password: Some(now), ..shown.recently(now) }, two_factors);
    }

    /// The account as it is after the change so far, told of it.
    pub(crate) fn notify(&mut self, to: usize, purpose: MailPurpose) {
        self.notices.push(Mail { to, purpose, version: self.after.version() });
    }

    fn change_password(&mut self, password: usize) {
        let account = self.after.account();
        account.password = Some(password);
        account.version += 1;
        let to = account.email;
        self.notify(to, MailPurpose::PasswordChanged);
    }

    /// What somebody does who holds an access token and, where it is asked for, gives a password.
    pub(crate) fn within(
        &mut self,
        token: usize,
        password: Option<usize>,
        change: impl FnOnce(&mut Self, usize),
    ) -> Result<(), Reason> {
        let session = self.after.issued[token].session;
        if !self.after.active() {
            return Err(Reason::UserInactive);
        }
        if !self.after.fits(session) {
            return Err(Reason::NotAuthenticated);
        }
        if password.is_some() && self.after.account().password != password {
            return Err(Reason::WrongPassword);
        }
        change(self, session);
        Ok(())
    }

    fn ask_email(&mut self, token: usize, to: usize, password: Option<usize>) -> Result<(), Reason> {
        let shown = self.after.sessions[self.after.issued[token].session].shown.recently(self.after.now);
        let mut asked = false;
        self.within(token, password, |_, _| asked = true)?;
        let proven = match self.after.account().factors {
            Some(_) => shown.totp.is_some(),
            None => password.is_some() || shown.password.or(shown.totp).is_some(),
        };
        if !proven {
            return Err(Reason::ReauthenticationRequired);
        }
        let (version, own) = (self.after.version(), self.after.account().email);
        let purpose = MailPurpose::ChangeEmail;
        if asked && to != own {
            self.mails.push(Mail { to, purpose, version });
        }
        Ok(())
    }

    fn use_link(&mut self, kind: Kind, mailed: &Mailed, password: usize) -> Result<(), Reason> {
        let Mailed { mail, end, newest, .. } = mailed;
        let in_time = whole(self.after.now) < *end;
        let (active, is_newest) = (self.after.active(), self.after.newest == *newest);
        let lapsed = self.after.lapsed();
        let account = self.after.account();
        let stands = in_time && account.version == mail.version;
        match kind {
            Kind::Verify if !stands => return Err(Reason::LinkInvalid),
            Kind::Verify if account.verified => return Err(Reason::AlreadyVerified),
            Kind::Verify => account.verified = true,
            Kind::SetPassword if !stands || lapsed => return Err(Reason::LinkInvalid),
            Kind::SetPassword if matches!(account.status, UserStatus::Disabled | UserStatus::Deleted) => {
                return Err(Reason::LinkInvalid);
            }
            Kind::SetPassword => {
                account.status = UserStatus::Active;
                account.verified = true;
                self.change_password(password);
            }
            Kind::ChangeEmail if !stands || !active || !is_newest => return Err(Reason::LinkSpent),
            Kind::ChangeEmail if account.password != Some(password) => return Err(Reason::WrongPassword),
            Kind::ChangeEmail => {
                // The password, and the code of now where there is an authenticator.
                if let Some(authenticator) = account.factors.as_ref().map(|factors| factors.authenticator) {
                    self.spend(Code::Totp(authenticator, 0))?;
                }
                self.after.leave();
                self.after.others.remove(&mail.to);
                let account = self.after.account();
                let left = std::mem::replace(&mut account.email, mail.to);
                account.verified = true;
                account.version += 1;
                self.notify(left, MailPurpose::EmailChanged);
                self.notify(mail.to, MailPurpose::EmailConfirmed);
            }
            Kind::NotMe => return self.take_back(mail, in_time),
            Kind::Object => unreachable!("no operation objects"),
        }
        Ok(())
    }

    fn take_back(&mut self, mail: &Mail, in_time: bool) -> Result<(), Reason> {
        let account = self.after.account();
        let covered = account.taken_back.iter().any(|(from, to)| (from..=to).contains(&&mail.version));
        if !in_time || covered || account.status == UserStatus::Deleted {
            return Err(Reason::LinkInvalid);
        }
        account.version += 1;
        account.taken_back.push((mail.version, account.version));
        account.password = None;
        // What was enrolled by the change that is taken back, or since.
        let covered = mail.version..=account.version;
        let were_on =
            account.retired.iter().rev().filter(|(until, _)| covered.contains(until)).map(|(_, factors)| factors);
        let all: Vec<_> = account.factors.iter().chain(were_on).filter(|it| !covered.contains(&it.since)).collect();
        assert!(all.windows(2).all(|two| two[0].since == two[1].since), "two authenticators were on at once");
        account.factors = all.first().map(|factors| (*factors).clone());
        let left = account.email;
        if left != mail.to {
            self.after.leave();
            self.after.others.remove(&mail.to);
            let account = self.after.account();
            account.email = mail.to;
            account.verified = true;
        }
        // Announced before the change that it is about.
        self.notices = self.after.by_address(mail.to, MailPurpose::ResetPassword);
        if left != mail.to {
            self.notify(left, MailPurpose::AddressLost);
        }
        Ok(())
    }

    fn login(&mut self, to: usize, password: usize) -> Result<(), Reason> {
        let right = |account: &&Account| {
            let found = account.email == to && account.password == Some(password);
            found && account.status == UserStatus::Active
        };
        match self.after.account.as_ref().filter(right) {
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
        if !in_time || session.ended {
            return Err(Reason::NotAuthenticated);
        }
        session.ended = true;
        Ok(())
    }
}
