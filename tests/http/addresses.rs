//! Addresses of all scripts: found by every spelling, mailed by the one that was verified.

use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use crate::scenarios;
use crate::world::{Ground, PASSWORD, post};

scenarios![
    an_owner_in_any_script_signs_up_and_logs_in,
    every_spelling_logs_in_and_none_makes_a_second_account,
    a_stranger_moves_no_mail_to_another_spelling,
];

async fn an_owner_in_any_script_signs_up_and_logs_in(ground: Ground) {
    let world = ground.world().await;
    for email in
        ["हिन्दी@example.org", "மு.கண்ணன்@example.org", "น้ำ@example.org", "nguyễn@example.org", "علی٢@example.org"]
    {
        let answer = world.sign_up(email, PASSWORD).await;
        assert_eq!(answer.status, 201, "{email}: {answer:?}");
        let link = world.link(email, MailPurpose::VerifyEmail).await;
        assert_eq!(world.send(link.verify()).await.status, 200);
        let me = world.me(&world.session(email).await).await;
        assert_eq!(me.json()["email"], json!(email));
    }
    for hidden in ["a\u{202e}da@example.org", "a\u{200b}da@example.org", "\u{301}ada@example.org"] {
        world.sign_up(hidden, PASSWORD).await.refused(400, "invalid_fields");
    }
}

async fn every_spelling_logs_in_and_none_makes_a_second_account(ground: Ground) {
    let world = ground.world().await;
    let typed = "Zoë.Straße@Example.org";
    assert_eq!(world.sign_up(typed, PASSWORD).await.status, 201);
    let link = world.link("Zoë.Straße@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.send(link.verify()).await.status, 200);
    for spelling in [typed, "zoë.straße@example.org", "ZOË.STRASSE@EXAMPLE.ORG", "zoe\u{308}.strasse@example.org"] {
        let jar = world.session(spelling).await;
        assert_eq!(world.me(&jar).await.json()["email"], json!("Zoë.Straße@example.org"), "{spelling}");
        assert_eq!(world.sign_up(spelling, "another horse battery").await.status, 201);
    }
    let mails = world.mails().await;
    assert!(
        mails
            .iter()
            .all(|mail| (mail.to.as_str(), mail.purpose) == ("Zoë.Straße@example.org", MailPurpose::AccountExists))
    );
    assert!(!mails.is_empty(), "the owner is told");
    // The authenticator shows the spelling that the owner typed.
    let jar = world.session(typed).await;
    let uri = world.send(post("2fa/setup/").jar(&jar).json(json!({}))).await.json()["otpauth_uri"].clone();
    assert!(uri.as_str().unwrap().contains("Zo%C3%AB.Stra%C3%9Fe%40example.org"), "{uri}");
}

async fn a_stranger_moves_no_mail_to_another_spelling(ground: Ground) {
    let world = ground.world().await;
    world.account("straße@example.org").await;
    // Another mailbox, for all that a mail server knows.
    let stranger = "strasse@example.org";
    for path in ["password-reset/", "resend-verification/"] {
        assert_eq!(world.send(post(path).json(json!({ "email": stranger }))).await.status, 200);
    }
    assert_eq!(world.sign_up(stranger, "another horse battery").await.status, 201);
    let mails = world.mails().await;
    assert!(mails.iter().any(|mail| mail.purpose == MailPurpose::ResetPassword), "{mails:?}");
    assert!(mails.iter().all(|mail| mail.to == "straße@example.org"), "{mails:?}");
    // Before the mailbox was proven, the newest sign-up names the spelling that can prove it.
    assert_eq!(world.sign_up("masse@example.org", "a stranger's password").await.status, 201);
    let strangers = world.link("masse@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(world.sign_up("maße@example.org", PASSWORD).await.status, 201);
    let owners = world.link("maße@example.org", MailPurpose::SetPassword).await;
    assert_eq!(world.send(strangers.verify()).await.status, 400, "the stranger's link died");
    assert_eq!(world.send(owners.set_password("the owner's password")).await.status, 200);
    let me = world.me(&world.log_in("masse@example.org", "the owner's password").await.jar()).await;
    assert_eq!(me.json()["email"], json!("maße@example.org"));
}
