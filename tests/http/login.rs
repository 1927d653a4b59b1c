use std::time::Duration;

use auth_system::auth_core::port::{Event, LoginRefusal};
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, PASSWORD, claims, post};

scenarios![
    a_login_sets_both_cookies_as_the_contract_has_them,
    tokens_say_what_they_must,
    every_refusal_looks_the_same,
    passwords_count_to_the_last_blank,
    fields_are_checked_before_anything_else,
    a_login_leaves_its_time,
    cookies_follow_the_settings,
];

async fn a_login_sets_both_cookies_as_the_contract_has_them(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let answer = world.log_in("ada@example.org", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Login successful." })));
    let jar = answer.jar();
    let attributes = |seconds: u64, expires: &str, path: &str| {
        format!("expires={expires}; HttpOnly; Max-Age={seconds}; Path={path}; SameSite=Lax; Secure")
    };
    let expected = [
        format!("__Host-access_token={}; {}", jar.access(), attributes(900, "Thu, 01 Jan 2026 00:15:00 GMT", "/")),
        format!(
            "__Host-refresh_token={}; {}",
            jar.refresh(),
            attributes(604_800, "Thu, 08 Jan 2026 00:00:00 GMT", "/")
        ),
    ];
    let cookies = answer.set_cookies();
    assert_eq!(cookies[..2], expected);
    let device = format!("__Host-known_device={}; ", jar.device());
    assert_eq!(cookies[2], device + &attributes(15_552_000, "Tue, 30 Jun 2026 00:00:00 GMT", "/"));
    assert!(matches!(world.events.take()[..], [Event::LoggedIn { .. }]));
}

async fn tokens_say_what_they_must(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    world.advance(Duration::from_secs(60));
    let jar = world.session("ada@example.org").await;
    let me = world.me(&jar).await.json();
    let (access, refresh) = (claims(jar.access()), claims(jar.refresh()));
    assert_eq!(access["iss"], "auth-system");
    assert_eq!(access["aud"], "auth-system");
    assert_eq!(access["sub"], me["id"]);
    assert_eq!(access["tid"], "default");
    assert_eq!(access["token_type"], "access");
    assert_eq!(access["channel"], "cookie");
    assert_eq!(access["amr"], json!(["pwd"]));
    assert_eq!(access["iat"], 1_767_225_660);
    assert_eq!(access["auth_time"], 1_767_225_660);
    assert_eq!(access["exp"], 1_767_225_660 + 900);
    assert!(access["token_version"].as_u64().unwrap() < 1 << 31);
    assert_eq!(access["jti"].as_str().unwrap().len(), 32);
    assert_eq!(refresh["token_type"], "refresh");
    assert_eq!((refresh["sub"].clone(), refresh["sid"].clone()), (access["sub"].clone(), access["sid"].clone()));
    assert_eq!(refresh["exp"], 1_767_225_660 + 604_800);
    assert_ne!(refresh["jti"], access["jti"]);
    let other = world.session("ada@example.org").await;
    assert_ne!(claims(other.access())["sid"], access["sid"]);
}

async fn every_refusal_looks_the_same(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    world.sign_up("unverified@example.org", PASSWORD).await;
    world.events.take();
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.org", "wrong password"),
        ("unknown@example.org", PASSWORD),
        ("unverified@example.org", PASSWORD),
        ("unverified@example.org", "wrong password"),
    ] {
        let before = world.hasher.work();
        let answer = world.log_in(email, password).await;
        answer.refused(401, "invalid_credentials");
        assert_eq!(answer.header("www-authenticate"), "", "no challenge on a public endpoint");
        answers.push((answer.headers.clone(), answer.body.clone(), world.hasher.work() - before));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let why: Vec<_> = world.events.take().into_iter().filter_map(refusal).collect();
    use LoginRefusal::{Unknown, Unverified, WrongPassword};
    assert_eq!(why, [WrongPassword, Unknown, Unverified, WrongPassword]);
    let django = ground.django().await;
    let answer = django.log_in("unknown@example.org", PASSWORD).await;
    assert_eq!(answer.json(), json!({ "detail": "Invalid email or password.", "code": "invalid_credentials" }));
}

fn refusal(event: Event) -> Option<LoginRefusal> {
    match event {
        Event::LoginRefused { why, .. } => Some(why),
        _ => None,
    }
}

async fn passwords_count_to_the_last_blank(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for near in [&format!(" {PASSWORD}"), &format!("{PASSWORD} "), &PASSWORD.to_uppercase()] {
        world.log_in("ada@example.org", near).await.refused(401, "invalid_credentials");
    }
}

async fn fields_are_checked_before_anything_else(ground: Ground) {
    let world = ground.world().await;
    let before = world.hasher.work();
    let answer = world.send(post("login/").json(json!({ "email": "", "password": null }))).await;
    answer.refused(400, "invalid_fields");
    assert_eq!((answer.field("email"), answer.field("password")), (vec!["blank".into()], vec!["null".into()]));
    let answer = world.log_in("ada@example.org", &"x".repeat(1025)).await;
    assert_eq!(answer.refused(400, "invalid_fields").field("password"), ["too_long"]);
    // Without usernames, what is no address is no identifier.
    assert_eq!(world.log_in("ada", PASSWORD).await.field("email"), ["invalid_email"]);
    assert_eq!(world.hasher.work(), before, "nothing was hashed");
}

async fn a_login_leaves_its_time(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    assert_eq!(world.me(&first).await.json()["last_login_at"], "2026-01-01T00:00:00Z");
    world.advance(Duration::from_secs(61));
    world.session("ada@example.org").await;
    assert_eq!(world.me(&first).await.json()["last_login_at"], "2026-01-01T00:01:01Z");
}

async fn cookies_follow_the_settings(ground: Ground) {
    use auth_system::config::SameSite;
    let world = ground
        .world_with(|config| {
            config.public_path = "/account".into();
            config.cookies.access_name = Some("a".into());
            config.cookies.refresh_name = Some("r".into());
            config.cookies.secure = false;
            config.cookies.http_only = false;
            config.cookies.same_site = SameSite::Strict;
            config.policy.access_lifetime = Duration::from_secs(60);
            config.policy.idle_lifetime = Duration::from_secs(120);
        })
        .await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    world.send(post("/account/signup/").json(body.clone())).await;
    let link = world.link("ada@example.org", auth_system::auth_core::port::MailPurpose::VerifyEmail).await;
    let mut verify = link.verify();
    verify.path = verify.path.replace("/api/auth", "/account");
    world.send(verify).await;
    let answer = world.send(post("/account/login/").json(body)).await;
    let cookies = answer.set_cookies();
    assert!(cookies[0].starts_with("a=") && cookies[1].starts_with("r="), "{cookies:?}");
    assert!(cookies[0].ends_with("; expires=Thu, 01 Jan 2026 00:01:00 GMT; Max-Age=60; Path=/; SameSite=Strict"));
    assert!(cookies[1].ends_with("; expires=Thu, 01 Jan 2026 00:02:00 GMT; Max-Age=120; Path=/; SameSite=Strict"));
    assert!(cookies[2].starts_with("known_device=") && cookies[2].ends_with("; Path=/; SameSite=Strict"));
    assert_eq!(world.send(post("/api/auth/login/")).await.status, 404);
}
