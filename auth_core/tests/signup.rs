//! Sign-up: one answer and one piece of work for every address, and nobody shares an account with a mailbox's owner.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use auth_core::Reason;
use auth_core::account::{SignUpRequest, SignedUp};
use auth_core::error::{FieldReason, KnownText};
use auth_core::operator::NewAccount;
use auth_core::policy::AttributeRule;
use auth_core::port::{Event, MailPurpose, UserStore};
use auth_core::types::{Client, TenantId, UserStatus};
use common::{ADA, Fault, Link, OTHER_PASSWORD, PASSWORD, World, refused, wrong_fields};

fn request<'a>(email: &'a str, password: &'a str) -> SignUpRequest<'a> {
    SignUpRequest::new(common::to_email(email), common::new_password(password))
}

fn named<'a>(email: &'a str, username: &'a str) -> SignUpRequest<'a> {
    request(email, PASSWORD).username(common::to_username(username))
}

#[tokio::test]
async fn a_sign_up_makes_an_unverified_account_and_queues_one_mail() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let user = world.user(ADA).await;
    assert!(user.is_active() && !user.is_verified() && user.last_login_at.is_none());
    assert_eq!(world.events.take(), [Event::SignedUp { user: user.id }]);
    assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::VerifyEmail)]);
    assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(world.faults.sessions(), []);
}

/// Makes Ada's account into one of a kind.
async fn prepare(world: &World, kind: &str) {
    match kind {
        "unknown" => return,
        "verified" | "disabled" | "deleted" => {
            world.verified(ADA, PASSWORD).await;
        }
        _ => {
            world.sign_up(ADA, PASSWORD).await.unwrap();
        }
    }
    match kind {
        "disabled" | "unverified and disabled" => {
            world.set_status(ADA, UserStatus::Disabled).await;
        }
        "deleted" => {
            world.set_status(ADA, UserStatus::Deleted).await;
        }
        "without a password" => {
            world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
        }
        _ => {}
    }
    world.mails().await;
}

const KINDS: [&str; 7] =
    ["unknown", "unverified", "without a password", "verified", "disabled", "unverified and disabled", "deleted"];

#[tokio::test]
async fn the_answer_and_the_work_are_the_same_for_every_address() {
    for kind in KINDS {
        for password in [PASSWORD, OTHER_PASSWORD] {
            let world = World::new();
            prepare(&world, kind).await;
            let work = world.hasher.work();
            world.faults.calls();
            assert_eq!(world.sign_up(ADA, password).await.unwrap(), SignedUp, "{kind}");
            assert_eq!(world.hasher.work() - work, 1, "{kind}");
            // Three writes, each of which waits for the disk.
            let [.., first, "attempts.draw", "outbox.enqueue"] = world.faults.calls()[..] else {
                panic!("{kind}: no mail")
            };
            let account = ["users.insert", "users.update_if", "users.record_login"];
            assert!(first == "users.dummy_write" || account.contains(&first), "{kind}: {first}");
            // All queue a mail; the worker finds that a deleted account has nobody to tell.
            assert_eq!(world.mails().await.len(), usize::from(kind != "deleted"), "{kind}");
        }
    }
}

#[tokio::test]
async fn what_is_mailed_depends_on_the_account() {
    use MailPurpose::{AccountDisabled, AccountExists, SetPassword, VerifyEmail};
    for (kind, same_password, another) in [
        ("unknown", VerifyEmail, VerifyEmail),
        ("unverified", VerifyEmail, SetPassword),
        ("without a password", SetPassword, SetPassword),
        ("verified", AccountExists, AccountExists),
        ("disabled", AccountDisabled, AccountDisabled),
        ("unverified and disabled", AccountDisabled, AccountDisabled),
    ] {
        for (password, purpose) in [(PASSWORD, same_password), (OTHER_PASSWORD, another)] {
            let world = World::new();
            prepare(&world, kind).await;
            world.sign_up(ADA, password).await.unwrap();
            assert_eq!(world.mails().await, [(ADA.to_owned(), purpose)], "{kind}");
        }
    }
}

