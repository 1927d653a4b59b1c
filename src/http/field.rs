//! Fields of bodies and queries: each is declared once, and is then the reader of its value, its line in the OpenAPI
//! document, and by that what the tests send.
//!
//! ```
//! use auth_system::Email;
//! use auth_system::operation::{Answer, Method, Operation, StatusCode, field};
//!
//! let form = (field::email("email"), field::text("note", 200).optional());
//! let invite = Operation::reading(Method::POST, "invitations/", form, |_call, form| async move {
//!     // Every field that is wrong is reported, not just the first.
//!     let (email, note): (Email, Option<String>) = form.read()?;
//!     Ok(Answer::detail(StatusCode::CREATED, &format!("{} was invited. {}", email.spelling(), note.unwrap_or_default())))
//! });
//! ```

mod reader;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use auth_core::error::{Error, FieldReason};
use auth_core::policy::{NewPassword, Policy};
use auth_core::types::{Email, Identifier, MAX_USERNAME_CHARS, Password, UserId, Username};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

pub(crate) use self::reader::Reader;
use super::dialect::{Difference, PasswordForm};
use super::refusal::Refusal;
use super::site::Site;
use super::values::Values;

/// Returns `None` for what the reader remembers as wrong.
type Read<T> = Arc<dyn Fn(&mut Reader<'_>) -> Option<T> + Send + Sync>;

/// A declared field, or fields that are read together. `T` is what reading returns.
pub struct Field<T> {
    parts: Vec<Part>,
    read: Read<T>,
}

/// One named value of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    Email,
    Username,
    Password,
    NewPassword,
    /// A code of so many characters.
    Code(usize, usize),
    Uuid,
    /// `true`.
    Confirmation,
    /// `true` or `false`.
    Flag,
    /// A part of a mailed link: judged together with the other one.
    Link,
    /// Each of the application's own fields; the name is not used.
    Attributes,
    /// As `Attributes`, where `null` removes one.
    NullableAttributes,
}

/// When a value must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
    /// As the dialect has it for this form; where it is optional, it is checked when it is sent.
    Repetition(PasswordForm),
    /// Required where usernames are on, else not read.
    WithUsernames,
    /// One of the fields of this need.
    OneOf,
    /// One of the fields of this need; `username` counts only where usernames are on.
    Identifier,
}

impl<T: 'static> Field<T> {
    fn new(
        parts: impl IntoIterator<Item = (&'static str, Kind, Need)>,
        read: impl Fn(&mut Reader<'_>) -> T + Send + Sync + 'static,
    ) -> Self {
        Self::parsed(parts, move |reader| Some(read(reader)))
    }

    /// A field whose value is `None` where the reader was told that it is wrong.
    fn parsed(
        parts: impl IntoIterator<Item = (&'static str, Kind, Need)>,
        read: impl Fn(&mut Reader<'_>) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let parts = parts.into_iter().map(|(name, kind, need)| Part { name, kind, need }).collect();
        Self { parts, read: Arc::new(read) }
    }

    fn required(name: &'static str, kind: Kind, read: impl Fn(&mut Reader<'_>) -> T + Send + Sync + 'static) -> Self {
        Self::new([(name, kind, Need::Required)], read)
    }

    /// The same field, where it may be left out. A value that is sent must still be right.
    #[must_use]
    pub fn optional(self) -> Field<Option<T>> {
        let Self { mut parts, read } = self;
        for part in &mut parts {
            part.need = Need::Optional;
        }
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        let read_if_sent = move |reader: &mut Reader<'_>| {
            let sent = names.iter().any(|name| reader.has(name));
            if sent { read(reader).map(Some) } else { Some(None) }
        };
        Field { parts, read: Arc::new(read_if_sent) }
    }
}

impl<T> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field").field(&self.parts).finish()
    }
}

/// The fields of a form: one [`Field`], or a tuple of up to six.
pub trait Fields: Send + Sync + 'static {
    /// What reading them returns.
    type Output: 'static;
    #[doc(hidden)]
    fn parts(&self) -> Vec<Part>;
    #[doc(hidden)]
    fn read(&self, reader: &mut Reader<'_>) -> Option<Self::Output>;
}

impl<T: 'static> Fields for Field<T> {
    type Output = T;
    fn parts(&self) -> Vec<Part> {
        self.parts.clone()
    }
    fn read(&self, reader: &mut Reader<'_>) -> Option<T> {
        (self.read)(reader)
    }
}

