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
        let clock = self.ports().clock.as_ref();
        let arrived = clock.monotonic();
        let claims = self.tokens().verify_access(access_token, clock.now()).map_err(|error| match error {
            TokenError::Invalid => Reason::TokenInvalid,
            TokenError::Expired => Reason::TokenExpired,
            TokenError::WrongType => Reason::TokenWrongType,
        })?;
        let mut standing = self.revocations().standing(&claims, arrived);
        if standing == Standing::Unknown {
            self.sync_revocations(self.policy().revocation_lag).await?;
            standing = self.revocations().standing(&claims, arrived);
        }
        match standing {
            Standing::Live => Ok(LiveSession::new(claims)),
            Standing::Revoked => Err(Reason::NotAuthenticated.into()),
            Standing::Unknown => Err(Error::unavailable("the view of revocations is too old")),
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
