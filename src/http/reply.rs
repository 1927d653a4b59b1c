//! Answers that are no refusals.

use auth_core::flow::SessionTokens;
use auth_core::token::IssuedToken;
use auth_core::types::Token;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::cookie::{Cookies, Named};
use crate::Auth;

#[derive(Debug)]
enum Body {
    None,
    Json(Value),
    /// Bytes that were rendered before, and their type.
    #[cfg(feature = "openapi")]
    Rendered(Bytes, &'static str),
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Body,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: Value) -> Self {
        Self { status, body: Body::Json(body), headers: Vec::new() }
    }

    /// `{"detail": "..."}`
    pub(crate) fn detail(status: StatusCode, detail: &str) -> Self {
        Self::json(status, json!({ "detail": detail }))
    }

    /// 200 with bytes that many answers share.
    #[cfg(feature = "openapi")]
    pub(crate) fn rendered(bytes: Bytes, content_type: &'static str) -> Self {
        Self { status: StatusCode::OK, body: Body::Rendered(bytes, content_type), headers: Vec::new() }
    }

    /// 204.
    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Body::None, headers: Vec::new() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// One more header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        self
    }

    /// Hands the session's tokens to the browser.
    pub(crate) fn with_session(self, auth: &Auth, tokens: &SessionTokens) -> Self {
        let cookies = &auth.http().cookies;
        let access = issued(cookies, &cookies.access, &tokens.access);
        self.with_cookies(access).with_cookies(issued(cookies, &cookies.refresh, &tokens.refresh))
    }

    /// Lets the browser show at its next login that it is known.
    pub(crate) fn with_device(self, auth: &Auth, token: &Token) -> Self {
        let cookies = &auth.http().cookies;
        let now = auth.system().ports().clock.now();
        let lasts = now + auth.system().policy().device_lifetime;
        self.with_cookies(cookies.set(&cookies.device, token, now, lasts))
    }

    /// Takes both cookies away.
    pub(crate) fn without_session(self, auth: &Auth) -> Self {
        self.with_cookies(cleared_session(auth))
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status;
        match self.body {
            Body::None => {}
            Body::Json(body) => {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *response.body_mut() = body.to_string().into();
            }
            #[cfg(feature = "openapi")]
            Body::Rendered(bytes, content_type) => {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                *response.body_mut() = bytes;
            }
        }
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A cookie that ends with its token.
fn issued(cookies: &Cookies, cookie: &Named, issued: &IssuedToken) -> Option<HeaderValue> {
    cookies.set(cookie, &issued.token, issued.issued_at, issued.expires_at)
}

/// `Set-Cookie`s that clear the access and the refresh cookie.
pub(crate) fn cleared_session(auth: &Auth) -> impl Iterator<Item = HeaderValue> {
    let cookies = &auth.http().cookies;
    [&cookies.access, &cookies.refresh].into_iter().filter_map(|cookie| cookies.clear(cookie))
}
