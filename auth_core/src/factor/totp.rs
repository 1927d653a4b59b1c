//! The authenticator with time-based codes (RFC 6238): its secret, its check, and setting it up.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::check::{Accepted, Factor};
use super::code::unreadable;
use super::handle::TwoFactor;
use super::step_up::{Confirmation, Strength};
use crate::Request;
use crate::error::{Error, Reason};
use crate::proof::LiveSession;
use crate::token::vault::{Unreadable, Vault};
use crate::types::{
    Code, Credential, CredentialId, FactorKind, Payload, PendingId, PendingPurpose, PendingSession, PendingSubject,
    SessionId, TOTP_CHARS, Timestamp, Token, User,
};

/// The length of a secret: 160 bits (RFC 4226 section 4).
const SECRET_BYTES: usize = 20;
const STEP_SECONDS: u64 = 30;
const VERSION: u16 = 1;
/// Everything but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An authenticator to be set up: what its owner's device needs to know.
#[derive(Debug)]
#[non_exhaustive]
pub struct TotpSetup {
    /// The secret, in base32.
    pub secret: Token,
    /// The same as an `otpauth` URI, for a QR code.
    pub uri: Token,
}

/// Whether a text has the one form of a code: exactly six ASCII digits.
fn is_code(text: &str) -> bool {
    text.len() == TOTP_CHARS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The use of an authenticator that is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TotpPurpose {
    /// Turning two-factor login on.
    Enrol,
    /// Taking the place of the authenticator that is on.
    Replace,
}

impl TotpPurpose {
    fn check(self, user: &User) -> Result<(), Reason> {
        let on = user.factors.iter().any(|factor| factor.kind == FactorKind::totp());
        match self {
            Self::Enrol if !user.factors.is_empty() => Err(Reason::TwoFactorEnabled),
            Self::Replace if !on => Err(Reason::TwoFactorDisabled),
            Self::Enrol | Self::Replace => Ok(()),
        }
    }
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
pub(crate) struct Enrolled {
    secret: Bytes,
    last_step: u64,
}

impl Enrolled {
    fn payload(&self, vault: &Vault, credential: &Credential) -> Payload {
        let sealed = vault.seal(&seal_context(credential), self.secret.as_slice());
        Payload { version: VERSION, bytes: [self.last_step.to_be_bytes().as_slice(), &sealed].concat() }
    }

    pub(crate) fn read(vault: &Vault, credential: &Credential) -> Result<Self, Unreadable> {
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
    pub(crate) fn accept(
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

/// The authenticator as a factor.
pub(crate) struct Authenticator;

impl Factor for Authenticator {
    fn kind(&self) -> FactorKind {
        FactorKind::totp()
    }

    fn has_form(&self, code: &Code) -> bool {
        matches!(code, Code::Totp(_))
    }

    fn check(
        &self,
        request: &Request<'_>,
        credential: &Credential,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Accepted>, Error> {
        let vault = &request.vaults().totp;
        let enrolled = Enrolled::read(vault, credential).map_err(unreadable)?;
        let payload = enrolled.accept(vault, credential, code, now, request.policy().totp_skew);
        Ok(payload.map(|payload| Accepted { payload, backup_codes_left: None }))
    }
}

impl TwoFactor<'_> {
    /// Begins to set up an authenticator with a fresh secret.
    ///
    /// It counts for nothing until a code of it comes back from the same session within
    /// [`Policy::totp_setup_lifetime`](crate::policy::Policy). Each call replaces the one before.
    ///
    /// # Errors
    /// `two_factor_enabled`, or `two_factor_disabled` where there is no authenticator to replace;
    /// `reauthentication_required` without a recent proof; `wrong_password`; `invalid_code`; `throttled`;
    /// `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn set_up(
        &self,
        live: &LiveSession,
        sent: Confirmation<'_>,
        purpose: TotpPurpose,
    ) -> Result<TotpSetup, Error> {
        let user = self.enrolling_user(live).await?;
        purpose.check(&user)?;
        self.step_up(live, &user, sent, Strength::AnyFactor).await?;
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
            subject: Some(PendingSubject::of(&user)),
            tries: 0,
            payload: Payload { version: VERSION, bytes },
            expires_at: ports.clock.now() + self.policy().totp_setup_lifetime,
        };
        ports.pending.put(&pending).await?;
        let text = Secret::new_stack(*secret).to_base32();
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let (issuer, account) = (encode(&self.policy().totp_issuer), encode(user.email.spelling()));
        let uri = format!("otpauth://totp/{issuer}:{account}?secret={text}&issuer={issuer}");
        Ok(TotpSetup { secret: Token::new(text), uri: Token::new(uri) })
    }

    /// Whether there is an authenticator for [`enable`](Self::enable) to turn on: for front doors that say so
    /// before they look at the code.
    ///
    /// # Errors
    /// `two_factor_enabled`; `two_factor_not_set_up`; `not_authenticated` and its like; `unavailable`.
    pub async fn check_set_up(&self, live: &LiveSession) -> Result<(), Error> {
        self.pending_totp(live, TotpPurpose::Enrol).await.map(|_| ())
    }
}

impl Request<'_> {
    /// The authenticator that this session set up, and the row of its user.
    pub(crate) async fn pending_totp(
        &self,
        live: &LiveSession,
        purpose: TotpPurpose,
    ) -> Result<(User, PendingSession), Error> {
        let user = self.enrolling_user(live).await?;
        purpose.check(&user)?;
        let pending = self.ports().pending.find(&setup_id(live.session()), self.ports().clock.now()).await?;
        let pending = pending.filter(|pending| pending.fits(&user)).ok_or(Reason::TwoFactorNotSetUp)?;
        Ok((user, pending))
    }

    /// Checks the first code of an authenticator that was set up; `None` for a wrong one.
    pub(crate) fn check_first_code(
        &self,
        user: &User,
        session: SessionId,
        pending: &PendingSession,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Enrolled>, Error> {
        let context = context(user.tenant.as_str(), user.id.as_str(), session.0.as_bytes());
        let opened = self.vaults().totp.open(&context, &pending.payload.bytes).map_err(unreadable)?;
        let secret: Result<[u8; SECRET_BYTES], _> = opened.as_slice().try_into();
        let secret = Zeroizing::new(secret.map_err(|_| unreadable(Unreadable::Damaged))?);
        let step = accepted_step(&secret, code, now, self.policy().totp_skew, 0);
        Ok(step.map(|last_step| Enrolled { secret, last_step }))
    }

    /// The row of a credential without its payload.
    pub(crate) fn credential(&self, user: &User, kind: FactorKind) -> Result<Credential, Error> {
        Ok(Credential {
            id: CredentialId(self.new_id()?),
            tenant: user.tenant,
            user: user.id,
            kind,
            lookup_key: None,
            payload: Payload { version: VERSION, bytes: Vec::new() },
            consecutive_failures: 0,
            revision: 0,
        })
    }

    /// The row of an authenticator. It is inert until the user row lists it.
    pub(crate) fn totp_credential(&self, user: &User, enrolled: &Enrolled) -> Result<Credential, Error> {
        let mut row = self.credential(user, FactorKind::totp())?;
        row.payload = enrolled.payload(&self.vaults().totp, &row);
        Ok(row)
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
