use auth_core::Reason;
use auth_core::flow::{LoginOutcome, LoginRequest};
use auth_core::types::{Channel, MAX_USERNAME_CHARS, Scope};
use http::StatusCode;
use serde_json::{Value, json};

use super::Exchange;
use super::caller;
use super::doc::{self, Cookies, Doc, Field, Kind, Need};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const LOG_IN: Doc = Doc::new("session", "Log in; where a second factor is on, begin to")
    .fields(&[
        Field::new("email", Kind::Email, Need::Identifier),
        Field::new("username", Kind::Username, Need::Identifier),
        Field::required("password", Kind::Password),
    ])
    .answer(logged_in_or_pending)
    .cookies(Cookies::SessionAndDeviceOrNone)
    .refusals(|_| vec![Reason::InvalidCredentials.into()]);

fn logged_in_or_pending() -> Value {
    let token = json!({ "type": "string", "format": "uuid" });
    let pending = doc::object(&[("requires_2fa", json!({ "const": true })), ("session_token", token)], &[]);
    json!({ "oneOf": [doc::detail(), pending] })
}

/// `{email, password}`, or `{username, password}` where usernames are on -> 200 and both cookies; or, where
/// the account asks for a second factor, 200 and what `2fa/verify-login/` takes.
pub(super) async fn log_in(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let system = x.auth.system();
    let mut read = x.fields.reader();
    let by_username = system.policy().usernames && !read.has("email") && read.has("username");
    let identifier = if by_username { read.text("username", MAX_USERNAME_CHARS) } else { read.email("email") };
    let password = read.password("password");
    read.finish()?;
    let device = caller::device_token(x.auth, x.headers);
    let request = LoginRequest { identifier, password: &password, channel: Channel::Cookie, device };
    match system.login(&x.client, request).await? {
        LoginOutcome::LoggedIn(logged_in) => {
            let mut body = json!({ "detail": "Login successful." });
            if logged_in.scope == Scope::EnrolFactor {
                body["enrolment_required"] = true.into();
            }
            let reply = Reply::json(StatusCode::OK, body);
            Ok(reply.with_session(x.auth, &logged_in.session).with_device(x.auth, &logged_in.device))
        }
        LoginOutcome::SecondFactorRequired(token) => {
            let body = json!({ "requires_2fa": true, "session_token": token.expose() });
            Ok(Reply::json(StatusCode::OK, body))
        }
    }
}
