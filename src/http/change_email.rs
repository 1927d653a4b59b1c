use auth_core::flow::EmailChangeRequest;
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

/// `{new_email, password?}` -> 200, whatever the address.
pub(super) async fn request(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let new_email = read.email("new_email");
    let password = read.optional_password("password");
    read.finish()?;
    let request = EmailChangeRequest { new_email, password: password.as_ref() };
    x.auth.system().request_email_change(&x.client, &live, request).await?;
    Ok(Reply::detail(StatusCode::OK, "Verification email sent to the new address."))
}

/// `?uid=&token=` -> 200. It does not log in.
pub(super) async fn confirm(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields).map_err(|problem| problem.in_words("Missing parameters."))?;
    x.auth.system().confirm_email_change(&x.client, link.user, link.token).await?;
    Ok(Reply::detail(StatusCode::OK, "Email updated successfully."))
}
