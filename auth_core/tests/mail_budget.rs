//! Mails per recipient: strangers cannot fill a mailbox, nor keep its owner from a working link.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use auth_core::account::{EmailChangeRequest, PasswordChangeRequest};

use auth_core::factor::Confirmation;

use auth_core::login::{LoggedIn, LoginRequest};
use auth_core::policy::Policy;
use auth_core::port::{Event, MailPurpose};
use auth_core::types::{Channel, Client, Limit, Password, TenantId};
use auth_core::{Error, Reason};
use common::{ADA, DAY, Fault, HOUR, Link, MINUTE, OTHER_PASSWORD, PASSWORD, SECOND, TICK, World, refused};

const EVE: &str = "eve@example.org";
const UNKNOWN: &str = "unknown@example.org";

/// A world with the budget that integrators get, and a verified account of Ada's.
async fn world() -> World {
    budget(|_| {}).await
}

async fn budget(adjust: impl FnOnce(&mut Policy)) -> World {
    let world = World::with(|policy| {
        policy.mails_per_recipient = Policy::default().mails_per_recipient;
        adjust(policy);
    });
    world.verified(ADA, PASSWORD).await;
    world.clock.advance(DAY);
    world
}

async fn ask(world: &World, email: &str) {
    world.auth.request(&world.client).request_password_reset(&common::to_email(email)).await.unwrap();
}

/// The mails that arrive of so many requests, each delivered before the next.
async fn arriving(world: &World, requests: usize, request: impl AsyncFn(&World)) -> Vec<(String, MailPurpose)> {
    let mut mails = Vec::new();
    for _ in 0..requests {
        request(world).await;
        mails.extend(world.mails().await);
    }
    mails
}

async fn log_in(world: &World, password: &str) -> Result<LoggedIn, Error> {
    let password = Password::new(password).unwrap();
    let request = LoginRequest::new(auth_core::types::Identifier::parse(ADA), &password).channel(Channel::Header);
    world.auth.request(&world.client).login(request).await.map(|outcome| outcome.logged_in().unwrap())
}

#[tokio::test]
async fn the_eleventh_mail_within_an_hour_is_withheld_and_an_event_tells() {
    let world = world().await;
    world.events.take();
    assert_eq!(arriving(&world, 30, async |world| ask(world, ADA).await).await.len(), 10);
    let withheld = Event::MailWithheld { purpose: MailPurpose::ResetPassword };
    assert_eq!(world.events.take().into_iter().filter(|event| *event == withheld).count(), 20);
    // The budget gains one mail each tenth of an hour, even if more were asked for meanwhile.
    for _ in 0..5 {
        world.clock.advance(6 * MINUTE - TICK);
        assert_eq!(arriving(&world, 3, async |world| ask(world, ADA).await).await.len(), 0);
        world.clock.advance(TICK);
        assert_eq!(arriving(&world, 3, async |world| ask(world, ADA).await).await.len(), 1);
    }
}

#[tokio::test]
async fn every_request_of_a_stranger_is_within_the_budget_of_its_kind() {
    let world = world().await;
    world.verified(EVE, PASSWORD).await;
    let evil = world.login(EVE, PASSWORD).await.unwrap();
    let live = world.auth.authenticate(evil.access.token.expose()).await.unwrap();
    world.sign_up("new@example.org", PASSWORD).await.unwrap();
    world.clock.advance(MINUTE);
    world.deliver().await;
    let to = |mails: &[(String, MailPurpose)], to: &str| mails.iter().filter(|(it, _)| it == to).count();

    let signed_up = arriving(&world, 15, async |world| {
        world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    })
    .await;
    assert_eq!(to(&signed_up, ADA), 10);
    assert_eq!(arriving(&world, 15, async |world| ask(world, ADA).await).await.len(), 10);
    let moved = arriving(&world, 15, async |world| {
        let request = EmailChangeRequest { new_email: &common::to_email(ADA), confirmation: Confirmation::default() };
        world.auth.request(&world.client).request_email_change(&live, request).await.unwrap();
    });
    assert_eq!(to(&moved.await, ADA), 10);

    // A sign-up, the resending of its mail and a login before the address is verified are one kind.
    let mut mails = Vec::new();
    for round in 0..15 {
        mails.extend(
            arriving(&world, 1, async |world| match round % 3 {
                0 => world
                    .auth
                    .request(&world.client)
                    .resend_verification(&common::to_email("new@example.org"))
                    .await
                    .unwrap(),
                1 => assert!(world.sign_up("new@example.org", PASSWORD).await.is_ok()),
                _ => assert_eq!(refused(world.login("new@example.org", PASSWORD).await), Reason::InvalidCredentials),
            })
            .await,
        );
    }
    // One was sent a minute ago.
    assert_eq!(to(&mails, "new@example.org"), 9);
}

