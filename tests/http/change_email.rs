use std::time::Duration;

use auth_system::auth_core::operator::NewAccount;
use auth_system::auth_core::port::{Event, MailPurpose};
use auth_system::auth_core::types::UserId;
use http::Method;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, Link, PASSWORD, World, call, claims, post};

scenarios![
    only_the_link_moves_the_account,
    everything_of_the_account_dies,
    the_link_alone_moves_no_account,
    a_session_of_another_account_confirms_nothing,
    a_session_for_enrolment_confirms_nothing,
    the_password_confirms_without_a_session,
    guesses_at_the_password_of_a_link_are_counted,
    a_second_factor_is_asked_for_beside_the_password,
    a_live_session_is_enough_on_an_account_with_a_second_factor,
    a_later_request_kills_the_link_of_an_earlier_one,
    an_unverified_account_gives_way_to_the_owner_of_the_mailbox,
    an_account_that_gave_way_blocks_no_username,
    django_never_refuses_an_address_for_an_unverified_account,
    an_address_that_an_account_left_is_kept_from_others,
    no_older_link_takes_an_address_that_an_account_left,
    an_account_that_is_deleted_keeps_no_address,
    both_addresses_are_told,
    the_answer_is_the_same_for_every_address,
    django_tells_that_an_address_is_taken,
    a_login_long_ago_needs_the_password,
    a_password_that_is_sent_must_be_right,
    a_link_is_for_its_account_and_address_alone,
    a_link_ends_with_its_time,
    an_address_that_was_taken_meanwhile_stays_with_its_owner,
    nobody_but_the_reader_of_the_mail_confirms,
    the_target_is_in_no_link,
];

async fn ask(world: &World, jar: &Jar, to: &str) -> Answer {
    world.send(post("change-email/").jar(jar).json(json!({ "new_email": to }))).await
}

async fn log_in(world: &World, email: &str) -> u16 {
    world.log_in(email, PASSWORD).await.status.as_u16()
}

async fn only_the_link_moves_the_account(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let answer = ask(&world, &jar, " New@Example.org ").await;
    let detail = "Verification email sent to the new address.";
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": detail })));
    let link = world.link("New@example.org", MailPurpose::ChangeEmail).await;
    assert_eq!((log_in(&world, "ada@example.org").await, log_in(&world, "new@example.org").await), (200, 401));

    let answer = world.send(link.change_email(&jar)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Email updated successfully." })));
    assert_eq!(answer.jar(), Jar::default(), "a link does not log in");
    assert_eq!(answer.set_cookies().len(), 2, "the session has ended: {answer:?}");
    assert_eq!((log_in(&world, "ada@example.org").await, log_in(&world, "new@example.org").await), (401, 200));
    let me = world.me(&world.session("new@example.org").await).await.json();
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("New@example.org"), &json!(true)));
    world.send(link.change_email(&jar)).await.refused(400, "link_spent");
}

async fn everything_of_the_account_dies(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    world.me(&jar).await.refused(401, "not_authenticated");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    world.send(reset.set_password("another password")).await.refused(400, "link_invalid");
}

/// A mail scanner, or a stranger whose address an attacker entered, opens the link and has nothing else.
async fn the_link_alone_moves_no_account(ground: Ground) {
    let world = ground.world().await;
    world.account("attacker@example.org").await;
    let jar = world.session("attacker@example.org").await;
    let link = world.change_email_link(&jar, "victim@example.org").await;
    for _ in 0..3 {
        world.send(link.change_email(&Jar::default())).await.refused(401, "not_authenticated");
        world.send(link.change_email_by_post(json!({}))).await.refused(401, "not_authenticated");
        let forged = Jar::of("access_token", "x.y.z");
        world.send(link.change_email(&forged)).await.refused(401, "not_authenticated");
    }
    let answer = world.send(link.change_email(&Jar::default())).await;
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#);
    assert!(answer.set_cookies().is_empty() && world.mails().await.is_empty(), "{answer:?}");
    assert_eq!(log_in(&world, "victim@example.org").await, 401);
    // The victim signs up as everyone does, and owns the account alone.
    world.account("victim@example.org").await;
    let late = world.send(link.change_email(&jar)).await;
    assert_eq!(late.refused(400, "invalid_fields").field("new_email"), ["taken"]);
    assert_eq!(world.me(&world.session("victim@example.org").await).await.json()["email"], "victim@example.org");
}

