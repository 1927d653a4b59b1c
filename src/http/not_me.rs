use auth_core::Reason;
use auth_core::flow::TakenBack;
use http::StatusCode;

use super::Exchange;
use super::doc::{Doc, Field, Kind, Need, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;
use super::two_factor::MAX_CODE_CHARS;

pub(super) const TAKE_BACK: Doc = Doc::new(
    "account",
    "Take a change back that the owner did not make, or remove an account that a stranger signed up",
)
.fields(&[UID, TOKEN, Field::new("code", Kind::Code(6, MAX_CODE_CHARS), Need::Optional)])
.refusals(|_| {
    let reasons = [Reason::LinkInvalid, Reason::InvalidCode, Reason::AlreadyVerified].map(Problem::from);
    [Problem::link_incomplete()].into_iter().chain(reasons).collect()
});

/// `{uid, token, code?}` -> 200. It does not log in.
pub(super) async fn take_back(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields)?;
    let mut read = x.fields.reader();
    let code = read.optional_code("code", 6..=MAX_CODE_CHARS);
    read.finish()?;
    if x.auth.system().deny_sign_up(&x.client, link.user, link.token).await? {
        return Ok(Reply::detail(StatusCode::OK, "The account was removed. Your mail address is free."));
    }
    let detail = match x.auth.system().take_back(&x.client, link.user, link.token, code.as_deref()).await? {
        TakenBack::Restored => {
            "The change was taken back and every session ended. Check your mail for a link to set a new password."
        }
        TakenBack::Disputed => {
            "Every session ended and the account is shut, because two addresses claim it. Check your mail for how it goes on."
        }
        TakenBack::Shut => {
            "Every session ended and the account is shut, because another account has its former address by now. \
             Please contact us to get the account back."
        }
    };
    Ok(Reply::detail(StatusCode::OK, detail))
}
