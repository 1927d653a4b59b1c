//! The load beside which servers are killed: clients that ask until they are answered, and note what they were told.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_system::auth_core::port::MailPurpose;
use auth_system::auth_core::testing::SentMail;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::facts::Fact;
use crate::world::{Answer, Authenticator, Call, Jar, Link, PASSWORD, World, get, post};

pub(super) const WRONG: &str = "wrong horse battery";
pub(super) const WRONG_CODE: &str = "ABCDEFGH";
/// Between two calls of a client.
const PAUSE: Duration = Duration::from_millis(10);
/// A mail that takes longer does not come.
const MAIL_TAKES: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Server {
    Postgres,
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SignUp,
    Verification,
    Login,
    OldPassword,
    EitherPassword,
    WrongPassword,
    Access,
    Refresh,
    Logout,
    AccessAfterLogout,
    ResetMail,
    Reset,
    PasswordChange,
    FirstStep,
    BackupCode,
    DoubtfulCode,
    SpentCode,
    WrongCode,
    NewBackupCodes,
    LimitedGuess,
}

type Outcome = (u16, &'static str);

impl Kind {
    /// Accounts are looked up for everything.
    pub(super) fn needs(self, server: Server) -> bool {
        use Kind::{BackupCode, DoubtfulCode, FirstStep, LimitedGuess, SpentCode, WrongCode};
        use Kind::{EitherPassword, OldPassword, ResetMail, SignUp, WrongPassword};
        let second_step = matches!(self, FirstStep | BackupCode | DoubtfulCode | SpentCode | WrongCode);
        // The budgets of recipients apply even if timed limits are off. A refused login draws from them, too.
        let draws = matches!(self, EitherPassword | OldPassword | ResetMail | SignUp | WrongPassword);
        server == Server::Postgres || second_step || draws || self == LimitedGuess
    }

    /// What it may be answered beside 503; and what beside that if an earlier try was answered by 503, for that may have
    /// done its work.
    fn outcomes(self) -> (&'static [Outcome], &'static [Outcome]) {
        match self {
            Self::SignUp => (&[(201, "")], &[]),
            Self::Verification => (&[(200, "")], &[(400, "already_verified")]),
            Self::Login | Self::Access | Self::Refresh | Self::ResetMail | Self::FirstStep => (&[(200, "")], &[]),
            Self::OldPassword | Self::WrongPassword => (&[(401, "invalid_credentials")], &[]),
            Self::EitherPassword => (&[(200, ""), (401, "invalid_credentials")], &[]),
            Self::Logout => (&[(200, "")], &[(401, "not_authenticated")]),
            Self::AccessAfterLogout => (&[(401, "not_authenticated")], &[]),
            Self::Reset => (&[(200, "")], &[(400, "link_invalid")]),
            Self::PasswordChange => (&[(200, "")], &[(401, "not_authenticated")]),
            // Whether a pending login may be lost: see `Load::second_step`.
            Self::BackupCode => (&[(200, ""), (401, "pending_session_invalid")], &[(400, "invalid_code")]),
            Self::DoubtfulCode => (&[(200, ""), (400, "invalid_code"), (401, "pending_session_invalid")], &[]),
            Self::SpentCode | Self::WrongCode => (&[(400, "invalid_code"), (401, "pending_session_invalid")], &[]),
            Self::NewBackupCodes => (&[(200, "")], &[]),
            Self::LimitedGuess => (&[(401, "invalid_credentials"), (429, "throttled")], &[]),
        }
    }
}

/// An answer other than 503, and how often 503 came before.
struct Told {
    answer: Answer,
    unanswered: u32,
}

impl Told {
    fn status(&self) -> u16 {
        self.answer.status.as_u16()
    }
}

pub(super) struct Load {
    pub(super) world: World,
    /// The same accounts behind timed limits.
    pub(super) limited: World,
    /// When each answer came.
    pub(super) answers: Mutex<Vec<(Kind, Instant, u16)>>,
    pub(super) mails: Mutex<Vec<SentMail>>,
    pub(super) over: AtomicBool,
    /// How often Redis was killed.
    pub(super) losses: AtomicU32,
    /// Time passes between calls alone: what is asked again within the window of refreshes is one refresh.
    pub(super) asking: RwLock<()>,
}

impl Load {
    pub(super) fn new(world: World, limited: World) -> Self {
        Self {
            world,
            limited,
            answers: Mutex::default(),
            mails: Mutex::default(),
            over: AtomicBool::new(false),
            losses: AtomicU32::new(0),
            asking: RwLock::default(),
        }
    }

    async fn ask(&self, kind: Kind, call: Call) -> Told {
        let _asking = self.asking.read().await;
        let world = if kind == Kind::LimitedGuess { &self.limited } else { &self.world };
        let (first, again) = kind.outcomes();
        let mut unanswered = 0;
        loop {
            let answer = world.send(call.clone()).await;
            let status = answer.status.as_u16();
            self.answers.lock().unwrap().push((kind, Instant::now(), status));
            if status != 503 {
                let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                let outcome = (status, body["code"].as_str().unwrap_or_default());
                let expected = first.contains(&outcome) || unanswered > 0 && again.contains(&outcome);
                assert!(expected, "{kind:?} after {unanswered} times 503: {status} {}", answer.text());
                sleep(PAUSE).await;
                return Told { answer, unanswered };
            }
            answer.refused(503, "unavailable");
            unanswered += 1;
            sleep(2 * PAUSE).await;
        }
    }

    async fn log_in(&self, kind: Kind, email: &str, password: &str) -> Told {
        self.ask(kind, post("login/").json(json!({ "email": email, "password": password }))).await
    }

    /// The link of a mail; each is used for one change alone, so whichever came is as good.
    async fn link(&self, to: &str, purpose: MailPurpose) -> Link {
        let start = Instant::now();
        loop {
            let is_it = |mail: &&SentMail| mail.to == to && mail.purpose == purpose;
            if let Some(mail) = self.mails.lock().unwrap().iter().find(is_it) {
                return Link::of(mail);
            }
            assert!(start.elapsed() < MAIL_TAKES, "the mail to {to} is lost");
            sleep(PAUSE).await;
        }
    }

    /// The first step of a login with two factors.
    async fn first_step(&self, email: &str) -> Pending {
        let losses = self.losses.load(Ordering::SeqCst);
        let told = self.log_in(Kind::FirstStep, email, PASSWORD).await;
        Pending { token: told.answer.json()["session_token"].clone(), losses }
    }

    /// Pending logins end before their second step if Redis was killed since; not otherwise.
    async fn second_step(&self, kind: Kind, pending: &Pending, code: &str) -> Told {
        let body = json!({ "session_token": pending.token, "code": code });
        let told = self.ask(kind, post("2fa/verify-login/").json(body)).await;
        let may_be_lost = self.losses.load(Ordering::SeqCst) > pending.losses
            // It may be taken, too, by a try whose session could then not be made.
            || matches!(kind, Kind::BackupCode | Kind::DoubtfulCode) && told.unanswered > 0;
        assert!(told.status() != 401 || may_be_lost, "{kind:?}: a pending login is lost");
        told
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

struct Pending {
    token: Value,
    losses: u32,
}

/// Of an account with two-factor login.
pub(super) struct Owner {
    pub(super) email: String,
    pub(super) jar: Jar,
    pub(super) authenticator: Authenticator,
}

/// Sends the mails until it is aborted.
pub(super) async fn courier(load: Arc<Load>) {
    loop {
        let delivered = load.world.auth.system().deliver_mail().await;
        load.mails.lock().unwrap().extend(load.world.mailer.take());
        if let Err(error) = &delivered {
            assert_eq!(error.reason().code(), "unavailable");
        }
        sleep(PAUSE).await;
    }
}

/// All clients, each of which tells what it relies on.
pub(super) fn clients(load: &Arc<Load>, owners: Vec<Owner>) -> JoinSet<Vec<Fact>> {
    let mut clients = JoinSet::new();
    for number in 0..2 {
        clients.spawn(newcomers(load.clone(), number));
        clients.spawn(sessions(load.clone(), address("visitor", number)));
    }
    let mut owners = owners.into_iter();
    clients.spawn(wrong_codes(load.clone(), owners.next().unwrap()));
    for owner in owners {
        clients.spawn(backup_codes(load.clone(), owner));
    }
    clients.spawn(one_session(load.clone(), address("visitor", 2)));
    clients.spawn(password_changes(load.clone(), address("changer", 0)));
    clients.spawn(wrong_passwords(load.clone(), address("guessed", 0)));
    clients.spawn(limited_guesses(load.clone(), address("guessed", 1)));
    clients
}

pub(super) fn address(name: &str, number: u32) -> String {
    format!("{name}{number}@example.org")
}

/// New people, who soon forget their password.
async fn newcomers(load: Arc<Load>, client: u32) -> Vec<Fact> {
    let mut facts = Vec::new();
    for number in 0.. {
        if load.is_over() {
            break;
        }
        let email = format!("new{client}-{number}@example.org");
        load.ask(Kind::SignUp, post("signup/").json(json!({ "email": email, "password": PASSWORD }))).await;
        let link = load.link(&email, MailPurpose::VerifyEmail).await;
        load.ask(Kind::Verification, link.verify()).await;
        load.log_in(Kind::Login, &email, PASSWORD).await;

        load.ask(Kind::ResetMail, post("password-reset/").json(json!({ "email": email }))).await;
        let link = load.link(&email, MailPurpose::ResetPassword).await;
        let password = format!("another good password {number}");
        load.ask(Kind::Reset, link.set_password(&password)).await;
        load.log_in(Kind::OldPassword, &email, PASSWORD).await;
        load.log_in(Kind::Login, &email, &password).await;
        facts.push(Fact::Refused { email: email.clone(), password: PASSWORD.to_owned() });
        facts.push(Fact::Accepted { email: email.clone(), password });
        facts.push(Fact::Noticed { email, changes: 1 });
    }
    facts
}

/// One short session after the other.
async fn sessions(load: Arc<Load>, email: String) -> Vec<Fact> {
    let mut facts = Vec::new();
    while !load.is_over() {
        let mut jar = load.log_in(Kind::Login, &email, PASSWORD).await.answer.jar();
        for _ in 0..2 {
            jar = load.ask(Kind::Refresh, post("refresh/").jar(&jar)).await.answer.jar();
            load.ask(Kind::Access, get("/whoami").jar(&jar)).await;
        }
        load.ask(Kind::Logout, post("logout/").jar(&jar)).await;
        load.ask(Kind::AccessAfterLogout, get("/required").jar(&jar)).await;
        facts.push(Fact::Ended(jar));
    }
    facts
}

/// One session that goes on all the time.
async fn one_session(load: Arc<Load>, email: String) -> Vec<Fact> {
    let mut jar = load.log_in(Kind::Login, &email, PASSWORD).await.answer.jar();
    while !load.is_over() {
        jar = load.ask(Kind::Refresh, post("refresh/").jar(&jar)).await.answer.jar();
        load.ask(Kind::Access, get("/whoami").jar(&jar)).await;
    }
    vec![Fact::GoesOn(jar)]
}

async fn password_changes(load: Arc<Load>, email: String) -> Vec<Fact> {
    let (mut facts, mut password, mut changes) = (Vec::new(), PASSWORD.to_owned(), 0);
    for number in 0.. {
        if load.is_over() {
            break;
        }
        let jar = load.log_in(Kind::Login, &email, &password).await.answer.jar();
        let new = format!("{PASSWORD} {number}");
        let body = json!({ "old_password": password, "new_password": new, "confirm_password": new });
        let told = load.ask(Kind::PasswordChange, post("change-password/").jar(&jar).json(body)).await;
        let mut changed = told.status() == 200;
        changes += usize::from(changed);
        if !changed {
            // The session ended with the old password, or so it seems.
            changed = load.log_in(Kind::EitherPassword, &email, &new).await.status() == 200;
        }
        let old = if changed { std::mem::replace(&mut password, new) } else { new };
        load.log_in(Kind::OldPassword, &email, &old).await;
        facts.push(Fact::Refused { email: email.clone(), password: old });
        sleep(5 * PAUSE).await;
    }
    facts.push(Fact::Accepted { email: email.clone(), password });
    facts.push(Fact::Noticed { email, changes });
    facts
}

/// Logs in with each backup code once, tries it once more, and asks for others when all are spent.
async fn backup_codes(load: Arc<Load>, Owner { email, jar, mut authenticator }: Owner) -> Vec<Fact> {
    let (mut spent, mut kind) = (Vec::new(), Kind::BackupCode);
    while !load.is_over() {
        let code = authenticator.backup_codes.last().unwrap().clone();
        let told = load.second_step(kind, &load.first_step(&email).await, &code).await;
        if told.status() == 401 {
            // Without its pending login a code is not looked at. A try whose answer was lost may have spent it.
            kind = if told.unanswered > 0 { Kind::DoubtfulCode } else { kind };
            continue;
        }
        while load.second_step(Kind::SpentCode, &load.first_step(&email).await, &code).await.status() != 400 {}
        kind = Kind::BackupCode;
        spent.extend(authenticator.backup_codes.pop());
        if authenticator.backup_codes.is_empty() {
            let call = post("2fa/backup-codes/").jar(&jar).json(json!({ "password": PASSWORD }));
            let codes = load.ask(Kind::NewBackupCodes, call).await.answer.json()["backup_codes"].clone();
            authenticator.backup_codes = serde_json::from_value(codes).unwrap();
        }
    }
    let unspent = authenticator.backup_codes[0].clone();
    vec![Fact::Codes { email, spent, unspent: Some(unspent).filter(|_| kind == Kind::BackupCode) }]
}

async fn wrong_codes(load: Arc<Load>, Owner { email, authenticator, .. }: Owner) -> Vec<Fact> {
    let (mut refused, mut unanswered) = (0, 0);
    while !load.is_over() {
        let pending = load.first_step(&email).await;
        for _ in 0..5 {
            let told = load.second_step(Kind::WrongCode, &pending, WRONG_CODE).await;
            unanswered += told.unanswered;
            if told.status() == 401 {
                break;
            }
            refused += 1;
            sleep(5 * PAUSE).await;
        }
    }
    vec![Fact::WrongCodes {
        email,
        counted: refused..=refused + unanswered,
        right: authenticator.backup_codes[0].clone(),
    }]
}

async fn wrong_passwords(load: Arc<Load>, email: String) -> Vec<Fact> {
    let (mut refused, mut unanswered) = (0, 0);
    while !load.is_over() {
        unanswered += load.log_in(Kind::WrongPassword, &email, WRONG).await.unanswered;
        refused += 1;
        sleep(5 * PAUSE).await;
    }
    vec![Fact::WrongPasswords { email, counted: refused..=refused + unanswered }]
}

async fn limited_guesses(load: Arc<Load>, email: String) -> Vec<Fact> {
    let (mut evaluated, mut unanswered) = (0, 0);
    while !load.is_over() {
        let told = load.log_in(Kind::LimitedGuess, &email, WRONG).await;
        evaluated += u32::from(told.status() == 401);
        unanswered += told.unanswered;
    }
    vec![Fact::Limited { email, evaluated, unanswered }]
}
