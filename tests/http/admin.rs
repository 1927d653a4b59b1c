//! The operator's verbs, seen from outside.

use std::time::Duration;

use auth_system::auth_core::Error;
use auth_system::auth_core::Reason;
use auth_system::auth_core::operator::{Admin, NewAccount};
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
    an_unverified_account_is_not_the_superusers,
    a_verified_account_becomes_the_superusers_and_keeps_its_password,
    a_superuser_who_moved_is_not_made_again,
    the_last_superuser_stays_one,
    an_operator_moves_an_account_and_both_addresses_are_told,
    an_operator_unlocks_an_account,
    all_sessions_of_all_accounts_end,
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
    // Another address in the configuration makes no second one.
    world.account("ada@example.org").await;
    let other = Superuser { email: "ada@example.org".into(), password: password() };
    let restarted = world.restarted(|config| config.superuser = Some(other)).await;
    for _ in 0..2 {
        restarted.auth.ensure_superuser().await.unwrap();
        let events = restarted.events.take();
        assert!(matches!(events[..], [Event::SuperuserPasswordUnused { .. }]), "{events:?}");
    }
    assert!(!user(&world, "ada@example.org").await.is_superuser());
    let none = world.restarted(|_| {}).await;
    none.auth.ensure_superuser().await.unwrap();
}

const ROOT: &str = "root@example.org";
const CONFIGURED: &str = "a password of its own";

fn with_superuser(config: &mut auth_system::Config) {
    config.superuser = Some(Superuser { email: ROOT.into(), password: Secret::new(CONFIGURED) });
}

async fn an_unverified_account_is_not_the_superusers(ground: Ground) {
    let world = ground.world_with(with_superuser).await;
    let body = json!({ "email": ROOT, "password": "the squatter's one", "first_name": "Eve" });
    assert_eq!(world.send(post("signup/").json(body)).await.status, 201);
    let squatters = world.link(ROOT, MailPurpose::VerifyEmail).await;
    world.auth.ensure_superuser().await.unwrap();
    world.log_in(ROOT, "the squatter's one").await.refused(401, "invalid_credentials");
    world.send(squatters.verify()).await.refused(400, "link_invalid");
    let jar = world.log_in(ROOT, CONFIGURED).await.jar();
    assert_eq!(world.me(&jar).await.json()["attributes"], json!({ "is_superuser": true }));
}

async fn a_verified_account_becomes_the_superusers_and_keeps_its_password(ground: Ground) {
    let world = ground.world_with(with_superuser).await;
    world.account(ROOT).await;
    world.auth.ensure_superuser().await.unwrap();
    let unused = |event: &Event| matches!(event, Event::SuperuserPasswordUnused { .. });
    assert!(world.events.take().iter().any(unused));
    assert!(user(&world, ROOT).await.is_superuser());
    assert_eq!(world.log_in(ROOT, PASSWORD).await.status, 200);
    world.log_in(ROOT, CONFIGURED).await.refused(401, "invalid_credentials");
}

async fn a_superuser_who_moved_is_not_made_again(ground: Ground) {
    let world = ground.world_with(with_superuser).await;
    world.auth.ensure_superuser().await.unwrap();
    let root = user(&world, ROOT).await;
    admin(&world).set_email(&root.id, "ada@example.org").await.unwrap();
    // A stranger signs the freed address up.
    assert_eq!(world.sign_up(ROOT, "the squatter's one").await.status, 201);
    let restarted = world.restarted(with_superuser).await;
    restarted.auth.ensure_superuser().await.unwrap();
    assert!(!user(&world, ROOT).await.is_superuser());
    world.log_in(ROOT, CONFIGURED).await.refused(401, "invalid_credentials");
    assert_eq!(world.log_in("ada@example.org", CONFIGURED).await.status, 200);
}

async fn the_last_superuser_stays_one(ground: Ground) {
    let world = ground.world_with(with_superuser).await;
    world.auth.ensure_superuser().await.unwrap();
    let root = user(&world, ROOT).await.id;
    let last = |error: Error| assert_eq!(error.reason(), Reason::LastSuperuser);
    last(admin(&world).revoke_superuser(&root).await.unwrap_err());
    let other = NewAccount { email: "ada@example.org", verified: true, superuser: true, ..NewAccount::default() };
    let other = admin(&world).create_user(other).await.unwrap().id;
    let jar = world.log_in(ROOT, CONFIGURED).await.jar();
    admin(&world).revoke_superuser(&root).await.unwrap();
    world.me(&jar).await.refused(401, "not_authenticated");
    assert!(!user(&world, ROOT).await.is_superuser());
    last(admin(&world).revoke_superuser(&other).await.unwrap_err());
}

async fn an_operator_moves_an_account_and_both_addresses_are_told(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.sign_up("new@example.org", "the squatter's one").await;
    world.mails().await;
    let id = user(&world, "ada@example.org").await.id;
    admin(&world).set_email(&id, "new@example.org").await.unwrap();
    world.me(&jar).await.refused(401, "not_authenticated");
    let mut told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose, mail.link)).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let (old, new) = ("ada@example.org".to_owned(), "new@example.org".to_owned());
    assert_eq!(told, [(old, MailPurpose::EmailSet, None), (new, MailPurpose::EmailConfirmed, None)]);
    assert_eq!(world.log_in("new@example.org", PASSWORD).await.status, 200);
    world.log_in("new@example.org", "the squatter's one").await.refused(401, "invalid_credentials");
}

async fn an_operator_unlocks_an_account(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.policy.max_consecutive_failures = 10;
            config.throttles.set("login", auth_system::auth_core::types::Limit::new(1000, Duration::from_secs(60)));
        })
        .await;
    world.account("ada@example.org").await;
    for _ in 0..10 {
        world.log_in("ada@example.org", "a wrong password").await.refused(401, "invalid_credentials");
    }
    world.log_in("ada@example.org", PASSWORD).await.refused(429, "throttled");
    world.advance(Duration::from_secs(600));
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    for _ in 0..9 {
        world.log_in("ada@example.org", PASSWORD).await;
    }
    world.log_in("ada@example.org", PASSWORD).await.refused(429, "throttled");
    let id = user(&world, "ada@example.org").await.id;
    admin(&world).unlock(&id).await.unwrap();
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn all_sessions_of_all_accounts_end(ground: Ground) {
    let world = ground.world().await;
    let mut jars = Vec::new();
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
        jars.push(world.session(email).await);
    }
    assert_eq!(admin(&world).end_all_sessions().await.unwrap(), 2);
    for jar in &jars {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
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
    admin(&world).set_email(&id, "new@example.org").await.unwrap();
    admin(&world).unlock(&id).await.unwrap();
    admin(&world).end_all_sessions().await.unwrap();
    admin(&world).delete(&id).await.unwrap();
    let expected = [
        AdminAction::CreatedUser,
        AdminAction::MadeSuperuser,
        AdminAction::Disabled,
        AdminAction::Enabled,
        AdminAction::EndedSessions,
        AdminAction::StartedReset,
        AdminAction::SetEmail,
        AdminAction::Unlocked,
        // Of each account that had one, then of all.
        AdminAction::EndedSessions,
        AdminAction::EndedAllSessions,
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
