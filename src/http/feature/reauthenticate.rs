//! `reauthenticate/`: proofs before a sensitive change.

use auth_core::Reason;
use auth_core::factor::Confirmation;
use auth_core::types::Password;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::doc::{Cookies, Doc};
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let doc = Doc::new("session", "Confirm a password, a code, or both before a change")
        .cookies(Cookies::Session)
        .refusals(|| vec![Reason::WrongPassword.into(), Reason::InvalidCode.into()]);
    let row = Operation::reading(Method::POST, "reauthenticate/", field::password_or_code(), reauthenticate);
    [row.for_sessions().throttle("reauthenticate", 10).doc(doc)]
}

/// `{password}`, `{code}` or both -> 200 and both cookies of the session that takes the place of the present one.
async fn reauthenticate(call: Call, form: Form<(Option<Password>, Option<String>)>) -> Result<Answer, Refusal> {
    let (password, code) = form.read()?;
    let sent = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let session = call.auth().reauthenticate(call.live()?, sent).await?;
    let detail = if code.is_some() { "Confirmed." } else { "Password confirmed." };
    Ok(Answer::detail(StatusCode::OK, detail).with_session(session))
}
