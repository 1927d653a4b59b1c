//! Super-users: the one that the configuration asks for, and taking the role off without losing the last one.

use super::Admin;
use super::NewAccount;
use super::admin::wrong;
use crate::commit::{Change, housekeeping, until_won};
use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::port::{AdminAction, Event, UserChange, UserKey};
use crate::proof::verify_password;
use crate::types::{
    Attributes, Credential, CredentialId, Email, FactorKind, Password, Payload, Personal, SUPERUSER, User, UserId,
    UserStatus,
};

/// The kind of the credential that names one super-user of a tenant. It proves nothing: no account lists it.
const ANCHOR: &str = "superuser";
/// Its look-up key, which makes it one for each tenant.
const ANCHOR_KEY: &[u8] = b"anchor";
/// The version of its payload, which is the id of the super-user.
const ANCHOR_VERSION: u16 = 1;

impl Admin<'_> {
    /// Ensures that the tenant has a super-user, and returns one. While one exists, under any address, no other is made.
    ///
    /// An unverified account at the address has no owner. It gets the password, the role and a verified address in one
    /// write, and loses all that its sign-up chose. A verified account gets the role and keeps its password. Where the
    /// given password is not the account's, [`Event::SuperuserPasswordUnused`] tells so.
    ///
    /// A credential row remembers the super-user, who may move to another address. Rows that are older than it are
    /// searched in the [`UserDirectory`](crate::port::UserDirectory). Without one, only the account at the address is
    /// looked at the first time: call this once before that super-user moves.
    ///
    /// # Errors
    /// Returns the errors of [`create_user`](Self::create_user), and `taken` while a deleted account has the address.
    pub async fn ensure_superuser(&self, email: &str, password: &str) -> Result<User, Error> {
        let parsed = Email::parse(email).map_err(|_| wrong("email", FieldReason::InvalidEmail))?;
        until_won!({
            if let Some(user) = self.superuser_before(&parsed).await? {
                self.tell_unused_password(&user, &parsed, password).await;
                return Ok(Some(user));
            }
            let made = match self.find(UserKey::Email(&parsed)).await? {
                Some(user) => self.make_superuser(user, password).await?,
                None => {
                    let password = Some(password);
                    let account =
                        NewAccount { email, password, verified: true, superuser: true, ..NewAccount::default() };
                    match self.create_user(account).await {
                        Ok(user) => Some(user),
                        // Another node was faster: look at what it made.
                        Err(error) if error.fields() == [FieldError { field: "email", reason: FieldReason::Taken }] => {
                            None
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            if let Some(user) = made {
                self.remember(&user).await?;
                self.tell_unused_password(&user, &parsed, password).await;
                return Ok(Some(user));
            }
            Ok(None)
        })
    }

    /// Takes the role of a super-user off an account, and ends its sessions. No-op where the account has no such role.
    ///
    /// # Errors
    /// `last_superuser` where no other account has the role; `user_not_found`; `not_supported` where that takes a
    /// [`UserDirectory`](crate::port::UserDirectory) and there is none; `unavailable`.
    pub async fn revoke_superuser(&self, user: &UserId) -> Result<User, Error> {
        until_won!({
            // In this order: a call that makes this account the remembered one also writes to its row, so the swap below
            // fails. Of two super-users that are revoked at the same time, one stays.
            let user = self.load(user).await?;
            if !user.is_superuser() {
                return Ok(Some(user));
            }
            if !self.another_is_remembered(&user).await? {
                return Ok(None);
            }
            let mut attributes = user.attributes.clone();
            attributes.remove(SUPERUSER);
            let write = UserChange { attributes: Some(attributes), end_sessions: true, ..UserChange::default() };
            let change = Change::new(self.event(Some(user.id), AdminAction::RevokedSuperuser), write);
            self.request.commit(&user, change).await
        })
    }

    /// A super-user that is there, the remembered one first. One that was not remembered is remembered now.
    async fn superuser_before(&self, email: &Email) -> Result<Option<User>, Error> {
        if let Some(user) = self.anchored().await?.1 {
            return Ok(Some(user));
        }
        let found = match &self.request.ports().directory {
            Some(directory) => {
                let mut all = directory.superusers(self.request.tenant()).await?;
                all.retain(stands);
                all.sort_by_key(|user| (user.email != *email, !user.is_active()));
                all.into_iter().next()
            }
            None => self.find(UserKey::Email(email)).await?.filter(stands),
        };
        if let Some(user) = &found {
            self.remember(user).await?;
        }
        Ok(found)
    }

    /// Lifts the account at the configured address. `None` when it changed meanwhile.
    async fn make_superuser(&self, user: User, password: &str) -> Result<Option<User>, Error> {
        if user.status == UserStatus::Deleted {
            return Err(wrong("email", FieldReason::Taken));
        }
        let request = &self.request;
        let (stranger, verified) = (user.is_unclaimed(), user.is_verified());
        let mut write = if stranger { UserChange::disowning() } else { UserChange::default() };
        if !verified {
            let personal = Personal { email: Some(&user.email), username: None };
            let password = request.accept_new_password("password", password, personal).await?;
            write.password_hash = Some(Some(request.hash(password.as_password()).await?));
            write.email_verified_at = Some(Some(request.ports().clock.now()));
        }
        let mut attributes = if stranger { Attributes::new() } else { user.attributes.clone() };
        attributes.insert(SUPERUSER.to_owned(), true.into());
        write.attributes = Some(attributes);
        let change = Change::new(self.event(Some(user.id), AdminAction::MadeSuperuser), write);
        let Some(made) = request.commit(&user, change).await? else { return Ok(None) };
        if stranger {
            request.remove_credentials_of(&made).await;
            let text = "an unverified account had the super-user's address: all that its sign-up chose was cleared";
            tracing::warn!(target: "auth", user = %made.id, text);
        }
        Ok(Some(made))
    }

    /// Warns where the configured password is not that of the super-user.
    async fn tell_unused_password(&self, user: &User, email: &Email, password: &str) {
        let ports = self.request.ports();
        let used = async {
            let password = Password::new(password).ok()?;
            let ticket = ports.hasher.admit(self.request.client().lane()).ok()?;
            verify_password(ports, ticket, Some(user), &password).await.ok()?
        };
        if user.email != *email || used.await.is_none() {
            self.request.record(self.request.tenant(), Event::SuperuserPasswordUnused { user: user.id });
        }
    }

    /// The row that remembers, and the super-user whom it names, if that is one still.
    async fn anchored(&self) -> Result<(Option<Credential>, Option<User>), Error> {
        let (tenant, kind) = (self.request.tenant(), FactorKind(ANCHOR.into()));
        let row = self.request.ports().credentials.find_by_key(tenant, &kind, ANCHOR_KEY).await?;
        let id = row.as_ref().and_then(|row| UserId::parse(std::str::from_utf8(&row.payload.bytes).ok()?).ok());
        let user = match id {
            Some(id) => self.find(UserKey::Id(&id)).await?.filter(stands),
            None => None,
        };
        Ok((row, user))
    }

    /// Remembers a super-user in place of one that is none any more. `false` when another was remembered meanwhile.
    async fn remember(&self, user: &User) -> Result<bool, Error> {
        match self.anchored().await? {
            (_, Some(_)) => Ok(false),
            (row, None) => self.move_anchor(row, user).await,
        }
    }

    async fn move_anchor(&self, row: Option<Credential>, user: &User) -> Result<bool, Error> {
        let credentials = &self.request.ports().credentials;
        let payload = Payload { version: ANCHOR_VERSION, bytes: user.id.as_str().as_bytes().to_vec() };
        if let Some(row) = row {
            return Ok(credentials.update_if(&row, &payload).await?.is_some());
        }
        let row = Credential {
            id: CredentialId(self.request.new_id()?),
            tenant: user.tenant,
            user: user.id,
            kind: FactorKind(ANCHOR.into()),
            lookup_key: Some(ANCHOR_KEY.to_vec()),
            payload,
            consecutive_failures: 0,
            revision: 0,
        };
        Ok(credentials.insert(&row).await?)
    }

    /// Whether a super-user other than `leaving` is remembered, if need be from now on. `false` when a row changed
    /// meanwhile.
    async fn another_is_remembered(&self, leaving: &User) -> Result<bool, Error> {
        let (row, anchor) = self.anchored().await?;
        if anchor.is_some_and(|anchor| anchor.id != leaving.id) {
            return Ok(true);
        }
        let mut others = self.directory()?.superusers(self.request.tenant()).await?;
        others.retain(|user| stands(user) && user.id != leaving.id);
        others.sort_by_key(|user| !user.is_active());
        let other = others.first().ok_or(Reason::LastSuperuser)?;
        if !self.move_anchor(row, other).await? {
            return Ok(false);
        }
        // Writes unchanged attributes as a new revision, so that a revocation that read the row before starts again.
        Ok(self.request.commit(other, Change::touch(other)).await?.is_some())
    }
}

/// Whether an account is a super-user's, and not that of a stranger who signed up with the address.
fn stands(user: &User) -> bool {
    user.is_superuser() && user.status != UserStatus::Deleted && !user.is_unclaimed()
}

impl crate::Request<'_> {
    /// Housekeeping: removes every credential of an account that stopped listing them. The row that remembers a
    /// super-user stays, since it may name another account by now.
    pub(crate) async fn remove_credentials_of(&self, user: &User) {
        let credentials = &self.ports().credentials;
        let found = match credentials.of_user(&user.tenant, &user.id).await {
            Ok(found) => found,
            Err(error) => return housekeeping::<()>(Err(error), "removing credentials"),
        };
        for credential in found.into_iter().filter(|credential| *credential.kind.0 != *ANCHOR) {
            let removed = credentials.remove(&credential.tenant, credential.id).await;
            housekeeping(removed, "removing a credential");
        }
    }
}
