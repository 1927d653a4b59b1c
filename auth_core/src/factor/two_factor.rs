//! Two-factor login: turning it on and off, and replacing the authenticator.

use std::fmt;

use super::backup_codes::Stored;
use super::code::{read_totp, wrong_code};
use super::handle::TwoFactor;
use super::totp::{Enrolled, TotpPurpose};
use crate::Request;
use crate::budget::Budget;
use crate::commit::{Change, housekeeping, until_won};
use crate::error::{Error, Reason};
use crate::port::{AttemptKey, Event, MailMatter, MailPurpose, UserChange};
use crate::proof::{Authenticated, LiveSession, SecondFactorVerified};
use crate::session::SessionTokens;
use crate::types::{EnrolledFactor, FactorKind, MethodTimes, Password, TenantId, Token, User};

/// The answer to turning two-factor login on.
#[derive(Debug)]
#[non_exhaustive]
pub struct TwoFactorEnabled {
    /// The caller's new session.
    pub session: SessionTokens,
    /// The backup codes. They cannot be shown again.
    pub backup_codes: Vec<Token>,
}

/// An authenticator in the place of another one.
pub struct TotpReplacement<'a> {
    /// A code of the new authenticator.
    pub code: &'a str,
    /// The right to replace the old one.
    pub right: ReplacementRight<'a>,
}

/// A proof that entitles to replace an authenticator.
#[derive(Clone, Copy)]
pub enum ReplacementRight<'a> {
    /// A code of the old authenticator.
    Code(&'a str),
    /// The password and a backup code, for a user who lost the old authenticator or burnt it.
    BackupCode {
        /// The password.
        password: &'a Password,
        /// The backup code.
        code: &'a str,
    },
}

/// The answer to replacing an authenticator.
#[derive(Debug)]
#[non_exhaustive]
pub struct TotpReplaced {
    /// The caller's new session.
    pub session: SessionTokens,
    /// The number of backup codes that are left, if one was used.
    pub backup_codes_left: Option<usize>,
}

/// Shows nothing that the client sent.
impl fmt::Debug for TotpReplacement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TotpReplacement").finish_non_exhaustive()
    }
}

/// Shows nothing that the client sent.
impl fmt::Debug for ReplacementRight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplacementRight").finish_non_exhaustive()
    }
}

