//! One request to the account system: the client that asks, its tenant, and the policy that applies to it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::AuthSystem;
use crate::policy::Policy;
use crate::types::{Client, TenantId};

/// The account system as one client meets it. Its methods are the flows; each file under [`account`](crate::account),
/// [`login`](crate::login) and their siblings adds its own.
///
/// It is cheap to make, and made by [`AuthSystem::request`]. It also is the system itself, by [`Deref`].
#[derive(Clone)]
pub struct Request<'a> {
    system: &'a AuthSystem,
    client: Cow<'a, Client>,
    actor: Option<Box<str>>,
    policy: Arc<Policy>,
}

impl AuthSystem {
    /// Begins a request of a client, by the policy of its tenant.
    pub fn request<'a>(&'a self, client: &'a Client) -> Request<'a> {
        Request { system: self, policy: self.policy_of(&client.tenant), client: Cow::Borrowed(client), actor: None }
    }

    /// Begins a request that no client asked for: of the worker, or of an operator.
    pub(crate) fn within(&self, tenant: TenantId) -> Request<'_> {
        let client = Client { tenant, ..Client::default() };
        Request { system: self, policy: self.policy_of(&tenant), client: Cow::Owned(client), actor: None }
    }
}

impl<'a> Request<'a> {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The tenant that the client's accounts belong to.
    pub fn tenant(&self) -> &TenantId {
        &self.client.tenant
    }

    /// The policy of the tenant. It hides that of the system, [`AuthSystem::policy`].
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy of the tenant, for what outlives the request.
    pub fn shared_policy(&self) -> Arc<Policy> {
        self.policy.clone()
    }

    /// The name of the operator or job that acts; `None` where the client acts for itself.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    pub(crate) fn acting_as(self, actor: Box<str>) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// This request, in another tenant.
    pub(crate) fn in_tenant(self, tenant: TenantId) -> Self {
        Self { actor: self.actor, ..self.system.within(tenant) }
    }
}

impl Deref for Request<'_> {
    type Target = AuthSystem;

    fn deref(&self) -> &AuthSystem {
        self.system
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("tenant", &self.client.tenant)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}
