//! `change-password/`: another password, by the present one.

use auth_core::Reason;
use auth_core::account::PasswordChangeRequest;
use auth_core::policy::NewPassword;
use auth_core::types::Password;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::dialect::PasswordForm;
use crate::http::doc::{Cookies, Doc};
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let password = field::new_password(PasswordForm::Replacement, "new_password", "confirm_password");
    let form = (field::password("old_password"), password);
    let doc = Doc::new("password", "Change the password; every other session ends")
        .cookies(Cookies::Session)
        .refusals(|| vec![Refusal::from(Reason::WrongPassword).in_field("old_password")]);
    let row = Operation::reading(Method::POST, "change-password/", form, change);
    [row.for_sessions().throttle("change_password", 10).doc(doc)]
}

/// `{old_password, new_password, confirm_password?}` -> 200 and both cookies of a new session.
async fn change(call: Call, form: Form<(Password, NewPassword)>) -> Result<Answer, Refusal> {
    let (old_password, new_password) = form.read()?;
    let request = PasswordChangeRequest { old_password: &old_password, new_password: &new_password };
    let changed = call.auth().change_password(call.live()?, request).await;
    let session = changed.map_err(|error| Refusal::from(error).in_field("old_password"))?;
    Ok(Answer::detail(StatusCode::OK, "Password updated successfully.").with_session(session))
}