#[tokio::test]
async fn recipients_kinds_and_tenants_have_budgets_apart_and_spellings_share_one() {
    let world = world().await;
    for spelling in [ADA, "ADA@example.org", " ada@EXAMPLE.org", "ａda@example.org", "ada@example。org"] {
        arriving(&world, 2, async |world| ask(world, spelling).await).await;
    }
    assert_eq!(arriving(&world, 3, async |world| ask(world, ADA).await).await.len(), 0);
    world.verified(EVE, PASSWORD).await;
    assert_eq!(arriving(&world, 3, async |world| ask(world, EVE).await).await.len(), 3);
    let mails = arriving(&world, 1, async |world| {
        world.sign_up(ADA, PASSWORD).await.unwrap();
    })
    .await;
    assert_eq!(mails, [(ADA.to_owned(), MailPurpose::AccountExists)]);

    let elsewhere = Client { tenant: TenantId::parse("acme").unwrap(), ..Client::default() };
    world.faults.calls();
    world.auth.request(&elsewhere).request_password_reset(&common::to_email(ADA)).await.unwrap();
    assert_eq!(world.faults.calls(), ["attempts.draw", "outbox.enqueue"]);
}

#[tokio::test]
async fn a_used_up_budget_shows_neither_in_the_answer_nor_in_the_work() {
    let world = world().await;
    let mut seen = Vec::new();
    for email in [ADA, UNKNOWN] {
        for _ in 0..12 {
            world.faults.calls();
            ask(&world, email).await;
            seen.push(world.faults.calls());
        }
    }
    let (known, unknown) = seen.split_at(12);
    assert_eq!(known, unknown);
    assert_eq!(known[0], ["attempts.draw", "outbox.enqueue"]);
    // A write in the place of the other.
    assert_eq!(known[11], ["attempts.draw", "users.dummy_write"]);
}

