//! The reference store, where a mistake of its own would hide mistakes of the flows.

mod common;

use std::sync::Arc;

use auth_core::memory::MemoryStore;
use auth_core::port::{NewUser, SessionStore, Since, StoreError, UserStore};
use auth_core::testing::ManualClock;
use auth_core::types::{Attributes, Claim, Email, Session};
use common::{DAY, Look, SECOND, TICK, session, user_row};

fn store() -> (ManualClock, MemoryStore) {
    let clock = ManualClock::new();
    (clock.clone(), MemoryStore::new(Arc::new(clock)))
}

#[tokio::test]
async fn a_row_is_never_replaced_by_another_of_its_id() {
    let (_, store) = store();
    SessionStore::insert(&store, &session()).await.unwrap();
    store.revoke(&session().tenant, session().id, session().created_at).await.unwrap();
    let again = SessionStore::insert(&store, &session()).await;
    assert!(matches!(again, Err(StoreError::Corrupt(_))));
    assert!(store.find_session(session().id).await.revoked_at.is_some());

    let user = user_row();
    let new = |email| NewUser {
        tenant: user.tenant,
        id: user.id,
        email: Email::parse(email).unwrap(),
        username: None,
        email_verified_at: None,
        claim: Claim::SignUp { from: None },
        password_hash: None,
        token_version: user.token_version,
        attributes: Attributes::new(),
        created_at: user.created_at,
    };
    UserStore::insert(&store, &new("ada@example.org")).await.unwrap();
    let again = UserStore::insert(&store, &new("eve@example.org")).await;
    assert!(matches!(again, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_feed_reaches_back_as_far_as_asked() {
    let (clock, store) = store();
    SessionStore::insert(&store, &session()).await.unwrap();
    store.revoke(&session().tenant, session().id, session().created_at).await.unwrap();
    clock.advance(SECOND);
    let ended = async |ago| store.revocations(&Since::Ago(ago), 10).await.unwrap().rows.len();
    assert_eq!((ended(SECOND).await, ended(SECOND - TICK).await, ended(999 * DAY).await), (1, 0, 1));
}

#[tokio::test]
async fn a_rotation_needs_the_generation_that_was_read_and_a_session_that_was_not_ended() {
    let (_, store) = store();
    SessionStore::insert(&store, &session()).await.unwrap();
    let next = |generation| auth_core::port::Rotation {
        generation,
        rotated_at: session().rotated_at + SECOND,
        idle_expires_at: session().idle_expires_at + SECOND,
    };
    let stale = Session { generation: 1, ..session() };
    assert_eq!(store.rotate_if(&stale, &next(2)).await.unwrap(), None);
    let rotated = store.rotate_if(&session(), &next(1)).await.unwrap().unwrap();
    assert_eq!(store.rotate_if(&session(), &next(1)).await.unwrap(), None);
    store.revoke(&session().tenant, session().id, session().created_at).await.unwrap();
    assert_eq!(store.rotate_if(&rotated, &next(2)).await.unwrap(), None);
    assert!(!store.revoke(&session().tenant, session().id, session().created_at).await.unwrap());
}
