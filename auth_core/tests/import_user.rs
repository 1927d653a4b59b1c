//! Accounts of another system: taken over once, and never more open than they were there, wherever it breaks off.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

mod common;

use auth_core::account::{ImportedUser, UserImport};
use auth_core::port::Event;
use auth_core::types::{Attributes, Email, PasswordHash, TenantId, Timestamp, User, UserId, UserStatus, Username};
use auth_core::{Error, Reason};
use common::{ADA, Fault, OTHER_PASSWORD, PASSWORD, World, now, poll_once, refused};

fn ada(status: UserStatus) -> ImportedUser {
    ImportedUser {
        tenant: TenantId::default(),
        id: Some(UserId::parse("42").unwrap()),
        email: Email::parse(ADA).unwrap(),
        username: Some(Username::parse("ada").unwrap()),
        email_verified_at: Some(Timestamp::from_seconds(2)),
        status,
        // The test hasher's old form, which a login renews.
        password_hash: Some(PasswordHash::new(format!("$old${PASSWORD}"))),
        attributes: Attributes::from_iter([("anything".to_owned(), 7.into())]),
        created_at: Timestamp::from_seconds(1),
        last_login_at: Some(Timestamp::from_seconds(3)),
    }
}

fn assert_is(row: &User, user: &ImportedUser) {
    assert_eq!(Some(row.id), user.id);
    assert_eq!((&row.email, &row.username, row.status), (&user.email, &user.username, user.status));
    assert_eq!((row.email_verified_at, &row.password_hash), (user.email_verified_at, &user.password_hash));
    assert_eq!((&row.attributes, row.created_at), (&user.attributes, user.created_at));
}

#[tokio::test]
async fn an_account_comes_as_it_was_and_is_told_once() {
    for status in [UserStatus::Active, UserStatus::Disabled, UserStatus::Deleted] {
        let world = World::new();
        let user = ada(status);
        assert!(matches!(world.auth.import_user(&user).await, Ok(UserImport::Created(id)) if Some(id) == user.id));
        let row = world.user(ADA).await;
        assert_is(&row, &user);
        assert_eq!(row.last_login_at, user.last_login_at);
        assert_eq!(world.events.take(), [Event::UserImported { user: row.id }]);
        assert_eq!((world.mails().await, world.hasher.work()), (vec![], 0));
        // Again: nothing happens, whatever is different meanwhile.
        let other = ImportedUser { status: UserStatus::Active, password_hash: None, ..user.clone() };
        for again in [&user, &other] {
            assert!(matches!(world.auth.import_user(again).await, Ok(UserImport::Exists(id)) if Some(id) == user.id));
        }
        assert_eq!((world.user(ADA).await, world.events.take()), (row.clone(), vec![]));
        let login = world.login(ADA, PASSWORD).await;
        match status {
            UserStatus::Active => drop(login.unwrap()),
            _ => assert_eq!(refused(login), Reason::InvalidCredentials),
        }
        let after = world.user(ADA).await;
        assert_eq!((after.revision, after.token_version), (row.revision, row.token_version));
    }
}

#[tokio::test]
async fn what_is_unique_stays_so_and_an_id_is_made_where_none_is_given() {
    let world = World::with(|policy| policy.usernames = true);
    let nameless = ImportedUser { id: None, ..ada(UserStatus::Active) };
    let Ok(UserImport::Created(id)) = world.auth.import_user(&nameless).await else { panic!("not created") };
    assert_eq!((world.user(ADA).await.id, id.as_str().len()), (id, 36));
    let namesake = ImportedUser { email: Email::parse("other@example.org").unwrap(), ..nameless.clone() };
    assert!(matches!(world.auth.import_user(&namesake).await, Ok(UserImport::UsernameTaken)));
    // An account that took another address here is the same by its id.
    let world = World::new();
    world.auth.import_user(&ada(UserStatus::Active)).await.unwrap();
    let renamed = ImportedUser { email: Email::parse("old@example.org").unwrap(), ..ada(UserStatus::Active) };
    assert!(matches!(world.auth.import_user(&renamed).await, Ok(UserImport::Exists(id)) if Some(id) == renamed.id));
    // Who signed up here before the move keeps the account.
    let world = World::new();
    let id = world.verified(ADA, OTHER_PASSWORD).await;
    let shut = ada(UserStatus::Disabled);
    assert!(matches!(world.auth.import_user(&shut).await, Ok(UserImport::Exists(found)) if found == id));
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
}

#[test]
fn an_import_that_breaks_off_opens_nothing_and_can_be_repeated() {
    for status in [UserStatus::Active, UserStatus::Disabled] {
        let user = ada(status);
        let mut calls = 0;
        for call in 0.. {
            for fault in [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter] {
                let world = World::new();
                world.faults.plan(move |number, _| (number == call).then(|| fault.clone()));
                let outcome: Option<Result<UserImport, Error>> = poll_once(world.auth.import_user(&user));
                world.faults.heal();
                calls = world.faults.calls().len();
                if calls <= call {
                    assert!(matches!(outcome, Some(Ok(UserImport::Created(_)))));
                    continue;
                }
                now(async {
                    if status == UserStatus::Disabled {
                        assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
                    }
                    world.auth.import_user(&user).await.unwrap();
                    assert_is(&world.user(ADA).await, &user);
                    assert_eq!(world.login(ADA, PASSWORD).await.is_ok(), status == UserStatus::Active);
                });
            }
            if calls <= call {
                break;
            }
        }
        // Two look-ups, the insert, the time of the last login; and between them the write that shuts.
        assert_eq!(calls, if status == UserStatus::Active { 4 } else { 5 });
    }
}
