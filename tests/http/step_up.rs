//! Step-up: a proof that is as strong as the change that it guards.

use std::time::Duration;

use auth_system::auth_core::port::{Clock as _, UserKey};
use auth_system::auth_core::proof::Authenticated;
use auth_system::auth_core::types::{AuthMethods, Channel, Client, Email, TenantId};
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, PASSWORD, World, claims, post};

scenarios![
    a_password_alone_changes_neither_address_nor_backup_codes_of_an_account_with_two_factors,
    a_code_alone_confirms_a_session,
    a_password_alone_does_not_keep_two_factors,
    a_backup_code_confirms_nothing,
    a_session_that_was_vouched_for_is_fresh_for_a_while,
    a_code_in_a_session_that_was_vouched_for_proves_no_password,
    a_wrong_code_is_counted_wherever_it_is_sent,
];

async fn send(world: &World, path: &str, jar: &Jar, body: Value) -> Answer {
    world.send(post(path).jar(jar).json(body)).await
}

/// An account with two factors whose session began so long ago that it proves nothing.
async fn stale(world: &World) -> (Jar, Authenticator) {
    let (jar, authenticator) = Authenticator::enrolled(world, "ada@example.org").await;
    world.advance(Duration::from_secs(901));
    (world.refresh(&jar).await.jar(), authenticator)
}

fn address(more: &Value) -> Value {
    let mut body = json!({ "new_email": "new@example.org" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn a_password_alone_changes_neither_address_nor_backup_codes_of_an_account_with_two_factors(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = stale(&world).await;
    for more in [json!({}), json!({ "password": PASSWORD })] {
        send(&world, "change-email/", &jar, address(&more)).await.refused(403, "reauthentication_required");
    }
    let body = json!({ "password": PASSWORD });
    send(&world, "2fa/backup-codes/", &jar, body.clone()).await.refused(403, "reauthentication_required");
    assert_eq!(world.mails().await.len(), 0);
    let code = authenticator.code(&world);
    assert_eq!(send(&world, "change-email/", &jar, address(&json!({ "code": code }))).await.status, 200);
    world.advance(Duration::from_secs(30));
    let body = json!({ "password": PASSWORD, "code": authenticator.code(&world) });
    assert_eq!(send(&world, "2fa/backup-codes/", &jar, body).await.status, 200);
    // Without a second factor the password is enough.
    world.account("bob@example.org").await;
    let bob = world.session("bob@example.org").await;
    world.advance(Duration::from_secs(901));
    let bob = world.refresh(&bob).await.jar();
    send(&world, "change-email/", &bob, address(&json!({}))).await.refused(403, "reauthentication_required");
    assert_eq!(send(&world, "change-email/", &bob, address(&json!({ "password": PASSWORD }))).await.status, 200);
}

async fn a_code_alone_confirms_a_session(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = stale(&world).await;
    send(&world, "reauthenticate/", &jar, json!({})).await.refused(400, "invalid_fields");
    send(&world, "reauthenticate/", &jar, json!({ "code": "000000" })).await.refused(400, "invalid_code");
    let answer = send(&world, "reauthenticate/", &jar, json!({ "code": authenticator.code(&world) })).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Confirmed." })));
    let jar = answer.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["otp"]));
    assert_eq!(send(&world, "change-email/", &jar, address(&json!({}))).await.status, 200);
    world.advance(Duration::from_secs(901));
    let jar = world.refresh(&jar).await.jar();
    send(&world, "change-email/", &jar, address(&json!({}))).await.refused(403, "reauthentication_required");
}

async fn a_password_alone_does_not_keep_two_factors(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = stale(&world).await;
    assert_eq!(claims(jar.access())["amr"], json!(["pwd", "otp", "mfa"]), "a refresh changes nothing");
    let jar = send(&world, "reauthenticate/", &jar, json!({ "password": PASSWORD })).await.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["pwd"]));
    send(&world, "change-email/", &jar, address(&json!({}))).await.refused(403, "reauthentication_required");
    let body = json!({ "password": PASSWORD, "code": authenticator.code(&world) });
    let jar = send(&world, "reauthenticate/", &jar, body).await.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(send(&world, "change-email/", &jar, address(&json!({}))).await.status, 200);
    // A new password keeps a second factor that was shown a short while ago, and no other.
    let jar = world.change_password(&jar, PASSWORD, "another password").await.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["pwd", "otp", "mfa"]));
    world.advance(Duration::from_secs(901));
    let jar = world.refresh(&jar).await.jar();
    let jar = world.change_password(&jar, "another password", PASSWORD).await.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["pwd"]));
}

