//! Somebody's authenticator and their backup codes.

use auth_core::AuthSystem;
use auth_core::error::Error;
use auth_core::factor::{Confirmation, TotpPurpose};
use auth_core::login::{LoginOutcome, LoginRequest, SecondFactorRequest, VerifiedLogin};
use auth_core::port::Clock;
use auth_core::session::SessionTokens;
use auth_core::testing::ManualClock;
use auth_core::types::{Channel, Client, Password};
use totp_rs::{Builder, Secret};

use super::{Store, World};

#[derive(Clone, Debug, Default)]
pub(crate) struct Authenticator {
    pub(crate) secret: String,
    pub(crate) backup_codes: Vec<String>,
}

impl Authenticator {
    /// The code of now.
    pub(crate) fn code(&self, clock: &ManualClock) -> String {
        self.code_at(clock, 0)
    }

    /// The code of so many steps from now.
    pub(crate) fn code_at(&self, clock: &ManualClock, steps: i64) -> String {
        let secret = Secret::try_from_base32(&self.secret).unwrap();
        let totp = Builder::new().with_secret(secret).build_noncompliant();
        totp.generate((clock.now().seconds() + 30 * steps).unsigned_abs()).to_string()
    }
}

impl<S: Store> World<S> {
    /// Sets an authenticator up, without turning it on.
    pub(crate) async fn set_up_totp(&self, tokens: &SessionTokens) -> Authenticator {
        let live = self.auth.authenticate(tokens.access.token.expose()).await.unwrap();
        let setup = self
            .auth
            .request(&self.client)
            .two_factor()
            .set_up(&live, Confirmation::default(), TotpPurpose::Enrol)
            .await
            .unwrap();
        Authenticator { secret: setup.secret.expose().to_owned(), backup_codes: vec![] }
    }
}

/// The first step of a login with two factors: what the second one needs.
pub(crate) async fn first_step(auth: &AuthSystem, identifier: &str, password: &str) -> Result<String, Error> {
    let password = Password::new(password).unwrap();
    let request =
        LoginRequest::new(auth_core::types::Identifier::parse(identifier), &password).channel(Channel::Header);
    match auth.request(&Client::default()).login(request).await? {
        LoginOutcome::SecondFactorRequired(token) => Ok(token.expose().to_owned()),
        LoginOutcome::LoggedIn(_) => panic!("no second factor was asked for"),
    }
}

pub(crate) async fn second_step(auth: &AuthSystem, token: &str, code: &str) -> Result<VerifiedLogin, Error> {
    auth.request(&Client::default()).verify_login(SecondFactorRequest { token, code }).await
}
