//! Who is asking: what a request tells about itself besides its fields.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arrayvec::ArrayString;

use super::{TenantId, Token};

/// The surroundings of one request to a flow. `Client::default()` suits a command line or a test.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Whose accounts the request concerns.
    pub tenant: TenantId,
    /// The client's address, proxies already resolved. Work is shared fairly between addresses.
    pub address: Option<IpAddr>,
    /// The `User-Agent`, for the list of a user's sessions.
    pub agent: Option<String>,
    /// The language for mails.
    pub locale: Locale,
    /// The device token of an earlier login, if the client shows one. The mails that it asks for have a budget of their
    /// own then.
    pub device: Option<Arc<Token>>,
}

impl Client {
    /// This client with the device token that it shows.
    #[must_use]
    pub fn on_device(&self, token: Option<&str>) -> Self {
        Self { device: token.map(|token| Arc::new(Token::new(token.to_owned()))), ..self.clone() }
    }

    /// The key under which this client queues for shared resources: the address, IPv6 by its /64, for one
    /// subscriber commonly holds a whole /64.
    pub fn lane(&self) -> u128 {
        match self.address.map(|address| address.to_canonical()) {
            None => 0,
            Some(IpAddr::V4(address)) => u128::from(u32::from(address)) | (0xffff << 32),
            Some(IpAddr::V6(address)) => u128::from(address) & !u128::from(u64::MAX),
        }
    }
}

/// A language tag such as `en` or `pt-br`: lower case, 2 to 16 ASCII letters, digits and dashes.
///
/// The narrow alphabet makes it safe as part of a template's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Locale(ArrayString<16>);

impl Locale {
    /// Takes a language tag; anything that is none gives the default, English.
    pub fn parse_or_default(tag: &str) -> Self {
        let clean = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let first_letter = tag.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        match ArrayString::from(tag) {
            Ok(mut tag) if tag.len() >= 2 && first_letter && tag.bytes().all(clean) => {
                tag.make_ascii_lowercase();
                Self(tag)
            }
            _ => Self::default(),
        }
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language without its region: `pt` of `pt-br`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or("en")
    }
}

impl Default for Locale {
    fn default() -> Self {
        let mut tag = ArrayString::new();
        let _ = tag.try_push_str("en");
        Self(tag)
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_language_tags_become_locales() {
        assert_eq!(Locale::parse_or_default("pt-BR").as_str(), "pt-br");
        assert_eq!(Locale::parse_or_default("pt-BR").language(), "pt");
        for bad in ["", "e", "../../etc", "-en", "en_US", "a-tag-that-is-too-long"] {
            assert_eq!(Locale::parse_or_default(bad), Locale::default(), "{bad}");
        }
    }

    #[test]
    fn a_subscriber_is_one_lane() {
        let lane = |address: &str| Client { address: address.parse().ok(), ..Client::default() }.lane();
        assert_eq!(lane("2001:db8::1"), lane("2001:db8::ffff:2"));
        assert_ne!(lane("2001:db8::1"), lane("2001:db8:0:1::1"));
        assert_eq!(lane("::ffff:192.0.2.1"), lane("192.0.2.1"));
        assert_ne!(lane("192.0.2.1"), lane("192.0.2.2"));
    }
}
