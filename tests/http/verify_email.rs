use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose};
use http::Method;
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, Link, PASSWORD, call, get, post};

scenarios![
    a_link_proves_the_mailbox_once,
    a_link_is_good_for_its_own_account_and_time_only,
    what_is_missing_and_what_is_wrong_are_told_apart,
    looking_ahead_uses_no_link_up,
    resending_answers_the_same_for_every_address,
    an_unverified_login_asks_for_the_mailbox_again,
    django_speaks_of_links_in_its_own_shape,
];

async fn a_link_proves_the_mailbox_once(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.events.take();
    let answer = world.send(link.verify()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "detail": "Account verified successfully." })));
    assert!(answer.set_cookies().is_empty(), "verifying does not log in");
    assert!(matches!(world.events.take()[..], [Event::EmailVerified { .. }]));
    world.send(link.verify()).await.refused(400, "already_verified");
    assert_eq!(world.events.take(), []);
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
}

async fn a_link_is_good_for_its_own_account_and_time_only(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let adas = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.sign_up("bob@example.org", PASSWORD).await;
    let bobs = world.link("bob@example.org", MailPurpose::VerifyEmail).await;

    world.send(Link { uid: bobs.uid.clone(), token: adas.token.clone() }.verify()).await.refused(400, "link_invalid");
    world.advance(Duration::from_secs(3 * 24 * 3600 - 1));
    assert_eq!(world.send(adas.verify()).await.status, 200);
    world.advance(Duration::from_secs(1));
    world.send(bobs.verify()).await.refused(400, "link_invalid");
    world.log_in("bob@example.org", PASSWORD).await.refused(401, "invalid_credentials");
}

async fn what_is_missing_and_what_is_wrong_are_told_apart(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let Link { uid, token } = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    for missing in ["", "?", "?uid=", "?token=x", "?uid=x&token=", &format!("?uid={uid}&uid={uid}&token={token}")] {
        world.send(get(&format!("verify-account/{missing}"))).await.refused(400, "link_incomplete");
    }
    let upper = token.to_uppercase();
    let padded = format!("{token}=");
    let swapped = token.replacen('-', ".", 1);
    for (uid, token) in [
        (uid.as_str(), "x"),
        (&uid, &token[..token.len() - 1]),
        (&uid, &upper),
        (&uid, &padded),
        (&uid, &swapped),
        (&uid, &format!("0{token}")),
        (&uid, "%00"),
        ("x", &token),
        ("%FF%FE", &token),
        (&format!("{uid}="), &token),
        ("bm9ib2R5", &token),
    ] {
        let answer = world.send(get(&format!("verify-account/?uid={uid}&token={token}"))).await;
        answer.refused(400, "link_invalid");
    }
}

async fn looking_ahead_uses_no_link_up(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    world.events.take();
    for method in [Method::HEAD, Method::OPTIONS] {
        let answer = world.send(call(method, &link.verify().path)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    for (name, value) in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")] {
        world.send(link.verify().header(name, value)).await.refused(403, "prefetch_refused");
    }
    assert_eq!(world.events.take(), []);
    assert_eq!(world.send(link.verify()).await.status, 200);
}

async fn resending_answers_the_same_for_every_address(ground: Ground) {
    let world = ground.world().await;
    world.account("verified@example.org").await;
    world.sign_up("waiting@example.org", PASSWORD).await;
    world.mails().await;
    let mut answers = Vec::new();
    for email in ["verified@example.org", "waiting@example.org", "unknown@example.org"] {
        let answer = world.send(post("resend-verification/").json(json!({ "email": email }))).await;
        answers.push((answer.status.as_u16(), answer.headers.clone(), answer.body.clone()));
    }
    assert_eq!(answers[0].0, 200);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "waiting@example.org");
    let answer = world.send(post("resend-verification/").json(json!({ "email": "x" }))).await;
    assert_eq!(answer.field("email"), ["invalid_email"]);
}

async fn an_unverified_login_asks_for_the_mailbox_again(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    world.mails().await;
    world.log_in("ada@example.org", "not the password").await.refused(401, "invalid_credentials");
    assert_eq!(world.mails().await, [], "only who knows the password gets a mail sent");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
}

async fn django_speaks_of_links_in_its_own_shape(ground: Ground) {
    let world = ground.django().await;
    let body = json!({ "email": "a@example.org", "username": "a", "password": PASSWORD, "confirm_password": PASSWORD });
    world.send(post("signup/").json(body)).await;
    let link = world.link("a@example.org", MailPurpose::VerifyEmail).await;
    let missing = world.send(get("verify-account/")).await;
    assert_eq!(missing.json(), json!({ "error": "Missing uid or token.", "code": "link_incomplete" }));
    let wrong = world.send(get("verify-account/?uid=MQ&token=dicxjx-fe0921")).await;
    assert_eq!(wrong.json(), json!({ "error": "Invalid or expired token.", "code": "link_invalid" }));
    assert_eq!(world.send(link.verify()).await.json(), json!({ "detail": "Account verified successfully." }));
    let again = world.send(link.verify()).await;
    assert_eq!(again.json(), json!({ "detail": "This account is already verified.", "code": "already_verified" }));
}
