//! Sessions: what makes one, and what ends it.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use super::{ADA, Case, EVE, NEW, SETTINGS, STEP, cases};
use crate::faults::{Fault, Faults};
use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, Link, PASSWORD, World, get, post};

scenarios![
    a_refresh_token_is_used_once_and_dies_with_its_session,
    no_mailed_link_logs_in,
    a_security_change_ends_every_other_session_link_and_pending_login,
    a_token_of_one_kind_opens_no_door_of_another,
    a_store_that_is_down_opens_no_door,
];

async fn a_refresh_token_is_used_once_and_dies_with_its_session(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = false).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        let first = world.session(ADA).await;
        let second = world.refresh(&first).await;
        assert_eq!(second.status, 200, "{name}: {second:?}");
        let window = case.policy().refresh_window;
        world.advance(window + Duration::from_secs(1));
        let third = world.refresh(&second.jar()).await;
        assert_eq!(third.status, 200, "{name}: {third:?}");
        assert_ne!(third.jar(), second.jar(), "{name}");
        // The token before the last one is a replay, so the session is revoked.
        world.advance(window + Duration::from_secs(61));
        world.refresh(&first).await.refused(401, "refresh_invalid");
        world.refresh(&third.jar()).await.refused(401, "refresh_invalid");
        assert_eq!(world.me(&third.jar()).await.status, 401, "{name}");

        let other = world.session(ADA).await;
        world.send(post("logout/").jar(&other)).await;
        world.refresh(&other).await.refused(401, "refresh_invalid");
        assert_eq!(world.me(&other).await.status, 401, "{name}");
    }
}

/// Asserts that an answer brings no session, in no form.
#[track_caller]
fn brings_no_session(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    let cookies = answer.jar().cookies;
    assert!(cookies.keys().all(|name| !name.contains("access") && !name.contains("refresh")), "{what}: {answer:?}");
    assert!(!answer.text().contains("eyJ"), "{what}: {answer:?}");
}

async fn no_mailed_link_logs_in(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        assert_eq!(case.sign_up(ADA, PASSWORD, "").await.status, 201, "{name}");
        let link = world.link(ADA, MailPurpose::VerifyEmail).await;
        brings_no_session(&world.send(link.verify()).await, name);
        brings_no_session(&case.reset(ADA, NEW).await, name);
        let taken_back = world.link(ADA, MailPurpose::PasswordChanged).await;
        brings_no_session(&world.send(taken_back.not_me()).await, name);
        let (jar, authenticator) = case.account(EVE).await;
        let link = case.change_email_link(&jar, authenticator.as_ref(), "next@example.org").await;
        brings_no_session(&world.send(link.change_email(&jar)).await, name);
        assert_eq!(world.me(&jar).await.status, 401, "{name}: the move ends the session, too");
    }
}

/// A session and a link from before a change, of an account with or without an authenticator.
struct Before {
    caller: Jar,
    other: Jar,
    link: Link,
    authenticator: Option<Authenticator>,
}

impl Before {
    async fn of(case: &Case, email: &str, enrolled: bool) -> Self {
        let (other, authenticator) = match enrolled {
            true => {
                let (jar, authenticator) = Authenticator::enrolled(&case.world, email).await;
                (jar, Some(authenticator))
            }
            false => {
                case.world.account(email).await;
                (case.world.session(email).await, None)
            }
        };
        let caller = match &authenticator {
            Some(authenticator) => case.session(email, PASSWORD, authenticator).await,
            None => case.world.session(email).await,
        };
        case.world.send(post("password-reset/").json(json!({ "email": email }))).await;
        let link = case.world.link(email, MailPurpose::ResetPassword).await;
        Self { caller, other, link, authenticator }
    }

    fn code(&self, world: &World) -> String {
        world.advance(STEP);
        self.authenticator.as_ref().unwrap().code(world)
    }
}

