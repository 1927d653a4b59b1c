//! The cross-origin check: which site sent the request, by what the browser says of itself.

use http::header::{HeaderMap, ORIGIN, UPGRADE};
use http::{HeaderName, Method};

/// `Sec-Fetch-Site`.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may send requests with credentials.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    /// Cookies travel on cross-site requests too: then only a browser that tells its site is trusted.
    cookies_cross_sites: bool,
}

impl Origins {
    pub(crate) fn new(allowed: Vec<String>, cookies_cross_sites: bool) -> Self {
        Self { allowed, cookies_cross_sites }
    }

    /// Whether `origin` is one of ours; exactly as browsers spell it.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
    }

    /// The request's origin, if it is an allowed one.
    pub(crate) fn allowed_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        single(headers, &ORIGIN).ok().flatten().filter(|origin| self.allows(origin))
    }

    /// Whether the request may change anything: safe methods always, unless they open a WebSocket; others from the same
    /// origin, from an allowed one, or from a client that is no browser.
    pub(crate) fn permits(&self, method: &Method, headers: &HeaderMap, with_cookie: bool) -> bool {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !opens_socket(headers) {
            return true;
        }
        // A header that comes twice or is not text is nothing a browser sends.
        let (Ok(site), Ok(origin)) = (single(headers, &SEC_FETCH_SITE), single(headers, &ORIGIN)) else {
            return false;
        };
        let allowed = || origin.is_some_and(|origin| self.allows(origin));
        match (site, origin) {
            (Some("same-origin" | "none"), _) => true,
            (Some(_), _) | (None, Some(_)) => allowed(),
            (None, None) => !(with_cookie && self.cookies_cross_sites),
        }
    }
}

/// Whether this is the handshake of a WebSocket (RFC 6455 section 4.1). Any page may begin one, reads what comes back
/// and sends what it likes, and no preflight asks first. Over HTTP/2 (RFC 8441) its method is none of the safe ones.
fn opens_socket(headers: &HeaderMap) -> bool {
    let is_socket = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"websocket");
    headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().split(|byte| *byte == b',').any(is_socket))
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn permitted(same_site_none: bool, cookie: bool, headers: &[(&'static str, &str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)))
            .collect();
        Origins::new(vec!["https://app.example".into()], same_site_none).permits(&Method::POST, &headers, cookie)
    }

    #[test]
    fn a_browser_is_believed_about_its_site() {
        assert!(permitted(false, true, &[("sec-fetch-site", "same-origin")]));
        assert!(permitted(false, true, &[("sec-fetch-site", "none")]));
        assert!(permitted(false, true, &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")]));
        assert!(permitted(false, true, &[("origin", "https://app.example")]));
        for refused in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "https://app.example.evil.example")],
            &[("origin", "https://APP.example")],
            &[("origin", "https://app.example:443")],
            &[("origin", "")],
        ] {
            assert!(!permitted(false, true, refused), "{refused:?}");
            assert!(!permitted(false, false, refused), "{refused:?}: login counts, too");
        }
    }

    #[test]
    fn a_client_that_is_no_browser_passes_unless_cookies_cross_sites() {
        assert!(permitted(false, true, &[]));
        assert!(permitted(true, false, &[]));
        assert!(!permitted(true, true, &[]));
    }

    #[test]
    fn a_header_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(ORIGIN, HeaderValue::from_static("https://app.example"));
        headers.append(ORIGIN, HeaderValue::from_static("https://app.example"));
        let origins = Origins::new(vec!["https://app.example".into()], false);
        assert!(!origins.permits(&Method::POST, &headers, false));
        assert!(origins.permits(&Method::GET, &headers, false));
    }
}
