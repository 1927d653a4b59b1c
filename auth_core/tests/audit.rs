//! The record of a change: it begins before the change is made, and is settled after it.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_core::account::{PasswordChangeRequest, PasswordResetConfirm, SignUpRequest};
use auth_core::factor::{Confirmation, TotpPurpose};
use auth_core::operator::NewAccount;
use auth_core::policy::AttributeRule;
use auth_core::port::{
    AuditLog, Event, MailPurpose, Record, RecordId, RecordOutcome, StoreError, UserChange, UserKey, UserStore as _,
};
use auth_core::types::{Attributes, Client, Locale, Password, TenantId, User, UserId, UserStatus};
use auth_core::{AuthSystem, Error, Reason};
use common::Authenticator;
use common::{ADA, PASSWORD, World, refused};

/// Keeps the account as it was when each record began, and what came of it.
#[derive(Clone, Default)]
struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    store: Mutex<Option<auth_core::memory::MemoryStore>>,
    begun: Mutex<Vec<(Record, Option<User>)>>,
    settled: Mutex<Vec<(RecordId, RecordOutcome)>>,
    is_down: AtomicBool,
    never_settles: AtomicBool,
    /// Another node changes the account at the beginning of the next record.
    interferes: AtomicBool,
}

#[async_trait]
impl AuditLog for Log {
    async fn begin(&self, record: &Record) -> Result<(), StoreError> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the log is down"));
        }
        let store = self.0.store.lock().unwrap().clone().unwrap();
        let user = match &record.subject {
            Some(id) => store.find(&record.tenant, UserKey::Id(id)).await?,
            None => None,
        };
        if let Some(user) = &user
            && self.0.interferes.swap(false, Ordering::SeqCst)
        {
            let change = UserChange { attributes: Some(Attributes::new()), ..UserChange::default() };
            store.update_if(user, &change).await?;
        }
        self.0.begun.lock().unwrap().push((record.clone(), user));
        Ok(())
    }

    async fn settle(&self, record: RecordId, outcome: RecordOutcome) -> Result<(), StoreError> {
        if self.0.never_settles.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.settled.lock().unwrap().push((record, outcome));
        Ok(())
    }
}

impl Log {
    fn begun(&self) -> Vec<(Record, Option<User>)> {
        std::mem::take(&mut self.0.begun.lock().unwrap())
    }

    fn settled(&self) -> Vec<(RecordId, RecordOutcome)> {
        std::mem::take(&mut self.0.settled.lock().unwrap())
    }
}

/// A world with Ada's account, and a node that keeps a log.
async fn world() -> (World, AuthSystem, Log) {
    let (world, log) = (World::new(), Log::default());
    world.verified(ADA, PASSWORD).await;
    *log.0.store.lock().unwrap() = Some(world.store.clone());
    let auth = world.node_with_audit(log.clone());
    (world, auth, log)
}

async fn close(world: &World, auth: &AuthSystem) -> Result<UserId, Error> {
    let client = Client {
        agent: Some("Firefox".to_owned()),
        address: Some([203, 0, 113, 9].into()),
        locale: Locale::default(),
        ..Client::default()
    };
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let live = auth.authenticate(tokens.access.token.expose()).await.unwrap();
    auth.request(&client).deactivate(&live, &Password::new(PASSWORD).unwrap()).await.map(|()| live.user())
}

#[tokio::test]
async fn a_record_begins_before_a_change_and_is_settled_after_it() {
    let (world, auth, log) = world().await;
    let id = close(&world, &auth).await.unwrap();
    let begun = log.begun();
    let [(record, before)] = &*begun else { panic!("{begun:?}") };
    assert_eq!(before.as_ref().unwrap().status, UserStatus::Active, "it began before the change");
    assert_eq!(world.user(ADA).await.status, UserStatus::Deactivated { since: record.at });
    assert_eq!(record.events, [Event::Deactivated { user: id }]);
    assert_eq!((record.subject, record.tenant), (Some(id), TenantId::default()));
    assert_eq!((record.address, record.agent.as_deref()), (Some([203, 0, 113, 9].into()), Some("Firefox")));
    assert_eq!(log.settled(), [(record.id, RecordOutcome::Done)]);
}

