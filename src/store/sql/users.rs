//! The accounts.

use async_trait::async_trait;
use auth_core::port::{
    ChangePage, LoginRecord, NewUser, Since, StoreError, Unique, UserChange, UserInsert, UserKey, UserSecurity,
    UserStore, UserUpdate, dummy_row,
};
use auth_core::types::{Claim, Email, PasswordHash, TenantId, Timestamp, User, UserId, UserStatus, Username};

use super::error::Failure;
use super::row::{FeedStart, Fields, attributes_text, factors_text, page, sql_limit};
use super::statement::{Statement, StoreTime, query, statements};
use super::{Database, SqlStore};

pub(super) const COLUMNS: &str = "tenant, id, email, username, email_verified_at, status, password_hash, token_version, \
    factors, consecutive_failures, attributes, created_at, last_login_at, changed_at, revision, recoveries, \
    email_spelling, deactivated_at, claim, signed_up_from";

statements! { COLUMNS;
    INSERT = "INSERT INTO auth_users ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING RETURNING {columns}";
    FIND_BY_ID = "SELECT {columns} FROM auth_users WHERE tenant = $1 AND id = $2";
    FIND_BY_EMAIL = "SELECT {columns} FROM auth_users WHERE tenant = $1 AND email = $2";
    FIND_BY_USERNAME = "SELECT {columns} FROM auth_users WHERE tenant = $1 AND username = $2";
    // Columns that may become NULL have a flag beside them; the others keep their value where the new one is NULL.
    UPDATE_IF = "
        UPDATE auth_users SET
            email = COALESCE($4, email),
            email_spelling = CASE WHEN $4 IS NULL THEN email_spelling ELSE $21 END,
            username = CASE WHEN $17 THEN NULL ELSE username END,
            email_verified_at = CASE WHEN $5 THEN $6 ELSE email_verified_at END,
            status = COALESCE($7, status),
            password_hash = CASE WHEN $8 THEN $9 ELSE password_hash END,
            consecutive_failures = COALESCE($10, consecutive_failures),
            factors = COALESCE($11, factors),
            attributes = COALESCE($12, attributes),
            token_version = $13,
            revision = $14,
            changed_at = {now $15},
            recoveries = COALESCE($16, recoveries),
            deactivated_at = CASE WHEN $7 IS NULL THEN deactivated_at ELSE $18 END,
            claim = COALESCE($19, claim),
            signed_up_from = CASE WHEN $19 IS NULL THEN signed_up_from ELSE $20 END
        WHERE tenant = $1 AND id = $2 AND revision = $3 RETURNING {columns}";
    REMOVE_IF = "DELETE FROM auth_users WHERE tenant = $1 AND id = $2 AND revision = $3 RETURNING id";
    COUNT_FAILURE = "
        UPDATE auth_users SET consecutive_failures = consecutive_failures + 1
        WHERE tenant = $1 AND id = $2 AND consecutive_failures < $3 RETURNING id";
    DUMMY_WRITE = "
        INSERT INTO auth_dummy_writes (slot, writes) VALUES ($1, 1)
        ON CONFLICT (slot) DO UPDATE SET writes = auth_dummy_writes.writes + 1";
    RECORD_LOGIN = "
        UPDATE auth_users SET last_login_at = COALESCE($3, last_login_at), consecutive_failures = 0,
            password_hash = CASE WHEN password_hash = $4 THEN $5 ELSE password_hash END
        WHERE tenant = $1 AND id = $2";
    // From a position or, without one, from $5 before now.
    CHANGES = "
        SELECT tenant, id, token_version, status, revision, changed_at FROM auth_users
        WHERE (changed_at, tenant, id) > (COALESCE($1, (SELECT {now $4} - $5)), $2, $3)
        ORDER BY changed_at, tenant, id LIMIT $6";
}