#[tokio::test]
async fn the_same_password_again_changes_nothing() {
    let world = World::new();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    let (before, first) = (world.user(ADA).await, world.link().await);
    world.events.take();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    assert_eq!(world.user(ADA).await, before);
    assert_eq!(world.events.take(), [Event::SignUpRepeated { user: before.id, password_cleared: false }]);
    world.link().await;
    world.verify(&first).await.unwrap();
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn two_passwords_for_an_unproven_mailbox_leave_none_and_the_mailbox_decides() {
    let world = World::new();
    world.sign_up(ADA, "the squatter's password").await.unwrap();
    let squatters_link = world.link().await;
    let before = world.user(ADA).await;
    world.events.take();

    world.sign_up(ADA, PASSWORD).await.unwrap();
    let cleared = world.user(ADA).await;
    assert_eq!(cleared.password_hash, None);
    assert_eq!(cleared.token_version, before.token_version.next());
    assert_eq!(world.events.take(), [Event::SignUpRepeated { user: before.id, password_cleared: true }]);
    assert_eq!(refused(world.verify(&squatters_link).await), Reason::LinkInvalid);

    // Nobody sets a password by signing up once more, the squatter as little as the owner.
    let link = world.link().await;
    assert_eq!(link.purpose, MailPurpose::SetPassword);
    for password in ["the squatter's password", PASSWORD, OTHER_PASSWORD] {
        let before = world.user(ADA).await;
        world.sign_up(ADA, password).await.unwrap();
        assert_eq!(world.user(ADA).await, before);
        assert_eq!(refused(world.login(ADA, password).await), Reason::InvalidCredentials);
    }

    world.reset(&link, "what the owner chose").await.unwrap();
    assert!(world.user(ADA).await.is_verified());
    world.login(ADA, "what the owner chose").await.unwrap();
    for password in ["the squatter's password", PASSWORD] {
        assert_eq!(refused(world.login(ADA, password).await), Reason::InvalidCredentials);
    }
}

#[tokio::test]
async fn a_verified_account_is_not_touched_by_any_sign_up() {
    for kind in ["verified", "disabled", "deleted"] {
        let world = World::with(|policy| policy.usernames = true);
        prepare(&world, kind).await;
        let before = world.user(ADA).await;
        for password in [PASSWORD, OTHER_PASSWORD] {
            let attributes = vec![("first_name", "Eve")];
            let request = SignUpRequest::new(common::to_email(ADA), common::new_password(password))
                .username(common::to_username("eve"))
                .attributes(attributes);
            world.auth.request(&world.client).sign_up(request).await.unwrap();
            assert_eq!(world.user(ADA).await, before, "{kind}");
        }
    }
}

#[tokio::test]
async fn sign_up_is_no_way_to_guess_a_password() {
    // The check for a verified account runs against nothing, so neither answer nor mail nor event tells right from wrong.
    for username in [None, Some("ada"), Some("eve")] {
        let outcome = async |password| {
            let world = World::with(|policy| policy.usernames = true);
            world.auth.request(&world.client).sign_up(named(ADA, "ada")).await.unwrap();
            let link = world.link().await;
            world.verify(&link).await.unwrap();
            let _ = (world.faults.calls(), world.events.take());
            let request = request(ADA, password).username(username.and_then(common::to_username));
            let answer = world.auth.request(&world.client).sign_up(request).await.map_err(|error| error.to_string());
            (answer, world.faults.calls(), world.events.take(), world.mails().await)
        };
        assert_eq!(outcome(PASSWORD).await, outcome(OTHER_PASSWORD).await, "{username:?}");
    }
}

#[tokio::test]
async fn only_the_attributes_of_the_policy_are_taken() {
    let world = World::with(|policy| policy.attributes = vec![AttributeRule::new("first_name", 5)]);
    let hostile = [
        ("is_admin", "true"),
        ("status", "active"),
        ("email_verified_at", "0"),
        ("token_version", "1"),
        ("id", "1"),
        ("role", "admin"),
        ("First_Name", "x"),
        ("first_name", "Adaéx"),
        ("first_name", "the second of its name"),
        ("__proto__", "x"),
    ];
    let request = request(ADA, PASSWORD).attributes(hostile.to_vec());
    world.auth.request(&world.client).sign_up(request).await.unwrap();
    let user = world.user(ADA).await;
    assert_eq!(serde_json::Value::from(user.attributes.clone()), serde_json::json!({ "first_name": "Adaéx" }));
    assert!(!user.is_verified());
    let long = self::request("b@example.org", PASSWORD).attributes(vec![("first_name", "Adaéxx")]);
    let refusal = world.auth.request(&world.client).sign_up(long).await;
    assert_eq!(wrong_fields(refusal), [("first_name", FieldReason::TooLong(5))]);
}

#[tokio::test]
async fn all_wrong_fields_are_told_at_once_and_nothing_is_done() {
    let world = World::with(|policy| policy.usernames = true);
    let attributes = [("first_name", "x".repeat(151)), ("last_name", "y".repeat(151))];
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = SignUpRequest::new(common::to_email(ADA), common::new_password("countess1"))
        .username(common::to_username("countess"))
        .attributes(attributes);
    let refusal = world.auth.request(&world.client).sign_up(request).await;
    let expected = [
        ("first_name", FieldReason::TooLong(150)),
        ("last_name", FieldReason::TooLong(150)),
        ("password", FieldReason::PasswordTooSimilar(KnownText::Username)),
    ];
    assert_eq!(wrong_fields(refusal), expected);
    assert_eq!((world.hasher.work(), world.faults.calls(), world.mails().await), (0, vec![], vec![]));
}

#[tokio::test]
async fn what_was_done_is_reported_even_if_the_mail_cannot_be_queued() {
    let world = World::new();
    world.faults.plan(|_, name| (name == "outbox.enqueue").then_some(Fault::FailBefore));
    assert_eq!(refused(world.sign_up(ADA, PASSWORD).await), Reason::Unavailable);
    let user = world.user(ADA).await.id;
    assert_eq!(world.events.take(), [Event::SignedUp { user }]);
    assert_eq!(refused(world.sign_up(ADA, OTHER_PASSWORD).await), Reason::Unavailable);
    assert_eq!(world.events.take(), [Event::SignUpRepeated { user, password_cleared: true }]);
}

#[tokio::test]
async fn spellings_of_one_address_are_one_account() {
    let world = World::new();
    world.sign_up("Ada@Example.ORG ", PASSWORD).await.unwrap();
    let user = world.user(ADA).await;
    world.mails().await;
    world.sign_up("ＡＤＡ@example。org", PASSWORD).await.unwrap();
    assert_eq!(world.user(ADA).await, user);
    // To the spelling that was typed first: letters of another case are no other mailbox.
    assert_eq!(world.mails().await, [("Ada@example.org".to_owned(), MailPurpose::VerifyEmail)]);
}

#[tokio::test]
async fn accounts_of_two_tenants_have_nothing_to_do_with_each_other() {
    let world = World::new();
    let other = Client { tenant: TenantId::parse("other").unwrap(), ..Client::default() };
    world.verified(ADA, PASSWORD).await;
    world.auth.request(&other).sign_up(request(ADA, OTHER_PASSWORD)).await.unwrap();
    let link = world.link().await;
    assert_eq!(link.purpose, MailPurpose::VerifyEmail);
    // A link works only where it was asked for.
    assert_eq!(refused(world.verify(&link).await), Reason::LinkInvalid);
    world.auth.request(&other).verify_email(Some(link.user), &link.token).await.unwrap();
    assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn a_token_version_starts_anywhere() {
    let world = World::new();
    let mut versions = std::collections::HashSet::new();
    for number in 0..20 {
        let email = format!("ada{number}@example.org");
        world.sign_up(&email, PASSWORD).await.unwrap();
        versions.insert(world.user(&email).await.token_version.get());
    }
    assert_eq!(versions.len(), 20);
    assert!(versions.iter().any(|version| *version > 1 << 29), "{versions:?}");
}

#[tokio::test]
async fn usernames_are_ignored_where_they_are_off() {
    let world = World::new();
    world.auth.request(&world.client).sign_up(named(ADA, "countess")).await.unwrap();
    assert_eq!(world.user(ADA).await.username, None);
}

#[tokio::test]
async fn a_username_is_stored_canonical_and_taken_once() {
    let world = World::with(|policy| policy.usernames = true);
    world.auth.request(&world.client).sign_up(named(ADA, " ＡＤＡ ")).await.unwrap();
    assert_eq!(world.user(ADA).await.username.unwrap().as_str(), "ada");
    let refusal = world.auth.request(&world.client).sign_up(named("eve@example.org", "aDa")).await;
    assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)]);
}

