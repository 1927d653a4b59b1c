//! Cookies: reading the two of ours out of a request, and every `Set-Cookie` that we send.

use std::mem::replace;
use std::time::{Duration, UNIX_EPOCH};

use auth_core::types::{Timestamp, Token};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use memchr::memchr_iter;

use crate::config::{CookieConfig, SameSite};

/// What a request has under one cookie name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// Nothing.
    None,
    /// One value.
    One(&'a str),
    /// Several: an attacker on a sibling domain, or leftovers on other paths.
    Many(Vec<&'a str>),
}

impl<'a> Presented<'a> {
    /// All values.
    pub(crate) fn into_vec(self) -> Vec<&'a str> {
        match self {
            Self::None => Vec::new(),
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// Finds a cookie by its exact name (RFC 6265 section 5.4; names are not decoded).
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let mut found = Presented::None;
    for value in values(headers, name) {
        found = match found {
            Presented::None => Presented::One(value),
            Presented::One(first) => Presented::Many(vec![first, value]),
            Presented::Many(mut all) => {
                // Enough to see that it is ambiguous; each one costs a signature.
                if all.len() < 8 {
                    all.push(value);
                }
                Presented::Many(all)
            }
        };
    }
    found
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    // Bytes, for other people's cookies need not be text. Ours are: a value that is none is no token.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| pairs(header.as_bytes()));
    pairs
        .filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| std::str::from_utf8(value).unwrap_or(""))
}

/// What stands between semicolons. Tokens are long: by more than a byte at a time.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b';', header).chain([header.len()]).filter_map(move |end| header.get(replace(&mut start, end + 1)..end))
}

/// A cookie that carries a token for a time.
pub(crate) fn set(
    config: &CookieConfig,
    name: &str,
    path: &str,
    token: &Token,
    from: Timestamp,
    until: Timestamp,
) -> Option<HeaderValue> {
    let expires = u64::try_from(until.seconds()).ok()?;
    let expires = httpdate::fmt_http_date(UNIX_EPOCH.checked_add(Duration::from_secs(expires))?);
    let max_age = until.since(from).as_secs();
    let token = token.expose();
    let http_only = if config.http_only { " HttpOnly;" } else { "" };
    let same_site = config.same_site.as_str();
    let secure = secure(config);
    let cookie = format!(
        "{name}={token}; expires={expires};{http_only} Max-Age={max_age}; Path={path}; SameSite={same_site}{secure}"
    );
    let mut cookie = HeaderValue::try_from(cookie).ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}

/// Takes a cookie away from one path.
pub(crate) fn clear(config: &CookieConfig, name: &str, path: &str) -> Option<HeaderValue> {
    // Without the attribute a cookie is Lax, and browsers take none of that kind from an answer to another site.
    let same_site = if config.same_site == SameSite::None { "; SameSite=None" } else { "" };
    let secure = secure(config);
    let cookie =
        format!("{name}=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path={path}{same_site}{secure}");
    HeaderValue::try_from(cookie).ok()
}

fn secure(config: &CookieConfig) -> &'static str {
    if config.secure { "; Secure" } else { "" }
}

/// How many ancestors of a path are named, and how long the longest may be. Strangers choose paths, every ancestor is a
/// header of the answer, and proxies take few kilobytes of those.
const MAX_ANCESTORS: usize = 16;
const MAX_ANCESTOR_BYTES: usize = 256;

/// Every path on which a browser may hold a cookie that it sends along with `path`: `/`, `/a`, `/a/`, `/a/b` ...
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    // A `;` ends an attribute: no cookie has a path with one, and ours would begin another attribute.
    let path = path.split(';').next().unwrap_or("");
    let cuts = path.char_indices().filter(|(_, c)| *c == '/').flat_map(|(at, _)| [at, at + 1]);
    let mut last = 0;
    let all = cuts.chain([path.len()]).filter_map(move |cut| {
        let fresh = cut > last;
        last = last.max(cut);
        fresh.then(|| path.get(..cut)).flatten()
    });
    all.take(MAX_ANCESTORS).take_while(|ancestor| ancestor.len() <= MAX_ANCESTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().filter_map(|cookie| Some((COOKIE, HeaderValue::from_str(cookie).ok()?))).collect()
    }

    #[test]
    fn names_match_exactly() {
        let sent = headers(&["xaccess=1; access=2; Access=3; accessx=4; ac%63ess=5; access =6"]);
        assert_eq!(find(&sent, "access"), Presented::One("2"));
        assert_eq!(find(&headers(&[]), "access"), Presented::None);
    }

    #[test]
    fn several_of_one_name_are_seen_over_all_headers() {
        let sent = headers(&["a=1; access=2", "access=3"]);
        assert_eq!(find(&sent, "access"), Presented::Many(vec!["2", "3"]));
        let flood = "access=x; ".repeat(10_000);
        assert!(matches!(find(&headers(&[&flood]), "access"), Presented::Many(all) if all.len() == 8));
    }

    #[test]
    fn every_ancestor_path_is_named_once() {
        let all: Vec<_> = ancestors("/api/auth/me/").collect();
        assert_eq!(all, ["/", "/api", "/api/", "/api/auth", "/api/auth/", "/api/auth/me", "/api/auth/me/"]);
        assert_eq!(ancestors("/").collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn a_strangers_path_is_bounded_and_writes_no_attribute() {
        assert_eq!(ancestors(&"/".repeat(60_000)).count(), MAX_ANCESTORS);
        assert_eq!(ancestors(&format!("/{}/b", "a".repeat(60_000))).collect::<Vec<_>>(), ["/"]);
        assert_eq!(ancestors("/a;Domain=example.org/b").collect::<Vec<_>>(), ["/", "/a"]);
    }
}
