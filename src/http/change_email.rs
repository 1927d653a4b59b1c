use auth_core::Reason;
use auth_core::error::{Error, FieldError, FieldReason};
use auth_core::flow::{Confirmation, EmailChangeRequest};
use auth_core::proof::LiveSession;
use http::StatusCode;

use super::Exchange;
use super::doc::{CONFIRMATION, Doc, Field, Kind, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;

pub(super) const REQUEST: Doc = Doc::new("account", "Ask for another address; a mail to it has the link")
    .fields(&[Field::required("new_email", Kind::Email), CONFIRMATION[0], CONFIRMATION[1]])
    .refusals(|_| {
        let reasons = [Reason::WrongPassword, Reason::InvalidCode, Reason::ReauthenticationRequired];
        reasons.map(Problem::from).into()
    });

/// `{new_email, password?, code?}` -> 200, whatever the address.
pub(super) async fn request(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let mut read = x.fields.reader();
    let new_email = read.email("new_email");
    let password = read.optional_password("password");
    let code = read.optional_code("code", 6..=6);
    read.finish()?;
    let confirmation = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let request = EmailChangeRequest { new_email, confirmation };
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
