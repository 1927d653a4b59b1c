use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose};
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, Link, PASSWORD, post};

scenarios![
    a_new_account_waits_for_its_mailbox,
    variants_of_an_address_are_one_account,
    a_taken_address_is_answered_like_a_new_one,
    signing_up_again_with_the_same_password_sends_the_link_again,
    two_passwords_before_verification_leave_it_to_the_mailbox,
    all_that_is_wrong_is_told_at_once,
    attributes_are_kept_and_nothing_else_is_assigned,
    usernames_are_unique_where_they_are_on,
    a_username_of_a_sign_up_that_nobody_verified_is_free_again,
    django_tells_what_is_taken,
    django_protects_the_owner_of_an_unverified_address,
    a_strangers_choices_go_with_the_strangers_password,
    a_verification_mail_tells_of_the_sign_up_and_lets_the_owner_deny_it,
    a_denial_works_once_and_never_on_a_verified_account,
    a_sign_up_that_nobody_verified_is_purged,
    django_speaks_in_its_own_shapes,
    forms_are_read_like_json,
];

async fn a_new_account_waits_for_its_mailbox(ground: Ground) {
    let world = ground.world().await;
    let answer = world.sign_up("ada@example.org", PASSWORD).await;
    assert_eq!(answer.status, 201);
    let detail = "User created successfully. Please check your email to verify your account.";
    assert_eq!(answer.json(), json!({ "detail": detail }));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.set_cookies().is_empty());

    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].to.as_str(), mails[0].purpose), ("ada@example.org", MailPurpose::VerifyEmail));
}

async fn variants_of_an_address_are_one_account(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for variant in ["Ada@Example.ORG", " ada@example.org ", "ａda@example.org"] {
        assert_eq!(world.sign_up(variant, "another password").await.status, 201);
        let mails = world.mails().await;
        assert_eq!(mails.len(), 1, "{variant}");
        assert_eq!((mails[0].to.as_str(), mails[0].purpose), ("ada@example.org", MailPurpose::AccountExists));
        assert_eq!(world.log_in(variant, PASSWORD).await.status, 200);
    }
}

async fn a_taken_address_is_answered_like_a_new_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let before = world.hasher.work();
    let taken = world.sign_up("ada@example.org", "whatever it is").await;
    let work_of_taken = world.hasher.work() - before;
    let fresh = world.sign_up("bob@example.org", "whatever it is").await;
    let work_of_fresh = world.hasher.work() - before - work_of_taken;
    assert_eq!((taken.status, &taken.headers, &taken.body), (fresh.status, &fresh.headers, &fresh.body));
    assert_eq!(work_of_taken, work_of_fresh);
    world.log_in("ada@example.org", "whatever it is").await.refused(401, "invalid_credentials");
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn signing_up_again_with_the_same_password_sends_the_link_again(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let first = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    let before = world.hasher.work();
    assert_eq!(world.sign_up("ada@example.org", PASSWORD).await.status, 201);
    assert_eq!(world.hasher.work() - before, 1);
    let second = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(second.verify()).await.status, 200);
    world.send(first.verify()).await.refused(400, "already_verified");
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn two_passwords_before_verification_leave_it_to_the_mailbox(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", "the squatter's one").await;
    let squatters = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.events.take();

    assert_eq!(world.sign_up("ada@example.org", PASSWORD).await.status, 201);
    let events = world.events.take();
    assert!(matches!(events[..], [Event::SignUpRepeated { password_cleared: true, .. }]), "{events:?}");
    world.send(squatters.verify()).await.refused(400, "link_invalid");
    world.log_in("ada@example.org", "the squatter's one").await.refused(401, "invalid_credentials");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");

    // A third password changes nothing more: there is none left to clear.
    assert_eq!(world.sign_up("ada@example.org", "yet another one").await.status, 201);
    let link = world.link("ada@example.org", MailPurpose::SetPassword).await;
    assert_eq!(world.send(link.set_password("the owner's own")).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "the owner's own").await.status, 200);
    for other in ["the squatter's one", PASSWORD, "yet another one"] {
        world.log_in("ada@example.org", other).await.refused(401, "invalid_credentials");
    }
}

async fn all_that_is_wrong_is_told_at_once(ground: Ground) {
    let world = ground.world().await;
    let body = json!({
        "email": "nobody", "password": "1234", "confirm_password": "12345", "first_name": "x".repeat(151), "last_name": 7,
    });
    let answer = world.send(post("signup/").json(body)).await;
    answer.refused(400, "invalid_fields");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.field("email"), ["invalid_email"]);
    assert_eq!(answer.field("password"), ["password_too_short"]);
    assert_eq!(answer.field("confirm_password"), ["password_mismatch"]);
    assert_eq!(answer.field("first_name"), ["too_long"]);
    assert_eq!(answer.field("last_name"), ["not_a_string"]);
    assert_eq!(world.events.take(), []);
}

