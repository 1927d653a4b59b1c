//! Setting up, enabling and disabling two-factor login, and its backup codes.

use std::time::Duration;

use auth_system::auth_core::port::UserKey;
use auth_system::auth_core::port::{Event, MailPurpose};
use auth_system::auth_core::types::UserId;
use auth_system::config::Profile;
use base64::Engine as _;
use serde_json::json;

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, PASSWORD, World, claims, get, post};

scenarios![
    set_up_shows_secret_uri_and_qr_code,
    enabling_ends_every_session_but_the_callers_new_one,
    a_secret_counts_for_the_session_that_asked_for_it,
    each_set_up_replaces_the_one_before,
    refusals_come_in_the_contracts_order,
    a_login_long_ago_needs_the_password,
    disabling_needs_password_and_code,
    backup_codes_are_shown_once,
    regenerating_voids_the_old_codes,
    who_did_not_replace_the_codes_takes_the_password_away,
    the_notice_of_new_codes_outlives_the_sessions,
    who_did_not_turn_it_on_takes_it_back,
    an_operator_takes_lost_factors_off,
    codes_are_limited_where_they_are_asked_for,
    a_wrong_code_counts_in_every_spelling,
];

/// The text of a QR code, read by a decoder that is not ours.
fn decode_qr(file: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (frame.width as usize, frame.height as usize);
    let white = |x: usize, y: usize| (pixels[y * frame.line_size + x / 8] >> (7 - x % 8)) & 1 == 1;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| if white(x, y) { 255 } else { 0 });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

async fn set_up(world: &World, jar: &Jar) -> Answer {
    world.send(post("2fa/setup/").jar(jar).json(json!({}))).await
}

async fn enable(world: &World, jar: &Jar, code: &str) -> Answer {
    world.send(post("2fa/enable/").jar(jar).json(json!({ "code": code }))).await
}

async fn disable(world: &World, jar: &Jar, password: &str, code: &str) -> Answer {
    world.send(post("2fa/disable/").jar(jar).json(json!({ "password": password, "code": code }))).await
}

async fn set_up_shows_secret_uri_and_qr_code(ground: Ground) {
    let world = ground.world_with(|config| config.policy.totp_issuer = "My Shop & Co".into()).await;
    world.account("ada+x@example.org").await;
    let jar = world.session("ada+x@example.org").await;
    let answer = set_up(&world, &jar).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let secret = body["secret"].as_str().unwrap();
    assert_eq!(data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap().len(), 20);
    let uri = format!(
        "otpauth://totp/My%20Shop%20%26%20Co:ada%2Bx%40example.org?secret={secret}&issuer=My%20Shop%20%26%20Co"
    );
    assert_eq!(body["otpauth_uri"], uri);
    // Another program reads it.
    let png = base64::engine::general_purpose::STANDARD.decode(body["qr_code"].as_str().unwrap()).unwrap();
    assert_eq!(decode_qr(&png), uri);
    assert!(body["qr_svg"].as_str().unwrap().contains("<svg"));
    assert_ne!(set_up(&world, &jar).await.json()["secret"], body["secret"]);
}

async fn enabling_ends_every_session_but_the_callers_new_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (mine, other) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let authenticator = Authenticator::set_up(&world, &mine).await;
    let answer = enable(&world, &mine, &authenticator.code(&world)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (200, &json!("Two-factor authentication enabled.")));
    for jar in [&mine, &other] {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
    let new = answer.jar();
    assert_eq!(world.me(&new).await.status, 200);
    assert_eq!(claims(new.access())["amr"], json!(["pwd", "otp", "mfa"]));
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert_eq!(mails, [("ada@example.org".to_owned(), MailPurpose::TwoFactorEnabled)]);
    let events = world.events.take();
    assert!(events.iter().any(|event| matches!(event, Event::TwoFactorEnabled { .. })), "{events:?}");
    enable(&world, &new, &authenticator.code_at(&world, 1)).await.refused(400, "two_factor_enabled");
    set_up(&world, &new).await.refused(400, "two_factor_enabled");
}

