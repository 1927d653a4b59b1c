//! The system beside its model: each operation is done in both, and whatever can be seen of them is compared.

use auth_core::port::{Clock as _, MailPurpose, UserChange, UserKey, UserUpdate};
use auth_core::testing::{ManualClock, RecordingMailer};
use auth_core::types::{Email, PendingId, PendingPurpose, TenantId, Timestamp, User, UserId, UserStatus};
use auth_core::{AuthSystem, Ports, Reason};
use uuid::Uuid;

use super::account::{ADDRESSES, Mail, Model, PASSWORDS, Tokens};
use super::common::{Authenticator, Fault, Faults, Link, SECOND, TICK};
use super::factors::Factors;
use super::ops::{Deed, Fixed, Kind, Op};

/// An account system, and a way into it.
pub(crate) trait System {
    /// The flows at work now; their stores do what the faults say.
    fn auth(&self) -> &AuthSystem;
    fn clock(&self) -> &ManualClock;
    fn faults(&self) -> &Faults;
    fn mailer(&self) -> &RecordingMailer;

    /// Does what somebody asks for from outside.
    async fn perform(&self, model: &Model, op: &Fixed) -> Result<Given, Refusal>;

    /// How it says no, where the model knows why.
    fn refusal(&self, model: &Model, op: &Fixed, reason: Reason) -> Refusal;

    /// Whether an access token opens anything; `Some(true)` if two factors were shown for it.
    async fn authenticate(&mut self, access: &str) -> Option<bool>;

    /// Starts again, over the same stores.
    fn restart(&mut self);
}

/// The code of a refusal.
pub(crate) type Refusal = String;

/// What an operation hands out.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) tokens: Option<Tokens>,
    /// What the second step of a login needs.
    pub(crate) pending: Option<String>,
    /// Of an authenticator.
    pub(crate) secret: Option<String>,
    /// For the times without it.
    pub(crate) codes: Option<Vec<String>>,
}

pub(crate) struct Run<S> {
    system: S,
    model: Model,
    user: Option<UserId>,
    /// The token version that the account began with.
    first_version: u32,
    /// Notices of changes that broke off before they were made: another change may lead to the same version.
    aborted: Vec<Mail>,
}

impl<S: System> Run<S> {
    pub(crate) fn new(system: S) -> Self {
        Self { system, model: Model::default(), user: None, first_version: 0, aborted: vec![] }
    }

    /// A life, and at its end every refresh token and every password there is.
    pub(crate) async fn live(&mut self, life: &[Deed]) {
        for (op, crash) in life {
            if let Some(op) = op.resolve(&self.model) {
                self.step(&op, crash.clone()).await;
            }
        }
        for token in 0..self.model.issued.len() {
            self.step(&Op::Refresh(token), None).await;
        }
        for (to, password) in (0..ADDRESSES.len()).flat_map(|to| (0..PASSWORDS.len()).map(move |it| (to, it))) {
            self.step(&Op::Login(to, password), None).await;
        }
    }

