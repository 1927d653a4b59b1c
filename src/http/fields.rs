//! Bodies and queries: a flat set of named values, read strictly. All that is wrong with them is told at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use auth_core::error::{Error, FieldError, FieldReason};
use auth_core::policy::PasswordPolicy;
use auth_core::types::{
    Code, Email, MAX_EMAIL_BYTES, MAX_PASSWORD_BYTES, MAX_USERNAME_CHARS, Password, PasswordTooLong, Personal, Username,
};
use http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use zeroize::Zeroize;

use super::problem::Problem;

/// The named values of a body or query.
#[derive(Default)]
pub(crate) struct Fields {
    values: BTreeMap<String, Slot>,
}

enum Slot {
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

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Fields {
    /// Reads a body by its content type. An empty one has no fields.
    pub(crate) fn from_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or(""));
        let essence = content_type.map(|value| value.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
        match essence.as_deref() {
            Some("application/json") if body.is_empty() => Ok(Self::default()),
            Some("application/json") => Self::from_json(body),
            Some("application/x-www-form-urlencoded") => Ok(Self::from_form(body)),
            None if body.is_empty() => Ok(Self::default()),
            _ => Err(Problem::unsupported_media_type(content_type.unwrap_or(""))),
        }
    }

    /// Reads a form. Bytes that are no UTF-8 are decoded to one and the same character, which would make one password of
    /// many: such a value is no text.
    fn from_form(body: &[u8]) -> Self {
        let mut fields = Self::from_urlencoded(body);
        for slot in fields.values.values_mut() {
            if matches!(slot, Slot::Text(text) if text.contains(char::REPLACEMENT_CHARACTER)) {
                *slot = Slot::NotAText;
            }
        }
        fields
    }

    /// Reads `a=1&b=2`.
    pub(crate) fn from_urlencoded(text: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            fields.add(name.into_owned(), Slot::Text(value.into_owned()));
        }
        fields
    }

    fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let top = serde::de::DeserializeSeed::deserialize(TopLevel, &mut deserializer);
        let top = top.and_then(|top| deserializer.end().map(|()| top));
        match top {
            Ok(Top::Object(fields)) => Ok(fields),
            Ok(Top::Other(kind)) => Err(Problem::not_an_object(kind)),
            Err(error) => Err(Problem::malformed_json(&error)),
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

    /// Starts reading strictly.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { fields: self, errors: Vec::new() }
    }
}

