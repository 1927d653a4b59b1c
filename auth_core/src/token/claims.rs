//! The claims of our JWTs: what they must say, and the reading of any spelling of them.

use uuid::Uuid;

use super::scanner::{self, Malformed, Value};
use super::written::token_version;
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
                debug_assert_eq!(Ok(&claims), self.scan(payload, token_type).as_ref());
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
        let mut claims = Claims::default();
        scanner::object(payload, |name, value| {
            let text = || match value {
                Value::Text(text) => Ok(text),
                _ => Err(Malformed),
            };
            let integer = || match value {
                Value::Integer(integer) => Ok(integer),
                _ => Err(Malformed),
            };
            match name {
                "iss" => once(&mut claims.issuer_fits, text()? == &*self.issuer),
                "aud" => once(&mut claims.audience_fits, text()? == &*self.audience),
                "token_type" => once(&mut claims.token_type_fits, text()? == token_type),
                "tid" => once(&mut claims.tenant, text()?),
                "sub" => once(&mut claims.user, text()?),
                "sid" => once(&mut claims.session, SessionId(Uuid::try_parse(text()?).map_err(|_| Malformed)?)),
                "token_version" => once(&mut claims.token_version, token_version(integer()?)?),
                "channel" => once(&mut claims.channel, Channel::parse(text()?).ok_or(Malformed)?),
                // A restriction that this build does not know must not be read as none.
                "scope" => once(&mut claims.scope, Scope::parse(text()?).ok_or(Malformed)?),
                "generation" => once(&mut claims.generation, u32::try_from(integer()?).map_err(|_| Malformed)?),
                "auth_time" => once(&mut claims.auth_time, integer()?),
                "iat" => once(&mut claims.issued_at, integer()?),
                "exp" => once(&mut claims.expires_at, integer()?),
                "jti" => text().and_then(|_| once(&mut claims.token_id, ())),
                "amr" => {
                    let Value::Array(array) = value else { return Err(Malformed) };
                    let mut methods = AuthMethods::default();
                    scanner::texts(array, |name| methods = methods.and(AuthMethods::from_name(name)))?;
                    once(&mut claims.methods, methods)
                }
                _ => Ok(()),
            }
        })?;
        Ok(claims)
    }
}

/// A claim that comes twice means two things to two readers.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    if slot.is_some() {
        return Err(Malformed);
    }
    *slot = Some(value);
    Ok(())
}
