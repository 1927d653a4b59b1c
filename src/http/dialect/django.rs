//! The contract `django`: the keys and texts that front-ends of Django REST framework and Simple JWT read, plus `code`.

use auth_core::error::{FieldError, FieldReason, Reason};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Dialect, Difference, PasswordForm, by_field};
use crate::http::json_kind::JsonKind;
use crate::http::refusal::{Refusal, Subject};

pub(super) struct Django;

impl Dialect for Django {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn body(&self, refusal: &Refusal) -> Value {
        let detail = detail(refusal);
        let mut body = match refusal.subject() {
            Subject::Request | Subject::StepUp(_) => json!({ "detail": detail }),
            Subject::Link => json!({ "error": detail }),
            Subject::Body(kind) => {
                let kind = python_type(*kind);
                json!({ "non_field_errors": [format!("Invalid data. Expected a dictionary, but got {kind}.")] })
            }
            Subject::Fields(errors) => by_field(errors, |error| text_of(error).into()),
            // Not a list: the contract has it so for this field alone.
            Subject::Password(field @ "old_password") => json!({ *field: detail }),
            Subject::Password(field) => json!({ *field: [detail] }),
            Subject::AccessToken => json!({
                "detail": detail,
                "messages": [{
                    "token_class": "AccessToken", "token_type": "access", "message": token_message(refusal.reason()),
                }],
            }),
        };
        // A field of that name keeps its errors.
        if body.get("code").is_none() {
            body["code"] = refusal.code().into();
        }
        body
    }

    #[cfg(feature = "openapi")]
    fn field_errors_schema(&self, _: u16, names: &[&str]) -> Value {
        let list = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
        let mut by_name: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), list.clone())).collect();
        let code = json!({ "const": "invalid_fields" });
        // A field of that name keeps its errors.
        let code = by_name.remove("code").map_or(code.clone(), |list| json!({ "anyOf": [code, list] }));
        by_name.insert("code".to_owned(), code);
        json!({ "type": "object", "required": ["code"], "properties": by_name, "additionalProperties": false })
    }

    fn passwords_are_repeated(&self) -> bool {
        true
    }

    fn repetition_differs(&self, form: PasswordForm, _: &'static str) -> Difference {
        match form {
            PasswordForm::SignUp => Difference::Field("password"),
            PasswordForm::Replacement => {
                let detail = Refusal::text(&FieldReason::PasswordMismatch);
                Difference::Alone(Refusal::new(StatusCode::BAD_REQUEST, "password_mismatch", detail))
            }
        }
    }
}

/// The sentences that differ from those of the other contracts.
fn detail(refusal: &Refusal) -> &str {
    match refusal.reason() {
        Some(Reason::TokenInvalid | Reason::TokenExpired | Reason::TokenWrongType) => {
            "Given token not valid for any token type"
        }
        Some(Reason::TwoFactorNotSetUp) => "Call /auth/2fa/setup/ first to generate a TOTP secret.",
        Some(Reason::UserInactive) => "User is inactive",
        Some(Reason::UserNotFound) => "User not found",
        _ => refusal.detail(),
    }
}

fn token_message(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::TokenExpired) => "Token is expired",
        Some(Reason::TokenWrongType) => "Token has wrong type",
        _ => "Token is invalid",
    }
}

fn text_of(error: &FieldError) -> String {
    match error.reason {
        FieldReason::Taken if error.field == "email" => "user with this email already exists.".into(),
        _ => Refusal::text_of(error),
    }
}

fn python_type(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::Array => "list",
        JsonKind::Boolean => "bool",
        JsonKind::Integer => "int",
        JsonKind::Float => "float",
        JsonKind::String => "str",
        JsonKind::Null => "NoneType",
    }
}
