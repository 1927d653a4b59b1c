//! What every [`SessionStore`] promises.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Case, SECOND, TICK, assert_unavailable, in_parallel, read_feed, tenant};
use crate::port::{Clock, Rotation, SessionInsert, SessionStore, Since};
use crate::testing::ManualClock;
use crate::types::{
    AuthMethods, Channel, MethodTimes, Scope, Session, SessionId, TenantId, Timestamp, TokenVersion, UserId,
};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __session_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { session_store [$($arguments)+]
            what_is_inserted_is_found
            the_context_comes_back_as_it_was
            the_sessions_of_a_user_come_newest_first
            a_session_is_never_replaced
            a_slot_holds_one_session
            an_ended_session_gives_its_slot_back
            one_of_many_rotations_wins
            a_presented_token_is_noted_for_the_current_generation_alone
            a_rotation_forgets_no_note_and_makes_none
            an_older_generation_does_not_rotate
            an_ended_session_does_not_rotate
            one_of_many_revocations_ends_the_session
            a_session_that_ends_while_it_rotates_stays_ended
            the_feed_tells_every_revocation_once
            the_feed_starts_at_an_age
            only_what_ended_long_ago_is_removed
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn SessionStore>] = __session_store!(@cases);

fn id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// A session in which no two times are the same.
fn session(number: u128) -> Session {
    let now = ManualClock::new().now();
    let after = |seconds| now + seconds * SECOND + TICK;
    Session {
        id: id(number),
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
        method_times: MethodTimes::of(MethodTimes::PASSWORD, Timestamp::from_micros(-5)).with("of a newer build", now),
        scope: Scope::EnrolFactor,
        channel: Channel::Cookie,
        address: Some([192, 0, 2, 1].into()),
        agent: Some("curl/8".into()),
        device_name: Some("Ada's phone".into()),
        context: json!({"agent": "curl/8", "address": null}),
        slot: None,
        presented: None,
        revoked_at: None,
        changed_at: now,
    }
}

async fn create(store: &dyn SessionStore, session: &Session) -> Session {
    assert_eq!(store.insert(session).await.unwrap(), SessionInsert::Created);
    load(store, session).await
}

async fn load(store: &dyn SessionStore, session: &Session) -> Session {
    store.find(&session.tenant, session.id).await.unwrap().unwrap().row
}

async fn revoke(store: &dyn SessionStore, session: &Session, clock: &ManualClock) -> bool {
    store.revoke(&session.tenant, session.id, clock.now()).await.unwrap()
}

/// Every field of a new session comes back, with the store's own time, and to its tenant alone.
pub async fn what_is_inserted_is_found(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let mut other = session(2);
    (other.channel, other.slot, other.generation) = (Channel::Header, Some(u16::MAX), u32::MAX);
    (other.methods, other.context, other.presented) = (AuthMethods::default(), Value::Null, Some(u32::MAX));
    (other.address, other.agent, other.device_name) = (None, None, None);
    let address = Some("2001:db8::7".parse().unwrap());
    let mixed = Session { channel: Channel::Mixed, address, ..session(4) };
    let token = Session { channel: Channel::Token, address: None, ..session(5) };
    clock.advance(7 * TICK);
    for session in [session(1), other, mixed, token] {
        assert_eq!(store.insert(&session).await.unwrap(), SessionInsert::Created);
        let found = store.find(&session.tenant, session.id).await.unwrap().unwrap();
        assert_eq!(found.now, clock.now());
        // The time of a change says nothing before there was one.
        assert_eq!(found.row, Session { changed_at: found.row.changed_at, ..session.clone() });
        assert!(store.find(&tenant("other"), session.id).await.unwrap().is_none());
    }
    assert!(store.find(&TenantId::default(), id(3)).await.unwrap().is_none());
}

/// Texts of an application or a client come back to the byte.
pub async fn the_context_comes_back_as_it_was(store: Arc<dyn SessionStore>, _: ManualClock) {
    let text = "\u{0}'\"\\%_$1 ü é e\u{301} \u{202e} 你好 🦀\r\n\t ";
    for (number, context) in (0..).zip([
        json!({"agent": text.repeat(100), text: [1, -2.5, null, true, {}]}),
        json!([]),
        json!({}),
        json!(text),
        json!(0.1),
        Value::Null,
    ]) {
        let agent = Some(text.replace('\0', "").into());
        let new = Session { context: context.clone(), device_name: agent.clone(), agent, ..session(number) };
        let found = create(&*store, &new).await;
        assert_eq!(found.context.to_string(), context.to_string());
        assert_eq!((found.agent, found.device_name), (new.agent, new.device_name));
    }
}

