//! Mail: what a flow promised is sent, late rather than never, and only what fits the account when it is sent.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::AuthSystem;
use auth_core::Reason;
use auth_core::account::PasswordChangeRequest;
use auth_core::message::Delivery;
use auth_core::port::{Event, Mail, MailError, MailOutbox, MailPurpose, Mailer, UserChange};
use auth_core::testing::RecordingMailer;
use auth_core::types::{Client, Locale, Password, TenantId, UserStatus};
use common::{
    ADA, DAY, Fault, Gate, HOUR, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, TICK, World, node, now, poll_once,
};

const IDLE: Delivery = Delivery { sent: 0, dropped: 0, delayed: 0, dead: 0 };
const LEASE: Duration = Duration::from_secs(120);

/// A mailer that answers as it is told.
struct ScriptedMailer<F>(F);

#[async_trait]
impl<F: Fn(&Mail) -> Result<(), MailError> + Send + Sync + 'static> Mailer for ScriptedMailer<F> {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        (self.0)(mail)
    }
}

fn with_mailer(world: &World, send: impl Fn(&Mail) -> Result<(), MailError> + Send + Sync + 'static) -> AuthSystem {
    let mut ports = world.ports.clone();
    ports.mailer = Arc::new(ScriptedMailer(send));
    node(&ports, &world.policy)
}

#[tokio::test]
async fn a_mail_is_sent_once_and_reported() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.events.take();
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { sent: 1, ..IDLE });
    let events = world.events.take();
    assert!(matches!(events[..], [Event::MailSent { purpose: MailPurpose::VerifyEmail, .. }]), "{events:?}");
    for _ in 0..3 {
        world.clock.advance(DAY);
        assert_eq!(world.auth.deliver_mail().await.unwrap(), IDLE);
    }
    assert_eq!(world.mailer.take().len(), 1);
}

#[tokio::test]
async fn a_mail_says_what_its_template_needs() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let node = with_mailer(&world, {
        let seen = seen.clone();
        move |mail| {
            let lifetime = mail.link.as_ref().map(|link| link.lifetime);
            seen.lock().unwrap().push((mail.tenant, mail.to.to_string(), mail.purpose, mail.locale, lifetime));
            Ok(())
        }
    });
    let (tenant, locale) = (TenantId::parse("acme").unwrap(), Locale::parse_or_default("pt-BR"));
    let client = Client { tenant, locale, ..Client::default() };
    let request = auth_core::account::SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD));
    world.auth.request(&client).sign_up(request).await.unwrap();
    world.auth.request(&client).request_password_reset(&common::to_email(ADA)).await.unwrap();
    node.deliver_mail().await.unwrap();
    let expected = [
        (tenant, ADA.to_owned(), MailPurpose::VerifyEmail, locale, Some(3 * DAY)),
        (tenant, ADA.to_owned(), MailPurpose::ResetPassword, locale, Some(HOUR)),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_waits_ever_longer_and_is_given_up_at_last() {
    let world = World::with(|policy| policy.mail_attempts = 12);
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.events.take();
    world.mailer.set_down(true);
    let waits = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 7200].map(Duration::from_secs);
    for (tries, wait) in (1..).zip(waits) {
        assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { delayed: 1, ..IDLE }, "{tries}");
        assert!(matches!(world.events.take()[..], [Event::MailDelayed { tries: now, .. }] if now == tries));
        world.clock.advance(wait - TICK);
        assert_eq!(world.auth.deliver_mail().await.unwrap(), IDLE, "{tries} came early");
        world.clock.advance(TICK);
    }
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { dead: 1, ..IDLE });
    assert!(matches!(world.events.take()[..], [Event::MailDead { .. }]));
    world.mailer.set_down(false);
    world.clock.advance(30 * DAY);
    assert_eq!(world.auth.deliver_mail().await.unwrap(), IDLE);
    // A dead mail keeps no new one from going.
    world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn a_mail_goes_out_when_the_server_is_back() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.mailer.set_down(true);
    world.auth.deliver_mail().await.unwrap();
    world.clock.advance(10 * SECOND);
    world.mailer.set_down(false);
    let link = world.link().await;
    // Its time counts from when it was sent.
    world.clock.advance(3 * DAY - TICK);
    world.verify(&link).await.unwrap();
}

#[tokio::test]
async fn a_refused_mail_is_given_up_at_once() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let node = with_mailer(&world, |_| Err(MailError::Permanent("no such mailbox".into())));
    assert_eq!(node.deliver_mail().await.unwrap(), Delivery { dead: 1, ..IDLE });
    world.clock.advance(30 * DAY);
    assert_eq!(node.deliver_mail().await.unwrap(), IDLE);
}

