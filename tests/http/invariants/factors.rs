//! Second factors: what a session without one may do, what leads past one, and what only one decides.

use std::time::Duration;

use auth_system::auth_core::policy::Disputes;
use auth_system::auth_core::port::MailPurpose;
use http::Method;
use serde_json::{Value, json};

use super::{ADA, Case, EVE, NEW, STEP, cases};
use crate::scenarios;
use crate::world::{Answer, Authenticator, Call, Ground, Jar, PASSWORD, call, get, post};

scenarios![
    a_session_for_enrolment_opens_nothing_else,
    no_way_leads_around_a_second_factor,
    a_change_of_factors_or_address_takes_a_recent_second_factor,
    two_addresses_that_claim_one_account_shut_it_until_one_is_entitled,
];

async fn a_session_for_enrolment_opens_nothing_else(ground: Ground) {
    for case in cases(ground, |config| config.policy.require_second_factor = true).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        let jar = world.session(ADA).await;
        let password = json!({ "password": PASSWORD });
        let calls: Vec<(Call, &str)> = vec![
            (get("me/"), "me"),
            (call(Method::PATCH, "me/").json(json!({ "first_name": "x" })), "profile"),
            (post("reauthenticate/").json(password.clone()), "reauthenticate"),
            (
                post("change-password/")
                    .json(json!({ "old_password": PASSWORD, "new_password": NEW, "confirm_password": NEW })),
                "password",
            ),
            (post("change-email/").json(json!({ "new_email": EVE, "password": PASSWORD })), "address"),
            (
                post("deactivate-account/").json(json!({ "password": PASSWORD, "confirm_deactivation": true })),
                "closing",
            ),
            (get("2fa/backup-codes/"), "codes"),
            (post("2fa/backup-codes/").json(password.clone()), "new codes"),
            (post("2fa/disable/").json(json!({ "password": PASSWORD, "code": "123456" })), "disable"),
        ];
        for (call, what) in calls {
            let answer = world.send(call.jar(&jar)).await;
            assert_eq!(answer.status, 403, "{name}: {what}: {answer:?}");
            assert_eq!(answer.json()["code"], "second_factor_required", "{name}: {what}");
        }
        let own = world.app(get("/whoami").jar(&jar)).await;
        assert_eq!(own.status, 403, "{name}: {own:?}");
        // It is good for the one thing, and the session that follows is whole.
        let authenticator = Authenticator::set_up_with(world, &jar, json!({ "password": PASSWORD })).await;
        let enabled =
            world.send(post("2fa/enable/").jar(&jar).json(json!({ "code": authenticator.code(world) }))).await;
        assert_eq!(enabled.status, 200, "{name}: {enabled:?}");
        assert_eq!(world.me(&enabled.jar()).await.status, 200, "{name}");
    }
}

async fn no_way_leads_around_a_second_factor(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = Authenticator::enrolled(world, ADA).await;
        world.advance(Duration::from_secs(60));
        let first = case.log_in(ADA, PASSWORD).await;
        assert_eq!((first.status.as_u16(), first.jar()), (200, Jar::default()), "{name}: {first:?}");
        // The mailbox alone gets as far as the password does.
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        world.refresh(&jar).await.refused(401, "refresh_invalid");
        let pending = case.log_in(ADA, NEW).await;
        assert!(!pending.jar().cookies.contains_key("access_token"), "{name}: {pending:?}");
        let step = |answer: &Answer, code: &str| {
            let token =
                answer.json()["session_token"].as_str().unwrap_or_else(|| panic!("{name}: {answer:?}")).to_owned();
            post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))
        };
        world.send(step(&first, &authenticator.code(world))).await.refused(401, "pending_session_invalid");
        let wrong = world.send(step(&pending, "000000")).await;
        assert_eq!((wrong.status.as_u16(), wrong.jar()), (400, Jar::default()), "{name}: {wrong:?}");
        let code = authenticator.code(world);
        assert_eq!(world.send(step(&pending, &code)).await.status, 200, "{name}");
        // A code counts once, in a window of any size.
        let again = case.log_in(ADA, NEW).await;
        let replayed = world.send(step(&again, &code)).await;
        assert_eq!((replayed.status.as_u16(), replayed.jar()), (400, Jar::default()), "{name}: {replayed:?}");
        let backup = &authenticator.backup_codes[0];
        assert_eq!(world.send(step(&again, backup)).await.status, 200, "{name}");
        let again = case.log_in(ADA, NEW).await;
        assert_eq!(world.send(step(&again, backup)).await.status, 400, "{name}");
        let told: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
        for purpose in [MailPurpose::PasswordChanged, MailPurpose::BackupCodeUsed] {
            assert!(told.contains(&purpose), "{name}: {told:?}");
        }
    }
}

