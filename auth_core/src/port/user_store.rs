use async_trait::async_trait;

use super::{ChangePage, Since, StoreError};
use crate::types::{
    Attributes, Claim, Email, EnrolledFactor, PasswordHash, Recoveries, Revision, TenantId, Timestamp, TokenVersion,
    User, UserId, UserStatus, Username,
};

/// The accounts. Implement this for a user table of your own: [`User::to_opaque`] takes what the table has no columns
/// for. The suites of `auth_core::conformance` (feature `conformance`) tell whether it keeps what is promised here.
///
/// A store of one tenant, or without usernames, refuses to insert the others with [`StoreError::Corrupt`] and finds
/// nothing by them. An id that the store would never give out is nobody, not an error: clients name ids in links.
///
/// Uniqueness is by (tenant, canonical email) and (tenant, canonical username); addresses arrive canonical and come
/// back as they were given.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Adds an account, unless its address or username is taken: of any number of parallel calls for one address,
    /// exactly one creates.
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError>;

    /// Finds an account, deleted ones included.
    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError>;

    /// Writes what `change` names, together with what [`UserChange::apply`] derives from it, if the row still has
    /// `current`'s revision: one atomic swap. Of parallel calls with one revision exactly one succeeds.
    /// `changed_at` becomes the store's clock at the statement.
    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError>;

    /// Removes the row if it still has `current`'s revision, and tells whether it did. Its address and username are free
    /// at once. Of any number of parallel calls of this and [`update_if`](Self::update_if) with one revision, one succeeds.
    ///
    /// Flows call this only for accounts of which no token can be alive: other nodes do not hear of it.
    async fn remove_if(&self, current: &User) -> Result<bool, StoreError>;

    /// Counts one more wrong password in a row, in advance, if fewer than `below` are counted: one atomic step, durable
    /// before it returns. `false` when there are that many, or no such account; nothing is written then. Touches
    /// neither revision nor token version.
    ///
    /// Called before a password is evaluated, so that parallel guesses never evaluate more than the limit;
    /// `record_login` takes it back.
    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError>;

    /// Writes what means nothing, in the time of a `count_failure` that counts: durable before it returns, if that is. It
    /// takes the place of writes to an account that is not there, or is not to be changed: an answer that need not wait
    /// for the disk would tell so.
    ///
    /// `row` names what would be written. Of calls at the same time, those with one name should wait for each other, as
    /// writes to one account do, and others should not. It holds what a client sent, and must not be kept as it is:
    /// [`dummy_row`](super::dummy_row) makes a number of it.
    async fn dummy_write(&self, row: &str) -> Result<(), StoreError>;

    /// Notes that the right password was given: clears the consecutive failures, sets `last_login_at` where it was a
    /// login, and, where given, replaces a hash that still is the old one. Touches neither revision nor token version.
    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError>;

    /// The rows of all tenants that `insert` or `update_if` touched, by the time of their change: at most `limit`.
    /// [`Since::start`], [`ChangePage::read`] and [`UserSecurity::of_row`] do all but the query.
    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError>;
}

/// How an account is looked up.
#[derive(Clone, Copy, Debug)]
pub enum UserKey<'a> {
    /// By id.
    Id(&'a UserId),
    /// By canonical address.
    Email(&'a Email),
    /// By canonical username.
    Username(&'a Username),
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its tenant.
    pub tenant: TenantId,
    /// A fresh id that the store may take or replace by one of its own; [`UserInsert::Created`] has the final one.
    pub id: UserId,
    /// The address.
    pub email: Email,
    /// The username.
    pub username: Option<Username>,
    /// When the mailbox was proven, if it was.
    pub email_verified_at: Option<Timestamp>,
    /// The origin of the account, which decides its rights until then.
    pub claim: Claim,
    /// The password's hash.
    pub password_hash: Option<PasswordHash>,
    /// A random start.
    pub token_version: TokenVersion,
    /// The application's own fields.
    pub attributes: Attributes,
    /// Now.
    pub created_at: Timestamp,
}

impl NewUser {
    /// The row that a store creates of this.
    pub fn into_user(self, changed_at: Timestamp) -> User {
        User {
            tenant: self.tenant,
            id: self.id,
            email: self.email,
            username: self.username,
            email_verified_at: self.email_verified_at,
            claim: if self.email_verified_at.is_some() { Claim::Settled } else { self.claim },
            status: UserStatus::Active,
            password_hash: self.password_hash,
            token_version: self.token_version,
            factors: Vec::new(),
            consecutive_failures: 0,
            recoveries: Recoveries::default(),
            attributes: self.attributes,
            created_at: self.created_at,
            last_login_at: None,
            changed_at,
            revision: 0,
        }
    }
}

/// What came of an insert.
#[derive(Clone, Debug)]
pub enum UserInsert {
    /// The account was made; this is its row.
    Created(User),
    /// Another account of the tenant has the value; nothing was written.
    Conflict(Unique),
}

/// The values that are unique within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// The address.
    Email,
    /// The username.
    Username,
}

/// What came of a conditional update.
#[derive(Clone, Debug)]
pub enum UserUpdate {
    /// Written; this is the row now.
    Done(User),
    /// The row has another revision by now, or is gone; nothing was written. Load, check and decide again.
    Stale,
    /// Another account of the tenant has the value; nothing was written.
    Conflict(Unique),
}

/// What an update writes; fields that are `None` keep their value.
///
/// Changing the address, the password, the status or the list of factors, taking back that the mailbox was proven, and
/// ending all sessions is a *security change*: it also bumps the token version, which ends every session, pending login, link and parked
/// change of the account.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// A new address.
    pub email: Option<Email>,
    /// Takes the username off the account, so that others may have it.
    pub clear_username: bool,
    /// When the mailbox was proven; `Some(None)` makes the account unverified. A time settles the account's
    /// [claim](Claim) for good.
    pub email_verified_at: Option<Option<Timestamp>>,
    /// A new status.
    pub status: Option<UserStatus>,
    /// A new password hash; `Some(None)` removes the password.
    pub password_hash: Option<Option<PasswordHash>>,
    /// The new list of second factors.
    pub factors: Option<Vec<EnrolledFactor>>,
    /// The application's own fields, all of them.
    pub attributes: Option<Attributes>,
    /// What the owner took back, all of it.
    pub recoveries: Option<Recoveries>,
    /// Ends every session, and what else the token version ends, with no other change.
    pub end_sessions: bool,
}

