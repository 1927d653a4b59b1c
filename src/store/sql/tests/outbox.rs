use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use auth_core::port::{ClaimedMail, Clock, MailIntent, MailOutbox, MailPurpose, Settlement};
use auth_core::types::{Email, Locale, MailId, TenantId, Timestamp};
use uuid::Uuid;

use super::{ManualClock, in_parallel, temporary_store, tenant};

on_sqlite! {
    what_is_queued_is_claimed_oldest_first
    equal_waiting_intents_are_one_mail
    a_claim_keeps_others_away_until_its_lease_ends
    many_workers_never_share_a_mail
    a_settled_mail_is_gone
    a_retry_waits_until_it_is_due
    a_retry_gives_way_to_an_equal_intent
    a_dead_mail_is_never_claimed
    a_worker_that_lost_its_claim_settles_nothing
}

const LEASE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn id(number: u128) -> MailId {
    MailId(Uuid::from_u128(number))
}

fn intent(name: &str) -> MailIntent {
    MailIntent {
        tenant: TenantId::default(),
        to: Email::parse(&format!("{name}@example.org")).unwrap(),
        purpose: MailPurpose::VerifyEmail,
        locale: Locale::parse_or_default("pt-br"),
    }
}

async fn claim(outbox: &dyn MailOutbox, now: Timestamp) -> Vec<ClaimedMail> {
    outbox.claim(now, LEASE, 1000).await.unwrap()
}

async fn what_is_queued_is_claimed_oldest_first(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    let mut intents = vec![intent("b"), intent("a"), MailIntent { tenant: tenant("other"), ..intent("a") }];
    intents.extend(MailPurpose::ALL.map(|purpose| MailIntent { purpose, ..intent("c") }));
    // The youngest has the smallest id.
    for (number, intent) in (0..).zip(&intents) {
        outbox.enqueue(id(100 - number), intent, now + Duration::from_micros(number as u64)).await.unwrap();
    }
    assert!(claim(&*outbox, now - Duration::from_micros(1)).await.is_empty());
    let first = outbox.claim(now + SECOND, LEASE, 3).await.unwrap();
    let rest = claim(&*outbox, now + SECOND).await;
    let claimed: Vec<_> = first.iter().chain(&rest).map(|mail| (mail.id, mail.intent.clone(), mail.tries)).collect();
    let expected: Vec<_> = (0..).zip(intents).map(|(number, intent)| (id(100 - number), intent, 1)).collect();
    assert_eq!((first.len(), claimed), (3, expected));
}

async fn equal_waiting_intents_are_one_mail(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    let queue = in_parallel(|number| {
        let outbox = outbox.clone();
        async move { outbox.enqueue(id(number.into()), &intent("ada"), now).await.unwrap() }
    });
    queue.await;
    assert_eq!(claim(&*outbox, now).await.len(), 1);
    // What is being sent may be too old to serve a request that comes now.
    outbox.enqueue(id(100), &intent("ada"), now).await.unwrap();
    assert_eq!(claim(&*outbox, now).await[0].id, id(100));
}

async fn a_claim_keeps_others_away_until_its_lease_ends(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    assert_eq!(claim(&*outbox, now).await[0].tries, 1);
    assert!(claim(&*outbox, now + LEASE - Duration::from_micros(1)).await.is_empty());
    let second = claim(&*outbox, now + LEASE).await;
    assert_eq!((second.len(), second[0].id, second[0].tries), (1, id(1), 2));
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
}

async fn many_workers_never_share_a_mail(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    for number in 0..100 {
        outbox.enqueue(id(number), &intent(&format!("user{number}")), now).await.unwrap();
    }
    let claims = in_parallel(|_| {
        let outbox = outbox.clone();
        async move { outbox.claim(now, LEASE, 3).await.unwrap() }
    });
    let ids: Vec<MailId> = claims.await.into_iter().flatten().map(|mail| mail.id).collect();
    assert_eq!(ids.len(), 100);
    assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), 100);
}

async fn a_settled_mail_is_gone(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    // A lease that ended is still the worker's while nobody else took the mail.
    assert!(outbox.settle(&mail, Settlement::Done).await.unwrap());
    assert!(!outbox.settle(&mail, Settlement::Done).await.unwrap());
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
}

async fn a_retry_waits_until_it_is_due(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    assert!(outbox.settle(&mail, Settlement::Retry(now + 2 * LEASE)).await.unwrap());
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
    let again = claim(&*outbox, now + 2 * LEASE).await.remove(0);
    assert_eq!((again.id, again.tries, again.intent), (mail.id, 2, mail.intent));
}

async fn a_retry_gives_way_to_an_equal_intent(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    outbox.enqueue(id(2), &intent("ada"), now).await.unwrap();
    assert!(outbox.settle(&mail, Settlement::Retry(now)).await.unwrap());
    let left = claim(&*outbox, now + 2 * LEASE).await;
    assert_eq!((left.len(), left[0].id, left[0].tries), (1, id(2), 1));
}

async fn a_dead_mail_is_never_claimed(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    assert!(outbox.settle(&mail, Settlement::Dead("550 no such user".into())).await.unwrap());
    assert!(!outbox.settle(&mail, Settlement::Done).await.unwrap());
    assert!(claim(&*outbox, now + 10 * LEASE).await.is_empty());
    // It does not stand in for a new one.
    outbox.enqueue(id(2), &intent("ada"), now).await.unwrap();
    assert_eq!(claim(&*outbox, now).await.len(), 1);
}

async fn a_worker_that_lost_its_claim_settles_nothing(outbox: Arc<dyn MailOutbox>, clock: &ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let lost = claim(&*outbox, now).await.remove(0);
    let held = claim(&*outbox, now + LEASE).await.remove(0);
    for settlement in [Settlement::Done, Settlement::Retry(now), Settlement::Dead("late".into())] {
        assert!(!outbox.settle(&lost, settlement).await.unwrap());
    }
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
    assert!(outbox.settle(&held, Settlement::Retry(now)).await.unwrap());
    // Waiting again: whoever held it before has no claim either.
    assert!(!outbox.settle(&held, Settlement::Done).await.unwrap());
}
