//! The way of a request: size of the headers, row, method, cross-origin check, limit by address, body, access, handler,
//! headers of every answer. Each step is here once.

use std::net::IpAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use auth_core::{AuthSystem, Reason};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL,
    CONTENT_LENGTH, HeaderMap, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ipnet::IpNet;
use tokio::time::timeout;

use super::answer::Answer;
use super::dialect::Dialect;
use super::guard::caller;
use super::guard::cookie::Cookies;
use super::guard::origin::Origins;
use super::operation::{Access, Call, Effect, Operation};
use super::refusal::Refusal;
use super::response::{Body, BoxError};
use super::table::{self, Table};
use super::values::Values;
use crate::config::Throttles;

/// The largest body that is read, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest headers that are read, in bytes: names and values.
pub(super) const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The settings that this layer goes by, checked and prepared.
pub(crate) struct HttpSettings {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) public_path: String,
    pub(crate) cookies: Cookies,
    pub(crate) bearer: bool,
    pub(crate) origins: Origins,
    pub(crate) throttles: Throttles,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Says once for this system that a proxy is not trusted.
    pub(crate) proxy_warning: Once,
    pub(crate) body_timeout: Duration,
    /// The OpenAPI document that is served. It is rendered at `build()`, so that anonymous requests cost no rendering.
    #[cfg(feature = "openapi")]
    pub(crate) document: Option<Bytes>,
}

impl HttpSettings {
    /// What a whole path, as the client sent it, has below the public one; `None` for a path of the application's own.
    pub(crate) fn below_public_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(&self.public_path)?;
        if below.is_empty() { Some("") } else { below.strip_prefix('/') }
    }
}

/// The flows, the table of endpoints and the settings that they go by: everything that a request meets.
pub(crate) struct Service {
    pub(crate) system: AuthSystem,
    pub(crate) settings: HttpSettings,
    pub(crate) table: Table,
}

impl Service {
    /// Answers one request. `peer` is the address at the other end of the connection.
    pub(crate) async fn respond<B>(self: &Arc<Self>, request: Request<B>, peer: Option<IpAddr>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        let (http::request::Parts { method, uri, headers, .. }, body) = request.into_parts();
        let headers = Arc::new(headers);
        let mut response = match self.handle((&method, &uri, &headers), body, peer).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(refusal).map(Body::whole),
        };
        self.finish(response.headers_mut(), &headers);
        if method == Method::HEAD && response.status() != StatusCode::NO_CONTENT {
            let body = std::mem::replace(response.body_mut(), Body::whole(Bytes::new()));
            if let Some(length) = body.length() {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
        }
        response
    }

    async fn handle<B>(
        self: &Arc<Self>,
        (method, uri, headers): (&Method, &Uri, &Arc<HeaderMap>),
        body: B,
        peer: Option<IpAddr>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        check_header_size(headers)?;
        let below = self.settings.below_public_path(uri.path()).ok_or_else(Refusal::not_found)?;
        let endpoints = self.table.at(below);
        if endpoints.is_empty() {
            return Err(Refusal::not_found());
        }
        if method == Method::OPTIONS {
            return Ok(options(&endpoints));
        }
        let endpoint = endpoints
            .iter()
            .find(|endpoint| endpoint.answers(method))
            .ok_or_else(|| Refusal::method_not_allowed(method, &table::allow(&endpoints)))?;
        if !self.settings.origins.permits(method, headers, caller::has_cookie(self, headers)) {
            return Err(Refusal::cross_origin());
        }
        if endpoint.effect == Effect::Changes && endpoint.method == Method::GET {
            if is_prefetch(headers) {
                return Err(Refusal::prefetch_refused());
            }
            if method == Method::HEAD {
                return Ok(Answer::empty().into_response(self));
            }
        }
        let client = caller::client(self, headers, peer);
        // Before the body is read: what is malformed counts as well.
        if let Some(throttle) = endpoint.throttle {
            throttle.count(self, &client).await?;
        }
        let values = if endpoint.method == Method::GET {
            Values::from_urlencoded(uri.query().unwrap_or("").as_bytes())
        } else if endpoint.fields.is_empty() {
            Values::default()
        } else {
            Values::from_body(headers, &self.read_body(headers, body).await?)?
        };
        let session = match endpoint.access {
            Access::Session(scopes) => {
                let caller = caller::authenticate(self, headers, scopes).await.map_err(Refusal::challenging)?;
                let (live, _) = caller.ok_or_else(|| Refusal::from(Reason::NotAuthenticated).challenging())?;
                Some(live)
            }
            Access::Anyone => None,
        };
        let call = Call::new(self, (client, headers), (endpoint.path, below), values, session);
        let answer = (endpoint.handler)(call).await;
        // Only where a session was asked for does a 401 mean that one is missing.
        let answer = if session.is_some() { answer.map_err(Refusal::challenging) } else { answer };
        Ok(answer?.into_response(self))
    }

    /// Reads a body up to the limits of size and time, and ignores the length that the client claims.
    async fn read_body<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        let claimed = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if claimed.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
            return Err(Refusal::body_too_large(MAX_BODY_BYTES));
        }
        // One limit for the whole body: a client that sends a byte at a time gains nothing.
        let arrival = timeout(self.settings.body_timeout, Limited::new(body, MAX_BODY_BYTES).collect());
        match arrival.await.map_err(|_| Refusal::body_timeout())? {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::body_too_large(MAX_BODY_BYTES)),
            Err(_) => Err(Refusal::body_incomplete()),
        }
    }

    /// A refusal with the headers of every answer.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn respond_refused(&self, refusal: Refusal, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = self.refuse(refusal);
        self.finish(response.headers_mut(), headers);
        response
    }

    /// A refusal as a response. Operators read the cause in the log; the client does not.
    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        if let Some(error) = refusal.cause.as_ref().filter(|_| refusal.status().is_server_error()) {
            let cause = std::error::Error::source(error).map(tracing::field::display);
            tracing::error!(target: "auth", %error, cause, "request failed");
        }
        refusal.into_response(self.settings.dialect)
    }

    /// What every answer of ours carries.
    fn finish(&self, headers: &mut HeaderMap, request: &HeaderMap) {
        let origin = self.settings.origins.allowed_of(request).and_then(|origin| HeaderValue::from_str(origin).ok());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        match origin {
            Some(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
            }
            None => {
                for name in [ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_MAX_AGE] {
                    headers.remove(name);
                }
            }
        }
    }
}

fn check_header_size(headers: &HeaderMap) -> Result<(), Refusal> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADER_BYTES { Err(Refusal::headers_too_large(MAX_HEADER_BYTES)) } else { Ok(()) }
}

/// A browser that fetches ahead of its user must not use up a link.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("prefetch")))
    };
    says("sec-purpose") || says("purpose") || says("x-moz")
}

/// The answer to OPTIONS, which is also a preflight's; [`Service::finish`] takes the CORS part away from strangers.
fn options(endpoints: &[&Operation]) -> Response<Body> {
    let mut response = Response::new(Body::none());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Ok(allow) = HeaderValue::from_str(&table::allow(endpoints)) {
        headers.insert(ALLOW, allow.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}
