//! `change-email/`, `change-email-confirm/`: moving to another address.

use auth_core::Reason;
use auth_core::account::{EmailChangeConfirm, EmailChangeRequest, Mover};
use auth_core::error::FieldReason;
use auth_core::factor::Confirmation;
use auth_core::types::{Email, Password, Scope};
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::doc::{Cookies, Doc, Shows};
use crate::http::field::{self, Form, Link};
use crate::http::guard::caller;
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

const LINK_INCOMPLETE: &str = "Missing parameters.";

pub(in crate::http) fn operations() -> [Operation; 3] {
    let (password, code) = field::proofs();
    let form = (field::email("new_email"), password, code);
    let doc = Doc::new("account", "Ask for another address; a mail to it has the link").refusals(|| {
        let reasons = [Reason::WrongPassword, Reason::InvalidCode, Reason::ReauthenticationRequired];
        reasons.map(Refusal::from).into()
    });
    let request = Operation::reading(Method::POST, "change-email/", form, request);
    [request.for_sessions().throttle("change_email", 5).doc(doc), confirm_by_get_row(), confirm_row()]
}

/// The row that a mail program or a front-end of the contract opens.
fn confirm_by_get_row() -> Operation {
    let doc = Doc::new("account", "Move to the address of a mailed link, with a live session")
        .shows(Shows::Access)
        .cookies(Cookies::Cleared)
        .refusals(confirmation_refusals);
    let row = Operation::reading(Method::GET, "change-email-confirm/", field::link(LINK_INCOMPLETE), confirm_by_get);
    row.changing().throttle("confirm", 20).doc(doc)
}

fn confirm_row() -> Operation {
    let (password, code) = field::proofs();
    let form = (field::link(LINK_INCOMPLETE), password, code);
    let doc = Doc::new("account", "Move to the address of a mailed link, with a live session or the password")
        .shows(Shows::AccessOrElse)
        .cookies(Cookies::Cleared)
        .refusals(|| {
            let mut refusals = confirmation_refusals();
            refusals.extend([Reason::WrongPassword, Reason::InvalidCode].map(Refusal::from));
            refusals
        });
    Operation::reading(Method::POST, "change-email-confirm/", form, confirm).throttle("confirm", 20).doc(doc)
}

fn confirmation_refusals() -> Vec<Refusal> {
    let taken = Refusal::field("new_email", FieldReason::AddressInUse);
    let reasons = [Reason::LinkInvalid, Reason::LinkSpent].map(Refusal::from);
    let unauthenticated = Refusal::from(Reason::NotAuthenticated).challenging();
    [Refusal::link_incomplete(LINK_INCOMPLETE), taken, unauthenticated].into_iter().chain(reasons).collect()
}

type Request = (Email, Option<Password>, Option<String>);

/// `{new_email, password?, code?}` -> 200, for a known address as for an unknown one.
async fn request(call: Call, form: Form<Request>) -> Result<Answer, Refusal> {
    let (new_email, password, code) = form.read()?;
    let confirmation = Confirmation { password: password.as_ref(), code: code.as_deref() };
    let request = EmailChangeRequest { new_email: &new_email, confirmation };
    call.auth().request_email_change(call.live()?, request).await?;
    Ok(Answer::detail(StatusCode::OK, "Verification email sent to the new address."))
}

/// `?uid=&token=` and a live session -> 200. Clears both cookies: the move ends every session.
async fn confirm_by_get(call: Call, form: Form<Link>) -> Result<Answer, Refusal> {
    by_session(&call, form.read()?).await
}

/// `{uid, token, password?, code?}`, without a password a live session -> 200. Clears both cookies.
async fn confirm(call: Call, form: Form<(Link, Option<Password>, Option<String>)>) -> Result<Answer, Refusal> {
    let (link, password, code) = form.read()?;
    match &password {
        Some(password) => by(&call, link, Mover::Password { password, code: code.as_deref() }).await,
        None => by_session(&call, link).await,
    }
}

/// A token that opens nothing counts as none: the link is judged first, and a bad one is told as such.
async fn by_session(call: &Call, link: Link) -> Result<Answer, Refusal> {
    let live = match caller::authenticate(call.site(), call.headers(), &[Scope::Full]).await {
        Ok(shown) => shown.map(|(live, _)| live),
        Err(refusal) if matches!(refusal.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => None,
        Err(refusal) => return Err(refusal),
    };
    by(call, link, live.as_ref().map_or(Mover::Unknown, Mover::Session)).await
}

async fn by(call: &Call, link: Link, mover: Mover<'_>) -> Result<Answer, Refusal> {
    let request = EmailChangeConfirm { user: link.user, token: &link.token, mover };
    let moved = call.auth().confirm_email_change(request).await;
    moved.map_err(|error| Refusal::from(error).challenging())?;
    Ok(Answer::detail(StatusCode::OK, "Email updated successfully.").without_session())
}
