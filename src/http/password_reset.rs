use auth_core::flow::PasswordResetConfirm;
use auth_core::types::Personal;
use http::StatusCode;

use super::Exchange;
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;
use crate::config::Profile;

/// `{email}` -> 200, whatever the address.
pub(super) async fn request(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let email = read.email("email");
    read.finish()?;
    x.auth.system().request_password_reset(&x.client, email).await?;
    let detail = "If an account with that email exists, we have sent a password reset link.";
    Ok(Reply::detail(StatusCode::OK, detail))
}

/// `{uid, token, password, confirm_password?}` -> 200. It does not log in.
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
    system
        .confirm_password_reset(&x.client, PasswordResetConfirm { user: link.user, token: link.token, password })
        .await?;
    Ok(Reply::detail(StatusCode::OK, "Password has been reset successfully."))
}
