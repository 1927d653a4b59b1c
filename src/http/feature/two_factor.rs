//! `2fa/`: an authenticator and backup codes, and the second step of a login.

use auth_core::Reason;
use auth_core::factor::{Confirmation, ReplacementRight, TotpPurpose, TotpReplacement};
use auth_core::login::SecondFactorRequest;
use auth_core::types::{BACKUP_CODE_CHARS, Password, Token};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::qr;
use crate::http::answer::Answer;
use crate::http::doc::{self, Cookies, Doc};
use crate::http::field::{self, Entitlement, Field, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

/// What a masked backup code looks like.
const MASK: &str = "********";

/// The name of the limit that the endpoints for a logged-in user share.
const LIMIT: (&str, u32) = ("two_factor", 10);

pub(in crate::http) fn operations() -> [Operation; 7] {
    [
        set_up_row().for_enrolment().throttle(LIMIT.0, LIMIT.1),
        enable_row().for_enrolment().throttle(LIMIT.0, LIMIT.1),
        disable_row().for_sessions().throttle(LIMIT.0, LIMIT.1),
        replace_row().for_sessions().throttle(LIMIT.0, LIMIT.1),
        verify_login_row().throttle("verify_2fa", 10),
        show_backup_codes_row().for_sessions(),
        regenerate_backup_codes_row().for_sessions().throttle(LIMIT.0, LIMIT.1),
    ]
}

fn texts(tokens: &[Token]) -> Value {
    tokens.iter().map(Token::expose).collect()
}

fn totp() -> Field<String> {
    field::code("code", 6..=6)
}

fn refusals(reasons: &[Reason]) -> Vec<Refusal> {
    reasons.iter().copied().map(Refusal::from).collect()
}

fn set_up_row() -> Operation {
    let (password, code) = field::proofs();
    let form = (password, code, field::flag("replace"));
    let doc = Doc::new("two-factor", "Begin to set an authenticator up")
        .answer(|| {
            let names = ["secret", "qr_code", "qr_svg", "otpauth_uri"];
            doc::object(&names.map(|name| (name, doc::string())), &[])
        })
        .refusals(|| {
            refusals(&[
                Reason::TwoFactorEnabled,
                Reason::TwoFactorDisabled,
                Reason::WrongPassword,
                Reason::InvalidCode,
                Reason::ReauthenticationRequired,
            ])
        });
    Operation::reading(Method::POST, "2fa/setup/", form, set_up).doc(doc)
}

/// `{password?, code?, replace?}` -> 200, the secret, its URI and the QR code of that: `qr_code` is a PNG in base64,
/// `qr_svg` an SVG. With `replace`, for `2fa/replace/`.
async fn set_up(call: Call, form: Form<(Option<Password>, Option<String>, bool)>) -> Result<Answer, Refusal> {
    let (password, code, replace) = form.read()?;
    let purpose = if replace { TotpPurpose::Replace } else { TotpPurpose::Enrol };
    let sent = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let setup = call.auth().two_factor().set_up(call.live()?, sent, purpose).await?;
    let qr = qr::Code::of(setup.uri.expose())?;
    let body = json!({
        "secret": setup.secret.expose(),
        "qr_code": qr.png_base64()?,
        "qr_svg": qr.svg(),
        "otpauth_uri": setup.uri.expose(),
    });
    Ok(Answer::json(StatusCode::OK, body))
}

fn codes_schema() -> Value {
    doc::object(&[("detail", doc::string()), ("backup_codes", doc::strings())], &[])
}

fn enable_row() -> Operation {
    let doc = Doc::new("two-factor", "Turn two-factor login on with the first code; backup codes")
        .answer(codes_schema)
        .cookies(Cookies::Session)
        .refusals(|| refusals(&[Reason::TwoFactorEnabled, Reason::TwoFactorNotSetUp, Reason::InvalidCode]));
    Operation::reading(Method::POST, "2fa/enable/", totp(), enable).doc(doc)
}

/// `{code}` -> 200, the backup codes, and both cookies of a new session.
async fn enable(call: Call, form: Form<String>) -> Result<Answer, Refusal> {
    let live = call.live()?;
    call.auth().two_factor().check_set_up(live).await?;
    let code = form.read()?;
    let enabled = call.auth().two_factor().enable(live, &code).await?;
    let body = json!({ "detail": "Two-factor authentication enabled.", "backup_codes": texts(&enabled.backup_codes) });
    Ok(Answer::json(StatusCode::OK, body).with_session(enabled.session))
}

fn disable_row() -> Operation {
    let doc = Doc::new("two-factor", "Turn two-factor login off")
        .cookies(Cookies::Session)
        .refusals(|| refusals(&[Reason::TwoFactorDisabled, Reason::InvalidCredentials, Reason::InvalidCode]));
    Operation::reading(Method::POST, "2fa/disable/", (field::password("password"), totp()), disable).doc(doc)
}

/// `{password, code}` -> 200 and both cookies of a new session.
async fn disable(call: Call, form: Form<(Password, String)>) -> Result<Answer, Refusal> {
    let live = call.live()?;
    call.auth().two_factor().check_enabled(live).await?;
    let (password, code) = form.read()?;
    let session = call.auth().two_factor().disable(live, &password, &code).await?;
    Ok(Answer::detail(StatusCode::OK, "Two-factor authentication disabled.").with_session(session))
}

fn replace_row() -> Operation {
    let form = (totp(), field::entitlement(BACKUP_CODE_CHARS));
    let doc = Doc::new("two-factor", "Replace the authenticator by the one that was set up")
        .answer(|| {
            let count = json!({ "type": "integer", "minimum": 0 });
            doc::object(&[("detail", doc::string())], &[("backup_codes_remaining", count)])
        })
        .cookies(Cookies::Session)
        .refusals(|| {
            refusals(&[
                Reason::TwoFactorDisabled,
                Reason::TwoFactorNotSetUp,
                Reason::InvalidCode,
                Reason::WrongPassword,
            ])
        });
    Operation::reading(Method::POST, "2fa/replace/", form, replace).doc(doc)
}

/// `{code, current_code}`, or without the old authenticator `{code, password, backup_code}` -> 200 and both cookies of a
/// new session; with a backup code, how many are left. `code` is one of the new authenticator.
async fn replace(call: Call, form: Form<(String, Entitlement)>) -> Result<Answer, Refusal> {
    let live = call.live()?;
    call.auth().two_factor().check_enabled(live).await?;
    let (code, entitlement) = form.read()?;
    let right = match &entitlement {
        Entitlement::Code(code) => ReplacementRight::Code(code),
        Entitlement::BackupCode { password, code } => ReplacementRight::BackupCode { password, code },
    };
    let replacement = TotpReplacement { code: &code, right };
    let replaced = call.auth().two_factor().replace(live, replacement).await?;
    let mut body = json!({ "detail": "Authenticator replaced." });
    if let Some(left) = replaced.backup_codes_left {
        body["backup_codes_remaining"] = left.into();
    }
    Ok(Answer::json(StatusCode::OK, body).with_session(replaced.session))
}

fn verify_login_row() -> Operation {
    let form = (field::uuid("session_token"), field::code("code", 6..=BACKUP_CODE_CHARS));
    let doc = Doc::new("session", "The second step of a login, by code or backup code")
        .answer(|| {
            let count = json!({ "type": "integer", "minimum": 0 });
            doc::object(&[("detail", doc::string())], &[("warning", doc::string()), ("backup_codes_remaining", count)])
        })
        .cookies(Cookies::SessionAndDevice)
        .refusals(|| refusals(&[Reason::PendingSessionInvalid, Reason::InvalidCode]));
    Operation::reading(Method::POST, "2fa/verify-login/", form, verify_login).doc(doc)
}

/// `{session_token, code}` -> 200 and both cookies; with a backup code, how many are left.
async fn verify_login(call: Call, form: Form<(String, String)>) -> Result<Answer, Refusal> {
    let (token, code) = form.read()?;
    let request = SecondFactorRequest { token: &token, code: &code };
    let verified = call.auth().verify_login(request).await?;
    let mut body = json!({ "detail": "Login successful." });
    if let Some(left) = verified.backup_codes_left {
        body["warning"] = "Backup code used.".into();
        body["backup_codes_remaining"] = left.into();
    }
    let answer = Answer::json(StatusCode::OK, body);
    Ok(answer.with_session(verified.login.session).with_device(verified.login.device))
}

fn show_backup_codes_row() -> Operation {
    let doc = Doc::new("two-factor", "How many backup codes are left")
        .answer(|| {
            let count = json!({ "type": "integer", "minimum": 0 });
            doc::object(&[("backup_codes", doc::strings()), ("count", count)], &[])
        })
        .refusals(|| refusals(&[Reason::TwoFactorDisabled]));
    Operation::new(Method::GET, "2fa/backup-codes/", show_backup_codes).doc(doc)
}

/// 200: how many backup codes are left. The codes themselves are kept as hashes.
async fn show_backup_codes(call: Call) -> Result<Answer, Refusal> {
    let count = call.auth().two_factor().count_backup_codes(call.live()?).await?;
    Ok(Answer::json(StatusCode::OK, json!({ "backup_codes": vec![MASK; count], "count": count })))
}

fn regenerate_backup_codes_row() -> Operation {
    let form = (field::password("password"), totp().optional());
    let doc = Doc::new("two-factor", "New backup codes; the old ones are void").answer(codes_schema).refusals(|| {
        refusals(&[
            Reason::TwoFactorDisabled,
            Reason::InvalidCredentials,
            Reason::InvalidCode,
            Reason::ReauthenticationRequired,
        ])
    });
    Operation::reading(Method::POST, "2fa/backup-codes/", form, regenerate_backup_codes).doc(doc)
}

/// `{password, code?}` -> 200 and new backup codes; the old ones are void.
async fn regenerate_backup_codes(call: Call, form: Form<(Password, Option<String>)>) -> Result<Answer, Refusal> {
    let live = call.live()?;
    call.auth().two_factor().check_enabled(live).await?;
    let (password, code) = form.read()?;
    let codes = call.auth().two_factor().replace_backup_codes(live, &password, code.as_deref()).await?;
    let body = json!({ "detail": "Backup codes regenerated.", "backup_codes": texts(&codes) });
    Ok(Answer::json(StatusCode::OK, body))
}
