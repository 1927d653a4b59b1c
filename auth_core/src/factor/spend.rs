//! Checking and spending the codes of second factors, against the budget of each.

use super::check::Factor;
use super::code::{invalid_code, read_code};
use super::{backup_codes, totp};
use crate::Request;
use crate::budget::Budget;
use crate::commit::until_won;
use crate::error::{Error, FieldReason};
use crate::port::{AttemptKey, Event};
use crate::proof::SecondFactorVerified;
use crate::types::{FactorKind, Role, User};

/// What a code turned out to be.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) proof: SecondFactorVerified,
    /// How many backup codes are left, if it was one.
    pub(crate) backup_codes_left: Option<usize>,
}

/// The factors that login asks for beside the password.
const FACTORS: [&dyn Factor; 2] = [&totp::Authenticator, &backup_codes::BackupCodes];

impl Request<'_> {
    /// Checks a code of the factors that the account lists, and spends it: no code counts twice, whoever else sends it
    /// at the same moment. `None` for a wrong one, which is counted before it is looked at. A text that is no code at all
    /// is `invalid_fields` and costs no try.
    ///
    /// The budgets are those of the factor itself. Neither a new pending login, nor another address, nor the right
    /// password starts them anew; only its own success does.
    pub(crate) async fn spend_code(&self, user: &User, code: &str) -> Result<Option<Spent>, Error> {
        let code = read_code(code)?;
        let Some(factor) = FACTORS.into_iter().find(|factor| factor.has_form(&code)) else { return Ok(None) };
        self.spend(user, code.expose(), factor).await
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
        let factor = FACTORS.into_iter().find(|factor| factor.kind() == kind && factor.has_form(&code));
        let factor = factor.ok_or_else(|| invalid_code(FieldReason::MalformedCode))?;
        self.spend(user, code.expose(), factor).await
    }

    async fn spend(&self, user: &User, code: &str, sent: &dyn Factor) -> Result<Option<Spent>, Error> {
        let kind = sent.kind();
        let listed = user.factors.iter().find(|factor| factor.kind == kind);
        // A code of a factor that the account has not counts against the one that it has.
        let counted = || user.factors.iter().find(|factor| factor.kind.role() == Some(Role::Second));
        let Some(factor) = listed.or_else(counted) else { return Ok(None) };
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
            let accepted = if factor.kind == kind { sent.check(self, &credential, code, now)? } else { None };
            let Some(accepted) = accepted else { return Ok(Some(self.refuse_code(user))) };
            if ports.credentials.update_if(&credential, &accepted.payload).await?.is_none() {
                return Ok(None);
            }
            self.forget_attempts(&budget).await;
            let proof = SecondFactorVerified::of(user, &kind, now);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Code;

    #[test]
    fn every_factor_completes_a_login_with_codes_of_a_form_of_its_own() {
        for factor in FACTORS {
            assert!(matches!(factor.kind().role(), Some(Role::Second | Role::Recovery)), "{:?}", factor.kind());
        }
        for code in ["123456", "ABCDEFGH"].map(Code::parse) {
            let code = code.unwrap();
            assert_eq!(FACTORS.iter().filter(|factor| factor.has_form(&code)).count(), 1, "{code:?}");
        }
    }
}