async fn a_security_change_ends_every_other_session_link_and_pending_login(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = false).await {
        let Case { name, world } = &case;
        for change in ["password", "reset", "enable", "disable", "address", "closing", "operator"] {
            let email = format!("{change}@example.org");
            let before = Before::of(&case, &email, change == "disable" || change == "reset").await;
            let pending = case.log_in(&email, PASSWORD).await.json()["session_token"].clone();
            let jar = &before.caller;
            let answer = match change {
                "password" => world.change_password(jar, PASSWORD, NEW).await,
                "reset" => case.reset(&email, NEW).await,
                "enable" => {
                    let body = json!({ "password": PASSWORD });
                    let code = Authenticator::set_up_with(world, jar, body).await.code(world);
                    world.send(post("2fa/enable/").jar(jar).json(json!({ "code": code }))).await
                }
                "disable" => {
                    let body = json!({ "password": PASSWORD, "code": before.code(world) });
                    world.send(post("2fa/disable/").jar(jar).json(body)).await
                }
                "address" => {
                    let link = case.change_email_link(jar, None, EVE).await;
                    world.send(link.change_email(jar)).await
                }
                "closing" => {
                    let body = json!({ "password": PASSWORD, "confirm_deactivation": true });
                    world.send(post("deactivate-account/").jar(jar).json(body)).await
                }
                _ => {
                    let user = case.user(&email).await;
                    world.auth.admin().end_sessions(&user.id).await.unwrap();
                    world.send(post("password-reset/").json(json!({ "email": "unknown@example.org" }))).await
                }
            };
            assert_eq!(answer.status, 200, "{name}: {change}: {answer:?}");
            assert_eq!(world.me(&before.other).await.status, 401, "{name}: {change}");
            world.refresh(&before.other).await.refused(401, "refresh_invalid");
            assert_eq!(world.me(&before.caller).await.status, 401, "{name}: {change}: the caller's old session");
            assert_eq!(case.set(&before.link, "yet another one").await.status, 400, "{name}: {change}");
            if pending.is_string() {
                let body = json!({ "session_token": pending, "code": before.code(world) });
                world.send(post("2fa/verify-login/").json(body)).await.refused(401, "pending_session_invalid");
            }
        }
    }
}

async fn a_token_of_one_kind_opens_no_door_of_another(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = false).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        let jar = world.session(ADA).await;
        world.send(post("password-reset/").json(json!({ "email": ADA }))).await;
        let link = world.link(ADA, MailPurpose::ResetPassword).await;
        let name_of = |plain: &str| jar.cookies.keys().find(|it| it.ends_with(plain)).unwrap().clone();
        let (access, refresh) = (name_of("access_token"), name_of("refresh_token"));
        for token in [jar.refresh(), jar.device(), &link.token] {
            let answer = world.me(&Jar::of(&access, token)).await;
            assert_eq!(answer.status, 401, "{name}: {answer:?}");
            let bearer = get("me/").header("authorization", &format!("Bearer {token}"));
            assert_eq!(world.send(bearer).await.status, 401, "{name}");
        }
        for token in [jar.access(), jar.device(), &link.token] {
            world.refresh(&Jar::of(&refresh, token)).await.refused(401, "refresh_invalid");
        }
        for token in [jar.access(), jar.refresh(), jar.device()] {
            let other = Link { token: token.to_owned(), ..link.clone() };
            assert_eq!(case.set(&other, NEW).await.status, 400, "{name}");
        }
        let bearer = get("me/").header("authorization", &format!("Bearer {}", jar.access()));
        let bearer_is_on = SETTINGS.iter().any(|(setting, _)| setting == name && *setting == "bearer");
        assert_eq!(world.send(bearer).await.status, if bearer_is_on { 200 } else { 401 }, "{name}");
        assert_eq!(case.set(&link, NEW).await.status, 200, "{name}");
    }
}

async fn a_store_that_is_down_opens_no_door(ground: Ground) {
    for (name, set) in SETTINGS {
        let faults = Faults::default();
        let world = faults.around(ground.world_with(set).await, set);
        world.account(ADA).await;
        let answer = world.log_in(ADA, PASSWORD).await;
        let jar = answer.jar();
        world.send(post("password-reset/").json(json!({ "email": ADA }))).await;
        let link = world.link(ADA, MailPurpose::ResetPassword).await;
        // Past the time for which a node trusts its view of revocations.
        world.advance(Duration::from_secs(61));
        faults.stores.always(Fault::FailBefore);
        let sign_up = json!({
            "email": EVE, "password": PASSWORD, "confirm_password": PASSWORD, "username": "eve", "first_name": "",
        });
        let calls = [
            post("login/").json(json!({ "email": ADA, "password": PASSWORD })),
            post("signup/").json(sign_up),
            post("password-reset/").json(json!({ "email": ADA })),
            post("resend-verification/").json(json!({ "email": ADA })),
            link.set_password(NEW),
            get("me/").jar(&jar),
            post("refresh/").jar(&jar),
            post("logout/").jar(&jar),
            post("2fa/setup/").jar(&jar).json(json!({ "password": PASSWORD })),
        ];
        for call in calls {
            let path = call.path.clone();
            let answer = world.send(call).await;
            assert_eq!((answer.status.as_u16(), answer.jar()), (503, Jar::default()), "{name}: {path}: {answer:?}");
        }
        faults.stores.heal();
        assert_eq!(world.log_in(ADA, PASSWORD).await.status, 200, "{name}");
    }
}
