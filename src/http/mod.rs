//! The framework-neutral service: an `http::Request` in, an `http::Response` out. Adapters only translate.
//!
//! The way of a request: size of the headers, route, method, cross-origin check, body, access, handler, headers of
//! every answer. Each step is here once.

#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) mod access;
mod address;
pub(crate) mod caller;
mod change_email;
mod change_password;
pub(crate) mod cookie;
mod deactivate;
mod doc;
mod fields;
mod link;
mod login;
mod logout;
mod me;
mod not_me;
#[cfg(feature = "openapi")]
pub(crate) mod openapi;
pub(crate) mod operation;
mod origin;
mod password_reset;
pub(crate) mod problem;
mod qr;
mod reauthenticate;
mod refresh;
mod reply;
mod signup;
pub(crate) mod table;
pub(crate) mod throttle;
mod two_factor;
mod verify_email;

use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

use auth_core::Reason;
use auth_core::types::Client;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL,
    CONTENT_LENGTH, HeaderMap, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ipnet::IpNet;
use tokio::time::timeout;

pub(crate) use self::cookie::Cookies;
use self::fields::Fields;
pub(crate) use self::origin::Origins;
use self::problem::Problem;
use self::reply::Reply;
use self::table::{Access, Effect, Endpoint};
use crate::Auth;
use crate::config::{Profile, Throttles};

/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest headers that are read, in bytes: names and values.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The settings that this layer goes by, checked and prepared.
pub(crate) struct HttpSettings {
    pub(crate) profile: Profile,
    pub(crate) public_path: String,
    pub(crate) cookies: Cookies,
    pub(crate) bearer: bool,
    pub(crate) origins: Origins,
    pub(crate) throttles: Throttles,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Says once for this system that a proxy is not trusted.
    pub(crate) proxy_warning: Once,
    pub(crate) body_timeout: Duration,
    /// The documents that are served, rendered.
    #[cfg(feature = "openapi")]
    pub(crate) documents: Option<openapi::Documents>,
}

impl HttpSettings {
    /// Whether a whole path, as the client sent it, is one that this service answers.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn is_below_public_path(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.public_path);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// One request, as handlers see it.
pub(crate) struct Exchange<'a> {
    pub(crate) auth: &'a Auth,
    pub(crate) client: Client,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) fields: Fields,
}

impl Exchange<'_> {
    pub(crate) fn profile(&self) -> Profile {
        self.auth.http().profile
    }
}

impl Auth {
    /// Answers one request: the bare service that every adapter runs.
    ///
    /// `peer` is the address at the other end of the connection. Paths outside
    /// [`public_path`](crate::Config::public_path) are answered with 404.
    pub async fn respond<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Response<Bytes>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let outcome = self.handle(&parts, body, peer).await;
        let mut response = match outcome {
            Ok(response) => response,
            Err(problem) => self.refuse(problem),
        };
        self.finish(&mut response, &parts.headers);
        if parts.method == Method::HEAD && response.status() != StatusCode::NO_CONTENT {
            let length = response.body().len();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = Bytes::new();
        }
        response
    }

    async fn handle<B>(
        &self,
        parts: &http::request::Parts,
        body: B,
        peer: Option<IpAddr>,
    ) -> Result<Response<Bytes>, Problem>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let headers = &parts.headers;
        check_header_size(headers)?;
        let endpoints = self.table().at(&self.http().public_path, parts.uri.path()).ok_or_else(Problem::not_found)?;
        if parts.method == Method::OPTIONS {
            return Ok(options(&endpoints));
        }
        let endpoint = endpoints
            .iter()
            .find(|endpoint| endpoint.answers(&parts.method))
            .ok_or_else(|| Problem::method_not_allowed(&parts.method, &table::allow(&endpoints)))?;
        if !self.http().origins.permits(&parts.method, headers, caller::has_cookie(self, headers)) {
            return Err(Problem::cross_origin());
        }
        if endpoint.effect == Effect::Changes && endpoint.method == Method::GET {
            if is_prefetch(headers) {
                return Err(Problem::prefetch_refused());
            }
            if parts.method == Method::HEAD {
                return Ok(Reply::empty().into_response());
            }
        }
        let client = caller::client(self, headers, peer);
        // Before the body is read: what is malformed counts as well.
        if let Some(throttle) = endpoint.throttle {
            throttle.count(self, &client).await?;
        }
        let fields = match endpoint.effect {
            _ if endpoint.method == Method::GET => Fields::from_urlencoded(parts.uri.query().unwrap_or("").as_bytes()),
            _ if !endpoint.reads_body => Fields::default(),
            _ => Fields::from_body(headers, &self.read_body(headers, body).await?)?,
        };
        let exchange = Exchange { auth: self, client, headers, fields };
        let answer = match endpoint.access {
            Access::Session(scopes) => {
                let caller = caller::authenticate(self, headers, scopes).await.map_err(Problem::challenging)?;
                let (live, _) = caller.ok_or_else(|| Problem::from(Reason::NotAuthenticated).challenging())?;
                endpoint.handler.run(exchange, Some(live)).await.map_err(Problem::challenging)
            }
            Access::Anyone => endpoint.handler.run(exchange, None).await,
        };
        Ok(answer?.into_response())
    }

    /// Reads a body up to the limits of size and time, and ignores the length that the client claims.
    async fn read_body<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Problem>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let claimed = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if claimed.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
            return Err(Problem::body_too_large(MAX_BODY_BYTES));
        }
        // One limit for the whole body: a client that sends a byte at a time gains nothing.
        let arrival = timeout(self.http().body_timeout, Limited::new(body, MAX_BODY_BYTES).collect());
        match arrival.await.map_err(|_| Problem::body_timeout())? {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(MAX_BODY_BYTES)),
            Err(_) => Err(Problem::body_incomplete()),
        }
    }

    /// A refusal with the headers of every answer.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn respond_refused(&self, problem: Problem, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = self.refuse(problem);
        self.finish(&mut response, headers);
        response
    }

    /// A refusal as a response. Operators read the cause in the log; the client does not.
    fn refuse(&self, problem: Problem) -> Response<Bytes> {
        if let Some(error) = problem.cause.as_ref().filter(|_| problem.status().is_server_error()) {
            let cause = std::error::Error::source(error).map(tracing::field::display);
            tracing::error!(target: "auth", %error, cause, "request failed");
        }
        problem.into_response(self.http().profile)
    }

    /// What every answer of ours carries.
    fn finish(&self, response: &mut Response<Bytes>, request: &HeaderMap) {
        let origin = self.http().origins.allowed_of(request).and_then(|origin| HeaderValue::from_str(origin).ok());
        let headers = response.headers_mut();
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

fn check_header_size(headers: &HeaderMap) -> Result<(), Problem> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADER_BYTES { Err(Problem::headers_too_large(MAX_HEADER_BYTES)) } else { Ok(()) }
}

/// A browser that fetches ahead of its user must not use up a link.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("prefetch")))
    };
    says("sec-purpose") || says("purpose") || says("x-moz")
}

/// The answer to OPTIONS, which is also a preflight's; [`Auth::finish`] takes the CORS part away from strangers.
fn options(endpoints: &[&Endpoint]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
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
