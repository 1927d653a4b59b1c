use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, PASSWORD, post};

scenarios![it_shuts_the_account_for_good, it_needs_the_password_and_a_confirmation];

async fn it_shuts_the_account_for_good(ground: Ground) {
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