async fn attributes_are_kept_and_nothing_else_is_assigned(ground: Ground) {
    let world = ground.world().await;
    let body = json!({
        "email": "ada@example.org", "password": PASSWORD, "first_name": " Ada ", "last_name": "",
        "status": "admin", "is_staff": "true", "email_verified_at": "2026-01-01", "token_version": "7", "id": "1",
        "username": "root",
    });
    assert_eq!(world.send(post("signup/").json(body)).await.status, 201);
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    let me = world.me(&world.session("ada@example.org").await).await.json();
    assert_eq!(me["attributes"], json!({ "first_name": "Ada", "last_name": "" }));
    assert_eq!(me["username"], json!(null), "usernames are off");
    assert_ne!(me["id"], "1");
}

async fn a_username_of_a_sign_up_that_nobody_verified_is_free_again(ground: Ground) {
    let world = ground.world_with(|config| config.policy.usernames = true).await;
    let sign_up =
        |email: &str| post("signup/").json(json!({ "email": email, "username": "ada", "password": PASSWORD }));
    assert_eq!(world.send(sign_up("eve@example.org")).await.status, 201);
    let refused = world.send(sign_up("ada@example.org")).await;
    assert_eq!(refused.refused(400, "invalid_fields").field("username"), ["taken"]);
    world.mails().await;
    world.advance(world.auth.system().policy().verify_link_lifetime);
    assert_eq!(world.send(sign_up("ada@example.org")).await.status, 201);
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    let login = post("login/").json(json!({ "username": "ada", "password": PASSWORD }));
    let jar = world.send(login).await.jar();
    assert_eq!(world.me(&jar).await.json()["email"], "ada@example.org");
}

async fn usernames_are_unique_where_they_are_on(ground: Ground) {
    let world = ground.world_with(|config| config.policy.usernames = true).await;
    let sign_up = async |email: &str, username: &str| {
        world.send(post("signup/").json(json!({ "email": email, "username": username, "password": PASSWORD }))).await
    };
    assert_eq!(sign_up("ada@example.org", "Ada").await.status, 201);
    let answer = sign_up("other@example.org", "aDA").await;
    assert_eq!(answer.refused(400, "invalid_fields").field("username"), ["taken"]);
    for bad in ["a b", "a@b", "é"] {
        assert_eq!(sign_up("other@example.org", bad).await.field("username"), ["invalid_username"], "{bad}");
    }
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.send(link.verify()).await;
    let log_in = post("login/").json(json!({ "username": "ADA", "password": PASSWORD }));
    assert_eq!(world.send(log_in).await.status, 200);
}

async fn django_tells_what_is_taken(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let body = json!({
        "email": "ADA@example.org", "username": "ada", "password": PASSWORD, "confirm_password": PASSWORD,
    });
    let answer = world.send(post("signup/").json(body)).await;
    assert_eq!(answer.status, 400);
    let expected = json!({
        "email": ["user with this email already exists."],
        "username": ["A user with that username already exists."],
        "code": "invalid_fields",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(world.mails().await, []);
}

async fn django_protects_the_owner_of_an_unverified_address(ground: Ground) {
    let world = ground.django().await;
    let sign_up = async |username: &str, password: &str| {
        let body = json!({
            "email": "ada@example.org", "username": username, "password": password, "confirm_password": password,
            "first_name": username,
        });
        world.send(post("signup/").json(body)).await
    };
    assert_eq!(sign_up("ada", "the squatter's one").await.status, 201);
    let squatters = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    let answer = sign_up("ada", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!("invalid_fields")));
    assert_eq!(answer.json()["email"], json!(["user with this email already exists."]));
    let link = world.link("ada@example.org", MailPurpose::SetPassword).await;
    assert_eq!(world.send(squatters.verify()).await.status, 400);
    assert_eq!(world.log_in("ada@example.org", "the squatter's one").await.status, 401);
    assert_eq!(world.send(link.set_password("the owner's own")).await.status, 200);
    let login = json!({ "email": "ada@example.org", "password": "the owner's own" });
    let jar = world.send(post("login/").json(login)).await.jar();
    let me = world.me(&jar).await.json();
    assert_eq!((&me["username"], &me["attributes"]), (&json!(null), &json!({})));
}

async fn a_strangers_choices_go_with_the_strangers_password(ground: Ground) {
    // By a second sign-up, and by a reset.
    for way in ["signup/", "password-reset/"] {
        let world = ground.world_with(|config| config.policy.usernames = true).await;
        let body = json!({
            "email": "ada@example.org", "username": "ada", "password": "the squatter's one",
            "first_name": "Chosen by a stranger",
        });
        assert_eq!(world.send(post("signup/").json(body)).await.status, 201);
        world.mails().await;
        let body = json!({ "email": "ada@example.org", "password": PASSWORD, "username": "mine" });
        assert!(world.send(post(way).json(body)).await.status.is_success(), "{way}");
        let mail = world.mails().await.remove(0);
        assert_eq!(world.send(Link::of(&mail).set_password("the owner's own")).await.status, 200, "{way}");
        let jar = world.log_in("ada@example.org", "the owner's own").await.jar();
        let me = world.me(&jar).await.json();
        assert_eq!((&me["username"], &me["attributes"]), (&json!(null), &json!({})), "{way}");
    }
}

async fn a_verification_mail_tells_of_the_sign_up_and_lets_the_owner_deny_it(ground: Ground) {
    let world = ground.world().await;
    let mut call = post("signup/").json(json!({ "email": "ada@example.org", "password": "the squatter's one" }));
    call.peer = Some([203, 0, 113, 9].into());
    assert_eq!(world.send(call).await.status, 201);
    // Another client asks for the mail again: it still tells of the sign-up.
    world.send(post("resend-verification/").json(json!({ "email": "ada@example.org" }))).await;
    let mail = world.mails().await.remove(0);
    let (from, (user, token)) = mail.sign_up.clone().unwrap();
    assert_eq!(from, Some([203, 0, 113, 9].into()));
    let answer = world.send(Link::from_parts(&user, &token).not_me()).await;
    let detail = "The account was removed. Your mail address is free.";
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "detail": detail, "outcome": "account_removed" }))
    );
    world.send(Link::of(&mail).verify()).await.refused(400, "link_invalid");
    world.log_in("ada@example.org", "the squatter's one").await.refused(401, "invalid_credentials");
    world.account("ada@example.org").await;
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn a_denial_works_once_and_never_on_a_verified_account(ground: Ground) {
    let world = ground.world().await;
    for (email, verify) in [("ada@example.org", false), ("bob@example.org", true)] {
        world.sign_up(email, PASSWORD).await;
        let mail = world.mails().await.remove(0);
        let (_, (user, token)) = mail.sign_up.clone().unwrap();
        let denial = Link::from_parts(&user, &token);
        world
            .send(crate::world::get(&format!("not-me/?uid={}&token={token}", denial.uid)))
            .await
            .refused(405, "method_not_allowed");
        if verify {
            assert_eq!(world.send(Link::of(&mail).verify()).await.status, 200);
            world.send(denial.not_me()).await.refused(400, "already_verified");
            assert_eq!(world.log_in(email, PASSWORD).await.status, 200);
        } else {
            assert_eq!(world.send(denial.not_me()).await.status, 200);
            world.send(denial.not_me()).await.refused(400, "link_invalid");
        }
    }
}

