use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use super::LoggedIn;
use super::password::FirstFactor;
use crate::Request;
use crate::commit::housekeeping;
use crate::error::{Error, Reason};
use crate::factor::code::{unreadable, wrong_code};
use crate::port::{AttemptKey, Event, LoginRecord, MailMatter, MailPurpose, UserKey};
use crate::proof::{Authenticated, FirstFactorVerified, Shown};
use crate::token::DeviceId;
use crate::types::{
    Channel, Limit, MethodTimes, Payload, PendingId, PendingPurpose, PendingSession, Timestamp, Token, User,
};

const VERSION: u16 = 2;
/// How often the owner is told that somebody knows the password and fails at the second step.
const NOTICES: Limit = Limit::new(1, Duration::from_secs(60 * 60));

/// The second step of a login.
pub struct SecondFactorRequest<'a> {
    /// What the first step answered with: a UUID in any case, with or without dashes.
    pub token: &'a str,
    /// A code of the authenticator, or a backup code, in any spelling: [`Code`](crate::types::Code).
    pub code: &'a str,
}

/// Shows nothing that the client sent.
impl fmt::Debug for SecondFactorRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactorRequest").finish_non_exhaustive()
    }
}

/// A login whose second step succeeded.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifiedLogin {
    /// The login.
    pub login: LoggedIn,
    /// How many backup codes are left, if one was used.
    pub backup_codes_left: Option<usize>,
}

fn pending_id(token: Uuid) -> PendingId {
    PendingId::of(PendingPurpose::SecondFactor, token.as_bytes())
}

impl Request<'_> {
    /// Keeps the first step of a login until the second one, for
    /// [`Policy::pending_lifetime`](crate::policy::Policy). Several may wait side by side.
    pub(crate) async fn await_second_factor(
        &self,
        user: &User,
        first: &FirstFactorVerified,
        login: &FirstFactor,
    ) -> Result<Token, Error> {
        let FirstFactorVerified(shown) = first;
        let mut random = [0; 16];
        self.ports().random.fill(&mut random).map_err(Error::unavailable)?;
        let token = Builder::from_random_bytes(random).into_uuid();
        let pending = PendingSession {
            id: pending_id(token),
            purpose: PendingPurpose::SecondFactor,
            tenant: shown.tenant,
            subject: Some(shown.subject()),
            tries: 0,
            payload: keep(login, shown),
            expires_at: self.ports().clock.now() + self.policy().pending_lifetime,
        };
        self.ports().pending.put(&pending).await?;
        self.record(&user.tenant, Event::SecondFactorAwaited { user: user.id });
        Ok(Token::new(token.to_string()))
    }

    /// Finishes a login with a code of the second factor, or a backup code.
    ///
    /// A wrong code leaves the pending login as it is, within the budget of the factor. A right one is spent before
    /// the pending login is taken: of parallel calls with one code, or for one pending login, one succeeds.
    ///
    /// # Errors
    /// `invalid_fields` for a text that is no code; `pending_session_invalid` for a login that is over, was finished, or whose
    /// account changed since; `invalid_code`; `throttled`; `unavailable`.
    pub async fn verify_login(&self, request: SecondFactorRequest<'_>) -> Result<VerifiedLogin, Error> {
        let over = || Error::from(Reason::PendingSessionInvalid);
        let ports = self.ports();
        let id = pending_id(parse(request.token).ok_or_else(over)?);
        let found = ports.pending.find(&id, ports.clock.now()).await?;
        let pending = found
            .filter(|it| it.tenant == *self.tenant() && it.purpose == PendingPurpose::SecondFactor)
            .ok_or_else(over)?;
        let subject = pending.subject.ok_or_else(over)?;
        let user = ports.users.find(&pending.tenant, UserKey::Id(&subject.user)).await?;
        let user = user.filter(|user| pending.fits(user)).ok_or_else(over)?;
        let Some(spent) = self.spend_code(&user, request.code).await? else {
            self.tell_of_failed_second_factor(&user).await?;
            return Err(wrong_code());
        };
        let now = ports.clock.now();
        let taken = ports.pending.take(&id, now).await?.ok_or_else(over)?;
        let kept = Kept::read(&taken.payload).ok_or_else(|| unreadable("a pending login cannot be read"))?;
        let first = FirstFactorVerified::resumed(&taken, &kept.method, kept.at.min(now)).ok_or_else(over)?;
        let authenticated = Authenticated::complete(&first, &spent.proof, &user).map_err(|_| over())?;
        if spent.backup_codes_left.is_some() {
            // Before the session, so that a crash in between cannot hide who used the code.
            let about = MailMatter { user: user.id, token_version: user.token_version };
            self.queue_mail_about(&user.email, MailPurpose::BackupCodeUsed, about).await?;
        }
        let login = self.complete_login(&kept.login, &user, authenticated).await?;
        let record = LoginRecord { at: Some(ports.clock.now()), rehash: None };
        housekeeping(ports.users.record_login(&user.tenant, &user.id, &record).await, "noting a login");
        if let Some(left) = spent.backup_codes_left {
            self.record(&user.tenant, Event::BackupCodeUsed { user: user.id, left });
        }
        Ok(VerifiedLogin { login, backup_codes_left: spent.backup_codes_left })
    }

    /// Somebody knows the password. Told once an hour, or the mails would be a weapon.
    async fn tell_of_failed_second_factor(&self, user: &User) -> Result<(), Error> {
        let parts = [user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes()];
        let key = AttemptKey::new("notice/second-factor", &parts);
        if self.ports().attempts.hit(&key, NOTICES).await?.allowed {
            let about = MailMatter { user: user.id, token_version: user.token_version };
            self.queue_mail_about(&user.email, MailPurpose::SecondFactorFailed, about).await?;
        }
        Ok(())
    }
}

/// A UUID as browsers send it: hyphenated or not, in any case.
fn parse(token: &str) -> Option<Uuid> {
    if matches!(token.len(), 32 | 36) { Uuid::try_parse(token).ok() } else { None }
}

/// No identifier and no address: this may be kept in a cache.
fn keep(login: &FirstFactor, shown: &Shown) -> Payload {
    let DeviceId(device) = login.device;
    let kept = json!({
        "device": Uuid::from_bytes(device).to_string(),
        "channel": login.channel.as_str(),
        "method": shown.method,
        "at": shown.at.micros(),
    });
    Payload { version: VERSION, bytes: kept.to_string().into_bytes() }
}

/// What [`keep`] kept.
struct Kept {
    login: FirstFactor,
    /// The first factor. An older build kept none: there was the password alone.
    method: Box<str>,
    /// When the first factor was shown; at the earliest possible moment where an older build did not keep it.
    at: Timestamp,
}

impl Kept {
    fn read(payload: &Payload) -> Option<Self> {
        let value: Value = serde_json::from_slice(&payload.bytes).ok().filter(|_| payload.version == VERSION)?;
        let text = |name: &str| value.get(name)?.as_str();
        Some(Self {
            login: FirstFactor {
                device: DeviceId(Uuid::parse_str(text("device")?).ok()?.into_bytes()),
                channel: Channel::parse(text("channel")?)?,
            },
            method: value.get("method").map_or(Some(MethodTimes::PASSWORD), Value::as_str)?.into(),
            at: Timestamp::from_micros(value.get("at").and_then(Value::as_i64).unwrap_or_default()),
        })
    }
}
