use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose};
use auth_system::config::Profile;
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, Jar, PASSWORD, post};

scenarios![
    every_session_dies_and_the_caller_gets_a_new_one,
    every_link_dies,
    the_owner_is_told,
    a_wrong_old_password_changes_nothing,
    refusals_come_in_the_contracts_order,
    an_unacceptable_password_is_refused,
    guesses_are_limited_in_time_and_for_good,
    strangers_cannot_use_up_the_owners_attempts,
    passwords_are_never_trimmed,
];

const NEW: &str = "another password";

async fn every_session_dies_and_the_caller_gets_a_new_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (mine, other) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let answer = world.change_password(&mine, PASSWORD, NEW).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Password updated successfully." })));
    for jar in [&mine, &other] {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
    let new = answer.jar();
    assert_eq!(world.me(&new).await.status, 200);
    assert_eq!(world.refresh(&new).await.status, 200);
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    assert_eq!(world.log_in("ada@example.org", NEW).await.status, 200);
}

async fn every_link_dies(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    let change = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.change_password(&jar, PASSWORD, NEW).await.status, 200);
    world.send(reset.set_password("a third password")).await.refused(400, "link_invalid");
    world.send(change.change_email(&jar)).await.refused(400, "link_spent");
}

async fn the_owner_is_told(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.change_password(&jar, PASSWORD, NEW).await;
    let mails = world.mails().await;
    let told: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.purpose)).collect();
    assert_eq!(told, [("ada@example.org", MailPurpose::PasswordChanged)]);
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::PasswordChanged { .. })), "{events:?}");
    assert!(!format!("{events:?}").contains(NEW));
}

async fn a_wrong_old_password_changes_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let answer = world.change_password(&jar, "a wrong password", NEW).await;
    assert_eq!(answer.refused(400, "wrong_password").field("old_password"), ["wrong_password"]);
    assert!(world.mails().await.is_empty());
    assert_eq!(world.me(&jar).await.status, 200, "the session goes on");
    world.log_in("ada@example.org", NEW).await.refused(401, "invalid_credentials");
    world.change_password(&Jar::default(), PASSWORD, NEW).await.refused(401, "not_authenticated");
}

async fn refusals_come_in_the_contracts_order(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let send = async |old: &str, new: &str, confirm: &str| {
        let body = json!({ "old_password": old, "new_password": new, "confirm_password": confirm });
        world.send(post("change-password/").jar(&jar).json(body)).await
    };
    let weak = send("wrong", "1234567", "x").await;
    assert_eq!(weak.status, 400);
    assert!(weak.json()["new_password"].is_array(), "{weak:?}");
    let differ = send("wrong", NEW, "x").await;
    assert_eq!(differ.json(), json!({ "detail": "Passwords do not match.", "code": "password_mismatch" }));
    let wrong = send("wrong", NEW, NEW).await;
    assert_eq!(wrong.json(), json!({ "old_password": "Wrong password.", "code": "wrong_password" }));
    let body = json!({ "old_password": PASSWORD, "new_password": NEW });
    let missing = world.send(post("change-password/").jar(&jar).json(body)).await;
    assert_eq!(missing.json()["confirm_password"], json!(["This field is required."]));
    assert_eq!(send(PASSWORD, PASSWORD, PASSWORD).await.status, 200, "the same password is accepted");
}

async fn an_unacceptable_password_is_refused(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let short = world.change_password(&jar, PASSWORD, "short").await;
    assert_eq!(short.refused(400, "invalid_fields").field("new_password"), ["password_too_short"]);
    let body = json!({ "old_password": PASSWORD, "new_password": NEW, "confirm_password": "different" });
    let differ = world.send(post("change-password/").jar(&jar).json(body)).await;
    assert_eq!(differ.refused(400, "invalid_fields").field("confirm_password"), ["password_mismatch"]);
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn guesses_are_limited_in_time_and_for_good(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.policy.max_consecutive_failures = 10;
            config.throttles.off("change_password");
        })
        .await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for round in 0..2 {
        for _ in 0..10 {
            world.change_password(&jar, "a wrong password", NEW).await.refused(400, "wrong_password");
        }
        if round == 0 {
            world.change_password(&jar, PASSWORD, NEW).await.refused(429, "throttled");
            world.advance(Duration::from_secs(600));
        }
    }
    world.advance(Duration::from_secs(200));
    let jar = world.refresh(&jar).await.jar();
    world.advance(Duration::from_secs(400));
    // Twenty in a row: the password is off, the right one included, until it is reset.
    world.change_password(&jar, PASSWORD, NEW).await.refused(400, "wrong_password");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
}

async fn strangers_cannot_use_up_the_owners_attempts(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.policy.max_consecutive_failures = 10;
            config.throttles.off("login");
        })
        .await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for _ in 0..10 {
        world.log_in("ada@example.org", "a wrong password").await.refused(401, "invalid_credentials");
    }
    world.log_in("ada@example.org", PASSWORD).await.refused(429, "throttled");
    assert_eq!(world.change_password(&jar, PASSWORD, NEW).await.status, 200);
}

async fn passwords_are_never_trimmed(ground: Ground) {
    for profile in [Profile::Standard, Profile::Django] {
        let world = ground.world_with(|config| config.profile = profile).await;
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        let padded = format!(" {PASSWORD}");
        assert_eq!(world.change_password(&jar, &padded, NEW).await.status, 400);
        let jar = world.change_password(&jar, PASSWORD, &padded).await.jar();
        assert_eq!(world.me(&jar).await.status, 200);
        assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 401);
        assert_eq!(world.log_in("ada@example.org", &padded).await.status, 200);
    }
}