async fn a_secret_counts_for_the_session_that_asked_for_it(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (mine, other) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let authenticator = Authenticator::set_up(&world, &mine).await;
    let code = authenticator.code(&world);
    enable(&world, &other, &code).await.refused(400, "two_factor_not_set_up");
    world.advance(Duration::from_secs(600));
    enable(&world, &mine, &authenticator.code(&world)).await.refused(400, "two_factor_not_set_up");
    let authenticator = Authenticator::set_up(&world, &mine).await;
    world.change_password(&other, PASSWORD, "another password").await;
    enable(&world, &mine, &authenticator.code(&world)).await.refused(401, "not_authenticated");
}

async fn each_set_up_replaces_the_one_before(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let (first, second) = (Authenticator::set_up(&world, &jar).await, Authenticator::set_up(&world, &jar).await);
    enable(&world, &jar, &first.code(&world)).await.refused(400, "invalid_code");
    assert_eq!(enable(&world, &jar, &second.code(&world)).await.status, 200);
}

async fn refusals_come_in_the_contracts_order(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let send = async |path: &str, body| world.send(post(path).jar(&jar).json(body)).await;
    let unset =
        json!({ "detail": "Call /auth/2fa/setup/ first to generate a TOTP secret.", "code": "two_factor_not_set_up" });
    assert_eq!(send("2fa/enable/", json!({})).await.json(), unset);
    let off = json!({ "detail": "Two-factor authentication is not enabled.", "code": "two_factor_disabled" });
    assert_eq!(send("2fa/disable/", json!({})).await.json(), off);
    assert_eq!(send("2fa/backup-codes/", json!({})).await.json(), off);
    assert_eq!(world.send(get("2fa/backup-codes/").jar(&jar)).await.json(), off);
    let authenticator = Authenticator::set_up(&world, &jar).await;
    for (code, text) in [
        (json!("12345"), "Ensure this field has at least 6 characters."),
        (json!("1234567"), "Ensure this field has no more than 6 characters."),
        (json!(""), "This field may not be blank."),
        (json!(null), "This field may not be null."),
        (json!(true), "Not a valid string."),
        (json!(["123456"]), "Not a valid string."),
    ] {
        assert_eq!(
            send("2fa/enable/", json!({ "code": code })).await.json()["code"],
            json!([text]).to_owned(),
            "{code}"
        );
    }
    let malformed = send("2fa/enable/", json!({ "code": "abcdef" })).await;
    assert_eq!(
        malformed.json()["code"],
        json!(["Enter the six digits that your authenticator shows, or a backup code of eight letters and digits."])
    );
    let wrong = send("2fa/enable/", json!({ "code": "000000" })).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["detail"]), (400, &json!("Invalid or expired 2FA code.")));
    // A number stands for its digits.
    let mut steps = 0;
    while authenticator.code_at(&world, steps).starts_with('0') {
        world.advance(Duration::from_secs(30));
        steps = 0;
    }
    let number: u32 = authenticator.code_at(&world, steps).parse().unwrap();
    assert_eq!(send("2fa/enable/", json!({ "code": number })).await.status, 200);
}

async fn a_login_long_ago_needs_the_password(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.advance(Duration::from_secs(899));
    let jar = world.refresh(&jar).await.jar();
    world.advance(Duration::from_secs(2));
    set_up(&world, &jar).await.refused(403, "reauthentication_required");
    let send =
        async |password: &str| world.send(post("2fa/setup/").jar(&jar).json(json!({ "password": password }))).await;
    send("a wrong password").await.refused(400, "wrong_password");
    let answer = send(PASSWORD).await;
    assert_eq!(answer.status, 200);
    let authenticator =
        Authenticator { secret: answer.json()["secret"].as_str().unwrap().into(), backup_codes: Vec::new() };
    // Who gave the password for the set-up need not give it again for its other half.
    assert_eq!(enable(&world, &jar, &authenticator.code(&world)).await.status, 200);
}

