use auth_core::Reason;
use auth_core::error::FieldReason;
use auth_core::flow::{Confirmation, ReplacementRight, SecondFactorRequest, TotpPurpose, TotpReplacement};
use auth_core::proof::LiveSession;
use auth_core::types::{BACKUP_CODE_CHARS, Token};
use http::StatusCode;
use serde_json::{Value, json};

use super::Exchange;
use super::doc::{self, CONFIRMATION, Cookies, Doc, Field, Kind, Need};
use super::problem::Problem;
use super::qr;
use super::reply::Reply;

/// The length of the longest code, a backup code.
pub(super) const MAX_CODE_CHARS: usize = BACKUP_CODE_CHARS;
/// What a masked backup code looks like.
const MASK: &str = "********";

fn texts(tokens: &[Token]) -> Value {
    tokens.iter().map(Token::expose).collect()
}

const PASSWORD: Field = Field::required("password", Kind::Password);
const CODE: Field = Field::required("code", Kind::Code(6, 6));

pub(super) const SET_UP: Doc = Doc::new("two-factor", "Begin to set an authenticator up")
    .fields(&[CONFIRMATION[0], CONFIRMATION[1], Field::new("replace", Kind::Flag, Need::Optional)])
    .answer(|| {
        let names = ["secret", "qr_code", "qr_svg", "otpauth_uri"];
        doc::object(&names.map(|name| (name, doc::string())), &[])
    })
    .refusals(|_| {
        let reasons = [
            Reason::TwoFactorEnabled,
            Reason::TwoFactorDisabled,
            Reason::WrongPassword,
            Reason::InvalidCode,
            Reason::ReauthenticationRequired,
        ];
        reasons.map(Problem::from).into()
    });

/// `{password?, code?, replace?}` -> 200, the secret, its URI and the QR code of that: `qr_code` is a PNG in base64,
/// `qr_svg` an SVG. With `replace`, for `2fa/replace/`.
pub(super) async fn set_up(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let password = read.optional_password("password");
    let code = read.optional_code("code", 6..=6);
    let purpose = if read.flag("replace") { TotpPurpose::Replace } else { TotpPurpose::Enrol };
    read.finish()?;
    let sent = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let setup = x.auth.system().set_up_totp(&x.client, &live, sent, purpose).await?;
    let qr = qr::Code::of(setup.uri.expose())?;
    let body = json!({
        "secret": setup.secret.expose(),
        "qr_code": qr.png_base64()?,
        "qr_svg": qr.svg(),
        "otpauth_uri": setup.uri.expose(),
    });
    Ok(Reply::json(StatusCode::OK, body))
}

fn codes_schema() -> Value {
    doc::object(&[("detail", doc::string()), ("backup_codes", doc::strings())], &[])
}

pub(super) const ENABLE: Doc = Doc::new("two-factor", "Turn two-factor login on with the first code; backup codes")
    .fields(&[CODE])
    .answer(codes_schema)
    .cookies(Cookies::Session)
    .refusals(|_| [Reason::TwoFactorEnabled, Reason::TwoFactorNotSetUp, Reason::InvalidCode].map(Problem::from).into());

/// `{code}` -> 200, the backup codes, and both cookies of a new session.
pub(super) async fn enable(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    system.check_totp_set_up(&live).await?;
    let mut read = x.fields.reader();
    let code = read.code("code", 6..=6);
    read.finish()?;
    let enabled = system.enable_totp(&x.client, &live, &code).await?;
    let body = json!({ "detail": "Two-factor authentication enabled.", "backup_codes": texts(&enabled.backup_codes) });
    Ok(Reply::json(StatusCode::OK, body).with_session(x.auth, &enabled.session))
}

pub(super) const DISABLE: Doc =
    Doc::new("two-factor", "Turn two-factor login off").fields(&[PASSWORD, CODE]).cookies(Cookies::Session).refusals(
        |_| [Reason::TwoFactorDisabled, Reason::InvalidCredentials, Reason::InvalidCode].map(Problem::from).into(),
    );

/// `{password, code}` -> 200 and both cookies of a new session.
pub(super) async fn disable(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    system.check_two_factor_enabled(&live).await?;
    let mut read = x.fields.reader();
    let password = read.password("password");
    let code = read.code("code", 6..=6);
    read.finish()?;
    let session = system.disable_totp(&x.client, &live, &password, &code).await?;
    Ok(Reply::detail(StatusCode::OK, "Two-factor authentication disabled.").with_session(x.auth, &session))
}

