//! Access tokens: short-lived JWTs that every node checks by itself.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::jwt::{self, Select};
use super::{IssuedToken, TokenError, Tokens};
use crate::types::{AuthMethods, Channel, Session, SessionId, TenantId, Timestamp, TokenVersion, UserId};

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
    /// From when the token works.
    pub issued_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}

const ACCESS: Select = |key| &key.access;

impl Tokens {
    /// The access token of a session's current generation: the same bytes whoever asks.
    pub fn access(&self, session: &Session) -> IssuedToken {
        let issued_at = session.rotated_at.floor_to_second();
        let expires_at = session.token_expiry(self.access_lifetime).floor_to_second();
        let mut payload = self.common_claims("access", session, issued_at, expires_at);
        let _ = write!(payload, r#","auth_time":{},"amr":["#, session.auth_time.seconds());
        for (index, name) in session.methods.names().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(payload, r#"{comma}"{name}""#);
        }
        payload.push_str("]}");
        IssuedToken { token: jwt::sign(&self.ring, ACCESS, &payload), issued_at, expires_at }
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
            Some(AccessClaims {
                tenant: claims.tenant?,
                user: claims.user?,
                session: claims.session?,
                token_version: claims.token_version?,
                channel: claims.channel?,
                auth_time: Timestamp::from_seconds(claims.auth_time?),
                methods: claims.methods?,
                issued_at: Timestamp::from_seconds(claims.issued_at?),
                expires_at: Timestamp::from_seconds(claims.expires_at?),
            })
        };
        complete().ok_or(TokenError::Invalid)
    }

    /// The claims that both kinds of JWT have, without the closing brace.
    pub(super) fn common_claims(
        &self,
        token_type: &str,
        session: &Session,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> String {
        let Session { tenant, user, id, token_version, channel, generation, .. } = session;
        let mut payload = String::with_capacity(512);
        let _ = write!(
            payload,
            r#"{{"iss":"{}","aud":"{}","sub":"{user}","tid":"{tenant}","sid":"{id}","token_type":"{token_type}","#,
            self.issuer, self.audience,
        );
        let _ = write!(
            payload,
            r#""token_version":{},"channel":"{}","iat":{},"exp":{},"jti":"{:032x}""#,
            token_version.get(),
            channel.as_str(),
            issued_at.seconds(),
            expires_at.seconds(),
            token_id(token_type, *id, *generation),
        );
        payload
    }
}

/// The same for all who derive the token of one generation, different for all others.
fn token_id(token_type: &str, session: SessionId, generation: u32) -> u128 {
    let digest = Sha256::new()
        .chain_update(session.0.as_bytes())
        .chain_update(generation.to_be_bytes())
        .chain_update(token_type)
        .finalize();
    digest.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte))
}
