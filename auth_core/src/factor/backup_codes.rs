use std::collections::BTreeSet;

use constant_time_eq::constant_time_eq;

use super::check::{Accepted, Factor};
use super::code::{unreadable, wrong_code};
use super::handle::TwoFactor;
use super::step_up::{Confirmation, Strength};
use crate::Request;
use crate::commit::until_won;
use crate::error::{Error, Reason};
use crate::port::{Event, MailMatter, MailPurpose};
use crate::proof::LiveSession;
use crate::token::vault::{HASH_BYTES, Unreadable, Vault};
use crate::types::{
    BACKUP_CODE_ALPHABET, BACKUP_CODE_CHARS, Code, Credential, FactorKind, Password, Payload, Timestamp, Token, User,
};

const VERSION: u16 = 1;

fn context(credential: &Credential) -> [&[u8]; 3] {
    [credential.tenant.as_str().as_bytes(), credential.user.as_str().as_bytes(), credential.id.0.as_bytes()]
}

/// The codes that are left, as keyed hashes.
pub(crate) struct Stored(Vec<[u8; HASH_BYTES]>);

impl Stored {
    pub(crate) fn read(credential: &Credential) -> Option<Self> {
        let (hashes, rest) = credential.payload.bytes.as_chunks::<HASH_BYTES>();
        (credential.payload.version == VERSION && rest.is_empty()).then(|| Self(hashes.to_vec()))
    }

    pub(crate) fn of(vault: &Vault, credential: &Credential, codes: &[Token]) -> Self {
        let context = context(credential);
        Self(codes.iter().map(|code| vault.hash(&context, code.expose().as_bytes())).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn payload(&self) -> Payload {
        Payload { version: VERSION, bytes: self.0.concat() }
    }

    /// Returns the codes that remain once this one is used, or `None` if it is not among them. `code` is canonical.
    pub(crate) fn without(
        &self,
        vault: &Vault,
        credential: &Credential,
        code: &str,
    ) -> Result<Option<Self>, Unreadable> {
        let context = context(credential);
        let mut left = Vec::with_capacity(self.0.len());
        for stored in &self.0 {
            let hash = vault.hash_like(stored, &context, code.as_bytes())?;
            if !constant_time_eq(&hash, stored) {
                left.push(*stored);
            }
        }
        Ok((left.len() < self.0.len()).then_some(Self(left)))
    }
}

/// The codes as a factor.
pub(crate) struct BackupCodes;

impl Factor for BackupCodes {
    fn kind(&self) -> FactorKind {
        FactorKind::backup_codes()
    }

    fn has_form(&self, code: &Code) -> bool {
        matches!(code, Code::Backup(_))
    }

    fn check(
        &self,
        request: &Request<'_>,
        credential: &Credential,
        code: &str,
        _: Timestamp,
    ) -> Result<Option<Accepted>, Error> {
        let codes = Stored::read(credential).ok_or_else(|| unreadable("backup codes cannot be read"))?;
        let left = codes.without(&request.vaults().backup_codes, credential, code).map_err(unreadable)?;
        Ok(left.map(|left| Accepted { payload: left.payload(), backup_codes_left: Some(left.len()) }))
    }
}

impl TwoFactor<'_> {
    /// How many backup codes the account has left. The codes themselves nobody can show again.
    ///
    /// # Errors
    /// `two_factor_disabled`; `not_authenticated` and its like; `unavailable`.
    pub async fn count_backup_codes(&self, live: &LiveSession) -> Result<usize, Error> {
        let user = self.current_user(live).await?;
        Ok(match self.backup_code_credential(&user).await? {
            Some(credential) => Stored::read(&credential).map_or(0, |codes| codes.len()),
            None => 0,
        })
    }

    /// Replaces all backup codes by new ones, which only this answer shows. A mail tells the owner, with a link that ends
    /// all sessions and clears the password; the new codes stay until the owner replaces them, too.
    ///
    /// # Errors
    /// `two_factor_disabled`; `invalid_credentials` for a wrong password; `reauthentication_required` where no code of the
    /// authenticator was sent or shown in the session a short while ago; `invalid_code`; `throttled`;
    /// `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn replace_backup_codes(
        &self,
        live: &LiveSession,
        password: &Password,
        code: Option<&str>,
    ) -> Result<Vec<Token>, Error> {
        let mut told = false;
        until_won!({
            let user = self.current_user(live).await?;
            let credential = self.backup_code_credential(&user).await?;
            let proof = self.confirm_password(&user, password).await?;
            proof.ok_or(Reason::InvalidCredentials)?;
            // A code counts once, so a second round goes by the first.
            if !told {
                let sent = Confirmation { password: None, code };
                self.step_up(live, &user, sent, Strength::SecondFactor).await?;
            }
            let Some(credential) = credential else { return Err(wrong_code()) };
            let codes = self.new_backup_codes()?;
            let payload = Stored::of(&self.vaults().backup_codes, &credential, &codes).payload();
            // Before the change, and sent even if that breaks off: a thief may have codes that nobody knows of.
            if !std::mem::replace(&mut told, true) {
                let about = MailMatter { user: user.id, token_version: user.token_version };
                self.queue_mail_about(&user.email, MailPurpose::BackupCodesReplaced, about).await?;
            }
            let event = Event::BackupCodesReplaced { user: user.id };
            if !self.replace_payload(event, &credential, &payload).await? {
                return Ok(None);
            }
            // Whom the owner has thrown out meanwhile gets none.
            self.current_user(live).await?;
            Ok(Some(codes))
        })
    }
}

impl Request<'_> {
    async fn backup_code_credential(&self, user: &User) -> Result<Option<Credential>, Error> {
        if user.factors.is_empty() {
            return Err(Reason::TwoFactorDisabled.into());
        }
        let factor = user.factors.iter().find(|factor| factor.kind == FactorKind::backup_codes());
        match factor {
            Some(factor) => Ok(self.ports().credentials.find(&user.tenant, factor.credential).await?),
            None => Ok(None),
        }
    }

    /// Fresh codes, all different.
    pub(crate) fn new_backup_codes(&self) -> Result<Vec<Token>, Error> {
        let count = self.policy().backup_codes;
        let mut codes = BTreeSet::new();
        while codes.len() < count {
            let mut bytes = [0; BACKUP_CODE_CHARS];
            self.ports().random.fill(&mut bytes).map_err(Error::unavailable)?;
            codes.insert(
                bytes.map(|byte| char::from(BACKUP_CODE_ALPHABET[usize::from(byte & 31)])).iter().collect::<String>(),
            );
        }
        Ok(codes.into_iter().map(Token::new).collect())
    }
}
