//! `verify-account/`, `resend-verification/`: proving the address of an account.

use auth_core::Reason;
use auth_core::types::Email;
use http::{Method, StatusCode};

use crate::http::answer::Answer;
use crate::http::doc::Doc;
use crate::http::field::{self, Form, LINK_INCOMPLETE, Link};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 3] {
    let doc = Doc::new("account", "Verify the address that a mailed link proves").refusals(|| {
        vec![Refusal::link_incomplete(LINK_INCOMPLETE), Reason::LinkInvalid.into(), Reason::AlreadyVerified.into()]
    });
    let row = |method| {
        let row = Operation::reading(method, "verify-account/", field::link(LINK_INCOMPLETE), verify);
        row.throttle("confirm", 20).doc(doc)
    };
    let resend = Operation::reading(Method::POST, "resend-verification/", field::email("email"), resend)
        .throttle("resend_verification", 5)
        .doc(Doc::new("account", "Send the verification mail again; the same answer for every address"));
    [row(Method::GET).changing(), row(Method::POST), resend]
}

/// `?uid=&token=` or `{uid, token}` -> 200.
async fn verify(call: Call, form: Form<Link>) -> Result<Answer, Refusal> {
    let link = form.read()?;
    call.auth().verify_email(link.user, &link.token).await?;
    Ok(Answer::detail(StatusCode::OK, "Account verified successfully."))
}

/// `{email}` -> 200, whatever the address.
async fn resend(call: Call, form: Form<Email>) -> Result<Answer, Refusal> {
    let email = form.read()?;
    call.system().request(&call.client_on_device()).resend_verification(&email).await?;
    let detail = "If an account with that email is waiting to be verified, we have sent a verification link.";
    Ok(Answer::detail(StatusCode::OK, detail))
}