    async fn step(&mut self, op: &Fixed, crash: Option<(usize, Fault)>) {
        let step = self.model.predict(op);
        let before = self.row().await;
        let faults = self.system.faults().clone();
        // Whoever does the others calls no flow.
        if let (Some((at, fault)), false) = (crash, matches!(op, Op::Operator(_) | Op::Pass(_))) {
            faults.at(at, fault);
        }
        // `None` when the caller went away.
        let outcome = faults.until_it_hangs(self.perform(op)).await;
        faults.heal();

        self.user = self.user.or(self.find_user(&step.after).await);
        let expected = step.outcome.map_err(|reason| self.system.refusal(&self.model, op, reason));
        let seen = outcome.as_ref().map(|it| it.as_ref().map(|_| ()).map_err(Clone::clone));
        let whole = seen.as_ref() == Some(&expected);
        let made = self.shows(&step.after).await;
        let writes = self.factor_rows().await;
        let (mut owed, mut possible) = (step.notices.clone(), std::mem::take(&mut self.aborted));
        possible.extend(step.possible.clone());
        if whole {
            assert!(made, "{op:?} said {outcome:?} and left {:?}", self.row().await);
            owed.extend(step.mails);
        } else {
            let unavailable = Err(Reason::Unavailable.code().to_owned());
            let broke_off = seen.is_none_or(|seen| seen == unavailable);
            assert!(broke_off, "{op:?}: {outcome:?} instead of {expected:?}");
            assert!(made || self.shows(&self.model).await, "{op:?} was done by half: {:?}", self.row().await);
            // Of codes that were replaced the owner is told, whoever got them.
            let replaced = matches!(op, Op::Regenerate(..))
                && step.factors.as_ref().is_some_and(|burnt| writes == Some(burnt.writes));
            if replaced { &mut owed } else { &mut possible }.extend(step.mails);
            if !made {
                possible.append(&mut owed);
            }
        }
        let (burnt, factors) = (step.factors, self.model.account.as_ref().and_then(|it| it.factors.clone()));
        if made {
            self.model = step.after;
        }
        let (newest, asked) = (self.newest_change().await, matches!(op, Op::AskEmail(..)));
        // A request replaces the one before; a move forgets it; nothing else touches it.
        let touched = asked || matches!(op, Op::UseLink(Kind::ChangeEmail, ..));
        assert!(touched || newest.is_none() || self.model.newest == newest, "{op:?}");
        let replaced = asked && whole && outcome.as_ref().is_some_and(Result::is_ok);
        assert!(!replaced || (newest.is_some() && self.model.newest != newest), "{op:?}");
        self.model.newest = newest;
        if !whole {
            self.settle(op, factors, burnt).await;
        }
        self.confirmed_by_its_mailbox(op, before).await;
        let crashed = outcome.is_none();
        if let (Some(Ok(given)), true) = (outcome, whole) {
            self.learn(op, step.session, given);
        }
        if !whole {
            self.restart(crashed);
        }
        if matches!(op, Op::Operator(_)) && self.user.is_some() {
            self.pass_lag();
        }
        self.deliver(owed, possible).await;
        self.compare().await;
    }

    async fn perform(&self, op: &Fixed) -> Result<Given, Refusal> {
        match op {
            Op::ResetFactors => {
                let Some(user) = self.user else { return Ok(Given::default()) };
                let reset = self.system.auth().admin().reset_second_factors(&user).await;
                reset.map(|_| Given::default()).map_err(|error| error.reason().code().to_owned())
            }
            Op::Operator(status) => {
                if let Some(user) = self.row().await {
                    let change = UserChange { status: Some(*status), ..UserChange::default() };
                    let changed = self.stores().users.update_if(&user, &change).await.unwrap();
                    assert!(matches!(changed, UserUpdate::Done(_)));
                }
                Ok(Given::default())
            }
            Op::Pass(time) => {
                self.system.clock().advance(*time);
                Ok(Given::default())
            }
            op => self.system.perform(&self.model, op).await,
        }
    }

    /// What an operation that ended well hands out is all that it ought to.
    fn learn(&mut self, op: &Fixed, session: Option<usize>, given: Given) {
        let Given { tokens, pending, secret, codes } = &given;
        assert_eq!(tokens.is_some(), session.is_some());
        assert_eq!(pending.is_some(), matches!(op, Op::Login(..)) && session.is_none());
        assert_eq!(secret.is_some(), matches!(op, Op::SetUp(_)));
        assert_eq!(codes.is_some(), matches!(op, Op::Enable(..) | Op::Regenerate(..)));
        if let (Some(session), Some(tokens)) = (session, given.tokens) {
            self.model.learn(session, tokens);
        }
        if let Some(token) = given.pending {
            self.model.pendings.last_mut().unwrap().token = Some(token);
        }
        if let Some(secret) = given.secret {
            self.model.authenticators.push(Authenticator { secret, backup_codes: vec![] });
        }
        if let Some(codes) = given.codes {
            self.model.learn_codes(codes);
        }
    }

    /// What a flow that broke off has used up is used up: each row is as before or as after.
    async fn settle(&mut self, op: &Fixed, before: Option<Factors>, burnt: Option<Factors>) {
        let writes = self.factor_rows().await;
        if let Some(account) = &mut self.model.account
            && let (Some(_), Some(before), Some(burnt)) = (&account.factors, before, burnt)
        {
            account.factors = Some(if writes == Some(burnt.writes) { burnt } else { before });
        }
        match op {
            Op::SignUp(to, _) if self.model.others.contains(to) && self.find(*to).await.is_none() => {
                self.model.others.remove(to);
            }
            // An unverified account may have given way to a move that then broke off, and an address is kept in advance.
            Op::UseLink(..) => {
                for to in 0..ADDRESSES.len() {
                    if self.find(to).await.is_none() {
                        self.model.others.remove(&to);
                    }
                }
            }
            Op::SecondStep(number, _) => {
                let waits = self.pending_waits(*number).await;
                self.model.pendings[*number].taken = !waits;
            }
            Op::SetUp(token) => {
                let session = &mut self.model.sessions[self.model.issued[*token].session];
                session.set_up = None;
                session.set_up_unknown = true;
            }
            _ => {}
        }
    }

