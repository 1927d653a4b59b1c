use auth_core::Reason;
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::doc::{Cookies, Doc, Field, Kind};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const DEACTIVATE: Doc =
    Doc::new("account", "Close the account; a reset of the password reopens it for a while")
        .fields(&[
            Field::required("password", Kind::Password),
            Field::required("confirm_deactivation", Kind::Confirmation),
        ])
        .cookies(Cookies::Cleared)
        .refusals(|_| vec![Reason::WrongPassword.into()]);

/// `{password, confirm_deactivation: true}` -> 200, and both cookies go.
pub(super) async fn deactivate(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let password = read.password("password");
    read.confirmation("confirm_deactivation");
    read.finish()?;
    x.auth.system().deactivate(&x.client, &live, &password).await?;
    Ok(Reply::detail(StatusCode::OK, "Account deactivated.").without_session(x.auth))
}
