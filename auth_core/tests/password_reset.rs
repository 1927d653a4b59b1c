//! Reset: a mailed link sets the password once, and that write ends all that the old one opened.

mod common;

use auth_core::Reason;
use auth_core::account::{PasswordResetConfirm, SignUpRequest};
use auth_core::error::{FieldReason, KnownText};
use auth_core::operator::NewAccount;
use auth_core::port::{Event, MailPurpose};
use auth_core::types::{Claim, Client, TenantId, UserId, UserStatus};
use common::{ADA, Fault, HOUR, Link, MINUTE, OTHER_PASSWORD, PASSWORD, TICK, World, login, refused, wrong_fields};

#[tokio::test]
async fn a_link_sets_the_password() {
    let world = World::new();
    let id = world.verified(ADA, PASSWORD).await;
    let before = world.user(ADA).await;
    let link = world.reset_link().await;
    assert_eq!(link.purpose, MailPurpose::ResetPassword);
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    let after = world.user(ADA).await;
    assert_eq!(after.token_version, before.token_version.next());
    assert_eq!(after.email_verified_at, before.email_verified_at);
    assert_eq!(world.events.take().last(), Some(&Event::PasswordReset { user: id }));
    // It does not log in.
    assert_eq!(world.faults.sessions(), []);
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn a_request_costs_the_same_for_every_address() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.sign_up("unverified@example.org", PASSWORD).await.unwrap();
    world.mails().await;
    let mut costs = Vec::new();
    for email in [ADA, "unverified@example.org", "unknown@example.org"] {
        let work = world.hasher.work();
        world.faults.calls();
        world.auth.request(&world.client).request_password_reset(&common::to_email(email)).await.unwrap();
        costs.push((world.faults.calls(), world.hasher.work() - work));
    }
    assert_eq!(costs, vec![(vec!["attempts.draw", "outbox.enqueue"], 0); 3]);
    assert_eq!(world.mails().await.len(), 2);
}

#[tokio::test]
async fn one_use_ends_every_link_session_and_token() {
    let world = World::new();
    let tokens = world.logged_in().await;
    let second = world.login(ADA, PASSWORD).await.unwrap();
    let (used, spare) = (world.reset_link().await, {
        world.clock.advance(MINUTE);
        world.reset_link().await
    });
    world.reset(&used, OTHER_PASSWORD).await.unwrap();
    for link in [&used, &spare] {
        assert_eq!(refused(world.reset(link, "one more password").await), Reason::LinkInvalid);
    }
    for tokens in [&tokens, &second] {
        let access = world.auth.authenticate(tokens.access.token.expose()).await;
        assert_eq!(refused(access), Reason::NotAuthenticated);
        let refresh = world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await;
        assert_eq!(refused(refresh), Reason::RefreshInvalid);
    }
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_link_ends_after_an_hour_to_the_microsecond() {
    for (age, works) in [(HOUR - TICK, true), (HOUR, false)] {
        let world = World::new();
        world.verified(ADA, PASSWORD).await;
        let link = world.reset_link().await;
        world.clock.advance(age);
        assert_eq!(world.reset(&link, OTHER_PASSWORD).await.is_ok(), works, "{age:?}");
        assert_eq!(world.login(ADA, PASSWORD).await.is_ok(), !works);
    }
}

#[tokio::test]
async fn a_reset_proves_the_mailbox() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let verify = world.link().await;
    let link = world.reset_link().await;
    world.events.take();
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    let user = world.user(ADA).await;
    assert!(user.is_verified());
    // Whoever waits for mailboxes to be proven learns of it, too.
    assert_eq!(world.events.take(), [Event::EmailVerified { user: user.id }, Event::PasswordReset { user: user.id }]);
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
    assert_eq!(refused(world.verify(&verify).await), Reason::LinkInvalid);
}

#[tokio::test]
async fn a_reset_of_an_unverified_account_clears_what_the_sign_up_chose() {
    let world = World::with(|policy| policy.usernames = true);
    let request = SignUpRequest::new(common::to_email(ADA), common::new_password("the stranger's"))
        .username(common::to_username("ada"))
        .attributes(vec![("first_name", "Chosen by a stranger")]);
    world.auth.request(&world.client).sign_up(request).await.unwrap();
    world.mails().await;
    let link = world.reset_link().await;
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    let user = world.user(ADA).await;
    assert_eq!((user.username, user.attributes.len()), (None, 0));
    assert!(user.email_verified_at.is_some() && user.claim == Claim::Settled);
}

