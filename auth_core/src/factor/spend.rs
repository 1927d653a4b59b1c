//! Checking and spending the codes of second factors, against the budget of each.

use super::code::{invalid_code, kind_of, read_code, unreadable};
use super::{backup_codes, totp};
use crate::AuthSystem;
use crate::budget::Budget;
use crate::commit::until_won;
use crate::error::{Error, FieldReason};
use crate::port::{AttemptKey, Event};
use crate::proof::SecondFactorVerified;
use crate::types::{Credential, FactorKind, Payload, Timestamp, User};

/// What a code turned out to be.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) proof: SecondFactorVerified,
    /// How many backup codes are left, if it was one.
    pub(crate) backup_codes_left: Option<usize>,
}

/// What a code, right by the present payload, makes of it.
pub(crate) struct Accepted {
    pub(crate) payload: Payload,
    pub(crate) backup_codes_left: Option<usize>,
}

impl AuthSystem {
    /// Checks a code of the factors that the account lists, and spends it: no code counts twice, whoever else sends it
    /// at the same moment. `None` for a wrong one, which is counted before it is looked at. A text that is no code at all
    /// is `invalid_fields` and costs no try.
    ///
    /// The budgets are those of the factor itself. Neither a new pending login, nor another address, nor the right
    /// password starts them anew; only its own success does.
    pub(crate) async fn spend_code(&self, user: &User, code: &str) -> Result<Option<Spent>, Error> {
        let code = read_code(code)?;
        self.spend(user, code.expose(), kind_of(&code)).await
    }

    /// Checks and spends a code like [`spend_code`](Self::spend_code), for one kind of factor alone. A code of another kind
    /// is `invalid_fields` and costs no try.
    pub(crate) async fn spend_code_of(
        &self,
        user: &User,
        code: &str,
        kind: FactorKind,
    ) -> Result<Option<Spent>, Error> {
        let code = read_code(code)?;
        if kind_of(&code) != kind {
            return Err(invalid_code(FieldReason::MalformedCode));
        }
        self.spend(user, code.expose(), kind).await
    }

    async fn spend(&self, user: &User, code: &str, kind: FactorKind) -> Result<Option<Spent>, Error> {
        let listed = |kind: &FactorKind| user.factors.iter().find(|factor| factor.kind == *kind);
        let Some(factor) = listed(&kind).or_else(|| listed(&FactorKind::totp())) else { return Ok(None) };
        let budget = self.factor_budget(user, &factor.kind);
        self.count_attempt(&budget).await?;
        let ports = self.ports();
        let open = ports
            .credentials
            .count_failure(&user.tenant, factor.credential, self.policy().max_consecutive_failures)
            .await?;
        if !open {
            return Ok(self.refuse_code(user));
        }
        until_won!({
            let found = ports.credentials.find(&user.tenant, factor.credential).await?;
            // Its row goes after the account stopped listing it, be it a moment after this account was read.
            let Some(credential) = found.filter(|it| it.user == user.id && it.kind == factor.kind) else {
                return Ok(Some(self.refuse_code(user)));
            };
            let now = ports.clock.now();
            let accepted = match factor.kind == kind {
                true if kind == FactorKind::totp() => self.accept_totp(&credential, code, now)?,
                true => self.accept_backup_code(&credential, code)?,
                false => None,
            };
            let Some(accepted) = accepted else { return Ok(Some(self.refuse_code(user))) };
            if ports.credentials.update_if(&credential, &accepted.payload).await?.is_none() {
                return Ok(None);
            }
            self.forget_attempts(&budget).await;
            let proof = SecondFactorVerified::of(user, kind.clone(), now);
            Ok(Some(Some(Spent { proof, backup_codes_left: accepted.backup_codes_left })))
        })
    }

    /// Whether the policy, or the application's own rule, wants a second factor of this account.
    pub(crate) fn requires_second_factor(&self, user: &User) -> bool {
        let rule = self.ports().second_factor_rule.as_deref();
        self.policy().require_second_factor || rule.is_some_and(|rule| rule.requires_second_factor(user))
    }

    /// The timed window of a factor.
    pub(crate) fn factor_budget(&self, user: &User, kind: &FactorKind) -> Budget {
        let parts = [kind.0.as_bytes(), user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes()];
        Budget { key: AttemptKey::new("factor/user", &parts), limit: self.policy().second_factor_attempts }
    }

    fn refuse_code(&self, user: &User) -> Option<Spent> {
        self.record(&user.tenant, Event::CodeRefused { user: user.id });
        None
    }

    fn accept_totp(&self, credential: &Credential, code: &str, now: Timestamp) -> Result<Option<Accepted>, Error> {
        let enrolled = totp::Enrolled::read(&self.vaults().totp, credential).map_err(unreadable)?;
        let payload = enrolled.accept(&self.vaults().totp, credential, code, now, self.policy().totp_skew);
        Ok(payload.map(|payload| Accepted { payload, backup_codes_left: None }))
    }

    fn accept_backup_code(&self, credential: &Credential, code: &str) -> Result<Option<Accepted>, Error> {
        let codes = backup_codes::Stored::read(credential).ok_or_else(|| unreadable("backup codes cannot be read"))?;
        let left = codes.without(&self.vaults().backup_codes, credential, code).map_err(unreadable)?;
        Ok(left.map(|left| Accepted { payload: left.payload(), backup_codes_left: Some(left.len()) }))
    }
}
