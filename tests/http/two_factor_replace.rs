//! Replacing an authenticator, and taking back what changed the second factors of an account.

use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::types::{Email, TenantId, UserId, UserStatus};
use serde_json::{Value, json};

use crate::races::at_once;
use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, PASSWORD, World, post};

scenarios![
    an_owner_replaces_the_authenticator_with_a_code_of_the_old_one,
    an_owner_who_lost_the_authenticator_replaces_it_with_password_and_backup_code,
    an_owner_whose_authenticator_was_burnt_replaces_it,
    a_thief_with_a_session_cannot_replace_the_authenticator,
    a_wrong_code_of_the_new_authenticator_costs_no_backup_code,
    codes_of_a_new_authenticator_do_not_forgive_guesses_at_the_old_one,
    twenty_replacements_with_one_code_replace_once,
    taking_back_a_replacement_puts_the_old_authenticator_on_again,
    the_mailbox_alone_never_leads_past_an_authenticator_that_was_on,
    a_factor_that_was_off_before_the_change_stays_off,
    a_lost_credential_shuts_the_account_instead_of_opening_it,
    factors_that_no_link_can_bring_back_are_forgotten,
];

const FRESH: &str = "a fresh password";

/// Sets up an authenticator that is to replace the one that is on.
async fn set_up(world: &World, jar: &Jar) -> Authenticator {
    let answer = world.send(post("2fa/setup/").jar(jar).json(json!({ "replace": true }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Authenticator { secret: answer.json()["secret"].as_str().unwrap().to_owned(), backup_codes: Vec::new() }
}

async fn replace(world: &World, jar: &Jar, body: Value) -> Answer {
    world.send(post("2fa/replace/").jar(jar).json(body)).await
}

/// A login up to its second step with this code.
async fn log_in(world: &World, password: &str, code: &str) -> Answer {
    let token = world.log_in("ada@example.org", password).await.json()["session_token"].clone();
    world.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
}

/// Uses the link of the one notice of this kind, and the link that sets a password.
async fn take_back(world: &World, purpose: MailPurpose) {
    let link = world.link("ada@example.org", purpose).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password(FRESH)).await.status, 200);
    world.mails().await;
}

fn step(world: &World) {
    world.advance(Duration::from_secs(60));
}

async fn an_owner_replaces_the_authenticator_with_a_code_of_the_old_one(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let new = set_up(&world, &jar).await;
    step(&world);
    let body = json!({ "code": new.code(&world), "current_code": old.code(&world) });
    let answer = replace(&world, &jar, body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Authenticator replaced." })));
    world.me(&jar).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&answer.jar()).await.status, 200);
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
    assert_eq!(mails, [MailPurpose::TwoFactorReplaced]);
    step(&world);
    log_in(&world, PASSWORD, &old.code(&world)).await.refused(400, "invalid_code");
    assert_eq!(log_in(&world, PASSWORD, &new.code(&world)).await.status, 200);
    assert_eq!(log_in(&world, PASSWORD, &old.backup_codes[0]).await.status, 200, "backup codes stay");
}