async fn disabling_needs_password_and_code(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    world.advance(Duration::from_secs(30));
    let code = authenticator.code(&world);
    disable(&world, &jar, "a wrong password", &code).await.refused(401, "invalid_credentials");
    disable(&world, &jar, PASSWORD, "000000").await.refused(400, "invalid_code");
    let backup = &authenticator.backup_codes[0];
    let body = json!({ "password": PASSWORD, "code": backup });
    world.send(post("2fa/disable/").jar(&jar).json(body)).await.refused(400, "invalid_fields");
    let answer = disable(&world, &jar, PASSWORD, &code).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "detail": "Two-factor authentication disabled." }))
    );
    world.me(&jar).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&answer.jar()).await.status, 200);
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.json()["detail"], "Login successful.");
    let mails: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
    assert_eq!(mails, [MailPurpose::TwoFactorDisabled]);
    disable(&world, &answer.jar(), PASSWORD, &code).await.refused(400, "two_factor_disabled");
}

async fn backup_codes_are_shown_once(ground: Ground) {
    let world = ground.world_with(|config| config.policy.backup_codes = 7).await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    assert_eq!(authenticator.backup_codes.len(), 7);
    for code in &authenticator.backup_codes {
        assert!(
            code.len() == 8 && code.bytes().all(|byte| b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789".contains(&byte)),
            "{code}"
        );
    }
    let shown = world.send(get("2fa/backup-codes/").jar(&jar)).await;
    assert_eq!(
        (shown.status.as_u16(), shown.json()),
        (200, json!({ "backup_codes": vec!["********"; 7], "count": 7 }))
    );
}

async fn regenerating_voids_the_old_codes(ground: Ground) {
    let world = ground.world().await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    let send = async |password: &str| {
        world.send(post("2fa/backup-codes/").jar(&jar).json(json!({ "password": password }))).await
    };
    send("a wrong password").await.refused(401, "invalid_credentials");
    let answer = send(PASSWORD).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (200, &json!("Backup codes regenerated.")));
    let new: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
    assert_eq!(new.len(), 10);
    let token = world.log_in("ada@example.org", PASSWORD).await.json()["session_token"].clone();
    let verify = async |code: &str| {
        world.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
    };
    verify(&authenticator.backup_codes[0]).await.refused(400, "invalid_code");
    assert_eq!(verify(&new[0]).await.status, 200);
}

/// A thief with a session and the password, and without the authenticator.
async fn who_did_not_replace_the_codes_takes_the_password_away(ground: Ground) {
    let world = ground.world().await;
    let (thief, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    let send = async |password: &str| {
        world.send(post("2fa/backup-codes/").jar(&thief).json(json!({ "password": password }))).await
    };
    send("a wrong password").await.refused(401, "invalid_credentials");
    assert!(world.mails().await.is_empty(), "nothing was replaced");
    let codes = send(PASSWORD).await.json()["backup_codes"].clone();
    let link = world.link("ada@example.org", MailPurpose::BackupCodesReplaced).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.me(&thief).await.refused(401, "not_authenticated");
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);

    // The owner still has the authenticator, and voids what the thief knows.
    world.advance(Duration::from_secs(30));
    let login = world.log_in("ada@example.org", "a fresh password").await.json();
    let second = async |code: &str| {
        let body = json!({ "session_token": login["session_token"], "code": code });
        world.send(post("2fa/verify-login/").json(body)).await
    };
    let owner = second(&authenticator.code(&world)).await;
    assert_eq!(owner.status, 200);
    let again = post("2fa/backup-codes/").jar(&owner.jar()).json(json!({ "password": "a fresh password" }));
    assert_eq!(world.send(again).await.status, 200);
    let login = world.log_in("ada@example.org", "a fresh password").await.json();
    let body = json!({ "session_token": login["session_token"], "code": codes[0] });
    world.send(post("2fa/verify-login/").json(body)).await.refused(400, "invalid_code");
}

