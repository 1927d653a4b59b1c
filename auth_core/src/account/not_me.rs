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
            let write = self.recovery(&user, &link, &retired, now);
            let factor_lost = match &write.factors {
                Some(factors) => !self.credentials_exist(&user, factors).await?,
                None => false,
            };
            let moves = user.email != link.email;
            let taken = moves && !self.make_way(&user.id, &link.email).await?;
            if moves && !taken {
                self.keep_address(&user).await?;
            }
            let (change, outcome) = decide(&user, &link.email, write, Obstacles { taken, factor_lost });
            // A lost race: another account took the address in between.
            let Some(changed) = self.commit(&user, change).await? else { return Ok(None) };
            for gone in user.factors.iter().filter(|factor| !changed.factors.contains(factor)) {
                let removed = self.ports().credentials.remove(&user.tenant, gone.credential).await;
                housekeeping(removed, "removing a credential");
            }
            Ok(Some(outcome))
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

/// Obstacles between an account and its restoration. Either leaves the decision to an operator.
#[derive(Clone, Copy)]
struct Obstacles {
    /// A verified account has the address.
    taken: bool,
    /// A factor that was on is lost, and without it the mailbox alone would do.
    factor_lost: bool,
}

/// The change that restores an account to the address `home`, and what the caller learns of it.
fn decide(user: &User, home: &Email, mut write: UserChange, obstacles: Obstacles) -> (Change, TakenBack) {
    if obstacles.factor_lost {
        write.factors = None;
    }
    if obstacles.taken {
        write.email = None;
        write.email_verified_at = None;
        write.recoveries = write.recoveries.map(Recoveries::settled);
    }
    let shut = obstacles.taken || obstacles.factor_lost;
    if shut {
        write.status = Some(UserStatus::Disabled);
    }
    let event = Event::ChangeTakenBack { user: user.id, address_lost: obstacles.taken };
    let change = Change::new(event, write);
    let change = if obstacles.taken {
        change.notify(MailPurpose::AccountShut, home)
    } else if user.email == *home {
        change.notify(MailPurpose::ResetPassword, home)
    } else {
        // A disputed account is shut already. The address that loses it now stays one of its claimants.
        let lost = if user.is_disputed() { MailPurpose::AccountDisputed } else { MailPurpose::AddressLost };
        change.notify(lost, &user.email).notify(MailPurpose::ResetPassword, home)
    };
    (change, if shut { TakenBack::Shut } else { TakenBack::Restored })
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
