//! Refresh tokens: JWTs whose every claim comes from fields that a rotation writes. So the successor of a generation is
//! the same bytes whoever derives it, and none is ever stored.

use super::jwt::{self, Select};
use super::{IssuedToken, TokenError, Tokens};
use crate::port::SignerError;
use crate::types::{Session, SessionId, TenantId, Timestamp, TokenVersion, UserId};

/// What a genuine refresh token says. Only the session's row tells whether it is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The user's tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The account's version when its owner logged in.
    pub token_version: TokenVersion,
    /// Which generation of the session's refresh token this is.
    pub generation: u32,
}

const REFRESH: Select = |key| &key.refresh;

impl Tokens {
    /// The refresh token of a session's current generation.
    ///
    /// # Errors
    /// [`SignerError`] when the key cannot be used.
    pub fn refresh(&self, session: &Session) -> Result<IssuedToken, SignerError> {
        let issued_at = session.rotated_at.floor_to_second();
        let expires_at = session.idle_expires_at.min(session.expires_at).floor_to_second();
        let payload = self.refresh_payload(session, issued_at, expires_at);
        Ok(IssuedToken { token: jwt::sign(&self.ring, REFRESH, &payload)?, issued_at, expires_at })
    }

    /// Checks a refresh token's form, signature, times and claims.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_refresh(&self, token: &str, now: Timestamp) -> Result<RefreshClaims, TokenError> {
        let mut buffer = jwt::buffer();
        let payload = jwt::open(&self.ring, REFRESH, token, &mut buffer)?;
        self.refresh_claims(payload, now)
    }

    /// Reads the payload of a token whose signature was found good.
    pub(super) fn refresh_claims(&self, payload: &[u8], now: Timestamp) -> Result<RefreshClaims, TokenError> {
        let claims = self.claims(payload, "refresh", now, self.session_lifetime)?;
        let complete = || {
            let (tenant, user) = claims.owner()?;
            Some(RefreshClaims {
                tenant,
                user,
                session: claims.session?,
                token_version: claims.token_version?,
                generation: claims.generation?,
            })
        };
        complete().ok_or(TokenError::Invalid)
    }

    /// Whether a token is one of our refresh tokens, good or not.
    pub(super) fn is_refresh(&self, token: &str) -> bool {
        jwt::open(&self.ring, REFRESH, token, &mut jwt::buffer()).is_ok()
    }
}
