use auth_core::Reason;
use auth_core::flow::PasswordResetConfirm;
use auth_core::types::Personal;
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::doc::{Cookies, Doc, Field, Kind, Need, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;
use crate::config::Profile;

pub(super) const REQUEST: Doc = Doc::new("password", "Ask for a reset link; the same answer for every address")
    .fields(&[Field::required("email", Kind::Email)]);

/// `{email}` -> 200, whatever the address.
pub(super) async fn request(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let email = read.email("email");
    read.finish()?;
    let client = x.client.on_device(caller::device_token(x.auth, x.headers));
    x.auth.system().request_password_reset(&client, email).await?;
    let detail = "If an account with that email exists, we have sent a password reset link.";
    Ok(Reply::detail(StatusCode::OK, detail))
}

pub(super) const CONFIRM: Doc = Doc::new("password", "Set a password by a mailed link")
    .fields(&[
        UID,
        TOKEN,
        Field::required("password", Kind::NewPassword),
        Field::new("confirm_password", Kind::Password, Need::RequiredInDjango),
    ])
    .cookies(Cookies::Device)
    .refusals(|profile| {
        let differ = Problem::passwords_differ(profile, "confirm_password");
        vec![Problem::link_incomplete(), differ, Reason::LinkInvalid.into()]
    });

/// `{uid, token, password, confirm_password?}` -> 200 and the device cookie. It does not log in.
pub(super) async fn confirm(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let system = x.auth.system();
    let link = Link::read(&x.fields)?;
    let mut read = x.fields.reader();
    let password = read.new_password("password", &system.policy().password, Personal::default());
    let same = read.repeats("confirm_password", password, x.profile() == Profile::Django);
    read.finish()?;
    if !same {
        return Err(Problem::passwords_differ(x.profile(), "confirm_password"));
    }
    let request = PasswordResetConfirm { user: link.user, token: link.token, password };
    let done = system.confirm_password_reset(&x.client, request).await?;
    Ok(Reply::detail(StatusCode::OK, "Password has been reset successfully.").with_device(x.auth, &done.device))
}
