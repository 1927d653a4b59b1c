//! Addresses that accounts left. While the owner can take the change back, no other account verifies or moves to them.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::commit::until_won;
use crate::error::{Error, FieldError, FieldReason};
use crate::port::{Event, MailPurpose, StoreError, UserKey};
use crate::types::{Credential, CredentialId, Email, FactorKind, Payload, TenantId, Timestamp, User, UserId, Username};
use crate::{AuthSystem, Request};

const VERSION: u16 = 1;
/// The longest time from here to the write of a move. The notice that the write releases is queued in between.
const MOVE_TAKES: Duration = Duration::from_secs(60);
/// Rows a round.
const ROWS: usize = 1000;

fn kind() -> FactorKind {
    FactorKind("former_email".into())
}

/// Finds the row of an address without naming it.
fn lookup_key(tenant: &TenantId, email: &Email) -> Vec<u8> {
    let tenant = tenant.as_str();
    let digest = Sha256::new().chain_update(format!("former_email {} {tenant} ", tenant.len()));
    digest.chain_update(email.as_str()).finalize().to_vec()
}

fn payload(expires_at: Timestamp) -> Payload {
    Payload { version: VERSION, bytes: expires_at.micros().to_be_bytes().to_vec() }
}

/// Fails closed: an address stays kept whose row cannot be read.
fn is_over(row: &Credential, now: Timestamp) -> bool {
    let micros = row.payload.bytes.as_slice().try_into().ok().filter(|_| row.payload.version == VERSION);
    micros.is_some_and(|micros| Timestamp::from_micros(i64::from_be_bytes(micros)) <= now)
}

impl Request<'_> {
    /// Keeps the present address of an account from others for the life of a "not me" link. Call it before the write that
    /// moves the account: until then the row is inert, because the account still has the address.
    pub(crate) async fn keep_address(&self, user: &User) -> Result<(), Error> {
        let credentials = &self.ports().credentials;
        let key = lookup_key(&user.tenant, &user.email);
        until_won!({
            let lasts = self.ports().clock.now() + self.policy().not_me_link_lifetime;
            let row = Credential {
                id: CredentialId(self.new_id()?),
                tenant: user.tenant,
                user: user.id,
                kind: kind(),
                lookup_key: Some(key.clone()),
                payload: payload(lasts + MOVE_TAKES),
                consecutive_failures: 0,
                revision: 0,
            };
            if credentials.insert(&row).await? {
                return Ok(Some(()));
            }
            let Some(found) = credentials.find_by_key(&user.tenant, &row.kind, &key).await? else { return Ok(None) };
            let theirs = found.user != user.id && !is_over(&found, self.ports().clock.now());
            if theirs || !is_over(&found, lasts) {
                return Ok(Some(()));
            }
            credentials.remove(&found.tenant, found.id).await?;
            Ok(None)
        })
    }

    /// Returns the account that left this address and can still take that back, unless it is `user` itself.
    pub(crate) async fn left_by_another(
        &self,
        tenant: &TenantId,
        email: &Email,
        user: Option<&UserId>,
    ) -> Result<Option<UserId>, StoreError> {
        let key = lookup_key(tenant, email);
        let found = self.ports().credentials.find_by_key(tenant, &kind(), &key).await?;
        let now = self.ports().clock.now();
        Ok(found.filter(|row| !is_over(row, now)).map(|row| row.user).filter(|owner| user != Some(owner)))
    }

    /// Answers a sign-up for an address that another account left: with the work of one for a free address, and a mail
    /// that says why no account was made.
    pub(crate) async fn sign_up_at_former_email(
        &self,
        email: &Email,
        username: Option<&Username>,
        left_by: UserId,
    ) -> Result<(), Error> {
        let taken = |field| Err(Error::invalid_fields(vec![FieldError { field, reason: FieldReason::Taken }]));
        let users = &self.ports().users;
        if let Some(username) = username
            && users.find(self.tenant(), UserKey::Username(username)).await?.is_some()
        {
            return taken("username");
        }
        if self.policy().reveal_taken_emails {
            return taken("email");
        }
        let event = Event::FormerEmailWanted { user: left_by };
        self.change_nothing(event, left_by, &format!("account of {}", email.as_str())).await?;
        self.queue_mail(email, MailPurpose::AddressReserved).await
    }
}

impl AuthSystem {
    /// Removes the rows of former addresses that are no longer kept, up to a thousand. The worker calls this.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_former_emails(&self) -> Result<usize, Error> {
        let (credentials, now) = (&self.ports().credentials, self.ports().clock.now());
        let before = CredentialId::first_at(now - self.policy().not_me_link_lifetime);
        let mut removed = 0;
        for row in credentials.older_of_kind(&kind(), before, ROWS).await? {
            if is_over(&row, now) {
                removed += usize::from(credentials.remove(&row.tenant, row.id).await?);
            }
        }
        Ok(removed)
    }
}
