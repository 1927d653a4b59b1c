use crate::commit::{Begun, Change, outcome, until_won};

use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::port::{
    AdminAction, DeadMail, DeadMails, Event, LoginRecord, MailPurpose, NewUser, RecordOutcome, Unique, UserChange,
    UserDirectory, UserInsert, UserKey, UserUpdate,
};
use crate::types::{
    Attributes, Claim, CredentialId, Email, MailId, Personal, SUPERUSER, TenantId, TokenVersion, User, UserId,
    UserStatus, Username,
};
use crate::{AuthSystem, Request};
use std::fmt;

/// Accounts a page, where all are gone through.
const PAGE: usize = 500;

/// The operator's verbs. Each change raises [`Event::Administered`] with the name of who acts.
///
/// Nothing here asks who calls: whoever can reach this does anything with any account. Over HTTP, guard it yourself.
#[derive(Clone)]
pub struct Admin<'a> {
    pub(crate) request: Request<'a>,
}

/// An account that an operator makes.
#[derive(Clone, Default)]
pub struct NewAccount<'a> {
    /// The address.
    pub email: &'a str,
    /// The username, where usernames are on.
    pub username: Option<&'a str>,
    /// The password; without one, its owner sets it by [`Admin::start_reset`].
    pub password: Option<&'a str>,
    /// Whether the address counts as proven.
    pub verified: bool,
    /// Whether the account is a super-user's.
    pub superuser: bool,
    /// The application's own fields, taken as they are.
    pub attributes: Attributes,
}

/// Shows no password.
impl fmt::Debug for NewAccount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("superuser", &self.superuser).finish_non_exhaustive()
    }
}

impl fmt::Debug for Admin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("actor", &self.request.actor()).finish_non_exhaustive()
    }
}

impl AuthSystem {
    /// The operator's verbs, for the default tenant, by an actor called `operator`.
    pub fn admin(&self) -> Admin<'_> {
        Admin { request: self.within(TenantId::default()).acting_as("operator".into()) }
    }
}

pub(crate) fn wrong(field: &'static str, reason: FieldReason) -> Error {
    Error::invalid_fields(vec![FieldError { field, reason }])
}

