//! An unverified account gives way to the owner of the mailbox.

use uuid::Uuid;

use crate::AuthSystem;
use crate::error::Error;
use crate::port::{Event, UserChange, UserKey, UserUpdate};
use crate::retry::{MAX_ATTEMPTS, contended, housekeeping};
use crate::types::{Email, TenantId, User, UserId, UserStatus};

impl AuthSystem {
    /// Sees to it that no unverified account stands between an account and an address whose mailbox its owner proved.
    /// Returns `false` when a verified account has the address.
    ///
    /// The unverified account is marked as deleted, and leaves the address and the username, in one compare-and-swap. The
    /// caller's own write follows. It meets a conflict when another account took the address in between, and starts again.
    pub(crate) async fn make_way(&self, tenant: &TenantId, mover: &UserId, email: &Email) -> Result<bool, Error> {
        let users = &self.ports().users;
        for _ in 0..MAX_ATTEMPTS {
            let found = users.find(tenant, UserKey::Email(email)).await?;
            let Some(holder) = found.filter(|holder| holder.id != *mover) else { return Ok(true) };
            if holder.is_verified() {
                return Ok(false);
            }
            let change = UserChange {
                status: Some(UserStatus::Deleted),
                email: Some(tombstone(self.new_id()?)?),
                ..UserChange::disowning()
            };
            if let UserUpdate::Done(gone) = users.update_if(&holder, &change).await? {
                self.account_changed(&gone);
                self.record(tenant, Event::UnverifiedGaveWay { user: gone.id });
                self.remove_all_credentials(&gone).await;
                return Ok(true);
            }
        }
        Err(contended())
    }

    async fn remove_all_credentials(&self, gone: &User) {
        let credentials = &self.ports().credentials;
        match credentials.of_user(&gone.tenant, &gone.id).await {
            Ok(rows) => {
                for row in rows {
                    housekeeping(credentials.remove(&row.tenant, row.id).await, "removing a credential");
                }
            }
            failed => housekeeping(failed, "looking for credentials"),
        }
    }
}

/// An address that no mail reaches and no client can guess.
fn tombstone(id: Uuid) -> Result<Email, Error> {
    Email::parse(&format!("{id}@deleted.invalid")).map_err(Error::internal)
}
