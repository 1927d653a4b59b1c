use auth_core::Reason;
use auth_core::error::{Error, FieldError, FieldReason};
use auth_core::flow::EmailChangeRequest;
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::doc::{Doc, Field, Kind, Need, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

pub(super) const REQUEST: Doc = Doc::new("account", "Ask for another address; a mail to it has the link")
    .fields(&[Field::required("new_email", Kind::Email), Field::new("password", Kind::Password, Need::Optional)])
    .refusals(|_| vec![Reason::WrongPassword.into(), Reason::ReauthenticationRequired.into()]);

/// `{new_email, password?}` -> 200, whatever the address.
pub(super) async fn request(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let new_email = read.email("new_email");
    let password = read.optional_password("password");
    read.finish()?;
    let request = EmailChangeRequest { new_email, password: password.as_ref() };
    x.auth.system().request_email_change(&x.client, &live, request).await?;
    Ok(Reply::detail(StatusCode::OK, "Verification email sent to the new address."))
}

pub(super) const CONFIRM: Doc =
    Doc::new("account", "Take the address that a mailed link proves").fields(&[UID, TOKEN]).refusals(|_| {
        let taken = FieldError { field: "new_email", reason: FieldReason::AddressInUse };
        let taken = Error::invalid_fields(vec![taken]).into();
        vec![link_incomplete(), taken, Reason::LinkInvalid.into(), Reason::LinkSpent.into()]
    });

fn link_incomplete() -> Problem {
    Problem::link_incomplete().in_words("Missing parameters.")
}

/// `?uid=&token=` -> 200. It does not log in.
pub(super) async fn confirm(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields).map_err(|_| link_incomplete())?;
    x.auth.system().confirm_email_change(&x.client, link.user, link.token).await?;
    Ok(Reply::detail(StatusCode::OK, "Email updated successfully."))
}
