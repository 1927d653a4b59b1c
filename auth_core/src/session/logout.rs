use crate::Request;
use crate::error::{Error, Reason};
use crate::port::Event;
use crate::types::TenantId;

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
        let ours = |tenant: TenantId| tenant == *self.tenant();
        let by_access = access.filter(|claims| ours(claims.tenant)).map(|claims| (claims.user, claims.session));
        let by_refresh = refresh.filter(|claims| ours(claims.tenant)).map(|claims| (claims.user, claims.session));
        let mut ended = false;
        for (user, session) in by_access.into_iter().chain(by_refresh.filter(|_| by_refresh != by_access)) {
            ended |= self.revoke_session(Event::LoggedOut { user, session }, user, session).await?;
        }
        if ended { Ok(()) } else { Err(Reason::NotAuthenticated.into()) }
    }
}
