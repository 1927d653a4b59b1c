use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{Clock, Rotation, SessionInsert, SessionStore, Since};
use auth_core::types::{AuthMethods, Channel, Session, SessionId, TenantId, TokenVersion, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ManualClock, in_parallel, temporary_store, tenant};

on_sqlite! {
    what_is_inserted_is_found
    a_slot_holds_one_session
    an_ended_session_gives_its_slot_back
    one_of_many_rotations_wins
    an_ended_session_does_not_rotate
    one_of_many_revocations_ends_the_session
    the_feed_tells_every_revocation_once
}

pub(super) fn session(number: u128) -> Session {
    let now = ManualClock::new().now();
    let after = |seconds| now + Duration::from_secs(seconds);
    Session {
        id: SessionId(Uuid::from_u128(number)),
        tenant: TenantId::default(),
        user: UserId::parse("ada").unwrap(),
        token_version: TokenVersion::new(u32::MAX),
        generation: 0,
        rotated_at: after(1),
        created_at: now,
        last_seen_at: after(2),
        idle_expires_at: after(3),
        expires_at: after(4),
        auth_time: after(5),
        methods: AuthMethods::PASSWORD.and(AuthMethods::MULTI_FACTOR),
        channel: Channel::Cookie,
        context: json!({"agent": "\u{0}curl/8", "address": null}),
        slot: None,
        revoked_at: None,
        changed_at: after(6),
    }
}

async fn load(store: &dyn SessionStore, session: &Session) -> Session {
    store.find(&session.tenant, session.id).await.unwrap().unwrap().row
}

async fn what_is_inserted_is_found(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let mut other = session(2);
    (other.channel, other.slot, other.generation) = (Channel::Header, Some(u16::MAX), u32::MAX);
    (other.methods, other.context) = (AuthMethods::default(), Value::Null);
    other.revoked_at = Some(clock.now());
    clock.advance(Duration::from_micros(7));
    for session in [session(1), other] {
        assert_eq!(store.insert(&session).await.unwrap(), SessionInsert::Created);
        let found = store.find(&session.tenant, session.id).await.unwrap().unwrap();
        assert_eq!((found.row, found.now), (session.clone(), clock.now()));
        assert!(store.find(&tenant("other"), session.id).await.unwrap().is_none());
    }
}

async fn a_slot_holds_one_session(store: Arc<dyn SessionStore>, _: &ManualClock) {
    let slot = Some(3);
    let results = in_parallel(|number| {
        let store = store.clone();
        async move { store.insert(&Session { slot, ..session(number.into()) }).await.unwrap() }
    });
    let created = results.await.iter().filter(|result| **result == SessionInsert::Created).count();
    assert_eq!(created, 1);
    for free in [
        Session { slot: Some(4), ..session(100) },
        Session { slot: None, ..session(101) },
        Session { slot: None, ..session(102) },
        Session { slot, user: UserId::parse("bob").unwrap(), ..session(103) },
        Session { slot, tenant: tenant("other"), ..session(104) },
    ] {
        assert_eq!(store.insert(&free).await.unwrap(), SessionInsert::Created);
    }
}

async fn an_ended_session_gives_its_slot_back(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let slot = Some(0);
    for number in 0..3 {
        let session = Session { slot, ..session(number) };
        assert_eq!(store.insert(&session).await.unwrap(), SessionInsert::Created);
        assert!(store.revoke(&session.tenant, session.id, clock.now()).await.unwrap());
        assert_eq!(load(&*store, &session).await.slot, slot);
    }
}

async fn one_of_many_rotations_wins(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let mut current = session(1);
    store.insert(&current).await.unwrap();
    store.insert(&session(2)).await.unwrap();
    for generation in 1..=3 {
        clock.advance(Duration::from_secs(1));
        let rotated_at = clock.now();
        let results = in_parallel(|number| {
            let (store, current) = (store.clone(), current.clone());
            let idle_expires_at = rotated_at + Duration::from_secs(number.into());
            async move { store.rotate_if(&current, &Rotation { generation, rotated_at, idle_expires_at }).await.unwrap() }
        });
        let won: Vec<Session> = results.await.into_iter().flatten().collect();
        let next = load(&*store, &current).await;
        assert_eq!(won, std::slice::from_ref(&next));
        let idle_expires_at = next.idle_expires_at;
        let expected = Session { generation, rotated_at, last_seen_at: rotated_at, idle_expires_at, ..current };
        assert_eq!(next, expected);
        current = next;
    }
    assert_eq!(load(&*store, &session(2)).await, session(2));
}

async fn an_ended_session_does_not_rotate(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let current = session(1);
    store.insert(&current).await.unwrap();
    let next = Rotation { generation: 1, rotated_at: clock.now(), idle_expires_at: clock.now() };
    let elsewhere = Session { tenant: tenant("other"), ..current.clone() };
    assert_eq!(store.rotate_if(&elsewhere, &next).await.unwrap(), None);
    store.revoke(&current.tenant, current.id, clock.now()).await.unwrap();
    assert_eq!(store.rotate_if(&current, &next).await.unwrap(), None);
    assert_eq!(store.rotate_if(&session(2), &next).await.unwrap(), None);
}

async fn one_of_many_revocations_ends_the_session(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let live = session(1);
    store.insert(&live).await.unwrap();
    assert!(!store.revoke(&tenant("other"), live.id, clock.now()).await.unwrap());
    assert!(!store.revoke(&live.tenant, SessionId(Uuid::from_u128(2)), clock.now()).await.unwrap());
    clock.advance(Duration::from_secs(60));
    let at = clock.now() - Duration::from_secs(1);
    let results = in_parallel(|_| {
        let (store, tenant, id) = (store.clone(), live.tenant, live.id);
        async move { store.revoke(&tenant, id, at).await.unwrap() }
    });
    assert_eq!(results.await.iter().filter(|ended| **ended).count(), 1);
    let expected = Session { revoked_at: Some(at), changed_at: clock.now(), ..live.clone() };
    assert_eq!(load(&*store, &live).await, expected);
}

async fn the_feed_tells_every_revocation_once(store: Arc<dyn SessionStore>, clock: &ManualClock) {
    let mut expected = Vec::new();
    for number in 0..60_u128 {
        // Ids out of order, most at one moment, in two tenants; every third one lives on.
        let tenant = tenant(if number % 2 == 0 { "default" } else { "other" });
        let session = Session { tenant, ..session(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)) };
        store.insert(&session).await.unwrap();
        if number == 50 {
            clock.advance(Duration::from_micros(1));
        }
        if number % 3 != 0 {
            store.revoke(&tenant, session.id, clock.now()).await.unwrap();
            expected.push((number >= 50, session.id));
        }
    }
    expected.sort();
    let expected: Vec<SessionId> = expected.into_iter().map(|(_, id)| id).collect();
    for limit in [1, 7, 39, 40, 41, 1000] {
        let (mut ids, mut since) = (Vec::new(), Since::Ago(Duration::from_micros(1)));
        loop {
            let page = store.revocations(&since, limit).await.unwrap();
            assert_eq!(page.next.is_some(), page.rows.len() == limit);
            ids.extend(page.rows);
            assert!(ids.len() <= expected.len(), "{limit}");
            match page.next {
                Some(next) => since = Since::After(next),
                None => break,
            }
        }
        assert_eq!(ids, expected, "{limit}");
    }
    let young = store.revocations(&Since::Ago(Duration::ZERO), 100).await.unwrap().rows;
    assert_eq!(young.len(), 7);
}