/// In pages of any length, each whole, ended and expired ones too, and none of another user or tenant.
pub async fn the_sessions_of_a_user_come_newest_first(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let start = clock.now();
    let ada = session(0).user;
    let mut expected = Vec::new();
    for number in 0..12_u32 {
        // Ids out of order, three at each moment.
        let scattered = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let created_at = start + number % 4 * TICK;
        let new = Session { created_at, expires_at: start + number * SECOND, ..session(scattered) };
        expected.push(create(&*store, &new).await);
        let eve = Session { user: UserId::parse("eve").unwrap(), ..session(1000 + u128::from(number)) };
        let elsewhere = Session { tenant: tenant("other"), ..session(2000 + u128::from(number)) };
        for other in [eve, elsewhere] {
            create(&*store, &other).await;
        }
    }
    clock.advance(6 * SECOND);
    for ended in expected.iter_mut().step_by(5) {
        assert!(revoke(&*store, ended, &clock).await);
        *ended = load(&*store, ended).await;
    }
    expected.sort_by_key(|session| Reverse((session.created_at, session.id)));
    for limit in [1, 3, 5, 12, 100] {
        let mut found: Vec<Session> = Vec::new();
        loop {
            let after = found.last().map(|last| (last.created_at, last.id));
            let page = store.of_user(&TenantId::default(), &ada, after, limit).await.unwrap();
            assert!(page.len() <= limit, "a page of {} rows, where {limit} were asked for", page.len());
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, expected, "{limit}");
    }
    assert_eq!(store.of_user(&tenant("third"), &ada, None, 9).await.unwrap(), []);
    assert_eq!(store.of_user(&TenantId::default(), &UserId::parse("nobody").unwrap(), None, 9).await.unwrap(), []);
}

/// An id that is there already is a defect of the caller: an error, and the row stays as it is, ended or not.
pub async fn a_session_is_never_replaced(store: Arc<dyn SessionStore>, clock: ManualClock) {
    create(&*store, &session(1)).await;
    assert!(revoke(&*store, &session(1), &clock).await);
    let ended = load(&*store, &session(1)).await;
    assert!(store.insert(&session(1)).await.is_err());
    assert!(store.insert(&Session { user: UserId::parse("eve").unwrap(), ..session(1) }).await.is_err());
    assert_eq!(load(&*store, &session(1)).await, ended);
}

/// Of 64 parallel logins for one slot one gets it; other slots, users and tenants are free.
pub async fn a_slot_holds_one_session(store: Arc<dyn SessionStore>, _: ManualClock) {
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
        create(&*store, &free).await;
    }
}

/// The row of an ended session stays for a while; its slot must not.
pub async fn an_ended_session_gives_its_slot_back(store: Arc<dyn SessionStore>, clock: ManualClock) {
    for number in 0..3 {
        let session = create(&*store, &Session { slot: Some(0), ..session(number) }).await;
        let rival = Session { slot: Some(0), ..self::session(9) };
        assert_eq!(store.insert(&rival).await.unwrap(), SessionInsert::SlotTaken);
        assert!(revoke(&*store, &session, &clock).await);
        assert_eq!(load(&*store, &session).await.slot, Some(0));
    }
}

/// Of 64 parallel refreshes with one generation exactly one rotates, and the row is what that one says.
pub async fn one_of_many_rotations_wins(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let mut current = create(&*store, &session(1)).await;
    let other = create(&*store, &session(2)).await;
    for generation in 1..=3 {
        clock.advance(SECOND + TICK);
        let rotated_at = clock.now();
        let results = in_parallel(|number| {
            let (store, current) = (store.clone(), current.clone());
            let next = Rotation { generation, rotated_at, idle_expires_at: rotated_at + number * SECOND };
            async move { store.rotate_if(&current, &next).await.unwrap() }
        });
        let won: Vec<Session> = results.await.into_iter().flatten().collect();
        let next = load(&*store, &current).await;
        assert_eq!(won, std::slice::from_ref(&next));
        let idle_expires_at = next.idle_expires_at;
        assert_eq!(next, Session { generation, rotated_at, last_seen_at: rotated_at, idle_expires_at, ..current });
        current = next;
    }
    assert_eq!(load(&*store, &other).await, other);
}

fn rotation(generation: u32, clock: &ManualClock) -> Rotation {
    Rotation { generation, rotated_at: clock.now(), idle_expires_at: clock.now() + SECOND }
}

