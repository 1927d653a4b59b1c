use std::time::Duration;

use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::proof::LiveSession;
use crate::revocation::Standing;
use crate::token::TokenError;
use crate::types::Scope;

impl AuthSystem {
    /// Checks the access token of a session with the scope [`Scope::Full`].
    ///
    /// The check is local, unless this node's view of revocations is too old. Then one poll, shared by all calls that
    /// wait, comes first. Bound the wait with a timeout of your runtime; the facade uses one second.
    ///
    /// # Errors
    /// `token_not_valid`, told apart by reason; `not_authenticated` for a token that was revoked;
    /// `second_factor_required` for a session that may only enrol a second factor; `unavailable`.
    pub async fn authenticate(&self, access_token: &str) -> Result<LiveSession, Error> {
        self.authenticate_within(access_token, &[Scope::Full]).await
    }

    /// Checks the access token of a session with one of these scopes, as [`authenticate`](Self::authenticate) does.
    ///
    /// # Errors
    /// Returns the errors of [`authenticate`](Self::authenticate). A session of any other scope is refused.
    pub async fn authenticate_within(&self, access_token: &str, scopes: &[Scope]) -> Result<LiveSession, Error> {
        let arrived = self.ports().clock.monotonic();
        if let Some(outcome) = self.judge(access_token, scopes, arrived) {
            return outcome;
        }
        self.sync_revocations(self.policy().revocation_lag).await?;
        // As of its arrival: a poll that takes longer than the lag still tells all that had happened by then.
        let too_old = || Err(Error::unavailable("the view of revocations is too old"));
        self.judge(access_token, scopes, arrived).unwrap_or_else(too_old)
    }

    /// Checks an access token as [`authenticate_within`](Self::authenticate_within) does, at once: without I/O and
    /// without allocating. Returns `None` when only a poll can tell, which `authenticate_within` makes.
    ///
    /// # Errors
    /// Returns the errors of [`authenticate_within`](Self::authenticate_within), except `unavailable`.
    pub fn authenticate_now(&self, access_token: &str, scopes: &[Scope]) -> Option<Result<LiveSession, Error>> {
        self.judge(access_token, scopes, self.ports().clock.monotonic())
    }

    /// `None` when the view of revocations is too old for a token that arrived then.
    fn judge(&self, access_token: &str, scopes: &[Scope], arrived: Duration) -> Option<Result<LiveSession, Error>> {
        let claims = match self.tokens().verify_access(access_token, self.ports().clock.now()) {
            Ok(claims) => claims,
            Err(error) => return Some(Err(refusal(error).into())),
        };
        match self.revocations().standing(&claims, arrived) {
            Standing::Live if scopes.contains(&claims.scope) => Some(Ok(LiveSession::new(claims))),
            Standing::Live => Some(Err(out_of_scope(claims.scope).into())),
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

/// The refusal of a session whose scope is too narrow.
pub(crate) fn out_of_scope(scope: Scope) -> Reason {
    match scope {
        Scope::EnrolFactor => Reason::SecondFactorRequired,
        Scope::Full => Reason::NotAuthenticated,
    }
}

fn refusal(error: TokenError) -> Reason {
    match error {
        TokenError::Invalid => Reason::TokenInvalid,
        TokenError::Expired => Reason::TokenExpired,
        TokenError::WrongType => Reason::TokenWrongType,
    }
}
