//! The system beside its model: each operation is done in both, and whatever can be seen of them is compared.

use auth_core::flow::{EmailChangeRequest, LoginOutcome, LoginRequest, PasswordChangeRequest, SessionTokens};
use auth_core::port::{
    Clock as _, CredentialStore, MailPurpose, PendingSessionStore, SessionStore, UserKey, UserStore,
};
use auth_core::proof::LiveSession;
use auth_core::types::{
    AuthMethods, Channel, Email, Password, PendingId, PendingPurpose, Token, User, UserId, UserStatus,
};
use auth_core::{Error, Reason};
use uuid::Uuid;

use crate::account::{ADDRESSES, Mail, Mailed, Model, PASSWORDS};
use crate::common::{Authenticator, Fault, Link, SECOND, Store, TICK, World, bytes, second_step};
use crate::factors::{Code, Factors};
use crate::ops::{Deed, Fixed, Kind, Op};

/// What an operation hands out.
#[derive(Debug, Default)]
struct Given {
    session: Option<SessionTokens>,
    /// What the second step of a login needs.
    pending: Option<String>,
    authenticator: Option<Authenticator>,
    codes: Option<Vec<String>>,
}

impl Given {
    fn session(session: SessionTokens) -> Self {
        Self { session: Some(session), ..Self::default() }
    }
}

/// `None` when the caller went away.
type Outcome = Option<Result<Given, Error>>;

pub(crate) struct Run<S> {
    pub(crate) world: World<S>,
    pub(crate) model: Model,
    user: Option<UserId>,
    /// The token version that the account began with.
    first_version: u32,
    /// Notices of changes that broke off before they were made: another change may lead to the same version.
    aborted: Vec<Mail>,
}

fn password(number: usize) -> Password {
    Password::new(PASSWORDS[number]).unwrap()
}

fn texts(codes: &[Token]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_owned()).collect()
}

impl<S: Store> Run<S> {
    pub(crate) fn new(world: World<S>) -> Self {
        Self { world, model: Model::default(), user: None, first_version: 0, aborted: vec![] }
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
        let held = self.held(op).await;
        let before = self.row().await;
        let faults = self.world.faults.clone();
        if let Some((at, fault)) = crash {
            faults.at(at, fault);
        }
        let outcome: Outcome = faults.until_it_hangs(self.perform(op, held)).await;
        faults.heal();

        self.user = self.user.or(self.find_user(&step.after).await);
        let whole = outcome.as_ref().is_some_and(|it| match it {
            Ok(_) => step.outcome == Ok(()),
            Err(error) => step.outcome == Err(error.reason()),
        });
        let made = self.shows(&step.after).await;
        let (mut owed, mut possible) = (step.notices.clone(), std::mem::take(&mut self.aborted));
        possible.extend(step.possible.clone());
        if whole {
            assert!(made, "{op:?} said {outcome:?} and left {:?}", self.row().await);
            owed.extend(step.mails);
        } else {
            let broke_off = matches!(&outcome, None | Some(Err(_)));
            let why = outcome.as_ref().and_then(|it| it.as_ref().err()).map(Error::reason);
            let expected = &step.outcome;
            let fault = broke_off && matches!(why, None | Some(Reason::Unavailable));
            assert!(fault, "{op:?}: {outcome:?} instead of {expected:?}");
            assert!(made || self.shows(&self.model).await, "{op:?} was done by half: {:?}", self.row().await);
            possible.extend(step.mails);
            if !made {
                possible.append(&mut owed);
            }
        }
        let (burnt, factors) = (step.factors, self.model.account.as_ref().and_then(|it| it.factors.clone()));
        if made {
            self.model = step.after;
        }
        if !whole {
            self.settle(op, factors, burnt).await;
        }
        self.confirmed_by_its_mailbox(op, before).await;
        if let (Some(Ok(given)), true) = (&outcome, whole) {
            self.learn(step.session, given).await;
        }
        if !whole {
            self.restart(outcome.is_none()).await;
        }
        if matches!(op, Op::Operator(_)) && self.user.is_some() {
            self.pass_lag().await;
        }
        self.deliver(owed, possible).await;
        self.compare().await;
    }

    /// The caller's session, if the operation is one of somebody who is logged in.
    async fn held(&self, op: &Fixed) -> Option<LiveSession> {
        let (Op::ChangePassword(token, ..)
        | Op::AskEmail(token, ..)
        | Op::Reauthenticate(token, _)
        | Op::Deactivate(token, _)
        | Op::Profile(token, _)
        | Op::SetUp(token)
        | Op::Enable(token, _)
        | Op::Disable(token, ..)
        | Op::Regenerate(token, _)) = op
        else {
            return None;
        };
        let issued = &self.model.issued[*token];
        Some(self.world.auth.authenticate(&issued.bytes.0).await.unwrap_or(issued.live))
    }

