use auth_core::Reason;
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::doc::{Cookies, Doc, Shows};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const REFRESH: Doc = Doc::new("session", "Rotate the refresh token and get a new access token")
    .shows(Shows::Refresh)
    .cookies(Cookies::Session)
    .refusals(|_| vec![Reason::RefreshInvalid.into()]);

/// The refresh cookie -> 200 and both cookies. A refusal leaves the cookies alone: another tab may just have got new ones.
pub(super) async fn refresh(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let token = caller::refresh_token(x.auth, x.headers).ok_or(Reason::RefreshInvalid)?;
    let tokens = x.auth.system().refresh(token).await?;
    Ok(Reply::detail(StatusCode::OK, "Token refreshed.").with_session(x.auth, &tokens))
}
