use auth_core::Reason;
use auth_core::flow::TakenBack;
use http::StatusCode;
use serde_json::json;

use super::Exchange;
use super::doc::{Doc, Field, Kind, Need, TOKEN, UID, object, string};
use super::link::Link;
use super::problem::Problem;
use super::reply::Reply;
use super::two_factor::MAX_CODE_CHARS;

pub(super) const TAKE_BACK: Doc = Doc::new(
    "account",
    "Revert a change that the owner did not make, remove an account that a stranger signed up, or object to a revert",
)
.fields(&[UID, TOKEN, Field::new("code", Kind::Code(6, MAX_CODE_CHARS), Need::Optional)])
.answer(|| object(&[("detail", string()), ("outcome", json!({ "enum": Outcome::ALL.map(Outcome::name) }))], &[]))
.refusals(|_| {
    let reasons = [Reason::LinkInvalid, Reason::InvalidCode, Reason::AlreadyVerified].map(Problem::from);
    [Problem::link_incomplete()].into_iter().chain(reasons).collect()
});

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
                "Every session ended and the account is frozen, because two addresses claim it. Check your mail for what \
                 happens next."
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
pub(super) async fn take_back(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let link = Link::read(&x.fields)?;
    let mut read = x.fields.reader();
    let code = read.optional_code("code", 6..=MAX_CODE_CHARS);
    read.finish()?;
    let outcome = if x.auth.system().deny_sign_up(&x.client, link.user, link.token).await? {
        Outcome::Removed
    } else {
        x.auth.system().take_back(&x.client, link.user, link.token, code.as_deref()).await?.into()
    };
    Ok(Reply::json(StatusCode::OK, json!({ "detail": outcome.detail(), "outcome": outcome.name() })))
}