impl TwoFactor<'_> {
    /// Checks that there is two-factor login to turn off: for front doors that say so before they look at a password.
    ///
    /// # Errors
    /// `two_factor_disabled`; `not_authenticated` and its like; `unavailable`.
    pub async fn check_enabled(&self, live: &LiveSession) -> Result<(), Error> {
        let user = self.current_user(live).await?;
        if user.factors.is_empty() { Err(Reason::TwoFactorDisabled.into()) } else { Ok(()) }
    }

    /// Turns two-factor login on with the first code of the authenticator that this session set up.
    ///
    /// One write also revokes every session and link. The caller gets a new session, and the backup codes.
    ///
    /// # Errors
    /// `invalid_fields` for a text that is no code of an authenticator; `two_factor_enabled`; `two_factor_not_set_up`;
    /// `invalid_code`; `throttled`; `not_authenticated` and its like; `unavailable`.
    pub async fn enable(&self, live: &LiveSession, code: &str) -> Result<TwoFactorEnabled, Error> {
        let code = read_totp(code)?;
        let ports = self.ports();
        until_won!({
            let (user, pending) = self.pending_totp(live, TotpPurpose::Enrol).await?;
            let shown = self.current_session(live).await?.method_times;
            let now = ports.clock.now();
            let budget = self.factor_budget(&user, &FactorKind::totp());
            self.count_attempt(&budget).await?;
            let Some(enrolled) = self.check_first_code(&user, live.session(), &pending, &code, now)? else {
                self.record(&user.tenant, Event::CodeRefused { user: user.id });
                return Err(wrong_code());
            };
            self.forget_attempts(&budget).await;
            let (factors, backup_codes) = self.enrol(&user, &enrolled).await?;
            let write = UserChange { factors: Some(factors.clone()), ..UserChange::default() };
            let change = Change::new(Event::TwoFactorEnabled { user: user.id }, write)
                .notify(MailPurpose::TwoFactorEnabled, &user.email);
            let Some(changed) = self.commit(&user, change).await? else {
                self.remove_credentials(&user.tenant, &factors).await;
                return Ok(None);
            };
            // The write that was made ended it already.
            housekeeping(ports.pending.take(&pending.id, now).await, "forgetting a set-up");
            let proof = SecondFactorVerified::of(&user, &FactorKind::totp(), now);
            let session = self.renew_with_factor(live, shown, &proof, &changed).await?;
            Ok(Some(TwoFactorEnabled { session, backup_codes }))
        })
    }

    /// Turns two-factor login off, with the password and a code.
    ///
    /// One write also revokes every session and link. The caller gets a new session.
    ///
    /// # Errors
    /// `two_factor_disabled`; `second_factor_required` where the account must have one; `invalid_credentials` for a wrong
    /// password; `invalid_code`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn disable(&self, live: &LiveSession, password: &Password, code: &str) -> Result<SessionTokens, Error> {
        until_won!({
            let user = self.current_user(live).await?;
            if user.factors.is_empty() {
                return Err(Reason::TwoFactorDisabled.into());
            }
            if self.requires_second_factor(&user) {
                return Err(Reason::SecondFactorRequired.into());
            }
            let recent = self.recent_methods(&self.current_session(live).await?);
            let proof = self.confirm_password(&user, password).await?.ok_or(Reason::InvalidCredentials)?;
            // A backup code is for getting in, not for taking the lock off.
            if self.spend_code_of(&user, code, FactorKind::totp()).await?.is_none() {
                return Err(wrong_code());
            }
            self.retire(&user, &user.factors, None).await?;
            let write = UserChange { factors: Some(Vec::new()), ..UserChange::default() };
            let change = Change::new(Event::TwoFactorDisabled { user: user.id }, write)
                .notify(MailPurpose::TwoFactorDisabled, &user.email);
            let Some(changed) = self.commit(&user, change).await? else { return Ok(None) };
            let renewed = Authenticated::renewed(live, recent, &proof.proof, &changed);
            let renewed = renewed.map_err(|_| Reason::NotAuthenticated)?;
            self.issue_session(live.channel(), renewed).await.map(Some)
        })
    }

    /// Puts the authenticator that this session set up in the place of the one that is on, in one write.
    ///
    /// The new one counts as enrolled when the old one was, so it decides a dispute as the old one would have. The same
    /// write revokes every session and link; the caller gets a new session. Backup codes stay. A mail tells the owner,
    /// with a link that puts the old authenticator on again, as does taking back an earlier change.
    ///
    /// # Errors
    /// `two_factor_disabled`; `two_factor_not_set_up`; `invalid_code` for a wrong code of either authenticator or a wrong
    /// backup code; `wrong_password`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn replace(&self, live: &LiveSession, request: TotpReplacement<'_>) -> Result<TotpReplaced, Error> {
        let code = read_totp(request.code)?;
        let ports = self.ports();
        let mut backup_codes_left = None;
        let mut proven = false;
        until_won!({
            let (user, pending) = self.pending_totp(live, TotpPurpose::Replace).await?;
            let Some(old) = user.factors.iter().find(|factor| factor.kind == FactorKind::totp()) else {
                return Err(Reason::TwoFactorDisabled.into());
            };
            let shown = self.recent_methods(&self.current_session(live).await?);
            let now = ports.clock.now();
            // A separate budget, because a right code of the new authenticator must not clear guesses at the old one.
            let budget = self.replacement_budget(&user);
            self.count_attempt(&budget).await?;
            let Some(enrolled) = self.check_first_code(&user, live.session(), &pending, &code, now)? else {
                self.record(&user.tenant, Event::CodeRefused { user: user.id });
                return Err(wrong_code());
            };
            self.forget_attempts(&budget).await;
            // The proof is spent once. It holds as long as the account has the version of this session.
            if !std::mem::replace(&mut proven, true) {
                backup_codes_left = self.check_replacement_right(&user, request.right).await?;
            }
            let new = self.totp_credential(&user, &enrolled)?;
            ports.credentials.insert(&new).await?;
            self.retire(&user, std::slice::from_ref(old), Some(new.id)).await?;
            let replaced = |factor: &EnrolledFactor| match factor == old {
                true => EnrolledFactor { credential: new.id, ..factor.clone() },
                false => factor.clone(),
            };
            let factors = user.factors.iter().map(replaced).collect();
            let write = UserChange { factors: Some(factors), ..UserChange::default() };
            let change = Change::new(Event::TwoFactorReplaced { user: user.id }, write)
                .notify(MailPurpose::TwoFactorReplaced, &user.email);
            let Some(changed) = self.commit(&user, change).await? else {
                housekeeping(ports.credentials.remove(&user.tenant, new.id).await, "removing a credential");
                return Ok(None);
            };
            housekeeping(ports.pending.take(&pending.id, now).await, "forgetting a set-up");
            let proof = SecondFactorVerified::of(&user, &FactorKind::totp(), now);
            let session = self.renew_with_factor(live, shown, &proof, &changed).await?;
            Ok(Some(TotpReplaced { session, backup_codes_left }))
        })
    }
}