#[tokio::test]
async fn a_worker_that_dies_leaves_its_mail_to_the_next_after_the_lease() {
    for dies_at in ["outbox.claim", "users.find", "outbox.settle"] {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let fault = if dies_at == "outbox.claim" { Fault::HangAfter } else { Fault::HangBefore };
        world.faults.plan(move |_, name| (name == dies_at).then(|| fault.clone()));
        assert!(common::poll_once(world.auth.deliver_mail()).is_none(), "{dies_at}");
        world.faults.heal();
        let next = world.node();
        world.clock.advance(LEASE - TICK);
        assert_eq!(next.deliver_mail().await.unwrap(), IDLE, "{dies_at}");
        world.clock.advance(TICK);
        assert_eq!(next.deliver_mail().await.unwrap(), Delivery { sent: 1, ..IDLE }, "{dies_at}");
        // Sent before it was settled is sent twice: late rather than never.
        let sent = if dies_at == "outbox.settle" { 2 } else { 1 };
        assert_eq!(world.mailer.take().len(), sent, "{dies_at}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_loses_no_mail() {
    for call in ["outbox.claim", "users.find", "outbox.settle"] {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        world.faults.plan(move |_, name| (name == call).then_some(Fault::FailBefore));
        match world.auth.deliver_mail().await {
            Ok(delivery) => assert_eq!((call, delivery), ("users.find", Delivery { delayed: 1, ..IDLE })),
            Err(error) => assert_eq!(error.reason(), Reason::Unavailable, "{call}"),
        }
        world.faults.heal();
        world.clock.advance(LEASE);
        assert!(!world.mails().await.is_empty(), "{call}");
    }
}

#[tokio::test]
async fn a_mail_that_takes_a_worker_down_each_time_is_given_up() {
    let world = World::with(|policy| policy.mail_attempts = 3);
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.faults.plan(|_, name| (name == "outbox.settle").then_some(Fault::HangBefore));
    for _ in 0..3 {
        assert!(common::poll_once(world.auth.deliver_mail()).is_none());
        world.clock.advance(LEASE);
    }
    world.faults.heal();
    assert_eq!(world.mailer.take().len(), 3);
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { dead: 1, ..IDLE });
    assert_eq!(world.mailer.take().len(), 0);
}

#[tokio::test]
async fn a_mail_in_trouble_holds_up_no_other() {
    let world = World::new();
    for number in 0..5 {
        world.sign_up(&format!("ada{number}@example.org"), PASSWORD).await.unwrap();
    }
    let mut troubled = true;
    world
        .faults
        .plan(move |_, name| (name == "users.find" && std::mem::take(&mut troubled)).then_some(Fault::FailBefore));
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { sent: 4, delayed: 1, ..IDLE });
    world.clock.advance(10 * SECOND);
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { sent: 1, ..IDLE });
}

#[tokio::test]
async fn a_slow_server_costs_no_mail_its_lease() {
    // Each mail takes a minute. Whoever else looks meanwhile must not find mails that this worker still holds.
    let world = World::new();
    for number in 0..10 {
        world.sign_up(&format!("ada{number}@example.org"), PASSWORD).await.unwrap();
    }
    let (clock, sent) = (world.clock.clone(), RecordingMailer::default());
    let (outbox, stolen) = (world.store.clone(), Arc::new(Mutex::new(0)));
    let slow = with_mailer(&world, {
        let (clock, sent, stolen) = (clock.clone(), sent.clone(), stolen.clone());
        move |mail| {
            clock.advance(MINUTE);
            // A rival takes nothing that is leased; what it takes besides, it gives back by doing nothing.
            let rival = common::now(outbox.claim(auth_core::port::Clock::now(&clock), Duration::ZERO, 100)).unwrap();
            *stolen.lock().unwrap() += usize::from(rival.iter().any(|claim| claim.intent.to == mail.to));
            common::now(sent.send(mail))
        }
    });
    for _ in 0..10 {
        slow.deliver_mail().await.unwrap();
    }
    assert_eq!(*stolen.lock().unwrap(), 0);
    assert_eq!(sent.take().len(), 10);
}

#[tokio::test]
async fn a_round_ends_even_if_there_is_always_more() {
    let world = World::new();
    for number in 0..45 {
        world.sign_up(&format!("ada{number}@example.org"), PASSWORD).await.unwrap();
    }
    let mut rounds = Vec::new();
    while let delivery @ Delivery { sent: 1.., .. } = world.auth.deliver_mail().await.unwrap() {
        rounds.push(delivery.sent);
    }
    assert_eq!(rounds, [20, 20, 5]);
}

#[tokio::test]
async fn mail_to_nobody_is_dropped() {
    let world = World::new();
    world.auth.request(&world.client).request_password_reset(&common::to_email("unknown@example.org")).await.unwrap();
    world.auth.request(&world.client).resend_verification(&common::to_email("unknown@example.org")).await.unwrap();
    assert_eq!(world.auth.deliver_mail().await.unwrap(), Delivery { dropped: 2, ..IDLE });
    assert_eq!(world.events.take(), []);
    assert_eq!(world.mailer.take(), []);
}