macro_rules! fields_of_tuples {
    ($(($($field:ident),+)),+) => {$(
        impl<$($field: Fields),+> Fields for ($($field,)+) {
            type Output = ($($field::Output,)+);
            fn parts(&self) -> Vec<Part> {
                #[allow(non_snake_case, reason = "a variable for each type parameter")]
                let ($($field,)+) = self;
                [$($field.parts()),+].concat()
            }
            #[allow(non_snake_case, reason = "a variable for each type parameter")]
            fn read(&self, reader: &mut Reader<'_>) -> Option<Self::Output> {
                let ($($field,)+) = self;
                // All are read before the first that is wrong counts.
                let ($($field,)+) = ($($field.read(reader),)+);
                Some(($($field?,)+))
            }
        }
    )+};
}

impl Fields for () {
    type Output = ();
    fn parts(&self) -> Vec<Part> {
        Vec::new()
    }
    fn read(&self, _: &mut Reader<'_>) -> Option<()> {
        Some(())
    }
}

fields_of_tuples!((A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, F));

/// The declared fields of one request, not read yet: a handler decides when.
pub struct Form<T> {
    site: Arc<Site>,
    /// That of the request.
    policy: Arc<Policy>,
    values: Arc<Values>,
    read: Read<T>,
}

impl<T: 'static> Form<T> {
    pub(super) fn new<F: Fields<Output = T>>(
        fields: &Arc<F>,
        site: &Arc<Site>,
        policy: Arc<Policy>,
        values: &Arc<Values>,
    ) -> Self {
        let fields = Arc::clone(fields);
        let read: Read<T> = Arc::new(move |reader| fields.read(reader));
        Self { site: Arc::clone(site), policy, values: Arc::clone(values), read }
    }

    /// Reads all fields.
    ///
    /// # Errors
    /// `invalid_fields`, with every field that is wrong; `link_incomplete` where a mailed link lacks a part.
    pub fn read(self) -> Result<T, Refusal> {
        let mut reader = Reader::new(&self.values, &self.policy, &self.site);
        let values = (self.read)(&mut reader);
        reader.finish()?;
        values.ok_or_else(|| Error::internal("a field is wrong, and its reader did not tell").into())
    }
}

/// Values may be secrets.
impl<T> fmt::Debug for Form<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

/// A text without the white space around it, of 1 to `max_chars` characters.
pub fn text(name: &'static str, max_chars: usize) -> Field<String> {
    Field::required(name, Kind::Text(max_chars), move |read| read.text(name, max_chars).to_owned())
}

/// A mail address, without the white space around it.
pub fn email(name: &'static str) -> Field<Email> {
    Field::parsed([(name, Kind::Email, Need::Required)], move |read| read.email(name))
}

/// A password to be checked.
pub fn password(name: &'static str) -> Field<Password> {
    Field::required(name, Kind::Password, move |read| read.password(name))
}

/// `true` or `false`, in a form its name; `false` when it was not sent.
pub fn flag(name: &'static str) -> Field<bool> {
    Field::new([(name, Kind::Flag, Need::Optional)], move |read| read.flag(name))
}

/// `true`, or in a form its name.
pub fn confirmation(name: &'static str) -> Field<()> {
    Field::required(name, Kind::Confirmation, move |read| read.confirmation(name))
}

/// A UUID, hyphenated or not, in any case.
pub fn uuid(name: &'static str) -> Field<String> {
    Field::required(name, Kind::Uuid, move |read| read.uuid(name).to_owned())
}

/// A code in its one form, of so many characters, from any spelling.
pub(super) fn code(name: &'static str, chars: RangeInclusive<usize>) -> Field<String> {
    let kind = Kind::Code(*chars.start(), *chars.end());
    Field::required(name, kind, move |read| read.code(name, chars.clone()))
}

/// The username of a new account, where usernames are on.
pub(super) fn new_username() -> Field<Option<Username>> {
    let parts = [("username", Kind::Username, Need::WithUsernames)];
    Field::parsed(parts, |read| match read.policy().usernames {
        true => read.username("username").map(Some),
        false => Some(None),
    })
}

/// An address or, where usernames are on, one of these.
pub(super) fn identifier() -> Field<Identifier> {
    let parts = [("email", Kind::Email, Need::Identifier), ("username", Kind::Username, Need::Identifier)];
    Field::parsed(parts, |read| {
        let by_username = read.policy().usernames && !read.has("email") && read.has("username");
        match by_username {
            true => Some(Identifier::parse(read.text("username", MAX_USERNAME_CHARS))),
            false => read.email("email").map(Identifier::Email),
        }
    })
}