#[tokio::test]
async fn an_unverified_account_keeps_its_username_only_while_its_link_works() {
    let world = World::with(|policy| policy.usernames = true);
    let lifetime = world.auth.policy().verify_link_lifetime;
    world.auth.request(&world.client).sign_up(named("eve@example.org", "ada")).await.unwrap();
    let link = world.link().await;
    world.clock.advance(lifetime - Duration::from_secs(1));
    let refusal = world.auth.request(&world.client).sign_up(named(ADA, "ada")).await;
    assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)]);
    world.clock.advance(Duration::from_secs(1));
    world.auth.request(&world.client).sign_up(named(ADA, "ada")).await.unwrap();
    assert_eq!(world.user(ADA).await.username.unwrap().as_str(), "ada");
    assert_eq!(world.user("eve@example.org").await.username, None);
    assert!(world.verify(&link).await.is_err());
    // A verified account keeps its username for good.
    world.mails().await;
    let world = World::with(|policy| policy.usernames = true);
    world.auth.request(&world.client).sign_up(named("eve@example.org", "ada")).await.unwrap();
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    world.clock.advance(lifetime);
    let refusal = world.auth.request(&world.client).sign_up(named(ADA, "ada")).await;
    assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)]);
}

#[tokio::test]
async fn a_username_that_an_unverified_account_forfeits_tells_nothing_about_the_address() {
    for kind in KINDS {
        let world = World::with(|policy| policy.usernames = true);
        world.auth.request(&world.client).sign_up(named("eve@example.org", "eve")).await.unwrap();
        world.mails().await;
        world.clock.advance(world.auth.policy().verify_link_lifetime);
        prepare(&world, kind).await;
        // As for an unknown address.
        world.auth.request(&world.client).sign_up(named(ADA, "eve")).await.unwrap();
    }
}

