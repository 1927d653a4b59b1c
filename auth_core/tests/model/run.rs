//! The system beside its model: each operation is done in both, and whatever can be seen of them is compared.

use auth_core::port::{Clock as _, UserChange, UserKey, UserUpdate};
use auth_core::testing::{ManualClock, RecordingMailer};
use auth_core::types::{Email, FactorKind, PendingId, PendingPurpose, TenantId, Timestamp, User, UserId};
use auth_core::{AuthSystem, Ports, Reason};
use uuid::Uuid;

use super::account::{ADDRESSES, Mail, Model, PASSWORDS, Principal, Step, Tokens};
use super::common::{Authenticator, Fault, Faults, SECOND, TICK};
use super::factors::Factors;
use super::invariants::{Ledger, Seen};
use super::ops::{Deed, Fixed, Kind, Op};

/// An account system, and a way into it.
pub(crate) trait System {
    /// The flows at work now; their stores do what the faults say.
    fn auth(&self) -> &AuthSystem;
    fn clock(&self) -> &ManualClock;
    fn faults(&self) -> &Faults;
    fn mailer(&self) -> &RecordingMailer;

    /// Removes what is due to be removed.
    async fn purge(&self);

    /// Does what a principal asks for from outside.
    async fn perform(&self, by: Principal, model: &Model, op: &Fixed) -> Result<Given, Refusal>;

    /// Returns the refusal that a client sees for a reason of the model.
    fn refusal(&self, model: &Model, op: &Fixed, reason: Reason) -> Refusal;

    /// Whether an access token opens anything; `Some(true)` if two factors were shown for it.
    async fn authenticate(&mut self, access: &str) -> Option<bool>;

    /// Starts again, over the same stores.
    fn restart(&mut self);
}

/// The code of a refusal.
pub(crate) type Refusal = String;

/// The secrets that an operation hands out.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) tokens: Option<Tokens>,
    /// The token for the second step of a login.
    pub(crate) pending: Option<String>,
    /// Of an authenticator.
    pub(crate) secret: Option<String>,
    /// For the times without it.
    pub(crate) codes: Option<Vec<String>>,
}

/// An account as the system knows it.
pub(crate) struct Known {
    pub(crate) id: UserId,
    /// The token version that it began with.
    first_version: u32,
}

impl Known {
    /// A version of the model as the row has it.
    pub(crate) fn version(&self, version: u32) -> u32 {
        (self.first_version + version) & 0x7fff_ffff
    }
}

pub(crate) struct Run<S> {
    pub(super) system: S,
    pub(super) model: Model,
    /// In the order of the model's accounts.
    pub(super) known: Vec<Known>,
    /// Notices of changes that broke off before they were made: another change may lead to the same version.
    pub(super) aborted: Vec<Mail>,
    ledger: Ledger,
    /// The operations so far, for the report of a failure.
    told: Vec<String>,
    /// The rule that the operations of now are about, for the same report.
    pub(super) rule: &'static str,
}

#[allow(clippy::print_stdout, reason = "the report of a test that fails")]
impl<S> Drop for Run<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("This life failed:\n{}\n", self.told.join("\n"));
        }
    }
}

impl<S: System> Run<S> {
    pub(crate) fn new(system: S) -> Self {
        let (model, ledger) = (Model::default(), Ledger::default());
        Self { system, model, known: vec![], aborted: vec![], ledger, told: vec![], rule: "" }
    }

    /// A life. At its end every account comes back into use, and every refresh token and password there is is tried.
    pub(crate) async fn live(&mut self, life: &[Deed]) {
        for Deed { by, op, crash } in life {
            if let Some(op) = op.resolve(*by, &self.model) {
                self.step(*by, &op, crash.clone()).await;
            }
        }
        self.every_account_gets_back_into_use().await;
        for token in 0..self.model.issued.len() {
            let holder = self.model.issued[token].holders[0];
            self.step(holder, &Op::Refresh(token), None).await;
        }
        for (to, password) in (0..ADDRESSES.len()).flat_map(|to| (0..PASSWORDS.len()).map(move |it| (to, it))) {
            self.step(Principal::Ada, &Op::Login(to, password), None).await;
        }
    }

    /// A life that went wrong once, to its end.
    #[allow(dead_code, reason = "the lives over HTTP have none")]
    pub(crate) async fn live_again(&mut self, life: &[(Fixed, Option<(usize, Fault)>)]) {
        for (op, crash) in life {
            self.step(Principal::Ada, op, crash.clone()).await;
        }
        self.every_account_gets_back_into_use().await;
    }

