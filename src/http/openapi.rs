//! The OpenAPI 3.1 document: the table, told to machines.

mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::Reason;
use auth_core::error::{Error, FieldReason};
use auth_core::policy::Policy;
use auth_core::port::Hit;
use auth_core::types::{Limit, Scope};
use http::Method;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::dialect::{Dialect, Difference};
use super::doc::{Cookies, Doc, Shows};
use super::field::Need;
use super::json_kind::JsonKind;
use super::operation::{Access, Call, Effect, Operation, parameter_name};
use super::refusal::Refusal;
use super::site::{HttpSettings, MAX_BODY_BYTES, MAX_HEADER_BYTES};
use super::table::Table;

pub(super) fn operations() -> [Operation; 1] {
    let document = Doc::new("documentation", "This document")
        .answer(|| json!({ "type": "object", "required": ["openapi", "paths"] }));
    [Operation::new(Method::GET, "openapi.json", show_document).doc(document)]
}

/// 200: the document.
async fn show_document(call: Call) -> Result<Answer, Refusal> {
    let document = call.site().settings.document.clone().ok_or_else(Refusal::not_found)?;
    Ok(Answer::rendered("application/json", document))
}

/// Refusals that are the same in every row that has them; the others differ in their codes.
const SHARED: [u16; 7] = [405, 408, 413, 415, 429, 431, 503];

/// All that the document tells of.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) table: &'a Table,
    pub(crate) http: &'a HttpSettings,
    pub(crate) policy: &'a Policy,
}

impl Source<'_> {
    pub(crate) fn document(&self) -> Value {
        let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let mut shared = Map::new();
        for row in self.table.rows() {
            let path = format!("{}/{}", self.http.public_path, row.path);
            let operation = self.operation(row, &mut shared);
            paths.entry(path).or_default().insert(row.method.as_str().to_ascii_lowercase(), operation);
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Accounts",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Paths work with and without the slash at their end. A HEAD is answered where a GET \
                    is, and changes nothing. Members that are not described are ignored.",
            },
            "paths": paths,
            "components": { "responses": shared, "securitySchemes": self.security_schemes() },
        })
    }

    fn security_schemes(&self) -> Value {
        let cookies = &self.http.cookies;
        let cookie = |name: &str, description| json!({ "type": "apiKey", "in": "cookie", "name": name, "description": description });
        let mut schemes = json!({
            "accessCookie": cookie(&cookies.access.name, "The access token, set by a login."),
            "refreshCookie": cookie(&cookies.refresh.name, "The refresh token, set by a login."),
        });
        if self.http.bearer {
            schemes["bearer"] = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
        }
        schemes
    }

    fn operation(&self, row: &Operation, shared: &mut Map<String, Value>) -> Value {
        let words = row.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.fold(row.method.as_str().to_ascii_lowercase(), |id, word| id + "_" + word);
        let mut operation = json!({
            "operationId": id,
            "summary": row.doc.summary,
            "tags": [row.doc.tag],
            "security": self.security(row),
            "responses": self.responses(row, shared),
        });
        let mut parameters: Vec<_> = row.path.split('/').filter_map(parameter_name).map(in_path).collect();
        if row.method == Method::GET {
            parameters.extend(self.inputs(row, false).query());
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if row.method != Method::GET && !row.fields.is_empty() {
            let (json, form) = (self.inputs(row, false), self.inputs(row, true));
            operation["requestBody"] = json!({
                "required": json.any_required(),
                "content": {
                    "application/json": { "schema": json.schema() },
                    "application/x-www-form-urlencoded": { "schema": form.schema() },
                },
            });
        }
        operation
    }

    fn inputs(&self, row: &Operation, form: bool) -> schema::Inputs {
        schema::Inputs::of(&row.fields, self.policy, self.http.dialect, form)
    }

    /// The tokens that an endpoint takes: each of the list suffices. Its roles are the scopes of sessions that it takes.
    fn security(&self, row: &Operation) -> Value {
        let shows = row.doc.shows;
        let scopes: &[Scope] = match row.access {
            Access::Session(scopes) => scopes,
            Access::Anyone => &[],
        };
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let (access, refresh) = match row.access {
            Access::Session(_) => (true, false),
            Access::Anyone => (
                matches!(shows, Shows::Access | Shows::AccessOrElse | Shows::AccessOrRefresh),
                matches!(shows, Shows::Refresh | Shows::AccessOrRefresh),
            ),
        };
        let bearer = access && self.http.bearer;
        let schemes = [(access, "accessCookie"), (bearer, "bearer"), (refresh, "refreshCookie")];
        let schemes = schemes.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| json!({ name: scopes }));
        schemes.chain((shows == Shows::AccessOrElse).then(|| json!({}))).collect()
    }

    fn responses(&self, row: &Operation, shared: &mut Map<String, Value>) -> Value {
        let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
        for problem in refusals(row, self.http.dialect) {
            by_status.entry(problem.status().as_u16()).or_default().push(problem);
        }
        let mut responses = Map::new();
        responses.insert(row.doc.status.to_string(), self.success(&row.doc));
        let inputs = self.inputs(row, false);
        if inputs.read_strictly() {
            by_status.entry(400).or_default();
        }
        for (status, refusals) in by_status {
            let names = if status == 400 && inputs.read_strictly() { inputs.names() } else { Vec::new() };
            let refusal = schema::refusal(status, &refusals, &names, self.http.dialect);
            let refusal = if SHARED.contains(&status) {
                let name = reason_phrase(status).replace(' ', "");
                let reference = json!({ "$ref": format!("#/components/responses/{name}") });
                shared.entry(name).or_insert(refusal);
                reference
            } else {
                refusal
            };
            responses.insert(status.to_string(), refusal);
        }
        responses.into()
    }

    fn success(&self, doc: &Doc) -> Value {
        let media = doc.content_type;
        let mut success = json!({
            "description": reason_phrase(doc.status),
            "content": { media: { "schema": (doc.answer)() } },
        });
        let names = &self.http.cookies;
        let session = format!("`{}` and `{}`", names.access.name, names.refresh.name);
        let device = &names.device.name;
        let (required, description) = match doc.cookies {
            Cookies::None => return success,
            Cookies::Session => (true, format!("{session} of the session.")),
            Cookies::SessionAndDevice => (true, format!("{session} of the session, and `{device}`.")),
            Cookies::Device => (true, format!("`{device}`.")),
            Cookies::SessionAndDeviceOrNone => {
                (false, format!("{session} of the session, and `{device}`; none where a second step is to follow."))
            }
            Cookies::Cleared => (true, format!("Takes {session} away.")),
        };
        success["headers"] = json!({ "Set-Cookie": { "required": required, "description": description, "schema": { "type": "string" } } });
        success
    }
}

