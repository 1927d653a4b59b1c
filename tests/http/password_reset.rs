use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, PASSWORD, post};

scenarios![
    a_reset_ends_every_session_and_every_link,
    a_reset_proves_the_mailbox,
    asking_answers_the_same_for_every_address,
    refusals_come_in_the_contracts_order,
];

async fn a_reset_ends_every_session_and_every_link(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let ask = post("password-reset/").json(json!({ "email": "ADA@example.org" }));
    world.send(ask.clone()).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    world.send(ask).await;
    let other = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.me(&jar).await.status, 200, "asking changes nothing");

    let answer = world.send(link.set_password("another password")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "detail": "Password has been reset successfully." }))
    );
    let jar = answer.jar();
    assert_eq!(jar, jar.only("known_device"), "a reset does not log in");
    world.me(&jar).await.refused(401, "not_authenticated");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    world.send(other.set_password("yet another one")).await.refused(400, "link_invalid");
    world.send(link.set_password("yet another one")).await.refused(400, "link_invalid");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    assert_eq!(world.log_in("ada@example.org", "another password").await.status, 200);
}

async fn a_reset_proves_the_mailbox(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let verify = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    world.send(verify.set_password("another password")).await.refused(400, "link_invalid");
    world.send(link.verify()).await.refused(400, "link_invalid");
    world.advance(Duration::from_secs(3599));
    assert_eq!(world.send(link.set_password("another password")).await.status, 200);
    world.send(verify.verify()).await.refused(400, "link_invalid");
    assert_eq!(world.log_in("ada@example.org", "another password").await.status, 200);
}

async fn asking_answers_the_same_for_every_address(ground: Ground) {
    let world = ground.world().await;
    world.account("known@example.org").await;
    let ask = async |email: &str| world.send(post("password-reset/").json(json!({ "email": email }))).await;
    let (known, unknown) = (ask("known@example.org").await, ask("unknown@example.org").await);
    assert_eq!((known.status, &known.headers, &known.body), (unknown.status, &unknown.headers, &unknown.body));
    let detail = "If an account with that email exists, we have sent a password reset link.";
    assert_eq!((known.status.as_u16(), known.json()), (200, json!({ "detail": detail })));
    let mails = world.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["known@example.org"]);
}

async fn refusals_come_in_the_contracts_order(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    let send = async |uid: &str, token: &str, password: &str, confirm: &str| {
        let body = json!({ "uid": uid, "token": token, "password": password, "confirm_password": confirm });
        world.send(post("password-reset-confirm/").json(body)).await
    };
    let missing = send("", &link.token, "1234", "x").await;
    assert_eq!(missing.json(), json!({ "error": "Missing uid or token.", "code": "link_incomplete" }));
    assert_eq!(send(&link.uid, "wrong", "1234567", "x").await.status, 400);
    assert!(send(&link.uid, "wrong", "1234567", "x").await.json()["password"].is_array());
    let differ = send(&link.uid, "wrong", "long enough", "x").await;
    assert_eq!(differ.json(), json!({ "detail": "Passwords do not match.", "code": "password_mismatch" }));
    let wrong = send(&link.uid, "wrong", "long enough", "long enough").await;
    assert_eq!(wrong.json(), json!({ "error": "Invalid or expired token.", "code": "link_invalid" }));
    world.advance(Duration::from_secs(3600));
    let late = send(&link.uid, &link.token, "long enough", "long enough").await;
    assert_eq!(late.json()["code"], "link_invalid");
}
