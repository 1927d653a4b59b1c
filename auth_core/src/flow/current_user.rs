use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::port::UserKey;
use crate::proof::LiveSession;
use crate::types::User;

impl AuthSystem {
    /// Loads the row of the user who is logged in.
    ///
    /// # Errors
    /// `second_factor_required` for a session that is good for enrolling one alone; `user_not_found`, `user_inactive`, `not_authenticated` when the account changed since the login; `unavailable`.
    pub async fn current_user(&self, live: &LiveSession) -> Result<User, Error> {
        if live.is_for_enrolment_only() {
            return Err(Reason::SecondFactorRequired.into());
        }
        self.enrolling_user(live).await
    }

    /// As [`current_user`](Self::current_user), for what a session may do that is good for enrolling alone.
    pub(super) async fn enrolling_user(&self, live: &LiveSession) -> Result<User, Error> {
        let user = self.ports().users.find(&live.tenant(), UserKey::Id(&live.user())).await?;
        let user = user.ok_or(Reason::UserNotFound)?;
        if !user.is_active() {
            return Err(Reason::UserInactive.into());
        }
        if user.token_version != live.token_version() {
            return Err(Reason::NotAuthenticated.into());
        }
        Ok(user)
    }
}
