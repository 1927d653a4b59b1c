//! A front-end written for the contract of the sixteen first endpoints, profile `django`: exact statuses, bodies, texts
//! and cookies, row by row.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use http::Method;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Call, Ground, Jar, World, call, get, post};

scenarios![a_front_end_of_the_contract_finds_all_sixteen_endpoints, a_throttled_front_end_is_told_when_to_come_back];

const EMAIL: &str = "ada@example.org";
const FIRST: &str = "correct horse battery";
const SECOND: &str = "staple of another kind";

const MUST_LOG_IN: &str = "Authentication credentials were not provided.";
const REQUIRED: [&str; 1] = ["This field is required."];

/// A browser with that front-end in it.
struct FrontEnd {
    world: World,
    jar: Jar,
}

impl FrontEnd {
    async fn send(&mut self, call: Call) -> Answer {
        let answer = self.world.send(call.jar(&self.jar)).await;
        for cookie in answer.set_cookies().iter().filter(|cookie| cookie.contains("Max-Age=0")) {
            self.jar.cookies.remove(cookie.split('=').next().unwrap());
        }
        self.jar.cookies.extend(answer.jar().cookies);
        answer
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send(post(path).json(body)).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(get(path)).await
    }

    async fn log_in(&mut self, password: &str) -> Answer {
        self.post("login/", json!({ "email": EMAIL, "password": password })).await
    }

    /// The query of the link that was mailed.
    async fn query(&self, to: &str, purpose: MailPurpose) -> String {
        let link = self.world.link(to, purpose).await;
        format!("uid={}&token={}", link.uid, link.token)
    }
}

