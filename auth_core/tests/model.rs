//! One account under random operations, beside a model small enough to be read: what is alive in the model is exactly
//! what authenticates.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use auth_core::flow::SessionTokens;
use auth_core::port::MailPurpose;
use auth_core::types::UserStatus;
use auth_core::{Error, Reason};
use common::{ADA, DAY, HOUR, Link, MINUTE, SECOND, TICK, World, bytes, now};
use proptest::prelude::*;
use proptest::sample::Index;

const PASSWORDS: [&str; 3] = ["the first password", "the second password", "the third password"];

#[derive(Clone, Debug)]
enum Op {
    SignUp(usize),
    Resend,
    AskReset,
    /// Any link that was ever mailed, to its end, with this password where one is due.
    UseLink(Index, usize),
    Login(usize),
    /// Any refresh token that was ever issued.
    Refresh(Index),
    LogoutByAccess(Index),
    LogoutByRefresh(Index),
    /// An operator, elsewhere; seen here after the lag.
    SetStatus(UserStatus),
    Pass(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let password = 0..PASSWORDS.len();
    let status = [UserStatus::Active, UserStatus::Disabled, UserStatus::Active, UserStatus::Deleted];
    let times = [SECOND, 9 * SECOND, 10 * SECOND, 10 * SECOND + TICK, MINUTE, 15 * MINUTE, HOUR, DAY, 3 * DAY, 7 * DAY];
    prop_oneof![
        2 => password.clone().prop_map(Op::SignUp),
        1 => Just(Op::Resend),
        2 => Just(Op::AskReset),
        5 => (any::<Index>(), password.clone()).prop_map(|(link, password)| Op::UseLink(link, password)),
        5 => password.prop_map(Op::Login),
        8 => any::<Index>().prop_map(Op::Refresh),
        1 => any::<Index>().prop_map(Op::LogoutByAccess),
        1 => any::<Index>().prop_map(Op::LogoutByRefresh),
        1 => proptest::sample::select(status.to_vec()).prop_map(Op::SetStatus),
        6 => proptest::sample::select(times.to_vec()).prop_map(Op::Pass),
    ]
}

#[derive(Clone, Debug)]
struct Account {
    verified: bool,
    status: UserStatus,
    password: Option<usize>,
    version: u32,
}

#[derive(Debug)]
struct Session {
    version: u32,
    generation: u32,
    rotated: Duration,
    idle_end: Duration,
    end: Duration,
    ended: bool,
}

#[derive(Debug)]
struct Issued {
    session: usize,
    generation: u32,
    access_end: Duration,
    refresh_end: Duration,
    bytes: (String, String),
}

#[derive(Debug)]
struct Mailed {
    version: u32,
    end: Duration,
    link: Link,
}

/// Times count from the start of the world, which is a whole second.
#[derive(Default)]
struct Model {
    now: Duration,
    account: Option<Account>,
    sessions: Vec<Session>,
    issued: Vec<Issued>,
    mailed: Vec<Mailed>,
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

impl Model {
    fn active(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.status == UserStatus::Active)
    }

    fn stands(&self, session: &Session) -> bool {
        let current = |account: &Account| account.version == session.version;
        !session.ended && self.active() && self.account.as_ref().is_some_and(current)
    }

    fn access_is_alive(&self, issued: &Issued) -> bool {
        whole(self.now) < issued.access_end && self.stands(&self.sessions[issued.session])
    }

    /// Takes note of tokens: new ones of a generation that was never seen, else the very same as before.
    fn learn(&mut self, session: usize, tokens: &SessionTokens) {
        let Session { generation, rotated, idle_end, end, .. } = self.sessions[session];
        let same = |issued: &&Issued| (issued.session, issued.generation) == (session, generation);
        if let Some(known) = self.issued.iter().find(same) {
            assert_eq!(known.bytes, bytes(tokens));
            return;
        }
        let access_end = whole((rotated + 15 * MINUTE).min(end));
        let refresh_end = whole(idle_end.min(end));
        self.issued.push(Issued { session, generation, access_end, refresh_end, bytes: bytes(tokens) });
    }

