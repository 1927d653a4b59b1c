//! The record of a change: it begins before the change is made, and is settled after it.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_core::port::{
    AuditLog, Event, Record, RecordId, RecordOutcome, StoreError, UserChange, UserKey, UserStore as _,
};
use auth_core::types::{Attributes, Client, Locale, Password, TenantId, User, UserId, UserStatus};
use auth_core::{AuthSystem, Error, Reason};
use common::{ADA, PASSWORD, World, refused};

/// Keeps the account as it was when each record began, and what came of it.
#[derive(Clone, Default)]
struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    store: Mutex<Option<auth_core::memory::MemoryStore>>,
    begun: Mutex<Vec<(Record, User)>>,
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
        let user = store.find(&record.tenant, UserKey::Id(&record.subject)).await?.unwrap();
        if self.0.interferes.swap(false, Ordering::SeqCst) {
            let change = UserChange { attributes: Some(Attributes::new()), ..UserChange::default() };
            store.update_if(&user, &change).await?;
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
    fn begun(&self) -> Vec<(Record, User)> {
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

async fn close(auth: &AuthSystem) -> Result<UserId, Error> {
    let client = Client {
        agent: Some("Firefox".to_owned()),
        address: Some([203, 0, 113, 9].into()),
        locale: Locale::default(),
        ..Client::default()
    };
    let tokens = common::login(auth, ADA, PASSWORD).await.unwrap();
    let live = auth.authenticate(tokens.access.token.expose()).await.unwrap();
    auth.request(&client).deactivate(&live, &Password::new(PASSWORD).unwrap()).await.map(|()| live.user())
}

#[tokio::test]
async fn a_record_begins_before_a_change_and_is_settled_after_it() {
    let (world, auth, log) = world().await;
    let id = close(&auth).await.unwrap();
    let begun = log.begun();
    let [(record, before)] = &*begun else { panic!("{begun:?}") };
    assert_eq!(before.status, UserStatus::Active, "it began before the change");
    assert_eq!(world.user(ADA).await.status, UserStatus::Deactivated { since: record.at });
    assert_eq!(record.events, [Event::Deactivated { user: id }]);
    assert_eq!((record.subject, record.tenant), (id, TenantId::default()));
    assert_eq!((record.address, record.agent.as_deref()), (Some([203, 0, 113, 9].into()), Some("Firefox")));
    assert_eq!(log.settled(), [(record.id, RecordOutcome::Done)]);
}

#[tokio::test]
async fn a_change_that_loses_a_race_has_a_record_of_each_attempt() {
    let (_, auth, log) = world().await;
    log.0.interferes.store(true, Ordering::SeqCst);
    close(&auth).await.unwrap();
    let ids: Vec<_> = log.begun().into_iter().map(|(record, _)| record.id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(log.settled(), [(ids[0], RecordOutcome::Lost), (ids[1], RecordOutcome::Done)]);
}

#[tokio::test]
async fn no_change_is_made_without_a_record() {
    let (world, auth, log) = world().await;
    log.0.is_down.store(true, Ordering::SeqCst);
    assert_eq!(refused(close(&auth).await), Reason::Unavailable);
    assert_eq!(world.user(ADA).await.status, UserStatus::Active);
    assert_eq!(world.mails().await, [], "nobody is told of a change that was not made");
    log.0.is_down.store(false, Ordering::SeqCst);
    close(&auth).await.unwrap();
}

#[tokio::test]
async fn a_record_of_a_call_that_broke_off_stays_unsettled() {
    let (world, auth, log) = world().await;
    let calls = {
        let tokens = common::login(&auth, ADA, PASSWORD).await.unwrap();
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
    let tokens = common::login(&auth, ADA, PASSWORD).await.unwrap();
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
