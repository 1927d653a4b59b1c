use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{ACCESS, Answer, Ground, Jar, World, call, get};

scenarios![
    it_shows_the_account,
    it_says_why_a_token_is_refused,
    django_speaks_of_tokens_in_its_own_shape,
    the_applications_fields_can_be_changed,
    nothing_else_can_be_changed,
    a_change_that_is_refused_changes_nothing,
];

async fn it_shows_the_account(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let me = world.me(&world.session("ada@example.org").await).await;
    assert_eq!(me.status, 200);
    let mut body = me.json();
    let id = body["id"].take();
    assert_eq!(id.as_str().unwrap().len(), 36);
    let expected = json!({
        "id": null,
        "email": "ada@example.org",
        "username": null,
        "email_verified": true,
        "created_at": "2026-01-01T00:00:00Z",
        "last_login_at": "2026-01-01T00:00:00Z",
        "attributes": {},
    });
    assert_eq!(body, expected);
}

async fn it_says_why_a_token_is_refused(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let missing = world.me(&Jar::default()).await;
    missing.refused(401, "not_authenticated");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"api\"");
    world.me(&Jar::of(ACCESS, "nonsense")).await.refused(401, "token_not_valid");
    world.me(&Jar::of(ACCESS, jar.refresh())).await.refused(401, "token_not_valid");
    let bearer = |token: &str| get("me/").header("authorization", &format!("Bearer {token}"));
    world.send(bearer(jar.access())).await.refused(401, "not_authenticated");
    let with_bearer = world.restarted(|config| config.bearer = true).await;
    assert_eq!(with_bearer.send(bearer(jar.access())).await.status, 200);
    with_bearer.send(bearer("nonsense")).await.refused(401, "token_not_valid");
    world.advance(Duration::from_secs(899));
    assert_eq!(world.me(&jar).await.status, 200);
    world.advance(Duration::from_secs(1));
    world.me(&jar).await.refused(401, "token_not_valid");
}

async fn django_speaks_of_tokens_in_its_own_shape(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let refusal = |message: &str| {
        json!({
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{ "token_class": "AccessToken", "token_type": "access", "message": message }],
        })
    };
    assert_eq!(world.me(&Jar::of("access_token", "x")).await.json(), refusal("Token is invalid"));
    assert_eq!(world.me(&Jar::of("access_token", jar.refresh())).await.json(), refusal("Token has wrong type"));
    world.advance(Duration::from_secs(900));
    let expired = world.me(&jar).await;
    assert_eq!(expired.json(), refusal("Token is expired"));
    assert_eq!(expired.header("www-authenticate"), "Bearer realm=\"api\"");
    let missing = world.me(&Jar::default()).await;
    let detail = "Authentication credentials were not provided.";
    assert_eq!(missing.json(), json!({ "detail": detail, "code": "not_authenticated" }));
}

async fn patch(world: &World, jar: &Jar, body: Value) -> Answer {
    world.send(call(Method::PATCH, "me/").jar(jar).json(body)).await
}

async fn the_applications_fields_can_be_changed(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let answer = patch(&world, &jar, json!({ "first_name": " Ada ", "last_name": "Lovelace" })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["attributes"], json!({ "first_name": "Ada", "last_name": "Lovelace" }));
    assert_eq!(answer.json(), world.me(&jar).await.json(), "the session goes on");
    let answer = patch(&world, &jar, json!({ "last_name": null })).await;
    assert_eq!(answer.json()["attributes"], json!({ "first_name": "Ada" }), "what is not named stays");
    assert_eq!(
        patch(&world, &jar, json!({ "first_name": "" })).await.json()["attributes"],
        json!({ "first_name": "" })
    );
    assert_eq!(world.refresh(&jar).await.status, 200);
}

async fn nothing_else_can_be_changed(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let before = world.me(&jar).await.json();
    let body = json!({
        "email": "mallory@example.org", "username": "root", "id": "1", "status": "active", "email_verified": false,
        "is_superuser": true, "is_staff": true, "roles": ["admin"], "role": "admin", "tenant": "other", "password": "x",
        "token_version": 0, "attributes": { "is_superuser": true }, "factors": [], "last_login_at": null,
    });
    let answer = patch(&world, &jar, body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, before));
}

async fn a_change_that_is_refused_changes_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let before = world.me(&jar).await.json();
    let long = "x".repeat(151);
    for (value, code) in [
        (json!(long), "too_long"),
        (json!(7), "not_a_string"),
        (json!(true), "not_a_string"),
        (json!(["a"]), "not_a_string"),
        (json!({ "a": "b" }), "not_a_string"),
        (json!("a\u{0}b"), "null_character"),
    ] {
        let answer = patch(&world, &jar, json!({ "last_name": "new", "first_name": value })).await;
        assert_eq!(answer.refused(400, "invalid_fields").field("first_name"), [code]);
    }
    let twice = call(Method::PATCH, "me/").jar(&jar).body("application/json", r#"{"first_name":"a","first_name":"b"}"#);
    assert_eq!(world.send(twice).await.refused(400, "invalid_fields").field("first_name"), ["repeated"]);
    assert_eq!(world.me(&jar).await.json(), before);
    patch(&world, &Jar::default(), json!({ "first_name": "x" })).await.refused(401, "not_authenticated");
}