/// Whether a sign-up's address is free, and whose it is, decides neither which budget is used nor how full that is.
#[tokio::test]
async fn no_order_of_requests_tells_known_from_unknown_addresses() {
    let world = world().await;
    world.sign_up("new@example.org", PASSWORD).await.unwrap();
    world.clock.advance(DAY);
    let mut seen = Vec::new();
    for email in [ADA, UNKNOWN, "new@example.org"] {
        let mut withheld = Vec::new();
        for round in 0..12 {
            world.events.take();
            if round % 2 == 0 {
                world.auth.request(&world.client).resend_verification(&common::to_email(email)).await.unwrap();
            } else {
                world.sign_up(email, OTHER_PASSWORD).await.unwrap();
            }
            withheld.push(world.events.take().iter().any(|event| matches!(event, Event::MailWithheld { .. })));
        }
        seen.push(withheld);
    }
    assert_eq!(seen[0], [vec![false; 10], vec![true; 2]].concat());
    assert!(seen.iter().all(|withheld| *withheld == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn every_refused_login_does_the_work_of_a_mail() {
    let world = world().await;
    world.sign_up("new@example.org", PASSWORD).await.unwrap();
    for (email, password) in
        [(ADA, OTHER_PASSWORD), (UNKNOWN, PASSWORD), ("new@example.org", OTHER_PASSWORD), ("new@example.org", PASSWORD)]
    {
        for round in 0..12 {
            world.faults.calls();
            assert_eq!(refused(world.login(email, password).await), Reason::InvalidCredentials);
            let calls = world.faults.calls();
            let [.., "attempts.draw", written] = calls[..] else { panic!("{email}: {calls:?}") };
            let queued = email == "new@example.org" && password == PASSWORD && round < 9;
            assert_eq!(written, if queued { "outbox.enqueue" } else { "users.dummy_write" }, "{email} {round}");
        }
    }
}

#[tokio::test]
async fn a_full_budget_delays_no_notice() {
    let world = world().await;
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let mut live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    for number in 0..20 {
        for _ in 0..12 {
            ask(&world, ADA).await;
            world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
        }
        world.deliver().await;
        let (old, new) = (format!("password no. {number}"), format!("password no. {}", number + 1));
        let old = if number == 0 { PASSWORD.to_owned() } else { old };
        let old_password = Password::new(&old).unwrap();
        let request = PasswordChangeRequest { old_password: &old_password, new_password: &common::new_password(&new) };
        let renewed = world.auth.request(&world.client).change_password(&live, request).await.unwrap();
        live = world.auth.authenticate(renewed.access.token.expose()).await.unwrap();
        assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::PasswordChanged)], "change no. {number}");
    }
}

