//! Known devices: each has an allowance of its own, all die with the password, and a reset lets the owner in again.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use auth_core::account::{PasswordChangeRequest, PasswordResetConfirm};

use auth_core::factor::Confirmation;

use auth_core::login::{LoggedIn, LoginRequest};
use auth_core::policy::Policy;
use auth_core::port::{Event, LoginRefusal, MailPurpose};
use auth_core::types::{Channel, Client, Password, Token};
use auth_core::{Error, Reason};
use common::{ADA, DAY, Link, MINUTE, OTHER_PASSWORD, PASSWORD, TICK, World, first_step, refused, second_step};

const UNKNOWN: &str = "unknown@example.org";

async fn world(timed: bool) -> World {
    adjusted(|policy| policy.timed_limits = timed).await
}

async fn adjusted(adjust: impl FnOnce(&mut Policy)) -> World {
    let world = World::with(adjust);
    world.verified(ADA, PASSWORD).await;
    world
}

async fn attempt(world: &World, password: &str, device: Option<&Token>) -> Result<LoggedIn, Error> {
    let password = Password::new(password).unwrap();
    let device = device.map(Token::expose);
    let request =
        LoginRequest::new(auth_core::types::Identifier::parse(ADA), &password).channel(Channel::Header).device(device);
    world.auth.request(&Client::default()).login(request).await.map(|outcome| outcome.logged_in().unwrap())
}

async fn guess(world: &World, times: usize, device: Option<&Token>) {
    for time in 0..times {
        let refusal = attempt(world, "a wrong guess", device).await;
        assert_eq!(refused(refusal), Reason::InvalidCredentials, "guess no. {time}");
    }
}

/// Resets the password by mail; the token that the device gets.
async fn reset(world: &World, password: &str) -> Token {
    let Link { user, token, .. } = world.reset_link().await;
    let request = PasswordResetConfirm { user: Some(user), token: &token, password: &common::new_password(password) };
    world.auth.request(&world.client).confirm_password_reset(request).await.unwrap().device
}

/// Whether a device has a budget apart from that of strangers, who have used theirs up.
async fn is_known(world: &World, password: &str, device: &Token) -> bool {
    for _ in 0..10 {
        let _ = attempt(world, "a wrong guess", None).await;
    }
    match attempt(world, password, Some(device)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.reason(), Reason::Throttled);
            false
        }
    }
}

#[tokio::test]
async fn a_reset_lets_its_browser_in_whatever_strangers_used_up() {
    let world = world(true).await;
    guess(&world, 10, None).await;
    assert_eq!(refused(attempt(&world, PASSWORD, None).await), Reason::Throttled);
    let device = reset(&world, OTHER_PASSWORD).await;
    // The window ended with it, also for a browser that keeps no cookies.
    attempt(&world, OTHER_PASSWORD, None).await.unwrap();
    assert!(is_known(&world, OTHER_PASSWORD, &device).await);
}

#[tokio::test]
async fn a_reset_ends_the_window_of_the_username_as_well() {
    let world = World::with(|policy| {
        policy.timed_limits = true;
        policy.usernames = true;
    });
    let request = auth_core::account::SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD))
        .username(common::to_username("ada"));
    world.auth.request(&world.client).sign_up(request).await.unwrap();
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    for _ in 0..10 {
        assert_eq!(refused(world.login("ada", OTHER_PASSWORD).await), Reason::InvalidCredentials);
    }
    assert_eq!(refused(world.login("ada", PASSWORD).await), Reason::Throttled);
    let device = reset(&world, OTHER_PASSWORD).await;
    world.login("ada", OTHER_PASSWORD).await.unwrap();
    // One token is for both ways to name the account.
    for _ in 0..10 {
        assert_eq!(refused(world.login("ada", PASSWORD).await), Reason::InvalidCredentials);
    }
    let password = Password::new(OTHER_PASSWORD).unwrap();
    let device = Some(device.expose());
    let request = LoginRequest::new(auth_core::types::Identifier::parse("ada"), &password)
        .channel(Channel::Header)
        .device(device);
    world.auth.request(&world.client).login(request).await.unwrap();
}

#[tokio::test]
async fn strangers_who_guess_for_days_do_not_keep_the_owner_out_after_a_reset() {
    let world = world(true).await;
    for _ in 0..15 {
        for _ in 0..11 {
            attempt(&world, "a wrong guess", None).await.unwrap_err();
        }
        world.clock.advance(10 * MINUTE);
    }
    assert_eq!(world.user(ADA).await.consecutive_failures, 100);
    let device = reset(&world, OTHER_PASSWORD).await;
    assert_eq!(world.user(ADA).await.consecutive_failures, 0);
    for _ in 0..15 {
        for _ in 0..11 {
            attempt(&world, "a wrong guess", None).await.unwrap_err();
        }
        attempt(&world, OTHER_PASSWORD, Some(&device)).await.unwrap();
        world.clock.advance(10 * MINUTE);
    }
}