async fn a_session_of_another_account_confirms_nothing(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let (ada, bob) = (world.session("ada@example.org").await, world.session("bob@example.org").await);
    let link = world.change_email_link(&ada, "new@example.org").await;
    let confirm = |jar: &Jar| link.change_email_by_post(json!({})).jar(jar);
    for call in [link.change_email(&bob), confirm(&bob)] {
        world.send(call).await.refused(401, "not_authenticated");
    }
    world.send(post("logout/").jar(&ada)).await;
    world.send(confirm(&ada)).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&bob).await.status, 200);
    // Nothing was used up.
    let answer = world.send(confirm(&world.session("ada@example.org").await)).await;
    assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (200, 2), "{answer:?}");
    assert_eq!(log_in(&world, "new@example.org").await, 200);
}

async fn a_session_for_enrolment_confirms_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let link = world.change_email_link(&world.session("ada@example.org").await, "new@example.org").await;
    let strict = world.restarted(|config| config.policy.require_second_factor = true).await;
    let enrolling = strict.session("ada@example.org").await;
    strict.send(link.change_email(&enrolling)).await.refused(401, "not_authenticated");
    strict.send(link.change_email_by_post(json!({})).jar(&enrolling)).await.refused(401, "not_authenticated");
}

async fn the_password_confirms_without_a_session(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let link = world.change_email_link(&world.session("ada@example.org").await, "new@example.org").await;
    let wrong = link.change_email_by_post(json!({ "password": "a wrong password" }));
    assert_eq!(world.send(wrong).await.refused(400, "wrong_password").field("password"), ["wrong_password"]);
    let empty = world.send(link.change_email_by_post(json!({ "password": "" }))).await;
    assert_eq!(empty.refused(400, "invalid_fields").field("password"), ["blank"]);
    let answer = world.send(link.change_email_by_password()).await;
    assert_eq!((answer.status.as_u16(), answer.jar()), (200, Jar::default()), "{answer:?}");
    assert_eq!((log_in(&world, "ada@example.org").await, log_in(&world, "new@example.org").await), (401, 200));
}

async fn guesses_at_the_password_of_a_link_are_counted(ground: Ground) {
    let world = ground.world_with(|config| config.policy.timed_limits = true).await;
    world.account("ada@example.org").await;
    let link = world.change_email_link(&world.session("ada@example.org").await, "new@example.org").await;
    for _ in 0..10 {
        let wrong = link.change_email_by_post(json!({ "password": "a wrong password" }));
        world.send(wrong).await.refused(400, "wrong_password");
    }
    world.send(link.change_email_by_password()).await.refused(429, "throttled");
    world.advance(Duration::from_secs(600));
    assert_eq!(world.send(link.change_email_by_password()).await.status, 200);
}

async fn a_second_factor_is_asked_for_beside_the_password(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.advance(Duration::from_secs(30));
    let with = |code: &str| link.change_email_by_post(json!({ "password": PASSWORD, "code": code }));
    let answer = world.send(link.change_email_by_password()).await;
    assert_eq!(answer.refused(400, "invalid_fields").field("code"), ["required"]);
    let wrong =
        link.change_email_by_post(json!({ "password": "a wrong password", "code": authenticator.code(&world) }));
    world.send(wrong).await.refused(400, "wrong_password");
    world.send(with(&authenticator.code_at(&world, 9))).await.refused(400, "invalid_code");
    let backup = &authenticator.backup_codes[0];
    world.send(with(backup)).await.refused(400, "invalid_fields");
    assert_eq!(world.me(&jar).await.status, 200, "nothing changed");
    assert_eq!(world.send(with(&authenticator.code(&world))).await.status, 200);
    world.me(&jar).await.refused(401, "not_authenticated");
    assert_eq!(world.log_in("new@example.org", PASSWORD).await.json()["requires_2fa"], true);
}

async fn a_live_session_is_enough_on_an_account_with_a_second_factor(ground: Ground) {
    let world = ground.world().await;
    let (jar, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
}

/// A corrected typing error: the stranger at the first address can do nothing with its mail.
async fn a_later_request_kills_the_link_of_an_earlier_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let first = world.change_email_link(&jar, "typo@example.org").await;
    let second = world.change_email_link(&jar, "new@example.org").await;
    world.send(first.change_email(&jar)).await.refused(400, "link_spent");
    let again = world.change_email_link(&jar, "new@example.org").await;
    world.send(second.change_email(&jar)).await.refused(400, "link_spent");
    world.send(first.change_email_by_password()).await.refused(400, "link_spent");
    // Of requests that wait together, the mail of the newest alone is sent.
    for to in ["third@example.org", "fourth@example.org", "third@example.org"] {
        assert_eq!(ask(&world, &jar, to).await.status, 200);
    }
    let mails = world.mails().await;
    let to: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.purpose)).collect();
    assert_eq!(to, [("third@example.org", MailPurpose::ChangeEmail)]);
    world.send(again.change_email(&jar)).await.refused(400, "link_spent");
    assert_eq!(world.send(Link::of(&mails[0]).change_email(&jar)).await.status, 200);
    assert_eq!(log_in(&world, "third@example.org").await, 200);
}

