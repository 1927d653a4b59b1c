//! Bodies of every endpoint that reads one. The first line names the endpoint and the content type; the body follows.

#![no_main]

use auth_core::types::{Email, Password, Username};
use auth_fuzz::{PASSWORD, World, fill, members};
use auth_system::config::Profile;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// Every POST endpoint: those that ignore bodies must ignore all of them.
const ENDPOINTS: [&str; 7] =
    ["login", "logout", "password-reset", "password-reset-confirm", "refresh", "resend-verification", "signup"];

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return Corpus::Reject };
    let (endpoint, content_type) = match data[..end].iter().position(|byte| *byte == b' ') {
        Some(blank) => (&data[..blank], HeaderValue::from_bytes(&data[blank + 1..end]).ok()),
        None => (&data[..end], None),
    };
    let Some(endpoint) = ENDPOINTS.into_iter().find(|known| known.as_bytes() == endpoint) else {
        return Corpus::Reject;
    };
    let body = fill(&data[end + 1..]);
    for profile in [Profile::Standard, Profile::Django] {
        let world = World::new(profile);
        let mut request = Request::new(body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("/api/auth/{endpoint}/").parse().expect("a path");
        if let Some(content_type) = &content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        let response = world.send(request);
        world.check_accounts(data);
        if endpoint == "login" && response.status() == StatusCode::OK {
            let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("");
            check_credentials(content_type, &body);
        }
    }
    Corpus::Keep
});

/// Whoever got in sent the right password and the name of an account that may log in, each once.
fn check_credentials(content_type: &str, body: &[u8]) {
    let json = content_type.to_ascii_lowercase().contains("json");
    let fields: Vec<(String, Value)> = if json {
        members(body).expect("an object")
    } else {
        form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
    };
    let all =
        |name| fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    let [Some(password)] = all("password")[..] else { panic!("no password, or several: {fields:?}") };
    assert_eq!(Password::new(password).expect("short enough").expose(), PASSWORD);
    match (&all("email")[..], &all("username")[..]) {
        ([Some(email)], _) => {
            let email = Email::parse(email).expect("an address").to_string();
            assert!(["ada@example.org", "bob@example.org"].contains(&email.as_str()), "{email} is in");
        }
        ([], [Some(username)]) => {
            let username = Username::parse(username).expect("a username").to_string();
            assert!(["ada", "bob"].contains(&username.as_str()), "{username} is in");
        }
        _ => panic!("no name, or several: {fields:?}"),
    }
}
