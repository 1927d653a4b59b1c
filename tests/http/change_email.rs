use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose};
use http::Method;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Ground, Jar, Link, PASSWORD, World, call, post};

scenarios![
    only_the_link_moves_the_account,
    everything_of_the_account_dies,
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

    let answer = world.send(link.change_email()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Email updated successfully." })));
    assert!(answer.set_cookies().is_empty(), "a link does not log in");
    assert_eq!((log_in(&world, "ada@example.org").await, log_in(&world, "new@example.org").await), (401, 200));
    let me = world.me(&world.session("new@example.org").await).await.json();
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("New@example.org"), &json!(true)));
    world.send(link.change_email()).await.refused(400, "link_spent");
    // The address is free again.
    world.account("ada@example.org").await;
}

async fn everything_of_the_account_dies(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    let other = world.change_email_link(&jar, "other@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(link.change_email()).await.status, 200);
    world.me(&jar).await.refused(401, "not_authenticated");
    world.refresh(&jar).await.refused(401, "refresh_invalid");
    world.send(other.change_email()).await.refused(400, "link_spent");
    world.send(reset.set_password("another password")).await.refused(400, "link_invalid");
}

async fn both_addresses_are_told(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.send(link.change_email()).await;
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
    for taken in ["bob@example.org", "ada@example.org", "unverified@example.org"] {
        let answer = ask(&world, &jar, taken).await;
        assert_eq!((answer.status, &answer.headers, &answer.body), (free.status, &free.headers, &free.body), "{taken}");
    }
    let mut mails: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    mails.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("bob@example.org", MailPurpose::EmailTaken),
        ("free@example.org", MailPurpose::ChangeEmail),
        ("unverified@example.org", MailPurpose::EmailTaken),
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
    let forged = world.send(forged.change_email()).await;
    assert_eq!((forged.status.as_u16(), &forged.json()["error"]), (400, &json!("Invalid or expired token.")));
    world.advance(Duration::from_secs(3600));
    let late = world.send(link.change_email()).await;
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
    world.send(mixed.change_email()).await.refused(400, "link_invalid");
    world.send(links[0].verify()).await.refused(400, "link_invalid");
    world.send(links[0].set_password("another password")).await.refused(400, "link_invalid");
    world.send(links[0].not_me()).await.refused(400, "link_invalid");
    assert_eq!(world.send(links[0].change_email()).await.status, 200);
    let late = world.send(links[1].change_email()).await;
    assert_eq!(late.refused(400, "invalid_fields").field("new_email"), ["taken"]);
}

async fn a_link_ends_with_its_time(ground: Ground) {
    let world = ground.world_with(|config| config.policy.change_email_link_lifetime = Duration::from_secs(120)).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let (first, second) = (
        world.change_email_link(&jar, "first@example.org").await,
        world.change_email_link(&jar, "second@example.org").await,
    );
    world.advance(Duration::from_secs(119));
    assert_eq!(world.send(first.change_email()).await.status, 200);
    let jar = world.session("first@example.org").await;
    let third = world.change_email_link(&jar, "third@example.org").await;
    world.advance(Duration::from_secs(120));
    world.send(second.change_email()).await.refused(400, "link_spent");
    world.send(third.change_email()).await.refused(400, "link_spent");
}

async fn an_address_that_was_taken_meanwhile_stays_with_its_owner(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let link = world.change_email_link(&jar, "new@example.org").await;
    world.account("new@example.org").await;
    let answer = world.send(link.change_email()).await;
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
    let confirm = link.change_email();
    let head = call(Method::HEAD, &confirm.path);
    assert_eq!(world.send(head).await.status, 204);
    for (name, value) in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        world.send(confirm.clone().header(name, value)).await.refused(403, "prefetch_refused");
    }
    assert_eq!(world.me(&jar).await.status, 200);
    let ignored = call(Method::GET, &format!("{}&new_email=mallory@example.org", confirm.path));
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
