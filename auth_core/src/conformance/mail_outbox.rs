//! What every [`MailOutbox`] promises.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Case, SECOND, TICK, assert_unavailable, in_parallel, tenant};
use crate::port::{ClaimedMail, Clock, MailIntent, MailMatter, MailOutbox, MailPurpose, Settlement};
use crate::testing::ManualClock;
use crate::types::{Email, Locale, MailId, TenantId, Timestamp, TokenVersion, UserId};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __mail_outbox {
    ($($arguments:tt)+) => {
        $crate::__conformance! { mail_outbox [$($arguments)+]
            what_is_queued_is_claimed_oldest_first
            equal_waiting_intents_are_one_mail
            a_mail_goes_to_the_spelling_of_the_newest_intent
            a_claim_keeps_others_away_until_its_lease_ends
            many_workers_never_share_a_mail
            a_settled_mail_is_gone
            a_retry_waits_until_it_is_due
            a_retry_gives_way_to_an_equal_intent
            a_dead_mail_is_never_claimed
            a_worker_that_lost_its_claim_settles_nothing
            a_new_request_makes_a_waiting_retry_due
            one_of_many_settlements_counts
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn MailOutbox>] = __mail_outbox!(@cases);

const LEASE: Duration = Duration::from_secs(60);

fn id(number: u128) -> MailId {
    MailId(Uuid::from_u128(number))
}

fn intent(name: &str) -> MailIntent {
    MailIntent {
        tenant: TenantId::default(),
        to: Email::parse(&format!("{name}@example.org")).unwrap(),
        about: None,
        purpose: MailPurpose::VerifyEmail,
        locale: Locale::parse_or_default("pt-br"),
    }
}

async fn claim(outbox: &dyn MailOutbox, now: Timestamp) -> Vec<ClaimedMail> {
    outbox.claim(now, LEASE, 1000).await.unwrap()
}

/// Intents come back whole, the oldest first, and none before it is due. Address, purpose, matter and tenant tell
/// them apart.
pub async fn what_is_queued_is_claimed_oldest_first(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    let mut intents = vec![intent("b"), intent("a"), MailIntent { tenant: tenant("other"), ..intent("a") }];
    intents.extend(MailPurpose::ALL.map(|purpose| MailIntent { purpose, ..intent("c") }));
    let longest = "9".repeat(64);
    for (user, version) in [("1", 0), ("1", u32::MAX), (longest.as_str(), 0)] {
        let user = UserId::parse(user).unwrap();
        let about = Some(MailMatter { user, token_version: TokenVersion::new(version) });
        intents.push(MailIntent { about, ..intent("c") });
    }
    // The youngest has the smallest id.
    for (number, intent) in (0_u32..).zip(&intents) {
        outbox.enqueue(id((100 - number).into()), intent, now + number * TICK).await.unwrap();
    }
    assert!(claim(&*outbox, now - TICK).await.is_empty());
    let first = outbox.claim(now + SECOND, LEASE, 3).await.unwrap();
    let rest = claim(&*outbox, now + SECOND).await;
    let claimed: Vec<_> = first.iter().chain(&rest).map(|mail| (mail.id, mail.intent.clone(), mail.tries)).collect();
    let expected: Vec<_> = (0..).zip(intents).map(|(number, intent)| (id(100 - number), intent, 1)).collect();
    assert_eq!((first.len(), claimed), (3, expected));
}

/// What waits for one address and purpose is one mail, however many ask at once; what is being sent is not.
pub async fn equal_waiting_intents_are_one_mail(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
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

/// Spellings of one address are one address, and the newest one counts.
pub async fn a_mail_goes_to_the_spelling_of_the_newest_intent(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let typed = ["Zoë@Example.org", "ZOË@example.org", "zoë@example.org", "Zoë@example.org"];
    for (number, spelling) in (0..).zip(typed) {
        let intent = MailIntent { to: Email::parse(spelling).unwrap(), ..intent("zoe") };
        outbox.enqueue(id(number), &intent, clock.now()).await.unwrap();
        if number == 1 {
            let claimed = claim(&*outbox, clock.now()).await;
            let spellings: Vec<_> = claimed.iter().map(|mail| mail.intent.to.spelling()).collect();
            assert_eq!(spellings, ["ZOË@example.org"]);
        }
    }
    let claimed = claim(&*outbox, clock.now()).await;
    let spellings: Vec<_> = claimed.iter().map(|mail| mail.intent.to.spelling()).collect();
    assert_eq!(spellings, ["Zoë@example.org"]);
}

/// A worker that died has lost its mails to the next when the lease ends, by the given time.
pub async fn a_claim_keeps_others_away_until_its_lease_ends(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    assert_eq!(claim(&*outbox, now).await[0].tries, 1);
    assert!(claim(&*outbox, now + LEASE - TICK).await.is_empty());
    let second = claim(&*outbox, now + LEASE).await;
    assert_eq!((second.len(), second[0].id, second[0].tries), (1, id(1), 2));
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
}

/// Of 64 parallel workers each mail goes to one.
pub async fn many_workers_never_share_a_mail(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
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

/// A mail that was sent never comes again. While nobody else took it, it may be settled after the lease, too.
pub async fn a_settled_mail_is_gone(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    // A lease that ended is still the worker's while nobody else took the mail.
    assert!(outbox.settle(&mail, Settlement::Done).await.unwrap());
    assert!(!outbox.settle(&mail, Settlement::Done).await.unwrap());
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
}

/// A mail that was not sent comes again when it is due, not before.
pub async fn a_retry_waits_until_it_is_due(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    assert!(outbox.settle(&mail, Settlement::Retry(now + 2 * LEASE)).await.unwrap());
    assert!(claim(&*outbox, now + LEASE).await.is_empty());
    let again = claim(&*outbox, now + 2 * LEASE).await.remove(0);
    assert_eq!((again.id, again.tries, again.intent), (mail.id, 2, mail.intent));
}

/// A newer mail of the same kind makes another try needless.
pub async fn a_retry_gives_way_to_an_equal_intent(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    outbox.enqueue(id(2), &intent("ada"), now).await.unwrap();
    assert!(outbox.settle(&mail, Settlement::Retry(now)).await.unwrap());
    let left = claim(&*outbox, now + 2 * LEASE).await;
    assert_eq!((left.len(), left[0].id, left[0].tries), (1, id(2), 1));
}

/// What was set aside stays so, and does not stand in for what is queued later.
pub async fn a_dead_mail_is_never_claimed(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
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

/// Who took longer than the lease does not decide what becomes of a mail that another one sends.
pub async fn a_worker_that_lost_its_claim_settles_nothing(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
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

/// A mail that waits for its next try gives way to an equal one, which goes at once and has tries of its own.
pub async fn a_new_request_makes_a_waiting_retry_due(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    assert!(outbox.settle(&mail, Settlement::Retry(now + 100 * LEASE)).await.unwrap());
    outbox.enqueue(id(2), &intent("ada"), now + SECOND).await.unwrap();
    assert!(claim(&*outbox, now).await.is_empty());
    let due = claim(&*outbox, now + SECOND).await;
    assert_eq!((due.len(), due[0].id, due[0].tries), (1, id(2), 1));
    // Whoever had claimed the first one has nothing of this.
    assert!(!outbox.settle(&mail, Settlement::Done).await.unwrap());
    // A request from a node whose clock is behind does not put it off.
    assert!(outbox.settle(&due[0], Settlement::Retry(now + LEASE)).await.unwrap());
    outbox.enqueue(id(3), &intent("ada"), now + 5 * LEASE).await.unwrap();
    assert_eq!(claim(&*outbox, now + LEASE).await.len(), 1);
}

/// Of 64 parallel settlements of one claim one counts.
pub async fn one_of_many_settlements_counts(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    outbox.enqueue(id(1), &intent("ada"), now).await.unwrap();
    let mail = claim(&*outbox, now).await.remove(0);
    let results = in_parallel(|number| {
        let (outbox, mail) = (outbox.clone(), mail.clone());
        let settlement = if number % 2 == 0 { Settlement::Done } else { Settlement::Retry(now + LEASE) };
        async move { outbox.settle(&mail, settlement).await.unwrap() }
    });
    assert_eq!(results.await.into_iter().filter(|settled| *settled).count(), 1);
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(outbox: Arc<dyn MailOutbox>, clock: ManualClock) {
    let now = clock.now();
    let mail = ClaimedMail { id: id(1), intent: intent("ada"), tries: 1 };
    assert_unavailable(outbox.enqueue(id(1), &intent("ada"), now).await);
    assert_unavailable(outbox.claim(now, LEASE, 9).await);
    for settlement in [Settlement::Done, Settlement::Retry(now), Settlement::Dead("why".into())] {
        assert_unavailable(outbox.settle(&mail, settlement).await);
    }
}
