//! Wire contracts: how refusals are spelt, and what forms ask for beyond the fields that all contracts share.
//!
//! A dialect is a file here. Handlers and refusals know none of them.

mod django;
mod standard;

use auth_core::error::FieldError;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::config::Profile;

/// A wire contract.
pub(crate) trait Dialect: Send + Sync {
    /// The content type of refusals.
    fn content_type(&self) -> &'static str;

    /// The body of a refusal.
    fn body(&self, refusal: &Refusal) -> Value;

    /// JSON Schema of the body of a refusal for wrong fields, with this status, where these fields may be wrong.
    #[cfg(feature = "openapi")]
    fn field_errors_schema(&self, status: u16, names: &[&str]) -> Value;

    /// Whether a form that sets a password must repeat it.
    fn passwords_are_repeated(&self) -> bool;

    /// The refusal of a repetition that differs from the password of a form, in the field of that name.
    fn repetition_differs(&self, form: PasswordForm, repetition: &'static str) -> Difference;
}

/// A form that sets a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordForm {
    /// Of a new account.
    SignUp,
    /// Of an account that has one, or had one.
    Replacement,
}

/// How a repetition that differs is reported.
pub(crate) enum Difference {
    /// As an error of this field, together with those of other fields.
    Field(&'static str),
    /// By a refusal of its own, once all fields are right.
    Alone(Refusal),
}

pub(crate) fn of(profile: Profile) -> &'static dyn Dialect {
    match profile {
        Profile::Standard => &standard::Standard,
        Profile::Django => &django::Django,
    }
}

/// Field by field, each with a list of what is wrong with it.
fn by_field(errors: &[FieldError], show: impl Fn(&FieldError) -> Value) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for error in errors {
        let list = fields.entry(error.field).or_insert_with(|| json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.push(show(error)));
    }
    fields.into()
}
