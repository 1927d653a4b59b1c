use std::time::Duration;

use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::proof::LiveSession;
use crate::revocation::Standing;
use crate::token::TokenError;

impl AuthSystem {
    /// Checks an access token: locally, unless this node's view of revocations is too old; then one poll, shared by all
    /// who wait, comes first. Bound the wait with a timeout of your runtime; the facade uses one second.
    ///
    /// # Errors
    /// `token_not_valid`, told apart by reason; `not_authenticated` for a token that was revoked; `unavailable`.
    pub async fn authenticate(&self, access_token: &str) -> Result<LiveSession, Error> {
        let arrived = self.ports().clock.monotonic();
        if let Some(outcome) = self.judge(access_token, arrived) {
            return outcome;
        }
        self.sync_revocations(self.policy().revocation_lag).await?;
        // As of its arrival: a poll that takes longer than the lag still tells all that had happened by then.
        let too_old = || Err(Error::unavailable("the view of revocations is too old"));
        self.judge(access_token, arrived).unwrap_or_else(too_old)
    }

    /// As [`authenticate`](Self::authenticate), at once: without I/O and without allocating. `None` when only a poll can
    /// tell, which `authenticate` makes.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate), never `unavailable`.
    pub fn authenticate_now(&self, access_token: &str) -> Option<Result<LiveSession, Error>> {
        self.judge(access_token, self.ports().clock.monotonic())
    }

    /// `None` when the view of revocations is too old for a token that arrived then.
    fn judge(&self, access_token: &str, arrived: Duration) -> Option<Result<LiveSession, Error>> {
        let claims = match self.tokens().verify_access(access_token, self.ports().clock.now()) {
            Ok(claims) => claims,
            Err(error) => return Some(Err(refusal(error).into())),
        };
        match self.revocations().standing(&claims, arrived) {
            Standing::Live => Some(Ok(LiveSession::new(claims))),
            Standing::Revoked => Some(Err(Reason::NotAuthenticated.into())),
            Standing::Unknown => None,
        }
    }

    /// Reads from the stores what was revoked elsewhere, unless that was done within `max_age`. A worker that calls
    /// this a few times within the revocation lag spares requests the wait.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn sync_revocations(&self, max_age: Duration) -> Result<(), Error> {
        let ports = self.ports();
        self.revocations().refresh(ports.users.as_ref(), ports.sessions.as_ref(), ports.clock.as_ref(), max_age).await
    }
}

fn refusal(error: TokenError) -> Reason {
    match error {
        TokenError::Invalid => Reason::TokenInvalid,
        TokenError::Expired => Reason::TokenExpired,
        TokenError::WrongType => Reason::TokenWrongType,
    }
}
