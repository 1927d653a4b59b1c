use http::StatusCode;

use super::Exchange;
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

/// `?uid=&token=` -> 200.
pub(super) async fn verify(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields)?;
    x.auth.system().verify_email(&x.client, link.user, link.token).await?;
    Ok(Reply::detail(StatusCode::OK, "Account verified successfully."))
}

/// `{email}` -> 200, whatever the address.
pub(super) async fn resend(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let email = read.email("email");
    read.finish()?;
    x.auth.system().resend_verification(&x.client, email).await?;
    let detail = "If an account with that email is waiting to be verified, we have sent a verification link.";
    Ok(Reply::detail(StatusCode::OK, detail))
}
