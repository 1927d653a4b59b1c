//! The account system: the ports, the policy and the tokens, in one handle that is cheap to clone.

use std::fmt;
use std::sync::Arc;

use event_listener::{Event as Signal, EventListener};
use uuid::Uuid;

use crate::error::Error;
use crate::policy::{InvalidSetting, Policy};
use crate::port::{Event, Ports};
use crate::revocation::Revocations;
use crate::token::vault::Vault;
use crate::token::{DataRing, Tokens};
use crate::types::{SessionId, TenantId, User, UserId};

/// The account system. [`request`](Self::request) begins a [`Request`](crate::Request), whose methods are the flows.
#[derive(Clone)]
pub struct AuthSystem {
    inner: Arc<Inner>,
}

/// What seals and hashes the secrets of credentials, one for each purpose.
pub(crate) struct Vaults {
    pub(crate) totp: Vault,
    pub(crate) backup_codes: Vault,
}

struct Inner {
    ports: Ports,
    policy: Arc<Policy>,
    tokens: Tokens,
    vaults: Vaults,
    revocations: Revocations,
    mail_queued: Signal,
}

impl AuthSystem {
    /// Joins the parts. `data` has the keys of stored secrets.
    ///
    /// # Errors
    /// [`InvalidSetting`] when the policy is contradictory, or the tokens were made for other lifetimes than it says.
    pub fn new(ports: Ports, policy: Policy, tokens: Tokens, data: &DataRing) -> Result<Self, InvalidSetting> {
        policy.check()?;
        // Revocations are remembered as long as the policy lets a token live: a longer one would come back to life.
        if !tokens.fit(&policy) {
            return Err(InvalidSetting::new("access_lifetime", "the tokens were made with another policy"));
        }
        let revocations = Revocations::new(policy.access_lifetime, policy.revocation_lag);
        let vaults = Vaults { totp: Vault::new(data, "totp"), backup_codes: Vault::new(data, "backup-codes") };
        let inner = Inner { ports, policy: Arc::new(policy), tokens, vaults, revocations, mail_queued: Signal::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The application's policy. Flows go by [`Request::policy`](crate::Request::policy), that of their tenant.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The policy of a tenant: today that of the application.
    pub(crate) fn policy_of(&self, _tenant: &TenantId) -> Arc<Policy> {
        self.inner.policy.clone()
    }

    /// What the flows use.
    pub fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub(crate) fn vaults(&self) -> &Vaults {
        &self.inner.vaults
    }

    /// Returns the account and the session that a refresh token names; `None` for a text that is no refresh token of ours,
    /// or an expired one. Reads no store, so the session may be revoked.
    pub fn session_of_refresh_token(&self, token: &str) -> Option<(UserId, SessionId)> {
        let claims = self.tokens().verify_refresh(token, self.ports().clock.now()).ok()?;
        Some((claims.user, claims.session))
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.inner.revocations
    }

    /// Resolves when a flow queues a mail after this call: the worker's alarm clock.
    pub fn mail_queued(&self) -> EventListener {
        self.inner.mail_queued.listen()
    }

    pub(crate) fn record(&self, tenant: &TenantId, event: Event) {
        self.ports().events.record(tenant, &event);
    }

    /// A fresh UUIDv7 (RFC 9562 section 5.7).
    pub(crate) fn new_id(&self) -> Result<Uuid, Error> {
        let mut random = [0; 10];
        self.ports().random.fill(&mut random).map_err(Error::unavailable)?;
        let millis = u64::try_from(self.ports().clock.now().micros() / 1000).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Thirty-two random bits.
    pub(crate) fn random_bits(&self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.ports().random.fill(&mut bytes).map_err(Error::unavailable)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// There may be something to send.
    pub(crate) fn wake_mailer(&self) {
        self.inner.mail_queued.notify(usize::MAX);
    }

    /// Lets this node's access checks know of a change at once.
    pub(crate) fn account_changed(&self, user: &User) {
        self.revocations().account_changed(user.into(), self.ports().clock.as_ref());
    }
}

impl fmt::Debug for AuthSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthSystem").field("policy", self.policy()).finish_non_exhaustive()
    }
}
