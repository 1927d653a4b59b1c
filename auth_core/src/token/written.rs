//! The one form in which we write claims, and a reader of exactly that form, beside each other. Nearly all tokens that
//! come in are ours, so nearly all are read by comparing; [`Tokens::scan`] reads all others.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Tokens;
use super::claims::{Claims, token_version};
use super::cursor::{Cursor, Malformed};
use crate::types::{AuthMethods, Channel, Scope, Session, SessionId, Timestamp};

/// What every payload of this issuer for this audience begins with.
pub(super) fn payload_head(issuer: &str, audience: &str) -> Box<str> {
    format!(r#"{{"iss":"{issuer}","aud":"{audience}","sub":"#).into()
}

impl Tokens {
    pub(super) fn access_payload(&self, session: &Session, issued_at: Timestamp, expires_at: Timestamp) -> String {
        let mut payload = self.common_claims("access", session, issued_at, expires_at);
        let (scope, auth_time) = (session.scope.as_str(), session.auth_time.seconds());
        let _ = write!(payload, r#","scope":"{scope}","auth_time":{auth_time},"amr":["#);
        for (index, name) in session.methods.names().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(payload, r#"{comma}"{name}""#);
        }
        payload.push_str("]}");
        payload
    }

    pub(super) fn refresh_payload(&self, session: &Session, issued_at: Timestamp, expires_at: Timestamp) -> String {
        let mut payload = self.common_claims("refresh", session, issued_at, expires_at);
        let _ = write!(payload, r#","generation":{}}}"#, session.generation);
        payload
    }

    /// The claims that both kinds of JWT have, without the closing brace.
    fn common_claims(
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
            r#"{}"{user}","tid":"{tenant}","sid":"{id}","token_type":"{token_type}","#,
            self.payload_head,
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

    /// Reads a payload that is written as above; any other is [`Malformed`] here, however well-formed.
    pub(super) fn read_as_written<'a>(&self, payload: &'a str, token_type: &str) -> Result<Claims<'a>, Malformed> {
        let mut cursor = Cursor::new(payload);
        let mut claims = Claims::default();
        cursor.exactly(&self.payload_head)?;
        claims.user = Some(cursor.text()?);
        cursor.exactly(r#","tid":"#)?;
        claims.tenant = Some(cursor.text()?);
        cursor.exactly(r#","sid":"#)?;
        claims.session = Some(SessionId(Uuid::try_parse(cursor.text()?).map_err(|_| Malformed)?));
        cursor.exactly(r#","token_type":"#)?;
        claims.token_type_fits = Some(cursor.text()? == token_type);
        cursor.exactly(r#","token_version":"#)?;
        claims.token_version = Some(token_version(cursor.integer()?)?);
        cursor.exactly(r#","channel":"#)?;
        claims.channel = Some(Channel::parse(cursor.text()?).ok_or(Malformed)?);
        cursor.exactly(r#","iat":"#)?;
        claims.issued_at = Some(cursor.integer()?);
        cursor.exactly(r#","exp":"#)?;
        claims.expires_at = Some(cursor.integer()?);
        cursor.exactly(r#","jti":"#)?;
        cursor.text()?;
        claims.token_id = Some(());
        if cursor.exactly(r#","generation":"#).is_ok() {
            claims.generation = Some(u32::try_from(cursor.integer()?).map_err(|_| Malformed)?);
        } else {
            cursor.exactly(r#","scope":"#)?;
            claims.scope = Some(Scope::parse(cursor.text()?).ok_or(Malformed)?);
            cursor.exactly(r#","auth_time":"#)?;
            claims.auth_time = Some(cursor.integer()?);
            cursor.exactly(r#","amr":"#)?;
            let mut methods = AuthMethods::default();
            cursor.texts(|name| methods = methods.and(AuthMethods::from_name(name)))?;
            claims.methods = Some(methods);
        }
        cursor.exactly("}")?;
        (claims.issuer_fits, claims.audience_fits) = (Some(true), Some(true));
        if cursor.is_done() { Ok(claims) } else { Err(Malformed) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;
    use crate::token::{RootSecret, TokenRing};
    use crate::types::{MethodTimes, TenantId, TokenVersion, UserId};

    fn tokens() -> Tokens {
        let secret: Vec<u8> = (0..32).collect();
        let ring = TokenRing::new(&RootSecret::unchecked_bytes(&secret), &[]);
        Tokens::new(ring, "https://example.org", "auth-system", &Policy::default()).unwrap()
    }

    fn payloads(tokens: &Tokens, version: u32, methods: AuthMethods) -> [(&'static str, String); 2] {
        let at = Timestamp::from_seconds(1_767_225_600);
        let session = Session {
            id: SessionId(Uuid::from_u128(7)),
            tenant: TenantId::default(),
            user: UserId::parse("42").unwrap(),
            token_version: TokenVersion::new(version),
            generation: version,
            rotated_at: at,
            created_at: at,
            last_seen_at: at,
            idle_expires_at: at,
            expires_at: at,
            auth_time: at,
            methods,
            method_times: MethodTimes::default(),
            scope: Scope::EnrolFactor,
            channel: Channel::Header,
            address: None,
            agent: None,
            device_name: None,
            context: serde_json::Value::Null,
            slot: None,
            presented: None,
            revoked_at: None,
            changed_at: at,
        };
        let refresh = tokens.refresh_payload(&session, at, at);
        [("access", tokens.access_payload(&session, at, at)), ("refresh", refresh)]
    }

    #[test]
    fn what_we_write_is_read_by_comparing() {
        let tokens = tokens();
        let two = AuthMethods::PASSWORD.and(AuthMethods::ONE_TIME_CODE);
        for methods in [AuthMethods::default(), AuthMethods::PASSWORD, two] {
            for (kind, payload) in payloads(&tokens, 0x7fff_ffff, methods) {
                let read = tokens.read_as_written(&payload, kind);
                assert!(read.is_ok(), "{payload}");
                assert_eq!(read, tokens.scan(&payload, kind));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_by_comparing_scanning_reads_alike(
            version in any::<u32>(),
            at in any::<prop::sample::Index>(),
            drop in 0..3_usize,
            with in "[\\PC\n]|[\"{}:,0-9-]{0,2}| |\\[\\]",
        ) {
            let tokens = tokens();
            for (kind, mut payload) in payloads(&tokens, version, AuthMethods::PASSWORD) {
                let at = at.index(payload.len());
                payload.replace_range(at..(at + drop).min(payload.len()), &with);
                if let Ok(claims) = tokens.read_as_written(&payload, kind) {
                    prop_assert_eq!(Ok(claims), tokens.scan(&payload, kind), "{}", payload);
                }
            }
        }
    }
}
