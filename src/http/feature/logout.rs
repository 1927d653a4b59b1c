//! `logout/`: ending the session.

use auth_core::Reason;
use auth_core::error::{Class, Error};
use http::{Method, StatusCode};

use crate::http::answer::{Answer, cleared_session};
use crate::http::doc::{Cookies, Doc, Shows};
use crate::http::guard::caller;
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let doc = Doc::new("session", "End the session; either cookie suffices")
        .shows(Shows::AccessOrRefresh)
        .cookies(Cookies::Cleared)
        .refusals(|| vec![Refusal::from(Reason::NotAuthenticated).challenging()]);
    [Operation::new(Method::POST, "logout/", log_out).doc(doc)]
}

/// Either cookie -> 200. Both cookies go even where neither was good; only a store that is down keeps them, for the
/// session is then still alive.
///
/// Of several cookies with one name every session ends: a guess might leave the very one alive that was meant.
async fn log_out(call: Call) -> Result<Answer, Refusal> {
    let site = call.site();
    let (access, refresh) = caller::all_tokens(site, call.headers()).await;
    let mut outcome = Err(Error::from(Reason::NotAuthenticated));
    for turn in 0..access.len().max(refresh.len()) {
        match call.auth().logout(access.get(turn).copied(), refresh.get(turn).copied()).await {
            Ok(()) => outcome = Ok(()),
            Err(error) if error.class() == Class::Unauthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    match outcome {
        Ok(()) => Ok(Answer::detail(StatusCode::OK, "Logged out successfully.").without_session()),
        Err(error) => Err(Refusal::from(error).challenging().with_cookies(cleared_session(site))),
    }
}