#[tokio::test]
async fn mail_fits_the_account_as_it_is_when_it_is_sent() {
    use MailPurpose::{AccountDeactivated, AccountDisabled, AccountExists, ResetPassword, SetPassword, VerifyEmail};
    for (kind, sent) in [
        ("unverified", vec![AccountExists, ResetPassword, SetPassword, VerifyEmail]),
        ("verified", vec![AccountExists, ResetPassword]),
        // Somebody who was promised a way to a password must get it.
        ("verified without a password", vec![AccountExists, ResetPassword, SetPassword]),
        ("unverified and disabled", vec![AccountDisabled; 3]),
        ("verified and closed", vec![AccountDeactivated, ResetPassword]),
        ("verified and lapsed", vec![]),
        ("deleted", vec![]),
    ] {
        let world = World::new();
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let link = world.link().await;
        if kind.starts_with("verified") {
            world.verify(&link).await.unwrap();
        }
        if kind.ends_with("without a password") {
            world.change(ADA, UserChange { password_hash: Some(None), ..UserChange::default() }).await;
        }
        if kind.ends_with("disabled") {
            world.set_status(ADA, UserStatus::Disabled).await;
        }
        let since = auth_core::port::Clock::now(&world.clock);
        if kind.ends_with("closed") {
            world.set_status(ADA, UserStatus::Deactivated { since }).await;
        }
        if kind.ends_with("lapsed") {
            world.set_status(ADA, UserStatus::Deactivated { since: since - common::DAY * 30 }).await;
        }
        if kind == "deleted" {
            world.set_status(ADA, UserStatus::Deleted).await;
        }
        for purpose in MailPurpose::ALL {
            enqueue(&world, purpose).await;
        }
        let mut purposes: Vec<_> = world.mails().await.into_iter().map(|(_, purpose)| purpose).collect();
        purposes.sort_by_key(|purpose| purpose.as_str());
        assert_eq!(purposes, sent, "{kind}");
    }
}

async fn enqueue(world: &World, purpose: MailPurpose) {
    let to = world.user(ADA).await.email;
    let intent = auth_core::port::MailIntent {
        tenant: TenantId::default(),
        to,
        about: None,
        purpose,
        locale: Locale::default(),
    };
    let id = auth_core::types::MailId(uuid::Uuid::from_u128(purpose as u128 + 1));
    world.store.enqueue(id, &intent, auth_core::port::Clock::now(&world.clock)).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_waits_serves_all_who_ask_for_it() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    for _ in 0..50 {
        world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
        world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await.unwrap();
    }
    assert_eq!(world.mails().await.len(), 2);
    world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await.unwrap();
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn whoever_asks_while_a_mail_is_being_sent_gets_one_more() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let (auth, client) = (world.auth.clone(), world.client.clone());
    let node = with_mailer(&world, move |_| {
        common::now(auth.request(&client).resend_verification(&common::to_email(ADA))).unwrap();
        Err(MailError::Transient("down".into()))
    });
    // The mail that failed gives way to the newer one, which is due at once; the round ends all the same.
    node.deliver_mail().await.unwrap();
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn the_worker_is_woken_by_each_mail() {
    let world = World::new();
    let alarm = world.auth.mail_queued();
    assert!(common::poll_once(alarm).is_none());
    let alarm = world.auth.mail_queued();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    assert!(common::poll_once(alarm).is_some());
}

#[tokio::test]
async fn a_change_of_the_password_keeps_no_promised_mail_from_working() {
    // The link is derived when the mail is sent, so it fits the version of that moment.
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    let links = world.links().await;
    assert_eq!(links.len(), 2);
    for link in &links {
        match link.purpose {
            MailPurpose::VerifyEmail => world.verify(link).await.unwrap(),
            _ => world.reset(link, "what the owner chose").await.unwrap(),
        }
    }
    world.login(ADA, "what the owner chose").await.unwrap();
}

/// The notice of a try that broke off waits for its second and last look, which must not be spent on the next try.
#[test]
fn a_notice_is_not_lost_to_a_worker_that_looks_while_the_change_is_made() {
    now(async {
        let world = World::new();
        let tokens = world.logged_in().await;
        let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
        let old_password = Password::new(PASSWORD).unwrap();
        let new_password = common::new_password(OTHER_PASSWORD);
        let request = || PasswordChangeRequest { old_password: &old_password, new_password: &new_password };
        world.faults.plan(|_, name| (name == "users.update_if").then_some(Fault::FailBefore));
        world.auth.request(&world.client).change_password(&live, request()).await.unwrap_err();
        assert!(world.mails().await.is_empty());
        world.clock.advance(MINUTE - SECOND);

        let gate = Gate::default();
        let wait = Fault::Wait(gate.clone());
        world.faults.plan(move |_, name| (name == "users.update_if").then(|| wait.clone()));
        let auth = world.auth.request(&world.client);
        let mut change = pin!(auth.change_password(&live, request()));
        assert!(poll_once(change.as_mut()).is_none());
        assert!(world.mails().await.is_empty(), "nothing was changed yet");
        gate.open();
        change.await.unwrap();
        world.clock.advance(MINUTE);
        assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::PasswordChanged)]);
    });
}