impl Admin<'_> {
    /// Names who acts, for the events: a person, a job.
    #[must_use]
    pub fn acting_as(self, actor: impl Into<Box<str>>) -> Self {
        Self { request: self.request.acting_as(actor.into()) }
    }

    /// Acts on the accounts of another tenant.
    #[must_use]
    pub fn in_tenant(self, tenant: TenantId) -> Self {
        Self { request: self.request.in_tenant(tenant) }
    }

    /// Makes an account. The password keeps the same rules as everybody's.
    ///
    /// # Errors
    /// `invalid_fields` (`email`, `username`, `password`), with `taken` for a value that another account has;
    /// `overloaded`; `unavailable`.
    pub async fn create_user(&self, account: NewAccount<'_>) -> Result<User, Error> {
        let request = &self.request;
        let email = Email::parse(account.email).map_err(|_| wrong("email", FieldReason::InvalidEmail))?;
        let username = account.username.filter(|_| request.policy().usernames).map(Username::parse).transpose();
        let username = username.map_err(|_| wrong("username", FieldReason::InvalidUsername))?;
        let personal = Personal { email: Some(&email), username: username.as_ref() };
        let password_hash = match account.password {
            Some(text) => {
                let password = request.accept_new_password("password", text, personal).await?;
                Some(request.hash(password.as_password()).await?)
            }
            None => None,
        };
        let mut attributes = account.attributes;
        if account.superuser {
            attributes.insert(SUPERUSER.to_owned(), true.into());
        }
        let now = request.ports().clock.now();
        let new = NewUser {
            tenant: *self.request.tenant(),
            id: UserId::from(request.new_id()?),
            email,
            username,
            email_verified_at: account.verified.then_some(now),
            claim: Claim::Settled,
            password_hash,
            token_version: TokenVersion::new(request.random_bits()?),
            attributes,
            created_at: now,
        };
        match request.insert_user(self.event(Some(new.id), AdminAction::CreatedUser), &new).await? {
            UserInsert::Created(user) => Ok(user),
            UserInsert::Conflict(Unique::Email) => Err(wrong("email", FieldReason::Taken)),
            UserInsert::Conflict(Unique::Username) => Err(wrong("username", FieldReason::Taken)),
        }
    }

    /// Finds an account, deleted ones included.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn find(&self, key: UserKey<'_>) -> Result<Option<User>, Error> {
        Ok(self.request.ports().users.find(self.request.tenant(), key).await?)
    }

    /// A page of accounts in the order of their ids, from the first after `after`: at most `limit`. With a `status`,
    /// those that have it.
    ///
    /// # Errors
    /// `not_supported` without a [`UserDirectory`]; `unavailable`.
    pub async fn list(
        &self,
        status: Option<UserStatus>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, Error> {
        let directory = self.directory()?;
        Ok(directory.list(self.request.tenant(), status, after, limit).await?)
    }

    /// Shuts an account: every session, link and pending step of it ends.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn disable(&self, user: &UserId) -> Result<User, Error> {
        self.set_status(user, UserStatus::Disabled, AdminAction::Disabled).await
    }

    /// Opens an account that was shut. One that is marked as deleted stays so.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn enable(&self, user: &UserId) -> Result<User, Error> {
        self.set_status(user, UserStatus::Active, AdminAction::Enabled).await
    }

    /// Marks an account as deleted: it ends at once, and its row goes as soon as no token of it can be alive, from then
    /// on its address is free. Its credentials go now.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn delete(&self, user: &UserId) -> Result<User, Error> {
        let deleted = self.set_status(user, UserStatus::Deleted, AdminAction::Deleted).await?;
        self.request.remove_credentials_of(&deleted).await;
        Ok(deleted)
    }

    /// Ends every session of an account, and every link of it.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn end_sessions(&self, user: &UserId) -> Result<User, Error> {
        let change = |_: &User| Some(UserChange { end_sessions: true, ..UserChange::default() });
        self.change(user, AdminAction::EndedSessions, change).await
    }

    /// Ends every session, link and pending step of every account of the tenant that may have one, and returns the
    /// number of accounts. Sessions that begin meanwhile may stay. A call that failed halfway can be repeated.
    ///
    /// # Errors
    /// `not_supported` without a [`UserDirectory`]; `unavailable`.
    pub async fn end_all_sessions(&self) -> Result<usize, Error> {
        self.directory()?;
        let begun = self.begin(None, AdminAction::EndedAllSessions).await?;
        let mut ended = 0;
        let mut after = None;
        loop {
            let page = self.list(None, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for user in page {
                ended += usize::from(self.end_sessions_of(user).await?);
            }
        }
        self.request.settle(begun, RecordOutcome::Done).await;
        Ok(ended)
    }

    /// Ends the sessions of an account. `false` for one that can have none.
    async fn end_sessions_of(&self, mut user: User) -> Result<bool, Error> {
        until_won!({
            // The links of a sign-up that waits for its mailbox would die for nothing.
            if !user.is_active() || !user.is_verified() {
                return Ok(Some(false));
            }
            let write = UserChange { end_sessions: true, ..UserChange::default() };
            let change = Change::new(self.event(Some(user.id), AdminAction::EndedSessions), write);
            if self.request.commit(&user, change).await?.is_some() {
                return Ok(Some(true));
            }
            match self.find(UserKey::Id(&user.id)).await? {
                Some(changed) => user = changed,
                None => return Ok(Some(false)),
            }
            Ok(None)
        })
    }

    /// Moves an account to an address that counts as verified. Ends every session and link, and tells both addresses.
    /// An unverified sign-up for the address gives way.
    ///
    /// # Errors
    /// `invalid_fields` (`email`), with `taken` for an address that another account has; `user_not_found`; `unavailable`.
    pub async fn set_email(&self, user: &UserId, email: &str) -> Result<User, Error> {
        let request = &self.request;
        let email = Email::parse(email).map_err(|_| wrong("email", FieldReason::InvalidEmail))?;
        until_won!({
            let user = self.load(user).await?;
            let moves = user.email != email;
            if !moves && user.is_verified() {
                return Ok(Some(user));
            }
            if moves {
                let holder = self.find(UserKey::Email(&email)).await?;
                if let Some(stranger) = holder.filter(User::is_unclaimed) {
                    request.remove_user(Event::UnverifiedGaveWay { user: stranger.id }, &stranger).await?;
                }
            }
            // The owner of the address did not choose what an unverified sign-up brought.
            let stranger = user.is_unclaimed();
            let write = UserChange {
                email: Some(email.clone()),
                email_verified_at: Some(Some(request.ports().clock.now())),
                ..if stranger { UserChange::disowning() } else { UserChange::default() }
            };
            let event = self.event(Some(user.id), AdminAction::SetEmail);
            let mut change = Change::new(event, write);
            if moves {
                change = change.notify(MailPurpose::EmailSet, &user.email).notify(MailPurpose::EmailConfirmed, &email);
            }
            match request.try_commit(&user, change).await? {
                UserUpdate::Done(user) => {
                    if stranger {
                        request.remove_credentials_of(&user).await;
                    }
                    Ok(Some(user))
                }
                UserUpdate::Conflict(_) => Err(wrong("email", FieldReason::Taken)),
                UserUpdate::Stale => Ok(None),
            }
        })
    }

    /// Clears the failures that were counted for the password and each second factor of an account, the durable ones and
    /// those of timed windows. Windows of client addresses and known devices stay.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn unlock(&self, user: &UserId) -> Result<User, Error> {
        let user = self.load(user).await?;
        let ports = self.request.ports();
        let begun = self.begin(Some(user.id), AdminAction::Unlocked).await?;
        ports.users.record_login(&user.tenant, &user.id, &LoginRecord { at: None, rehash: None }).await?;
        for factor in &user.factors {
            self.clear_failures_of(&user, factor.credential).await?;
        }
        for budget in self.request.budgets_of(&user) {
            ports.attempts.clear(&budget.key).await?;
        }
        self.request.settle(begun, RecordOutcome::Done).await;
        self.load(&user.id).await
    }

    async fn clear_failures_of(&self, user: &User, credential: CredentialId) -> Result<(), Error> {
        let credentials = &self.request.ports().credentials;
        until_won!({
            let found = credentials.find(&user.tenant, credential).await?;
            let Some(row) = found.filter(|row| row.consecutive_failures > 0) else { return Ok(Some(())) };
            // A new payload starts with no failures, and the same one will do.
            Ok(credentials.update_if(&row, &row.payload).await?.map(|_| ()))
        })
    }

    /// Mails a link that sets a new password.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn start_reset(&self, user: &UserId) -> Result<(), Error> {
        let user = self.load(user).await?;
        let begun = self.begin(Some(user.id), AdminAction::StartedReset).await?;
        self.request.queue_for_operator(&user.email, MailPurpose::ResetPassword).await?;
        self.request.settle(begun, RecordOutcome::Done).await;
        Ok(())
    }

    /// Takes all second factors off an account whose owner has lost them, and ends its sessions.
    ///
    /// They come back if the owner takes back a change that was made before, by the link of its notice.
    ///
    /// # Errors
    /// `user_not_found`; `unavailable`.
    pub async fn reset_second_factors(&self, user: &UserId) -> Result<User, Error> {
        let change = |user: &User| {
            let listed = !user.factors.is_empty();
            listed.then(|| UserChange { factors: Some(Vec::new()), ..UserChange::default() })
        };
        let before = self.load(user).await?;
        if !before.factors.is_empty() {
            self.request.retire(&before, &before.factors, None).await?;
        }
        self.change(user, AdminAction::ResetSecondFactors, change).await
    }

    /// The mails of all tenants that were given up, oldest first: at most `limit`.
    ///
    /// # Errors
    /// `not_supported` without [`DeadMails`]; `unavailable`.
    pub async fn dead_mails(&self, limit: usize) -> Result<Vec<DeadMail>, Error> {
        Ok(self.dead_mail_store()?.dead_mails(limit).await?)
    }

    /// Queues a mail that was given up again. `false` when there is no such mail.
    ///
    /// # Errors
    /// `not_supported` without [`DeadMails`]; `unavailable`.
    pub async fn requeue_mail(&self, mail: MailId) -> Result<bool, Error> {
        let store = self.dead_mail_store()?;
        let begun = self.begin(None, AdminAction::RequeuedMail(mail)).await?;
        let requeued = store.revive(mail, self.request.ports().clock.now()).await?;
        if requeued {
            self.request.wake_mailer();
        }
        self.request.settle(begun, outcome(requeued)).await;
        Ok(requeued)
    }

    pub(crate) async fn load(&self, user: &UserId) -> Result<User, Error> {
        let found = self.find(UserKey::Id(user)).await?;
        found.filter(|user| user.status != UserStatus::Deleted).ok_or_else(|| Reason::UserNotFound.into())
    }

    async fn set_status(&self, user: &UserId, status: UserStatus, action: AdminAction) -> Result<User, Error> {
        let change = |user: &User| {
            let other = user.status != status;
            other.then(|| UserChange { status: Some(status), ..UserChange::default() })
        };
        self.change(user, action, change).await
    }

    /// Swaps the row by what `decide` wants of it; nothing to do is no event.
    async fn change(
        &self,
        user: &UserId,
        action: AdminAction,
        decide: impl Fn(&User) -> Option<UserChange>,
    ) -> Result<User, Error> {
        until_won!({
            let user = self.load(user).await?;
            let Some(write) = decide(&user) else { return Ok(Some(user)) };
            let change = Change::new(self.event(Some(user.id), action), write);
            self.request.commit(&user, change).await
        })
    }

    pub(crate) fn directory(&self) -> Result<&dyn UserDirectory, Error> {
        self.request.ports().directory.as_deref().ok_or_else(|| Reason::NotSupported.into())
    }

    fn dead_mail_store(&self) -> Result<&dyn DeadMails, Error> {
        self.request.ports().dead_mails.as_deref().ok_or_else(|| Reason::NotSupported.into())
    }

    async fn begin(&self, user: Option<UserId>, action: AdminAction) -> Result<Begun, Error> {
        self.request.begin(user, vec![self.event(user, action)]).await
    }

    pub(crate) fn event(&self, user: Option<UserId>, action: AdminAction) -> Event {
        Event::Administered { actor: self.request.actor().unwrap_or_default().into(), action, user }
    }
}
