//! A shared store is a store: every port goes through `Arc`, also to a trait object.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    At, AttemptKey, AttemptStore, ChangePage, ClaimedMail, CredentialStore, DataKeyUse, DataKeysInUse, DeadMail,
    DeadMails, Hit, Lapse, LoginRecord, MailIntent, MailOutbox, NewUser, PendingSessionStore, Rotation, SessionInsert,
    SessionStore, Settlement, Since, StoreError, UserChange, UserDirectory, UserInsert, UserKey, UserSecurity,
    UserStore, UserUpdate,
};
use crate::types::{
    Credential, CredentialId, FactorKind, Limit, MailId, Payload, PendingId, PendingSession, Session, SessionId,
    TenantId, Timestamp, User, UserId, UserStatus,
};

macro_rules! forward {
    ($($port:ident { $($verb:ident($($name:ident: $type:ty),*) -> $answer:ty;)+ })+) => {
        $(
            #[async_trait]
            #[deny(clippy::missing_trait_methods)]
            impl<P: $port + ?Sized> $port for Arc<P> {
                $(
                    async fn $verb(&self, $($name: $type),*) -> Result<$answer, StoreError> {
                        (**self).$verb($($name),*).await
                    }
                )+
            }
        )+
    };
}

forward! {
    UserStore {
        insert(user: &NewUser) -> UserInsert;
        find(tenant: &TenantId, key: UserKey<'_>) -> Option<User>;
        update_if(current: &User, change: &UserChange) -> UserUpdate;
        remove_if(current: &User) -> bool;
        count_failure(tenant: &TenantId, id: &UserId, below: u32) -> bool;
        dummy_write(row: &str) -> ();
        record_login(tenant: &TenantId, id: &UserId, login: &LoginRecord) -> ();
        changes(since: &Since, limit: usize) -> ChangePage<UserSecurity>;
    }
    UserDirectory {
        list(tenant: &TenantId, status: Option<UserStatus>, after: Option<&UserId>, limit: usize) -> Vec<User>;
        superusers(tenant: &TenantId) -> Vec<User>;
        lapsed(kind: Lapse, before: Timestamp, limit: usize) -> Vec<User>;
        purge_deleted(age: Duration, limit: usize) -> usize;
    }
    SessionStore {
        insert(session: &Session) -> SessionInsert;
        find(tenant: &TenantId, id: SessionId) -> Option<At<Session>>;
        of_user(tenant: &TenantId, user: &UserId, after: Option<(Timestamp, SessionId)>, limit: usize) -> Vec<Session>;
        rotate_if(current: &Session, next: &Rotation) -> Option<Session>;
        note_presented(tenant: &TenantId, id: SessionId, generation: u32) -> bool;
        revoke(tenant: &TenantId, id: SessionId, at: Timestamp) -> bool;
        revocations(since: &Since, limit: usize) -> ChangePage<SessionId>;
        purge_ended(age: Duration, limit: usize) -> usize;
    }
    CredentialStore {
        insert(credential: &Credential) -> bool;
        find(tenant: &TenantId, id: CredentialId) -> Option<Credential>;
        find_by_key(tenant: &TenantId, kind: &FactorKind, key: &[u8]) -> Option<Credential>;
        of_user(tenant: &TenantId, user: &UserId) -> Vec<Credential>;
        older_of_kind(kind: &FactorKind, before: CredentialId, limit: usize) -> Vec<Credential>;
        update_if(current: &Credential, payload: &Payload) -> Option<Credential>;
        count_failure(tenant: &TenantId, id: CredentialId, below: u32) -> bool;
        remove(tenant: &TenantId, id: CredentialId) -> bool;
    }
    PendingSessionStore {
        put(pending: &PendingSession) -> ();
        attempt(id: &PendingId, limit: u32, now: Timestamp) -> Option<PendingSession>;
        find(id: &PendingId, now: Timestamp) -> Option<PendingSession>;
        take(id: &PendingId, now: Timestamp) -> Option<PendingSession>;
    }
    AttemptStore {
        hit(key: &AttemptKey, limit: Limit) -> Hit;
        draw(key: &AttemptKey, limit: Limit) -> bool;
        clear(key: &AttemptKey) -> ();
    }
    MailOutbox {
        enqueue(id: MailId, intent: &MailIntent, now: Timestamp) -> ();
        claim(now: Timestamp, lease: Duration, limit: usize) -> Vec<ClaimedMail>;
        settle(claim: &ClaimedMail, settlement: Settlement) -> bool;
    }
    DataKeyUse {
        data_keys_in_use() -> DataKeysInUse;
    }
    DeadMails {
        dead_mails(limit: usize) -> Vec<DeadMail>;
        revive(id: MailId, now: Timestamp) -> bool;
    }
}
