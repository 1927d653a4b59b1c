//! What can be wrong with a field that a client sends.

use super::{BACKUP_CODE_CHARS, InvalidCode, TOTP_CHARS};

/// A wrong field: its name on the wire and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong.
    pub reason: FieldReason,
}

/// What can be wrong with a field. Codes are stable, numbers are limits in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldReason {
    /// Missing.
    Required,
    /// Empty or blank.
    Blank,
    /// `null`.
    Null,
    /// Not a text.
    NotAString,
    /// Neither true nor false.
    NotAFlag,
    /// Given more than once.
    Repeated,
    /// Holds a NUL character.
    NullCharacter,
    /// Shorter than the number of characters.
    TooShort(usize),
    /// Longer than the number of characters.
    TooLong(usize),
    /// Not a mail address.
    InvalidEmail,
    /// Not a username.
    InvalidUsername,
    /// Neither six digits nor a backup code.
    MalformedCode,
    /// A password of fewer characters than the policy wants.
    PasswordTooShort(usize),
    /// Not a UUID.
    InvalidUuid,
    /// A confirmation that was not given.
    NotConfirmed,
    /// A password that is among the most common ones.
    PasswordTooCommon,
    /// A password that says little beyond what is known of its owner or of the service.
    PasswordTooSimilar(KnownText),
    /// A password of digits only. Only where the profile forbids them.
    PasswordNumeric,
    /// A password that the application's own [`PasswordCheck`](crate::port::PasswordCheck) refuses, and what it says.
    PasswordRefused(&'static str),
    /// The confirmation differs from the password.
    PasswordMismatch,
    /// Another account has this value. Only where the profile tells.
    Taken,
    /// An account, maybe one's own, has this address already. Only where the profile tells, or to whom proved the mailbox.
    AddressInUse,
}

impl FieldReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Blank => "blank",
            Self::Null => "null",
            Self::NotAString => "not_a_string",
            Self::NotAFlag => "not_a_flag",
            Self::Repeated => "repeated",
            Self::NullCharacter => "null_character",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidUsername => "invalid_username",
            Self::MalformedCode => "malformed_code",
            Self::PasswordTooShort(_) => "password_too_short",
            Self::InvalidUuid => "invalid_uuid",
            Self::NotConfirmed => "not_confirmed",
            Self::PasswordTooCommon => "password_too_common",
            Self::PasswordTooSimilar(_) => "password_too_similar",
            Self::PasswordNumeric => "password_entirely_numeric",
            Self::PasswordRefused(_) => "password_refused",
            Self::PasswordMismatch => "password_mismatch",
            Self::Taken | Self::AddressInUse => "taken",
        }
    }
}

impl From<InvalidCode> for FieldReason {
    fn from(invalid: InvalidCode) -> Self {
        match invalid {
            InvalidCode::Empty => Self::Blank,
            InvalidCode::TooShort => Self::TooShort(TOTP_CHARS),
            InvalidCode::TooLong => Self::TooLong(BACKUP_CODE_CHARS),
            InvalidCode::Malformed => Self::MalformedCode,
        }
    }
}

/// What others may know, so that a password like it is guessed soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnownText {
    /// The owner's address, or a part of it.
    Email,
    /// The owner's username, or a part of it.
    Username,
    /// A name of the service.
    ServiceName,
}