/// A parameter in the place of a segment of the path.
fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

/// All that a row may refuse: what its way through [`Service::respond`] brings along, and what its handler adds.
fn refusals(row: &Operation, dialect: &dyn Dialect) -> Vec<Refusal> {
    let mut all = (row.doc.refusals)();
    all.push(Refusal::headers_too_large(MAX_HEADER_BYTES));
    all.push(Refusal::method_not_allowed(&Method::PUT, row.method.as_str()));
    all.extend([Error::unavailable("").into(), Refusal::from(Reason::Overloaded)]);
    match (&row.method, row.effect) {
        (&Method::GET, Effect::Changes) => all.push(Refusal::prefetch_refused()),
        (&Method::GET, Effect::Reads) => {}
        _ => all.push(Refusal::cross_origin()),
    }
    if row.throttle.is_some() {
        let hit = Hit { allowed: false, remaining: 0, reset_after: Duration::from_secs(42) };
        all.push(Error::throttled("login", Limit::new(10, Duration::from_secs(60)), hit).into());
    }
    for part in &row.fields {
        if let Need::Repetition(form) = part.need {
            all.push(match dialect.repetition_differs(form, part.name) {
                Difference::Field(field) => Refusal::field(field, FieldReason::PasswordMismatch),
                Difference::Alone(refusal) => refusal,
            });
        }
    }
    if row.method != Method::GET && !row.fields.is_empty() {
        all.extend(serde_json::from_str::<Value>("{").err().map(|error| Refusal::malformed_json(&error)));
        all.extend([Refusal::not_an_object(JsonKind::Array), Refusal::body_incomplete(), Refusal::body_timeout()]);
        all.extend([Refusal::body_too_large(MAX_BODY_BYTES), Refusal::unsupported_media_type("text/plain")]);
    }
    if let Access::Session(scopes) = row.access {
        if scopes == [Scope::Full] {
            all.push(Reason::SecondFactorRequired.into());
        }
        use Reason::{NotAuthenticated, TokenExpired, TokenInvalid, TokenWrongType, UserInactive, UserNotFound};
        if !row.requirements.is_empty() {
            all.extend([Reason::ReauthenticationRequired.into(), Reason::SecondFactorNeeded.into()]);
        }
        let reasons = [TokenInvalid, TokenExpired, TokenWrongType, NotAuthenticated, UserInactive, UserNotFound];
        all.extend(reasons.map(Refusal::from));
        all = all.into_iter().map(Refusal::challenging).collect();
    }
    all
}
