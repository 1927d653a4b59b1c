use std::fmt;

use crate::Request;
use crate::budget::{Budget, Guesser};
use crate::commit::housekeeping;
use crate::error::{Error, Reason};
use crate::port::{AttemptKey, Event, LoginRefusal, MailPurpose, UserKey};
use crate::proof::{Authenticated, FirstStep, verify_password};
use crate::session::SessionTokens;
use crate::token::{DeviceId, Tokens};
use crate::types::{Channel, Identifier, Limit, Password, PasswordHash, Scope, TenantId, Token, User, Username};

/// A login with a password.
#[non_exhaustive]
pub struct LoginRequest<'a> {
    /// The account's address or, where usernames are on, its username.
    pub identifier: Identifier,
    /// The password.
    pub password: &'a Password,
    /// How the session's tokens shall travel.
    pub channel: Channel,
    /// The device token of an earlier login, if the client has one.
    pub device: Option<&'a str>,
}

impl<'a> LoginRequest<'a> {
    /// A login from an unknown device, whose tokens travel in cookies.
    pub fn new(identifier: Identifier, password: &'a Password) -> Self {
        Self { identifier, password, channel: Channel::Cookie, device: None }
    }

    /// Sets how the session's tokens travel.
    #[must_use]
    pub fn channel(self, channel: Channel) -> Self {
        Self { channel, ..self }
    }

    /// Shows the device token of an earlier login, if the client has one.
    #[must_use]
    pub fn device(self, device: Option<&'a str>) -> Self {
        Self { device, ..self }
    }
}

/// A login that succeeded.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// The new session's tokens.
    pub session: SessionTokens,
    /// The part of the account that the session may use: [`Scope::EnrolFactor`] where the account must have a second
    /// factor and has none.
    pub scope: Scope,
    /// Shows at the next login that this device is known. It opens nothing, and stays at logout.
    pub device: Token,
}

/// The outcome of a login with a right password. A third outcome would need a new major version, because every caller must
/// handle it.
#[derive(Debug)]
pub enum LoginOutcome {
    /// It was all that the account asks for.
    LoggedIn(LoggedIn),
    /// The account asks for a second factor: [`Request::verify_login`] takes this and a code.
    SecondFactorRequired(Token),
}

impl LoginOutcome {
    /// The login, where it needed no second factor.
    pub fn logged_in(self) -> Option<LoggedIn> {
        match self {
            Self::LoggedIn(login) => Some(login),
            Self::SecondFactorRequired(_) => None,
        }
    }
}

