//! What a row of the table tells of itself: plain data beside its handler, from which the OpenAPI document is made.

#![cfg_attr(not(feature = "openapi"), allow(dead_code, reason = "only the document reads it"))]

use serde_json::{Value, json};

use super::problem::Problem;
use crate::config::Profile;

/// The description of one row. What follows from the row itself (method, path, access, throttle, whether a body is
/// read) is not repeated.
#[derive(Clone, Copy)]
pub(crate) struct Doc {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    /// What a public endpoint goes by besides its fields.
    pub(crate) shows: Shows,
    /// What the handler reads from the body, or of a GET from the query.
    pub(crate) fields: &'static [Field],
    /// JSON Schema of the body, where that is the application's own.
    pub(crate) body: Option<fn() -> Value>,
    /// Whether it reads the application's own fields as well.
    pub(crate) attributes: Option<Attributes>,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// JSON Schema of the answer.
    pub(crate) answer: fn() -> Value,
    pub(crate) cookies: Cookies,
    /// What the handler refuses, apart from fields that are wrong one by one.
    pub(crate) refusals: fn(Profile) -> Vec<Problem>,
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

/// One named value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
}

/// What a value may be, by the reader's method of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Email,
    Username,
    Password,
    NewPassword,
    /// A code of so many characters.
    Code(usize, usize),
    Uuid,
    Confirmation,
    /// `true` or `false`.
    Flag,
    /// A part of a mailed link: judged together with the other one.
    Link,
}

/// When a value must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// Required in the Django profile, else checked when it is sent.
    RequiredInDjango,
    /// Required where usernames are on, else not read.
    WithUsernames,
    /// One of the fields of this need.
    OneOf,
    /// One of the fields of this need; `username` counts only where usernames are on.
    Identifier,
}

/// How the application's own fields may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attributes {
    Optional,
    /// `null` removes one.
    Nullable,
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
            fields: &[],
            body: None,
            attributes: None,
            status: 200,
            content_type: "application/json",
            answer: detail,
            cookies: Cookies::None,
            refusals: |_| Vec::new(),
        }
    }

    pub(crate) const fn shows(self, shows: Shows) -> Self {
        Self { shows, ..self }
    }

    pub(crate) const fn fields(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }

    pub(crate) const fn attributes(self, attributes: Attributes) -> Self {
        Self { attributes: Some(attributes), ..self }
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

    pub(crate) const fn refusals(self, refusals: fn(Profile) -> Vec<Problem>) -> Self {
        Self { refusals, ..self }
    }
}

impl Field {
    pub(crate) const fn new(name: &'static str, kind: Kind, need: Need) -> Self {
        Self { name, kind, need }
    }

    pub(crate) const fn required(name: &'static str, kind: Kind) -> Self {
        Self::new(name, kind, Need::Required)
    }
}

/// The two parts of a mailed link.
pub(crate) const UID: Field = Field::required("uid", Kind::Link);
pub(crate) const TOKEN: Field = Field::required("token", Kind::Link);

/// Proofs that may be sent along with a sensitive change.
pub(crate) const CONFIRMATION: [Field; 2] =
    [Field::new("password", Kind::Password, Need::Optional), Field::new("code", Kind::Code(6, 6), Need::Optional)];

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
