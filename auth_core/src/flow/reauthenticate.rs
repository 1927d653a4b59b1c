use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::flow::SessionTokens;
use crate::port::Event;
use crate::proof::{Authenticated, LiveSession};
use crate::types::{Client, Password};

impl AuthSystem {
    /// Proves again who is there: the session gives way to a new one that counts as a fresh login, as sensitive changes
    /// want it ([`Policy::sudo_max_age`](crate::policy::Policy)).
    ///
    /// # Errors
    /// `wrong_password`; `throttled`; `not_authenticated` and its like when the account changed since the login;
    /// `overloaded`; `unavailable`.
    pub async fn reauthenticate(
        &self,
        client: &Client,
        live: &LiveSession,
        password: &Password,
    ) -> Result<SessionTokens, Error> {
        let user = self.current_user(live).await?;
        let proof = self.confirm_password(client, &user, password).await?.ok_or(Reason::WrongPassword)?;
        let renewed = Authenticated::renewed(live, &proof, &user).map_err(|_| Reason::NotAuthenticated)?;
        let tokens = self.issue_session(client, live.channel(), renewed).await?;
        self.end_session(&user.tenant, live.session()).await?;
        self.record(&user.tenant, Event::Reauthenticated { user: user.id, session: tokens.session });
        Ok(tokens)
    }
}
