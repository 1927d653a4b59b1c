//! Tokens: made and checked with keys of the token ring, never stored. `now` is always an argument.

mod access;
mod claims;
mod cursor;
mod device;
#[cfg(fuzzing)]
pub mod fuzzing;
mod jwt;
mod jwt_key;
mod link;
mod purpose;
mod refresh;
mod ring;
mod seal;
mod sealed_link;
mod secret;
pub(crate) mod vault;
mod weak_secret;
mod written;

pub use crate::types::KeyId;
pub use access::AccessClaims;
pub use device::DeviceId;
pub use purpose::{LinkPurpose, SealedPurpose};
pub use refresh::RefreshClaims;
pub use ring::{DataRing, TokenRing};
pub use sealed_link::SealedLink;
pub use secret::RootSecret;
pub use weak_secret::WeakSecret;

use std::fmt;
use std::time::Duration;

use crate::policy::{InvalidSetting, Policy};
use crate::types::{Timestamp, Token};

/// How far the clock that dated a token may be ahead (RFC 8725 leaves it to us; ASVS wants it small).
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(5);
const LEEWAY_SECONDS: i64 = MAX_SKEW.as_secs().cast_signed();

/// Makes and checks every token of one account system.
pub struct Tokens {
    ring: TokenRing,
    issuer: Box<str>,
    audience: Box<str>,
    /// Both, as they are in every payload.
    payload_head: Box<str>,
    access_lifetime: Duration,
    session_lifetime: Duration,
}

/// Why a JWT was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Malformed, forged, of another key, issuer or audience.
    #[error("the token is invalid")]
    Invalid,
    /// Past its time.
    #[error("the token is expired")]
    Expired,
    /// Genuine, but of another kind.
    #[error("the token is of another kind")]
    WrongType,
}

/// A token that was just made, with its times.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// From when it works.
    pub issued_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Tokens {
    /// Tokens of `issuer` for `audience` under the keys of `ring`, with the lifetimes of `policy`.
    ///
    /// # Errors
    /// [`InvalidSetting`] when issuer or audience is empty, longer than 200 bytes, or has characters that JSON would
    /// escape.
    pub fn new(ring: TokenRing, issuer: &str, audience: &str, policy: &Policy) -> Result<Self, InvalidSetting> {
        for (setting, value) in [("issuer", issuer), ("audience", audience)] {
            let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
            if value.is_empty() || value.len() > 200 || !value.bytes().all(plain) {
                let problem = "must be 1 to 200 visible ASCII characters without quotes and backslashes";
                return Err(InvalidSetting::new(setting, problem));
            }
        }
        Ok(Self {
            ring,
            issuer: issuer.into(),
            audience: audience.into(),
            payload_head: written::payload_head(issuer, audience),
            access_lifetime: policy.access_lifetime,
            session_lifetime: policy.session_lifetime,
        })
    }

    /// Whether the tokens live as long as `policy` says.
    pub(crate) fn fit(&self, policy: &Policy) -> bool {
        self.access_lifetime == policy.access_lifetime && self.session_lifetime == policy.session_lifetime
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}
