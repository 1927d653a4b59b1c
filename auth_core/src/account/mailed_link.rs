//! The check of a mailed link whose token no row keeps. Links that carry their content sealed are opened before their
//! account is read: see `change_email`, `not_me` and `dispute`.

use crate::Request;
use crate::error::Error;
use crate::port::UserKey;
use crate::token::LinkPurpose;
use crate::types::{User, UserId};

impl Request<'_> {
    /// Returns the account that a mailed link names, if the token was made for this purpose and for the account as it is
    /// now. A link to an unknown account costs the same check.
    ///
    /// Call it once more after a lost compare-and-swap, because the token is bound to the state of the row.
    pub(crate) async fn account_of_link(
        &self,
        purpose: LinkPurpose,
        user: Option<&UserId>,
        token: &str,
    ) -> Result<Option<User>, Error> {
        let ports = self.ports();
        let found = match user {
            Some(id) => ports.users.find(self.tenant(), UserKey::Id(id)).await?,
            None => None,
        };
        let genuine = self.tokens().verify_link(purpose, found.as_ref(), token, ports.clock.now());
        Ok(found.filter(|_| genuine))
    }
}
