//! An unverified account gives way to the owner of the mailbox.

use uuid::Uuid;

use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::Error;
use crate::port::{Event, UserChange, UserKey};
use crate::types::{Email, UserId, UserStatus};

impl Request<'_> {
    /// Sees to it that no unverified account stands between an account and an address whose mailbox its owner proved.
    /// Returns `false` when a verified account has the address.
    ///
    /// The unverified account is marked as deleted, and leaves the address and the username, in one compare-and-swap. The
    /// caller's own write follows. It meets a conflict when another account took the address in between, and starts again.
    pub(crate) async fn make_way(&self, mover: &UserId, email: &Email) -> Result<bool, Error> {
        let users = &self.ports().users;
        until_won!({
            let found = users.find(self.tenant(), UserKey::Email(email)).await?;
            let Some(holder) = found.filter(|holder| holder.id != *mover) else { return Ok(Some(true)) };
            if holder.is_verified() {
                return Ok(Some(false));
            }
            let write = UserChange {
                status: Some(UserStatus::Deleted),
                email: Some(tombstone(self.new_id()?)?),
                ..UserChange::disowning()
            };
            let change = Change::new(Event::UnverifiedGaveWay { user: holder.id }, write);
            let Some(gone) = self.commit(&holder, change).await? else { return Ok(None) };
            self.remove_credentials_of(&gone).await;
            Ok(Some(true))
        })
    }
}

/// An address that no mail reaches and no client can guess.
fn tombstone(id: Uuid) -> Result<Email, Error> {
    Email::parse(&format!("{id}@deleted.invalid")).map_err(Error::internal)
}