async fn a_sign_up_that_nobody_verified_is_purged(ground: Ground) {
    let world = ground.world().await;
    world.account("bob@example.org").await;
    world.sign_up("ada@example.org", "the squatter's one").await;
    world.mails().await;
    world.advance(Duration::from_secs(30 * 24 * 60 * 60) - Duration::from_secs(1));
    let system = world.auth.system();
    assert_eq!(system.purge_unverified_accounts().await.unwrap(), 0);
    world.advance(Duration::from_secs(1));
    assert_eq!(system.purge_unverified_accounts().await.unwrap(), 1);
    world.account("ada@example.org").await;
    for email in ["ada@example.org", "bob@example.org"] {
        assert_eq!(world.log_in(email, PASSWORD).await.status, 200);
    }
}

async fn django_speaks_in_its_own_shapes(ground: Ground) {
    let world = ground.django().await;
    let answer = world.send(post("signup/").json(json!({}))).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), "application/json");
    let required = json!(["This field is required."]);
    let expected = json!({
        "email": required, "username": required, "password": required, "confirm_password": required,
        "code": "invalid_fields",
    });
    assert_eq!(answer.json(), expected);

    let differ =
        json!({ "email": "a@example.org", "username": "a", "password": PASSWORD, "confirm_password": "other" });
    let answer = world.send(post("signup/").json(differ)).await;
    assert_eq!(answer.json()["password"], json!(["Passwords do not match."]));

    let weak = json!({ "email": "a@example.org", "username": "a", "password": "1234", "confirm_password": "1234" });
    let expected = json!([
        "This password is too short. It must contain at least 8 characters.",
        "This password is entirely numeric.",
    ]);
    assert_eq!(world.send(post("signup/").json(weak)).await.json()["password"], expected);

    let long = json!({ "email": format!("{}@example.org", "a".repeat(260)), "username": "a".repeat(151),
        "password": PASSWORD, "confirm_password": PASSWORD, "first_name": "x".repeat(151) });
    let answer = world.send(post("signup/").json(long)).await.json();
    assert_eq!(answer["email"], json!(["Ensure this field has no more than 254 characters."]));
    assert_eq!(answer["username"], json!(["Ensure this field has no more than 150 characters."]));
    assert_eq!(answer["first_name"], json!(["Ensure this field has no more than 150 characters."]));
}

async fn forms_are_read_like_json(ground: Ground) {
    let world = ground.world().await;
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let answer = world.send(post("signup/").body(form, "email=ada%40example.org&password=a+long+password")).await;
    assert_eq!(answer.status, 201);
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", "a long password").await.status, 200);
    let twice = world.send(post("signup/").body(form, "email=a@example.org&email=b@example.org")).await;
    assert_eq!(twice.field("email"), ["repeated"]);
}