#[tokio::test]
async fn a_device_token_dies_with_a_reset_a_change_and_a_clearing_of_the_password() {
    let world = world(true).await;
    let old = attempt(&world, PASSWORD, None).await.unwrap().device;
    let new = reset(&world, OTHER_PASSWORD).await;
    assert!(!is_known(&world, OTHER_PASSWORD, &old).await);
    assert!(is_known(&world, OTHER_PASSWORD, &new).await);

    let tokens = attempt(&world, OTHER_PASSWORD, Some(&new)).await.unwrap();
    let live = world.auth.authenticate(tokens.session.access.token.expose()).await.unwrap();
    let old_password = Password::new(OTHER_PASSWORD).unwrap();
    let request = PasswordChangeRequest { old_password: &old_password, new_password: &common::new_password(PASSWORD) };
    world.deliver().await;
    world.auth.request(&world.client).change_password(&live, request).await.unwrap();
    assert!(!is_known(&world, PASSWORD, &new).await);

    // Taken back by the mailbox: nothing that a thief logged in with stays known.
    world.clock.advance(10 * MINUTE);
    let thiefs = attempt(&world, PASSWORD, None).await.unwrap().device;
    let notice = world.all_links().await.pop().unwrap();
    world.auth.request(&world.client).take_back(Some(notice.user), &notice.token, None).await.unwrap();
    world.deliver().await;
    let owners = reset(&world, OTHER_PASSWORD).await;
    assert!(!is_known(&world, OTHER_PASSWORD, &thiefs).await);
    assert!(is_known(&world, OTHER_PASSWORD, &owners).await);
}

#[tokio::test]
async fn a_device_is_known_for_its_lifetime_and_each_login_begins_it_anew() {
    for lifetime in [DAY, Policy::default().device_lifetime] {
        let world = adjusted(|policy| {
            policy.timed_limits = true;
            policy.device_lifetime = lifetime;
        })
        .await;
        let first = attempt(&world, PASSWORD, None).await.unwrap().device;
        world.clock.advance(lifetime - TICK);
        assert!(is_known(&world, PASSWORD, &first).await);
        let second = attempt(&world, PASSWORD, Some(&first)).await.unwrap().device;
        world.clock.advance(TICK);
        assert!(!is_known(&world, PASSWORD, &first).await, "known past {lifetime:?}");
        assert!(is_known(&world, PASSWORD, &second).await);
        let id = |token: &Token| token.expose().split_once('.').unwrap().0.to_owned();
        assert_eq!(id(&first), id(&second), "the device stays one");
    }
}

