//! `refresh/`: new tokens for a session.

use auth_core::Reason;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::doc::{Cookies, Doc, Shows};
use crate::http::guard::caller;
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let doc = Doc::new("session", "Rotate the refresh token and get a new access token")
        .shows(Shows::Refresh)
        .cookies(Cookies::Session)
        .refusals(|| vec![Reason::RefreshInvalid.into()]);
    [Operation::new(Method::POST, "refresh/", refresh).throttle("refresh", 60).doc(doc)]
}

/// The refresh cookie -> 200 and both cookies. A refusal leaves the cookies alone: another tab may just have got new ones.
async fn refresh(call: Call) -> Result<Answer, Refusal> {
    let token = caller::refresh_token(call.site(), call.headers()).ok_or(Reason::RefreshInvalid)?;
    let tokens = call.auth().refresh(token).await?;
    Ok(Answer::detail(StatusCode::OK, "Token refreshed.").with_session(tokens))
}
