//! The claims of our JWTs: what they must say, and the reading of any spelling of them.

use std::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::cursor::Malformed;
use super::{LEEWAY_SECONDS, TokenError, Tokens};
use crate::types::{AuthMethods, Channel, Scope, SessionId, TenantId, Timestamp, TokenVersion, UserId};

/// All that our JWTs may say. Each kind of token demands its own part.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claims<'a> {
    /// Checked like the user's id where the token is complete: the two are long, and moving them takes a while.
    pub(super) tenant: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) session: Option<SessionId>,
    pub(super) token_version: Option<TokenVersion>,
    pub(super) channel: Option<Channel>,
    pub(super) issued_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) auth_time: Option<i64>,
    pub(super) methods: Option<AuthMethods>,
    pub(super) scope: Option<Scope>,
    pub(super) generation: Option<u32>,
    pub(super) token_type_fits: Option<bool>,
    pub(super) issuer_fits: Option<bool>,
    pub(super) audience_fits: Option<bool>,
    pub(super) token_id: Option<()>,
}

impl Claims<'_> {
    /// Whose token this is.
    pub(super) fn owner(&self) -> Option<(TenantId, UserId)> {
        Some((TenantId::parse(self.tenant?).ok()?, UserId::parse(self.user?).ok()?))
    }
}

impl Tokens {
    /// Reads a payload whose signature was found good, and checks what all our tokens have in common.
    pub(super) fn claims<'a>(
        &self,
        payload: &'a [u8],
        token_type: &str,
        now: Timestamp,
        max_lifetime: std::time::Duration,
    ) -> Result<Claims<'a>, TokenError> {
        // All of it at once is cheaper than text by text.
        let payload = std::str::from_utf8(payload).map_err(|_| TokenError::Invalid)?;
        let claims = match self.read_as_written(payload, token_type) {
            Ok(claims) => {
                #[cfg(any(test, fuzzing))]
                assert_eq!(Ok(&claims), self.scan(payload, token_type).as_ref());
                claims
            }
            Err(Malformed) => self.scan(payload, token_type).map_err(|Malformed| TokenError::Invalid)?,
        };
        let fits = [claims.issuer_fits, claims.audience_fits];
        let (Some(issued_at), Some(expires_at), Some(())) = (claims.issued_at, claims.expires_at, claims.token_id)
        else {
            return Err(TokenError::Invalid);
        };
        if fits != [Some(true); 2] {
            return Err(TokenError::Invalid);
        }
        if !claims.token_type_fits.ok_or(TokenError::Invalid)? {
            return Err(TokenError::WrongType);
        }
        // Both ends are rounded down, so that a lifetime with a fraction can come out as the next whole second.
        let fraction = i64::from(max_lifetime.subsec_nanos() > 0);
        let max_lifetime = i64::try_from(max_lifetime.as_secs()).unwrap_or(i64::MAX).saturating_add(fraction);
        let lifetime = expires_at.checked_sub(issued_at).ok_or(TokenError::Invalid)?;
        if issued_at < 0
            || issued_at > now.seconds().saturating_add(LEEWAY_SECONDS)
            || !(0..=max_lifetime).contains(&lifetime)
        {
            return Err(TokenError::Invalid);
        }
        if now.seconds() >= expires_at {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// Reads the claims in whatever order and spelling they come, between others or not.
    #[cold] // Ours come as we write them.
    pub(super) fn scan<'a>(&self, payload: &'a str, token_type: &str) -> Result<Claims<'a>, Malformed> {
        let Members(members) = serde_json::from_str(payload).map_err(|_| Malformed)?;
        let mut claims = Claims::default();
        for (name, value) in members {
            match name {
                "iss" => once(&mut claims.issuer_fits, text(value)? == &*self.issuer),
                "aud" => once(&mut claims.audience_fits, text(value)? == &*self.audience),
                "token_type" => once(&mut claims.token_type_fits, text(value)? == token_type),
                "tid" => once(&mut claims.tenant, text(value)?),
                "sub" => once(&mut claims.user, text(value)?),
                "sid" => once(&mut claims.session, SessionId(Uuid::try_parse(text(value)?).map_err(|_| Malformed)?)),
                "token_version" => once(&mut claims.token_version, token_version(integer(value)?)?),
                "channel" => once(&mut claims.channel, Channel::parse(text(value)?).ok_or(Malformed)?),
                // A restriction that this build does not know must not be read as none.
                "scope" => once(&mut claims.scope, Scope::parse(text(value)?).ok_or(Malformed)?),
                "generation" => once(&mut claims.generation, read(value)?),
                "auth_time" => once(&mut claims.auth_time, integer(value)?),
                "iat" => once(&mut claims.issued_at, integer(value)?),
                "exp" => once(&mut claims.expires_at, integer(value)?),
                "jti" => text(value).and_then(|_| once(&mut claims.token_id, ())),
                "amr" => {
                    let names: Vec<&str> = read(value)?;
                    let methods = names.into_iter().map(AuthMethods::from_name);
                    once(&mut claims.methods, methods.fold(AuthMethods::default(), AuthMethods::and))
                }
                _ => Ok(()),
            }?;
        }
        Ok(claims)
    }
}

/// The members of a JSON object in their order, those that come twice included. Names are plain: one with an escape is
/// refused, so that no claim comes in two spellings.
struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, Malformed> {
    serde_json::from_str(value.get()).map_err(|_| Malformed)
}

/// An integer that has an opposite, so that no difference of times is out of range by it alone.
fn integer(value: &RawValue) -> Result<i64, Malformed> {
    read(value).and_then(|integer| if integer == i64::MIN { Err(Malformed) } else { Ok(integer) })
}

/// A text without escapes.
fn text(value: &RawValue) -> Result<&str, Malformed> {
    read(value)
}

/// A claim that comes twice means two things to two readers.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    if slot.is_some() {
        return Err(Malformed);
    }
    *slot = Some(value);
    Ok(())
}

/// A version as a token states it.
pub(super) fn token_version(stated: i64) -> Result<TokenVersion, Malformed> {
    let version = u32::try_from(stated).map(TokenVersion::new).map_err(|_| Malformed)?;
    // Versions have 31 bits.
    if i64::from(version.get()) == stated { Ok(version) } else { Err(Malformed) }
}
