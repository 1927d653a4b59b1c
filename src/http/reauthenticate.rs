use auth_core::Reason;
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::doc::{Cookies, Doc, Field, Kind};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const REAUTHENTICATE: Doc = Doc::new("session", "Prove again who you are, before a sensitive change")
    .fields(&[Field::required("password", Kind::Password)])
    .cookies(Cookies::Session)
    .refusals(|_| vec![Reason::WrongPassword.into()]);

/// `{password}` -> 200 and both cookies of the session that takes the present one's place.
pub(super) async fn reauthenticate(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let password = read.password("password");
    read.finish()?;
    let session = x.auth.system().reauthenticate(&x.client, &live, &password).await?;
    Ok(Reply::detail(StatusCode::OK, "Password confirmed.").with_session(x.auth, &session))
}