/// The stranger who signs up first has no mailbox, so they cannot keep its owner from it.
async fn an_unverified_account_gives_way_to_the_owner_of_the_mailbox(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.sign_up("new@example.org", "the squatter's password").await;
    let squatters = world.link("new@example.org", MailPurpose::VerifyEmail).await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.events.take();
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::UnverifiedGaveWay { .. })), "{events:?}");
    assert_eq!(log_in(&world, "new@example.org").await, 200);
    world.send(squatters.verify()).await.refused(400, "link_invalid");
    world.log_in("new@example.org", "the squatter's password").await.refused(401, "invalid_credentials");
    // One that signs up after the mail was sent gives way, too.
    let jar = world.session("new@example.org").await;
    let link = world.change_email_link(&jar, "other@example.org").await;
    world.sign_up("other@example.org", "the squatter's password").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    assert_eq!(log_in(&world, "other@example.org").await, 200);
}

async fn an_account_that_gave_way_blocks_no_username(ground: Ground) {
    let world = ground.world_with(|config| config.policy.usernames = true).await;
    let sign_up = |email: &str, username: &str| {
        post("signup/").json(json!({ "email": email, "password": PASSWORD, "username": username }))
    };
    assert_eq!(world.send(sign_up("new@example.org", "grace")).await.status, 201, "a stranger's");
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    world.mails().await;
    assert_eq!(world.send(sign_up("grace@example.org", "grace")).await.status, 201, "the name is free");
    let link = world.link("grace@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    let by_name = post("login/").json(json!({ "username": "grace", "password": PASSWORD }));
    assert_eq!(world.send(by_name).await.status, 200);
}

async fn django_never_refuses_an_address_for_an_unverified_account(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let body = json!({
        "email": "new@example.org", "username": "squatter", "password": PASSWORD, "confirm_password": PASSWORD,
    });
    assert_eq!(world.send(post("signup/").json(body)).await.status, 201);
    world.mails().await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    assert_eq!(log_in(&world, "new@example.org").await, 200);
}

/// Its owner can take the change back, so the address is not free for as long.
async fn an_address_that_an_account_left_is_kept_from_others(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let unknown = world.sign_up("unknown@example.org", "a stranger's password").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    world.mails().await;
    world.events.take();

    // A sign-up: the same answer, no account, and a mail that says so.
    let answer = world.sign_up("ada@example.org", "a stranger's password").await;
    assert_eq!((answer.status, &answer.headers, &answer.body), (unknown.status, &unknown.headers, &unknown.body));
    let events = world.events.take();
    assert!(matches!(events[..], [Event::FormerEmailWanted { .. }]), "{events:?}");
    let told = |mails: Vec<auth_system::auth_core::testing::SentMail>| -> Vec<_> {
        mails.into_iter().map(|mail| (mail.to, mail.purpose, mail.link.is_some())).collect()
    };
    let reserved = [("ada@example.org".to_owned(), MailPurpose::AddressReserved, false)];
    assert_eq!(told(world.mails().await), reserved);
    world.log_in("ada@example.org", "a stranger's password").await.refused(401, "invalid_credentials");
    // A change of address to it.
    let bob = world.session("bob@example.org").await;
    assert_eq!(ask(&world, &bob, "ada@example.org").await.status, 200);
    assert_eq!(told(world.mails().await), reserved);

    // Its owner may come back.
    let jar = world.session("new@example.org").await;
    let link = world.change_email_link(&jar, "ada@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    // And when the time is over, so may others.
    world.advance(Duration::from_secs(3 * 24 * 60 * 60 - 1));
    world.sign_up("ada@example.org", PASSWORD).await;
    assert!(world.mails().await.iter().all(|mail| mail.purpose != MailPurpose::VerifyEmail));
    world.advance(Duration::from_secs(62));
    assert_eq!(world.auth.system().purge_former_emails().await.unwrap(), 2);
    assert_eq!(world.auth.system().purge_former_emails().await.unwrap(), 0);
    world.account("ada@example.org").await;
}

/// A link that was mailed before the address was left proves nothing against its owner.
async fn no_older_link_takes_an_address_that_an_account_left(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    // An account that an operator makes there, unverified, waits as well.
    let account = NewAccount { email: "ada@example.org", password: Some(PASSWORD), ..NewAccount::default() };
    world.auth.admin().create_user(account).await.unwrap();
    world.mails().await;
    world.send(post("resend-verification/").json(json!({ "email": "ada@example.org" }))).await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let mails = world.mails().await;
    let link = |purpose| Link::of(mails.iter().find(|mail| mail.purpose == purpose).unwrap());
    world.send(link(MailPurpose::VerifyEmail).verify()).await.refused(400, "link_invalid");
    world.send(link(MailPurpose::VerifyEmail).verify_by_post()).await.refused(400, "link_invalid");
    world.send(link(MailPurpose::ResetPassword).set_password("another password")).await.refused(400, "link_invalid");
    assert_eq!(log_in(&world, "ada@example.org").await, 401);
}

async fn an_account_that_is_deleted_keeps_no_address(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    assert_eq!(world.send(link.change_email(&jar)).await.status, 200);
    let jar = world.session("new@example.org").await;
    let user = UserId::parse(claims(jar.access())["sub"].as_str().unwrap()).unwrap();
    world.auth.admin().delete(&user).await.unwrap();
    world.mails().await;
    world.account("ada@example.org").await;
}

async fn both_addresses_are_told(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.send(link.change_email(&jar)).await;
    let mut told: Vec<_> =
        world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose, mail.link.is_some())).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("ada@example.org".to_owned(), MailPurpose::EmailChanged, true),
        ("new@example.org".to_owned(), MailPurpose::EmailConfirmed, false),
    ];
    assert_eq!(told, expected);
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::EmailChanged { .. })), "{events:?}");
}

