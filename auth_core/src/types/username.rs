//! Usernames: off by default, a second way to name an account where they are on.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest username, in characters.
pub const MAX_USERNAME_CHARS: usize = 150;

/// A username in canonical form: NFKC and lower case; ASCII letters, digits and `_ . + -`.
///
/// It cannot hold an `@`: a login identifier with one is a mail address, so the two can never be confused.
/// ASCII only, because look-alike letters of other scripts would let one user pass for another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Box<str>);

/// Why a text is not a username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a username")]
pub struct InvalidUsername;

impl Username {
    /// Canonicalises, then validates.
    ///
    /// # Errors
    /// [`InvalidUsername`] when empty, longer than 150 characters or with other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        if text.len() > 4 * MAX_USERNAME_CHARS {
            return Err(InvalidUsername);
        }
        let canonical: String = text.trim().nfkc().collect::<String>().to_lowercase();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        if canonical.is_empty() || canonical.len() > MAX_USERNAME_CHARS || !canonical.chars().all(allowed) {
            return Err(InvalidUsername);
        }
        Ok(Self(canonical.into_boxed_str()))
    }

    /// The canonical username.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_one_username() {
        for variant in ["Ada", "ADA", " ada ", "ａｄａ"] {
            assert_eq!(Username::parse(variant).map(|name| name.to_string()), Ok("ada".to_owned()), "{variant}");
        }
        for bad in ["", " ", "a@b", "a b", "аda", "a\0", &"x".repeat(151)] {
            assert_eq!(Username::parse(bad), Err(InvalidUsername), "{bad:?}");
        }
    }
}
