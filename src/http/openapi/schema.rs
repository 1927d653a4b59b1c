//! JSON Schema of what goes in, from the rows' fields, and of refusals, from the very bodies that they have.

use std::collections::{BTreeMap, BTreeSet};

use auth_core::policy::Policy;
use auth_core::types::{MAX_EMAIL_BYTES, MAX_PASSWORD_BYTES, MAX_USERNAME_CHARS};
use serde_json::{Map, Value, json};

use crate::http::dialect::Dialect;
use crate::http::field::{Kind, Need, Part};
use crate::http::refusal::Refusal;

/// The fields of a row, as the settings have them.
pub(super) struct Inputs {
    fields: Vec<Input>,
    /// One of these must be there.
    one_of: Vec<&'static str>,
    /// Whether all that is wrong with single fields is told.
    strict: bool,
}

struct Input {
    name: &'static str,
    required: bool,
    schema: Value,
}

impl Inputs {
    pub(super) fn of(parts: &[Part], policy: &Policy, dialect: &dyn Dialect, form: bool) -> Self {
        let mut inputs = Self { fields: Vec::new(), one_of: Vec::new(), strict: false };
        for part in parts {
            inputs.strict |= part.kind != Kind::Link;
            if let Kind::Attributes | Kind::NullableAttributes = part.kind {
                let nullable = part.kind == Kind::NullableAttributes && !form;
                let kind = if nullable { json!(["string", "null"]) } else { json!("string") };
                inputs.fields.extend(policy.attributes.iter().map(|rule| {
                    let schema = json!({ "type": kind, "maxLength": rule.max_chars });
                    Input { name: rule.name, required: false, schema }
                }));
                continue;
            }
            let identifies = part.need == Need::Identifier;
            let hidden = part.need == Need::WithUsernames || (identifies && part.kind == Kind::Username);
            if hidden && !policy.usernames {
                continue;
            }
            if (identifies && policy.usernames) || part.need == Need::OneOf {
                inputs.one_of.push(part.name);
            }
            let required = match part.need {
                Need::Required | Need::WithUsernames => true,
                Need::Optional | Need::OneOf => false,
                Need::Repetition(_) => dialect.passwords_are_repeated(),
                Need::Identifier => !policy.usernames,
            };
            inputs.fields.push(Input { name: part.name, required, schema: of_part(part.kind, policy, form) });
        }
        inputs
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    pub(super) fn read_strictly(&self) -> bool {
        self.strict
    }

    pub(super) fn any_required(&self) -> bool {
        self.fields.iter().any(|field| field.required)
    }

    /// As the body of a request.
    pub(super) fn schema(&self) -> Value {
        let properties: Map<_, _> =
            self.fields.iter().map(|field| (field.name.to_owned(), field.schema.clone())).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        let required: Vec<_> = self.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if !self.one_of.is_empty() {
            schema["anyOf"] = self.one_of.iter().map(|name| json!({ "required": [name] })).collect();
        }
        schema
    }

    /// As parameters of a query.
    pub(super) fn query(&self) -> Vec<Value> {
        let parameter = |field: &Input| {
            let Input { name, required, schema } = field;
            json!({ "name": name, "in": "query", "required": required, "schema": schema })
        };
        self.fields.iter().map(parameter).collect()
    }
}

fn of_part(kind: Kind, policy: &Policy, form: bool) -> Value {
    let rules = &policy.password;
    match kind {
        Kind::Text(most) => json!({ "type": "string", "minLength": 1, "maxLength": most }),
        // Each has a line of its own.
        Kind::Attributes | Kind::NullableAttributes => json!({}),
        Kind::Email => json!({ "type": "string", "format": "email", "maxLength": MAX_EMAIL_BYTES }),
        Kind::Username => json!({
            "type": "string", "minLength": 1, "maxLength": MAX_USERNAME_CHARS,
            "description": "Unaccented letters, digits and _ . + - only; upper and lower case are the same.",
        }),
        Kind::Password => {
            json!({ "type": "string", "format": "password", "minLength": 1, "maxLength": MAX_PASSWORD_BYTES })
        }
        Kind::NewPassword => json!({
            "type": "string", "format": "password", "minLength": rules.min_chars, "maxLength": rules.max_chars,
            "description": "Neither a common one nor one like the account's own data.",
        }),
        Kind::Code(least, most) if form => json!({ "type": "string", "minLength": least, "maxLength": most }),
        Kind::Code(least, most) => json!({
            "type": ["string", "integer"], "minLength": least, "maxLength": most,
            "minimum": 0, "maximum": 999_999,
            "description": "Blanks, hyphens and line ends do not count, and digits of every script do. A number stands for its \
                digits with leading zeros.",
        }),
        Kind::Uuid => json!({ "type": "string", "format": "uuid" }),
        Kind::Flag if form => json!({ "type": "string", "enum": ["true", "false"] }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Confirmation if form => json!({ "type": "string", "const": "true" }),
        Kind::Confirmation => json!({ "type": "boolean", "const": true }),
        Kind::Link => json!({ "type": "string", "minLength": 1, "description": "As in the mailed link." }),
    }
}

/// A refusal with this status: one schema per shape that its bodies have, the codes in each, and the bodies as examples.
/// `fields`: what may be wrong, where single fields are told.
pub(super) fn refusal(status: u16, refusals: &[Refusal], fields: &[&str], dialect: &dyn Dialect) -> Value {
    let mut examples = Map::new();
    let mut headers = Map::new();
    let mut codes_by_shape: BTreeMap<String, (Value, BTreeSet<String>)> = BTreeMap::new();
    let field_errors = (!fields.is_empty()).then(|| dialect.field_errors_schema(status, fields));
    for refusal in refusals {
        let body = dialect.body(refusal);
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        for name in refusal.header_names() {
            headers.insert(title_case(name.as_str()), json!({ "schema": { "type": "string" } }));
        }
        if field_errors.is_none() || code != "invalid_fields" {
            let shape = of_example(&body);
            codes_by_shape.entry(shape.to_string()).or_insert((shape, BTreeSet::new())).1.insert(code.clone());
        }
        examples.entry(code).or_insert(json!({ "value": body }));
    }
    let told = codes_by_shape.into_values().map(|(mut shape, codes)| {
        shape["properties"]["code"]["enum"] = codes.into_iter().collect();
        shape
    });
    let mut shapes: Vec<Value> = told.chain(field_errors).collect();
    let schema = match shapes.len() {
        1 => shapes.remove(0),
        _ => json!({ "anyOf": shapes }),
    };
    let mut media = json!({ "schema": schema });
    if !examples.is_empty() {
        media["examples"] = examples.into();
    }
    let mut refusal =
        json!({ "description": super::reason_phrase(status), "content": { dialect.content_type(): media } });
    if !headers.is_empty() {
        refusal["headers"] = headers.into();
    }
    refusal
}

/// What a value like this one looks like, its members all required.
fn of_example(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let properties: Map<_, _> = members.iter().map(|(name, value)| (name.clone(), of_example(value))).collect();
            let names: Vec<_> = members.keys().collect();
            json!({ "type": "object", "required": names, "properties": properties })
        }
        Value::Array(items) => json!({ "type": "array", "items": items.first().map_or(json!({}), of_example) }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Null => json!({ "type": "null" }),
    }
}

/// `retry-after` as people write it.
fn title_case(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    };
    match name {
        "ratelimit" => "RateLimit".into(),
        "ratelimit-policy" => "RateLimit-Policy".into(),
        "www-authenticate" => "WWW-Authenticate".into(),
        name => name.split('-').map(word).collect::<Vec<_>>().join("-"),
    }
}
