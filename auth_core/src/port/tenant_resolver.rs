use std::fmt;

use crate::types::TenantId;

/// Tells the tenant of a request, before anything else is read.
///
/// Every request asks, those to the application's own routes as well. A resolver therefore answers from memory, and
/// follows changes of its tenants by itself.
pub trait TenantResolver: Send + Sync + 'static {
    /// Returns the tenant; `None` for an unknown one, which gets 404.
    fn resolve(&self, request: &TenantQuery<'_>) -> Option<TenantId>;
}

/// The parts of a request that may name a tenant. A client chooses all of them.
#[non_exhaustive]
pub struct TenantQuery<'a> {
    /// Returns the value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl<'a> TenantQuery<'a> {
    /// Joins the parts.
    pub fn new(header: &'a dyn Fn(&str) -> Option<&'a str>) -> Self {
        Self { header }
    }
}

impl fmt::Debug for TenantQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantQuery").finish_non_exhaustive()
    }
}

/// The default resolver: one tenant for all requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneTenant(pub TenantId);

impl TenantResolver for OneTenant {
    fn resolve(&self, _: &TenantQuery<'_>) -> Option<TenantId> {
        Some(self.0)
    }
}