async fn a_change_of_factors_or_address_takes_a_recent_second_factor(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = Authenticator::enrolled(world, ADA).await;
        // The session has shown its factors, but not recently.
        world.advance(case.policy().sudo_max_age + Duration::from_secs(1));
        let mut jar = world.refresh(&jar).await.jar();
        let password = json!({ "password": PASSWORD });
        let doors: [(&str, Value); 3] = [
            ("change-email/", json!({ "new_email": EVE })),
            ("2fa/backup-codes/", json!({})),
            ("2fa/setup/", json!({ "replace": true })),
        ];
        let with = |body: &Value, more: &Value| {
            let mut body = body.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (path, body) in &doors[..2] {
            let answer = world.send(post(path).jar(&jar).json(with(body, &password))).await;
            assert_eq!(answer.status, 403, "{name}: {path} with the password alone: {answer:?}");
            assert_eq!(answer.json()["code"], "reauthentication_required", "{name}: {path}");
        }
        // A password alone shows no second factor, and the session that it renews has none.
        let renewed = world.send(post("reauthenticate/").jar(&jar).json(password.clone())).await;
        assert_eq!(renewed.status, 200, "{name}: {renewed:?}");
        jar = renewed.jar();
        for (path, body) in &doors[..2] {
            let answer = world.send(post(path).jar(&jar).json(with(body, &password))).await;
            assert_eq!(answer.status, 403, "{name}: {path} after a renewal by the password: {answer:?}");
        }
        // A code that is sent along is enough, under every setting. A second time it is a wrong one.
        for (path, body) in &doors {
            world.advance(STEP);
            let code = with(&password, &json!({ "code": authenticator.code(world) }));
            let answer = world.send(post(path).jar(&jar).json(with(body, &code))).await;
            assert_eq!(answer.status, 200, "{name}: {path} with a code: {answer:?}");
            let answer = world.send(post(path).jar(&jar).json(with(body, &code))).await;
            assert_eq!(answer.status, 400, "{name}: {path} with the same code: {answer:?}");
        }
    }
}

async fn two_addresses_that_claim_one_account_shut_it_until_one_is_entitled(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = case.account(ADA).await;
        let link = case.change_email_link(&jar, authenticator.as_ref(), EVE).await;
        assert_eq!(world.send(link.change_email(&jar)).await.status, 200, "{name}");
        let taken_back = world.link(ADA, MailPurpose::EmailChanged).await;
        assert_eq!(world.send(taken_back.not_me()).await.status, 200, "{name}");
        let objection = world.link(EVE, MailPurpose::AddressLost).await;
        assert_eq!(world.send(objection.not_me()).await.status, 200, "{name}");
        let told = case.told().await;
        let expected = [ADA, EVE].map(|to| (to.to_owned(), MailPurpose::AccountDisputed));
        assert_eq!(told, expected, "{name}");
        // Shut for both sides. Time gives it back to the older address, or an operator does, as the policy says.
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        assert!(!case.opens(ADA, NEW).await && !case.opens(EVE, NEW).await, "{name}");
        world.advance(case.policy().not_me_link_lifetime);
        world.mails().await;
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        assert_eq!(case.opens(ADA, NEW).await, case.policy().disputes == Disputes::Wait, "{name}");
        assert!(!case.opens(EVE, NEW).await, "{name}");
        let user = case.user(ADA).await;
        world.auth.admin().enable(&user.id).await.unwrap();
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        assert!(case.opens(ADA, NEW).await, "{name}");
    }
}
