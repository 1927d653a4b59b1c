use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::backup_codes::Stored;
use super::second_factor::{unreadable, wrong_code};
use super::{MAX_ATTEMPTS, contended, housekeeping};
use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::flow::SessionTokens;
use crate::port::{Event, MailPurpose, UserChange, UserUpdate};
use crate::proof::{Authenticated, LiveSession, SecondFactorVerified};
use crate::token::vault::{Unreadable, Vault};
use crate::types::{
    Client, Credential, CredentialId, EnrolledFactor, FactorKind, Password, Payload, PendingId, PendingPurpose,
    PendingSession, SessionId, TenantId, Timestamp, Token, User,
};

/// The length of a secret: 160 bits (RFC 4226 section 4).
const SECRET_BYTES: usize = 20;
const STEP_SECONDS: u64 = 30;
const VERSION: u16 = 1;
/// Everything but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An authenticator to be set up: what its owner's device needs to know.
#[derive(Debug)]
pub struct TotpSetup {
    /// The secret, in base32.
    pub secret: Token,
    /// The same as an `otpauth` URI, for a QR code.
    pub uri: Token,
}

/// Two-factor login is on.
#[derive(Debug)]
pub struct TwoFactorEnabled {
    /// The caller's new session.
    pub session: SessionTokens,
    /// The backup codes. Nobody can show them again.
    pub backup_codes: Vec<Token>,
}

/// Whether a text has the form of a code: exactly six ASCII digits.
pub(super) fn is_code(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

type Bytes = Zeroizing<[u8; SECRET_BYTES]>;

fn authenticator(secret: &[u8; SECRET_BYTES], skew: u16) -> Totp {
    Builder::new().with_secret(Secret::new_stack(*secret)).with_skew(skew).build_noncompliant()
}

/// The step that a code is right for, if it is later than the last one that was used (RFC 6238 section 5.2).
fn accepted_step(secret: &[u8; SECRET_BYTES], code: &str, now: Timestamp, skew: u16, last: u64) -> Option<u64> {
    let seconds = u64::try_from(now.seconds()).ok()?;
    // Asked step by step, the latest first: the library stops at the first that fits, and that may be a used one.
    let exact = authenticator(secret, 0);
    let present = seconds / STEP_SECONDS;
    let steps = present.saturating_sub(skew.into())..=present.saturating_add(skew.into());
    let fits = |step: &u64| is_code(code) && *step > last && exact.check(code, step * STEP_SECONDS).is_some();
    steps.filter(fits).max()
}

fn context<'a>(tenant: &'a str, user: &'a str, row: &'a [u8]) -> [&'a [u8]; 3] {
    [tenant.as_bytes(), user.as_bytes(), row]
}

/// An enrolled authenticator, opened.
pub(super) struct Enrolled {
    secret: Bytes,
    last_step: u64,
}

impl Enrolled {
    fn payload(&self, vault: &Vault, credential: &Credential) -> Payload {
        let sealed = vault.seal(&seal_context(credential), self.secret.as_slice());
        Payload { version: VERSION, bytes: [self.last_step.to_be_bytes().as_slice(), &sealed].concat() }
    }

    pub(super) fn read(vault: &Vault, credential: &Credential) -> Result<Self, Unreadable> {
        let payload = &credential.payload;
        let (step, sealed) = payload.bytes.split_first_chunk().ok_or(Unreadable::Damaged)?;
        if payload.version != VERSION {
            return Err(Unreadable::Damaged);
        }
        let opened = vault.open(&seal_context(credential), sealed)?;
        let secret = opened.as_slice().try_into().map_err(|_| Unreadable::Damaged)?;
        Ok(Self { secret: Zeroizing::new(secret), last_step: u64::from_be_bytes(*step) })
    }

    /// The payload after this code was used, sealed with the current key; `None` for a wrong or a used one.
    pub(super) fn accept(
        &self,
        vault: &Vault,
        credential: &Credential,
        code: &str,
        now: Timestamp,
        skew: u16,
    ) -> Option<Payload> {
        let last_step = accepted_step(&self.secret, code, now, skew, self.last_step)?;
        Some(Self { secret: self.secret.clone(), last_step }.payload(vault, credential))
    }
}

fn seal_context(credential: &Credential) -> [&[u8]; 3] {
    context(credential.tenant.as_str(), credential.user.as_str(), credential.id.0.as_bytes())
}

fn setup_id(session: SessionId) -> PendingId {
    PendingId::of(PendingPurpose::TotpSetup, session.0.as_bytes())
}

