use super::retired_factors::{Retired, factors_before};
use super::{MAX_ATTEMPTS, contended, housekeeping};
use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::port::{Event, MailPurpose, UserChange, UserKey, UserUpdate};
use crate::token::{SealedLink, SealedPurpose};
use crate::types::{Client, Timestamp, User, UserId, UserStatus};

impl AuthSystem {
    /// Takes back a change that its owner was told of and did not make: ends every session, clears the password, takes
    /// off second factors that were enrolled by it or since, restores the address that the notice went to, and mails a
    /// link there that sets a new password. Backup codes of an older factor stay, also those that a notice reports: the
    /// owner replaces them once more.
    ///
    /// Factors that the reported change, or a later one, took off come back. So the mailbox alone never leads past a factor
    /// that was on before.
    ///
    /// Works once, and then for none of the changes that came after the reported one. Should the address belong to
    /// somebody else by now, the account is disabled for an operator to look at: whoever took it over must not keep it.
    /// It never opens an account that is disabled.
    ///
    /// # Errors
    /// `link_invalid`, also for a link that was used or whose change was taken back; `unavailable`.
    pub async fn take_back(&self, client: &Client, user: Option<UserId>, token: &str) -> Result<(), Error> {
        let user = user.ok_or(Reason::LinkInvalid)?;
        let link = self.tokens().open_link(SealedPurpose::NotMe, client.tenant, user, token);
        let link = link.ok_or(Reason::LinkInvalid)?;
        let users = &self.ports().users;
        for _ in 0..MAX_ATTEMPTS {
            let now = self.ports().clock.now();
            let found = users.find(&client.tenant, UserKey::Id(&user)).await?;
            let user = found.filter(|user| is_open(&link, user, now)).ok_or(Reason::LinkInvalid)?;
            let retired = self.retired_factors(&user).await?;
            let mut change = self.recovery(&user, &link, &retired, now);
            if let Some(factors) = &change.factors
                && !self.credentials_exist(&user, factors).await?
            {
                // A factor that was on is lost. Without it the mailbox alone would do, so an operator decides.
                change.factors = None;
                change.status = Some(UserStatus::Disabled);
            }
            self.announce(client, &user, MailPurpose::ResetPassword, &link.email).await?;
            let mut update = users.update_if(&user, &change).await?;
            if let UserUpdate::Conflict(_) = update {
                change.email = None;
                change.email_verified_at = None;
                change.status = Some(UserStatus::Disabled);
                update = users.update_if(&user, &change).await?;
            }
            if let UserUpdate::Done(changed) = update {
                self.changed_with_notice(&changed);
                for gone in user.factors.iter().filter(|factor| !changed.factors.contains(factor)) {
                    let removed = self.ports().credentials.remove(&user.tenant, gone.credential).await;
                    housekeeping(removed, "removing a credential");
                }
                let address_lost = changed.email != link.email;
                self.record(&changed.tenant, Event::ChangeTakenBack { user: changed.id, address_lost });
                return Ok(());
            }
        }
        Err(contended())
    }

    fn recovery(&self, user: &User, link: &SealedLink, retired: &[Retired], now: Timestamp) -> UserChange {
        let moved = user.email != link.email;
        let lifetime = self.policy().not_me_link_lifetime;
        // The version that this very write leads to is taken back, too: nobody is told of it.
        let recoveries = user.recoveries.with(link.token_version, user.token_version.next(), now, lifetime);
        let theirs = factors_before(user, &recoveries, retired);
        UserChange {
            factors: Some(theirs).filter(|theirs| *theirs != user.factors),
            email: moved.then(|| link.email.clone()),
            email_verified_at: moved.then_some(Some(now)),
            password_hash: Some(None),
            recoveries: Some(recoveries),
            ..UserChange::default()
        }
    }
}

fn is_open(link: &SealedLink, user: &User, now: Timestamp) -> bool {
    user.status != UserStatus::Deleted && now < link.expires_at && !user.recoveries.cover(link.token_version)
}