async fn the_answer_is_the_same_for_every_address(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    world.sign_up("unverified@example.org", PASSWORD).await;
    world.mails().await;
    let jar = world.session("ada@example.org").await;
    let free = ask(&world, &jar, "free@example.org").await;
    let mut mails = world.mails().await;
    for taken in ["bob@example.org", "ada@example.org", "unverified@example.org"] {
        let answer = ask(&world, &jar, taken).await;
        assert_eq!((answer.status, &answer.headers, &answer.body), (free.status, &free.headers, &free.body), "{taken}");
        // Before the next request, which replaces this one.
        mails.extend(world.mails().await);
    }
    let mut mails: Vec<_> = mails.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    mails.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("bob@example.org", MailPurpose::EmailTaken),
        ("free@example.org", MailPurpose::ChangeEmail),
        ("unverified@example.org", MailPurpose::ChangeEmail),
    ];
    assert_eq!(mails, expected.map(|(to, purpose)| (to.to_owned(), purpose)));
}

async fn django_tells_that_an_address_is_taken(ground: Ground) {
    let world = ground.django().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let jar = world.session("ada@example.org").await;
    for taken in ["BOB@example.org", "ada@example.org"] {
        let answer = ask(&world, &jar, taken).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["new_email"], json!(["This email is already in use."]));
    }
    let bad = ask(&world, &jar, "no address").await;
    assert_eq!(bad.json()["new_email"], json!(["Enter a valid email address."]));
    assert!(world.mails().await.is_empty());
    let link = world.change_email_link(&jar, "new@example.org").await;
    let no_token = world.send(call(Method::GET, "change-email-confirm/?uid=x")).await;
    assert_eq!((no_token.status.as_u16(), &no_token.json()["error"]), (400, &json!("Missing parameters.")));
    let forged = Link { token: format!("{}A", link.token), ..link.clone() };
    let forged = world.send(forged.change_email(&jar)).await;
    assert_eq!((forged.status.as_u16(), &forged.json()["error"]), (400, &json!("Invalid or expired token.")));
    world.advance(Duration::from_secs(3600));
    let late = world.send(link.change_email(&jar)).await;
    assert_eq!(late.json()["error"], json!("Verification session expired. Please request again."));
}

async fn a_login_long_ago_needs_the_password(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.advance(Duration::from_secs(899));
    let jar = world.refresh(&jar).await.jar();
    world.advance(Duration::from_secs(1));
    assert_eq!(ask(&world, &jar, "new@example.org").await.status, 200, "fifteen minutes are recent");
    world.mails().await;
    world.advance(Duration::from_secs(1));
    // Neither a refresh nor another session's login makes this one recent.
    let jar = world.refresh(&jar).await.jar();
    world.session("ada@example.org").await;
    ask(&world, &jar, "new@example.org").await.refused(403, "reauthentication_required");
    assert!(world.mails().await.is_empty());
    let body = json!({ "new_email": "new@example.org", "password": PASSWORD });
    assert_eq!(world.send(post("change-email/").jar(&jar).json(body)).await.status, 200);
    world.link("new@example.org", MailPurpose::ChangeEmail).await;
}