    /// Does an operation; `true` if it ended well.
    pub(super) async fn step(&mut self, by: Principal, op: &Fixed, crash: Option<(usize, Fault)>) -> bool {
        let mut step = self.model.predict(by, op);
        self.told.push(format!("{by:?} {op:?} {crash:?}"));
        let (before, counted) = (self.rows().await, self.failures().await);
        let faults = self.system.faults().clone();
        faults.calls();
        if let (Some((at, fault)), true) = (crash, calls_a_flow(op)) {
            faults.at(at, fault);
        }
        // `None` when the caller went away.
        let outcome = faults.until_it_hangs(self.perform(by, op)).await;
        let calls = faults.calls();
        faults.heal();

        self.discover().await;
        let after = self.rows().await;
        if matches!(op, Op::Purge) {
            step.purged(&after);
        }
        let expected = step.outcome.map_err(|reason| self.system.refusal(&self.model, op, reason));
        let seen = outcome.as_ref().map(|it| it.as_ref().map(|_| ()).map_err(Clone::clone));
        let sent = self.send().await;
        let (now, failures) = (self.system.clock().now(), [counted, self.failures().await]);
        let whole = seen.as_ref() == Some(&expected);
        let tokens = outcome.as_ref().is_some_and(|it| it.as_ref().is_ok_and(|given| given.tokens.is_some()));
        let model = &self.model;
        let (rows, seen_now) = ([&before[..], &after[..]], seen.as_ref());
        let all = Seen {
            by,
            op,
            model,
            step: &step,
            seen: seen_now,
            expected: &expected,
            tokens,
            rows,
            sent: &sent,
            calls,
            failures,
            now,
        };
        self.ledger.check(&all);
        self.confirmed_by_its_mailbox(op, &before, &after);

        let made = if whole { self.shows(&step.after).await } else { self.shows_subject(&step, &step.after).await };
        if whole {
            assert!(made, "{op:?} said {outcome:?} and left {after:?}");
        } else {
            let unavailable = Err(Reason::Unavailable.code().to_owned());
            let broke_off = seen.is_none_or(|seen| seen == unavailable);
            assert!(broke_off, "{}{op:?}: {outcome:?} instead of {expected:?}", self.rule);
            assert!(made || self.shows_subject(&step, &self.model).await, "{op:?} was done by half: {after:?}");
        }
        let (owed, possible) = self.mails_of(op, &step, whole, made).await;
        let crashed = outcome.is_none();
        let done = matches!(outcome, Some(Ok(_)));
        let (session, subject) = (step.session, step.subject);
        if whole {
            self.model = step.after;
        } else {
            self.settle(op, step, made).await;
        }
        self.note_newest(op, subject, whole && done).await;
        if let (Some(Ok(given)), true) = (outcome, whole) {
            self.learn(by, op, subject, session, given);
        }
        self.deliver(sent, owed, possible).await;
        self.ledger.learn(&self.model, &after);
        if crashed {
            self.system.restart();
        } else if !whole || (matches!(op, Op::Operator(..)) && subject.is_some()) {
            // The process goes on, and learns what became of the call that failed, or what happened elsewhere.
            self.pass_lag();
        }
        self.compare().await;
        done
    }

    /// The mails that must come, and those that may: all of an operation that ended well, the notices of a change that was
    /// made.
    async fn mails_of(&mut self, op: &Fixed, step: &Step, whole: bool, made: bool) -> (Vec<Mail>, Vec<Mail>) {
        let (mut owed, mut possible) = (step.notices.clone(), std::mem::take(&mut self.aborted));
        possible.extend(step.possible.clone());
        // The owner is told of codes that were replaced, even if the new ones reached no client.
        let replaced = match (op, &step.factors, step.subject) {
            (Op::Regenerate(..), Some(burnt), Some(subject)) => self.factor_rows(subject).await == Some(burnt.writes()),
            _ => false,
        };
        if whole || replaced { &mut owed } else { &mut possible }.extend(step.mails.clone());
        if !made {
            possible.append(&mut owed);
            possible.extend(step.after.later[self.model.later.len()..].iter().map(|(_, mail)| mail.clone()));
        }
        (owed, possible)
    }