pub(super) const REPLACE: Doc = Doc::new("two-factor", "Replace the authenticator by the one that was set up")
    .fields(&[
        CODE,
        Field::new("current_code", Kind::Code(6, 6), Need::OneOf),
        CONFIRMATION[0],
        Field::new("backup_code", Kind::Code(MAX_CODE_CHARS, MAX_CODE_CHARS), Need::OneOf),
    ])
    .answer(|| {
        let count = json!({ "type": "integer", "minimum": 0 });
        doc::object(&[("detail", doc::string())], &[("backup_codes_remaining", count)])
    })
    .cookies(Cookies::Session)
    .refusals(|_| {
        let reasons =
            [Reason::TwoFactorDisabled, Reason::TwoFactorNotSetUp, Reason::InvalidCode, Reason::WrongPassword];
        reasons.map(Problem::from).into()
    });

/// `{code, current_code}`, or without the old authenticator `{code, password, backup_code}` -> 200 and both cookies of a
/// new session; with a backup code, how many are left. `code` is one of the new authenticator.
pub(super) async fn replace(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    system.check_two_factor_enabled(&live).await?;
    let mut read = x.fields.reader();
    let code = read.code("code", 6..=6);
    let current = read.optional_code("current_code", 6..=6);
    let backup = read.optional_code("backup_code", MAX_CODE_CHARS..=MAX_CODE_CHARS);
    let password = backup.is_some().then(|| read.password("password"));
    if current.is_none() && backup.is_none() {
        read.wrong("current_code", FieldReason::Required);
    }
    read.finish()?;
    let right = match (&current, &password, &backup) {
        (None, Some(password), Some(code)) => ReplacementRight::BackupCode { password, code },
        (current, ..) => ReplacementRight::Code(current.as_deref().unwrap_or("")),
    };
    let replaced = system.replace_totp(&x.client, &live, TotpReplacement { code: &code, right }).await?;
    let mut body = json!({ "detail": "Authenticator replaced." });
    if let Some(left) = replaced.backup_codes_left {
        body["backup_codes_remaining"] = left.into();
    }
    Ok(Reply::json(StatusCode::OK, body).with_session(x.auth, &replaced.session))
}

pub(super) const VERIFY_LOGIN: Doc = Doc::new("session", "The second step of a login, by code or backup code")
    .fields(&[Field::required("session_token", Kind::Uuid), Field::required("code", Kind::Code(6, MAX_CODE_CHARS))])
    .answer(|| {
        let count = json!({ "type": "integer", "minimum": 0 });
        doc::object(&[("detail", doc::string())], &[("warning", doc::string()), ("backup_codes_remaining", count)])
    })
    .cookies(Cookies::SessionAndDevice)
    .refusals(|_| vec![Reason::PendingSessionInvalid.into(), Reason::InvalidCode.into()]);

/// `{session_token, code}` -> 200 and both cookies; with a backup code, how many are left.
pub(super) async fn verify_login(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let token = read.uuid("session_token");
    let code = read.code("code", 6..=MAX_CODE_CHARS);
    read.finish()?;
    let verified = x.auth.system().verify_login(&x.client, SecondFactorRequest { token, code: &code }).await?;
    let mut body = json!({ "detail": "Login successful." });
    if let Some(left) = verified.backup_codes_left {
        body["warning"] = "Backup code used.".into();
        body["backup_codes_remaining"] = left.into();
    }
    let reply = Reply::json(StatusCode::OK, body);
    Ok(reply.with_session(x.auth, &verified.login.session).with_device(x.auth, &verified.login.device))
}

pub(super) const SHOW_BACKUP_CODES: Doc = Doc::new("two-factor", "How many backup codes are left")
    .answer(|| {
        let count = json!({ "type": "integer", "minimum": 0 });
        doc::object(&[("backup_codes", doc::strings()), ("count", count)], &[])
    })
    .refusals(|_| vec![Reason::TwoFactorDisabled.into()]);

/// 200: how many backup codes are left. The codes themselves are kept as hashes.
pub(super) async fn show_backup_codes(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let count = x.auth.system().count_backup_codes(&live).await?;
    Ok(Reply::json(StatusCode::OK, json!({ "backup_codes": vec![MASK; count], "count": count })))
}

pub(super) const REGENERATE_BACKUP_CODES: Doc = Doc::new("two-factor", "New backup codes; the old ones are void")
    .fields(&[PASSWORD, CONFIRMATION[1]])
    .answer(codes_schema)
    .refusals(|_| {
        let reasons = [
            Reason::TwoFactorDisabled,
            Reason::InvalidCredentials,
            Reason::InvalidCode,
            Reason::ReauthenticationRequired,
        ];
        reasons.map(Problem::from).into()
    });

/// `{password, code?}` -> 200 and new backup codes; the old ones are void.
pub(super) async fn regenerate_backup_codes(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    system.check_two_factor_enabled(&live).await?;
    let mut read = x.fields.reader();
    let password = read.password("password");
    let code = read.optional_code("code", 6..=6);
    read.finish()?;
    let codes = system.regenerate_backup_codes(&x.client, &live, &password, code.as_deref()).await?;
    let body = json!({ "detail": "Backup codes regenerated.", "backup_codes": texts(&codes) });
    Ok(Reply::json(StatusCode::OK, body))
}