async fn a_backup_code_confirms_nothing(ground: Ground) {
    let world = ground.world().await;
    let (_, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    let token = world.log_in("ada@example.org", PASSWORD).await.json()["session_token"].clone();
    let body = json!({ "session_token": token, "code": authenticator.backup_codes[0] });
    let jar = world.send(post("2fa/verify-login/").json(body)).await.jar();
    assert_eq!(world.me(&jar).await.status, 200);
    send(&world, "change-email/", &jar, address(&json!({}))).await.refused(403, "reauthentication_required");
    let body = json!({ "code": authenticator.backup_codes[1] });
    send(&world, "reauthenticate/", &jar, body).await.refused(400, "invalid_fields");
}

/// A session that the application vouches for.
async fn vouched(world: &World) -> Jar {
    world.account("ada@example.org").await;
    let system = world.auth.system();
    let email = Email::parse("ada@example.org").unwrap();
    let user = system.ports().users.find(&TenantId::default(), UserKey::Email(&email)).await.unwrap().unwrap();
    let proof = Authenticated::dangerously_vouched_for(&user, AuthMethods::default(), world.clock.now()).unwrap();
    let tokens = system.request(&Client::default()).issue_session(Channel::Cookie, proof).await.unwrap();
    Jar::of(world.access_cookie(), tokens.access.token.expose())
}

async fn a_session_that_was_vouched_for_is_fresh_for_a_while(ground: Ground) {
    let world = ground.world().await;
    let jar = vouched(&world).await;
    assert_eq!(send(&world, "change-email/", &jar, address(&json!({}))).await.status, 200);
    world.advance(Duration::from_secs(890));
    assert_eq!(send(&world, "change-email/", &jar, address(&json!({}))).await.status, 200);
    let answer = send(&world, "reauthenticate/", &jar, json!({ "password": PASSWORD })).await;
    assert_eq!(claims(answer.jar().access())["amr"], json!(["pwd"]));
}

async fn a_code_in_a_session_that_was_vouched_for_proves_no_password(ground: Ground) {
    let world = ground.world().await;
    let jar = vouched(&world).await;
    let authenticator = Authenticator::set_up(&world, &jar).await;
    let answer = send(&world, "2fa/enable/", &jar, json!({ "code": authenticator.code(&world) })).await;
    assert_eq!(claims(answer.jar().access())["amr"], json!(["otp"]));
}

async fn a_wrong_code_is_counted_wherever_it_is_sent(ground: Ground) {
    let limited = |config: &mut auth_system::Config| {
        config.policy.timed_limits = true;
        config.throttles.off("two_factor");
    };
    let world = ground.world_with(limited).await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    send(&world, "reauthenticate/", &jar, json!({ "code": "000000" })).await.refused(400, "invalid_code");
    send(&world, "change-email/", &jar, address(&json!({ "code": "000000" }))).await.refused(400, "invalid_code");
    let body = json!({ "password": PASSWORD, "code": "000000" });
    send(&world, "2fa/backup-codes/", &jar, body.clone()).await.refused(400, "invalid_code");
    send(&world, "2fa/disable/", &jar, body).await.refused(400, "invalid_code");
    send(&world, "reauthenticate/", &jar, json!({ "code": "000000" })).await.refused(400, "invalid_code");
    world.advance(Duration::from_secs(30));
    let body = json!({ "code": authenticator.code(&world) });
    send(&world, "reauthenticate/", &jar, body).await.refused(429, "throttled");
}