    async fn perform(&self, by: Principal, op: &Fixed) -> Result<Given, Refusal> {
        let admin = self.system.auth().admin();
        let done = match op {
            Op::ResetFactors(account) => admin.reset_second_factors(&self.known[*account].id).await.map(drop),
            Op::SetEmail(account, to) => admin.set_email(&self.known[*account].id, ADDRESSES[*to]).await.map(drop),
            Op::Operator(account, status) => {
                if let Some(user) = self.row(*account).await {
                    let change = UserChange { status: Some(*status), ..UserChange::default() };
                    let changed = self.stores().users.update_if(&user, &change).await.unwrap();
                    assert!(matches!(changed, UserUpdate::Done(_)));
                }
                Ok(())
            }
            Op::Steal(_) => Ok(()),
            Op::Purge => {
                self.system.purge().await;
                Ok(())
            }
            Op::Pass(time) => {
                self.system.clock().advance(*time);
                Ok(())
            }
            op => return self.system.perform(by, &self.model, op).await,
        };
        done.map(|()| Given::default()).map_err(|error| error.reason().code().to_owned())
    }

    /// Checks that an operation that ended well handed out the right secrets, and takes note of them.
    fn learn(&mut self, by: Principal, op: &Fixed, subject: Option<usize>, session: Option<usize>, given: Given) {
        let Given { tokens, pending, secret, codes } = &given;
        assert_eq!(tokens.is_some(), session.is_some());
        assert_eq!(pending.is_some(), matches!(op, Op::Login(..)) && session.is_none());
        assert_eq!(secret.is_some(), matches!(op, Op::SetUp(..)));
        assert_eq!(codes.is_some(), matches!(op, Op::Enable(..) | Op::Regenerate(..)));
        if let (Some(session), Some(tokens)) = (session, given.tokens) {
            self.model.learn(by, session, tokens);
        }
        if let Some(token) = given.pending {
            self.model.pendings.last_mut().unwrap().token = Some(token);
        }
        if let Some(secret) = given.secret {
            self.model.authenticators.push((by, Authenticator { secret, backup_codes: vec![] }));
        }
        if let Some(codes) = given.codes {
            self.model.learn_codes(by, subject.unwrap(), codes);
        }
    }

    /// Adopts the state after a flow that broke off: each row is as before or as after, and used codes stay used.
    async fn settle(&mut self, op: &Fixed, step: Step, made: bool) {
        let Step { after, subject, factors: burnt, .. } = step;
        let before = std::mem::replace(&mut self.model, after.clone());
        if !made {
            self.model = before.clone();
        }
        // An unverified account may have given way to a move that then broke off.
        for other in (0..before.accounts.len()).filter(|other| Some(*other) != subject) {
            let changed = self.shows_account(other, &after).await;
            assert!(changed || self.shows_account(other, &before).await, "{op:?} was done by half");
            self.model.accounts[other] = if changed { &after } else { &before }.accounts[other].clone();
        }
        if let Some(subject) = subject.filter(|subject| *subject < self.known.len()) {
            self.settle_kept(subject).await;
            let writes = self.factor_rows(subject).await;
            let old = before.accounts.get(subject).and_then(|account| account.factors.clone());
            let account = &mut self.model.accounts[subject];
            if account.factors.as_ref().map(Factors::writes) != writes {
                let fits = |factors: &Factors| Some(factors.writes()) == writes;
                account.factors = [burnt, old].into_iter().flatten().find(fits);
            }
        }
        match op {
            Op::SecondStep(number, _) => {
                let waits = self.pending_waits(*number).await;
                self.model.pendings[*number].taken = !waits;
            }
            Op::SetUp(token, _) => {
                let session = &mut self.model.sessions[self.model.issued[*token].session];
                session.set_up = None;
                session.set_up_unknown = true;
            }
            _ => {}
        }
    }

    /// An address is kept before the account leaves it.
    async fn settle_kept(&mut self, account: usize) {
        let (tenant, user) = (TenantId::default(), self.known[account].id);
        let Some(address) = self.model.accounts[account].email else { return };
        for row in self.stores().credentials.of_user(&tenant, &user).await.unwrap() {
            if *row.kind.0 != *"former_email" {
                continue;
            }
            let micros = i64::from_be_bytes(row.payload.bytes.try_into().unwrap());
            let end = Timestamp::from_micros(micros).since(ManualClock::new().now());
            let is_known = self.model.kept.values().any(|kept| *kept == (account, end));
            if !is_known {
                self.model.kept.insert(address, (account, end));
            }
        }
    }