#[tokio::test]
async fn a_reset_of_an_account_that_an_operator_made_keeps_what_the_operator_chose() {
    let world = World::with(|policy| policy.usernames = true);
    let attributes = serde_json::json!({ "plan": "pro" }).as_object().unwrap().clone();
    let account = NewAccount {
        email: ADA,
        username: Some("ada"),
        superuser: true,
        attributes: attributes.clone(),
        ..NewAccount::default()
    };
    world.auth.admin().create_user(account).await.unwrap();
    let link = world.reset_link().await;
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
    let user = world.user(ADA).await;
    assert!(user.is_verified() && user.is_superuser());
    assert_eq!((user.username.unwrap().as_str(), &user.attributes["plan"]), ("ada", &attributes["plan"]));
}

#[tokio::test]
async fn a_reset_never_opens_a_disabled_account() {
    for status in [UserStatus::Disabled, UserStatus::Deleted] {
        let world = World::new();
        world.verified(ADA, PASSWORD).await;
        let early = world.reset_link().await;
        world.set_status(ADA, status).await;
        assert_eq!(refused(world.reset(&early, OTHER_PASSWORD).await), Reason::LinkInvalid);
        let user = world.user(ADA).await;
        let purpose = auth_core::token::LinkPurpose::SetPassword;
        let token = world.tokens().link(purpose, &user, user.changed_at + HOUR).expose().to_owned();
        let late = Link { purpose: MailPurpose::ResetPassword, user: user.id, token };
        // A reset that succeeds leads to an account in use.
        assert_eq!(refused(world.reset(&late, OTHER_PASSWORD).await), Reason::LinkInvalid);
        assert_eq!(world.user(ADA).await, user);
    }
}

#[tokio::test]
async fn what_is_no_good_link_changes_nothing_and_costs_no_hash() {
    let world = World::new();
    world.sign_up("eve@example.org", PASSWORD).await.unwrap();
    let verify_eve = world.link().await;
    world.verified(ADA, PASSWORD).await;
    let (link, before) = (world.reset_link().await, world.user(ADA).await);
    let gone = UserId::parse("nobody").unwrap();
    let other_tenant = Client { tenant: TenantId::parse("other").unwrap(), ..Client::default() };
    let work = world.hasher.work();
    for (client, user, token) in [
        (&world.client, Some(gone), link.token.as_str()),
        (&world.client, None, &link.token),
        (&world.client, Some(verify_eve.user), &link.token),
        (&world.client, Some(verify_eve.user), &verify_eve.token),
        (&world.client, Some(link.user), ""),
        (&world.client, Some(link.user), &link.token[1..]),
        (&other_tenant, Some(link.user), &link.token),
    ] {
        let request = PasswordResetConfirm { user, token, password: &common::new_password(OTHER_PASSWORD) };
        assert_eq!(refused(world.auth.request(client).confirm_password_reset(request).await), Reason::LinkInvalid);
    }
    assert_eq!((world.user(ADA).await, world.hasher.work() - work), (before, 0));
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_bad_password_does_not_use_the_link_up() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let link = world.reset_link().await;
    let too_long = "x".repeat(100_000);
    for (password, reason) in [
        ("", FieldReason::PasswordTooShort(8)),
        ("seven77", FieldReason::PasswordTooShort(8)),
        ("1234567890", FieldReason::PasswordTooCommon),
        ("ada@example.org", FieldReason::PasswordTooSimilar(KnownText::Email)),
        (too_long.as_str(), FieldReason::TooLong(256)),
    ] {
        assert_eq!(wrong_fields(world.reset(&link, password).await), [("password", reason)]);
    }
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_login_that_was_checked_against_the_old_password_is_dead_on_arrival() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let link = world.reset_link().await;
    let (auth, client) = (world.auth.clone(), world.client.clone());
    let slow = world.node_that_checks(move || {
        let request = PasswordResetConfirm {
            user: Some(link.user),
            token: &link.token,
            password: &common::new_password(OTHER_PASSWORD),
        };
        common::now(auth.request(&client).confirm_password_reset(request)).unwrap();
        Ok(())
    });
    let tokens = login(&slow, ADA, PASSWORD).await.unwrap();
    for node in [&world.auth, &slow] {
        let access = node.authenticate(tokens.access.token.expose()).await;
        assert_eq!(refused(access), Reason::NotAuthenticated);
        assert_eq!(
            refused(node.request(&world.client).refresh(tokens.refresh.token.expose()).await),
            Reason::RefreshInvalid
        );
    }
}