/// Shows nothing that the client sent.
impl fmt::Debug for LoginRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// Logs in with a password.
    ///
    /// Wrong password, unknown, unverified and disabled accounts get one answer after the same work. The right
    /// password of an unverified account also queues a verification mail. A mail tells the account owner, once a day, that
    /// the durable limit has turned the password off.
    ///
    /// An attempt is counted before the password is evaluated, and taken back by success: so N parallel guesses never
    /// evaluate more than the limits allow, be they timed ([`Policy::login_attempts`](crate::policy::Policy)) or durable
    /// (`max_consecutive_failures`).
    ///
    /// # Errors
    /// `invalid_credentials`; `throttled` past the timed limit; `overloaded` and `unavailable`.
    pub async fn login(&self, request: LoginRequest<'_>) -> Result<LoginOutcome, Error> {
        let ports = self.ports();
        let identifier = request.identifier;
        // A device token counts for the account as it is now, so that is read first where one is shown.
        let token = request.device.filter(|token| Tokens::is_device(token));

        // In this order: a flood that is not admitted costs its victim no attempt.
        let ticket = ports.hasher.admit(self.client().lane())?;
        let read_first = match token {
            Some(_) => Some(self.find_by_identifier(&identifier).await?),
            None => None,
        };
        let known_device =
            read_first.as_ref().zip(token).and_then(|(user, token)| self.known_device(user.as_ref(), token));
        let budget = self.login_budget(&identifier, known_device);
        self.count_attempt(&budget).await?;
        let user = match read_first {
            Some(user) => user,
            None => self.find_by_identifier(&identifier).await?,
        };
        let open = match known_device {
            Some(device) => self.count_device_failure(device).await?,
            None => self.count_failure(user.as_ref(), identifier.as_str(), Guesser::Stranger).await?,
        };
        let against = user.as_ref().filter(|_| open);
        let proof = verify_password(ports, ticket, against, request.password).await?;

        let (Some(user), Some(proof)) = (&user, &proof) else {
            let why = match &user {
                Some(_) if !open => LoginRefusal::PasswordOff,
                Some(_) => LoginRefusal::WrongPassword,
                None => LoginRefusal::Unknown,
            };
            return self.refuse_login(&identifier, user.as_ref(), why).await;
        };
        let step = match Authenticated::begin(&proof.proof, user) {
            Ok(step) => step,
            Err(why) => return self.refuse_login(&identifier, Some(user), why).await,
        };
        let device = known_device.map_or_else(|| self.new_device(), Ok)?;
        let login = FirstFactor { device, channel: request.channel };
        match step {
            FirstStep::Complete(authenticated) => {
                let for_enrolment = self.requires_second_factor(user);
                let authenticated = if for_enrolment { authenticated.for_enrolment() } else { authenticated };
                let mut logged_in = self.complete_login(&login, user, authenticated).await?;
                let at = Some(ports.clock.now());
                let rehashed = self.note_right_password(proof, request.password, &budget, at).await;
                self.forget_device_failures(known_device).await;
                if let Some(hash) = rehashed {
                    // The device token counts under the hash that is stored from now on.
                    logged_in.device = self.device_token(&with_hash(user, hash), device);
                }
                Ok(LoginOutcome::LoggedIn(logged_in))
            }
            FirstStep::SecondFactor => {
                let token = self.await_second_factor(user, &proof.proof, &login).await?;
                self.note_right_password(proof, request.password, &budget, None).await;
                self.forget_device_failures(known_device).await;
                Ok(LoginOutcome::SecondFactorRequired(token))
            }
        }
    }

    /// The session of a login whose every factor was given, and the proof that the device is known from now on.
    pub(crate) async fn complete_login(
        &self,
        login: &FirstFactor,
        user: &User,
        authenticated: Authenticated,
    ) -> Result<LoggedIn, Error> {
        let scope = authenticated.scope;
        let session = self.issue_session(login.channel, authenticated).await?;
        Ok(LoggedIn { session, scope, device: self.device_token(user, login.device) })
    }

    async fn find_by_identifier(&self, identifier: &Identifier) -> Result<Option<User>, Error> {
        let key = match identifier {
            Identifier::Email(email) => UserKey::Email(email),
            Identifier::Username(username) if self.policy().usernames => UserKey::Username(username),
            Identifier::Username(_) | Identifier::Neither(_) => return Ok(None),
        };
        Ok(self.ports().users.find(self.tenant(), key).await?)
    }

    /// The device that a token names, if this account knows it.
    pub(crate) fn known_device(&self, user: Option<&User>, token: &str) -> Option<DeviceId> {
        self.tokens().verify_device(user, token, self.ports().clock.now(), self.policy().device_lifetime)
    }

    /// A token by which this account knows a device from now on.
    pub(crate) fn device_token(&self, user: &User, device: DeviceId) -> Token {
        self.tokens().device(user, device, self.ports().clock.now())
    }

    pub(crate) fn new_device(&self) -> Result<DeviceId, Error> {
        let mut id = [0; 16];
        self.ports().random.fill(&mut id).map_err(Error::unavailable)?;
        Ok(DeviceId(id))
    }

    /// The timed window of an attempt: that of the device where it is known, else that of the identifier, which all
    /// strangers share. Known and unknown identifiers are counted alike.
    fn login_budget(&self, identifier: &Identifier, device: Option<DeviceId>) -> Budget {
        let policy = self.policy();
        match device {
            Some(DeviceId(id)) => {
                Budget { key: AttemptKey::new("login/device", &[&id]), limit: policy.device_attempts }
            }
            None => self.strangers_budget(self.tenant(), identifier.as_str()),
        }
    }

    /// The timed window that all strangers share for one identifier.
    pub(crate) fn strangers_budget(&self, tenant: &TenantId, identifier: &str) -> Budget {
        let parts = [tenant.as_str().as_bytes(), identifier.as_bytes()];
        Budget { key: AttemptKey::new("login/identifier", &parts), limit: self.policy().login_attempts }
    }

    /// Ends the windows that strangers used up for an account. Housekeeping after its owner proved the mailbox.
    pub(crate) async fn forget_strangers_attempts(&self, user: &User) {
        let username = user.username.as_ref().map(Username::as_str);
        for identifier in [Some(user.email.as_str()), username].into_iter().flatten() {
            self.forget_attempts(&self.strangers_budget(&user.tenant, identifier)).await;
        }
    }

    /// Counts a failure of a known device in advance; false when it has used up its own allowance. It is not part of the
    /// account's count, so no device uses up the share of another one. A token is issued only to a caller who knew the
    /// present password, so this count may be where losing it is harmless.
    async fn count_device_failure(&self, device: DeviceId) -> Result<bool, Error> {
        let policy = self.policy();
        let limit = Limit::new(policy.max_consecutive_failures, policy.device_lifetime);
        Ok(self.ports().attempts.hit(&device_failures(device), limit).await?.allowed)
    }

    /// Housekeeping after full success.
    async fn forget_device_failures(&self, device: Option<DeviceId>) {
        if let Some(device) = device {
            let forgotten = self.ports().attempts.clear(&device_failures(device)).await;
            housekeeping(forgotten, "forgetting a device's failures before a success");
        }
    }

    /// Rejects a login. Only a mail may tell the owner of an unverified account to verify it, or that the password is off.
    /// Every refusal does the work of a mail.
    async fn refuse_login<T>(
        &self,
        identifier: &Identifier,
        user: Option<&User>,
        why: LoginRefusal,
    ) -> Result<T, Error> {
        match user {
            Some(user) if why == LoginRefusal::Unverified => {
                self.queue_mail(&user.email, MailPurpose::VerifyEmail).await?;
            }
            Some(user) if why == LoginRefusal::PasswordOff && user.is_active() && user.is_verified() => {
                self.tell_of_lock_out(user).await?;
            }
            _ => self.queue_no_mail(identifier.as_str()).await?,
        }
        self.record(self.tenant(), Event::LoginRefused { user: user.map(|user| user.id), why });
        Err(Reason::InvalidCredentials.into())
    }
}

fn device_failures(DeviceId(id): DeviceId) -> AttemptKey {
    AttemptKey::new("login/device/failures", &[&id])
}

fn with_hash(user: &User, hash: PasswordHash) -> User {
    User { password_hash: Some(hash), ..user.clone() }
}

/// The part of a login's first step that its second step needs.
pub(crate) struct FirstFactor {
    pub(crate) device: DeviceId,
    pub(crate) channel: Channel,
}