async fn a_password_that_is_sent_must_be_right(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let body = json!({ "new_email": "new@example.org", "password": "a wrong password" });
    let answer = world.send(post("change-email/").jar(&jar).json(body)).await;
    assert_eq!(answer.refused(400, "wrong_password").field("password"), ["wrong_password"]);
    assert!(world.mails().await.is_empty());
}

async fn a_link_is_for_its_account_and_address_alone(ground: Ground) {
    let world = ground.world().await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.account(email).await;
    }
    let (ada, bob) = (world.session("ada@example.org").await, world.session("bob@example.org").await);
    // Both want the same address: each gets a link of their own, and each reads their own mail only.
    assert_eq!(ask(&world, &ada, "new@example.org").await.status, 200);
    assert_eq!(ask(&world, &bob, "new@example.org").await.status, 200);
    let links: Vec<_> = world.mails().await.iter().map(Link::of).collect();
    assert_eq!(links.len(), 2);
    let mixed = Link { uid: links[0].uid.clone(), token: links[1].token.clone() };
    world.send(mixed.change_email(&ada)).await.refused(400, "link_invalid");
    world.send(links[0].verify()).await.refused(400, "link_invalid");
    world.send(links[0].set_password("another password")).await.refused(400, "link_invalid");
    world.send(links[0].not_me()).await.refused(400, "link_invalid");
    let confirm =
        async |jar: &Jar| (world.send(links[0].change_email(jar)).await, world.send(links[1].change_email(jar)).await);
    // Which link is whose is told by the session that it takes.
    let (first, second) = confirm(&ada).await;
    assert_eq!([first.status, second.status].iter().filter(|status| status.as_u16() == 200).count(), 1);
    let (first, second) = confirm(&bob).await;
    let late = if first.json()["code"] == "link_spent" { second } else { first };
    assert_eq!(late.refused(400, "invalid_fields").field("new_email"), ["taken"]);
}

async fn a_link_ends_with_its_time(ground: Ground) {
    let world = ground.world_with(|config| config.policy.change_email_link_lifetime = Duration::from_secs(120)).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let first = world.change_email_link(&jar, "first@example.org").await;
    world.advance(Duration::from_secs(119));
    assert_eq!(world.send(first.change_email(&jar)).await.status, 200);
    let jar = world.session("first@example.org").await;
    let second = world.change_email_link(&jar, "second@example.org").await;
    world.advance(Duration::from_secs(120));
    world.send(second.change_email(&jar)).await.refused(400, "link_spent");
    // A mail that was under way for long is no less useful.
    world.mailer.set_down(true);
    ask(&world, &jar, "third@example.org").await;
    world.mails().await;
    world.mailer.set_down(false);
    world.advance(Duration::from_secs(600));
    let third = world.link("third@example.org", MailPurpose::ChangeEmail).await;
    assert_eq!(world.send(third.change_email(&jar)).await.status, 200);
}

async fn an_address_that_was_taken_meanwhile_stays_with_its_owner(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.account("new@example.org").await;
    let answer = world.send(link.change_email(&jar)).await;
    assert_eq!(answer.refused(400, "invalid_fields").field("new_email"), ["taken"]);
    assert_eq!(world.me(&jar).await.status, 200, "nothing changed");
    // What was announced did not come about: nobody is told.
    assert!(world.mails().await.is_empty());
    world.advance(Duration::from_secs(61));
    assert!(world.mails().await.is_empty());
}

async fn nobody_but_the_reader_of_the_mail_confirms(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    let confirm = link.change_email(&jar);
    let head = call(Method::HEAD, &confirm.path).jar(&jar);
    assert_eq!(world.send(head).await.status, 204);
    for (name, value) in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        world.send(confirm.clone().header(name, value)).await.refused(403, "prefetch_refused");
    }
    assert_eq!(world.me(&jar).await.status, 200);
    let ignored = call(Method::GET, &format!("{}&new_email=mallory@example.org", confirm.path)).jar(&jar);
    assert_eq!(world.send(ignored).await.status, 200);
    assert_eq!((log_in(&world, "mallory@example.org").await, log_in(&world, "new@example.org").await), (401, 200));
}

async fn the_target_is_in_no_link(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&link.token).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("new@"), "{bytes:?}");
    for stored in [&link.token, &link.uid] {
        assert!(!stored.contains('@'));
    }
}
