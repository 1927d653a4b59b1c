//! Access to the application's own routes: what every middleware decides, and every extractor.

use std::fmt;
use std::sync::Arc;

use auth_core::Reason;
use auth_core::proof::LiveSession;
use auth_core::session::Require;
use auth_core::types::Scope;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::caller::{Checked, Source};
use crate::http::refusal::Refusal;
use crate::http::site::Site;

/// An extractor for sessions of some scopes.
#[cfg(any(feature = "axum", feature = "actix"))]
pub(crate) trait OfSession: Sized {
    /// The scopes that the extractor takes.
    const SCOPES: &[Scope] = &[Scope::Full];

    fn of(live: LiveSession, site: &Arc<Site>) -> Self;
}

/// What a middleware leaves for extractors.
#[cfg_attr(not(any(feature = "axum", feature = "actix")), expect(dead_code, reason = "extractors read it"))]
#[derive(Clone)]
pub(crate) struct Identified {
    site: Arc<Site>,
    caller: Caller,
}

/// What the access check found.
#[cfg_attr(not(any(feature = "axum", feature = "actix")), expect(dead_code, reason = "extractors read it"))]
#[derive(Clone)]
enum Caller {
    /// No access token.
    Anonymous,
    /// A good one.
    Live(LiveSession),
    /// A bad one, or the check could not be made.
    Refused(Rejection),
}

/// The rejection of a request by an extractor, as the response that the client gets. Clones share it.
#[derive(Clone, thiserror::Error)]
#[error("{}", .reason.code())]
pub struct Rejection {
    reason: Reason,
    response: Arc<Response<Bytes>>,
}

impl Rejection {
    fn new(site: &Site, refusal: Refusal, headers: &HeaderMap) -> Self {
        let reason = refusal.reason().unwrap_or(Reason::Internal);
        Self { reason, response: Arc::new(site.respond_refused(refusal, headers)) }
    }

    /// Rejects a request to a route without the middleware, which `remedy` adds: without it no caller is known.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn unidentified(remedy: &str, path: &str) -> Self {
        tracing::error!(target: "auth", path, "this route lacks `{remedy}`");
        Self { reason: Reason::Internal, response: Arc::new(internal_server_error()) }
    }

    /// Returns the reason, for a handler that takes the extractor as a `Result` and answers in its own way.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn to_response(&self) -> Response<Bytes> {
        Response::clone(&self.response)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// The guard of an application's routes: what the middleware of every framework asks of a caller.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// Whether only a live session gets through.
    required: bool,
    scopes: &'static [Scope],
    requirements: Arc<[Require]>,
}

impl Guard {
    /// Lets every caller through.
    pub(crate) fn open() -> Self {
        Self { required: false, scopes: &[Scope::Full], requirements: Arc::default() }
    }

    pub(crate) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) fn for_enrolment(self) -> Self {
        Self { scopes: &[Scope::Full, Scope::EnrolFactor], ..self }
    }

    pub(crate) fn require(self, requirement: Require) -> Self {
        let requirements = self.requirements.iter().copied().chain([requirement]).collect();
        Self { required: true, requirements, ..self }
    }

    /// The scopes of the sessions that count.
    pub(crate) fn scopes(&self) -> &'static [Scope] {
        self.scopes
    }

    /// Decides on a request whose token was checked: what extractors learn of it, or the answer to a request that must not
    /// reach a handler.
    pub(crate) fn admit(
        &self,
        site: &Arc<Site>,
        (method, headers): (&Method, &HeaderMap),
        checked: Checked,
    ) -> Result<Identified, Response<Bytes>> {
        let refuse = |refusal: Refusal| site.respond_refused(refusal, headers);
        let caller = match checked.map_err(Refusal::challenging) {
            Ok(Some((_, Source::Cookie))) if !site.settings.origins.permits(method, headers, true) => {
                return Err(refuse(Refusal::cross_origin()));
            }
            Ok(Some((live, _))) => {
                let now = site.system.ports().clock.now();
                let unmet = self.requirements.iter().find_map(|requirement| requirement.check(&live, now).err());
                if let Some(reason) = unmet {
                    return Err(refuse(reason.into()));
                }
                Caller::Live(live)
            }
            Ok(None) if self.required => return Err(refuse(not_authenticated())),
            Ok(None) => Caller::Anonymous,
            Err(refusal) if self.required => return Err(refuse(refusal)),
            Err(refusal) => Caller::Refused(Rejection::new(site, refusal, headers)),
        };
        Ok(Identified { site: Arc::clone(site), caller })
    }
}

#[cfg(any(feature = "axum", feature = "actix"))]
impl Identified {
    /// For an extractor that needs a session.
    pub(crate) fn required<T: OfSession>(&self, headers: &HeaderMap) -> Result<T, Rejection> {
        let reject = |refusal| Err(Rejection::new(&self.site, refusal, headers));
        match &self.caller {
            Caller::Live(live) if T::SCOPES.contains(&live.scope()) => Ok(T::of(*live, &self.site)),
            Caller::Live(_) => reject(Reason::SecondFactorRequired.into()),
            Caller::Refused(rejection) => Err(rejection.clone()),
            Caller::Anonymous => reject(not_authenticated()),
        }
    }

    /// For an extractor that also takes an anonymous caller. A stale token or another scope is as good as none, but a
    /// check that could not be made is no answer.
    pub(crate) fn optional<T: OfSession>(&self) -> Result<Option<T>, Rejection> {
        match &self.caller {
            Caller::Live(live) if T::SCOPES.contains(&live.scope()) => Ok(Some(T::of(*live, &self.site))),
            Caller::Refused(rejection) if rejection.response.status().is_server_error() => Err(rejection.clone()),
            Caller::Refused(_) | Caller::Anonymous | Caller::Live(_) => Ok(None),
        }
    }
}

#[cfg(any(feature = "axum", feature = "actix"))]
fn internal_server_error() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Returns the answer to a request whose refresh cookie cannot be hidden from the application's route.
#[cfg(feature = "actix")]
pub(crate) fn unstrippable(path: &str) -> Response<Bytes> {
    tracing::error!(
        target: "auth",
        path,
        "the refresh cookie cannot be hidden from this route: call `.wrap(auth.middleware())` after the `.wrap` of the \
         middleware that keeps a clone of the request",
    );
    internal_server_error()
}

fn not_authenticated() -> Refusal {
    Refusal::from(Reason::NotAuthenticated).challenging()
}
