//! Codes as clients send them, and the refusals of those that are wrong.

use zeroize::Zeroizing;

use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::types::Code;

/// A lost data key: nobody gets in without the factor, and the log says what is missing.
pub(crate) fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable(cause)
}

/// Reads a code as people type it. A text that is no code is `invalid_fields`, before anything is counted.
pub(crate) fn read_code(text: &str) -> Result<Code, Error> {
    Code::parse(text).map_err(|invalid| invalid_code(invalid.into()))
}

/// Reads a code of an authenticator in the same way.
pub(crate) fn read_totp(text: &str) -> Result<Zeroizing<String>, Error> {
    match read_code(text)? {
        Code::Totp(code) => Ok(code),
        _ => Err(invalid_code(FieldReason::MalformedCode)),
    }
}

pub(crate) fn invalid_code(reason: FieldReason) -> Error {
    Error::invalid_fields(vec![FieldError { field: "code", reason }])
}

/// The refusal of a wrong code.
pub(crate) fn wrong_code() -> Error {
    Reason::InvalidCode.into()
}
