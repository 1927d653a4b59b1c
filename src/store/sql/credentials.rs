//! The credentials beside passwords.

use async_trait::async_trait;
use auth_core::port::{CredentialStore, StoreError};
use auth_core::types::{Credential, CredentialId, FactorKind, Payload, TenantId, UserId};

use super::row::{Fields, sql_limit, uuid_bytes};
use super::statement::{query, statements};
use super::{Database, SqlStore};

const COLUMNS: &str = "id, tenant, user_id, kind, lookup_key, version, payload, consecutive_failures, revision";

statements! { COLUMNS;
    INSERT = "
        INSERT INTO auth_credentials ({columns}) VALUES ({values})
        ON CONFLICT (tenant, kind, lookup_key) WHERE lookup_key IS NOT NULL DO NOTHING RETURNING id";
    FIND = "SELECT {columns} FROM auth_credentials WHERE id = $1 AND tenant = $2";
    FIND_BY_KEY = "SELECT {columns} FROM auth_credentials WHERE tenant = $1 AND kind = $2 AND lookup_key = $3";
    OF_USER = "SELECT {columns} FROM auth_credentials WHERE tenant = $1 AND user_id = $2 ORDER BY id";
    OLDER_OF_KIND = "SELECT {columns} FROM auth_credentials WHERE kind = $1 AND id < $2 ORDER BY id LIMIT $3";
    UPDATE_IF = "
        UPDATE auth_credentials SET version = $4, payload = $5, consecutive_failures = 0, revision = revision + 1
        WHERE id = $1 AND tenant = $2 AND revision = $3 RETURNING {columns}";
    COUNT_FAILURE = "
        UPDATE auth_credentials SET consecutive_failures = consecutive_failures + 1
        WHERE id = $1 AND tenant = $2 AND consecutive_failures < $3 RETURNING id";
    REMOVE = "DELETE FROM auth_credentials WHERE id = $1 AND tenant = $2 RETURNING id";
}

#[async_trait]
impl<D: Database> CredentialStore for SqlStore<D> {
    async fn insert(&self, credential: &Credential) -> Result<bool, StoreError> {
        let statement = |_| {
            query(&INSERT)
                .bind(uuid_bytes(credential.id.0))
                .bind(credential.tenant.as_str())
                .bind(credential.user.as_str())
                .bind(&*credential.kind.0)
                .bind(credential.lookup_key.clone())
                .bind(credential.payload.version)
                .bind(credential.payload.bytes.clone())
                .bind(credential.consecutive_failures)
                .bind(credential.revision.cast_signed())
        };
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn find(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        let rows = self.read(query(&FIND).bind(uuid_bytes(id.0)).bind(tenant.as_str())).await?;
        rows.first().map(|row| Fields(row).credential()).transpose()
    }

    async fn find_by_key(
        &self,
        tenant: &TenantId,
        kind: &FactorKind,
        key: &[u8],
    ) -> Result<Option<Credential>, StoreError> {
        let statement = query(&FIND_BY_KEY).bind(tenant.as_str()).bind(&*kind.0).bind(key);
        self.read(statement).await?.first().map(|row| Fields(row).credential()).transpose()
    }

    async fn of_user(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        let rows = self.read(query(&OF_USER).bind(tenant.as_str()).bind(user.as_str())).await?;
        rows.iter().map(|row| Fields(row).credential()).collect()
    }

    async fn older_of_kind(
        &self,
        kind: &FactorKind,
        before: CredentialId,
        limit: usize,
    ) -> Result<Vec<Credential>, StoreError> {
        let statement = query(&OLDER_OF_KIND).bind(&*kind.0).bind(uuid_bytes(before.0)).bind(sql_limit(limit));
        self.read(statement).await?.iter().map(|row| Fields(row).credential()).collect()
    }

    async fn update_if(&self, current: &Credential, payload: &Payload) -> Result<Option<Credential>, StoreError> {
        let statement = |_| {
            query(&UPDATE_IF)
                .bind(uuid_bytes(current.id.0))
                .bind(current.tenant.as_str())
                .bind(current.revision.cast_signed())
                .bind(payload.version)
                .bind(payload.bytes.clone())
        };
        self.write(statement).await?.first().map(|row| Fields(row).credential()).transpose()
    }

    async fn count_failure(&self, tenant: &TenantId, id: CredentialId, below: u32) -> Result<bool, StoreError> {
        let statement = |_| query(&COUNT_FAILURE).bind(uuid_bytes(id.0)).bind(tenant.as_str()).bind(below);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn remove(&self, tenant: &TenantId, id: CredentialId) -> Result<bool, StoreError> {
        Ok(!self.write(|_| query(&REMOVE).bind(uuid_bytes(id.0)).bind(tenant.as_str())).await?.is_empty())
    }
}
