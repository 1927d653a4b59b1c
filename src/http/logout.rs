use auth_core::error::Class;
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::problem::Problem;
use super::reply::{Reply, cleared_session};

/// Either cookie -> 200. Both cookies go even where neither was good; only a store that is down keeps them, for the
/// session is then still alive.
pub(super) async fn log_out(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let access = caller::access_token(x.auth, x.headers);
    let refresh = caller::refresh_token(x.auth, x.headers);
    match x.auth.system().logout(access, refresh).await {
        Ok(()) => Ok(Reply::detail(StatusCode::OK, "Logged out successfully.").without_session(x.auth)),
        Err(error) if error.class() == Class::Unauthenticated => {
            Err(Problem::from(error).challenging().with_cookies(cleared_session(x.auth)))
        }
        Err(error) => Err(error.into()),
    }
}
