use std::fmt;

use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::flow::SessionTokens;
use crate::port::{AttemptKey, Event, HashError, LoginRecord, LoginRefusal, MailPurpose, UserKey};
use crate::proof::{Authenticated, PasswordVerified, verify_password};
use crate::token::DeviceId;
use crate::types::{Channel, Client, Email, Password, PasswordHash, Token, User, UserId, Username};

/// Who wants to log in.
pub struct LoginRequest<'a> {
    /// A mail address; where usernames are on, anything without an `@` is a username.
    pub identifier: &'a str,
    /// The password.
    pub password: &'a Password,
    /// How the session's tokens shall travel.
    pub channel: Channel,
    /// The device token of an earlier login, if the client has one.
    pub device: Option<&'a str>,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    /// The new session's tokens.
    pub session: SessionTokens,
    /// Shows at the next login that this device is known. It opens nothing, and stays at logout.
    pub device: Token,
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
    /// An attempt is counted before the password is evaluated, and taken back by success: so N parallel guesses never
    /// evaluate more than the limits allow, be they timed ([`Policy::login_attempts`](crate::policy::Policy)) or durable
    /// (`max_consecutive_failures`).
    ///
    /// # Errors
    /// `invalid_credentials`; `throttled` past the timed limit; `second_factor_unavailable` when the account lists a
    /// second factor; `overloaded` and `unavailable`.
    pub async fn login(&self, client: &Client, request: LoginRequest<'_>) -> Result<LoggedIn, Error> {
        let ports = self.ports();
        let hasher = ports.hasher.as_ref();
        let identifier = Identifier::read(request.identifier, self.policy().usernames);
        let known_device = self.known_device(client, &identifier, request.device);

        // In this order: a flood that is not admitted costs its victim no attempt.
        let ticket = hasher.admit(client.lane())?;
        let budget = self.count_attempt(client, &identifier, known_device).await?;
        let user = match identifier.key() {
            Some(key) => ports.users.find(&client.tenant, key).await?,
            None => None,
        };
        let open = self.count_failure(client, user.as_ref(), known_device.is_some()).await?;
        let against = user.as_ref().filter(|_| open);
        let proof = verify_password(hasher, ports.clock.as_ref(), ticket, against, request.password).await?;

        let (Some(user), Some(proof)) = (&user, &proof) else {
            let why = match &user {
                Some(_) if !open => LoginRefusal::PasswordOff,
                Some(_) => LoginRefusal::WrongPassword,
                None => LoginRefusal::Unknown,
            };
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
        let device = known_device.map_or_else(|| self.new_device(), Ok)?;
        let session = self.issue_session(client, request.channel, authenticated).await?;
        self.note_login(client, user, proof, request.password, &budget).await;
        Ok(LoggedIn { session, device: self.tokens().device(&client.tenant, identifier.as_str(), device) })
    }

    fn known_device(&self, client: &Client, identifier: &Identifier, token: Option<&str>) -> Option<DeviceId> {
        self.tokens().verify_device(&client.tenant, identifier.as_str(), token?)
    }

    fn new_device(&self) -> Result<DeviceId, Error> {
        let mut id = [0; 16];
        self.ports().random.fill(&mut id).map_err(Error::unavailable)?;
        Ok(DeviceId(id))
    }

    /// Counts an attempt in its timed window: that of the device where it is known, else that of the identifier, which
    /// all strangers share. Known and unknown identifiers are counted alike.
    async fn count_attempt(
        &self,
        client: &Client,
        identifier: &Identifier,
        device: Option<DeviceId>,
    ) -> Result<AttemptKey, Error> {
        let policy = self.policy();
        let (key, limit) = match device {
            Some(DeviceId(id)) => (AttemptKey::new("login/device", &[&id]), policy.device_attempts),
            None => {
                let parts = [client.tenant.as_str().as_bytes(), identifier.as_str().as_bytes()];
                (AttemptKey::new("login/identifier", &parts), policy.login_attempts)
            }
        };
        if policy.timed_limits {
            let hit = self.ports().attempts.hit(&key, limit).await?;
            if !hit.allowed {
                return Err(Error::throttled("account", limit, hit));
            }
        }
        Ok(key)
    }

    /// Counts a failure in advance; false when the password is off. An account that is not there costs the same call.
    async fn count_failure(&self, client: &Client, user: Option<&User>, known_device: bool) -> Result<bool, Error> {
        let nobody = UserId::default();
        let id = user.map_or(&nobody, |user| &user.id);
        // Strangers cannot count past the first hundred, so they cannot use up what a known device has left.
        let strangers = self.policy().max_consecutive_failures;
        let below = if known_device { strangers.saturating_mul(2) } else { strangers };
        Ok(self.ports().users.count_failure(&client.tenant, id, below).await?)
    }

    /// Housekeeping after the session was made: that it fails must not take the login back.
    async fn note_login(
        &self,
        client: &Client,
        user: &User,
        proof: &PasswordVerified,
        password: &Password,
        budget: &AttemptKey,
    ) {
        let ports = self.ports();
        let mut rehash = None;
        if let Some(old) = &proof.outdated {
            match self.hash_again(client, password).await {
                Ok(new) => rehash = Some((old.clone(), new)),
                Err(error) => tracing::warn!(target: "auth", %error, "rehash put off to the next login"),
            }
        }
        let record = LoginRecord { at: ports.clock.now(), rehash };
        if let Err(error) = ports.users.record_login(&user.tenant, &user.id, &record).await {
            tracing::warn!(target: "auth", %error, "the time of a login was not noted");
        }
        if self.policy().timed_limits
            && let Err(error) = ports.attempts.clear(budget).await
        {
            tracing::warn!(target: "auth", %error, "the attempts before a login were not cleared");
        }
    }

    async fn hash_again(&self, client: &Client, password: &Password) -> Result<PasswordHash, HashError> {
        let hasher = &self.ports().hasher;
        hasher.hash(hasher.admit(client.lane())?, password).await
    }

    fn refuse_login(&self, client: &Client, user: Option<UserId>, why: LoginRefusal) -> Error {
        self.record(&client.tenant, Event::LoginRefused { user, why });
        match why {
            LoginRefusal::SecondFactorUnavailable => Reason::SecondFactorUnavailable.into(),
            _ => Reason::InvalidCredentials.into(),
        }
    }
}

/// What names an account at login, canonical: the same for all spellings that find the same account.
enum Identifier {
    Email(Email),
    Username(Username),
    /// What can be nobody's. It is counted like the others.
    Neither(String),
}

impl Identifier {
    fn read(text: &str, usernames: bool) -> Self {
        let username = || Username::parse(text).ok().filter(|_| usernames).map(Self::Username);
        let email = Email::parse(text).ok().map(Self::Email);
        email.or_else(username).unwrap_or_else(|| Self::Neither(text.trim().to_lowercase()))
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Username(username) => username.as_str(),
            Self::Neither(text) => text,
        }
    }

    fn key(&self) -> Option<UserKey<'_>> {
        match self {
            Self::Email(email) => Some(UserKey::Email(email)),
            Self::Username(username) => Some(UserKey::Username(username)),
            Self::Neither(_) => None,
        }
    }
}
