use super::authenticate::out_of_scope;
use crate::Request;
use crate::error::{Error, Reason};
use crate::port::UserKey;
use crate::proof::LiveSession;
use crate::types::{Scope, Session, User};

impl Request<'_> {
    /// Loads the row of the user who is logged in.
    ///
    /// # Errors
    /// `second_factor_required` for a session that may only enrol a second factor; `user_not_found`, `user_inactive`,
    /// `not_authenticated` when the account changed since the login; `unavailable`.
    pub async fn current_user(&self, live: &LiveSession) -> Result<User, Error> {
        if live.scope() != Scope::Full {
            return Err(out_of_scope(live.scope()).into());
        }
        self.enrolling_user(live).await
    }

    /// Loads the row as [`current_user`](Self::current_user) does, for a session of any scope.
    pub(crate) async fn enrolling_user(&self, live: &LiveSession) -> Result<User, Error> {
        self.check_tenant(live)?;
        let user = self.ports().users.find(self.tenant(), UserKey::Id(&live.user())).await?;
        let user = user.ok_or(Reason::UserNotFound)?;
        if !user.is_active() {
            return Err(Reason::UserInactive.into());
        }
        if user.token_version != live.token_version() {
            return Err(Reason::NotAuthenticated.into());
        }
        Ok(user)
    }

    /// Loads the row of the caller's session.
    pub(crate) async fn current_session(&self, live: &LiveSession) -> Result<Session, Error> {
        self.check_tenant(live)?;
        let found = self.ports().sessions.find(self.tenant(), live.session()).await?;
        let session = found.filter(|at| at.row.user == live.user() && at.row.is_live(at.now));
        Ok(session.ok_or(Reason::NotAuthenticated)?.row)
    }
    /// Rejects the session of another tenant.
    fn check_tenant(&self, live: &LiveSession) -> Result<(), Error> {
        if live.tenant() == *self.tenant() { Ok(()) } else { Err(Reason::NotAuthenticated.into()) }
    }
}
