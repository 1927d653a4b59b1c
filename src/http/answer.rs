//! What an endpoint answers when it does not refuse.

use auth_core::session::SessionTokens;
use auth_core::token::IssuedToken;
use auth_core::types::Token;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::response::{Body, BoxError};
use super::site::Site;
use crate::config::Named;

/// The answer of an endpoint. It is sent with the headers of every answer, `Cache-Control: no-store` among them.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Body,
    headers: Vec<(HeaderName, HeaderValue)>,
    cookies: Vec<CookieChange>,
}

/// What an answer does to a cookie of the browser.
#[derive(Debug)]
enum CookieChange {
    /// Sets the access and the refresh cookie, if the session's channel has them.
    Session(Box<SessionTokens>),
    /// Sets the cookie that marks a known device.
    Device(Token),
    /// Clears the access and the refresh cookie.
    NoSession,
}

impl Answer {
    fn new(status: StatusCode, content_type: Option<&'static str>, body: Body) -> Self {
        let content_type = content_type.map(HeaderValue::from_static);
        Self { status, content_type, body, headers: Vec::new(), cookies: Vec::new() }
    }

    /// A status and a JSON body.
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self::new(status, Some("application/json"), Body::whole(body.to_string()))
    }

    /// `{"detail": "..."}`
    pub fn detail(status: StatusCode, detail: &str) -> Self {
        Self::json(status, json!({ "detail": detail }))
    }

    /// 204 without a body.
    pub fn empty() -> Self {
        Self::new(StatusCode::NO_CONTENT, None, Body::none())
    }

    /// 200 and an HTML page. It is sent without a `Content-Security-Policy`: add one with
    /// [`with_header`](Self::with_header).
    pub fn page(html: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, Some("text/html; charset=utf-8"), Body::whole(html))
    }

    /// 303: the browser continues with a GET of `location`, whatever the method of this request.
    pub fn redirect(location: HeaderValue) -> Self {
        Self::new(StatusCode::SEE_OTHER, None, Body::whole(Bytes::new())).with_header(LOCATION, location)
    }

    /// 200 and a body that is sent as it arises, such as server-sent events with the type `text/event-stream`. It ends
    /// when `body` ends, or when the client goes away, which drops `body`.
    pub fn stream<B>(content_type: &'static str, body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::new(StatusCode::OK, Some(content_type), Body::stream(body))
    }

    /// 200 and bytes that many answers share.
    #[cfg(feature = "openapi")]
    pub(crate) fn rendered(content_type: &'static str, bytes: Bytes) -> Self {
        Self::new(StatusCode::OK, Some(content_type), Body::whole(bytes))
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds a header, beside those of its name that are there.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Hands the tokens of a session to the browser, as cookies: those tokens that its
    /// [`Channel`](auth_core::types::Channel) sends in cookies.
    #[must_use]
    pub fn with_session(mut self, tokens: SessionTokens) -> Self {
        self.cookies.push(CookieChange::Session(Box::new(tokens)));
        self
    }

    /// Lets the browser show at its next login that it is known.
    pub(crate) fn with_device(mut self, token: Token) -> Self {
        self.cookies.push(CookieChange::Device(token));
        self
    }

    /// Takes the cookies of the session away.
    #[must_use]
    pub fn without_session(mut self) -> Self {
        self.cookies.push(CookieChange::NoSession);
        self
    }

    pub(super) fn into_response(self, site: &Site) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        for cookie in self.cookies.iter().flat_map(|change| change.cookies(site)) {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}

impl CookieChange {
    fn cookies(&self, site: &Site) -> Vec<HeaderValue> {
        let cookies = &site.settings.cookies;
        // A cookie ends with its token.
        let issued = |cookie: &Named, issued: &IssuedToken| {
            cookies.set(cookie, &issued.token, issued.issued_at, issued.expires_at)
        };
        match self {
            Self::Session(tokens) => {
                let channel = tokens.channel;
                let access = channel.has_access_cookie().then(|| issued(&cookies.access, &tokens.access));
                let refresh = channel.refreshes().then(|| issued(&cookies.refresh, &tokens.refresh));
                [access, refresh].into_iter().flatten().flatten().collect()
            }
            Self::Device(token) => {
                let now = site.system.ports().clock.now();
                let lasts = now + site.system.policy().device_lifetime;
                cookies.set(&cookies.device, token, now, lasts).into_iter().collect()
            }
            Self::NoSession => cleared_session(site).collect(),
        }
    }
}

/// `Set-Cookie`s that clear the access and the refresh cookie.
pub(super) fn cleared_session(site: &Site) -> impl Iterator<Item = HeaderValue> {
    let cookies = &site.settings.cookies;
    [&cookies.access, &cookies.refresh].into_iter().filter_map(|cookie| cookies.clear(cookie))
}
