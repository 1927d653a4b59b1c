//! Where a second factor is required, of all or of some: until there is one, a session is good for enrolling it alone.

use auth_system::auth_core::port::SecondFactorRule;
use auth_system::auth_core::types::User;
use auth_system::{Auth, Config};
use http::Method;
use serde_json::json;

use crate::conventions::ROWS;
use crate::faults::Faults;
use crate::scenarios;
use crate::world::{self, Authenticator, Ground, Jar, PASSWORD, World, call, claims, get, post};

scenarios![
    a_login_without_a_factor_is_good_for_enrolling_alone,
    an_enrolled_account_logs_in_as_ever,
    the_last_factor_cannot_go,
    a_rule_asks_it_of_some,
];

fn required(config: &mut Config) {
    config.policy.require_second_factor = true;
}

async fn enrol(world: &World, jar: &Jar) -> (Jar, Authenticator) {
    let authenticator = Authenticator::set_up(world, jar).await;
    let body = json!({ "code": authenticator.code(world) });
    let answer = world.send(post("2fa/enable/").jar(jar).json(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.jar(), authenticator)
}

async fn a_login_without_a_factor_is_good_for_enrolling_alone(ground: Ground) {
    let world = ground.world_with(required).await;
    world.account("ada@example.org").await;
    let login = world.log_in("ada@example.org", PASSWORD).await;
    assert_eq!(login.json(), json!({ "detail": "Login successful.", "enrolment_required": true }));
    let jar = login.jar();
    assert_eq!(claims(jar.access())["amr"], json!(["pwd"]));
    // Not ours, save those two ...
    let bodies = json!({
        "password": PASSWORD, "old_password": PASSWORD, "new_password": "another password", "code": "123456",
        "new_email": "new@example.org", "confirm_deactivation": true, "first_name": "x",
    });
    let public = ["signup/", "verify-account/", "resend-verification/", "login/", "refresh/", "logout/", "not-me/"];
    let public = public.iter().chain(&["change-email-confirm/", "password-reset/", "password-reset-confirm/"]);
    let open: Vec<_> = public.chain(&["2fa/verify-login/", "2fa/setup/", "2fa/enable/"]).collect();
    for (method, path) in ROWS.iter().filter(|(_, path)| !open.contains(&path)) {
        let answer = world.send(call(method.clone(), path).jar(&jar).json(bodies.clone())).await;
        answer.refused(403, "second_factor_required");
    }
    // ... and nothing of the application.
    for path in ["/whoami", "/required"] {
        world.app(get(path).jar(&jar)).await.refused(403, "second_factor_required");
    }
    assert_eq!(world.app(get("/maybe").jar(&jar)).await.text(), "nobody");
    // A refresh makes it no better.
    let jar = world.refresh(&jar).await.jar();
    world.me(&jar).await.refused(403, "second_factor_required");
    let (jar, _) = enrol(&world, &jar).await;
    assert_eq!(claims(jar.access())["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(world.me(&jar).await.status, 200);
    assert_eq!(world.app(get("/required").jar(&jar)).await.status, 200);
    assert_eq!(world.send(call(Method::PATCH, "me/").jar(&jar).json(json!({ "first_name": "Ada" }))).await.status, 200);
}

async fn an_enrolled_account_logs_in_as_ever(ground: Ground) {
    let optional = ground.world().await;
    let (_, authenticator) = Authenticator::enrolled(&optional, "ada@example.org").await;
    let world = optional.restarted(required).await;
    world.advance(std::time::Duration::from_secs(30));
    let token = world.log_in("ada@example.org", PASSWORD).await.json()["session_token"].clone();
    let body = json!({ "session_token": token, "code": authenticator.code(&world) });
    let jar = world.send(post("2fa/verify-login/").json(body)).await.jar();
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn the_last_factor_cannot_go(ground: Ground) {
    let world = ground.world_with(required).await;
    world.account("ada@example.org").await;
    let jar = world.log_in("ada@example.org", PASSWORD).await.jar();
    let (jar, authenticator) = enrol(&world, &jar).await;
    let body = json!({ "password": PASSWORD, "code": authenticator.code_at(&world, 1) });
    world.send(post("2fa/disable/").jar(&jar).json(body)).await.refused(403, "second_factor_required");
    assert_eq!(world.me(&jar).await.status, 200);
}

struct Named(&'static str);

impl SecondFactorRule for Named {
    fn requires_second_factor(&self, user: &User) -> bool {
        user.email.as_str().starts_with(self.0)
    }
}

async fn a_rule_asks_it_of_some(ground: Ground) {
    let world = ground.world().await;
    let builder = Faults::default().builder(&world, world::config()).second_factor_rule(Named("root"));
    let auth: Auth = builder.without_workers().build().unwrap();
    let world = world.around(auth);
    for (email, asked) in [("root@example.org", true), ("ada@example.org", false)] {
        world.account(email).await;
        let login = world.log_in(email, PASSWORD).await;
        assert_eq!(login.json()["enrolment_required"] == true, asked, "{email}");
        assert_eq!(world.me(&login.jar()).await.status, if asked { 403 } else { 200 });
    }
}