#[tokio::test]
async fn no_device_uses_up_the_share_of_another_one_or_of_the_owner() {
    let world = world(false).await;
    let devices = [
        attempt(&world, PASSWORD, None).await.unwrap().device,
        attempt(&world, PASSWORD, None).await.unwrap().device,
        attempt(&world, PASSWORD, None).await.unwrap().device,
    ];
    let [bad, worse, owners] = &devices;
    guess(&world, 150, Some(bad)).await;
    guess(&world, 150, Some(worse)).await;
    guess(&world, 99, Some(owners)).await;
    let off = attempt(&world, PASSWORD, Some(bad)).await;
    assert_eq!(refused(off), Reason::InvalidCredentials, "a device has a limit, too");
    attempt(&world, PASSWORD, Some(owners)).await.unwrap();
    attempt(&world, PASSWORD, None).await.unwrap();
    // Success gives the owner's device its allowance back, and no other device.
    guess(&world, 99, Some(owners)).await;
    attempt(&world, PASSWORD, Some(owners)).await.unwrap();
    assert_eq!(refused(attempt(&world, PASSWORD, Some(bad)).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn what_a_device_guesses_within_sessions_is_counted_apart_from_strangers() {
    let world = world(false).await;
    let tokens = world.login(ADA, PASSWORD).await.unwrap();
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    guess(&world, 100, None).await;
    let right = Password::new(PASSWORD).unwrap();
    let sent = Confirmation { password: Some(&right), code: None };
    world.auth.request(&world.client).reauthenticate(&live, sent).await.unwrap();
}

#[tokio::test]
async fn a_replaced_hash_keeps_the_device_of_that_login_known() {
    let world = world(true).await;
    let hash = auth_core::types::PasswordHash::new(format!("$old${PASSWORD}"));
    let change =
        auth_core::port::UserChange { password_hash: Some(Some(hash)), ..auth_core::port::UserChange::default() };
    world.change(ADA, change).await;
    let device = attempt(&world, PASSWORD, None).await.unwrap().device;
    assert!(world.user(ADA).await.password_hash.unwrap().expose().starts_with("$plain$"), "the hash was replaced");
    assert!(is_known(&world, PASSWORD, &device).await);
}

#[tokio::test]
async fn the_owner_is_told_once_a_day_that_the_password_is_off() {
    let world = world(false).await;
    guess(&world, 100, None).await;
    assert_eq!(world.mails().await, [], "nothing is off yet");
    for day in 0..3 {
        for hour in 0..24 {
            // Wrong or right, what strangers and the owner try is refused alike.
            for password in ["a wrong guess", PASSWORD] {
                assert_eq!(refused(attempt(&world, password, None).await), Reason::InvalidCredentials);
            }
            let expected = if hour == 0 { vec![(ADA.to_owned(), MailPurpose::PasswordOff)] } else { vec![] };
            assert_eq!(world.mails().await, expected, "day {day}, hour {hour}");
            world.clock.advance(DAY / 24);
        }
    }
    reset(&world, OTHER_PASSWORD).await;
    world.deliver().await;
    attempt(&world, OTHER_PASSWORD, None).await.unwrap();
    assert_eq!(world.mails().await, []);
}

#[tokio::test]
async fn the_notice_of_a_lock_out_is_outside_every_budget_and_shows_in_no_answer() {
    let world = adjusted(|policy| policy.mails_per_recipient = Policy::default().mails_per_recipient).await;
    world.clock.advance(DAY);
    guess(&world, 100, None).await;
    for _ in 0..20 {
        world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await.unwrap();
        world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    }
    world.deliver().await;
    let mut seen = Vec::new();
    for (email, password) in [(ADA, "a wrong guess"), (ADA, PASSWORD), (UNKNOWN, PASSWORD)] {
        world.faults.calls();
        world.events.take();
        let refusal = world.login(email, password).await.unwrap_err();
        let calls = world.faults.calls();
        assert_eq!(calls[..3], ["users.find", "users.dummy_write", "attempts.draw"]);
        assert!(matches!(calls[3..], ["outbox.enqueue" | "users.dummy_write"]), "{calls:?}");
        seen.push((refusal.reason(), refusal.to_string()));
    }
    assert!(seen.iter().all(|refusal| *refusal == seen[0]), "{seen:?}");
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::PasswordOff)]);
}

#[tokio::test]
async fn no_notice_of_a_lock_out_reports_what_a_reset_has_ended() {
    let world = world(false).await;
    guess(&world, 101, None).await;
    let link = world.tokens().link(
        auth_core::token::LinkPurpose::SetPassword,
        &world.user(ADA).await,
        world.user(ADA).await.created_at + DAY,
    );
    let link =
        Link { purpose: MailPurpose::ResetPassword, user: world.user(ADA).await.id, token: link.expose().into() };
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::PasswordChanged)]);
}

#[tokio::test]
async fn a_device_that_used_up_its_allowance_is_refused_as_for_a_wrong_guess() {
    let world = world(false).await;
    let device = attempt(&world, PASSWORD, None).await.unwrap().device;
    guess(&world, 100, Some(&device)).await;
    let (work, user) = (world.hasher.work(), world.user(ADA).await.id);
    world.events.take();
    guess(&world, 1, Some(&device)).await;
    assert_eq!(world.hasher.work() - work, 1);
    assert_eq!(world.events.take(), [Event::LoginRefused { user: Some(user), why: LoginRefusal::PasswordOff }]);
}

#[tokio::test]
async fn the_owner_is_told_that_a_backup_code_was_used_and_can_take_it_back() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let mut authenticator = world.set_up_totp(&tokens).await;
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    let code = authenticator.code(&world.clock);
    let enabled = world.auth.request(&world.client).two_factor().enable(&live, &code).await.unwrap();
    authenticator.backup_codes = enabled.backup_codes.iter().map(|code| code.expose().to_owned()).collect();
    world.deliver().await;
    let token = first_step(&world.auth, ADA, PASSWORD).await.unwrap();
    let verified = second_step(&world.auth, &token, &authenticator.backup_codes[0]).await.unwrap();
    let links = world.all_links().await;
    let [notice] = &links[..] else { panic!("{links:?}") };
    assert_eq!(notice.purpose, MailPurpose::BackupCodeUsed);
    world.auth.request(&world.client).take_back(Some(notice.user), &notice.token, None).await.unwrap();
    let access = verified.login.session.access.token;
    assert_eq!(refused(world.auth.authenticate(access.expose()).await), Reason::NotAuthenticated);
    let user = world.user(ADA).await;
    assert!(user.password_hash.is_none() && !user.factors.is_empty(), "the factor that was on before stays");
}
