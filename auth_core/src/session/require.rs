//! Requirements on a session, beyond that it is live.

use std::time::Duration;

use crate::error::Reason;
use crate::proof::LiveSession;
use crate::types::{AuthMethods, Timestamp};

/// A requirement that a route makes on the caller's session. The access token alone answers it, so no store is asked.
///
/// A route may make several; a session must meet all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Require(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Recent(Duration),
    Method(AuthMethods),
}

impl Require {
    /// Requires that the user proved who they are within `max_age`, by a login or by `reauthenticate/`. A refresh is no
    /// proof.
    pub const fn recent(max_age: Duration) -> Self {
        Self(Kind::Recent(max_age))
    }

    /// Requires that the session was shown each of these methods, such as [`AuthMethods::MULTI_FACTOR`].
    pub const fn method(methods: AuthMethods) -> Self {
        Self(Kind::Method(methods))
    }

    /// Judges a session at `now`.
    ///
    /// # Errors
    /// Returns [`Reason::SecondFactorNeeded`] where a code would help, else [`Reason::ReauthenticationRequired`]; both
    /// have the code `reauthentication_required`.
    pub fn check(&self, live: &LiveSession, now: Timestamp) -> Result<(), Reason> {
        match self.0 {
            Kind::Recent(max_age) if now.since(live.auth_time()) <= max_age => Ok(()),
            Kind::Method(methods) if live.methods().contains(methods) => Ok(()),
            Kind::Method(methods) if !AuthMethods::PASSWORD.contains(methods) => Err(Reason::SecondFactorNeeded),
            Kind::Recent(_) | Kind::Method(_) => Err(Reason::ReauthenticationRequired),
        }
    }
}
