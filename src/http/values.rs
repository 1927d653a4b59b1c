//! Bodies and queries: a flat set of named values, as they were sent. [`super::field`] reads them.

use http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroize;

use super::json_kind::JsonKind;
use super::refusal::Refusal;

/// The named values of a body or query.
#[derive(Default)]
pub(crate) struct Values {
    values: BTreeMap<String, Slot>,
}

/// A value as it was sent.
pub(super) enum Slot {
    Text(String),
    Null,
    Flag(bool),
    Number(String),
    NotAText,
    Repeated,
}

/// Values hold passwords and tokens.
impl Drop for Slot {
    fn drop(&mut self) {
        if let Self::Text(text) | Self::Number(text) = self {
            text.zeroize();
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Values {
    /// Reads a body by its content type. An empty one has no fields.
    pub(crate) fn from_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or(""));
        let essence = content_type.map(|value| value.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
        match essence.as_deref() {
            Some("application/json") if body.is_empty() => Ok(Self::default()),
            Some("application/json") => Self::from_json(body),
            Some("application/x-www-form-urlencoded") => Ok(Self::from_form(body)),
            None if body.is_empty() => Ok(Self::default()),
            _ => Err(Refusal::unsupported_media_type(content_type.unwrap_or(""))),
        }
    }

    /// Reads a form. Bytes that are no UTF-8 are decoded to one and the same character, which would make one password of
    /// many: such a value is no text.
    fn from_form(body: &[u8]) -> Self {
        let mut values = Self::from_urlencoded(body);
        for slot in values.values.values_mut() {
            if matches!(slot, Slot::Text(text) if text.contains(char::REPLACEMENT_CHARACTER)) {
                *slot = Slot::NotAText;
            }
        }
        values
    }

    /// Reads `a=1&b=2`.
    pub(crate) fn from_urlencoded(text: &[u8]) -> Self {
        let mut values = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            values.add(name.into_owned(), Slot::Text(value.into_owned()));
        }
        values
    }

    fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let top = serde::de::DeserializeSeed::deserialize(TopLevel, &mut deserializer);
        let top = top.and_then(|top| deserializer.end().map(|()| top));
        match top {
            Ok(Top::Object(fields)) => Ok(fields),
            Ok(Top::Other(kind)) => Err(Refusal::not_an_object(kind)),
            Err(error) => Err(Refusal::malformed_json(&error)),
        }
    }

    fn add(&mut self, name: String, slot: Slot) {
        self.values.entry(name).and_modify(|slot| *slot = Slot::Repeated).or_insert(slot);
    }

    /// A text as it came; `None` when it is missing, empty, or no text.
    pub(crate) fn lenient(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Slot::Text(text)) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// A value as it was sent.
    pub(super) fn get(&self, name: &str) -> Option<&Slot> {
        self.values.get(name)
    }
}

enum Top {
    Object(Values),
    Other(JsonKind),
}

/// Reads the top level and sees members that come twice, which a map would hide.
struct TopLevel;

impl<'de> serde::de::DeserializeSeed<'de> for TopLevel {
    type Value = Top;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> serde::de::Visitor<'de> for TopLevel {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
        let mut values = Values::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let slot = match value {
                Value::String(text) => Slot::Text(text),
                Value::Null => Slot::Null,
                Value::Bool(flag) => Slot::Flag(flag),
                Value::Number(number) => Slot::Number(number.to_string()),
                _ => Slot::NotAText,
            };
            values.add(name, slot);
        }
        Ok(Top::Object(values))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Top, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Top::Other(JsonKind::Array))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::Boolean))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::Integer))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::Float))
    }

    fn visit_str<E>(self, _: &str) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::String))
    }

    fn visit_unit<E>(self) -> Result<Top, E> {
        Ok(Top::Other(JsonKind::Null))
    }
}
