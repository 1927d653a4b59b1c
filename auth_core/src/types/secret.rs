//! Texts that must not be seen: each redacts itself and is read by an explicit call only.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// The text itself. Never log, store or return what this gives, save where that is its purpose.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret_text! {
    /// A password as its owner typed it, in NFC (NIST SP 800-63B-4 section 3.1.1.2): not trimmed, not folded.
    Password
}

/// The longest password that is hashed at all, in bytes: longer ones only cost time.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// A password of more than [`MAX_PASSWORD_BYTES`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
pub struct PasswordTooLong;

impl Default for Password {
    /// The empty password, which no policy accepts.
    fn default() -> Self {
        Self(Zeroizing::default())
    }
}

impl Password {
    /// Takes any text up to the cap. What makes a *good* password is [`PasswordPolicy`](crate::policy::PasswordPolicy)'s say.
    ///
    /// # Errors
    /// [`PasswordTooLong`] past 1024 bytes, before or after normalisation.
    pub fn new(text: &str) -> Result<Self, PasswordTooLong> {
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordTooLong);
        }
        let normal: Zeroizing<String> = Zeroizing::new(text.nfc().collect());
        if normal.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordTooLong);
        }
        Ok(Self(normal))
    }
}

secret_text! {
    /// A token on its way to the client: an access or refresh JWT, or the token of a mailed link.
    Token
}

impl Token {
    /// Wraps a token: for tests of a mailer, say.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

/// A password hash in PHC or another self-describing form. Not a credential, yet nobody else's business.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// Wraps what a [`PasswordHasher`](crate::port::PasswordHasher) made or a store kept.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The encoded hash, for stores and hashers.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_secret() {
        let shown =
            format!("{:?} {:?} {:?}", Password::new("hunter2"), Token::new("hunter2"), PasswordHash::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn passwords_are_composed_but_never_trimmed() -> Result<(), PasswordTooLong> {
        assert_eq!(Password::new(" cafe\u{301} ")?.expose(), " caf\u{e9} ");
        Ok(())
    }

    #[test]
    fn a_password_past_the_cap_is_refused_before_any_work() {
        assert!(Password::new(&"x".repeat(MAX_PASSWORD_BYTES)).is_ok());
        assert!(Password::new(&"x".repeat(MAX_PASSWORD_BYTES + 1)).is_err());
        // U+0958 decomposes under NFC: shorter than the cap before, longer after.
        assert!(Password::new(&"\u{958}".repeat(340)).is_err());
    }
}
