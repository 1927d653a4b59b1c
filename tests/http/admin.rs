//! The operator's verbs, seen from outside.

use std::time::Duration;

use auth_system::auth_core::Error;
use auth_system::auth_core::Reason;
use auth_system::auth_core::flow::{Admin, NewAccount};
use auth_system::auth_core::port::{AdminAction, Event, MailPurpose, UserKey};
use auth_system::auth_core::types::{Email, TenantId, User, UserStatus};
use auth_system::config::{Secret, Superuser};
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, PASSWORD, World, post};

scenarios![
    an_account_that_is_made_can_log_in,
    an_account_keeps_the_rules_of_all_accounts,
    a_superuser_is_made_once,
    no_client_makes_itself_a_superuser,
    a_disabled_account_ends_at_once_and_opens_again,
    a_deleted_account_ends_at_once_and_its_row_goes_later,
    ended_sessions_are_all_dead,
    a_reset_is_mailed,
    pages_show_every_account,
    a_dead_mail_is_sent_after_all,
    each_change_names_its_actor,
    another_tenants_accounts_are_out_of_reach,
];

fn admin(world: &World) -> Admin<'_> {
    world.auth.admin().acting_as("grace")
}

async fn user(world: &World, email: &str) -> User {
    admin(world).find(UserKey::Email(&Email::parse(email).unwrap())).await.unwrap().unwrap()
}

fn actions(world: &World) -> Vec<AdminAction> {
    let action = |event| match event {
        Event::Administered { actor, action, .. } => {
            assert_eq!(&*actor, "grace");
            Some(action)
        }
        _ => None,
    };
    world.events.take().into_iter().filter_map(action).collect()
}

async fn an_account_that_is_made_can_log_in(ground: Ground) {
    let world = ground.world().await;
    let made =
        NewAccount { email: " Ada@Example.org", password: Some(PASSWORD), verified: true, ..NewAccount::default() };
    let made = admin(&world).create_user(made).await.unwrap();
    assert_eq!((made.email.as_str(), made.is_verified(), made.is_superuser()), ("ada@example.org", true, false));
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
    // Without a password, its owner sets one.
    let made = NewAccount { email: "bob@example.org", ..NewAccount::default() };
    let made = admin(&world).create_user(made).await.unwrap();
    world.log_in("bob@example.org", "").await;
    admin(&world).start_reset(&made.id).await.unwrap();
    let link = world.link("bob@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.set_password(PASSWORD)).await.status, 200);
    assert_eq!(world.log_in("bob@example.org", PASSWORD).await.status, 200);
}

async fn an_account_keeps_the_rules_of_all_accounts(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let make = async |email, password| {
        let made = NewAccount { email, password: Some(password), ..NewAccount::default() };
        let refused = admin(&world).create_user(made).await.unwrap_err();
        refused.fields().iter().map(|it| (it.field, it.reason.code())).collect::<Vec<_>>()
    };
    assert_eq!(make("no address", PASSWORD).await, [("email", "invalid_email")]);
    assert_eq!(make("ada@example.org", PASSWORD).await, [("email", "taken")]);
    assert_eq!(make("bob@example.org", "short").await, [("password", "password_too_short")]);
    assert_eq!(make("bob@example.org", "password1234").await, [("password", "password_too_common")]);
    assert_eq!(actions(&world), []);
}

async fn a_superuser_is_made_once(ground: Ground) {
    let password = || Secret::new("a password of its own");
    let superuser = || Superuser { email: "root@example.org".into(), password: password() };
    let world = ground.world_with(|config| config.superuser = Some(superuser())).await;
    for _ in 0..3 {
        world.auth.ensure_superuser().await.unwrap();
    }
    assert!(user(&world, "root@example.org").await.is_superuser());
    assert_eq!(world.log_in("root@example.org", "a password of its own").await.status, 200);
    // An account that is there is lifted, and keeps its password.
    world.account("ada@example.org").await;
    let other = Superuser { email: "ada@example.org".into(), password: password() };
    let restarted = world.restarted(|config| config.superuser = Some(other)).await;
    for _ in 0..2 {
        restarted.auth.ensure_superuser().await.unwrap();
    }
    assert!(user(&world, "ada@example.org").await.is_superuser());
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
    let none = world.restarted(|_| {}).await;
    none.auth.ensure_superuser().await.unwrap();
}

async fn no_client_makes_itself_a_superuser(ground: Ground) {
    let world = ground.world().await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD, "is_superuser": "true" });
    world.send(post("signup/").json(body)).await;
    assert!(!user(&world, "ada@example.org").await.is_superuser());
    let rule = auth_system::auth_core::policy::AttributeRule::new("is_superuser", 9);
    let policy = auth_system::auth_core::policy::Policy { attributes: vec![rule], ..Default::default() };
    assert_eq!(policy.check().unwrap_err().setting, "attributes");
}

async fn a_disabled_account_ends_at_once_and_opens_again(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let id = user(&world, "ada@example.org").await.id;
    for _ in 0..2 {
        assert_eq!(admin(&world).disable(&id).await.unwrap().status, UserStatus::Disabled);
    }
    world.me(&jar).await.refused(401, "not_authenticated");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    for _ in 0..2 {
        assert_eq!(admin(&world).enable(&id).await.unwrap().status, UserStatus::Active);
    }
    world.me(&jar).await.refused(401, "not_authenticated");
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
    assert_eq!(actions(&world), [AdminAction::Disabled, AdminAction::Enabled], "what changed nothing is no event");
}

