//! `Cookie` headers, one a line: a session is found where exactly one good token stands under the exact name.

#![no_main]

use auth_fuzz::{World, fill, word};
use auth_system::config::Profile;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let filled = fill(data);
    let mut headers = HeaderMap::new();
    for line in filled.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return Corpus::Reject };
        headers.append(COOKIE, value);
    }
    // Longer headers are refused as a whole.
    if filled.len() > 30_000 {
        return Corpus::Reject;
    }
    let world = World::new(Profile::Standard);
    for (method, path, name, tokens) in [
        ("GET", "/api/auth/me/", "__Host-access_token", ["$ada_access", "$bob_access"]),
        ("POST", "/api/auth/refresh/", "__Host-refresh_token", ["$ada_refresh", "$bob_refresh"]),
    ] {
        let values = values(&filled, name);
        let good: Vec<_> =
            values.iter().filter(|value| tokens.iter().any(|token| word(token).as_bytes() == **value)).collect();
        let mut request = Request::builder().method(method).uri(path).body(Vec::new()).expect("a request");
        *request.headers_mut() = headers.clone();
        let response = world.send(request);
        let expected = if good.len() == 1 { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(response.status(), expected, "{name}: {values:?}");
        if method == "GET" && good.len() == 1 {
            let whose = if *good[0] == word(tokens[0]).as_bytes() { "ada@example.org" } else { "bob@example.org" };
            let body = String::from_utf8_lossy(response.body());
            assert!(body.contains(whose), "{whose}: {body}");
        }
        // A refusal clears nothing: the browser may hold the good one.
        assert_eq!(
            response.headers().contains_key(SET_COOKIE),
            method == "POST" && good.len() == 1,
            "{name}: {values:?}"
        );
    }
    Corpus::Keep
});

/// What stands under a name, by RFC 6265 section 5.4 as browsers write it; the first eight, which is as far as we look.
fn values<'a>(headers: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let pairs = headers.split(|byte| b"\n;".contains(byte)).map(<[u8]>::trim_ascii);
    let values = pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.take(8).collect()
}
