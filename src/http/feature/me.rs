//! `me/`: the account that is logged in, and its profile.

use auth_core::types::{Timestamp, User, Username};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::http::answer::Answer;
use crate::http::doc::{self, Doc};
use crate::http::field::{self, Form};
use crate::http::operation::{Call, Operation};
use crate::http::refusal::Refusal;

pub(in crate::http) fn operations() -> [Operation; 2] {
    let show = Operation::new(Method::GET, "me/", show)
        .doc(Doc::new("account", "The account that is logged in").answer(account_schema));
    let change = Operation::reading(Method::PATCH, "me/", field::nullable_attributes(), change)
        .doc(Doc::new("account", "Change the profile").answer(account_schema));
    [show.for_sessions(), change.for_sessions()]
}

/// The account that is logged in.
async fn show(call: Call) -> Result<Answer, Refusal> {
    Ok(account(&call.auth().current_user(call.live()?).await?))
}

/// Any of the application's own fields -> 200 and the account. `null` removes one; what is no such field is ignored.
async fn change(call: Call, form: Form<Vec<(&'static str, Option<String>)>>) -> Result<Answer, Refusal> {
    let changes = form.read()?;
    let changes: Vec<_> = changes.iter().map(|(name, text)| (*name, text.as_deref())).collect();
    Ok(account(&call.auth().change_profile(call.live()?, &changes).await?))
}

fn account_schema() -> Value {
    let time = json!({ "type": ["string", "null"], "format": "date-time" });
    let members = [
        ("id", doc::string()),
        ("email", json!({ "type": "string", "format": "email" })),
        ("username", json!({ "type": ["string", "null"] })),
        ("email_verified", json!({ "type": "boolean" })),
        ("created_at", time.clone()),
        ("last_login_at", time),
        ("attributes", json!({ "type": "object" })),
    ];
    doc::object(&members, &[])
}

fn account(user: &User) -> Answer {
    let body = json!({
        "id": user.id.as_str(),
        "email": user.email.spelling(),
        "username": user.username.as_ref().map(Username::as_str),
        "email_verified": user.is_verified(),
        "created_at": rfc3339(user.created_at),
        "last_login_at": user.last_login_at.and_then(rfc3339),
        "attributes": user.attributes,
    });
    Answer::json(StatusCode::OK, body)
}

/// As in `2026-01-31T12:00:00Z` (RFC 3339), in whole seconds; `None` outside the years that it can write.
fn rfc3339(time: Timestamp) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).ok()?.format(&Rfc3339).ok()
}