#[tokio::test]
async fn a_change_that_loses_a_race_has_a_record_of_each_attempt() {
    let (world, auth, log) = world().await;
    log.0.interferes.store(true, Ordering::SeqCst);
    close(&world, &auth).await.unwrap();
    let ids: Vec<_> = log.begun().into_iter().map(|(record, _)| record.id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(log.settled(), [(ids[0], RecordOutcome::Lost), (ids[1], RecordOutcome::Done)]);
}

#[tokio::test]
async fn no_change_is_made_without_a_record() {
    let (world, auth, log) = world().await;
    log.0.is_down.store(true, Ordering::SeqCst);
    assert_eq!(refused(close(&world, &auth).await), Reason::Unavailable);
    assert_eq!(world.user(ADA).await.status, UserStatus::Active);
    assert_eq!(world.mails().await, [], "nobody is told of a change that was not made");
    log.0.is_down.store(false, Ordering::SeqCst);
    close(&world, &auth).await.unwrap();
}

#[tokio::test]
async fn a_record_of_a_call_that_broke_off_stays_unsettled() {
    let (world, auth, log) = world().await;
    let calls = {
        let tokens = world.login(ADA, PASSWORD).await.unwrap();
        let live = auth.authenticate(tokens.access.token.expose()).await.unwrap();
        world.faults.calls();
        for call in 0.. {
            let (auth, password) = (auth.clone(), Password::new(PASSWORD).unwrap());
            world.faults.at(call, common::Fault::HangBefore);
            let request = auth.request(&world.client);
            let closing = request.deactivate(&live, &password);
            let done = world.faults.until_it_hangs(closing).await;
            world.faults.heal();
            if done.is_some() {
                break;
            }
        }
        log.begun()
    };
    let settled = log.settled();
    // Of the calls that broke off, the later ones had begun a record; the last call settled its own.
    assert!(calls.len() > 1, "{calls:?}");
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0], (calls.last().unwrap().0.id, RecordOutcome::Done));
}

#[tokio::test]
async fn a_log_that_never_answers_after_the_change_keeps_nobody_logged_in() {
    let (world, auth, log) = world().await;
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let live = auth.authenticate(tokens.access.token.expose()).await.unwrap();
    log.0.never_settles.store(true, Ordering::SeqCst);
    world.events.take();
    let password = Password::new(PASSWORD).unwrap();
    let request = auth.request(&world.client);
    let mut closing = std::pin::pin!(request.deactivate(&live, &password));
    let broke_off = std::future::poll_fn(|context| std::task::Poll::Ready(closing.as_mut().poll(context).is_pending()));
    assert!(broke_off.await);
    assert!(auth.authenticate(tokens.access.token.expose()).await.is_err(), "the session is over on this node");
    assert_eq!(world.events.take(), [Event::Deactivated { user: live.user() }]);
}

/// The name of an event, or of what an operator did.
fn name(event: &Event) -> String {
    let text = match event {
        Event::Administered { action, .. } => format!("{action:?}"),
        event => format!("{event:?}"),
    };
    text.split([' ', '(']).next().unwrap().to_owned()
}

/// Refusals, mails, and steps that change no account and no session.
const NO_CHANGES: [&str; 8] = [
    "LoginRefused",
    "PasswordRefused",
    "CodeRefused",
    "SecondFactorAwaited",
    "BackupCodeUsed",
    "EmailChangeRequested",
    "Refreshed",
    "MailSent",
];

