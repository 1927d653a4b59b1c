//! The way of a request: size of the headers, row, method, cross-origin check, limit by address, body, access, handler,
//! headers of every answer. Each step is here once.

use std::net::IpAddr;
use std::sync::Arc;

use auth_core::Reason;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_LENGTH,
    HeaderMap, HeaderValue,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::answer::Answer;
use super::guard::caller;
use super::operation::{Access, Call, Effect, Operation};
use super::refusal::Refusal;
use super::response::{Body, BoxError};
use super::site::{MAX_BODY_BYTES, MAX_HEADER_BYTES, Site};
use super::table::{self, Table};
use super::values::Values;

/// The site and the table of its endpoints: everything that a request meets.
pub(crate) struct Service {
    pub(crate) site: Arc<Site>,
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
            Err(refusal) => self.site.refuse(refusal).map(Body::whole),
        };
        self.site.finish(response.headers_mut(), &headers);
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
        let tenant = caller::tenant(&self.site, headers).ok_or_else(Refusal::not_found)?;
        let below = self.site.settings.below_public_path(uri.path()).ok_or_else(Refusal::not_found)?;
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
        if !self.site.settings.origins.permits(method, headers, caller::has_cookie(&self.site, headers)) {
            return Err(Refusal::cross_origin());
        }
        if endpoint.effect == Effect::Changes && endpoint.method == Method::GET {
            if is_prefetch(headers) {
                return Err(Refusal::prefetch_refused());
            }
            if method == Method::HEAD {
                return Ok(Answer::empty().into_response(&self.site));
            }
        }
        let client = caller::client(&self.site, tenant, headers, peer);
        // Before the body is read: what is malformed counts as well.
        if let Some(throttle) = endpoint.throttle {
            throttle.count(&self.site, &client).await?;
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
                let caller = caller::authenticate(&self.site, headers, scopes).await.map_err(Refusal::challenging)?;
                let (live, _) = caller.ok_or_else(|| Refusal::from(Reason::NotAuthenticated).challenging())?;
                let now = self.site.system.ports().clock.now();
                let unmet = endpoint.requirements.iter().find_map(|requirement| requirement.check(&live, now).err());
                if let Some(reason) = unmet {
                    return Err(reason.into());
                }
                Some(live)
            }
            Access::Anyone => None,
        };
        let call = Call::new(&self.site, (client, headers), (endpoint.path, below), values, session);
        let answer = (endpoint.handler)(call).await;
        // Only where a session was asked for does a 401 mean that one is missing.
        let answer = if session.is_some() { answer.map_err(Refusal::challenging) } else { answer };
        Ok(answer?.into_response(&self.site))
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
        let arrival = timeout(self.site.settings.body_timeout, Limited::new(body, MAX_BODY_BYTES).collect());
        match arrival.await.map_err(|_| Refusal::body_timeout())? {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::body_too_large(MAX_BODY_BYTES)),
            Err(_) => Err(Refusal::body_incomplete()),
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

/// The answer to OPTIONS, which is also a preflight's; [`Site::finish`] takes the CORS part away from strangers.
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
