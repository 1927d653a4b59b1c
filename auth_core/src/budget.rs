//! Checking a password against its budgets, at login and within a session.

use crate::Request;
use crate::commit::housekeeping;
use crate::error::Error;
use crate::port::{AttemptKey, Event, HashError, LoginRecord};
use crate::proof::{FirstFactorVerified, PasswordVerified, verify_password};
use crate::types::{Limit, Password, PasswordHash, Timestamp, User, Username};

/// A timed window, and what it allows.
pub(crate) struct Budget {
    pub(crate) key: AttemptKey,
    pub(crate) limit: Limit,
}

/// Where a password is guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guesser {
    /// At the login, from a device that the account does not know.
    Stranger,
    /// Within a session of the account.
    Session,
}

impl Request<'_> {
    /// Asks somebody who is logged in for the password again; `None` for a wrong one, which is counted.
    ///
    /// They have a timed budget of their own: strangers who guess at the login cannot use it up, nor does a login start
    /// it anew. The durable count is the one of the login, of which sessions have a half that strangers cannot reach.
    pub(crate) async fn confirm_password(
        &self,
        user: &User,
        password: &Password,
    ) -> Result<Option<PasswordVerified>, Error> {
        let ports = self.ports();
        let budget = self.password_budget(user);
        let ticket = ports.hasher.admit(self.client().lane())?;
        self.count_attempt(&budget).await?;
        let open = self.count_failure(Some(user), user.email.as_str(), Guesser::Session).await?;
        let against = Some(user).filter(|_| open);
        let proof = verify_password(ports, ticket, against, password).await?;
        match &proof {
            Some(proof) => {
                self.note_right_password(proof, password, &budget, None).await;
            }
            None => self.record(&user.tenant, Event::PasswordRefused { user: user.id }),
        }
        Ok(proof)
    }

    /// The timed windows of an account that other clients can fill: of its identifiers, its password and its factors.
    pub(crate) fn budgets_of(&self, user: &User) -> Vec<Budget> {
        let names = [Some(user.email.as_str()), user.username.as_ref().map(Username::as_str)];
        let mut budgets: Vec<Budget> =
            names.into_iter().flatten().map(|name| self.strangers_budget(self.tenant(), name)).collect();
        budgets.extend([self.sign_up_budget(&user.email), self.password_budget(user)]);
        budgets.extend(user.factors.iter().map(|factor| self.factor_budget(user, &factor.kind)));
        budgets
    }

    fn password_budget(&self, user: &User) -> Budget {
        let parts = [user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes()];
        Budget { key: AttemptKey::new("password/user", &parts), limit: self.policy().login_attempts }
    }

    /// Counts an attempt in its timed window.
    pub(crate) async fn count_attempt(&self, budget: &Budget) -> Result<(), Error> {
        if self.policy().timed_limits {
            let hit = self.ports().attempts.hit(&budget.key, budget.limit).await?;
            if !hit.allowed {
                return Err(Error::throttled("account", budget.limit, hit));
            }
        }
        Ok(())
    }

    /// Counts a failure in advance; false when the password is off, or there is no account that `identifier` names. Each
    /// costs a write.
    pub(crate) async fn count_failure(
        &self,
        user: Option<&User>,
        identifier: &str,
        guesser: Guesser,
    ) -> Result<bool, Error> {
        let users = &self.ports().users;
        let strangers = self.policy().max_consecutive_failures;
        // Strangers cannot count past the first hundred, so they cannot use up what sessions have left.
        let below = match guesser {
            Guesser::Stranger => strangers,
            Guesser::Session => strangers.saturating_mul(2),
        };
        // Whose row shows that the password is off is not asked for again: that would take longer.
        let counted = match user.filter(|user| user.consecutive_failures < below) {
            Some(user) => users.count_failure(&user.tenant, &user.id, below).await?,
            None => false,
        };
        if !counted {
            users.dummy_write(&format!("failures of {identifier}")).await?;
        }
        Ok(counted)
    }

    /// Housekeeping after the password was right, `at` the login if it was one: that it fails must take nothing back.
    /// Returns the hash that it stored in place of an outdated one.
    pub(crate) async fn note_right_password(
        &self,
        proof: &PasswordVerified,
        password: &Password,
        budget: &Budget,
        at: Option<Timestamp>,
    ) -> Option<PasswordHash> {
        let ports = self.ports();
        let FirstFactorVerified(shown) = &proof.proof;
        let mut rehash = None;
        if let Some(old) = &proof.outdated {
            match self.hash(password).await {
                Ok(new) => rehash = Some((old.clone(), new)),
                Err(error) => tracing::warn!(target: "auth", %error, "rehash put off to the next login"),
            }
        }
        let stored = rehash.as_ref().map(|(_, new)| new.clone());
        let noted = ports.users.record_login(&shown.tenant, &shown.user, &LoginRecord { at, rehash }).await;
        housekeeping(noted, "noting a right password");
        self.forget_attempts(budget).await;
        stored
    }

    /// Housekeeping after full success: that it fails must take nothing back.
    pub(crate) async fn forget_attempts(&self, budget: &Budget) {
        if self.policy().timed_limits {
            housekeeping(self.ports().attempts.clear(&budget.key).await, "forgetting the attempts before a success");
        }
    }

    pub(crate) async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let hasher = &self.ports().hasher;
        hasher.hash(hasher.admit(self.client().lane())?, password).await
    }
}
