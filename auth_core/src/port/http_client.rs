use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// Calls other services: providers of identities, senders of messages, webhooks.
///
/// A client follows no redirect, uses no proxy that the request did not name, and verifies certificates.
#[async_trait]
pub trait HttpClient: Send + Sync + 'static {
    /// Sends a request and returns the whole response, whatever its status.
    ///
    /// # Errors
    /// Returns [`HttpError`] without a response: no connection, a broken or late one, or one that is too large.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// A request to another service. `Debug` hides headers, query and body, which may hold secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method, in upper case.
    pub method: &'static str,
    /// The absolute URL. `http` is for loopback addresses alone.
    pub url: Box<str>,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, Box<str>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The time for the whole exchange. Default: 5 seconds.
    pub timeout: Duration,
    /// The longest response body. Default: 1 MiB.
    pub max_body_bytes: usize,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: &'static str, url: impl Into<Box<str>>) -> Self {
        let (timeout, max_body_bytes) = (Duration::from_secs(5), 1024 * 1024);
        Self { method, url: url.into(), headers: Vec::new(), body: Vec::new(), timeout, max_body_bytes }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Box<str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split(['?', '#']).next();
        f.debug_struct("HttpRequest").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// The response of another service. `Debug` hides headers and body.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code: 100 to 599.
    pub status: u16,
    /// Names in lower case, and values; what is no text is left out.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The body, at most as long as the request allows.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Joins the parts.
    pub fn new(status: u16, headers: Vec<(Box<str>, Box<str>)>, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why another service gave no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The request itself is wrong, such as its URL. It was not sent.
    #[error("the request is not valid: {0}")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service cannot be reached, broke off, or answers something other than HTTP.
    #[error("the service cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The response took too long.
    #[error("the service took too long to respond")]
    Late,
    /// The response is too large.
    #[error("the response is too large")]
    TooLarge,
}
