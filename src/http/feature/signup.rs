//! `signup/`: making an account.

use auth_core::account::SignUpRequest;
use auth_core::policy::NewPassword;
use auth_core::types::{Email, Username};
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::dialect::PasswordForm;
use crate::http::doc::Doc;
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let password = field::new_password(PasswordForm::SignUp, "password", "confirm_password");
    let form = (field::email("email"), field::new_username(), password, field::attributes());
    let doc = Doc::new("account", "Make an account; a mail verifies its address").created();
    [Operation::reading(Method::POST, "signup/", form, sign_up).throttle("signup", 5).doc(doc)]
}

type SignUp = (Email, Option<Username>, NewPassword, Vec<(&'static str, String)>);

/// `{email, password, confirm_password?, username?, ...attributes}` -> 201.
async fn sign_up(call: Call, form: Form<SignUp>) -> Result<Answer, Refusal> {
    let (email, username, password, attributes) = form.read()?;
    let attributes = attributes.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let request = SignUpRequest::new(email, password).username(username).attributes(attributes);
    call.system().request(&call.client_on_device()).sign_up(request).await?;
    let detail = "User created successfully. Please check your email to verify your account.";
    Ok(Answer::detail(StatusCode::CREATED, detail))
}