#[tokio::test]
async fn a_taken_username_tells_nothing_about_the_address() {
    use MailPurpose::{AccountDisabled, SetPassword, VerifyEmail};
    for kind in KINDS {
        let told = match kind {
            "unverified" => vec![VerifyEmail, SetPassword],
            "without a password" => vec![SetPassword],
            "disabled" | "unverified and disabled" => vec![AccountDisabled],
            _ => vec![],
        };
        let world = World::with(|policy| policy.usernames = true);
        world.auth.request(&world.client).sign_up(named("eve@example.org", "eve")).await.unwrap();
        world.mails().await;
        prepare(&world, kind).await;
        let work = world.hasher.work();
        for password in [PASSWORD, OTHER_PASSWORD] {
            let request = SignUpRequest::new(common::to_email(ADA), common::new_password(password))
                .username(common::to_username("eve"));
            let refusal = world.auth.request(&world.client).sign_up(request).await;
            assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)], "{kind}");
        }
        assert_eq!(world.hasher.work() - work, 2, "{kind}");
        // The client learns nothing, and the owner of an unverified mailbox gets a link to a password.
        let mails: Vec<_> = world.mails().await.into_iter().map(|(_, purpose)| purpose).collect();
        assert_eq!(mails, told, "{kind}");
    }
}

