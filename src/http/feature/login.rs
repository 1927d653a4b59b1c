//! `login/`: the first step of a login, or all of it.

use auth_core::Reason;
use auth_core::login::{LoginOutcome, LoginRequest};
use auth_core::types::{Identifier, Password, Scope};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::doc::{self, Cookies, Doc};
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let form = (field::identifier(), field::password("password"));
    let doc = Doc::new("session", "Log in; where a second factor is on, begin to")
        .answer(logged_in_or_pending)
        .cookies(Cookies::SessionAndDeviceOrNone)
        .refusals(|| vec![Reason::InvalidCredentials.into()]);
    [Operation::reading(Method::POST, "login/", form, log_in).throttle("login", 10).doc(doc)]
}

fn logged_in_or_pending() -> Value {
    let token = json!({ "type": "string", "format": "uuid" });
    let pending = doc::object(&[("requires_2fa", json!({ "const": true })), ("session_token", token)], &[]);
    json!({ "oneOf": [doc::detail(), pending] })
}

/// `{email, password}`, or `{username, password}` where usernames are on -> 200 and both cookies; or, where
/// the account asks for a second factor, 200 and what `2fa/verify-login/` takes.
async fn log_in(call: Call, form: Form<(Identifier, Password)>) -> Result<Answer, Refusal> {
    let (identifier, password) = form.read()?;
    let (password, device) = (&password, call.device_token());
    let request = LoginRequest::new(identifier, password).device(device);
    match call.auth().login(request).await? {
        LoginOutcome::LoggedIn(logged_in) => {
            let mut body = json!({ "detail": "Login successful." });
            if logged_in.scope == Scope::EnrolFactor {
                body["enrolment_required"] = true.into();
            }
            let answer = Answer::json(StatusCode::OK, body);
            Ok(answer.with_session(logged_in.session).with_device(logged_in.device))
        }
        LoginOutcome::SecondFactorRequired(token) => {
            let body = json!({ "requires_2fa": true, "session_token": token.expose() });
            Ok(Answer::json(StatusCode::OK, body))
        }
    }
}
