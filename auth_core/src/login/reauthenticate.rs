use crate::Request;
use crate::error::{Error, Reason};
use crate::factor::code::wrong_code;
use crate::factor::step_up::Confirmation;
use crate::port::Event;
use crate::proof::{Authenticated, LiveSession, Renewal};
use crate::session::SessionTokens;
use crate::types::FactorKind;

impl Request<'_> {
    /// Confirms the user of a session by a password, a code of the authenticator, or both: the session gives way to a new
    /// one in which these methods were just shown, as sensitive changes want it
    /// ([`Policy::sudo_max_age`](crate::policy::Policy)).
    ///
    /// # Errors
    /// `reauthentication_required` when neither was sent; `wrong_password`; `invalid_code`; `throttled`;
    /// `not_authenticated` and its like when the account changed since the login; `overloaded`; `unavailable`.
    pub async fn reauthenticate(&self, live: &LiveSession, sent: Confirmation<'_>) -> Result<SessionTokens, Error> {
        let user = self.current_user(live).await?;
        let recent = self.recent_methods(&self.current_session(live).await?);
        let password = match sent.password {
            Some(password) => Some(self.confirm_password(&user, password).await?.ok_or(Reason::WrongPassword)?),
            None => None,
        };
        let code = match sent.code {
            Some(code) => {
                Some(self.spend_code_of(&user, code, FactorKind::totp()).await?.ok_or_else(wrong_code)?.proof)
            }
            None => None,
        };
        let renewal = match (&password, &code) {
            (Some(password), Some(code)) => Renewal::from(&password.proof).and(code),
            (Some(password), None) => Ok(Renewal::from(&password.proof)),
            (None, Some(code)) => Ok(Renewal::from(code)),
            (None, None) => return Err(Reason::ReauthenticationRequired.into()),
        };
        let renewed = renewal.and_then(|renewal| Authenticated::renewed(live, recent, renewal, &user));
        let renewed = renewed.map_err(|_| Reason::NotAuthenticated)?;
        let tokens = self.issue_session(live.channel(), renewed).await?;
        let event = Event::Reauthenticated { user: user.id, session: tokens.session };
        self.revoke_session(event, user.id, live.session()).await?;
        Ok(tokens)
    }
}