#[tokio::test]
async fn a_lost_race_checks_the_link_again() {
    // The account changes between the check of the link and the write: the write alone must not be repeated.
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let (link, user, store) = (world.reset_link().await, world.user(ADA).await, world.store.clone());
    let mut done = false;
    world.faults.plan(move |_, name| {
        if name == "users.update_if" && !std::mem::replace(&mut done, true) {
            let change = auth_core::port::UserChange { status: Some(UserStatus::Disabled), ..Default::default() };
            common::now(auth_core::port::UserStore::update_if(&store, &user, &change)).unwrap();
        }
        None
    });
    assert_eq!(refused(world.reset(&link, OTHER_PASSWORD).await), Reason::LinkInvalid);
    let user = world.user(ADA).await;
    assert_eq!(user.password_hash.unwrap().expose(), format!("$plain${PASSWORD}"));
}

#[tokio::test]
async fn a_row_under_constant_fire_means_try_again() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let (link, store, email) = (world.reset_link().await, world.store.clone(), world.user(ADA).await.email);
    world.faults.plan(move |_, name| {
        if name == "users.update_if" {
            use auth_core::port::{UserChange, UserKey, UserStore};
            let user = common::now(UserStore::find(&store, &TenantId::default(), UserKey::Email(&email)));
            let change = UserChange { attributes: Some(Default::default()), ..Default::default() };
            common::now(UserStore::update_if(&store, &user.unwrap().unwrap(), &change)).unwrap();
        }
        None
    });
    let work = world.hasher.work();
    assert_eq!(refused(world.reset(&link, OTHER_PASSWORD).await), Reason::Unavailable);
    assert_eq!(world.hasher.work() - work, 1, "hashed more than once");
    world.faults.heal();
    world.reset(&link, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_uses_of_a_link_one_sets_the_password() {
    for _ in 0..20 {
        let world = World::new();
        world.verified(ADA, PASSWORD).await;
        let link = world.reset_link().await;
        world.events.take();
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (auth, link) = (world.auth.clone(), link.clone());
                tokio::spawn(async move {
                    let password = format!("password no. {number}");
                    let request = PasswordResetConfirm {
                        user: Some(link.user),
                        token: &link.token,
                        password: &common::new_password(&password),
                    };
                    auth.request(&Client::default()).confirm_password_reset(request).await
                })
            })
            .collect();
        let mut winner = None;
        for (number, task) in tasks.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(_) => assert_eq!(winner.replace(number), None),
                Err(error) => assert_eq!(error.reason(), Reason::LinkInvalid),
            }
        }
        assert_eq!(world.events.take().len(), 1);
        world.login(ADA, &format!("password no. {}", winner.unwrap())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_login_with_the_old_password_gets_past_a_reset() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.faults.plan(|_, _| Some(Fault::Yield));
    let passwords = [PASSWORD, OTHER_PASSWORD];
    for round in 0..50 {
        let (old, new) = (passwords[round % 2], passwords[(round + 1) % 2]);
        let link = world.reset_link().await;
        let log_in = |_| {
            let auth = world.auth.clone();
            tokio::spawn(async move { login(&auth, ADA, old).await.ok() })
        };
        let before: Vec<_> = (0..5).map(log_in).collect();
        let (auth, client) = (world.auth.clone(), world.client.clone());
        let reset = tokio::spawn(async move {
            let request = PasswordResetConfirm {
                user: Some(link.user),
                token: &link.token,
                password: &common::new_password(new),
            };
            auth.request(&client).confirm_password_reset(request).await
        });
        let after: Vec<_> = (0..5).map(log_in).collect();
        reset.await.unwrap().unwrap();
        for task in before.into_iter().chain(after) {
            if let Some(tokens) = task.await.unwrap() {
                let access = world.auth.authenticate(tokens.access.token.expose()).await;
                assert_eq!(refused(access), Reason::NotAuthenticated);
                let refresh = world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await;
                assert_eq!(refused(refresh), Reason::RefreshInvalid);
            }
        }
        world.login(ADA, new).await.unwrap();
    }
}
