//! The OpenAPI document as a page: HTML alone, without script, so that it needs nothing of the browser or of another host.

use std::collections::BTreeMap;

use minijinja::value::Value as Shown;
use minijinja::{Environment, Error, UndefinedBehavior, context};
use serde_json::{Value, json};

/// Nothing but the page's own style, named by its hash.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'sha256-kQLlXvYZLltLjPnNO5uPZmd5qtJXqb4hx5fMgkcmfUs='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("../docs/page.css");
const PAGE: &str = include_str!("../docs/page.html");

/// Puts the document in words. The page links to the document itself at `address`.
pub(crate) fn render(document: &Value, address: &str) -> Result<String, Error> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.add_template("page.html", PAGE)?;
    let mut by_tag: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (path, operations) in members(&document["paths"]) {
        for (method, operation) in members(operations) {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            by_tag.entry(tag).or_default().push(shown(document, method, path, operation));
        }
    }
    let info = for_template(&document["info"]);
    let by_tag: BTreeMap<_, _> =
        by_tag.iter().map(|(tag, shown)| (*tag, shown.iter().map(for_template).collect::<Vec<_>>())).collect();
    engine.get_template("page.html")?.render(context! { style => STYLE, address, info, by_tag })
}

/// One operation, as the template reads it.
fn shown(document: &Value, method: &str, path: &str, operation: &Value) -> Value {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let query = operation["parameters"].as_array().into_iter().flatten();
    let query = query.map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        field(name, &parameter["schema"], parameter["required"] == true)
    });
    let inputs: Vec<_> = query.chain(fields(body)).collect();
    let (mut answers, mut refusals) = (Vec::new(), Vec::new());
    for (status, response) in members(&operation["responses"]) {
        let response = resolved(document, response);
        let headers: Vec<_> = members(&response["headers"]).map(|(name, _)| name).collect();
        for (media, content) in members(&response["content"]) {
            let schema = &content["schema"];
            if status.starts_with('2') {
                let variants = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
                let variants: Vec<Vec<_>> = variants.iter().map(|schema| fields(schema).collect()).collect();
                let cookies = &response["headers"]["Set-Cookie"]["description"];
                answers.push(json!({ "status": status, "media": media, "variants": variants, "cookies": cookies }));
                continue;
            }
            for (code, example) in members(&content["examples"]) {
                let body = serde_json::to_string_pretty(&example["value"]).unwrap_or_default();
                refusals.push(json!({ "status": status, "code": code, "headers": headers, "body": body }));
            }
        }
    }
    let access: Vec<_> = operation["security"].as_array().into_iter().flatten().flat_map(members).collect();
    let access: Vec<_> = access.iter().map(|(scheme, _)| scheme_name(document, scheme)).collect();
    json!({
        "id": operation["operationId"], "method": method.to_ascii_uppercase(), "path": path,
        "summary": operation["summary"], "access": access, "inputs": inputs,
        "by_query": !operation["parameters"].is_null(), "answers": answers, "refusals": refusals,
    })
}

fn scheme_name(document: &Value, scheme: &str) -> String {
    let told = &document["components"]["securitySchemes"][scheme];
    match told["name"].as_str() {
        Some(cookie) => format!("cookie {cookie}"),
        None => "Authorization: Bearer".to_owned(),
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    members(&schema["properties"]).map(move |(name, schema)| {
        let required = required.iter().any(|required| required == name);
        field(name, schema, required)
    })
}

/// One named value: whether it must be there, and what it may be in words.
fn field(name: &str, schema: &Value, required: bool) -> Value {
    let mut words: Vec<String> = match &schema["type"] {
        Value::Array(kinds) => vec![kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")],
        kind => kind.as_str().map(str::to_owned).into_iter().collect(),
    };
    words.extend(schema["items"]["type"].as_str().map(|kind| format!("of {kind}s")));
    words.extend(schema["format"].as_str().map(str::to_owned));
    words.extend(Some(&schema["const"]).filter(|value| !value.is_null()).map(|value| format!("always {value}")));
    let lengths = (schema["minLength"].as_u64().filter(|least| *least > 1), schema["maxLength"].as_u64());
    words.extend(match lengths {
        (Some(least), Some(most)) if least == most => Some(format!("{least} characters")),
        (Some(least), Some(most)) => Some(format!("{least} to {most} characters")),
        (None, Some(most)) => Some(format!("at most {most} characters")),
        (_, None) => None,
    });
    json!({ "name": name, "required": required, "kind": words.join(", "), "about": schema["description"] })
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn for_template(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::from(()),
        Value::Bool(flag) => Shown::from(*flag),
        Value::Number(number) => Shown::from(number.to_string()),
        Value::String(text) => Shown::from(text.as_str()),
        Value::Array(items) => items.iter().map(for_template).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.as_str(), for_template(value)));
            members.collect::<BTreeMap<_, _>>().into()
        }
    }
}