/// The note names the generation that is current and live; it moves nothing else, and noting it again is no change.
pub async fn a_presented_token_is_noted_for_the_current_generation_alone(
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
) {
    let first = create(&*store, &session(1)).await;
    let current = store.rotate_if(&first, &rotation(1, &clock)).await.unwrap().unwrap();
    assert_eq!(current.presented, None);
    let note = async |tenant: &TenantId, id, generation| store.note_presented(tenant, id, generation).await.unwrap();
    for generation in [0, 2, u32::MAX] {
        assert!(!note(&current.tenant, current.id, generation).await, "generation {generation}");
    }
    assert!(!note(&tenant("other"), current.id, 1).await);
    assert!(!note(&current.tenant, id(9), 1).await);
    assert_eq!(load(&*store, &current).await, current);
    clock.advance(SECOND);
    let results = in_parallel(|_| {
        let (store, tenant, id) = (store.clone(), current.tenant, current.id);
        async move { store.note_presented(&tenant, id, 1).await.unwrap() }
    });
    assert!(results.await.into_iter().all(|noted| noted));
    assert_eq!(load(&*store, &current).await, Session { presented: Some(1), ..current.clone() });
    assert!(revoke(&*store, &current, &clock).await);
    let ended = load(&*store, &current).await;
    assert!(!note(&current.tenant, current.id, 1).await, "an ended session");
    assert_eq!(load(&*store, &current).await, ended);
}

/// The note stays with its generation: after a rotation it is about the one before.
pub async fn a_rotation_forgets_no_note_and_makes_none(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let first = create(&*store, &session(1)).await;
    assert!(store.note_presented(&first.tenant, first.id, 0).await.unwrap());
    let second = store.rotate_if(&first, &rotation(1, &clock)).await.unwrap().unwrap();
    assert_eq!(second.presented, Some(0));
    assert!(store.note_presented(&first.tenant, first.id, 1).await.unwrap());
    let third = store.rotate_if(&second, &rotation(2, &clock)).await.unwrap().unwrap();
    assert_eq!(third.presented, Some(1));
    assert_eq!(load(&*store, &first).await, third);
}

/// What is compared is the generation: neither an older nor a younger one rotates, nor another tenant's.
pub async fn an_older_generation_does_not_rotate(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let first = create(&*store, &session(1)).await;
    let second = store.rotate_if(&first, &rotation(1, &clock)).await.unwrap().unwrap();
    let future = Session { generation: 2, ..second.clone() };
    let elsewhere = Session { tenant: tenant("other"), ..second.clone() };
    for current in [&first, &future, &elsewhere, &session(9)] {
        assert_eq!(store.rotate_if(current, &rotation(7, &clock)).await.unwrap(), None, "{current:?}");
    }
    assert_eq!(load(&*store, &first).await, second);
}

/// An ended session is over, whoever still has its token.
pub async fn an_ended_session_does_not_rotate(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let current = create(&*store, &session(1)).await;
    assert!(revoke(&*store, &current, &clock).await);
    let ended = load(&*store, &current).await;
    for current in [&current, &ended] {
        assert_eq!(store.rotate_if(current, &rotation(1, &clock)).await.unwrap(), None);
    }
    assert_eq!(load(&*store, &current).await, ended);
}

/// Of 64 parallel revocations one ends the session: with the caller's time, dated by the store's clock.
pub async fn one_of_many_revocations_ends_the_session(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let live = create(&*store, &session(1)).await;
    assert!(!store.revoke(&tenant("other"), live.id, clock.now()).await.unwrap());
    assert!(!store.revoke(&live.tenant, id(2), clock.now()).await.unwrap());
    clock.advance(60 * SECOND);
    let at = clock.now() - SECOND;
    let results = in_parallel(|_| {
        let (store, tenant, id) = (store.clone(), live.tenant, live.id);
        async move { store.revoke(&tenant, id, at).await.unwrap() }
    });
    assert_eq!(results.await.iter().filter(|ended| **ended).count(), 1);
    let ended = Session { revoked_at: Some(at), changed_at: clock.now(), ..live.clone() };
    assert_eq!(load(&*store, &live).await, ended);
    clock.advance(SECOND);
    assert!(!revoke(&*store, &live, &clock).await);
    assert_eq!(load(&*store, &live).await, ended);
}

/// Refreshes that run beside a logout never bring the session back.
pub async fn a_session_that_ends_while_it_rotates_stays_ended(store: Arc<dyn SessionStore>, clock: ManualClock) {
    for number in 0..8 {
        let current = create(&*store, &session(number)).await;
        let calls = in_parallel(|caller| {
            let (store, current, clock) = (store.clone(), current.clone(), clock.clone());
            async move {
                if caller == 5 {
                    assert!(revoke(&*store, &current, &clock).await);
                } else {
                    store.rotate_if(&current, &rotation(1, &clock)).await.unwrap();
                }
            }
        });
        calls.await;
        let ended = load(&*store, &current).await;
        assert!(ended.revoked_at.is_some());
        assert_eq!(store.rotate_if(&ended, &rotation(9, &clock)).await.unwrap(), None);
    }
}

