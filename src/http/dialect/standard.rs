//! The contract `standard`: problem details (RFC 9457), `type title status detail`, with a stable `code` and `errors` per
//! field.

use serde_json::{Value, json};

use super::{Dialect, Difference, PasswordForm, by_field};
use crate::http::refusal::{Refusal, Subject};

pub(super) struct Standard;

impl Dialect for Standard {
    fn content_type(&self) -> &'static str {
        "application/problem+json"
    }

    fn body(&self, refusal: &Refusal) -> Value {
        let (code, detail) = (refusal.code(), refusal.detail());
        let mut body = json!({
            "type": "about:blank",
            "title": refusal.status().canonical_reason().unwrap_or("Error"),
            "status": refusal.status().as_u16(),
            "detail": detail,
            "code": code,
        });
        match refusal.subject() {
            Subject::Fields(errors) => {
                body["errors"] =
                    by_field(errors, |error| json!({ "code": error.reason.code(), "detail": Refusal::text_of(error) }));
            }
            Subject::Password(field) => body["errors"] = json!({ *field: [{ "code": code, "detail": detail }] }),
            Subject::StepUp(accepts) => body["accepts"] = (*accepts).into(),
            Subject::Request | Subject::Body(_) | Subject::Link | Subject::AccessToken => {}
        }
        body
    }

    #[cfg(feature = "openapi")]
    fn field_errors_schema(&self, status: u16, names: &[&str]) -> Value {
        let error = json!({
            "type": "object", "required": ["code", "detail"],
            "properties": { "code": { "type": "string" }, "detail": { "type": "string" } },
        });
        let list = json!({ "type": "array", "minItems": 1, "items": error });
        let by_name: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), list.clone())).collect();
        json!({
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "errors"],
            "properties": {
                "type": { "type": "string" },
                "title": { "type": "string" },
                "status": { "type": "integer", "const": status },
                "detail": { "type": "string" },
                "code": { "const": "invalid_fields" },
                "errors": {
                    "type": "object", "minProperties": 1, "properties": by_name, "additionalProperties": false,
                },
            },
        })
    }

    fn passwords_are_repeated(&self) -> bool {
        false
    }

    fn repetition_differs(&self, _: PasswordForm, repetition: &'static str) -> Difference {
        Difference::Field(repetition)
    }
}
