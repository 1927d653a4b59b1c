//! Limits by address: how often one client may call an endpoint, whatever it sends.

use auth_core::error::Error;
use auth_core::policy::{InvalidSetting, check_limit};
use auth_core::port::AttemptKey;
use auth_core::types::{Client, Limit};

use crate::Auth;
use crate::config::Throttles;

/// Endpoints that share a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttle {
    SignUp,
    Login,
    Refresh,
    PasswordReset,
    ResendVerification,
    Confirm,
    ChangePassword,
    ChangeEmail,
    Reauthenticate,
    TwoFactor,
    VerifyLogin,
    /// One row's own.
    Own(&'static str, Limit),
}

impl Throttle {
    const ALL: [Self; 11] = [
        Self::SignUp,
        Self::Login,
        Self::Refresh,
        Self::PasswordReset,
        Self::ResendVerification,
        Self::Confirm,
        Self::ChangePassword,
        Self::ChangeEmail,
        Self::Reauthenticate,
        Self::TwoFactor,
        Self::VerifyLogin,
    ];

    /// The name on the wire and in keys.
    const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "signup",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::PasswordReset => "password_reset",
            Self::ResendVerification => "resend_verification",
            Self::Confirm => "confirm",
            Self::ChangePassword => "change_password",
            Self::ChangeEmail => "change_email",
            Self::Reauthenticate => "reauthenticate",
            Self::TwoFactor => "two_factor",
            Self::VerifyLogin => "verify_2fa",
            Self::Own(name, _) => name,
        }
    }

    /// The field of [`Config`](crate::Config).
    const fn setting(self) -> &'static str {
        match self {
            Self::SignUp => "throttles.signup",
            Self::Login => "throttles.login",
            Self::Refresh => "throttles.refresh",
            Self::PasswordReset => "throttles.password_reset",
            Self::ResendVerification => "throttles.resend_verification",
            Self::Confirm => "throttles.confirm",
            Self::ChangePassword => "throttles.change_password",
            Self::ChangeEmail => "throttles.change_email",
            Self::Reauthenticate => "throttles.reauthenticate",
            Self::TwoFactor => "throttles.two_factor",
            Self::VerifyLogin => "throttles.verify_2fa",
            Self::Own(..) => "operations",
        }
    }

    fn limit(self, throttles: &Throttles) -> Limit {
        match self {
            Self::SignUp => throttles.signup,
            Self::Login => throttles.login,
            Self::Refresh => throttles.refresh,
            Self::PasswordReset => throttles.password_reset,
            Self::ResendVerification => throttles.resend_verification,
            Self::Confirm => throttles.confirm,
            Self::ChangePassword => throttles.change_password,
            Self::ChangeEmail => throttles.change_email,
            Self::Reauthenticate => throttles.reauthenticate,
            Self::TwoFactor => throttles.two_factor,
            Self::VerifyLogin => throttles.verify_2fa,
            Self::Own(_, limit) => limit,
        }
    }

    pub(crate) fn check(self, throttles: &Throttles) -> Result<(), InvalidSetting> {
        check_limit(self.setting(), self.limit(throttles))
    }

    /// Counts a request of this client and refuses it past the limit.
    ///
    /// Clients whose address is not known share one count: better a tight limit than none.
    pub(crate) async fn count(self, auth: &Auth, client: &Client) -> Result<(), Error> {
        let system = auth.system();
        if !system.policy().timed_limits {
            return Ok(());
        }
        if client.address.is_none() {
            let hint = "serve the app with `into_make_service_with_connect_info::<SocketAddr>()`";
            tracing::warn!(target: "auth", hint, "no client address: all clients share one limit");
        }
        let limit = self.limit(&auth.http().throttles);
        let key = AttemptKey::new("address", &[self.name().as_bytes(), &client.lane().to_be_bytes()]);
        let hit = system.ports().attempts.hit(&key, limit).await?;
        if hit.allowed { Ok(()) } else { Err(Error::throttled(self.name(), limit, hit)) }
    }
}

/// Refuses limits outside their ranges.
pub(crate) fn check(throttles: &Throttles) -> Result<(), InvalidSetting> {
    Throttle::ALL.iter().try_for_each(|throttle| throttle.check(throttles))
}
