//! `password-reset/`, `password-reset-confirm/`: a password by a mailed link.

use auth_core::Reason;
use auth_core::account::PasswordResetConfirm;
use auth_core::policy::NewPassword;
use auth_core::types::Email;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::dialect::PasswordForm;
use crate::http::doc::{Cookies, Doc};
use crate::http::field::{self, Form, LINK_INCOMPLETE, Link};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 2] {
    let request = Operation::reading(Method::POST, "password-reset/", field::email("email"), request)
        .throttle("password_reset", 5)
        .doc(Doc::new("password", "Ask for a reset link; the same answer for every address"));
    let password = field::new_password(PasswordForm::Replacement, "password", "confirm_password");
    let form = (field::link(LINK_INCOMPLETE), password);
    let doc = Doc::new("password", "Set a password by a mailed link")
        .cookies(Cookies::Device)
        .refusals(|| vec![Refusal::link_incomplete(LINK_INCOMPLETE), Reason::LinkInvalid.into()]);
    let confirm = Operation::reading(Method::POST, "password-reset-confirm/", form, confirm);
    [request, confirm.throttle("confirm", 20).doc(doc)]
}

/// `{email}` -> 200, whatever the address.
async fn request(call: Call, form: Form<Email>) -> Result<Answer, Refusal> {
    let email = form.read()?;
    call.system().request(&call.client_on_device()).request_password_reset(&email).await?;
    let detail = "If an account with that email exists, we have sent a password reset link.";
    Ok(Answer::detail(StatusCode::OK, detail))
}

/// `{uid, token, password, confirm_password?}` -> 200 and the device cookie. It does not log in.
async fn confirm(call: Call, form: Form<(Link, NewPassword)>) -> Result<Answer, Refusal> {
    let (link, password) = form.read()?;
    let request = PasswordResetConfirm { user: link.user, token: &link.token, password: &password };
    let done = call.auth().confirm_password_reset(request).await?;
    Ok(Answer::detail(StatusCode::OK, "Password has been reset successfully.").with_device(done.device))
}