    /// A request for a change of address replaces the one before; a move forgets it; nothing else touches it.
    async fn note_newest(&mut self, op: &Fixed, subject: Option<usize>, done: bool) {
        let asked = matches!(op, Op::AskEmail(..));
        for account in 0..self.known.len() {
            let newest = self.newest_change(account).await;
            let own = subject == Some(account);
            let known = &mut self.model.accounts[account].newest;
            let touched = own && (asked || matches!(op, Op::Move(..)));
            assert!(touched || newest.is_none() || *known == newest, "{op:?}");
            assert!(!(own && asked && done) || (newest.is_some() && *known != newest), "{op:?}");
            *known = newest;
        }
    }

    /// The numbers of writes of the rows of the listed authenticator and of its backup codes.
    async fn factor_rows(&self, account: usize) -> Option<(u64, u64)> {
        let user = self.row(account).await?;
        let mut writes = (0, 0);
        for factor in &user.factors {
            let row = self.stores().credentials.find(&user.tenant, factor.credential).await.unwrap().unwrap();
            *(if factor.kind == FactorKind::totp() { &mut writes.0 } else { &mut writes.1 }) = row.revision;
        }
        (!user.factors.is_empty()).then_some(writes)
    }

    /// The failures that are counted: for passwords, and for second factors.
    async fn failures(&self) -> [u32; 2] {
        let mut failures = [0, 0];
        for user in self.rows().await.iter().flatten() {
            failures[0] += user.consecutive_failures;
            for factor in &user.factors {
                let row = self.stores().credentials.find(&user.tenant, factor.credential).await.unwrap();
                failures[1] += row.map_or(0, |row| row.consecutive_failures);
            }
        }
        failures
    }

    /// The newest request for a change of address, as the store keeps it.
    async fn newest_change(&self, account: usize) -> Option<Vec<u8>> {
        let (tenant, user) = (TenantId::default(), self.known[account].id);
        let held = format!("{} {tenant} {user}", tenant.as_str().len());
        let id = PendingId::of(PendingPurpose::EmailChange, held.as_bytes());
        let found = self.stores().pending.find(&id, Timestamp::from_seconds(0)).await.unwrap();
        found.map(|pending| pending.payload.bytes)
    }

    async fn pending_waits(&self, number: usize) -> bool {
        let token = Uuid::parse_str(self.model.pendings[number].token.as_deref().unwrap()).unwrap();
        let id = PendingId::of(PendingPurpose::SecondFactor, token.as_bytes());
        let now = self.system.clock().now();
        self.stores().pending.find(&id, now).await.unwrap().is_some()
    }

    fn pass_lag(&mut self) {
        self.system.clock().advance(SECOND + TICK);
        self.model.now += SECOND + TICK;
    }

    fn stores(&self) -> &Ports {
        self.system.auth().ports()
    }

    /// Takes note of the account that a sign-up made.
    async fn discover(&mut self) {
        for address in ADDRESSES {
            let email = Email::parse(address).unwrap();
            let found = self.stores().users.find(&TenantId::default(), UserKey::Email(&email)).await.unwrap();
            let new = found.filter(|user| self.known.iter().all(|known| known.id != user.id));
            self.known.extend(new.map(|user| Known { id: user.id, first_version: user.token_version.get() }));
        }
    }

    pub(super) async fn row(&self, account: usize) -> Option<User> {
        let key = UserKey::Id(&self.known.get(account)?.id);
        self.stores().users.find(&TenantId::default(), key).await.unwrap()
    }

    async fn rows(&self) -> Vec<Option<User>> {
        let mut rows = Vec::new();
        for account in 0..self.known.len() {
            rows.push(self.row(account).await);
        }
        rows
    }

    /// Whether the row of the account that an operation is about is that of a model.
    async fn shows_subject(&self, step: &Step, model: &Model) -> bool {
        match step.subject {
            Some(subject) => self.shows_account(subject, model).await,
            None => self.shows(model).await,
        }
    }

    /// Whether the rows are those of a model.
    async fn shows(&self, model: &Model) -> bool {
        let mut same = self.known.len() == model.accounts.len();
        for account in 0..self.known.len() {
            same &= self.shows_account(account, model).await;
        }
        same
    }

