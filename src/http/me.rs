use auth_core::proof::LiveSession;
use auth_core::types::{Timestamp, User, Username};
use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Exchange;
use super::doc::{self, Attributes, Doc};
use super::problem::Problem;
use super::reply::Reply;

pub(super) const SHOW: Doc = Doc::new("account", "The account that is logged in").answer(account_schema);

/// The account that is logged in.
pub(super) async fn show(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    Ok(account(&x.auth.system().current_user(&live).await?))
}

pub(super) const CHANGE: Doc =
    Doc::new("account", "Change the profile").attributes(Attributes::Nullable).answer(account_schema);

/// Any of the application's own fields -> 200 and the account. `null` removes one; what is no such field is ignored.
pub(super) async fn change(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    let mut read = x.fields.reader();
    let rules = system.policy().attributes.iter();
    let changes = rules.filter_map(|rule| Some((rule.name, read.nullable_text(rule.name, rule.max_chars)?)));
    let changes: Vec<_> = changes.collect();
    read.finish()?;
    Ok(account(&system.change_profile(&live, &changes).await?))
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

fn account(user: &User) -> Reply {
    let body = json!({
        "id": user.id.as_str(),
        "email": user.email.spelling(),
        "username": user.username.as_ref().map(Username::as_str),
        "email_verified": user.is_verified(),
        "created_at": rfc3339(user.created_at),
        "last_login_at": user.last_login_at.and_then(rfc3339),
        "attributes": user.attributes,
    });
    Reply::json(StatusCode::OK, body)
}

/// As in `2026-01-31T12:00:00Z` (RFC 3339), in whole seconds; `None` outside the years that it can write.
fn rfc3339(time: Timestamp) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).ok()?.format(&Rfc3339).ok()
}
