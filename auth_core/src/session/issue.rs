use serde_json::json;

use crate::Request;
use crate::error::Error;
use crate::port::SessionInsert;
use crate::proof::Authenticated;
use crate::token::IssuedToken;
use crate::types::{Channel, Session, SessionId};

/// A session's current tokens.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionTokens {
    /// The session.
    pub session: SessionId,
    /// How the tokens are to travel.
    pub channel: Channel,
    /// The access token.
    pub access: IssuedToken,
    /// The refresh token.
    pub refresh: IssuedToken,
}

/// The longest `User-Agent` that is kept, in bytes.
const MAX_AGENT_BYTES: usize = 256;

/// The beginning of a `User-Agent`, without NUL, which PostgreSQL does not take.
fn kept(agent: &str) -> Box<str> {
    let agent = agent.replace('\0', "");
    agent[..agent.floor_char_boundary(MAX_AGENT_BYTES)].into()
}

impl Request<'_> {
    /// Makes a session. The one gate: every session of every feature comes from here, stamped from the proof.
    ///
    /// # Errors
    /// `unavailable` when the store is down; `internal` for a proof of another tenant than the request's.
    pub async fn issue_session(&self, channel: Channel, proof: Authenticated) -> Result<SessionTokens, Error> {
        if proof.tenant != *self.tenant() {
            return Err(Error::internal("the proof is of another tenant than the request"));
        }
        let began = proof.row_read_at.unwrap_or_else(|| self.ports().clock.now());
        let policy = self.policy();
        let session = Session {
            id: SessionId(self.new_id()?),
            tenant: proof.tenant,
            user: proof.user,
            token_version: proof.token_version,
            generation: 0,
            rotated_at: began,
            presented: None,
            created_at: began,
            last_seen_at: began,
            idle_expires_at: began + policy.idle_lifetime,
            expires_at: began + policy.session_lifetime,
            auth_time: proof.at,
            methods: proof.methods,
            method_times: proof.method_times,
            scope: proof.scope,
            channel,
            address: self.client().address,
            agent: self.client().agent.as_deref().map(kept),
            device_name: None,
            context: json!({}),
            slot: None,
            revoked_at: None,
            changed_at: began,
        };
        match self.insert_session(&session).await? {
            SessionInsert::Created => {}
            SessionInsert::SlotTaken => return Err(Error::internal("a session without a slot found its slot taken")),
        }
        self.session_tokens(&session)
    }

    pub(crate) fn session_tokens(&self, session: &Session) -> Result<SessionTokens, Error> {
        Ok(SessionTokens {
            session: session.id,
            channel: session.channel,
            access: self.tokens().access(session).map_err(Error::internal)?,
            refresh: self.tokens().refresh(session).map_err(Error::internal)?,
        })
    }
}
