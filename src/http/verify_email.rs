use auth_core::Reason;
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::doc::{Doc, Field, Kind, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

pub(super) const VERIFY: Doc = Doc::new("account", "Verify the address that a mailed link proves")
    .fields(&[UID, TOKEN])
    .refusals(|_| vec![Problem::link_incomplete(), Reason::LinkInvalid.into(), Reason::AlreadyVerified.into()]);

/// `?uid=&token=` or `{uid, token}` -> 200.
pub(super) async fn verify(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields)?;
    x.auth.system().verify_email(&x.client, link.user, link.token).await?;
    Ok(Reply::detail(StatusCode::OK, "Account verified successfully."))
}

pub(super) const RESEND: Doc =
    Doc::new("account", "Send the verification mail again; the same answer for every address")
        .fields(&[Field::required("email", Kind::Email)]);

/// `{email}` -> 200, whatever the address.
pub(super) async fn resend(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let email = read.email("email");
    read.finish()?;
    let client = x.client.on_device(caller::device_token(x.auth, x.headers));
    x.auth.system().resend_verification(&client, email).await?;
    let detail = "If an account with that email is waiting to be verified, we have sent a verification link.";
    Ok(Reply::detail(StatusCode::OK, detail))
}