#[tokio::test]
async fn a_day_of_flooding_never_leaves_the_owner_without_a_working_link() {
    for (limit, lifetime) in [
        (Policy::default().mails_per_recipient, HOUR),
        // Slower than the links expire, so the links decide.
        (Limit::new(1, DAY), HOUR),
        (Limit::new(3, HOUR), 5 * MINUTE),
    ] {
        let world = budget(|policy| {
            policy.mails_per_recipient = limit;
            policy.reset_link_lifetime = lifetime;
        })
        .await;
        let mut newest: Option<(Link, Duration)> = None;
        let (mut mails, mut time) = (0, Duration::ZERO);
        while time < DAY {
            // Strangers ask as often as they can. The account owner is one of many.
            for _ in 0..5 {
                ask(&world, ADA).await;
            }
            for link in world.links().await {
                mails += 1;
                newest = Some((link, time));
            }
            let (_, sent) = newest.as_ref().unwrap();
            assert!(time - *sent < lifetime, "the newest link expired {:?} into the flood of {limit:?}", time);
            world.clock.advance(30 * SECOND);
            time += 30 * SECOND;
        }
        let most = limit.count + u32::try_from(DAY.as_secs() / limit.interval().min(lifetime).as_secs()).unwrap();
        assert!(mails <= most, "{mails} mails of {limit:?}");
        ask(&world, ADA).await;
        let link = world.links().await.pop().or(newest.map(|(link, _)| link)).unwrap();
        world.reset(&link, OTHER_PASSWORD).await.unwrap();
        world.login(ADA, OTHER_PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn a_known_device_has_a_budget_of_its_own() {
    let world = world().await;
    let device = log_in(&world, PASSWORD).await.unwrap().device;
    let known = world.client.on_device(Some(device.expose()));
    let asks_at = async |world: &World, client: &Client| {
        world.auth.request(client).request_password_reset(&common::to_email(ADA)).await.unwrap();
    };
    assert_eq!(arriving(&world, 30, async |world| ask(world, ADA).await).await.len(), 10);
    assert_eq!(arriving(&world, 30, async |world| asks_at(world, &known).await).await.len(), 10);

    // A token of another account, an outdated one and a forged one count as none.
    world.clock.advance(HOUR);
    world.verified(EVE, PASSWORD).await;
    let password = Password::new(PASSWORD).unwrap();
    let request = LoginRequest::new(auth_core::types::Identifier::parse(EVE), &password).channel(Channel::Header);
    let eves = world.auth.request(&world.client).login(request).await.unwrap().logged_in().unwrap().device;
    arriving(&world, 10, async |world| ask(world, ADA).await).await;
    let link = world.tokens().link(auth_core::token::LinkPurpose::SetPassword, &world.user(ADA).await, {
        use auth_core::port::Clock as _;
        world.clock.now() + HOUR
    });
    let link =
        Link { purpose: MailPurpose::ResetPassword, user: world.user(ADA).await.id, token: link.expose().into() };
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    world.deliver().await;
    for token in [eves.expose(), device.expose(), "x.0.x", ""] {
        let client = world.client.on_device(Some(token));
        assert_eq!(arriving(&world, 2, async |world| asks_at(world, &client).await).await.len(), 0, "{token}");
    }
}

#[tokio::test]
async fn a_device_token_is_looked_up_alike_for_known_and_unknown_addresses() {
    let world = world().await;
    let device = log_in(&world, PASSWORD).await.unwrap().device;
    for client in [world.client.on_device(Some(device.expose())), world.client.on_device(Some("rubbish"))] {
        let looks = client.device.as_ref().is_some_and(|token| token.expose() != "rubbish");
        for email in [ADA, UNKNOWN] {
            world.faults.calls();
            world.auth.request(&client).request_password_reset(&common::to_email(email)).await.unwrap();
            let calls = world.faults.calls();
            assert_eq!(calls[usize::from(looks)..], ["attempts.draw", "outbox.enqueue"]);
            assert_eq!(calls.contains(&"users.find"), looks);
        }
    }
}

#[tokio::test]
async fn an_operators_mail_is_not_withheld() {
    let world = world().await;
    let user = world.user(ADA).await.id;
    arriving(&world, 20, async |world| ask(world, ADA).await).await;
    let mails = arriving(&world, 20, async |world| world.auth.admin().start_reset(&user).await.unwrap()).await;
    assert_eq!(mails.len(), 20);
}

#[tokio::test]
async fn a_budget_that_cannot_be_read_refuses_known_and_unknown_alike() {
    let world = world().await;
    world.faults.plan(|_, name| (name == "attempts.draw").then_some(Fault::FailBefore));
    for email in [ADA, UNKNOWN] {
        let asked = world.auth.request(&world.client).request_password_reset(&common::to_email(email)).await;
        assert_eq!(refused(asked), Reason::Unavailable);
        assert_eq!(refused(world.login(email, OTHER_PASSWORD).await), Reason::Unavailable);
    }
    world.faults.heal();
    assert_eq!(world.mails().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_requests_queue_no_more_than_the_budget() {
    let world = world().await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    world.events.take();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let auth = world.auth.clone();
            tokio::spawn(async move {
                auth.request(&Client::default()).request_password_reset(&common::to_email(ADA)).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let withheld = Event::MailWithheld { purpose: MailPurpose::ResetPassword };
    assert_eq!(world.events.take(), vec![withheld; 10]);
}

#[tokio::test]
async fn a_budget_that_was_used_up_before_a_sign_up_delays_its_mail_by_one_refill() {
    let world = world().await;
    for _ in 0..30 {
        world.auth.request(&world.client).resend_verification(&common::to_email(UNKNOWN)).await.unwrap();
    }
    // There is no account to write to yet.
    assert_eq!(world.mails().await, []);
    let signed_up = async |world: &World| assert!(world.sign_up(UNKNOWN, PASSWORD).await.is_ok());
    assert_eq!(arriving(&world, 1, signed_up).await.len(), 0);
    world.clock.advance(6 * MINUTE);
    let resent = async |world: &World| {
        world.auth.request(&world.client).resend_verification(&common::to_email(UNKNOWN)).await.unwrap()
    };
    assert_eq!(arriving(&world, 3, resent).await, [(UNKNOWN.to_owned(), MailPurpose::VerifyEmail)]);
}
