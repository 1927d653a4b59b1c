//! Step-up: a recent proof of who is there, as strong as what it guards.

use std::fmt;

use super::code::wrong_code;
use crate::Request;
use crate::error::{Error, Reason};
use crate::proof::LiveSession;
use crate::types::{FactorKind, MethodTimes, Password, Role, Session, User};

/// Proofs that a caller sends along with a sensitive change. Each one that is sent must be right.
#[derive(Clone, Copy, Default)]
pub struct Confirmation<'a> {
    /// The password.
    pub password: Option<&'a Password>,
    /// A code of the authenticator.
    pub code: Option<&'a str>,
}

/// Shows nothing that the client sent.
impl fmt::Debug for Confirmation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").finish_non_exhaustive()
    }
}

/// The proof that a change needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// A recent password or code.
    AnyFactor,
    /// On an account with a second factor, a recent code of it. Elsewhere as [`AnyFactor`](Self::AnyFactor).
    SecondFactor,
}

impl Request<'_> {
    /// Requires a proof of this strength: sent along, or shown in the session within
    /// [`Policy::sudo_max_age`](crate::policy::Policy). A backup code counts for neither: it is for getting in.
    ///
    /// # Errors
    /// `reauthentication_required`; `wrong_password`; `invalid_code`; `throttled`; `overloaded`; `unavailable`.
    pub(crate) async fn step_up(
        &self,
        live: &LiveSession,
        user: &User,
        sent: Confirmation<'_>,
        strength: Strength,
    ) -> Result<(), Error> {
        if let Some(password) = sent.password {
            self.confirm_password(user, password).await?.ok_or(Reason::WrongPassword)?;
        }
        if let Some(code) = sent.code {
            self.spend_code_of(user, code, FactorKind::totp()).await?.ok_or_else(wrong_code)?;
        }
        let second = strength == Strength::SecondFactor && !user.factors.is_empty();
        if sent.code.is_some() || (sent.password.is_some() && !second) {
            return Ok(());
        }
        let recent = self.recent_methods(&self.current_session(live).await?);
        match second {
            _ if recent.has_role(Role::Second) => Ok(()),
            false if recent.has_role(Role::First) => Ok(()),
            false => Err(Reason::ReauthenticationRequired.into()),
            true => Err(Reason::SecondFactorNeeded.into()),
        }
    }

    /// The methods that were shown in a session within [`Policy::sudo_max_age`](crate::policy::Policy): none where that
    /// is zero.
    pub(crate) fn recent_methods(&self, session: &Session) -> MethodTimes {
        let max_age = self.policy().sudo_max_age;
        if max_age.is_zero() {
            return MethodTimes::default();
        }
        session.method_times.since(self.ports().clock.now() - max_age)
    }
}
