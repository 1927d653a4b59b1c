use auth_core::Reason;
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::problem::Problem;
use super::reply::Reply;

/// The refresh cookie -> 200 and both cookies. A refusal leaves the cookies alone: another tab may just have got new ones.
pub(super) async fn refresh(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let token = caller::refresh_token(x.auth, x.headers).ok_or(Reason::RefreshInvalid)?;
    let tokens = x.auth.system().refresh(token).await?;
    Ok(Reply::detail(StatusCode::OK, "Token refreshed.").with_session(x.auth, &tokens))
}
