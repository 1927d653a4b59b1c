//! Reading values strictly, one by one.

use std::ops::RangeInclusive;

use auth_core::error::{Error, FieldError, FieldReason};
use auth_core::policy::{NewPassword, Policy};
use auth_core::types::{
    Code, Email, MAX_EMAIL_BYTES, MAX_PASSWORD_BYTES, MAX_USERNAME_CHARS, Password, PasswordTooLong, Personal, Username,
};

use crate::http::dialect::Dialect;
use crate::http::refusal::Refusal;
use crate::http::site::Site;
use crate::http::values::{Slot, Values};

/// Reads fields one by one and remembers all that is wrong.
pub struct Reader<'a> {
    values: &'a Values,
    policy: &'a Policy,
    site: &'a Site,
    errors: Vec<FieldError>,
    /// Refuses the request whatever its fields say.
    refusal: Option<Refusal>,
    /// Refuses a request whose fields are right one by one.
    last_refusal: Option<Refusal>,
    /// What the fields so far say of the account.
    email: Option<Email>,
    username: Option<Username>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a Values, policy: &'a Policy, site: &'a Site) -> Self {
        let (errors, refusal, last_refusal, email, username) = (Vec::new(), None, None, None, None);
        Self { values, policy, site, errors, refusal, last_refusal, email, username }
    }

    pub(super) fn policy(&self) -> &'a Policy {
        self.policy
    }

    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        self.site.settings.dialect
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    pub(super) fn refuse_at_last(&mut self, refusal: Refusal) {
        self.last_refusal.get_or_insert(refusal);
    }

    /// A text as it came; `None` when it is missing, empty, or no text.
    pub(super) fn lenient(&self, field: &str) -> Option<&'a str> {
        self.values.lenient(field)
    }

    pub(super) fn wrong(&mut self, field: &'static str, reason: FieldReason) {
        self.errors.push(FieldError { field, reason });
    }

    /// Whether the field was sent at all.
    pub(super) fn has(&self, field: &str) -> bool {
        self.values.get(field).is_some()
    }

    /// A text exactly as it came.
    pub(super) fn exact(&mut self, field: &'static str) -> &'a str {
        let reason = match self.values.get(field) {
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
    pub(super) fn text(&mut self, field: &'static str, max_chars: usize) -> &'a str {
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
    pub(super) fn optional_text(&mut self, field: &'static str, max_chars: usize) -> Option<&'a str> {
        match self.values.get(field) {
            None => None,
            Some(Slot::Text(text)) if text.trim().is_empty() => Some(""),
            Some(_) => Some(self.text(field, max_chars)),
        }
    }

    /// As [`optional_text`](Self::optional_text), where `null` takes the value away: `None` for what was not sent.
    pub(super) fn nullable_text(&mut self, field: &'static str, max_chars: usize) -> Option<Option<&'a str>> {
        match self.values.get(field) {
            Some(Slot::Null) => Some(None),
            _ => self.optional_text(field, max_chars).map(Some),
        }
    }

    /// A code in its one form, of so many characters, from any spelling. The one field where a number may stand for a text:
    /// front-ends send it so, without its leading zeros.
    pub(super) fn code(&mut self, field: &'static str, chars: RangeInclusive<usize>) -> String {
        let before = self.errors.len();
        let (least, most) = (*chars.start(), *chars.end());
        let read = match self.values.get(field) {
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
        read.map(|code| code.expose().to_owned()).unwrap_or_default()
    }

    /// A UUID, hyphenated or not, in any case.
    pub(super) fn uuid(&mut self, field: &'static str) -> &'a str {
        let before = self.errors.len();
        let text = self.exact(field);
        let is_uuid = matches!(text.len(), 32 | 36) && uuid::Uuid::try_parse(text).is_ok();
        if self.errors.len() == before && !is_uuid {
            self.wrong(field, FieldReason::InvalidUuid);
        }
        text
    }

    /// `true`, or in a form its name.
    pub(super) fn confirmation(&mut self, field: &'static str) {
        match self.values.get(field) {
            Some(Slot::Flag(true)) => {}
            Some(Slot::Text(text)) if text == "true" => {}
            Some(Slot::Repeated) => self.wrong(field, FieldReason::Repeated),
            Some(_) => self.wrong(field, FieldReason::NotConfirmed),
            None => self.wrong(field, FieldReason::Required),
        }
    }

    /// `true` or `false`, in a form its name; `false` when it was not sent.
    pub(super) fn flag(&mut self, field: &'static str) -> bool {
        match self.values.get(field) {
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
    pub(super) fn email(&mut self, field: &'static str) -> Option<Email> {
        let before = self.errors.len();
        let email = Email::parse(self.text(field, MAX_EMAIL_BYTES)).ok();
        if email.is_none() && self.errors.len() == before {
            self.wrong(field, FieldReason::InvalidEmail);
        }
        self.email.clone_from(&email);
        email
    }

    /// A username to be made.
    pub(super) fn username(&mut self, field: &'static str) -> Option<Username> {
        let before = self.errors.len();
        let username = Username::parse(self.text(field, MAX_USERNAME_CHARS)).ok();
        if username.is_none() && self.errors.len() == before {
            self.wrong(field, FieldReason::InvalidUsername);
        }
        self.username.clone_from(&username);
        username
    }

    /// A password to be checked; an empty one stands for what is wrong.
    pub(super) fn password(&mut self, field: &'static str) -> Password {
        Password::new(self.exact(field)).unwrap_or_else(|PasswordTooLong| {
            self.wrong(field, FieldReason::TooLong(MAX_PASSWORD_BYTES));
            Password::default()
        })
    }

    /// Whether a confirmation repeats a password, where one was sent or the profile asks for it. What is no text, on
    /// either side, is told as such and not as a difference.
    pub(super) fn repeats(&mut self, field: &'static str, password: &str, required: bool) -> bool {
        if !required && !self.has(field) {
            return true;
        }
        let confirmation = self.exact(field);
        password.is_empty() || confirmation.is_empty() || is_same_password(confirmation, password)
    }

    /// A password to be set, by the rules that need no more than what the form says of its owner: as it came, and as it was
    /// accepted.
    pub(super) fn new_password(&mut self, field: &'static str) -> (&'a str, Option<NewPassword>) {
        let before = self.errors.len();
        let text = self.exact(field);
        if self.errors.len() > before {
            return (text, None);
        }
        let personal = Personal { email: self.email.as_ref(), username: self.username.as_ref() };
        match self.policy().password.accept(field, text, personal) {
            Ok(password) => (text, Some(password)),
            Err(errors) => {
                self.errors.extend(errors);
                (text, None)
            }
        }
    }

    /// Ends reading.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match (self.refusal, self.last_refusal) {
            (Some(refusal), _) => Err(refusal),
            (None, _) if !self.errors.is_empty() => Err(Error::invalid_fields(self.errors).into()),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Ok(()),
        }
    }
}

/// Compares in the form in which passwords are kept: devices write one character as different code points.
fn is_same_password(one: &str, other: &str) -> bool {
    match (Password::new(one), Password::new(other)) {
        (Ok(one), Ok(other)) => one.expose() == other.expose(),
        _ => one == other,
    }
}