async fn an_owner_who_lost_the_authenticator_replaces_it_with_password_and_backup_code(ground: Ground) {
    let world = ground.world().await;
    let (_, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let jar = log_in(&world, PASSWORD, &old.backup_codes[0]).await.jar();
    let new = set_up(&world, &jar).await;
    let body = |backup: &str| json!({ "code": new.code(&world), "password": PASSWORD, "backup_code": backup });
    replace(&world, &jar, body(&old.backup_codes[0])).await.refused(400, "invalid_code");
    let answer = replace(&world, &jar, body(&old.backup_codes[1])).await;
    assert_eq!(answer.json(), json!({ "detail": "Authenticator replaced.", "backup_codes_remaining": 8 }));
    step(&world);
    assert_eq!(log_in(&world, PASSWORD, &new.code(&world)).await.status, 200);
}

async fn an_owner_whose_authenticator_was_burnt_replaces_it(ground: Ground) {
    let world = ground.world_with(|config| config.policy.max_consecutive_failures = 10).await;
    let (_, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    for _ in 0..10 {
        log_in(&world, PASSWORD, "000000").await.refused(400, "invalid_code");
    }
    step(&world);
    log_in(&world, PASSWORD, &old.code(&world)).await.refused(400, "invalid_code");
    let jar = log_in(&world, PASSWORD, &old.backup_codes[0]).await.jar();
    let new = set_up(&world, &jar).await;
    let body = json!({ "code": new.code(&world), "password": PASSWORD, "backup_code": old.backup_codes[1] });
    assert_eq!(replace(&world, &jar, body).await.status, 200);
    step(&world);
    assert_eq!(log_in(&world, PASSWORD, &new.code(&world)).await.status, 200);
}

async fn a_thief_with_a_session_cannot_replace_the_authenticator(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let new = set_up(&world, &jar).await;
    step(&world);
    let code = new.code(&world);
    replace(&world, &jar, json!({ "code": code })).await.refused(400, "invalid_fields");
    replace(&world, &jar, json!({ "code": code, "password": PASSWORD })).await.refused(400, "invalid_fields");
    replace(&world, &jar, json!({ "code": code, "current_code": "000000" })).await.refused(400, "invalid_code");
    replace(&world, &jar, json!({ "code": code, "current_code": code })).await.refused(400, "invalid_code");
    let wrong = json!({ "code": code, "password": "not the password", "backup_code": old.backup_codes[0] });
    replace(&world, &jar, wrong).await.refused(400, "wrong_password");
    // Another session's set-up is none.
    step(&world);
    let other = log_in(&world, PASSWORD, &old.code(&world)).await.jar();
    step(&world);
    let body = json!({ "code": new.code(&world), "current_code": old.code(&world) });
    replace(&world, &other, body).await.refused(400, "two_factor_not_set_up");
    // Without one that is on there is none to replace.
    world.account("bob@example.org").await;
    let bob = world.session("bob@example.org").await;
    let answer = world.send(post("2fa/setup/").jar(&bob).json(json!({ "replace": true }))).await;
    answer.refused(400, "two_factor_disabled");
    replace(&world, &bob, json!({ "code": "123456", "current_code": "123456" }))
        .await
        .refused(400, "two_factor_disabled");
}

async fn a_wrong_code_of_the_new_authenticator_costs_no_backup_code(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let new = set_up(&world, &jar).await;
    let body = |code: &str| json!({ "code": code, "password": PASSWORD, "backup_code": old.backup_codes[0] });
    replace(&world, &jar, body("000000")).await.refused(400, "invalid_code");
    assert_eq!(replace(&world, &jar, body(&new.code(&world))).await.json()["backup_codes_remaining"], 9);
}

async fn codes_of_a_new_authenticator_do_not_forgive_guesses_at_the_old_one(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.throttles.off("two_factor");
        })
        .await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let new = set_up(&world, &jar).await;
    for _ in 0..5 {
        let body = json!({ "code": new.code(&world), "current_code": "000000" });
        replace(&world, &jar, body).await.refused(400, "invalid_code");
    }
    step(&world);
    let body = json!({ "code": new.code(&world), "current_code": old.code(&world) });
    replace(&world, &jar, body).await.refused(429, "throttled");
}

async fn twenty_replacements_with_one_code_replace_once(ground: Ground) {
    let world = Arc::new(ground.world().await);
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let new = set_up(&world, &jar).await;
    step(&world);
    let body = json!({ "code": new.code(&world), "current_code": old.code(&world) });
    let call = post("2fa/replace/").jar(&jar).json(body);
    let all: Vec<_> = at_once(&world, vec![call; 20]).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    assert!(all.iter().all(|status| [200, 400, 401].contains(status)), "{all:?}");
    step(&world);
    assert_eq!(log_in(&world, PASSWORD, &new.code(&world)).await.status, 200);
}

async fn taking_back_a_replacement_puts_the_old_authenticator_on_again(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let thiefs = set_up(&world, &jar).await;
    step(&world);
    let body = json!({ "code": thiefs.code(&world), "current_code": old.code(&world) });
    let thief = replace(&world, &jar, body).await.jar();
    take_back(&world, MailPurpose::TwoFactorReplaced).await;
    world.me(&thief).await.refused(401, "not_authenticated");
    step(&world);
    log_in(&world, FRESH, &thiefs.code(&world)).await.refused(400, "invalid_code");
    assert_eq!(log_in(&world, FRESH, &old.code(&world)).await.status, 200);
}