async fn a_deleted_account_ends_at_once_and_its_row_goes_later(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let ada = user(&world, "ada@example.org").await;
    admin(&world).delete(&ada.id).await.unwrap();
    world.me(&jar).await.refused(401, "not_authenticated");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let gone = |error: Error| assert_eq!(error.reason(), Reason::UserNotFound);
    gone(admin(&world).enable(&ada.id).await.unwrap_err());
    gone(admin(&world).start_reset(&ada.id).await.unwrap_err());
    let system = world.auth.system();
    assert_eq!(system.purge_deleted_accounts().await.unwrap(), 0, "a token may still be alive");
    world.advance(Duration::from_secs(2 * 3600 + 70));
    assert_eq!(system.purge_deleted_accounts().await.unwrap(), 1);
    assert_eq!(admin(&world).find(UserKey::Id(&ada.id)).await.unwrap(), None);
    world.me(&jar).await.refused(401, "token_not_valid");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    world.account("ada@example.org").await;
}

async fn ended_sessions_are_all_dead(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jars = [world.session("ada@example.org").await, world.session("ada@example.org").await];
    let id = user(&world, "ada@example.org").await.id;
    admin(&world).end_sessions(&id).await.unwrap();
    for jar in &jars {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn a_reset_is_mailed(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let id = user(&world, "ada@example.org").await.id;
    admin(&world).start_reset(&id).await.unwrap();
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200, "asking changes nothing");
    assert_eq!(world.send(link.set_password("another password")).await.status, 200);
}

async fn pages_show_every_account(ground: Ground) {
    let world = ground.world().await;
    let mut emails: Vec<String> = (0..5).map(|number| format!("user{number}@example.org")).collect();
    for email in &emails {
        world.account(email).await;
    }
    let mut shown: Vec<User> = Vec::new();
    loop {
        let page = admin(&world).list(None, shown.last().map(|user| &user.id), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        shown.extend(page);
    }
    let mut found: Vec<_> = shown.iter().map(|user| user.email.as_str().to_owned()).collect();
    found.sort();
    emails.sort();
    assert_eq!(found, emails);
    admin(&world).disable(&shown[3].id).await.unwrap();
    let disabled = admin(&world).list(Some(UserStatus::Disabled), None, 9).await.unwrap();
    assert_eq!(disabled.iter().map(|user| user.id).collect::<Vec<_>>(), [shown[3].id]);
}

async fn a_dead_mail_is_sent_after_all(ground: Ground) {
    let world = ground.world_with(|config| config.policy.mail_attempts = 1).await;
    world.mailer.set_down(true);
    world.sign_up("ada@example.org", PASSWORD).await;
    assert!(world.mails().await.is_empty());
    let dead = admin(&world).dead_mails(9).await.unwrap();
    assert_eq!(dead.iter().map(|mail| mail.intent.purpose).collect::<Vec<_>>(), [MailPurpose::VerifyEmail]);
    world.mailer.set_down(false);
    assert!(admin(&world).requeue_mail(dead[0].id).await.unwrap());
    assert!(!admin(&world).requeue_mail(dead[0].id).await.unwrap());
    world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(admin(&world).dead_mails(9).await.unwrap(), []);
}

async fn each_change_names_its_actor(ground: Ground) {
    let world = ground.world().await;
    let made =
        NewAccount { email: "ada@example.org", password: Some(PASSWORD), verified: true, ..NewAccount::default() };
    let id = admin(&world).create_user(made).await.unwrap().id;
    admin(&world).ensure_superuser("ada@example.org", PASSWORD).await.unwrap();
    admin(&world).disable(&id).await.unwrap();
    admin(&world).enable(&id).await.unwrap();
    admin(&world).end_sessions(&id).await.unwrap();
    admin(&world).start_reset(&id).await.unwrap();
    admin(&world).reset_second_factors(&id).await.unwrap();
    admin(&world).delete(&id).await.unwrap();
    let expected = [
        AdminAction::CreatedUser,
        AdminAction::MadeSuperuser,
        AdminAction::Disabled,
        AdminAction::Enabled,
        AdminAction::EndedSessions,
        AdminAction::StartedReset,
        AdminAction::Deleted,
    ];
    assert_eq!(actions(&world), expected);
}

async fn another_tenants_accounts_are_out_of_reach(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let ada = user(&world, "ada@example.org").await;
    let other = admin(&world).in_tenant(TenantId::parse("other").unwrap());
    assert_eq!(other.find(UserKey::Id(&ada.id)).await.unwrap(), None);
    assert_eq!(other.list(None, None, 9).await.unwrap(), []);
    for refused in [other.disable(&ada.id).await, other.delete(&ada.id).await, other.end_sessions(&ada.id).await] {
        assert_eq!(refused.unwrap_err().reason(), Reason::UserNotFound);
    }
    assert_eq!(user(&world, "ada@example.org").await, ada);
}