    async fn perform(&self, op: &Fixed, held: Option<LiveSession>) -> Result<Given, Error> {
        let World { auth, client, .. } = &self.world;
        let bytes = |token: &usize| &self.model.issued[*token].bytes;
        let live = || held.unwrap();
        match op {
            Op::SignUp(to, word) => {
                self.world.sign_up(ADDRESSES[*to], PASSWORDS[*word]).await.map(|_| Given::default())
            }
            Op::Resend(to) => auth.resend_verification(client, ADDRESSES[*to]).await.map(|()| Given::default()),
            Op::AskReset(to) => auth.request_password_reset(client, ADDRESSES[*to]).await.map(|()| Given::default()),
            Op::UseLink(kind, link, word) => {
                let Mailed { link: link @ Link { user, token, .. }, .. } = &self.model.mailed[*link];
                let done = match kind {
                    Kind::Verify => self.world.verify(link).await,
                    Kind::SetPassword => self.world.reset(link, PASSWORDS[*word]).await,
                    Kind::ChangeEmail => auth.confirm_email_change(client, Some(*user), token).await,
                    Kind::NotMe => auth.take_back(client, Some(*user), token).await,
                };
                done.map(|()| Given::default())
            }
            Op::Login(to, word) => {
                let (identifier, password) = (ADDRESSES[*to], password(*word));
                let request = LoginRequest { identifier, password: &password, channel: Channel::Header, device: None };
                Ok(match auth.login(client, request).await? {
                    LoginOutcome::LoggedIn(login) => Given::session(login.session),
                    LoginOutcome::SecondFactorRequired(token) => {
                        Given { pending: Some(token.expose().to_owned()), ..Given::default() }
                    }
                })
            }
            Op::SecondStep(pending, code) => {
                let token = self.model.pendings[*pending].token.as_deref().unwrap();
                second_step(auth, token, &self.text(*code)).await.map(|verified| Given::session(verified.login.session))
            }
            Op::SetUp(_) => {
                let setup = auth.set_up_totp(client, &live(), None).await?;
                let authenticator = Authenticator { secret: setup.secret.expose().to_owned(), backup_codes: vec![] };
                Ok(Given { authenticator: Some(authenticator), ..Given::default() })
            }
            Op::Enable(_, with) => {
                let enabled = auth.enable_totp(client, &live(), &self.text(Code::Totp(*with, 0))).await?;
                Ok(Given { codes: Some(texts(&enabled.backup_codes)), ..Given::session(enabled.session) })
            }
            Op::Disable(_, word, with) => {
                let code = self.text(Code::Totp(*with, 0));
                auth.disable_totp(client, &live(), &password(*word), &code).await.map(Given::session)
            }
            Op::Regenerate(_, word) => {
                let codes = auth.regenerate_backup_codes(client, &live(), &password(*word)).await?;
                Ok(Given { codes: Some(texts(&codes)), ..Given::default() })
            }
            Op::ResetFactors => {
                let Some(user) = self.user else { return Ok(Given::default()) };
                auth.admin().reset_second_factors(&user).await.map(|_| Given::default())
            }
            Op::Refresh(token) => auth.refresh(&bytes(token).1).await.map(Given::session),
            Op::LogoutByAccess(token) => auth.logout(Some(&bytes(token).0), None).await.map(|()| Given::default()),
            Op::LogoutByRefresh(token) => auth.logout(None, Some(&bytes(token).1)).await.map(|()| Given::default()),
            Op::ChangePassword(_, old, new) => {
                let request = PasswordChangeRequest { old_password: &password(*old), new_password: PASSWORDS[*new] };
                auth.change_password(client, &live(), request).await.map(Given::session)
            }
            Op::AskEmail(_, to, word) => {
                let word = word.map(password);
                let request = EmailChangeRequest { new_email: ADDRESSES[*to], password: word.as_ref() };
                auth.request_email_change(client, &live(), request).await.map(|()| Given::default())
            }
            Op::Reauthenticate(_, word) => {
                auth.reauthenticate(client, &live(), &password(*word)).await.map(Given::session)
            }
            Op::Deactivate(_, word) => {
                auth.deactivate(client, &live(), &password(*word)).await.map(|()| Given::default())
            }
            Op::Profile(_, name) => {
                let name = name.map(|name| name.to_string());
                auth.change_profile(&live(), &[("first_name", name.as_deref())]).await.map(|_| Given::default())
            }
            Op::Operator(status) => {
                if let Some(user) = self.row().await {
                    self.world.set_status(user.email.as_str(), *status).await;
                }
                Ok(Given::default())
            }
            Op::Pass(time) => {
                self.world.clock.advance(*time);
                Ok(Given::default())
            }
        }
    }

