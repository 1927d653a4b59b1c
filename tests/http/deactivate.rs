use std::time::Duration;

use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::types::Email;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, PASSWORD, World, post};

scenarios![
    it_closes_the_account_and_tells_the_owner,
    a_reset_reopens_it_with_its_second_factor,
    a_sign_up_mails_the_way_back,
    the_link_of_the_notice_takes_it_back,
    a_closed_account_is_purged_and_its_address_is_free,
    a_reset_of_a_disabled_account_answers_as_for_an_unknown_one_and_leads_nowhere,
    it_needs_the_password_and_a_confirmation,
];

async fn close(world: &World, jar: &Jar) {
    let body = json!({ "password": PASSWORD, "confirm_deactivation": true });
    assert_eq!(world.send(post("deactivate-account/").jar(jar).json(body)).await.status, 200);
}

async fn ask_reset(world: &World, email: &str) -> Answer {
    world.send(post("password-reset/").json(json!({ "email": email }))).await
}

async fn it_closes_the_account_and_tells_the_owner(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (mine, other) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let body = json!({ "password": PASSWORD, "confirm_deactivation": true });
    let answer = world.send(post("deactivate-account/").jar(&mine).json(body)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Account deactivated." })));
    assert!(answer.set_cookies().iter().all(|cookie| cookie.contains("Max-Age=0")), "{:?}", answer.set_cookies());
    for jar in [&mine, &other] {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert_eq!(mails, [("ada@example.org".to_owned(), MailPurpose::Deactivated)]);
}

async fn a_reset_reopens_it_with_its_second_factor(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    close(&world, &jar).await;
    world.mails().await;
    world.advance(Duration::from_secs(29 * 24 * 60 * 60));
    assert_eq!(ask_reset(&world, "ada@example.org").await.status, 200);
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.set_password("a fresh password")).await.status, 200);
    let answer = world.log_in("ada@example.org", "a fresh password").await.json();
    assert_eq!(answer["requires_2fa"], true, "the second factor is still asked for");
    let body = json!({ "session_token": answer["session_token"], "code": authenticator.code(&world) });
    assert_eq!(world.send(post("2fa/verify-login/").json(body)).await.status, 200);
}

async fn a_sign_up_mails_the_way_back(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    close(&world, &world.session("ada@example.org").await).await;
    world.mails().await;
    let known = world.sign_up("ada@example.org", "another password").await;
    let link = world.link("ada@example.org", MailPurpose::AccountDeactivated).await;
    let unknown = world.sign_up("bob@example.org", "another password").await;
    assert_eq!((known.status, &known.headers, &known.body), (unknown.status, &unknown.headers, &unknown.body));
    world.log_in("ada@example.org", "another password").await.refused(401, "invalid_credentials");
    assert_eq!(world.send(link.set_password("another password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "another password").await.status, 200);
}

async fn the_link_of_the_notice_takes_it_back(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    close(&world, &world.session("ada@example.org").await).await;
    let notice = world.link("ada@example.org", MailPurpose::Deactivated).await;
    assert_eq!(world.send(notice.not_me()).await.status, 200);
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a fresh password").await.status, 200);
}

async fn a_closed_account_is_purged_and_its_address_is_free(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    close(&world, &world.session("ada@example.org").await).await;
    world.mails().await;
    let day = Duration::from_secs(24 * 60 * 60);
    world.advance(day * 30 - Duration::from_secs(1));
    let system = world.auth.system();
    assert_eq!(system.purge_deactivated_accounts().await.unwrap(), 0);
    world.advance(Duration::from_secs(1));
    assert_eq!(system.purge_deactivated_accounts().await.unwrap(), 1);
    assert_eq!(ask_reset(&world, "ada@example.org").await.status, 200);
    assert_eq!(world.mails().await, []);
    world.account("ada@example.org").await;
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn a_reset_of_a_disabled_account_answers_as_for_an_unknown_one_and_leads_nowhere(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let email = Email::parse("ada@example.org").unwrap();
    let user = world.auth.admin().find(UserKey::Email(&email)).await.unwrap().unwrap();
    world.auth.admin().disable(&user.id).await.unwrap();
    let (known, unknown) = (ask_reset(&world, "ada@example.org").await, ask_reset(&world, "bob@example.org").await);
    assert_eq!((known.status, &known.headers, &known.body), (unknown.status, &unknown.headers, &unknown.body));
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.purpose, mail.link)).collect();
    assert_eq!(mails, [(MailPurpose::AccountDisabled, None)]);
}

async fn it_needs_the_password_and_a_confirmation(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let send = async |body| world.send(post("deactivate-account/").jar(&jar).json(body)).await;
    let missing = send(json!({ "password": PASSWORD })).await;
    assert_eq!(missing.refused(400, "invalid_fields").field("confirm_deactivation"), ["required"]);
    for not_true in [json!(false), json!("yes"), json!(1), json!(null), json!([true])] {
        let answer = send(json!({ "password": PASSWORD, "confirm_deactivation": not_true })).await;
        assert_eq!(answer.refused(400, "invalid_fields").field("confirm_deactivation"), ["not_confirmed"]);
    }
    let wrong = send(json!({ "password": "a wrong password", "confirm_deactivation": true })).await;
    assert_eq!(wrong.refused(400, "wrong_password").field("password"), ["wrong_password"]);
    assert_eq!(world.me(&jar).await.status, 200);
    let form = format!("password={}&confirm_deactivation=true", PASSWORD.replace(' ', "+"));
    let form = post("deactivate-account/").jar(&jar).body("application/x-www-form-urlencoded", form);
    assert_eq!(world.send(form).await.status, 200);
}