impl UserChange {
    /// Takes off an account all that its sign-up chose, the password among it. Flows write this together with the proof
    /// of a mailbox whose owner did not choose it.
    pub fn disowning() -> Self {
        Self {
            clear_username: true,
            password_hash: Some(None),
            factors: Some(Vec::new()),
            attributes: Some(Attributes::new()),
            ..Self::default()
        }
    }

    /// Whether this is a security change.
    pub fn is_security_change(&self) -> bool {
        let unverified = self.email_verified_at == Some(None);
        self.email.is_some()
            || self.status.is_some()
            || self.password_hash.is_some()
            || self.factors.is_some()
            || unverified
            || self.end_sessions
    }

    /// The row after this change: revision up by one, token version up by one at a security change. A new password
    /// starts with no failures.
    #[must_use]
    pub fn apply(&self, current: &User, changed_at: Timestamp) -> User {
        let mut next = current.clone();
        let change = self.clone();
        next.email = change.email.unwrap_or(next.email);
        next.username = next.username.filter(|_| !change.clear_username);
        next.email_verified_at = change.email_verified_at.unwrap_or(next.email_verified_at);
        if change.email_verified_at.flatten().is_some() {
            next.claim = Claim::Settled;
        }
        next.status = change.status.unwrap_or(next.status);
        if let Some(hash) = change.password_hash {
            next.password_hash = hash;
            next.consecutive_failures = 0;
        }
        next.factors = change.factors.unwrap_or(next.factors);
        next.attributes = change.attributes.unwrap_or(next.attributes);
        next.recoveries = change.recoveries.unwrap_or(next.recoveries);
        if self.is_security_change() {
            next.token_version = next.token_version.next();
        }
        next.revision = next.revision.wrapping_add(1);
        next.changed_at = changed_at;
        next
    }
}

/// What the right password leaves on the row.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// When the account was logged in to; `None` where the password was asked for within a session.
    pub at: Option<Timestamp>,
    /// The hash that was checked and one of the same password with today's parameters.
    pub rehash: Option<(PasswordHash, PasswordHash)>,
}

impl LoginRecord {
    /// The row after this.
    #[must_use]
    pub fn apply(&self, current: &User) -> User {
        let mut next = current.clone();
        next.last_login_at = self.at.or(next.last_login_at);
        next.consecutive_failures = 0;
        if let Some((old, new)) = &self.rehash
            && next.password_hash.as_ref() == Some(old)
        {
            next.password_hash = Some(new.clone());
        }
        next
    }
}

/// What other nodes must know of a changed account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSecurity {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: UserId,
    /// Its version: tokens of another one are dead.
    pub token_version: TokenVersion,
    /// Whether it may be used at all.
    pub active: bool,
    /// The row's revision: of two reports the higher one is the later one.
    pub revision: Revision,
    /// Whether the store cannot read the row. The account then accepts no token of any version.
    pub unreadable: bool,
}

impl UserSecurity {
    /// Builds the report of a row that the feed cannot read. It shuts the account of the row and leaves all others in use.
    /// Log it, because a newer build wrote the row or it is corrupt.
    pub fn unreadable(tenant: TenantId, id: UserId) -> Self {
        Self { tenant, id, token_version: TokenVersion::new(0), active: false, revision: 0, unreadable: true }
    }
}

impl From<&User> for UserSecurity {
    fn from(user: &User) -> Self {
        Self {
            tenant: user.tenant,
            id: user.id,
            token_version: user.token_version,
            active: user.is_active(),
            revision: user.revision,
            unreadable: false,
        }
    }
}
