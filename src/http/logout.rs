use auth_core::Reason;
use auth_core::error::{Class, Error};
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::doc::{Cookies, Doc, Shows};
use super::problem::Problem;
use super::reply::{Reply, cleared_session};

pub(super) const LOG_OUT: Doc = Doc::new("session", "End the session; either cookie suffices")
    .shows(Shows::AccessOrRefresh)
    .cookies(Cookies::Cleared)
    .refusals(|_| vec![Problem::from(Reason::NotAuthenticated).challenging()]);

/// Either cookie -> 200. Both cookies go even where neither was good; only a store that is down keeps them, for the
/// session is then still alive.
///
/// Of several cookies with one name every session ends: a guess might leave the very one alive that was meant.
pub(super) async fn log_out(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let (access, refresh) = caller::all_tokens(x.auth, x.headers).await;
    let mut outcome = Err(Error::from(Reason::NotAuthenticated));
    for turn in 0..access.len().max(refresh.len()) {
        match x.auth.system().logout(access.get(turn).copied(), refresh.get(turn).copied()).await {
            Ok(()) => outcome = Ok(()),
            Err(error) if error.class() == Class::Unauthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    match outcome {
        Ok(()) => Ok(Reply::detail(StatusCode::OK, "Logged out successfully.").without_session(x.auth)),
        Err(error) => Err(Problem::from(error).challenging().with_cookies(cleared_session(x.auth))),
    }
}
