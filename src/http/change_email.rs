use auth_core::Reason;
use auth_core::error::{Error, FieldError, FieldReason};
use auth_core::flow::{Confirmation, EmailChangeConfirm, EmailChangeRequest, Mover};
use auth_core::proof::LiveSession;
use auth_core::types::Scope;
use http::StatusCode;

use super::doc::{CONFIRMATION, Cookies, Doc, Field, Kind, Need, Shows, TOKEN, UID};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;
use super::{Exchange, caller};

pub(super) const REQUEST: Doc = Doc::new("account", "Ask for another address; a mail to it has the link")
    .fields(&[Field::required("new_email", Kind::Email), CONFIRMATION[0], CONFIRMATION[1]])
    .refusals(|_| {
        let reasons = [Reason::WrongPassword, Reason::InvalidCode, Reason::ReauthenticationRequired];
        reasons.map(Problem::from).into()
    });

/// `{new_email, password?, code?}` -> 200, for a known address as for an unknown one.
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

/// The row that a mail program or a front-end of the contract opens.
pub(super) const CONFIRM_BY_GET: Doc = Doc::new("account", "Move to the address of a mailed link, with a live session")
    .shows(Shows::Access)
    .fields(&[UID, TOKEN])
    .cookies(Cookies::Cleared)
    .refusals(|_| confirmation_refusals());

pub(super) const CONFIRM: Doc =
    Doc::new("account", "Move to the address of a mailed link, with a live session or the password")
        .shows(Shows::AccessOrElse)
        .fields(&[
            UID,
            TOKEN,
            Field::new("password", Kind::Password, Need::Optional),
            Field::new("code", Kind::Code(6, 6), Need::Optional),
        ])
        .cookies(Cookies::Cleared)
        .refusals(|_| {
            let mut refusals = confirmation_refusals();
            refusals.extend([Reason::WrongPassword, Reason::InvalidCode].map(Problem::from));
            refusals
        });

fn confirmation_refusals() -> Vec<Problem> {
    let taken = FieldError { field: "new_email", reason: FieldReason::AddressInUse };
    let taken = Error::invalid_fields(vec![taken]).into();
    let reasons = [Reason::LinkInvalid, Reason::LinkSpent].map(Problem::from);
    let unauthenticated = Problem::from(Reason::NotAuthenticated).challenging();
    [link_incomplete(), taken, unauthenticated].into_iter().chain(reasons).collect()
}

fn link_incomplete() -> Problem {
    Problem::link_incomplete().in_words("Missing parameters.")
}

/// `?uid=&token=` and a live session -> 200. Clears both cookies: the move ends every session.
pub(super) async fn confirm_by_get(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields).map_err(|_| link_incomplete())?;
    by_session(x, link).await
}

/// `{uid, token, password?, code?}`, without a password a live session -> 200. Clears both cookies.
pub(super) async fn confirm(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields).map_err(|_| link_incomplete())?;
    let mut read = x.fields.reader();
    let password = read.optional_password("password");
    let code = read.optional_code("code", 6..=6);
    read.finish()?;
    match &password {
        Some(password) => by(x, link, Mover::Password { password, code: code.as_deref() }).await,
        None => by_session(x, link).await,
    }
}

/// A token that opens nothing counts as none: the link is judged first, and a bad one is told as such.
async fn by_session(x: &Exchange<'_>, link: Link<'_>) -> Result<Reply, Problem> {
    let live = match caller::authenticate(x.auth, x.headers, &[Scope::Full]).await {
        Ok(shown) => shown.map(|(live, _)| live),
        Err(problem) if matches!(problem.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => None,
        Err(problem) => return Err(problem),
    };
    by(x, link, live.as_ref().map_or(Mover::Unknown, Mover::Session)).await
}

async fn by(x: &Exchange<'_>, link: Link<'_>, mover: Mover<'_>) -> Result<Reply, Problem> {
    let request = EmailChangeConfirm { user: link.user, token: link.token, mover };
    let moved = x.auth.system().confirm_email_change(&x.client, request).await;
    moved.map_err(|error| Problem::from(error).challenging())?;
    Ok(Reply::detail(StatusCode::OK, "Email updated successfully.").without_session(x.auth))
}
