//! The system beside its model: each operation is done in both, and whatever can be seen of them is compared.

use auth_core::flow::{EmailChangeRequest, PasswordChangeRequest, SessionTokens};
use auth_core::port::{MailPurpose, SessionStore, UserKey, UserStore};
use auth_core::proof::LiveSession;
use auth_core::types::{Email, Password, User, UserId, UserStatus};
use auth_core::{Error, Reason};

use crate::account::{ADDRESSES, Mail, Mailed, Model, PASSWORDS};
use crate::common::{Fault, Link, SECOND, Store, TICK, World, bytes, login};
use crate::ops::{Deed, Kind, Op};

/// Tokens, where the operation gives any; `None` when the caller went away.
type Outcome = Option<Result<Option<SessionTokens>, Error>>;

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

    async fn step(&mut self, op: &Op<usize>, crash: Option<(usize, Fault)>) {
        let step = self.model.predict(op);
        let held = self.held(op).await;
        let before = self.row().await;
        let store = self.world.store.clone();
        if let Some((at, fault)) = crash {
            store.plan(move |number, _| (number == at).then(|| fault.clone()));
        }
        let outcome: Outcome = store.until_it_hangs(self.perform(op, held)).await;
        store.heal();

        self.user = self.user.or(self.find_user(&step.after).await);
        let whole = outcome.as_ref().is_some_and(|it| match it {
            Ok(_) => step.outcome == Ok(()),
            Err(error) => step.outcome == Err(error.reason()),
        });
        let made = self.shows(&step.after).await;
        let (mut owed, mut possible) = (step.notices.clone(), std::mem::take(&mut self.aborted));
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
        if made {
            self.model = step.after;
        }
        self.confirmed_by_its_mailbox(op, before).await;
        if let (Some(Ok(Some(tokens))), Some(session)) = (&outcome, step.session) {
            self.learn(session, tokens).await;
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
    async fn held(&self, op: &Op<usize>) -> Option<LiveSession> {
        let (Op::ChangePassword(token, ..)
        | Op::AskEmail(token, ..)
        | Op::Reauthenticate(token, _)
        | Op::Deactivate(token, _)
        | Op::Profile(token, _)) = op
        else {
            return None;
        };
        let issued = &self.model.issued[*token];
        Some(self.world.auth.authenticate(&issued.bytes.0).await.unwrap_or(issued.live))
    }

    async fn perform(&self, op: &Op<usize>, held: Option<LiveSession>) -> Result<Option<SessionTokens>, Error> {
        let World { auth, client, .. } = &self.world;
        let bytes = |token: &usize| &self.model.issued[*token].bytes;
        let live = || held.unwrap();
        match op {
            Op::SignUp(to, word) => self.world.sign_up(ADDRESSES[*to], PASSWORDS[*word]).await.map(|_| None),
            Op::Resend(to) => auth.resend_verification(client, ADDRESSES[*to]).await.map(|()| None),
            Op::AskReset(to) => auth.request_password_reset(client, ADDRESSES[*to]).await.map(|()| None),
            Op::UseLink(kind, link, word) => {
                let Mailed { link: link @ Link { user, token, .. }, .. } = &self.model.mailed[*link];
                let done = match kind {
                    Kind::Verify => self.world.verify(link).await,
                    Kind::SetPassword => self.world.reset(link, PASSWORDS[*word]).await,
                    Kind::ChangeEmail => auth.confirm_email_change(client, Some(*user), token).await,
                    Kind::NotMe => auth.take_back(client, Some(*user), token).await,
                };
                done.map(|()| None)
            }
            Op::Login(to, word) => login(auth, ADDRESSES[*to], PASSWORDS[*word]).await.map(Some),
            Op::Refresh(token) => auth.refresh(&bytes(token).1).await.map(Some),
            Op::LogoutByAccess(token) => auth.logout(Some(&bytes(token).0), None).await.map(|()| None),
            Op::LogoutByRefresh(token) => auth.logout(None, Some(&bytes(token).1)).await.map(|()| None),
            Op::ChangePassword(_, old, new) => {
                let request = PasswordChangeRequest { old_password: &password(*old), new_password: PASSWORDS[*new] };
                auth.change_password(client, &live(), request).await.map(Some)
            }
            Op::AskEmail(_, to, word) => {
                let word = word.map(password);
                let request = EmailChangeRequest { new_email: ADDRESSES[*to], password: word.as_ref() };
                auth.request_email_change(client, &live(), request).await.map(|()| None)
            }
            Op::Reauthenticate(_, word) => auth.reauthenticate(client, &live(), &password(*word)).await.map(Some),
            Op::Deactivate(_, word) => auth.deactivate(client, &live(), &password(*word)).await.map(|()| None),
            Op::Profile(_, name) => {
                let name = name.map(|name| name.to_string());
                auth.change_profile(&live(), &[("first_name", name.as_deref())]).await.map(|_| None)
            }
            Op::Operator(status) => {
                if let Some(user) = self.row().await {
                    self.world.set_status(user.email.as_str(), *status).await;
                }
                Ok(None)
            }
            Op::Pass(time) => {
                self.world.clock.advance(*time);
                Ok(None)
            }
        }
    }

    async fn learn(&mut self, session: usize, tokens: &SessionTokens) {
        let fresh = self.world.auth.authenticate(tokens.access.token.expose()).await;
        let known = || self.model.issued.iter().find(|issued| issued.session == session).map(|issued| issued.live);
        // A token that was repeated may be over by now.
        let live = fresh.ok().or_else(known).unwrap();
        self.model.learn(session, tokens.session, bytes(tokens), live);
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
        let email = Email::parse(ADDRESSES[model.account.as_ref()?.email]).unwrap();
        let found = UserStore::find(self.world.store.inner(), &self.world.client.tenant, UserKey::Email(&email)).await;
        found.unwrap().map(|user| user.id)
    }

    async fn row(&self) -> Option<User> {
        let key = UserKey::Id(self.user.as_ref()?);
        UserStore::find(self.world.store.inner(), &self.world.client.tenant, key).await.unwrap()
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
            && user.attributes.get("first_name") == name.as_ref();
        let mut sessions_same = true;
        for session in &model.sessions {
            let Some(id) = session.id else { continue };
            let row = SessionStore::find(self.world.store.inner(), &user.tenant, id).await.unwrap().unwrap().row;
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
    async fn confirmed_by_its_mailbox(&mut self, op: &Op<usize>, before: Option<User>) {
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
        let mut expected = owed;
        possible.sort_by_key(|mail| mail.version);
        for (to, mail) in &sent {
            let same = |other: &&Mail| (other.to, other.purpose) == (*to, mail.purpose);
            let count = sent.iter().filter(|(other, it)| (*other, it.purpose) == (*to, mail.purpose)).count();
            if expected.iter().filter(same).count() < count {
                let extra = possible.iter().rposition(|other| same(&other));
                let extra = extra.unwrap_or_else(|| panic!("nobody was to be sent {mail:?}"));
                expected.push(possible.remove(extra));
            }
        }
        expected.sort_by_key(|mail| mail.version);
        for (to, mail) in sent {
            let found = expected.iter().position(|other| (other.to, other.purpose) == (to, mail.purpose));
            let found = expected.remove(found.unwrap());
            assert!(self.model.account.as_ref().is_some_and(|account| found.version <= account.version));
            assert_eq!(mail.link.is_some(), Kind::of(mail.purpose).is_some());
            if let Some((user, token)) = mail.link {
                let link = Link { purpose: mail.purpose, user: UserId::parse(&user).unwrap(), token };
                self.model.learn_link(found, link);
            }
        }
        let deleted = self.model.account.as_ref().is_some_and(|it| it.status == UserStatus::Deleted);
        assert!(expected.is_empty() || deleted, "never arrived: {expected:?}");
        let notice = |mail: &Mail| Kind::of(mail.purpose).is_none_or(|kind| kind == Kind::NotMe);
        self.aborted = possible.into_iter().filter(notice).collect();
    }

    /// Every access token that was ever issued, and the rows.
    async fn compare(&self) {
        for issued in &self.model.issued {
            let alive = self.world.auth.authenticate(&issued.bytes.0).await;
            assert_eq!(alive.is_ok(), self.model.access_is_alive(issued), "{issued:?}: {:?}", alive.map(|_| ()));
        }
        assert!(self.shows(&self.model).await, "{:?} is not {:?}", self.row().await, self.model.account);
    }
}
