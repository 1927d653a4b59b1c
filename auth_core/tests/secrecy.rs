//! Nothing that is shown, logged or reported opens anything.

mod common;

use std::fmt::Write as _;

use auth_core::account::{PasswordResetConfirm, SignUpRequest};

use auth_core::login::LoginRequest;
use auth_core::port::{Event, HashError, MailError, MailPurpose, StoreError};
use auth_core::types::Password;
use auth_core::{Error, Reason};
use common::{ADA, MINUTE, OTHER_PASSWORD, PASSWORD, World};

/// Fails if a text holds a secret.
#[track_caller]
fn assert_clean(shown: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn events_carry_no_secret() {
    let world = World::new();
    let mut secrets = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned(), "$plain$".to_owned(), "ada@".to_owned()];
    let mut shown = String::new();

    world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let links = world.links().await;
    secrets.extend(links.iter().map(|link| link.token.clone()));
    world.reset(links.last().unwrap(), PASSWORD).await.unwrap();
    world.login(ADA, OTHER_PASSWORD).await.unwrap_err();
    let first = world.login(ADA, PASSWORD).await.unwrap();
    world.clock.advance(MINUTE);
    let second = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap();
    world.clock.advance(2 * MINUTE);
    world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap_err();
    let third = world.login(ADA, PASSWORD).await.unwrap();
    world.auth.request(&world.client).logout(Some(third.access.token.expose()), None).await.unwrap();
    world.mailer.set_down(true);
    world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await.unwrap();
    world.auth.deliver_mail().await.unwrap();

    for tokens in [&first, &second, &third] {
        for token in [&tokens.access, &tokens.refresh] {
            let signature = token.token.expose().rsplit_once('.').unwrap().1;
            secrets.push(signature.to_owned());
        }
        write!(shown, "{tokens:?}").unwrap();
    }
    let events = world.events.take();
    let kinds = events.iter().map(std::mem::discriminant).collect::<std::collections::HashSet<_>>();
    assert!(kinds.len() >= 9, "{events:?}");
    write!(shown, "{events:?}").unwrap();
    assert_clean(&shown, &secrets);
    assert!(!events.iter().any(|event| matches!(event, Event::MailDead { .. })));
}

#[tokio::test]
async fn rows_show_neither_hash_nor_address() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let user = world.user(ADA).await;
    let sessions = world.faults.sessions();
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    let shown = format!("{user:?}{sessions:?}{live:?}{:?}{:?}", world.auth, world.tokens());
    assert_clean(&shown, &[PASSWORD.to_owned(), "$plain$".to_owned(), "ada@".to_owned()]);
}

#[test]
fn requests_show_no_secret() {
    let password = Password::new(PASSWORD).unwrap();
    let secrets = [PASSWORD.to_owned(), "a-mailed-token".to_owned(), "ada@".to_owned()];
    let sign_up = SignUpRequest::new(common::to_email(ADA), common::new_password(PASSWORD));
    assert_clean(&format!("{sign_up:?}"), &secrets);
    let login = LoginRequest::new(auth_core::types::Identifier::parse(ADA), &password);
    assert_clean(&format!("{login:?}"), &secrets);
    let confirm =
        PasswordResetConfirm { user: None, token: "a-mailed-token", password: &common::new_password(PASSWORD) };
    assert_clean(&format!("{confirm:?}"), &secrets);
}

#[test]
fn what_clients_see_of_an_error_is_its_code() {
    for error in [
        Error::from(StoreError::unavailable("postgres://user:hunter2@db")),
        Error::from(StoreError::corrupt("row of ada@example.org")),
        Error::from(HashError::Failed("$argon2id$...".into())),
    ] {
        let shown = error.to_string();
        assert!(["unavailable", "internal"].contains(&&*shown), "{shown}");
        assert!(std::error::Error::source(&error).is_some());
    }
    let mail = MailError::Permanent("550".into());
    assert_eq!(mail.to_string(), "refused: 550");
}

#[test]
fn codes_are_stable() {
    use Reason::{
        AlreadyVerified, Internal, InvalidCredentials, InvalidFields, LinkInvalid, NotAuthenticated, Overloaded,
        RefreshInvalid, TokenExpired, TokenInvalid, TokenWrongType, Unavailable, UserInactive, UserNotFound,
    };
    for (reason, code) in [
        (InvalidFields, "invalid_fields"),
        (InvalidCredentials, "invalid_credentials"),
        (Reason::InvalidCode, "invalid_code"),
        (Reason::PendingSessionInvalid, "pending_session_invalid"),
        (Reason::TwoFactorEnabled, "two_factor_enabled"),
        (Reason::TwoFactorDisabled, "two_factor_disabled"),
        (Reason::TwoFactorNotSetUp, "two_factor_not_set_up"),
        (Reason::LinkSpent, "link_spent"),
        (Reason::WrongPassword, "wrong_password"),
        (Reason::ReauthenticationRequired, "reauthentication_required"),
        (Reason::LastSuperuser, "last_superuser"),
        (Reason::NotSupported, "not_supported"),
        (NotAuthenticated, "not_authenticated"),
        (TokenInvalid, "token_not_valid"),
        (TokenExpired, "token_not_valid"),
        (TokenWrongType, "token_not_valid"),
        (UserInactive, "user_inactive"),
        (UserNotFound, "user_not_found"),
        (RefreshInvalid, "refresh_invalid"),
        (LinkInvalid, "link_invalid"),
        (AlreadyVerified, "already_verified"),
        (Unavailable, "unavailable"),
        (Overloaded, "overloaded"),
        (Internal, "internal"),
    ] {
        assert_eq!(reason.code(), code);
    }
    for purpose in MailPurpose::ALL {
        assert_eq!(MailPurpose::parse(purpose.as_str()), Some(purpose));
    }
}