    /// The mail that a purpose comes to for the account as it is.
    fn mail(&self, purpose: MailPurpose) -> Option<MailPurpose> {
        let account = self.account.as_ref().filter(|account| account.status != UserStatus::Deleted)?;
        match purpose {
            MailPurpose::VerifyEmail => (!account.verified && self.active()).then_some(purpose),
            MailPurpose::SetPassword => (!account.verified || account.password.is_none()).then_some(purpose),
            MailPurpose::ResetPassword => Some(purpose),
            _ => None,
        }
    }
}

struct Run {
    world: World,
    model: Model,
}

impl Run {
    /// Does one operation in both and compares what came of it.
    async fn step(&mut self, op: &Op) {
        let mailed = match op {
            Op::SignUp(password) => self.sign_up(*password).await,
            Op::Resend => {
                self.world.auth.resend_verification(&self.world.client, ADA).await.unwrap();
                Some(MailPurpose::VerifyEmail)
            }
            Op::AskReset => {
                self.world.auth.request_password_reset(&self.world.client, ADA).await.unwrap();
                Some(MailPurpose::ResetPassword)
            }
            Op::UseLink(index, password) => self.use_link(index, *password).await,
            Op::Login(password) => self.login(*password).await,
            Op::Refresh(index) => {
                if !self.model.issued.is_empty() {
                    self.refresh(index.index(self.model.issued.len())).await;
                }
                None
            }
            Op::LogoutByAccess(index) | Op::LogoutByRefresh(index) => {
                if !self.model.issued.is_empty() {
                    let by_access = matches!(op, Op::LogoutByAccess(_));
                    self.logout(index.index(self.model.issued.len()), by_access).await;
                }
                None
            }
            Op::SetStatus(status) => self.set_status(*status).await,
            Op::Pass(time) => {
                self.pass(*time);
                None
            }
        };
        let expected: Vec<_> = mailed.and_then(|purpose| self.model.mail(purpose)).into_iter().collect();
        let links = self.world.links().await;
        assert_eq!(links.iter().map(|link| link.purpose).collect::<Vec<_>>(), expected);
        for link in links {
            let lifetime = if link.purpose == MailPurpose::VerifyEmail { 3 * DAY } else { HOUR };
            let version = self.model.account.as_ref().unwrap().version;
            self.model.mailed.push(Mailed { version, end: whole(self.model.now + lifetime), link });
        }
        self.compare().await;
    }

    fn pass(&mut self, time: Duration) {
        self.world.clock.advance(time);
        self.model.now += time;
    }

    /// Every access token that was ever issued, and the account's row.
    async fn compare(&self) {
        for issued in &self.model.issued {
            let alive = self.world.auth.authenticate(&issued.bytes.0).await.is_ok();
            assert_eq!(alive, self.model.access_is_alive(issued), "{issued:?}");
        }
        if let Some(account) = &self.model.account {
            let user = self.world.user(ADA).await;
            let password = account.password.map(|password| format!("$plain${}", PASSWORDS[password]));
            assert_eq!(user.password_hash.map(|hash| hash.expose().to_owned()), password);
            assert_eq!((user.email_verified_at.is_some(), user.status), (account.verified, account.status));
        }
    }

    async fn sign_up(&mut self, password: usize) -> Option<MailPurpose> {
        self.world.sign_up(ADA, PASSWORDS[password]).await.unwrap();
        let Some(account) = &mut self.model.account else {
            let password = Some(password);
            self.model.account = Some(Account { verified: false, status: UserStatus::Active, password, version: 0 });
            return Some(MailPurpose::VerifyEmail);
        };
        if account.verified || account.status != UserStatus::Active {
            return None;
        }
        if account.password == Some(password) {
            return Some(MailPurpose::VerifyEmail);
        }
        if account.password.take().is_some() {
            account.version += 1;
        }
        Some(MailPurpose::SetPassword)
    }

