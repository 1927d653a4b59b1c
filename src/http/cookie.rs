//! Cookies: reading them out of a request, and every `Set-Cookie` that we send.

use std::mem::replace;
use std::time::{Duration, UNIX_EPOCH};

use auth_core::types::{Timestamp, Token};
#[cfg(feature = "tower")]
use http::header::Entry;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use memchr::memchr_iter;

use crate::config::{CookieConfig, Named, Names, Profile, SameSite};

/// The cookies as the settings and the profile have them.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    pub(crate) access: Named,
    pub(crate) refresh: Named,
    pub(crate) device: Named,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
}

impl Cookies {
    pub(crate) fn of(config: &CookieConfig, profile: Profile, public_path: &str) -> Self {
        let Names { access, refresh, device } = config.names(profile, public_path);
        let CookieConfig { secure, http_only, same_site, .. } = *config;
        Self { access, refresh, device, secure, http_only, same_site }
    }

    /// Makes a cookie that carries a token for a time.
    pub(crate) fn set(&self, cookie: &Named, token: &Token, from: Timestamp, until: Timestamp) -> Option<HeaderValue> {
        let expires = u64::try_from(until.seconds()).ok()?;
        let expires = httpdate::fmt_http_date(UNIX_EPOCH.checked_add(Duration::from_secs(expires))?);
        let max_age = until.since(from).as_secs();
        let (Named { name, path }, token) = (cookie, token.expose());
        let http_only = if self.http_only { " HttpOnly;" } else { "" };
        let (same_site, secure) = (self.same_site.as_str(), self.secure());
        let cookie = format!(
            "{name}={token}; expires={expires};{http_only} Max-Age={max_age}; Path={path}; SameSite={same_site}{secure}"
        );
        let mut cookie = HeaderValue::try_from(cookie).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    /// Makes the `Set-Cookie` that clears a cookie.
    pub(crate) fn clear(&self, Named { name, path }: &Named) -> Option<HeaderValue> {
        // Without the attribute a cookie is Lax, and browsers take none of that kind from an answer to another site.
        let same_site = if self.same_site == SameSite::None { "; SameSite=None" } else { "" };
        let secure = self.secure();
        let cookie =
            format!("{name}=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path={path}{same_site}{secure}");
        HeaderValue::try_from(cookie).ok()
    }

    fn secure(&self) -> &'static str {
        if self.secure { "; Secure" } else { "" }
    }
}

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
    pairs.filter_map(move |pair| value_of(pair, name)).map(|value| std::str::from_utf8(value).unwrap_or(""))
}

/// The value of a `name=value` pair, if its name is this one.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// What stands between semicolons. Tokens are long: by more than a byte at a time.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b';', header).chain([header.len()]).filter_map(move |end| header.get(replace(&mut start, end + 1)..end))
}

/// Takes every cookie of one name out of a `Cookie` header; `None` where there is none of that name.
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) fn without(header: &[u8], name: &str) -> Option<Vec<u8>> {
    if !pairs(header).any(|pair| value_of(pair, name).is_some()) {
        return None;
    }
    let mut rest = Vec::with_capacity(header.len());
    for pair in pairs(header).filter(|pair| value_of(pair, name).is_none()) {
        if rest.is_empty() {
            rest.extend_from_slice(pair.trim_ascii_start());
        } else {
            rest.push(b';');
            rest.extend_from_slice(pair);
        }
    }
    Some(rest)
}

/// Takes every cookie of one name out of a request.
#[cfg(feature = "tower")]
pub(crate) fn strip(headers: &mut HeaderMap, name: &str) {
    let Entry::Occupied(mut entry) = headers.entry(COOKIE) else { return };
    let mut emptied = false;
    for value in entry.iter_mut() {
        if let Some(rest) = without(value.as_bytes(), name) {
            emptied |= rest.is_empty();
            // A part of a valid value is valid.
            *value = HeaderValue::try_from(rest).unwrap_or(HeaderValue::from_static(""));
        }
    }
    if emptied {
        let kept: Vec<_> = entry.remove_entry_mult().1.filter(|value| !value.is_empty()).collect();
        headers.extend(kept.into_iter().map(|value| (COOKIE, value)));
    }
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

    #[cfg(feature = "tower")]
    #[test]
    fn a_stripped_cookie_leaves_the_others_as_they_came() {
        for (sent, left) in [
            (&["r=1"][..], &[][..]),
            (&["a=1; r=2; b=3"], &["a=1; b=3"]),
            (&["r=1; a=2"], &["a=2"]),
            (&["a=1;r=2"], &["a=1"]),
            (&["a=1; r=2; r=3;b=4; "], &["a=1;b=4; "]),
            (&["a=1", "r=2"], &["a=1"]),
            (&["r=2", "a=1", "r=3; b=4"], &["a=1", "b=4"]),
            (&["xr=1; rx=2; R=3; r; =r; a=r=1"], &["xr=1; rx=2; R=3; r; =r; a=r=1"]),
            (&[], &[]),
        ] {
            let mut request = headers(sent);
            strip(&mut request, "r");
            assert_eq!(request, headers(left), "{sent:?}");
            assert_eq!(find(&request, "r"), Presented::None, "{sent:?}");
        }
    }
}