#[tokio::test]
async fn a_sign_up_with_a_username_can_be_repeated_by_whoever_knows_the_password() {
    let world = World::with(|policy| policy.usernames = true);
    for _ in 0..2 {
        world.auth.request(&world.client).sign_up(named(ADA, "ada")).await.unwrap();
        assert_eq!(world.mails().await, [(ADA.to_owned(), MailPurpose::VerifyEmail)]);
    }
    let stranger = SignUpRequest::new(common::to_email(ADA), common::new_password(OTHER_PASSWORD))
        .username(common::to_username("ada"));
    let refusal = world.auth.request(&world.client).sign_up(stranger).await;
    assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)]);
    assert_eq!(world.user(ADA).await.password_hash, None);
}

/// Signs up for Ada's address with a password, a username and a name of the stranger's own.
async fn a_stranger_signs_up(world: &World) -> Link {
    let attributes = vec![("first_name", "Chosen by a stranger")];
    let stranger = SignUpRequest::new(common::to_email(ADA), common::new_password(OTHER_PASSWORD))
        .username(common::to_username("ada"))
        .attributes(attributes);
    world.auth.request(&world.client).sign_up(stranger).await.unwrap();
    world.link().await
}

/// Nothing that the stranger chose is left, and the owner gets in by the mail.
async fn assert_only_the_mailbox_lets_in(world: &World, strangers_link: &Link) {
    let user = world.user(ADA).await;
    assert_eq!((user.password_hash, user.username, user.attributes.len()), (None, None, 0));
    assert_eq!(refused(world.verify(strangers_link).await), Reason::LinkInvalid);
    let link = world.link().await;
    assert_eq!(link.purpose, MailPurpose::SetPassword);
    world.reset(&link, PASSWORD).await.unwrap();
    world.login(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_strangers_username_does_not_keep_the_owner_from_the_account() {
    let world = World::with(|policy| policy.usernames = true);
    let strangers_link = a_stranger_signs_up(&world).await;
    // The owner picks the name that the stranger foresaw.
    let refusal = world.auth.request(&world.client).sign_up(named(ADA, "ada")).await;
    assert_eq!(wrong_fields(refusal), [("username", FieldReason::Taken)]);
    assert_only_the_mailbox_lets_in(&world, &strangers_link).await;
    assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
}

#[tokio::test]
async fn past_its_limit_a_sign_up_looks_at_no_password_and_answers_the_same() {
    for usernames in [true, false] {
        let world = World::with(|policy| {
            policy.timed_limits = true;
            policy.login_attempts = auth_core::types::Limit::new(3, common::HOUR);
            policy.usernames = usernames;
        });
        for repeated in [0, 1, 1] {
            let compared = world.hasher.compared();
            world.auth.request(&world.client).sign_up(named(ADA, "ada")).await.unwrap();
            assert_eq!(world.hasher.compared() - compared, repeated);
        }
        assert!(world.user(ADA).await.password_hash.is_some());
        let (work, compared) = (world.hasher.work(), world.hasher.compared());
        assert_eq!(world.auth.request(&world.client).sign_up(named(ADA, "adam")).await.unwrap(), SignedUp);
        assert_eq!((world.hasher.work() - work, world.hasher.compared() - compared), (1, 0));
        assert_eq!(world.user(ADA).await.password_hash, None);
        // Strangers who sign up do not use up the owner's logins.
        assert_eq!(refused(world.login(ADA, PASSWORD).await), Reason::InvalidCredentials);
    }
}

#[tokio::test]
async fn guesses_at_an_unverified_account_by_sign_up_and_by_login_share_the_durable_limit() {
    let world = World::with(|policy| policy.max_consecutive_failures = 10);
    world.sign_up(ADA, PASSWORD).await.unwrap();
    for _ in 0..10 {
        assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
    }
    let compared = world.hasher.compared();
    world.sign_up(ADA, PASSWORD).await.unwrap();
    assert_eq!(world.hasher.compared(), compared);
    assert_eq!(world.user(ADA).await.password_hash, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_guesses_by_sign_up_never_pass_the_durable_limit() {
    for _ in 0..10 {
        let world = World::with(|policy| policy.max_consecutive_failures = 10);
        world.sign_up(ADA, PASSWORD).await.unwrap();
        let ada = world.user(ADA).await;
        for _ in 0..9 {
            assert!(UserStore::count_failure(&world.store, &ada.tenant, &ada.id, 10).await.unwrap());
        }
        let evaluated = world.hasher.compared();
        world.faults.plan(|_, _| Some(Fault::Yield));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let auth = world.auth.clone();
                let password = format!("password no. {number}");
                tokio::spawn(async move {
                    auth.request(&Client::default()).sign_up(request(ADA, &password)).await.map(|_| ())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert!(world.hasher.compared() - evaluated <= 1);
    }
}

#[tokio::test]
async fn an_open_policy_says_what_is_taken() {
    let world = World::with(|policy| {
        policy.usernames = true;
        policy.reveal_taken_emails = true;
    });
    world.auth.request(&world.client).sign_up(named(ADA, "ada")).await.unwrap();
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    let before = world.user(ADA).await;
    for (username, password, expected) in [
        ("ada", PASSWORD, &[("email", FieldReason::Taken), ("username", FieldReason::Taken)][..]),
        ("bob", OTHER_PASSWORD, &[("email", FieldReason::Taken)]),
    ] {
        let request = SignUpRequest::new(common::to_email(ADA), common::new_password(password))
            .username(common::to_username(username));
        assert_eq!(wrong_fields(world.auth.request(&world.client).sign_up(request).await), expected);
    }
    assert_eq!(world.user(ADA).await, before);
    assert_eq!(world.mails().await, []);
}

#[tokio::test]
async fn an_open_policy_protects_the_owner_of_an_unverified_address_too() {
    let world = World::with(|policy| {
        policy.usernames = true;
        policy.reveal_taken_emails = true;
    });
    let strangers_link = a_stranger_signs_up(&world).await;
    let refusal = world.auth.request(&world.client).sign_up(named(ADA, "mine")).await;
    assert_eq!(wrong_fields(refusal), [("email", FieldReason::Taken)]);
    assert_only_the_mailbox_lets_in(&world, &strangers_link).await;
}

#[tokio::test]
async fn a_second_sign_up_keeps_what_an_operator_chose() {
    let world = World::new();
    let attributes = serde_json::json!({ "plan": "pro" }).as_object().unwrap().clone();
    let account = NewAccount { email: ADA, password: Some(PASSWORD), attributes, ..NewAccount::default() };
    let before = world.auth.admin().create_user(account).await.unwrap();
    world.sign_up(ADA, OTHER_PASSWORD).await.unwrap();
    let after = world.user(ADA).await;
    assert_eq!((after.password_hash, after.attributes), (None, before.attributes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_sign_ups_for_one_address_one_makes_the_account() {
    for same_password in [true, false] {
        for _ in 0..20 {
            let world = World::new();
            world.faults.plan(|_, _| Some(Fault::Yield));
            let sign_up = |number: usize| {
                let auth = world.auth.clone();
                let password = if same_password { PASSWORD.to_owned() } else { format!("password no. {number}") };
                tokio::spawn(async move {
                    auth.request(&Client::default()).sign_up(request(ADA, &password)).await.map(|_| ())
                })
            };
            let tasks: Vec<_> = (0..20).map(sign_up).collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            let made = |event: &Event| matches!(event, Event::SignedUp { .. });
            assert_eq!(world.events.take().iter().filter(|event| made(event)).count(), 1);
            // Two different passwords were claimed: neither counts.
            assert_eq!(world.user(ADA).await.password_hash.is_some(), same_password);
        }
    }
}
