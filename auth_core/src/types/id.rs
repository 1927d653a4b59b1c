//! Identifiers. All are `Copy` and live inline, so that the per-request check allocates nothing.

use std::fmt;

use arrayvec::ArrayString;
use uuid::Uuid;

use super::Timestamp;

/// Why a text is not an identifier: empty, longer than allowed, or with a character outside visible ASCII, `"` or `\`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 1 to 64 visible ASCII characters without quotes and backslashes")]
pub struct InvalidId;

/// The longest identifier, in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// Identifiers go into tokens as they are: nothing that JSON would have to escape may pass.
fn parse(text: &str) -> Result<ArrayString<MAX_ID_BYTES>, InvalidId> {
    let clean = |byte: u8| byte.is_ascii_graphic() & (byte != b'"') & (byte != b'\\');
    // Without an early end, the compiler looks at many bytes at once.
    if text.is_empty() || !text.bytes().fold(true, |all, byte| all & clean(byte)) {
        return Err(InvalidId);
    }
    ArrayString::from(text).map_err(|_| InvalidId)
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArrayString<MAX_ID_BYTES>);

        impl $name {
            /// Takes an identifier of 1 to 64 visible ASCII characters.
            ///
            /// # Errors
            /// [`InvalidId`] for anything else.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id! {
    /// Whose accounts these are. Every look-up and every uniqueness rule is within one tenant.
    TenantId
}

impl Default for TenantId {
    /// The one tenant of an application that has no others: `default`.
    fn default() -> Self {
        let mut name = ArrayString::new();
        // Seven bytes into sixty-four always fit.
        let _ = name.try_push_str("default");
        Self(name)
    }
}

text_id! {
    /// A user, within a tenant. Opaque: the built-in stores use UUIDv7, yours may use what the table has.
    UserId
}

impl Default for UserId {
    /// Nobody: an id that no store gives out.
    fn default() -> Self {
        let mut name = ArrayString::new();
        // One byte into sixty-four always fits.
        let _ = name.try_push('-');
        Self(name)
    }
}

impl From<Uuid> for UserId {
    fn from(id: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let mut text = ArrayString::new();
        // Thirty-six bytes into sixty-four always fit.
        let _ = text.try_push_str(id.hyphenated().encode_lower(&mut buffer));
        Self(text)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// One login on one device (UUIDv7). Not a secret: it names a row, it does not open it.
    SessionId
}
uuid_id! {
    /// An enrolled authenticator (UUIDv7).
    CredentialId
}
uuid_id! {
    /// A queued mail (UUIDv7).
    MailId
}

/// Names a key: eight characters derived from its secret, of which they tell nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 8;

    pub(crate) const fn new(id: [u8; Self::LEN]) -> Self {
        Self(id)
    }

    /// Reads an id from where a stored value names it; `None` for what is no id.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let id: [u8; Self::LEN] = bytes.try_into().ok()?;
        id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).then_some(Self(id))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CredentialId {
    /// The first id that could have been made at a time: ids begin with it.
    pub(crate) fn first_at(time: Timestamp) -> Self {
        let millis = u64::try_from(time.micros() / 1000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_refuse_what_a_token_would_have_to_escape() {
        for bad in ["", " ", "a b", "a\"b", "a\\b", "é", "a\n", &"x".repeat(65)] {
            assert_eq!(UserId::parse(bad), Err(InvalidId), "{bad:?}");
        }
        assert_eq!(UserId::parse("42").map(|id| id.to_string()), Ok("42".to_owned()));
        assert_eq!(UserId::parse(&"x".repeat(64)).map(|id| id.as_str().len()), Ok(64));
    }

    #[test]
    fn built_in_texts_survive_whole() {
        assert_eq!(TenantId::default().as_str(), "default");
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(UserId::from(id).as_str(), id.to_string());
    }
}
