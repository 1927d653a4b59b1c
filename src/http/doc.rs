//! What a row of the table tells of itself: plain data beside its handler, from which the OpenAPI document is made.

#![cfg_attr(not(feature = "openapi"), allow(dead_code, reason = "only the document reads it"))]

use serde_json::{Value, json};

use super::refusal::Refusal;

/// The description of one row. What follows from the row itself (method, path, access, throttle, fields) is not repeated.
#[derive(Clone, Copy)]
pub(crate) struct Doc {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    /// What a public endpoint goes by besides its fields.
    pub(crate) shows: Shows,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// JSON Schema of the answer.
    pub(crate) answer: fn() -> Value,
    pub(crate) cookies: Cookies,
    /// What the handler refuses, apart from fields that are wrong one by one.
    pub(crate) refusals: fn() -> Vec<Refusal>,
}

/// Tokens that a public endpoint looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Nothing,
    Access,
    /// The access token, or something among the fields.
    AccessOrElse,
    Refresh,
    AccessOrRefresh,
}

/// What the answer does to the browser's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    None,
    Session,
    SessionAndDevice,
    Device,
    /// Unless a second step is to follow.
    SessionAndDeviceOrNone,
    Cleared,
}

impl Doc {
    /// A row that reads no field and answers 200 with a `detail`.
    pub(crate) const fn new(tag: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            summary,
            shows: Shows::Nothing,
            status: 200,
            content_type: "application/json",
            answer: detail,
            cookies: Cookies::None,
            refusals: Vec::new,
        }
    }

    pub(crate) const fn shows(self, shows: Shows) -> Self {
        Self { shows, ..self }
    }

    pub(crate) const fn created(self) -> Self {
        Self { status: 201, ..self }
    }

    pub(crate) const fn answer(self, answer: fn() -> Value) -> Self {
        Self { answer, ..self }
    }

    pub(crate) const fn cookies(self, cookies: Cookies) -> Self {
        Self { cookies, ..self }
    }

    pub(crate) const fn refusals(self, refusals: fn() -> Vec<Refusal>) -> Self {
        Self { refusals, ..self }
    }
}

/// `{"detail": "..."}`
pub(crate) fn detail() -> Value {
    object(&[("detail", string())], &[])
}

/// An object with members that are always there and ones that may be.
pub(crate) fn object(always: &[(&str, Value)], maybe: &[(&str, Value)]) -> Value {
    let names: Vec<_> = always.iter().map(|(name, _)| *name).collect();
    let all = always.iter().chain(maybe).map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    json!({ "type": "object", "required": names, "properties": all.collect::<serde_json::Map<_, _>>() })
}

pub(crate) fn string() -> Value {
    json!({ "type": "string" })
}

pub(crate) fn strings() -> Value {
    json!({ "type": "array", "items": string() })
}
