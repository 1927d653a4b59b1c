use super::{Email, Username};

/// The name by which a client logs in, canonical: the same for all spellings that find the same account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identifier {
    /// A mail address.
    Email(Email),
    /// A username; where usernames are off, no account has it.
    Username(Username),
    /// A text that no account can have. Attempts are counted for it as for the others.
    Neither(Box<str>),
}

impl Identifier {
    /// Reads a text: an address, a username, or neither.
    pub fn parse(text: &str) -> Self {
        if let Ok(email) = Email::parse(text) {
            return Self::Email(email);
        }
        match Username::parse(text) {
            Ok(username) => Self::Username(username),
            Err(_) => Self::Neither(text.trim().to_lowercase().into()),
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Username(username) => username.as_str(),
            Self::Neither(text) => text,
        }
    }
}