    async fn shows_account(&self, number: usize, model: &Model) -> bool {
        let row = self.row(number).await;
        let account = model.accounts.get(number).filter(|account| !account.gone);
        let (Some(account), Some(user)) = (account, &row) else { return account.is_none() == row.is_none() };
        let known = &self.known[number];
        let password = account.password.map(|password| format!("$plain${}", PASSWORDS[password]));
        let name = account.name.map(|name| serde_json::json!(name.to_string()));
        let email = account.email.map(|email| ADDRESSES[email]);
        let factors = account.factors.as_ref();
        let same = email
            .map_or(user.email.as_str().ends_with("@deleted.invalid"), |email| user.email.as_str() == email)
            && user.is_verified() == account.verified
            && user.status == account.status
            && user.password_hash.as_ref().map(|hash| hash.expose()) == password.as_deref()
            && user.token_version.get() == known.version(account.version)
            && user.is_disputed() == account.is_disputed()
            && user.attributes.get("first_name") == name.as_ref()
            && user.factors.iter().all(|it| factors.map(|own| known.version(own.since)) == Some(it.since.get()))
            && user.factors.len() == if account.factors.is_some() { 2 } else { 0 };
        let mut sessions_same = true;
        for session in model.sessions.iter().filter(|session| session.account == number) {
            let Some(id) = session.id else { continue };
            let row = self.stores().sessions.find(&user.tenant, id).await.unwrap().unwrap().row;
            let presented = row.presented == Some(row.generation);
            sessions_same &= (row.generation, presented, row.revoked_at.is_some())
                == (session.generation, session.presented, session.ended);
        }
        same && sessions_same
    }

    /// An address is only ever proven by a link that was mailed to it, made under the version that still stood; or by
    /// one that takes back what happened since.
    fn confirmed_by_its_mailbox(&self, op: &Fixed, before: &[Option<User>], after: &[Option<User>]) {
        for (number, after) in after.iter().enumerate() {
            let (Some(after), before) = (after, before.get(number).and_then(Option::as_ref)) else { continue };
            let Some(before) = before else {
                assert!(!after.is_verified());
                continue;
            };
            let gave_way = before.email != after.email && !after.is_verified();
            let proven = before.email != after.email || (after.is_verified() && !before.is_verified());
            if gave_way || !proven || matches!(op, Op::SetEmail(..)) {
                continue;
            }
            let (Op::UseLink(_, link, _) | Op::Move(link, _) | Op::Object(link, _)) = op else {
                panic!("{op:?} confirmed {}", after.email)
            };
            let mail = &self.model.mailed[*link].mail;
            let stood = before.token_version.get() == self.known[number].version(mail.version);
            let takes_back = matches!(op, Op::UseLink(Kind::NotMe, ..) | Op::Object(..));
            assert!(takes_back || (stood && ADDRESSES[mail.to] == after.email.as_str()), "{op:?}");
        }
    }

    /// Every access token that was ever issued, and the rows.
    async fn compare(&mut self) {
        for (number, account) in self.model.accounts.iter().enumerate() {
            let writes = account.factors.as_ref().map(Factors::writes);
            assert_eq!(self.factor_rows(number).await, writes, "a code was not used once");
        }
        for (number, pending) in self.model.pendings.iter().enumerate().filter(|(_, it)| it.token.is_some()) {
            assert_eq!(self.pending_waits(number).await, pending.waits(self.model.now));
        }
        for issued in &self.model.issued {
            let alive = self.system.authenticate(&issued.tokens.access).await;
            let session = &self.model.sessions[issued.session];
            let expected = self.model.access_is_alive(issued).then(|| session.shown.is_multi_factor());
            assert_eq!(alive, expected, "{issued:?}");
            let factors = &self.model.accounts[session.account].factors;
            assert!(
                factors.is_none() || alive.is_none() || session.two_factors,
                "a password alone got around the factor"
            );
        }
        assert!(self.shows(&self.model).await, "{:?} is not {:?}", self.rows().await, self.model.accounts);
    }
}

/// Whether an operation calls a flow, which can break off at a store call.
fn calls_a_flow(op: &Fixed) -> bool {
    !matches!(op, Op::Operator(..) | Op::Steal(_) | Op::Purge | Op::Pass(_))
}

impl Step {
    /// Takes note of the rows that the worker removed: those that were due, and no others.
    fn purged(&mut self, rows: &[Option<User>]) {
        let now = self.after.now;
        for (number, row) in rows.iter().enumerate() {
            let account = &mut self.after.accounts[number];
            if account.gone {
                continue;
            }
            let lapsed = account.is_lapsed(now);
            assert!(row.is_some() || lapsed || account.is_deleted(), "an account in use was purged: {account:?}");
            assert!(row.is_none() || !lapsed, "an account stays for ever: {account:?}");
            if row.is_none() {
                account.vanish();
                if lapsed {
                    self.after.kept.retain(|_, (owner, _)| *owner != number);
                }
            }
        }
    }
}