/// A thief may end them all by another change, or an operator who suspects something.
async fn the_notice_of_new_codes_outlives_the_sessions(ground: Ground) {
    let world = ground.world().await;
    let (jar, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    let answer = world.send(post("2fa/backup-codes/").jar(&jar).json(json!({ "password": PASSWORD }))).await;
    assert_eq!(answer.status, 200);
    let user = UserId::parse(claims(jar.access())["sub"].as_str().unwrap()).unwrap();
    world.auth.admin().end_sessions(&user).await.unwrap();
    let link = world.link("ada@example.org", MailPurpose::BackupCodesReplaced).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
}

/// A thief with a session and the password turns it on: the owner's notice takes the thief's factor off again.
async fn who_did_not_turn_it_on_takes_it_back(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let thief = world.session("ada@example.org").await;
    let authenticator = Authenticator::set_up(&world, &thief).await;
    let thief = enable(&world, &thief, &authenticator.code(&world)).await.jar();
    let link = world.link("ada@example.org", MailPurpose::TwoFactorEnabled).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    world.me(&thief).await.refused(401, "not_authenticated");
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    let login = world.log_in("ada@example.org", "a fresh password").await;
    assert_eq!(login.json()["detail"], "Login successful.");

    // A factor that was there before stays: a notice of something else is no way around it.
    let (jar, _) = Authenticator::enrolled(&world, "bob@example.org").await;
    world.change_password(&jar, PASSWORD, "another password").await;
    let link = world.link("bob@example.org", MailPurpose::PasswordChanged).await;
    assert_eq!(world.send(link.not_me()).await.status, 200);
    let reset = world.link("bob@example.org", MailPurpose::ResetPassword).await;
    assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
    assert_eq!(world.log_in("bob@example.org", "a fresh password").await.json()["requires_2fa"], true);
}

async fn an_operator_takes_lost_factors_off(ground: Ground) {
    let world = ground.world().await;
    let (jar, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    let id = world.me(&jar).await.json()["id"].as_str().unwrap().to_owned();
    let id = auth_system::auth_core::types::UserId::parse(&id).unwrap();
    world.auth.admin().reset_second_factors(&id).await.unwrap();
    world.me(&jar).await.refused(401, "not_authenticated");
    assert_eq!(world.log_in("ada@example.org", PASSWORD).await.json()["detail"], "Login successful.");
    let user = world.auth.admin().find(UserKey::Id(&id)).await.unwrap().unwrap();
    assert_eq!(user.factors, []);
}

async fn codes_are_limited_where_they_are_asked_for(ground: Ground) {
    for profile in [Profile::Standard, Profile::Django] {
        let world = ground
            .world_with(|config| {
                config.profile = profile;
                config.policy.timed_limits = true;
                config.throttles.off("two_factor");
            })
            .await;
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        let authenticator = Authenticator::set_up(&world, &jar).await;
        for _ in 0..5 {
            assert_eq!(enable(&world, &jar, "000000").await.status, 400);
        }
        assert_eq!(enable(&world, &jar, &authenticator.code(&world)).await.status, 429);
        world.advance(Duration::from_secs(300));
        let answer = enable(&world, &jar, &authenticator.code(&world)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

async fn a_wrong_code_counts_in_every_spelling(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.policy.timed_limits = true;
            config.throttles.off("two_factor");
        })
        .await;
    let (jar, authenticator) = Authenticator::enrolled(&world, "ada@example.org").await;
    for wrong in ["000000", "000 000", "-000000", "００００００", " 000\u{2011}000\n"] {
        disable(&world, &jar, PASSWORD, wrong).await.refused(400, "invalid_code");
    }
    disable(&world, &jar, PASSWORD, &authenticator.code_at(&world, 1)).await.refused(429, "throttled");
}
