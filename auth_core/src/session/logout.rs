use crate::Request;
use crate::error::{Error, Reason};
use crate::port::Event;
use crate::types::{SessionId, TenantId};

impl Request<'_> {
    /// Ends the session that either token belongs to: its access and refresh tokens are dead at once, here at this
    /// instant and on every other node within the revocation lag. Should they belong to two sessions, both end.
    ///
    /// # Errors
    /// `not_authenticated` when neither token is a good one of ours, or all was ended before; `unavailable`.
    pub async fn logout(&self, access_token: Option<&str>, refresh_token: Option<&str>) -> Result<(), Error> {
        let now = self.ports().clock.now();
        let access = access_token.and_then(|token| self.tokens().verify_access(token, now).ok());
        let refresh = refresh_token.and_then(|token| self.tokens().verify_refresh(token, now).ok());
        let by_access = access.map(|claims| (claims.tenant, claims.user, claims.session));
        let by_refresh = refresh.map(|claims| (claims.tenant, claims.user, claims.session));
        let mut ended = false;
        for (tenant, user, session) in by_access.into_iter().chain(by_refresh.filter(|_| by_refresh != by_access)) {
            if self.end_session(&tenant, session).await? {
                self.record(&tenant, Event::LoggedOut { user, session });
                ended = true;
            }
        }
        if ended { Ok(()) } else { Err(Reason::NotAuthenticated.into()) }
    }

    /// Ends a session for good: `true` for the one call that did.
    pub(crate) async fn end_session(&self, tenant: &TenantId, session: SessionId) -> Result<bool, Error> {
        let clock = self.ports().clock.as_ref();
        let ended = self.ports().sessions.revoke(tenant, session, clock.now()).await?;
        self.revocations().session_ended(session, clock);
        Ok(ended)
    }
}