/// Exactly this answer; the stable code, which ours adds to every refusal, is checked apart.
#[track_caller]
fn says(answer: &Answer, status: u16, code: &str, mut body: Value) {
    if body.get("code").is_none() {
        body["code"] = code.into();
    }
    assert_eq!((answer.status.as_u16(), answer.json()), (status, body));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[track_caller]
fn done(answer: &Answer, status: u16, body: Value) {
    assert_eq!((answer.status.as_u16(), answer.json()), (status, body));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[track_caller]
fn must_log_in(answer: &Answer) {
    says(answer, 401, "not_authenticated", json!({ "detail": MUST_LOG_IN }));
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
}

/// The attributes of a cookie that was set, without its value and its date.
fn attributes(answer: &Answer, name: &str) -> Vec<String> {
    let cookies = answer.set_cookies();
    let cookie = cookies.iter().find_map(|cookie| cookie.strip_prefix(&format!("{name}=")));
    let parts = cookie.unwrap_or_else(|| panic!("no {name} in {cookies:?}")).split("; ").skip(1);
    parts.map(|part| if part.starts_with("expires=") { "expires".to_owned() } else { part.to_owned() }).collect()
}

/// Section 2, with the path and the life of the refresh cookie as section 11 has them.
#[track_caller]
fn opens_a_session(answer: &Answer) {
    let access = ["expires", "HttpOnly", "Max-Age=900", "Path=/", "SameSite=Lax", "Secure"];
    let refresh = ["expires", "HttpOnly", "Max-Age=604800", "Path=/api/auth", "SameSite=Lax", "Secure"];
    assert_eq!(attributes(answer, "access_token"), access);
    assert_eq!(attributes(answer, "refresh_token"), refresh);
}

async fn a_front_end_of_the_contract_finds_all_sixteen_endpoints(ground: Ground) {
    let mut it = FrontEnd { world: ground.django().await, jar: Jar::default() };
    row_1_sign_up(&mut it).await;
    row_2_verify_account(&mut it).await;
    row_3_login(&mut it).await;
    row_5_refresh(&mut it).await;
    row_4_logout(&mut it).await;
    rows_6_and_7_password_reset(&mut it).await;
    row_8_change_password(&mut it).await;
    rows_9_and_10_change_email(&mut it).await;
    let mut authenticator = row_11_set_up(&mut it).await;
    row_12_enable(&mut it, &mut authenticator).await;
    row_14_verify_login(&mut it, &authenticator).await;
    rows_15_and_16_backup_codes(&mut it, &authenticator).await;
    row_13_disable(&mut it, &authenticator).await;
}

async fn row_1_sign_up(it: &mut FrontEnd) {
    let body = json!({
        "email": EMAIL, "username": "ada", "password": FIRST, "confirm_password": FIRST,
        "first_name": "Ada", "last_name": "Lovelace",
    });
    let missing =
        json!({ "email": REQUIRED, "username": REQUIRED, "password": REQUIRED, "confirm_password": REQUIRED });
    says(&it.post("signup/", json!({})).await, 400, "invalid_fields", missing);
    let mut other = body.clone();
    other["confirm_password"] = SECOND.into();
    let mismatch = json!({ "password": ["Passwords do not match."] });
    says(&it.post("signup/", other).await, 400, "invalid_fields", mismatch);
    let mut weak = body.clone();
    (weak["password"], weak["confirm_password"]) = ("83749261".into(), "83749261".into());
    let numeric = json!({ "password": ["This password is entirely numeric."] });
    says(&it.post("signup/", weak).await, 400, "invalid_fields", numeric);
    let answer = it.post("signup/", body.clone()).await;
    let text = "User created successfully. Please check your email to verify your account.";
    done(&answer, 201, json!({ "detail": text }));
    assert_eq!(answer.jar(), Jar::default());
    let taken = json!({
        "email": ["user with this email already exists."],
        "username": ["A user with that username already exists."],
    });
    says(&it.post("signup/", body).await, 400, "invalid_fields", taken);
    says(&it.log_in(FIRST).await, 401, "invalid_credentials", json!({ "detail": "Invalid email or password." }));
}

async fn row_2_verify_account(it: &mut FrontEnd) {
    let query = it.query(EMAIL, MailPurpose::VerifyEmail).await;
    let missing = json!({ "error": "Missing uid or token." });
    says(&it.get("verify-account/").await, 400, "link_incomplete", missing);
    let invalid = json!({ "error": "Invalid or expired token." });
    says(&it.get("verify-account/?uid=MQ&token=dicxjx-fe0921").await, 400, "link_invalid", invalid);
    let path = format!("verify-account/?{query}");
    it.send(call(Method::HEAD, &path)).await;
    done(&it.get(&path).await, 200, json!({ "detail": "Account verified successfully." }));
    let again = json!({ "detail": "This account is already verified." });
    says(&it.get(&path).await, 400, "already_verified", again);
}

async fn row_3_login(it: &mut FrontEnd) {
    let missing = json!({ "email": REQUIRED, "password": REQUIRED });
    says(&it.post("login/", json!({})).await, 400, "invalid_fields", missing);
    for (email, password) in [(EMAIL, SECOND), ("nobody@example.org", FIRST)] {
        let answer = it.post("login/", json!({ "email": email, "password": password })).await;
        says(&answer, 401, "invalid_credentials", json!({ "detail": "Invalid email or password." }));
        assert_eq!(answer.header("www-authenticate"), "");
    }
    let answer = it.log_in(FIRST).await;
    done(&answer, 200, json!({ "detail": "Login successful." }));
    opens_a_session(&answer);
}

async fn row_5_refresh(it: &mut FrontEnd) {
    it.world.advance(Duration::from_secs(60));
    let answer = it.post("refresh/", json!({ "refresh": "ignored" })).await;
    done(&answer, 200, json!({ "detail": "Token refreshed." }));
    opens_a_session(&answer);
    for jar in [Jar::default(), Jar::of("refresh_token", "garbage"), Jar::of("refresh_token", it.jar.access())] {
        let answer = it.world.refresh(&jar).await;
        says(&answer, 401, "refresh_invalid", json!({ "detail": "Refresh token is invalid or has expired." }));
        assert_eq!(answer.header("www-authenticate"), "");
    }
}

async fn row_4_logout(it: &mut FrontEnd) {
    let before = it.jar.clone();
    let answer = it.send(post("logout/")).await;
    done(&answer, 200, json!({ "detail": "Logged out successfully." }));
    let cleared = |name: &str, path: &str| {
        let cookies = answer.set_cookies();
        cookies.iter().any(|cookie| {
            cookie.starts_with(&format!("{name}=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path={path};"))
        })
    };
    assert!(cleared("access_token", "/") && cleared("refresh_token", "/api/auth"), "{answer:?}");
    assert!(!it.jar.has_access());
    must_log_in(&it.world.send(post("logout/").jar(&before)).await);
    must_log_in(&it.send(post("logout/")).await);
}

async fn rows_6_and_7_password_reset(it: &mut FrontEnd) {
    says(&it.post("password-reset/", json!({})).await, 400, "invalid_fields", json!({ "email": REQUIRED }));
    let text = "If an account with that email exists, we have sent a password reset link.";
    for email in ["nobody@example.org", EMAIL] {
        done(&it.post("password-reset/", json!({ "email": email })).await, 200, json!({ "detail": text }));
    }
    let link = it.world.link(EMAIL, MailPurpose::ResetPassword).await;
    let body = |token: &str, password: &str, confirm: &str| json!({ "uid": link.uid, "token": token, "password": password, "confirm_password": confirm });
    let path = "password-reset-confirm/";
    let missing = json!({ "error": "Missing uid or token." });
    says(&it.post(path, json!({})).await, 400, "link_incomplete", missing);
    let fields = json!({ "password": REQUIRED, "confirm_password": REQUIRED });
    says(&it.post(path, json!({ "uid": "x", "token": "x" })).await, 400, "invalid_fields", fields);
    let mismatch = json!({ "detail": "Passwords do not match." });
    says(&it.post(path, body("x", FIRST, SECOND)).await, 400, "password_mismatch", mismatch);
    let invalid = json!({ "error": "Invalid or expired token." });
    says(&it.post(path, body("x", SECOND, SECOND)).await, 400, "link_invalid", invalid.clone());
    let answer = it.post(path, body(&link.token, SECOND, SECOND)).await;
    done(&answer, 200, json!({ "detail": "Password has been reset successfully." }));
    assert_eq!(answer.jar(), answer.jar().only("known_device"));
    says(&it.post(path, body(&link.token, FIRST, FIRST)).await, 400, "link_invalid", invalid);
}

async fn row_8_change_password(it: &mut FrontEnd) {
    let path = "change-password/";
    let body = |old: &str, new: &str, confirm: &str| json!({ "old_password": old, "new_password": new, "confirm_password": confirm });
    must_log_in(&it.post(path, body(SECOND, FIRST, FIRST)).await);
    it.log_in(SECOND).await;
    let missing = json!({ "old_password": REQUIRED, "new_password": REQUIRED, "confirm_password": REQUIRED });
    says(&it.post(path, json!({})).await, 400, "invalid_fields", missing);
    let mismatch = json!({ "detail": "Passwords do not match." });
    says(&it.post(path, body(SECOND, FIRST, SECOND)).await, 400, "password_mismatch", mismatch);
    let wrong = json!({ "old_password": "Wrong password." });
    says(&it.post(path, body(FIRST, FIRST, FIRST)).await, 400, "wrong_password", wrong);
    let before = it.jar.clone();
    let answer = it.post(path, body(SECOND, FIRST, FIRST)).await;
    done(&answer, 200, json!({ "detail": "Password updated successfully." }));
    opens_a_session(&answer);
    must_log_in(&it.world.me(&before).await);
}

async fn rows_9_and_10_change_email(it: &mut FrontEnd) {
    let other = json!({
        "email": "eve@example.org", "username": "eve", "password": FIRST, "confirm_password": FIRST,
    });
    it.post("signup/", other).await;
    // An unverified account would not hold the address.
    let query = it.query("eve@example.org", MailPurpose::VerifyEmail).await;
    assert_eq!(it.get(&format!("verify-account/?{query}")).await.status, 200);
    for taken in [EMAIL, "eve@example.org"] {
        let in_use = json!({ "new_email": ["This email is already in use."] });
        says(&it.post("change-email/", json!({ "new_email": taken })).await, 400, "invalid_fields", in_use);
    }
    let invalid = json!({ "new_email": ["Enter a valid email address."] });
    says(&it.post("change-email/", json!({ "new_email": "ada" })).await, 400, "invalid_fields", invalid);
    let answer = it.post("change-email/", json!({ "new_email": "new@example.org" })).await;
    done(&answer, 200, json!({ "detail": "Verification email sent to the new address." }));
    let query = it.query("new@example.org", MailPurpose::ChangeEmail).await;
    let missing = json!({ "error": "Missing parameters." });
    says(&it.get("change-email-confirm/").await, 400, "link_incomplete", missing);
    let invalid = json!({ "error": "Invalid or expired token." });
    says(&it.get("change-email-confirm/?uid=MQ&token=x").await, 400, "link_invalid", invalid);
    let path = format!("change-email-confirm/?{query}&new_email=ignored@example.org");
    done(&it.get(&path).await, 200, json!({ "detail": "Email updated successfully." }));
    let expired = json!({ "error": "Verification session expired. Please request again." });
    says(&it.get(&path).await, 400, "link_spent", expired);
    must_log_in(&it.get("me/").await);
    // And back, for the rows below.
    it.post("login/", json!({ "email": "new@example.org", "password": FIRST })).await;
    it.post("change-email/", json!({ "new_email": EMAIL })).await;
    let query = it.query(EMAIL, MailPurpose::ChangeEmail).await;
    it.get(&format!("change-email-confirm/?{query}")).await;
}

async fn row_11_set_up(it: &mut FrontEnd) -> Authenticator {
    must_log_in(&it.send(post("2fa/setup/")).await);
    it.log_in(FIRST).await;
    let unset = json!({ "detail": "Call /auth/2fa/setup/ first to generate a TOTP secret." });
    says(&it.post("2fa/enable/", json!({ "code": "123456" })).await, 400, "two_factor_not_set_up", unset);
    let first = it.send(post("2fa/setup/")).await.json();
    let answer = it.send(post("2fa/setup/")).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let secret = body["secret"].as_str().unwrap();
    assert!(secret.len() == 32 && secret != first["secret"], "each call replaces the secret");
    let uri = format!("otpauth://totp/AuthSystem:ada%40example.org?secret={secret}&issuer=AuthSystem");
    assert_eq!(body["otpauth_uri"], uri);
    assert!(body["qr_code"].as_str().unwrap().starts_with("iVBORw0KGgo"), "a bare PNG in base64");
    Authenticator { secret: secret.to_owned(), backup_codes: vec![] }
}

async fn row_12_enable(it: &mut FrontEnd, authenticator: &mut Authenticator) {
    let off = json!({ "detail": "Two-factor authentication is not enabled." });
    says(&it.get("2fa/backup-codes/").await, 400, "two_factor_disabled", off.clone());
    says(&it.post("2fa/backup-codes/", json!({})).await, 400, "two_factor_disabled", off.clone());
    says(&it.post("2fa/disable/", json!({})).await, 400, "two_factor_disabled", off);
    says(&it.post("2fa/enable/", json!({})).await, 400, "", json!({ "code": REQUIRED }));
    let wrong = json!({ "detail": "Invalid or expired 2FA code." });
    says(&it.post("2fa/enable/", json!({ "code": "000000" })).await, 400, "invalid_code", wrong);
    let answer = it.post("2fa/enable/", json!({ "code": authenticator.code(&it.world) })).await;
    let codes: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
    assert!(codes.len() == 10 && codes.iter().all(|code| code.len() == 8), "{codes:?}");
    let text = "Two-factor authentication enabled.";
    done(&answer, 200, json!({ "detail": text, "backup_codes": codes }));
    opens_a_session(&answer);
    authenticator.backup_codes = codes;
    let on = json!({ "detail": "Two-factor authentication is already enabled." });
    says(&it.send(post("2fa/setup/")).await, 400, "two_factor_enabled", on.clone());
    says(&it.post("2fa/enable/", json!({})).await, 400, "two_factor_enabled", on);
}

async fn row_14_verify_login(it: &mut FrontEnd, authenticator: &Authenticator) {
    it.send(post("logout/")).await;
    it.world.advance(Duration::from_secs(30));
    let path = "2fa/verify-login/";
    let answer = it.post(path, json!({})).await;
    says(&answer, 400, "", json!({ "session_token": REQUIRED, "code": REQUIRED }));
    let no_uuid = json!({ "session_token": ["Must be a valid UUID."] });
    let answer = it.post(path, json!({ "session_token": "x", "code": "123456" })).await;
    says(&answer, 400, "invalid_fields", no_uuid);
    let unknown = json!({ "session_token": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "code": "123456" });
    let over = json!({ "detail": "2FA session expired or invalid. Please log in again." });
    says(&it.post(path, unknown).await, 401, "pending_session_invalid", over.clone());

    let first_step = it.log_in(FIRST).await;
    let token = first_step.json()["session_token"].as_str().unwrap().to_owned();
    done(&first_step, 200, json!({ "requires_2fa": true, "session_token": token }));
    assert_eq!((token.len(), token.as_bytes()[14], first_step.jar()), (36, b'4', Jar::default()));
    let wrong = json!({ "detail": "Invalid or expired 2FA code." });
    let answer = it.post(path, json!({ "session_token": token, "code": "000000" })).await;
    says(&answer, 400, "invalid_code", wrong);
    let answer = it.post(path, json!({ "session_token": token, "code": authenticator.code(&it.world) })).await;
    done(&answer, 200, json!({ "detail": "Login successful." }));
    opens_a_session(&answer);
    let answer = it.post(path, json!({ "session_token": token, "code": authenticator.backup_codes[0] })).await;
    says(&answer, 401, "pending_session_invalid", over);

    let token = it.log_in(FIRST).await.json()["session_token"].as_str().unwrap().to_uppercase();
    let code = authenticator.backup_codes[0].to_lowercase();
    let answer = it.post(path, json!({ "session_token": token, "code": code })).await;
    let left = json!({ "detail": "Login successful.", "warning": "Backup code used.", "backup_codes_remaining": 9 });
    done(&answer, 200, left);
    opens_a_session(&answer);
}

async fn rows_15_and_16_backup_codes(it: &mut FrontEnd, authenticator: &Authenticator) {
    let path = "2fa/backup-codes/";
    must_log_in(&it.world.send(get(path)).await);
    must_log_in(&it.world.send(post(path).json(json!({ "password": FIRST }))).await);
    done(&it.get(path).await, 200, json!({ "backup_codes": vec!["********"; 9], "count": 9 }));
    says(&it.post(path, json!({})).await, 400, "invalid_fields", json!({ "password": REQUIRED }));
    let wrong = json!({ "detail": "Invalid email or password." });
    says(&it.post(path, json!({ "password": SECOND })).await, 401, "invalid_credentials", wrong);
    // The last login was by a backup code, which is no proof for changes of factors: one by the authenticator is.
    let old = it.post(path, json!({ "password": FIRST })).await;
    says(&old, 403, "reauthentication_required", json!({ "detail": old.json()["detail"] }));
    it.world.advance(Duration::from_secs(30));
    let token = it.log_in(FIRST).await.json()["session_token"].clone();
    let body = json!({ "session_token": token, "code": authenticator.code(&it.world) });
    opens_a_session(&it.post("2fa/verify-login/", body).await);
    let answer = it.post(path, json!({ "password": FIRST })).await;
    let codes: Vec<String> = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
    done(&answer, 200, json!({ "detail": "Backup codes regenerated.", "backup_codes": codes }));
    assert_eq!(codes.len(), 10);
    done(&it.get(path).await, 200, json!({ "backup_codes": vec!["********"; 10], "count": 10 }));
}

async fn row_13_disable(it: &mut FrontEnd, authenticator: &Authenticator) {
    it.world.advance(Duration::from_secs(30));
    let path = "2fa/disable/";
    let code = authenticator.code(&it.world);
    must_log_in(&it.world.send(post(path).json(json!({ "password": FIRST, "code": code }))).await);
    says(&it.post(path, json!({})).await, 400, "", json!({ "password": REQUIRED, "code": REQUIRED }));
    let wrong = json!({ "detail": "Invalid email or password." });
    let answer = it.post(path, json!({ "password": SECOND, "code": code })).await;
    says(&answer, 401, "invalid_credentials", wrong);
    let wrong = json!({ "detail": "Invalid or expired 2FA code." });
    let answer = it.post(path, json!({ "password": FIRST, "code": "000000" })).await;
    says(&answer, 400, "invalid_code", wrong);
    let answer = it.post(path, json!({ "password": FIRST, "code": code })).await;
    done(&answer, 200, json!({ "detail": "Two-factor authentication disabled." }));
    opens_a_session(&answer);
    done(&it.log_in(FIRST).await, 200, json!({ "detail": "Login successful." }));
}

/// Section 7: the four scopes that the contract names, at their rates.
async fn a_throttled_front_end_is_told_when_to_come_back(ground: Ground) {
    let configure = |config: &mut auth_system::Config| {
        config.profile = auth_system::config::Profile::Django;
        config.policy.timed_limits = true;
    };
    let world = ground.world_with(configure).await;
    for (path, rate) in [("signup/", 5), ("login/", 10), ("password-reset/", 5), ("2fa/verify-login/", 10)] {
        for _ in 0..rate {
            assert_eq!(world.send(post(path).json(json!({}))).await.status, 400, "{path}");
        }
        let answer = world.send(post(path).json(json!({}))).await;
        let text = "Request was throttled. Expected available in 60 seconds.";
        says(&answer, 429, "throttled", json!({ "detail": text }));
        assert_eq!(answer.header("retry-after"), "60");
        world.advance(Duration::from_secs(59));
        let answer = world.send(post(path).json(json!({}))).await;
        assert_eq!(answer.json()["detail"], "Request was throttled. Expected available in 1 second.");
        world.advance(Duration::from_secs(1));
        assert_eq!(world.send(post(path).json(json!({}))).await.status, 400, "{path}");
    }
}
