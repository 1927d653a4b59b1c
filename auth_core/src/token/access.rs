//! Access tokens: short-lived JWTs that every node checks by itself.

use super::jwt::{self, Select};
use super::{IssuedToken, TokenError, Tokens};
use crate::port::SignerError;
use crate::types::{AuthMethods, Channel, Scope, Session, SessionId, TenantId, Timestamp, TokenVersion, UserId};

/// What a good access token says. Whether it was revoked since is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user's tenant (`tid`).
    pub tenant: TenantId,
    /// The user (`sub`).
    pub user: UserId,
    /// The session (`sid`).
    pub session: SessionId,
    /// The account's version when its owner logged in.
    pub token_version: TokenVersion,
    /// How the session's tokens travel.
    pub channel: Channel,
    /// When the user last proved who they are, in whole seconds.
    pub auth_time: Timestamp,
    /// How they did (`amr`).
    pub methods: AuthMethods,
    /// The part of the account that the session may use.
    pub scope: Scope,
    /// From when the token works.
    pub issued_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}

const ACCESS: Select = |key| &key.access;

impl Tokens {
    /// The access token of a session's current generation: the same bytes whoever asks.
    ///
    /// # Errors
    /// [`SignerError`] when the key cannot be used.
    pub fn access(&self, session: &Session) -> Result<IssuedToken, SignerError> {
        let issued_at = session.rotated_at.floor_to_second();
        let expires_at = session.token_expiry(self.access_lifetime).floor_to_second();
        let payload = self.access_payload(session, issued_at, expires_at);
        Ok(IssuedToken { token: jwt::sign(&self.ring, ACCESS, &payload)?, issued_at, expires_at })
    }

    /// Checks an access token: form, signature, times and every claim. No I/O, no allocation.
    ///
    /// # Errors
    /// [`TokenError`]; a genuine refresh token is [`TokenError::WrongType`].
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let mut buffer = jwt::buffer();
        let payload = jwt::open(&self.ring, ACCESS, token, &mut buffer)
            .map_err(|error| if self.is_refresh(token) { TokenError::WrongType } else { error })?;
        self.access_claims(payload, now)
    }

    /// Reads the payload of a token whose signature was found good.
    pub(super) fn access_claims(&self, payload: &[u8], now: Timestamp) -> Result<AccessClaims, TokenError> {
        let claims = self.claims(payload, "access", now, self.access_lifetime)?;
        let complete = || {
            let (tenant, user) = claims.owner()?;
            Some(AccessClaims {
                tenant,
                user,
                session: claims.session?,
                token_version: claims.token_version?,
                channel: claims.channel?,
                auth_time: Timestamp::from_seconds(claims.auth_time?),
                methods: claims.methods?,
                scope: claims.scope?,
                issued_at: Timestamp::from_seconds(claims.issued_at?),
                expires_at: Timestamp::from_seconds(claims.expires_at?),
            })
        };
        complete().ok_or(TokenError::Invalid)
    }
}
