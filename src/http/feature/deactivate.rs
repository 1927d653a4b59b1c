//! `deactivate-account/`: closing one's account.

use auth_core::Reason;
use auth_core::types::Password;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::doc::{Cookies, Doc};
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let form = (field::password("password"), field::confirmation("confirm_deactivation"));
    let doc = Doc::new("account", "Close the account; a reset of the password reopens it for a while")
        .cookies(Cookies::Cleared)
        .refusals(|| vec![Reason::WrongPassword.into()]);
    let row = Operation::reading(Method::POST, "deactivate-account/", form, deactivate);
    [row.for_sessions().throttle("reauthenticate", 10).doc(doc)]
}

/// `{password, confirm_deactivation: true}` -> 200, and both cookies go.
async fn deactivate(call: Call, form: Form<(Password, ())>) -> Result<Answer, Refusal> {
    let (password, ()) = form.read()?;
    call.auth().deactivate(call.live()?, &password).await?;
    Ok(Answer::detail(StatusCode::OK, "Account deactivated.").without_session())
}
