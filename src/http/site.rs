//! The site: the account system and the settings of the wire, which every step of a request goes by.

use std::sync::Once;
use std::time::Duration;

use auth_core::AuthSystem;
use bytes::Bytes;
use http::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE,
    HeaderMap, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use ipnet::IpNet;

use super::cookie::Cookies;
use super::dialect::Dialect;
use super::origin::Origins;
use super::refusal::Refusal;
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

/// The account system, and the settings that its endpoints go by.
pub(crate) struct Site {
    pub(crate) system: AuthSystem,
    pub(crate) settings: HttpSettings,
}

impl Site {
    /// A refusal with the headers of every answer.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn respond_refused(&self, refusal: Refusal, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = self.refuse(refusal);
        self.finish(response.headers_mut(), headers);
        response
    }

    /// A refusal as a response. Operators read the cause in the log; the client does not.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        if let Some(error) = refusal.cause.as_ref().filter(|_| refusal.status().is_server_error()) {
            let cause = std::error::Error::source(error).map(tracing::field::display);
            tracing::error!(target: "auth", %error, cause, "request failed");
        }
        let dialect = self.settings.dialect;
        let mut response = Response::new(Bytes::from(dialect.body(&refusal).to_string()));
        *response.status_mut() = refusal.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(dialect.content_type()));
        response.headers_mut().extend(refusal.into_headers());
        response
    }

    /// What every answer of ours carries.
    pub(super) fn finish(&self, headers: &mut HeaderMap, request: &HeaderMap) {
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
