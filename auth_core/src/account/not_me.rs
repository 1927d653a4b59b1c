use crate::Request;
use crate::commit::{Change, housekeeping, until_won};
use crate::error::{Error, Reason};
use crate::factor::retired::{Retired, factors_before};
use crate::port::{Event, MailPurpose, UserChange, UserKey};
use crate::token::{SealedLink, SealedPurpose};
use crate::types::{Dispute, Email, Recoveries, Timestamp, User, UserId, UserStatus};

/// The outcome of a taking-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBack {
    /// The account has the address of the notice. A link to a new password is on its way there.
    Restored,
    /// Another verified account has that address, or a second factor that was on is lost. The account is shut until an
    /// operator decides.
    Shut,
    /// The address that got the account by a taking-back claims it, too, so the account is shut for now.
    Disputed,
}

impl Request<'_> {
    /// Takes back a change that its owner was told of and did not make: ends every session, clears the password, takes
    /// off second factors that were enrolled by it or since, restores the address that the notice went to, and mails a
    /// link there that sets a new password. Backup codes of an older factor stay, also those that a notice reports: the
    /// owner replaces them once more.
    ///
    /// Factors that the reported change, or a later one, took off come back. So the mailbox alone never leads past a factor
    /// that was on before.
    ///
    /// Works once, and then for none of the changes that came after the reported one. An unverified account at the address
    /// gives way. Should a verified account have the address, this one is disabled for an operator to look at, because the
    /// account that took it over must not keep it. It never opens an account that is disabled.
    ///
    /// The address that loses the account is told, and its link objects. Objecting shuts the account: it goes back to the
    /// address that was verified longest, by a reset after [`Policy::not_me_link_lifetime`](crate::policy::Policy), or by an
    /// operator. With `code`, of a second factor or backup code that was on before both changes, either side decides at once.
    ///
    /// # Errors
    /// `link_invalid`, also for a link that was used or whose change was taken back; `invalid_fields` for a `code` that is
    /// missing where a dispute is open already; `invalid_code`; `throttled`; `unavailable`.
    pub async fn take_back(&self, user: Option<UserId>, token: &str, code: Option<&str>) -> Result<TakenBack, Error> {
        let user = user.ok_or(Reason::LinkInvalid)?;
        if let Some(link) = self.tokens().open_link(SealedPurpose::TakenBack, *self.tenant(), user, token) {
            return self.contest(&user, &link, code).await;
        }
        let link = self.tokens().open_link(SealedPurpose::NotMe, *self.tenant(), user, token);
        let link = link.ok_or(Reason::LinkInvalid)?;
        let users = &self.ports().users;
        until_won!({
            let now = self.ports().clock.now();
            let found = users.find(self.tenant(), UserKey::Id(&user)).await?;
            let user = found.filter(|user| is_open(&link, user, now)).ok_or(Reason::LinkInvalid)?;
            let retired = self.retired_factors(&user).await?;
            let mut write = self.recovery(&user, &link, &retired, now);
            let mut factor_lost = false;
            if let Some(factors) = &write.factors {
                factor_lost = !self.credentials_exist(&user, factors).await?;
            }
            if factor_lost {
                // A factor that was on is lost. Without it the mailbox alone would do, so an operator decides.
                write.factors = None;
                write.status = Some(UserStatus::Disabled);
            }
            let gone = user.email != link.email && !self.make_way(&user.id, &link.email).await?;
            let event = Event::ChangeTakenBack { user: user.id, address_lost: gone };
            let change = if gone {
                write.email = None;
                write.email_verified_at = None;
                write.recoveries = write.recoveries.map(Recoveries::settled);
                write.status = Some(UserStatus::Disabled);
                Change::new(event, write).notify(MailPurpose::AccountShut, &link.email)
            } else if user.email == link.email {
                Change::new(event, write).notify(MailPurpose::ResetPassword, &link.email)
            } else {
                self.keep_address(&user).await?;
                // A disputed account is shut already. The address that loses it now stays one of its claimants.
                let lost = if user.is_disputed() { MailPurpose::AccountDisputed } else { MailPurpose::AddressLost };
                let change = Change::new(event, write).notify(lost, &user.email);
                change.notify(MailPurpose::ResetPassword, &link.email)
            };
            // A lost race: another account took the address in between.
            let Some(changed) = self.commit(&user, change).await? else { return Ok(None) };
            for gone in user.factors.iter().filter(|factor| !changed.factors.contains(factor)) {
                let removed = self.ports().credentials.remove(&user.tenant, gone.credential).await;
                housekeeping(removed, "removing a credential");
            }
            Ok(Some(if gone || factor_lost { TakenBack::Shut } else { TakenBack::Restored }))
        })
    }

    fn recovery(&self, user: &User, link: &SealedLink, retired: &[Retired], now: Timestamp) -> UserChange {
        let moved = user.email != link.email;
        let lifetime = self.policy().not_me_link_lifetime;
        // The version that this very write leads to is taken back, too: nobody is told of it.
        let recoveries = user.recoveries.with(link.token_version, user.token_version.next(), now, lifetime);
        let recoveries = if moved { recoveries.moved_to(&link.email) } else { recoveries };
        let recoveries = go_on(recoveries, user, &link.email);
        // By this taking-back alone: a factor that an earlier one brought back may have been taken off again since.
        let this = Recoveries::default().with(link.token_version, user.token_version.next(), now, lifetime);
        let theirs = factors_before(user, &this, retired);
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

/// Carries an open dispute over a taking-back by an earlier notice. The restored address keeps the account in it.
fn go_on(recoveries: Recoveries, user: &User, home: &Email) -> Recoveries {
    match user.dispute() {
        Some(dispute) => {
            let version = user.token_version.next();
            recoveries.disputed(Dispute { version, ..dispute.moved_to(home) })
        }
        None => recoveries,
    }
}
