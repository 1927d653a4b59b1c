use std::fmt;

use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::flow::SessionTokens;
use crate::port::{Event, LoginRecord, LoginRefusal, MailPurpose, UserKey};
use crate::proof::{Authenticated, PasswordVerified, verify_password};
use crate::types::{Channel, Client, Email, Password, User, UserId, Username};

/// Who wants to log in.
pub struct LoginRequest<'a> {
    /// A mail address; where usernames are on, anything without an `@` is a username.
    pub identifier: &'a str,
    /// The password.
    pub password: &'a Password,
    /// How the session's tokens shall travel.
    pub channel: Channel,
}

/// Shows nothing that the client sent.
impl fmt::Debug for LoginRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").finish_non_exhaustive()
    }
}

impl AuthSystem {
    /// Logs in with a password.
    ///
    /// Wrong password, unknown, unverified and disabled accounts get one answer after the same work. The right
    /// password of an unverified account also queues a verification mail.
    ///
    /// # Errors
    /// `invalid_credentials`; `second_factor_unavailable` when the account lists a second factor; `overloaded` and
    /// `unavailable`.
    pub async fn login(&self, client: &Client, request: LoginRequest<'_>) -> Result<SessionTokens, Error> {
        let user = self.find_by_identifier(client, request.identifier).await?;
        let ports = self.ports();
        let hasher = ports.hasher.as_ref();
        let proof =
            verify_password(hasher, ports.clock.as_ref(), client.lane(), user.as_ref(), request.password).await?;
        let (Some(user), Some(proof)) = (&user, &proof) else {
            let why = if user.is_some() { LoginRefusal::WrongPassword } else { LoginRefusal::Unknown };
            return Err(self.refuse_login(client, user.as_ref().map(|user| user.id), why));
        };
        let authenticated = match Authenticated::by_password(proof, user) {
            Ok(authenticated) => authenticated,
            Err(why) => {
                if why == LoginRefusal::Unverified {
                    self.queue_mail(client, &user.email, MailPurpose::VerifyEmail).await?;
                }
                return Err(self.refuse_login(client, Some(user.id), why));
            }
        };
        let tokens = self.issue_session(client, request.channel, authenticated).await?;
        self.note_login(client, user, proof, request.password).await;
        Ok(tokens)
    }

    async fn find_by_identifier(&self, client: &Client, identifier: &str) -> Result<Option<User>, Error> {
        let email = Email::parse(identifier).ok();
        let username = if self.policy().usernames { Username::parse(identifier).ok() } else { None };
        let key = match (&email, &username) {
            (Some(email), _) => UserKey::Email(email),
            (None, Some(username)) => UserKey::Username(username),
            (None, None) => return Ok(None),
        };
        Ok(self.ports().users.find(&client.tenant, key).await?)
    }

    /// Housekeeping after the session was made: that it fails must not take the login back.
    async fn note_login(&self, client: &Client, user: &User, proof: &PasswordVerified, password: &Password) {
        let mut rehash = None;
        if let Some(old) = &proof.outdated {
            match self.ports().hasher.hash(client.lane(), password).await {
                Ok(new) => rehash = Some((old.clone(), new)),
                Err(error) => tracing::warn!(target: "auth", %error, "rehash put off to the next login"),
            }
        }
        let record = LoginRecord { at: self.ports().clock.now(), rehash };
        if let Err(error) = self.ports().users.record_login(&user.tenant, &user.id, &record).await {
            tracing::warn!(target: "auth", %error, "the time of a login was not noted");
        }
    }

    fn refuse_login(&self, client: &Client, user: Option<UserId>, why: LoginRefusal) -> Error {
        self.record(&client.tenant, Event::LoginRefused { user, why });
        match why {
            LoginRefusal::SecondFactorUnavailable => Reason::SecondFactorUnavailable.into(),
            _ => Reason::InvalidCredentials.into(),
        }
    }
}