impl Request<'_> {
    /// Issues the session that takes the place of the one in which a factor was set up.
    async fn renew_with_factor(
        &self,
        live: &LiveSession,
        shown: MethodTimes,
        proof: &SecondFactorVerified,
        row: &User,
    ) -> Result<SessionTokens, Error> {
        let renewed = Authenticated::with_second_factor(live, shown, proof, row);
        let renewed = renewed.map_err(|_| Reason::NotAuthenticated)?;
        self.issue_session(live.channel(), renewed).await
    }

    /// Spends the proof; returns how many backup codes are left, if one was used.
    async fn check_replacement_right(&self, user: &User, right: ReplacementRight<'_>) -> Result<Option<usize>, Error> {
        let (code, kind) = match right {
            ReplacementRight::Code(code) => (code, FactorKind::totp()),
            ReplacementRight::BackupCode { password, code } => {
                self.confirm_password(user, password).await?.ok_or(Reason::WrongPassword)?;
                (code, FactorKind::backup_codes())
            }
        };
        let spent = self.spend_code_of(user, code, kind).await?.ok_or_else(wrong_code)?;
        if let Some(left) = spent.backup_codes_left {
            let about = MailMatter { user: user.id, token_version: user.token_version };
            self.queue_mail_about(&user.email, MailPurpose::BackupCodeUsed, about).await?;
            self.record(&user.tenant, Event::BackupCodeUsed { user: user.id, left });
        }
        Ok(spent.backup_codes_left)
    }

    /// The timed window of first codes of a replacement.
    fn replacement_budget(&self, user: &User) -> Budget {
        let parts = [user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes()];
        Budget { key: AttemptKey::new("replacement/user", &parts), limit: self.policy().second_factor_attempts }
    }

    /// Removes credentials that no row lists, or no longer: they count for nothing.
    pub(crate) async fn remove_credentials(&self, tenant: &TenantId, factors: &[EnrolledFactor]) {
        for factor in factors {
            let removed = self.ports().credentials.remove(tenant, factor.credential).await;
            housekeeping(removed, "removing a credential");
        }
    }

    /// Writes the credentials of an authenticator and its backup codes. They are inert until the user row lists them.
    async fn enrol(&self, user: &User, enrolled: &Enrolled) -> Result<(Vec<EnrolledFactor>, Vec<Token>), Error> {
        let totp = self.totp_credential(user, enrolled)?;
        let mut backup = self.credential(user, FactorKind::backup_codes())?;
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