#[tokio::test]
async fn every_change_that_is_reported_has_a_record() {
    let log = Log::default();
    let world = World::with(|policy| policy.attributes = vec![AttributeRule::new("name", 5)]);
    *log.0.store.lock().unwrap() = Some(world.store.clone());
    let auth = world.node_with_audit(log.clone());
    let client = Client::default();
    let request = auth.request(&client);
    let password = Password::new(PASSWORD).unwrap();

    // Sign-up, repeated by a stranger, denied and verified.
    for (email, word) in [("eve@example.org", PASSWORD), (ADA, "of a stranger"), (ADA, PASSWORD)] {
        let sign_up = SignUpRequest::new(common::to_email(email), common::new_password(word));
        request.sign_up(sign_up).await.unwrap();
    }
    let mails = world.deliver().await;
    let link = |to: &str, purpose| mails.iter().rfind(|sent| sent.to == to && sent.purpose == purpose).unwrap();
    let (_, (user, token)) = link("eve@example.org", MailPurpose::VerifyEmail).sign_up.clone().unwrap();
    assert!(request.deny_sign_up(UserId::parse(&user).ok(), &token).await.unwrap());
    let (user, token) = link(ADA, MailPurpose::SetPassword).link.clone().unwrap();
    let reset = PasswordResetConfirm {
        user: UserId::parse(&user).ok(),
        token: &token,
        password: &common::new_password(PASSWORD),
    };
    request.confirm_password_reset(reset).await.unwrap();

    // A session: refreshed, confirmed, its token replayed, ended.
    let first = common::login(&auth, ADA, PASSWORD).await.unwrap();
    let live = auth.authenticate(first.access.token.expose()).await.unwrap();
    let sent = Confirmation { password: Some(&password), code: None };
    let second = request.reauthenticate(&live, sent).await.unwrap();
    for _ in 0..2 {
        world.clock.advance(common::DAY);
        let _ = request.refresh(second.refresh.token.expose()).await;
    }
    let third = common::login(&auth, ADA, PASSWORD).await.unwrap();
    let live = auth.authenticate(third.access.token.expose()).await.unwrap();
    request.change_profile(&live, &[("name", "Ada".into())]).await.unwrap();

    // A second factor: enrolled, its backup codes replaced, turned off.
    let setup = request.two_factor().set_up(&live, sent, TotpPurpose::Enrol).await.unwrap();
    let authenticator = Authenticator { secret: setup.secret.expose().to_owned(), backup_codes: vec![] };
    let enabled = request.two_factor().enable(&live, &authenticator.code(&world.clock)).await.unwrap();
    let live = auth.authenticate(enabled.session.access.token.expose()).await.unwrap();
    request.two_factor().replace_backup_codes(&live, &password, None).await.unwrap();
    world.clock.advance(common::MINUTE);
    let disabled = request.two_factor().disable(&live, &password, &authenticator.code(&world.clock)).await.unwrap();
    let live = auth.authenticate(disabled.access.token.expose()).await.unwrap();
    let change =
        PasswordChangeRequest { old_password: &password, new_password: &common::new_password("another good one") };
    let changed = request.change_password(&live, change).await.unwrap();
    request.logout(Some(changed.access.token.expose()), None).await.unwrap();

    // An operator, and an import.
    let admin = auth.admin().acting_as("grace");
    let account = NewAccount { email: "bob@example.org", password: Some(PASSWORD), ..NewAccount::default() };
    let bob = admin.create_user(account).await.unwrap().id;
    for user in [&bob, &live.user()] {
        admin.unlock(user).await.unwrap();
        admin.start_reset(user).await.unwrap();
        admin.set_email(user, &format!("{user}@example.org")).await.unwrap();
        admin.disable(user).await.unwrap();
        admin.enable(user).await.unwrap();
        admin.end_sessions(user).await.unwrap();
    }
    admin.end_all_sessions().await.unwrap();
    admin.ensure_superuser("root@example.org", PASSWORD).await.unwrap();
    admin.delete(&bob).await.unwrap();

    let settled: Vec<_> = log.settled().into_iter().filter(|it| it.1 == RecordOutcome::Done).map(|it| it.0).collect();
    let recorded: Vec<_> =
        log.begun().into_iter().map(|(record, _)| record).filter(|it| settled.contains(&it.id)).collect();
    let mut left: Vec<Event> = recorded.iter().flat_map(|record| record.events.clone()).collect();
    let reported = world.events.take();
    for event in &reported {
        let place = left.iter().position(|recorded| recorded == event);
        match place {
            Some(place) => drop(left.remove(place)),
            None => assert!(NO_CHANGES.contains(&&*name(event)), "{event:?} has no record"),
        }
    }
    assert_eq!(left, [], "recorded as made, and not reported");
    let names: BTreeSet<_> = reported.iter().map(name).collect();
    let expected = [
        "SignedUp",
        "SignUpRepeated",
        "SignUpDenied",
        "PasswordReset",
        "LoggedIn",
        "Reauthenticated",
        "RefreshReused",
        "ProfileChanged",
        "TwoFactorEnabled",
        "BackupCodesReplaced",
        "TwoFactorDisabled",
        "PasswordChanged",
        "LoggedOut",
        "CreatedUser",
        "Unlocked",
        "StartedReset",
        "SetEmail",
        "Disabled",
        "Enabled",
        "EndedSessions",
        "EndedAllSessions",
        "Deleted",
    ];
    let missing: Vec<_> = expected.iter().filter(|name| !names.contains(**name)).collect();
    assert!(missing.is_empty(), "the life above must cover {missing:?}: {names:?}");
    let by_grace = |record: &&Record| record.actor.as_deref() == Some("grace");
    let operators = |event: &Event| matches!(event, Event::Administered { .. });
    assert!(recorded.iter().filter(by_grace).count() > 12);
    for record in &recorded {
        assert_eq!(by_grace(&record), record.events.iter().any(operators), "{record:?}");
    }
}
