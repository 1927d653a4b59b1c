//! Whole requests, written as in HTTP/1.1 but with bare line ends: method and target, headers, a blank line, the body.

#![no_main]

use auth_fuzz::{World, fill};
use auth_system::config::Profile;
use http::header::{AUTHORIZATION, COOKIE};
use http::{Method, Request, StatusCode};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    // Before a whole world is made for it.
    if parse(&fill(data)).is_none() {
        return Corpus::Reject;
    }
    for profile in [Profile::Standard, Profile::Django] {
        let world = World::new(profile);
        let Some(request) = parse(&world.fill(data)) else { return Corpus::Reject };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let credentials = [COOKIE, AUTHORIZATION]
            .map(|name| request.headers().get_all(name).into_iter().cloned().collect::<Vec<_>>());
        let before = world.accounts();
        let response = world.send(request);
        world.check_accounts(data);
        world.check_second_factor(data, &response);
        if [Method::HEAD, Method::OPTIONS].contains(&method) {
            assert_eq!(before, world.accounts(), "{method} changed something");
        }
        if path.contains("/me") && response.status() == StatusCode::OK {
            let tokens = ["$ada_access", "$bob_access", "$dora_access"].map(|name| world.word(name).as_bytes());
            let shown = credentials.iter().flatten().any(|value| {
                tokens.iter().any(|token| value.as_bytes().windows(token.len()).any(|window| window == *token))
            });
            assert!(shown, "shown without a token");
        }
    }
    Corpus::Keep
});

fn parse(text: &[u8]) -> Option<Request<Vec<u8>>> {
    let mut rest = text;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    };
    let first = line();
    let blank = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&first[..blank]).uri(&first[blank + 1..]);
    loop {
        let header = line();
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        request = request.header(&header[..colon], header[colon + 1..].trim_ascii());
    }
    request.body(rest.to_vec()).ok()
}