    async fn use_link(&mut self, index: &Index, password: usize) -> Option<MailPurpose> {
        if self.model.mailed.is_empty() {
            return None;
        }
        let mailed = &self.model.mailed[index.index(self.model.mailed.len())];
        let account = self.model.account.as_mut().unwrap();
        let good = account.version == mailed.version && whole(self.model.now) < mailed.end;
        let verifies = mailed.link.purpose == MailPurpose::VerifyEmail;
        let expected = match good {
            false => Err(Reason::LinkInvalid),
            true if verifies && account.verified => Err(Reason::AlreadyVerified),
            true => Ok(()),
        };
        let outcome = match verifies {
            true => self.world.verify(&mailed.link).await,
            false => self.world.reset(&mailed.link, PASSWORDS[password]).await,
        };
        assert_eq!(reason(outcome), expected);
        if expected.is_ok() {
            account.verified = true;
            if !verifies {
                account.password = Some(password);
                account.version += 1;
            }
        }
        None
    }

    async fn login(&mut self, password: usize) -> Option<MailPurpose> {
        let outcome = self.world.login(ADA, PASSWORDS[password]).await;
        let right = |account: &&Account| account.password == Some(password) && account.status == UserStatus::Active;
        match self.model.account.as_ref().filter(right) {
            Some(account) if account.verified => {
                let (version, now) = (account.version, self.model.now);
                let (idle_end, end) = (now + 7 * DAY, now + 30 * DAY);
                let session = Session { version, generation: 0, rotated: now, idle_end, end, ended: false };
                self.model.sessions.push(session);
                self.model.learn(self.model.sessions.len() - 1, &outcome.unwrap());
                None
            }
            unverified => {
                assert_eq!(reason(outcome), Err(Reason::InvalidCredentials));
                unverified.map(|_| MailPurpose::VerifyEmail)
            }
        }
    }

    async fn refresh(&mut self, index: usize) {
        let now = self.model.now;
        let issued = &self.model.issued[index];
        let number = issued.session;
        let outcome = self.world.auth.refresh(&issued.bytes.1).await;
        let (generation, in_time) = (issued.generation, whole(now) < issued.refresh_end);
        let session = &self.model.sessions[number];
        if !in_time || !self.model.stands(session) || now >= session.idle_end || now >= session.end {
            assert_eq!(reason(outcome), Err(Reason::RefreshInvalid));
            return;
        }
        let session = &mut self.model.sessions[number];
        let in_window = session.generation > 0 && now - session.rotated <= 10 * SECOND;
        match session.generation - generation {
            0 if !in_window => {
                session.generation += 1;
                session.rotated = now;
                session.idle_end = now + 7 * DAY;
            }
            0 | 1 if in_window => {}
            _ => {
                session.ended = true;
                assert_eq!(reason(outcome), Err(Reason::RefreshInvalid));
                return;
            }
        }
        self.model.learn(number, &outcome.unwrap());
    }

    async fn logout(&mut self, index: usize, by_access: bool) {
        let issued = &self.model.issued[index];
        let (access, refresh) = if by_access { (Some(&issued.bytes.0), None) } else { (None, Some(&issued.bytes.1)) };
        let outcome = self.world.auth.logout(access.map(String::as_str), refresh.map(String::as_str)).await;
        let end = if by_access { issued.access_end } else { issued.refresh_end };
        let session = &mut self.model.sessions[issued.session];
        let ends = whole(self.model.now) < end && !session.ended;
        assert_eq!(reason(outcome), if ends { Ok(()) } else { Err(Reason::NotAuthenticated) });
        session.ended |= ends;
    }

    async fn set_status(&mut self, status: UserStatus) -> Option<MailPurpose> {
        if let Some(account) = &mut self.model.account {
            self.world.set_status(ADA, status).await;
            account.status = status;
            account.version += 1;
            self.pass(SECOND + TICK);
        }
        None
    }
}

fn reason<T>(outcome: Result<T, Error>) -> Result<(), Reason> {
    outcome.map(|_| ()).map_err(|error| error.reason())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_alive_in_the_model_is_what_authenticates(
        start in 0..PASSWORDS.len(),
        link in any::<Index>(),
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        now(async {
            let mut run = Run { world: World::new(), model: Model::default() };
            // Most of what can happen needs an account that was verified.
            for op in [Op::SignUp(start), Op::UseLink(link, 0), Op::Login(start)].iter().chain(&ops) {
                run.step(op).await;
            }
            // At last every refresh token and every password there is.
            for index in 0..run.model.issued.len() {
                run.refresh(index).await;
                run.compare().await;
            }
            for password in 0..PASSWORDS.len() {
                run.step(&Op::Login(password)).await;
            }
        });
    }
}
