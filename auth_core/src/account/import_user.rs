use std::fmt;

use crate::commit::{Change, until_won};
use crate::error::Error;
use crate::port::{Event, LoginRecord, NewUser, Unique, UserChange, UserInsert, UserKey};
use crate::types::{
    Attributes, Claim, Email, PasswordHash, TenantId, Timestamp, TokenVersion, User, UserId, UserStatus, Username,
};
use crate::{AuthSystem, Request};

/// An account of another system.
#[derive(Clone)]
pub struct ImportedUser {
    /// Whose account system it comes to.
    pub tenant: TenantId,
    /// Its id there, to be kept; `None` for a new one, as for a store that gives ids of its own.
    pub id: Option<UserId>,
    /// The address.
    pub email: Email,
    /// The username, where usernames are on.
    pub username: Option<Username>,
    /// When the mailbox was proven, or any time since if it was; `None` keeps the account from logging in until it is.
    pub email_verified_at: Option<Timestamp>,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// The password's hash, of any scheme that the mounted hasher checks; `None` for an account without a password.
    pub password_hash: Option<PasswordHash>,
    /// The application's own fields; none is dropped, whatever the policy asks at sign-up.
    pub attributes: Attributes,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last logged in to.
    pub last_login_at: Option<Timestamp>,
}

/// Shows whose, and no hash.
impl fmt::Debug for ImportedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedUser").field("id", &self.id).field("email", &self.email).finish_non_exhaustive()
    }
}

/// What came of an import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UserImport {
    /// The account was made.
    Created(UserId),
    /// An account with the id or the address is there, of an earlier run maybe, and was left alone. Another id than the
    /// one given tells that two old addresses are one here, by their canonical form.
    Exists(UserId),
    /// Another account has the username. Nothing was made.
    UsernameTaken,
}

impl AuthSystem {
    /// Takes an account over from another system: an operator's verb, behind no endpoint. No mail is sent, and the
    /// password is judged by no rule.
    ///
    /// It can be repeated: an account that is there is left alone, except that one of which a crash left only the inert
    /// part is completed.
    ///
    /// # Errors
    /// `unavailable`; `internal` when the store cannot keep the account, such as one of a second tenant.
    pub async fn import_user(&self, user: &ImportedUser) -> Result<UserImport, Error> {
        self.within(user.tenant).import(user).await
    }
}

impl Request<'_> {
    async fn import(&self, user: &ImportedUser) -> Result<UserImport, Error> {
        let users = &self.ports().users;
        until_won!({
            let row = match self.imported_before(user).await? {
                Some(row) if is_active(user) || !is_inert(&row) => return Ok(Some(UserImport::Exists(row.id))),
                Some(row) => row,
                None => match self.insert_imported(user).await? {
                    UserInsert::Created(row) => row,
                    UserInsert::Conflict(Unique::Username) => return Ok(Some(UserImport::UsernameTaken)),
                    UserInsert::Conflict(Unique::Email) => return Ok(None),
                },
            };
            if !is_active(user) && !self.shut(user, &row).await? {
                return Ok(None);
            }
            if let Some(at) = user.last_login_at {
                users.record_login(&user.tenant, &row.id, &LoginRecord { at: Some(at), rehash: None }).await?;
            }
            Ok(Some(UserImport::Created(row.id)))
        })
    }

    /// The account under the id that is to be kept, even if its address is another one by now; or else under the address.
    async fn imported_before(&self, user: &ImportedUser) -> Result<Option<User>, Error> {
        let users = &self.ports().users;
        if let Some(id) = &user.id
            && let Some(row) = users.find(&user.tenant, UserKey::Id(id)).await?
        {
            return Ok(Some(row));
        }
        Ok(users.find(&user.tenant, UserKey::Email(&user.email)).await?)
    }

    /// Adds the account. The row of one that is not in use is inert until it is shut, which has the record.
    async fn insert_imported(&self, user: &ImportedUser) -> Result<UserInsert, Error> {
        let new = self.imported(user)?;
        match is_active(user) {
            true => self.insert_user(Event::UserImported { user: new.id }, &new).await,
            false => self.insert_inert_user(&new).await,
        }
    }

    /// The row to insert: all of an active account; of another one only what lets nobody in.
    fn imported(&self, user: &ImportedUser) -> Result<NewUser, Error> {
        let active = is_active(user);
        Ok(NewUser {
            tenant: user.tenant,
            id: user.id.map_or_else(|| self.new_id().map(UserId::from), Ok)?,
            email: user.email.clone(),
            username: user.username.clone(),
            email_verified_at: user.email_verified_at.filter(|_| active),
            claim: Claim::Settled,
            password_hash: user.password_hash.clone().filter(|_| active),
            token_version: TokenVersion::new(self.random_bits()?),
            attributes: user.attributes.clone(),
            created_at: user.created_at,
        })
    }

    /// Completes an account that is not in use, in one write. False when the row was changed meanwhile.
    async fn shut(&self, user: &ImportedUser, row: &User) -> Result<bool, Error> {
        let write = UserChange {
            status: Some(user.status),
            email_verified_at: Some(user.email_verified_at),
            password_hash: Some(user.password_hash.clone()),
            ..UserChange::default()
        };
        Ok(self.commit(row, Change::new(Event::UserImported { user: row.id }, write)).await?.is_some())
    }
}

fn is_active(user: &ImportedUser) -> bool {
    user.status == UserStatus::Active
}

/// Nobody ever got in: in use, but neither proven nor with a password.
fn is_inert(row: &User) -> bool {
    row.is_active() && !row.is_verified() && row.password_hash.is_none() && row.revision == 0
}