async fn revocations(store: &dyn SessionStore, age: Duration, limit: usize) -> Vec<SessionId> {
    read_feed(Since::Ago(age), limit, async |since| store.revocations(&since, limit).await).await
}

/// In pages of any length, each ended session of every tenant is told once, in the order of the changes.
pub async fn the_feed_tells_every_revocation_once(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let mut expected = Vec::new();
    for number in 0..60_u128 {
        // Ids out of order, most at one moment, in two tenants; every third one lives on.
        let tenant = tenant(if number % 2 == 0 { "default" } else { "other" });
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let session = create(&*store, &Session { tenant, ..session(scattered) }).await;
        if number == 50 {
            clock.advance(TICK);
        }
        if number % 3 != 0 {
            assert!(revoke(&*store, &session, &clock).await);
            expected.push((number >= 50, session.id));
        }
    }
    let late = |id: &SessionId| expected.contains(&(true, *id));
    let mut first = None;
    for limit in [1, 7, 39, 40, 41, 1000] {
        let ids = revocations(&*store, TICK, limit).await;
        assert_eq!(ids.len(), expected.len(), "{limit}");
        assert!(expected.iter().all(|(_, id)| ids.contains(id)), "{limit}");
        assert!(ids.iter().map(late).is_sorted(), "{limit}");
        assert_eq!(*first.get_or_insert_with(|| ids.clone()), ids, "{limit}");
    }
}

/// An age counts from the store's clock, not from the time that the caller gives.
pub async fn the_feed_starts_at_an_age(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let [old, young, _live] = [session(1), session(2), session(3)];
    for session in [&old, &young, &_live] {
        create(&*store, session).await;
    }
    store.revoke(&old.tenant, old.id, clock.now() + 99 * SECOND).await.unwrap();
    clock.advance(10 * SECOND);
    store.revoke(&young.tenant, young.id, clock.now() - 99 * SECOND).await.unwrap();
    for (age, expected) in [
        (10 * SECOND, vec![old.id, young.id]),
        (10 * SECOND - TICK, vec![young.id]),
        (Duration::ZERO, vec![young.id]),
        (Duration::MAX, vec![old.id, young.id]),
    ] {
        assert_eq!(revocations(&*store, age, 10).await, expected, "{age:?}");
    }
}

/// By the store's clock, so many at a time, whatever it was that ended them.
pub async fn only_what_ended_long_ago_is_removed(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let start = clock.now();
    let lasting = |number, until| Session { expires_at: until, tenant: tenant("other"), ..session(number) };
    let expired = [create(&*store, &lasting(1, start)).await, create(&*store, &lasting(2, start)).await];
    let revoked = create(&*store, &lasting(3, start + 99 * SECOND)).await;
    assert!(store.revoke(&revoked.tenant, revoked.id, start).await.unwrap());
    clock.advance(SECOND);
    let alive = create(&*store, &lasting(4, start + 99 * SECOND)).await;
    let young = [create(&*store, &lasting(5, clock.now())).await, create(&*store, &lasting(6, alive.expires_at)).await];
    // When it was told to end is not when it was.
    assert!(store.revoke(&young[1].tenant, young[1].id, start).await.unwrap());

    clock.advance(SECOND - TICK);
    assert_eq!(store.purge_ended(2 * SECOND, 9).await.unwrap(), 0);
    clock.advance(TICK);
    assert_eq!(store.purge_ended(2 * SECOND, 2).await.unwrap(), 2);
    assert_eq!(store.purge_ended(2 * SECOND, 2).await.unwrap(), 1);
    assert_eq!(store.purge_ended(2 * SECOND, 2).await.unwrap(), 0);
    for session in expired.iter().chain([&revoked]) {
        assert!(store.find(&session.tenant, session.id).await.unwrap().is_none());
    }
    for session in young.iter().chain([&alive]) {
        assert!(store.find(&session.tenant, session.id).await.unwrap().is_some());
    }
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn SessionStore>, clock: ManualClock) {
    let session = session(1);
    assert_unavailable(store.insert(&session).await);
    assert_unavailable(store.find(&session.tenant, session.id).await);
    assert_unavailable(store.of_user(&session.tenant, &session.user, None, 9).await);
    assert_unavailable(store.rotate_if(&session, &rotation(1, &clock)).await);
    assert_unavailable(store.note_presented(&session.tenant, session.id, 0).await);
    assert_unavailable(store.revoke(&session.tenant, session.id, clock.now()).await);
    assert_unavailable(store.revocations(&Since::Ago(SECOND), 9).await);
    assert_unavailable(store.purge_ended(SECOND, 9).await);
}