    /// How often the rows of the listed factors were written: of the authenticator, and of the backup codes.
    async fn factor_rows(&self) -> Option<(u64, u64)> {
        let user = self.row().await?;
        let mut writes = Vec::new();
        for factor in &user.factors {
            let row = self.stores().credentials.find(&user.tenant, factor.credential).await;
            writes.push(row.unwrap().unwrap().revision);
        }
        writes.try_into().ok().map(|[totp, codes]: [u64; 2]| (totp, codes))
    }

    /// The newest request for a change of address, as the store keeps it.
    async fn newest_change(&self) -> Option<Vec<u8>> {
        let (tenant, user) = (TenantId::default(), self.user?);
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

    /// After a crash the process starts again; after a call that failed it goes on, and learns what became of it.
    fn restart(&mut self, crashed: bool) {
        if crashed {
            self.system.restart();
        } else {
            self.pass_lag();
        }
    }

    fn pass_lag(&mut self) {
        self.system.clock().advance(SECOND + TICK);
        self.model.now += SECOND + TICK;
    }

    fn stores(&self) -> &Ports {
        self.system.auth().ports()
    }

    async fn find_user(&self, model: &Model) -> Option<UserId> {
        self.find(model.account.as_ref()?.email).await.map(|user| user.id)
    }

    /// Whoever has an address.
    async fn find(&self, address: usize) -> Option<User> {
        let email = Email::parse(ADDRESSES[address]).unwrap();
        let key = UserKey::Email(&email);
        self.stores().users.find(&TenantId::default(), key).await.unwrap()
    }

    async fn row(&self) -> Option<User> {
        let key = UserKey::Id(self.user.as_ref()?);
        self.stores().users.find(&TenantId::default(), key).await.unwrap()
    }

    /// Whether the rows are those of a model.
    async fn shows(&self, model: &Model) -> bool {
        let row = self.row().await;
        let (Some(account), Some(user)) = (&model.account, &row) else {
            return model.account.is_none() == row.is_none();
        };
        let password = account.password.map(|password| format!("$plain${}", PASSWORDS[password]));
        let name = account.name.map(|name| serde_json::json!(name.to_string()));
        let same = user.email.as_str() == ADDRESSES[account.email]
            && user.is_verified() == account.verified
            && user.status == account.status
            && user.password_hash.as_ref().map(|hash| hash.expose()) == password.as_deref()
            && user.token_version.get() == self.version(user, account.version)
            && user.attributes.get("first_name") == name.as_ref()
            && user.factors.iter().all(|factor| {
                let since = account.factors.as_ref().map(|factors| self.version(user, factors.since));
                since == Some(factor.since.get())
            })
            && user.factors.len() == if account.factors.is_some() { 2 } else { 0 };
        let mut sessions_same = true;
        for session in &model.sessions {
            let Some(id) = session.id else { continue };
            let row = self.stores().sessions.find(&user.tenant, id).await.unwrap().unwrap().row;
            let presented = row.presented == Some(row.generation);
            sessions_same &= (row.generation, presented, row.revoked_at.is_some())
                == (session.generation, session.presented, session.ended);
        }
        same && sessions_same
    }

    /// A version of the model as the row has it.
    fn version(&self, user: &User, version: u32) -> u32 {
        let first = if version == 0 && user.revision == 0 { user.token_version.get() } else { self.first_version };
        (first + version) & 0x7fff_ffff
    }

    /// An address is only ever proven by a link that was mailed to it, made under the version that still stood; or by
    /// one that takes back what happened since.
    async fn confirmed_by_its_mailbox(&mut self, op: &Fixed, before: Option<User>) {
        let Some(after) = self.row().await else { return };
        let Some(before) = before else {
            self.first_version = after.token_version.get();
            assert!(!after.is_verified());
            return;
        };
        if before.email != after.email || (after.is_verified() && !before.is_verified()) {
            let Op::UseLink(kind, link, _) = op else { panic!("{op:?} confirmed {}", after.email) };
            let mail = &self.model.mailed[*link].mail;
            assert_eq!(ADDRESSES[mail.to], after.email.as_str());
            let stood = before.token_version.get() == self.version(&before, mail.version);
            assert!(stood || *kind == Kind::NotMe, "{op:?}");
        }
    }

    /// Sends all mail: what is owed must be among it, and nothing but that and what is possible.
    async fn deliver(&mut self, owed: Vec<Mail>, mut possible: Vec<Mail>) {
        while !self.system.auth().deliver_mail().await.unwrap().is_idle() {}
        let sent = self.system.mailer().take().into_iter().map(|mail| {
            let to = ADDRESSES.iter().position(|email| *email == mail.to).unwrap();
            (to, mail)
        });
        // Whoever else has an address gets mails of their own.
        let by_address = |purpose| {
            let link = matches!(Kind::of(purpose), Some(Kind::Verify | Kind::SetPassword));
            link || purpose == MailPurpose::AccountExists
        };
        let others = &self.model.others;
        let sent: Vec<_> = sent.filter(|(to, mail)| !(others.contains(to) && by_address(mail.purpose))).collect();
        let version = self.model.account.as_ref().map_or(0, |account| account.version);
        let mut expected = owed;
        possible.sort_by_key(|mail| mail.version);
        for (to, mail) in &sent {
            let same = |other: &&Mail| (other.to, other.purpose) == (*to, mail.purpose);
            let count = sent.iter().filter(|(other, it)| (*other, it.purpose) == (*to, mail.purpose)).count();
            if expected.iter().filter(same).count() < count {
                // One of a version that is yet to come waits on.
                // A way to a password that was announced before a change says what the account is after it.
                let ways = [MailPurpose::ResetPassword, MailPurpose::AccountDisabled];
                let turned =
                    |other: &Mail| other.to == *to && ways.contains(&other.purpose) && ways.contains(&mail.purpose);
                let fits = |other: &Mail| (same(&other) || turned(other)) && other.version <= version;
                let extra = possible.iter().rposition(fits);
                let extra = extra.unwrap_or_else(|| panic!("nobody was to be sent {mail:?}"));
                expected.push(Mail { purpose: mail.purpose, ..possible.remove(extra) });
            }
        }
        expected.sort_by_key(|mail| mail.version);
        for (to, mail) in sent {
            let found = expected.iter().position(|other| (other.to, other.purpose) == (to, mail.purpose));
            let found = expected.remove(found.unwrap());
            assert!(self.model.account.is_some() && found.version <= version);
            assert_eq!(mail.link.is_some(), Kind::of(mail.purpose).is_some());
            if let Some((user, token)) = mail.link {
                let link = Link { purpose: mail.purpose, user: UserId::parse(&user).unwrap(), token };
                self.model.learn_link(found, link);
            }
        }
        let deleted = self.model.account.as_ref().is_some_and(|it| it.status == UserStatus::Deleted);
        assert!(expected.is_empty() || deleted, "never arrived: {expected:?}");
        // A notice, and the link to a password that a take-back announces, come whatever change led to their version.
        let notice = |mail: &Mail| Kind::of(mail.purpose).is_none_or(|kind| matches!(kind, Kind::NotMe | Kind::Object));
        let announced = |mail: &Mail| mail.purpose == MailPurpose::ResetPassword && mail.version == version;
        let waits = |mail: &Mail| notice(mail) || announced(mail) || mail.version > version;
        self.aborted = possible.into_iter().filter(waits).collect();
    }

    /// Every access token that was ever issued, and the rows.
    async fn compare(&mut self) {
        let factors = self.model.account.as_ref().and_then(|account| account.factors.as_ref());
        assert_eq!(self.factor_rows().await, factors.map(|factors| factors.writes), "a code was not used once");
        for (number, pending) in self.model.pendings.iter().enumerate().filter(|(_, it)| it.token.is_some()) {
            assert_eq!(self.pending_waits(number).await, pending.waits(self.model.now));
        }
        for issued in &self.model.issued {
            let alive = self.system.authenticate(&issued.tokens.access).await;
            let session = &self.model.sessions[issued.session];
            let expected = self.model.access_is_alive(issued).then(|| session.shown.is_multi_factor());
            assert_eq!(alive, expected, "{issued:?}");
            assert!(
                factors.is_none() || alive.is_none() || session.two_factors,
                "a password alone got around the factor"
            );
        }
        assert!(self.shows(&self.model).await, "{:?} is not {:?}", self.row().await, self.model.account);
    }
}
