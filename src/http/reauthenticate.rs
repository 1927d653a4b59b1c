use auth_core::Reason;
use auth_core::flow::Confirmation;
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::doc::{Cookies, Doc, Field, Kind, Need};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const REAUTHENTICATE: Doc = Doc::new("session", "Confirm a password, a code, or both before a change")
    .fields(&[Field::new("password", Kind::Password, Need::OneOf), Field::new("code", Kind::Code(6, 6), Need::OneOf)])
    .cookies(Cookies::Session)
    .refusals(|_| vec![Reason::WrongPassword.into(), Reason::InvalidCode.into()]);

/// `{password}`, `{code}` or both -> 200 and both cookies of the session that takes the place of the present one.
pub(super) async fn reauthenticate(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let code = read.optional_code("code", 6..=6);
    let password = if code.is_some() { read.optional_password("password") } else { Some(read.password("password")) };
    read.finish()?;
    let sent = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let session = x.auth.system().reauthenticate(&x.client, &live, sent).await?;
    let detail = if code.is_some() { "Confirmed." } else { "Password confirmed." };
    Ok(Reply::detail(StatusCode::OK, detail).with_session(x.auth, &session))
}
