//! Extractors: what an application's own handlers learn of their caller. All of it is from the access token: no store is asked.

use std::fmt;
use std::sync::Arc;

use auth_core::error::Error;
use auth_core::proof::LiveSession;
use auth_core::types::{AuthMethods, Channel, Client, Scope, SessionId, TenantId, Timestamp, User, UserId};

use crate::http::Site;
#[cfg(any(feature = "axum", feature = "actix"))]
use crate::http::guard::access::OfSession;

/// The user who is logged in.
#[derive(Clone)]
pub struct CurrentUser {
    live: LiveSession,
    /// The site of the middleware, for [`load`](Self::load).
    site: Arc<Site>,
}

#[cfg(any(feature = "axum", feature = "actix"))]
impl OfSession for CurrentUser {
    fn of(live: LiveSession, site: &Arc<Site>) -> Self {
        Self { live, site: Arc::clone(site) }
    }
}

impl CurrentUser {
    /// The user's id.
    pub fn id(&self) -> UserId {
        self.live.user()
    }

    /// The user's tenant.
    pub fn tenant(&self) -> TenantId {
        self.live.tenant()
    }

    /// Loads the account: address, attributes and all the rest.
    ///
    /// # Errors
    /// `user_not_found`, `user_inactive`, `not_authenticated` when the account changed since the login; `unavailable`.
    pub async fn load(&self) -> Result<User, Error> {
        let client = Client { tenant: self.live.tenant(), ..Client::default() };
        self.site.system.request(&client).current_user(&self.live).await
    }
}

impl fmt::Debug for CurrentUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentUser").field("live", &self.live).finish_non_exhaustive()
    }
}

/// The user who is logged in, or `None` for a caller without a session.
///
/// A stale token counts as none. If the session cannot be checked, the request is rejected with 503.
///
/// In axum, `Option<CurrentUser>` does the same. In actix-web it must not be used, because actix-web takes every rejection
/// for `None`: while the store is down, a user would be treated as an anonymous caller.
#[derive(Clone, Debug)]
pub struct MaybeUser(pub Option<CurrentUser>);

/// The session that the request came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentSession {
    live: LiveSession,
}

#[cfg(any(feature = "axum", feature = "actix"))]
impl OfSession for CurrentSession {
    fn of(live: LiveSession, _: &Arc<Site>) -> Self {
        Self { live }
    }
}

impl CurrentSession {
    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.live.session()
    }

    /// When the user last proved who they are.
    pub fn auth_time(&self) -> Timestamp {
        self.live.auth_time()
    }

    /// How they did.
    pub fn methods(&self) -> AuthMethods {
        self.live.methods()
    }

    /// How the session's tokens travel.
    pub fn channel(&self) -> Channel {
        self.live.channel()
    }

    /// Until when the access token works.
    pub fn expires_at(&self) -> Timestamp {
        self.live.expires_at()
    }
}

/// The user of a session that may enrol a second factor, and perhaps nothing else.
///
/// It is for routes that an account must reach before it has its second factor. Their middleware has to admit such
/// sessions: `auth.layer().for_enrolment()`, or `auth.middleware().for_enrolment()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrollingUser {
    live: LiveSession,
}

#[cfg(any(feature = "axum", feature = "actix"))]
impl OfSession for EnrollingUser {
    const SCOPES: &[Scope] = &[Scope::Full, Scope::EnrolFactor];

    fn of(live: LiveSession, _: &Arc<Site>) -> Self {
        Self { live }
    }
}

impl EnrollingUser {
    /// The user's id.
    pub fn id(&self) -> UserId {
        self.live.user()
    }

    /// The part of the account that the session may use.
    pub fn scope(&self) -> Scope {
        self.live.scope()
    }
}
