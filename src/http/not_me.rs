use auth_core::Reason;
use http::StatusCode;

use super::Exchange;
use super::doc::{Doc, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

pub(super) const TAKE_BACK: Doc = Doc::new("account", "Take a change back that the owner did not make")
    .fields(&[UID, TOKEN])
    .refusals(|_| vec![Problem::link_incomplete(), Reason::LinkInvalid.into()]);

/// `{uid, token}` -> 200. It does not log in.
pub(super) async fn take_back(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields)?;
    x.auth.system().take_back(&x.client, link.user, link.token).await?;
    let detail = "The change was taken back and every session ended. Check your mail for a link to set a new password.";
    Ok(Reply::detail(StatusCode::OK, detail))
}