/// A reader of the mailbox has the notices of three days and can reset the password; the account had an authenticator all
/// the time, though not the same one.
async fn the_mailbox_alone_never_leads_past_an_authenticator_that_was_on(ground: Ground) {
    for notice in [MailPurpose::PasswordChanged, MailPurpose::TwoFactorDisabled] {
        let world = ground.world().await;
        let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
        let jar = world.change_password(&jar, PASSWORD, FRESH).await.jar();
        step(&world);
        let body = json!({ "password": FRESH, "code": old.code(&world) });
        let jar = world.send(post("2fa/disable/").jar(&jar).json(body)).await.jar();
        let mails = world.mails().await;
        let link = mails.iter().find(|mail| mail.purpose == notice).map(crate::world::Link::of).unwrap();
        let new = Authenticator::set_up(&world, &jar).await;
        let answer = world.send(post("2fa/enable/").jar(&jar).json(json!({ "code": new.code(&world) }))).await;
        assert_eq!(answer.status, 200);
        world.mails().await;
        assert_eq!(world.send(link.not_me()).await.status, 200);
        let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        assert_eq!(world.send(reset.set_password("a third password")).await.status, 200);
        let login = world.log_in("ada@example.org", "a third password").await;
        assert_eq!(login.json()["requires_2fa"], true, "{notice:?}: {login:?}");
        step(&world);
        assert_eq!(log_in(&world, "a third password", &old.code(&world)).await.status, 200, "{notice:?}");
    }
}

/// A taking-back brings a factor back, and its owner takes it off again. The next taking-back leaves it off.
async fn a_factor_that_was_off_before_the_change_stays_off(ground: Ground) {
    let world = ground.world().await;
    let (mut jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    for password in [PASSWORD, FRESH] {
        step(&world);
        let body = json!({ "password": password, "code": authenticator.code(&world) });
        let answer = world.send(post("2fa/disable/").jar(&jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        jar = answer.jar();
        if password == PASSWORD {
            take_back(&world, MailPurpose::TwoFactorDisabled).await;
            step(&world);
            jar = log_in(&world, FRESH, &authenticator.code(&world)).await.jar();
        }
    }
    world.mails().await;
    assert_eq!(world.change_password(&jar, FRESH, "a third password").await.status, 200);
    take_back(&world, MailPurpose::PasswordChanged).await;
    let login = world.log_in("ada@example.org", FRESH).await;
    assert_eq!((login.status.as_u16(), login.jar().has_access()), (200, true), "{login:?}");
}

/// Turns two-factor login off and returns how many credentials the account has left.
async fn turned_off(world: &World, jar: &Jar, authenticator: &Authenticator) -> (Jar, usize) {
    step(world);
    let body = json!({ "password": PASSWORD, "code": authenticator.code(world) });
    let answer = world.send(post("2fa/disable/").jar(jar).json(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = world.me(&answer.jar()).await.json()["id"].as_str().unwrap().to_owned();
    let id = UserId::parse(&id).unwrap();
    let left = world.auth.system().ports().credentials.of_user(&TenantId::default(), &id).await.unwrap();
    (answer.jar(), left.len())
}

async fn factors_that_no_link_can_bring_back_are_forgotten(ground: Ground) {
    let world = ground.world().await;
    let (jar, first) = Authenticator::enrolled(&world, "ada@example.org").await;
    let (_, left) = turned_off(&world, &jar, &first).await;
    assert_eq!(left, 3, "an authenticator, its backup codes, and the record of them");
    world.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let system = world.auth.system();
    assert_eq!(system.purge_retired_factors().await.unwrap(), 1);
    assert_eq!(system.purge_retired_factors().await.unwrap(), 0);
    let id = world.me(&world.session("ada@example.org").await).await.json()["id"].as_str().unwrap().to_owned();
    let id = UserId::parse(&id).unwrap();
    assert_eq!(system.ports().credentials.of_user(&TenantId::default(), &id).await.unwrap(), []);
    let jar = world.session("ada@example.org").await;
    let second = Authenticator::set_up(&world, &jar).await;
    let answer = world.send(post("2fa/enable/").jar(&jar).json(json!({ "code": second.code(&world) }))).await;
    let (_, left) = turned_off(&world, &answer.jar(), &second).await;
    assert_eq!(left, 3, "the second ones and their record");
}

async fn a_lost_credential_shuts_the_account_instead_of_opening_it(ground: Ground) {
    let world = ground.world().await;
    let (jar, old) = Authenticator::enrolled(&world, "ada@example.org").await;
    let ports = world.auth.system().ports().clone();
    let tenant = TenantId::default();
    let email = Email::parse("ada@example.org").unwrap();
    let user = ports.users.find(&tenant, UserKey::Email(&email)).await.unwrap().unwrap();
    step(&world);
    let body = json!({ "password": PASSWORD, "code": old.code(&world) });
    assert_eq!(world.send(post("2fa/disable/").jar(&jar).json(body)).await.status, 200);
    let link = world.link("ada@example.org", MailPurpose::TwoFactorDisabled).await;
    ports.credentials.remove(&tenant, user.factors[0].credential).await.unwrap();
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let user = ports.users.find(&tenant, UserKey::Email(&email)).await.unwrap().unwrap();
    assert_eq!(user.status, UserStatus::Disabled);
}