#[async_trait]
impl<D: Database> UserStore for SqlStore<D> {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        let rows = self.write(|now| insert(user, now)).await?;
        if let Some(row) = rows.first() {
            return Ok(UserInsert::Created(Fields(row).user()?));
        }
        let taken = async |key| Ok::<_, StoreError>(self.find(&user.tenant, key).await?.is_some());
        if taken(UserKey::Email(&user.email)).await? {
            return Ok(UserInsert::Conflict(Unique::Email));
        }
        match &user.username {
            Some(username) if taken(UserKey::Username(username)).await? => Ok(UserInsert::Conflict(Unique::Username)),
            _ if taken(UserKey::Id(&user.id)).await? => {
                Err(StoreError::corrupt(format!("the id {} was given twice", user.id)))
            }
            _ => Err(StoreError::unavailable("what was taken became free at the same moment")),
        }
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        let (statement, value) = match key {
            UserKey::Id(id) => (&FIND_BY_ID, id.as_str()),
            UserKey::Email(email) => (&FIND_BY_EMAIL, email.as_str()),
            UserKey::Username(username) => (&FIND_BY_USERNAME, username.as_str()),
        };
        let rows = self.read(query(statement).bind(tenant.as_str()).bind(value)).await?;
        rows.first().map(|row| Fields(row).user()).transpose()
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        match self.write(|now| update_if(current, change, now)).await {
            // The address is the only unique value that a change can name.
            Err(Failure::Duplicate(_)) => Ok(UserUpdate::Conflict(Unique::Email)),
            rows => rows?.first().map_or(Ok(UserUpdate::Stale), |row| Ok(UserUpdate::Done(Fields(row).user()?))),
        }
    }

    async fn remove_if(&self, current: &User) -> Result<bool, StoreError> {
        let statement = |_| {
            let (tenant, id) = (current.tenant.as_str(), current.id.as_str());
            query(&REMOVE_IF).bind(tenant).bind(id).bind(current.revision.cast_signed())
        };
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        let statement = |_| query(&COUNT_FAILURE).bind(tenant.as_str()).bind(id.as_str()).bind(below);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn dummy_write(&self, row: &str) -> Result<(), StoreError> {
        let slot = u32::from(dummy_row(row));
        self.write(|_| query(&DUMMY_WRITE).bind(slot)).await?;
        Ok(())
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        let (old, new) = login.rehash.as_ref().map(|(old, new)| (old.expose(), new.expose())).unzip();
        let at = login.at.map(Timestamp::micros);
        let statement = |_| query(&RECORD_LOGIN).bind(tenant.as_str()).bind(id.as_str()).bind(at).bind(old).bind(new);
        self.write(statement).await?;
        Ok(())
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        let start = FeedStart::of(since);
        let (tenant, id) = match start.id {
            "" => ("", ""),
            id => id.split_once(' ').ok_or_else(|| StoreError::corrupt("not a position of this feed"))?,
        };
        let statement = query(&CHANGES).bind(start.changed_at).bind(tenant).bind(id).bind(self.now()).bind(start.age);
        let statement = statement.bind(sql_limit(limit));
        Ok(page(&self.read(statement).await?, limit, |row| {
            let (tenant, id) = (row.tenant()?, row.user_id("id")?);
            let user = UserSecurity::of_row(tenant, id, security(row, tenant, id));
            // No identifier holds a blank.
            Ok((user, format!("{tenant} {id}")))
        }))
    }
}

fn security(row: &Fields<'_>, tenant: TenantId, id: UserId) -> Result<UserSecurity, StoreError> {
    Ok(UserSecurity {
        tenant,
        id,
        token_version: row.token_version()?,
        // A status that only a newer build knows shuts this account here.
        active: row.parse("status", |status: &str| Some(status == UserStatus::Active.as_str()))?,
        revision: row.revision()?,
        unreadable: false,
    })
}

fn insert(user: &NewUser, now: StoreTime) -> Statement {
    let user = user.clone().into_user(user.created_at);
    query(&INSERT)
        .bind(user.tenant.as_str())
        .bind(user.id.as_str())
        .bind(user.email.as_str())
        .bind(user.username.as_ref().map(Username::as_str))
        .bind(user.email_verified_at.map(Timestamp::micros))
        .bind(user.status.as_str())
        .bind(user.password_hash.as_ref().map(PasswordHash::expose))
        .bind(user.token_version.get())
        .bind(factors_text(&user.factors))
        .bind(user.consecutive_failures)
        .bind(attributes_text(&user.attributes))
        .bind(user.created_at.micros())
        .bind(user.last_login_at.map(Timestamp::micros))
        .bind(now)
        .bind(user.revision.cast_signed())
        .bind(user.recoveries.to_json().to_string())
        .bind(user.email.other_spelling())
        .bind(user.status.since().map(Timestamp::micros))
        .bind(user.claim.as_str())
        .bind(user.claim.from().map(|from| from.to_string()))
}

fn update_if(current: &User, change: &UserChange, now: StoreTime) -> Statement {
    let next = change.apply(current, current.changed_at);
    let password = change.password_hash.as_ref();
    let claim = Some(next.claim).filter(|claim| *claim != current.claim);
    query(&UPDATE_IF)
        .bind(current.tenant.as_str())
        .bind(current.id.as_str())
        .bind(current.revision.cast_signed())
        .bind(change.email.as_ref().map(Email::as_str))
        .bind(change.email_verified_at.is_some())
        .bind(change.email_verified_at.flatten().map(Timestamp::micros))
        .bind(change.status.map(UserStatus::as_str))
        .bind(password.is_some())
        .bind(password.and_then(Option::as_ref).map(PasswordHash::expose))
        .bind(password.map(|_| next.consecutive_failures))
        .bind(change.factors.as_deref().map(factors_text))
        .bind(change.attributes.as_ref().map(attributes_text))
        .bind(next.token_version.get())
        .bind(next.revision.cast_signed())
        .bind(now)
        .bind(change.recoveries.as_ref().map(|recoveries| recoveries.to_json().to_string()))
        .bind(change.clear_username)
        .bind(change.status.and_then(UserStatus::since).map(Timestamp::micros))
        .bind(claim.map(Claim::as_str))
        .bind(claim.and_then(Claim::from).map(|from| from.to_string()))
        .bind(change.email.as_ref().and_then(Email::other_spelling))
}
