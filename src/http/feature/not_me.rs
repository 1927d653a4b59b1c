//! `not-me/`: reverting what the owner of an account did not do.

use auth_core::Reason;
use auth_core::account::TakenBack;
use auth_core::types::BACKUP_CODE_CHARS;
use http::{Method, StatusCode};
use serde_json::json;

use crate::http::answer::Answer;
use crate::http::doc::{self, Doc};
use crate::http::field::{self, Form, LINK_INCOMPLETE, Link};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 1] {
    let form = (field::link(LINK_INCOMPLETE), field::code("code", 6..=BACKUP_CODE_CHARS).optional());
    let summary = "Revert a change that the owner did not make, remove an account that a stranger signed up, or object to a revert";
    let doc = Doc::new("account", summary)
        .answer(|| {
            let outcome = json!({ "enum": Outcome::ALL.map(Outcome::name) });
            doc::object(&[("detail", doc::string()), ("outcome", outcome)], &[])
        })
        .refusals(|| {
            let reasons = [Reason::LinkInvalid, Reason::InvalidCode, Reason::AlreadyVerified].map(Refusal::from);
            [Refusal::link_incomplete(LINK_INCOMPLETE)].into_iter().chain(reasons).collect()
        });
    [Operation::reading(Method::POST, "not-me/", form, take_back).throttle("confirm", 20).doc(doc)]
}

/// What a good link did.
#[derive(Clone, Copy)]
enum Outcome {
    Restored,
    Disputed,
    Frozen,
    Removed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Restored, Self::Disputed, Self::Frozen, Self::Removed];

    /// Stable, for programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Restored => "account_restored",
            Self::Disputed => "account_disputed",
            Self::Frozen => "account_frozen",
            Self::Removed => "account_removed",
        }
    }

    /// For the owner of the mailbox.
    const fn detail(self) -> &'static str {
        match self {
            Self::Restored => {
                "The account was restored and every session ended. Check your mail for a link to set a new password."
            }
            Self::Disputed => {
                "Every session ended and the account is frozen, because more than one address claims it. Check your \
                 mail for what happens next."
            }
            // Another account has its former address, or an authentication method that was on is lost.
            Self::Frozen => {
                "Every session ended and the account is frozen, because it could not be restored in full. Please contact \
                 us to get it back."
            }
            Self::Removed => "The account was removed. Your mail address is free.",
        }
    }
}

impl From<TakenBack> for Outcome {
    fn from(taken_back: TakenBack) -> Self {
        match taken_back {
            TakenBack::Restored => Self::Restored,
            TakenBack::Disputed => Self::Disputed,
            TakenBack::Shut => Self::Frozen,
        }
    }
}

/// `{uid, token, code?}` -> 200 with the outcome. It does not log in.
async fn take_back(call: Call, form: Form<(Link, Option<String>)>) -> Result<Answer, Refusal> {
    let (link, code) = form.read()?;
    let auth = call.auth();
    let outcome = if auth.deny_sign_up(link.user, &link.token).await? {
        Outcome::Removed
    } else {
        auth.take_back(link.user, &link.token, code.as_deref()).await?.into()
    };
    Ok(Answer::json(StatusCode::OK, json!({ "detail": outcome.detail(), "outcome": outcome.name() })))
}