    /// A code as it is typed.
    fn text(&self, code: Code) -> String {
        match code {
            Code::Totp(with, steps) => self.model.authenticators[with].code_at(&self.world.clock, steps),
            Code::Backup(set, number) => self.model.code_sets[set][number].clone(),
            Code::Wrong => "abcdef".to_owned(),
        }
    }

    async fn learn(&mut self, session: Option<usize>, given: &Given) {
        if let (Some(session), Some(tokens)) = (session, &given.session) {
            let fresh = self.world.auth.authenticate(tokens.access.token.expose()).await;
            let known = || self.model.issued.iter().find(|issued| issued.session == session).map(|issued| issued.live);
            // A token that was repeated may be over by now.
            let live = fresh.ok().or_else(known).unwrap();
            self.model.learn(session, tokens.session, bytes(tokens), live);
        }
        if let Some(token) = &given.pending {
            self.model.pendings.last_mut().unwrap().token = Some(token.clone());
        }
        self.model.authenticators.extend(given.authenticator.clone());
        if let Some(codes) = &given.codes {
            self.model.learn_codes(codes.clone());
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
            let row = CredentialStore::find(&self.world.store, &user.tenant, factor.credential).await;
            writes.push(row.unwrap().unwrap().revision);
        }
        writes.try_into().ok().map(|[totp, codes]: [u64; 2]| (totp, codes))
    }

    async fn pending_waits(&self, number: usize) -> bool {
        let token = Uuid::parse_str(self.model.pendings[number].token.as_deref().unwrap()).unwrap();
        let id = PendingId::of(PendingPurpose::SecondFactor, token.as_bytes());
        let now = self.world.clock.now();
        PendingSessionStore::find(&self.world.store, &id, now).await.unwrap().is_some()
    }

    /// After a crash the process starts again; after a call that failed it goes on, and learns what became of it.
    async fn restart(&mut self, crashed: bool) {
        if crashed {
            self.world.auth = self.world.node();
        } else {
            self.pass_lag().await;
        }
    }

    async fn pass_lag(&mut self) {
        self.world.clock.advance(SECOND + TICK);
        self.model.now += SECOND + TICK;
    }

    async fn find_user(&self, model: &Model) -> Option<UserId> {
        self.find(model.account.as_ref()?.email).await.map(|user| user.id)
    }

    /// Whoever has an address.
    async fn find(&self, address: usize) -> Option<User> {
        let email = Email::parse(ADDRESSES[address]).unwrap();
        let key = UserKey::Email(&email);
        UserStore::find(&self.world.store, &self.world.client.tenant, key).await.unwrap()
    }

    async fn row(&self) -> Option<User> {
        let key = UserKey::Id(self.user.as_ref()?);
        UserStore::find(&self.world.store, &self.world.client.tenant, key).await.unwrap()
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
            let row = SessionStore::find(&self.world.store, &user.tenant, id).await.unwrap().unwrap().row;
            sessions_same &= (row.generation, row.revoked_at.is_some()) == (session.generation, session.ended);
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
        let sent = self.world.deliver().await.into_iter().map(|mail| {
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
                let extra = possible.iter().rposition(|other| same(&other) && other.version <= version);
                let extra = extra.unwrap_or_else(|| panic!("nobody was to be sent {mail:?}"));
                expected.push(possible.remove(extra));
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
        let notice = |mail: &Mail| Kind::of(mail.purpose).is_none_or(|kind| kind == Kind::NotMe);
        let announced = |mail: &Mail| mail.purpose == MailPurpose::ResetPassword && mail.version == version;
        let waits = |mail: &Mail| notice(mail) || announced(mail) || mail.version > version;
        self.aborted = possible.into_iter().filter(waits).collect();
    }

    /// Every access token that was ever issued, and the rows.
    async fn compare(&self) {
        let factors = self.model.account.as_ref().and_then(|account| account.factors.as_ref());
        assert_eq!(self.factor_rows().await, factors.map(|factors| factors.writes), "a code was not used once");
        for (number, pending) in self.model.pendings.iter().enumerate().filter(|(_, it)| it.token.is_some()) {
            assert_eq!(self.pending_waits(number).await, pending.waits(self.model.now));
        }
        for issued in &self.model.issued {
            let alive = self.world.auth.authenticate(&issued.bytes.0).await;
            let two_factors = issued.live.methods().contains(AuthMethods::MULTI_FACTOR);
            assert!(alive.is_err() || factors.is_none() || two_factors, "a password alone got around the factor");
            assert_eq!(alive.is_ok(), self.model.access_is_alive(issued), "{issued:?}: {:?}", alive.map(|_| ()));
        }
        assert!(self.shows(&self.model).await, "{:?} is not {:?}", self.row().await, self.model.account);
    }
}