/// A password to be set, which must not resemble what the form says of its owner, and its repetition.
pub(super) fn new_password(form: PasswordForm, name: &'static str, repetition: &'static str) -> Field<NewPassword> {
    let parts = [(name, Kind::NewPassword, Need::Required), (repetition, Kind::Password, Need::Repetition(form))];
    Field::parsed(parts, move |read| {
        let (password, accepted) = read.new_password(name);
        let dialect = read.dialect();
        if !read.repeats(repetition, password, dialect.passwords_are_repeated()) {
            match dialect.repetition_differs(form, repetition) {
                Difference::Field(field) => read.wrong(field, FieldReason::PasswordMismatch),
                Difference::Alone(refusal) => read.refuse_at_last(refusal),
            }
        }
        accepted
    })
}

/// Proofs that may be sent along with a sensitive change.
pub(super) fn proofs() -> (Field<Option<Password>>, Field<Option<String>>) {
    (password("password").optional(), code("code", 6..=6).optional())
}

/// At least one proof of the caller, read as a password where there is no code.
pub(super) fn password_or_code() -> Field<(Option<Password>, Option<String>)> {
    let parts = [("password", Kind::Password, Need::OneOf), ("code", Kind::Code(6, 6), Need::OneOf)];
    Field::new(parts, |read| {
        let code = read.has("code").then(|| read.code("code", 6..=6));
        let password = (code.is_none() || read.has("password")).then(|| read.password("password"));
        (password, code)
    })
}

/// What entitles to put a new authenticator in the place of the present one.
pub(super) enum Entitlement {
    Code(String),
    BackupCode { password: Password, code: String },
}

/// A code of the present authenticator, or the password and a backup code of `backup_chars` characters.
pub(super) fn entitlement(backup_chars: usize) -> Field<Entitlement> {
    let parts = [
        ("current_code", Kind::Code(6, 6), Need::OneOf),
        ("password", Kind::Password, Need::Optional),
        ("backup_code", Kind::Code(backup_chars, backup_chars), Need::OneOf),
    ];
    Field::new(parts, move |read| {
        let current = read.has("current_code").then(|| read.code("current_code", 6..=6));
        let backup = read.has("backup_code").then(|| {
            let code = read.code("backup_code", backup_chars..=backup_chars);
            Entitlement::BackupCode { code, password: read.password("password") }
        });
        match (current, backup) {
            (None, Some(backup)) => backup,
            (Some(code), _) => Entitlement::Code(code),
            (None, None) => {
                read.wrong("current_code", FieldReason::Required);
                Entitlement::Code(String::new())
            }
        }
    })
}

/// The application's own fields that were sent, by name.
pub(super) fn attributes() -> Field<Vec<(&'static str, String)>> {
    Field::new([("", Kind::Attributes, Need::Optional)], |read| {
        let rules = &read.policy().attributes;
        let sent = rules.iter().filter_map(|rule| Some((rule.name, read.optional_text(rule.name, rule.max_chars)?)));
        sent.map(|(name, text)| (name, text.to_owned())).collect()
    })
}

/// As [`attributes`], where `null` stands for one that is to be removed.
pub(super) fn nullable_attributes() -> Field<Vec<(&'static str, Option<String>)>> {
    Field::new([("", Kind::NullableAttributes, Need::Optional)], |read| {
        let rules = &read.policy().attributes;
        let sent = rules.iter().filter_map(|rule| Some((rule.name, read.nullable_text(rule.name, rule.max_chars)?)));
        sent.map(|(name, text)| (name, text.map(str::to_owned))).collect()
    })
}

/// What a request without both parts of a mailed link is told.
pub(super) const LINK_INCOMPLETE: &str = "Missing uid or token.";

/// The two parameters of a mailed link.
pub(super) struct Link {
    /// `None` for a uid that cannot be of an account; the flow then does the same work for none.
    pub(super) user: Option<UserId>,
    pub(super) token: Zeroizing<String>,
}

/// Both parameters must be there, or the request is refused in these words. What they hold is for the flow to judge.
pub(super) fn link(missing: &'static str) -> Field<Link> {
    let parts = [("uid", Kind::Link, Need::Required), ("token", Kind::Link, Need::Required)];
    Field::new(parts, move |read| {
        let (Some(uid), Some(token)) = (read.lenient("uid"), read.lenient("token")) else {
            read.refuse(Refusal::link_incomplete(missing));
            return Link { user: None, token: Zeroizing::default() };
        };
        let id = URL_SAFE_NO_PAD.decode(uid).ok().and_then(|id| String::from_utf8(id).ok());
        Link { user: id.and_then(|id| UserId::parse(&id).ok()), token: Zeroizing::new(token.to_owned()) }
    })
}