impl AuthSystem {
    /// Begins to set up an authenticator: a fresh secret, which counts for nothing until a code of it comes back from
    /// the same session within [`Policy::totp_setup_lifetime`](crate::policy::Policy). Each call replaces the one before.
    ///
    /// # Errors
    /// `two_factor_enabled`; `reauthentication_required` when the login is too long ago and no password was given;
    /// `wrong_password`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn set_up_totp(
        &self,
        client: &Client,
        live: &LiveSession,
        password: Option<&Password>,
    ) -> Result<TotpSetup, Error> {
        let user = self.enrolling_user(live).await?;
        if !user.factors.is_empty() {
            return Err(Reason::TwoFactorEnabled.into());
        }
        self.step_up(client, live, &user, password).await?;
        let ports = self.ports();
        let mut secret: Bytes = Zeroizing::default();
        ports.random.fill(secret.as_mut_slice()).map_err(Error::unavailable)?;
        let session = live.session();
        let context = context(user.tenant.as_str(), user.id.as_str(), session.0.as_bytes());
        let bytes = self.vaults().totp.seal(&context, secret.as_slice());
        let pending = PendingSession {
            id: setup_id(session),
            purpose: PendingPurpose::TotpSetup,
            tenant: user.tenant,
            user: user.id,
            revision: user.revision,
            token_version: user.token_version,
            payload: Payload { version: VERSION, bytes },
            expires_at: ports.clock.now() + self.policy().totp_setup_lifetime,
        };
        ports.pending.put(&pending).await?;
        let text = Secret::new_stack(*secret).to_base32();
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let (issuer, account) = (encode(&self.policy().totp_issuer), encode(user.email.as_str()));
        let uri = format!("otpauth://totp/{issuer}:{account}?secret={text}&issuer={issuer}");
        Ok(TotpSetup { secret: Token::new(text), uri: Token::new(uri) })
    }

    /// Whether there is an authenticator for [`enable_totp`](Self::enable_totp) to turn on: for front doors that say so
    /// before they look at the code.
    ///
    /// # Errors
    /// `two_factor_enabled`; `two_factor_not_set_up`; `not_authenticated` and its like; `unavailable`.
    pub async fn check_totp_set_up(&self, live: &LiveSession) -> Result<(), Error> {
        self.pending_totp(live).await.map(|_| ())
    }

    /// Whether there is two-factor login to turn off: for front doors that say so before they look at a password.
    ///
    /// # Errors
    /// `two_factor_disabled`; `not_authenticated` and its like; `unavailable`.
    pub async fn check_two_factor_enabled(&self, live: &LiveSession) -> Result<(), Error> {
        let user = self.current_user(live).await?;
        if user.factors.is_empty() { Err(Reason::TwoFactorDisabled.into()) } else { Ok(()) }
    }

    async fn pending_totp(&self, live: &LiveSession) -> Result<(User, PendingSession), Error> {
        let user = self.enrolling_user(live).await?;
        if !user.factors.is_empty() {
            return Err(Reason::TwoFactorEnabled.into());
        }
        let pending = self.ports().pending.find(&setup_id(live.session()), self.ports().clock.now()).await?;
        let pending = pending.filter(|pending| pending.fits(&user)).ok_or(Reason::TwoFactorNotSetUp)?;
        Ok((user, pending))
    }

    /// Turns two-factor login on with the first code of the authenticator that this session set up. Every session and
    /// link dies with the same write; the caller gets a new session, and the backup codes.
    ///
    /// # Errors
    /// `two_factor_enabled`; `two_factor_not_set_up`; `invalid_code`; `throttled`; `not_authenticated` and its like;
    /// `unavailable`.
    pub async fn enable_totp(
        &self,
        client: &Client,
        live: &LiveSession,
        code: &str,
    ) -> Result<TwoFactorEnabled, Error> {
        let ports = self.ports();
        for _ in 0..MAX_ATTEMPTS {
            let (user, pending) = self.pending_totp(live).await?;
            let now = ports.clock.now();
            let budget = self.factor_budget(&user, &FactorKind::totp());
            self.count_attempt(&budget).await?;
            let session = live.session();
            let context = context(user.tenant.as_str(), user.id.as_str(), session.0.as_bytes());
            let opened = self.vaults().totp.open(&context, &pending.payload.bytes).map_err(unreadable)?;
            let secret: Result<[u8; SECRET_BYTES], _> = opened.as_slice().try_into();
            let secret = Zeroizing::new(secret.map_err(|_| unreadable(Unreadable::Damaged))?);
            let step = accepted_step(&secret, code, now, self.policy().totp_skew, 0);
            let Some(last_step) = step else {
                self.record(&user.tenant, Event::CodeRefused { user: user.id });
                return Err(wrong_code());
            };
            self.forget_attempts(&budget).await;
            let (factors, backup_codes) = self.enrol(&user, &Enrolled { secret, last_step }).await?;
            self.announce(client, &user, MailPurpose::TwoFactorEnabled, &user.email).await?;
            let change = UserChange { factors: Some(factors), ..UserChange::default() };
            if let UserUpdate::Done(changed) = ports.users.update_if(&user, &change).await? {
                self.changed_with_notice(&changed);
                // The write that was made ended it already.
                housekeeping(ports.pending.take(&pending.id, now).await, "forgetting a set-up");
                self.record(&user.tenant, Event::TwoFactorEnabled { user: user.id });
                let proof = SecondFactorVerified::of(&user, now);
                let renewed = Authenticated::with_second_factor(live, &proof, &changed);
                let renewed = renewed.map_err(|_| Reason::NotAuthenticated)?;
                let session = self.issue_session(client, live.channel(), renewed).await?;
                return Ok(TwoFactorEnabled { session, backup_codes });
            }
            self.remove_credentials(&user.tenant, change.factors.as_deref().unwrap_or_default()).await;
        }
        Err(contended())
    }

    /// Turns two-factor login off, with the password and a code. Every session and link dies with the same write; the
    /// caller gets a new session.
    ///
    /// # Errors
    /// `two_factor_disabled`; `second_factor_required` where the account must have one; `invalid_credentials` for a wrong
    /// password; `invalid_code`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn disable_totp(
        &self,
        client: &Client,
        live: &LiveSession,
        password: &Password,
        code: &str,
    ) -> Result<SessionTokens, Error> {
        let ports = self.ports();
        for _ in 0..MAX_ATTEMPTS {
            let user = self.current_user(live).await?;
            if user.factors.is_empty() {
                return Err(Reason::TwoFactorDisabled.into());
            }
            if self.requires_second_factor(&user) {
                return Err(Reason::SecondFactorRequired.into());
            }
            let proof = self.confirm_password(client, &user, password).await?.ok_or(Reason::InvalidCredentials)?;
            // A backup code is for getting in, not for taking the lock off.
            if self.spend_code_of(&user, code, FactorKind::totp()).await?.is_none() {
                return Err(wrong_code());
            }
            self.announce(client, &user, MailPurpose::TwoFactorDisabled, &user.email).await?;
            let change = UserChange { factors: Some(Vec::new()), ..UserChange::default() };
            if let UserUpdate::Done(changed) = ports.users.update_if(&user, &change).await? {
                self.changed_with_notice(&changed);
                self.record(&user.tenant, Event::TwoFactorDisabled { user: user.id });
                self.remove_credentials(&user.tenant, &user.factors).await;
                let renewed = Authenticated::renewed(live, &proof, &changed).map_err(|_| Reason::NotAuthenticated)?;
                return self.issue_session(client, live.channel(), renewed).await;
            }
        }
        Err(contended())
    }

    /// Removes what no row lists, or no longer: it counts for nothing.
    pub(super) async fn remove_credentials(&self, tenant: &TenantId, factors: &[EnrolledFactor]) {
        for factor in factors {
            let removed = self.ports().credentials.remove(tenant, factor.credential).await;
            housekeeping(removed, "removing a credential");
        }
    }

    /// Writes the credentials of an authenticator and its backup codes. They are inert until the user row lists them.
    async fn enrol(&self, user: &User, enrolled: &Enrolled) -> Result<(Vec<EnrolledFactor>, Vec<Token>), Error> {
        let row = |id, kind| Credential {
            id,
            tenant: user.tenant,
            user: user.id,
            kind,
            lookup_key: None,
            payload: Payload { version: VERSION, bytes: Vec::new() },
            consecutive_failures: 0,
            revision: 0,
        };
        let mut totp = row(CredentialId(self.new_id()?), FactorKind::totp());
        totp.payload = enrolled.payload(&self.vaults().totp, &totp);
        let mut backup = row(CredentialId(self.new_id()?), FactorKind::backup_codes());
        let codes = self.new_backup_codes()?;
        backup.payload = Stored::of(&self.vaults().backup_codes, &backup, &codes).payload();
        let since = user.token_version.next();
        let mut factors = Vec::new();
        for credential in [totp, backup] {
            self.ports().credentials.insert(&credential).await?;
            factors.push(EnrolledFactor { credential: credential.id, kind: credential.kind, since });
        }
        Ok((factors, codes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 4226 appendix D and RFC 6238 appendix B.
    const SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_vectors_of_rfc_4226_appendix_d() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, code) in (0_i64..).zip(codes).skip(1) {
            assert_eq!(accepted_step(SECRET, code, at(step * 30), 0, 0), u64::try_from(step).ok(), "{step}");
        }
    }

    #[test]
    fn the_vectors_of_rfc_6238_appendix_b() {
        // Its codes have eight digits; ours are the last six of them.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(accepted_step(SECRET, code, at(seconds), 0, 0), u64::try_from(seconds / 30).ok(), "{seconds}");
        }
    }

    #[test]
    fn a_step_counts_once_and_none_before_it() {
        let (first, second) = ("287082", "359152");
        assert_eq!(accepted_step(SECRET, first, at(30), 1, 0), Some(1));
        assert_eq!(accepted_step(SECRET, first, at(30), 1, 1), None);
        assert_eq!(accepted_step(SECRET, second, at(30), 1, 1), Some(2), "the next step, within the skew");
        assert_eq!(accepted_step(SECRET, first, at(60), 1, 2), None, "the step before the last one used");
        assert_eq!(accepted_step(SECRET, first, at(89), 1, 0), Some(1));
        assert_eq!(accepted_step(SECRET, first, at(90), 1, 0), None);
    }

    #[test]
    fn only_six_ascii_digits_are_a_code() {
        for text in ["", "28708", "2870822", "287 082", " 287082", "+28708", "２８７０８２", "28708a", "-87082"] {
            assert!(!is_code(text), "{text}");
            assert_eq!(accepted_step(SECRET, text, at(30), 1, 0), None, "{text}");
        }
    }
}