/// Reads fields one by one and remembers all that is wrong.
pub(crate) struct Reader<'a> {
    fields: &'a Fields,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    pub(crate) fn wrong(&mut self, field: &'static str, reason: FieldReason) {
        self.errors.push(FieldError { field, reason });
    }

    /// Whether the field was sent at all.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.values.contains_key(field)
    }

    /// A text exactly as it came.
    pub(crate) fn exact(&mut self, field: &'static str) -> &'a str {
        let reason = match self.fields.values.get(field) {
            Some(Slot::Text(text)) if text.contains('\0') => FieldReason::NullCharacter,
            Some(Slot::Text(text)) if text.is_empty() => FieldReason::Blank,
            Some(Slot::Text(text)) => return text,
            Some(Slot::Null) => FieldReason::Null,
            Some(Slot::Flag(_) | Slot::Number(_) | Slot::NotAText) => FieldReason::NotAString,
            Some(Slot::Repeated) => FieldReason::Repeated,
            None => FieldReason::Required,
        };
        self.wrong(field, reason);
        ""
    }

    /// A text without the white space around it, of at most so many characters.
    pub(crate) fn text(&mut self, field: &'static str, max_chars: usize) -> &'a str {
        let before = self.errors.len();
        let text = self.exact(field).trim();
        if self.errors.len() > before {
            return text;
        }
        if text.is_empty() {
            self.wrong(field, FieldReason::Blank);
        } else if text.chars().count() > max_chars {
            self.wrong(field, FieldReason::TooLong(max_chars));
        }
        text
    }

    /// As [`text`](Self::text), but the field may be missing or empty.
    pub(crate) fn optional_text(&mut self, field: &'static str, max_chars: usize) -> Option<&'a str> {
        match self.fields.values.get(field) {
            None => None,
            Some(Slot::Text(text)) if text.trim().is_empty() => Some(""),
            Some(_) => Some(self.text(field, max_chars)),
        }
    }

    /// As [`optional_text`](Self::optional_text), where `null` takes the value away: `None` for what was not sent.
    pub(crate) fn nullable_text(&mut self, field: &'static str, max_chars: usize) -> Option<Option<&'a str>> {
        match self.fields.values.get(field) {
            Some(Slot::Null) => Some(None),
            _ => self.optional_text(field, max_chars).map(Some),
        }
    }

    /// A code in its one form, of so many characters, from any spelling. The one field where a number may stand for a text:
    /// front-ends send it so, without its leading zeros.
    pub(crate) fn code(&mut self, field: &'static str, chars: RangeInclusive<usize>) -> Cow<'a, str> {
        let before = self.errors.len();
        let (least, most) = (*chars.start(), *chars.end());
        let read = match self.fields.values.get(field) {
            Some(Slot::Number(number)) => Code::from_number(number).ok(),
            _ => {
                let plain = Code::plain(self.exact(field));
                match plain.chars().count() {
                    _ if self.errors.len() > before => {}
                    0 => self.wrong(field, FieldReason::Blank),
                    count if count < least => self.wrong(field, FieldReason::TooShort(least)),
                    count if count > most => self.wrong(field, FieldReason::TooLong(most)),
                    _ => {}
                }
                Code::parse(&plain).ok()
            }
        };
        let read = read.filter(|code| chars.contains(&code.expose().len()));
        if read.is_none() && self.errors.len() == before {
            self.wrong(field, FieldReason::MalformedCode);
        }
        Cow::Owned(read.map(|code| code.expose().to_owned()).unwrap_or_default())
    }

    /// Reads a code like [`code`](Self::code), or `None` if it is missing.
    pub(crate) fn optional_code(&mut self, field: &'static str, chars: RangeInclusive<usize>) -> Option<Cow<'a, str>> {
        self.has(field).then(|| self.code(field, chars))
    }

    /// A UUID, hyphenated or not, in any case.
    pub(crate) fn uuid(&mut self, field: &'static str) -> &'a str {
        let before = self.errors.len();
        let text = self.exact(field);
        let is_uuid = matches!(text.len(), 32 | 36) && uuid::Uuid::try_parse(text).is_ok();
        if self.errors.len() == before && !is_uuid {
            self.wrong(field, FieldReason::InvalidUuid);
        }
        text
    }

    /// `true`, or in a form its name.
    pub(crate) fn confirmation(&mut self, field: &'static str) {
        match self.fields.values.get(field) {
            Some(Slot::Flag(true)) => {}
            Some(Slot::Text(text)) if text == "true" => {}
            Some(Slot::Repeated) => self.wrong(field, FieldReason::Repeated),
            Some(_) => self.wrong(field, FieldReason::NotConfirmed),
            None => self.wrong(field, FieldReason::Required),
        }
    }

    /// `true` or `false`, in a form its name; `false` when it was not sent.
    pub(crate) fn flag(&mut self, field: &'static str) -> bool {
        match self.fields.values.get(field) {
            Some(Slot::Flag(flag)) => return *flag,
            Some(Slot::Text(text)) if text == "true" => return true,
            Some(Slot::Text(text)) if text == "false" => {}
            Some(Slot::Repeated) => self.wrong(field, FieldReason::Repeated),
            Some(_) => self.wrong(field, FieldReason::NotAFlag),
            None => {}
        }
        false
    }

    /// A mail address.
    pub(crate) fn email(&mut self, field: &'static str) -> &'a str {
        let before = self.errors.len();
        let text = self.text(field, MAX_EMAIL_BYTES);
        if self.errors.len() == before && Email::parse(text).is_err() {
            self.wrong(field, FieldReason::InvalidEmail);
        }
        text
    }

    /// A username to be made.
    pub(crate) fn username(&mut self, field: &'static str) -> &'a str {
        let before = self.errors.len();
        let text = self.text(field, MAX_USERNAME_CHARS);
        if self.errors.len() == before && Username::parse(text).is_err() {
            self.wrong(field, FieldReason::InvalidUsername);
        }
        text
    }

    /// A password to be checked; an empty one stands for what is wrong.
    pub(crate) fn password(&mut self, field: &'static str) -> Password {
        Password::new(self.exact(field)).unwrap_or_else(|PasswordTooLong| {
            self.wrong(field, FieldReason::TooLong(MAX_PASSWORD_BYTES));
            Password::default()
        })
    }

    /// As [`password`](Self::password), where it may be missing.
    pub(crate) fn optional_password(&mut self, field: &'static str) -> Option<Password> {
        self.has(field).then(|| self.password(field))
    }

    /// Whether a confirmation repeats a password, where one was sent or the profile asks for it. What is no text, on
    /// either side, is told as such and not as a difference.
    pub(crate) fn repeats(&mut self, field: &'static str, password: &str, required: bool) -> bool {
        if !required && !self.has(field) {
            return true;
        }
        let confirmation = self.exact(field);
        password.is_empty() || confirmation.is_empty() || is_same_password(confirmation, password)
    }

    /// A password to be set, by the rules that need no more than what is known of its owner by now.
    pub(crate) fn new_password(
        &mut self,
        field: &'static str,
        policy: &PasswordPolicy,
        personal: Personal<'_>,
    ) -> &'a str {
        let before = self.errors.len();
        let text = self.exact(field);
        if self.errors.len() == before
            && let Err(errors) = policy.accept(field, text, personal)
        {
            self.errors.extend(errors);
        }
        text
    }

    /// Ends reading.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::invalid_fields(self.errors).into()) }
    }
}

/// Compares in the form in which passwords are kept: devices write one character as different code points.
fn is_same_password(one: &str, other: &str) -> bool {
    match (Password::new(one), Password::new(other)) {
        (Ok(one), Ok(other)) => one.expose() == other.expose(),
        _ => one == other,
    }
}

enum Top {
    Object(Fields),
    Other(&'static str),
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
        let mut fields = Fields::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let slot = match value {
                Value::String(text) => Slot::Text(text),
                Value::Null => Slot::Null,
                Value::Bool(flag) => Slot::Flag(flag),
                Value::Number(number) => Slot::Number(number.to_string()),
                _ => Slot::NotAText,
            };
            fields.add(name, slot);
        }
        Ok(Top::Object(fields))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Top, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Top::Other("list"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
        Ok(Top::Other("bool"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
        Ok(Top::Other("int"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
        Ok(Top::Other("int"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
        Ok(Top::Other("float"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Top, E> {
        Ok(Top::Other("str"))
    }

    fn visit_unit<E>(self) -> Result<Top, E> {
        Ok(Top::Other("NoneType"))
    }
}
