//! Bodies of every endpoint that reads one. The first line names the endpoint and the content type; the body follows.

#![no_main]

use auth_core::types::{Email, Password, User, Username};
use auth_fuzz::{PASSWORD, World, members, word};
use auth_system::config::Profile;
use http::header::{CONTENT_TYPE, COOKIE, HeaderValue};
use http::{Method, Request, StatusCode};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// Every endpoint that is sent a body: those that ignore bodies must ignore all of them.
const ENDPOINTS: [&str; 21] = [
    "2fa/backup-codes",
    "2fa/disable",
    "2fa/enable",
    "2fa/replace",
    "2fa/setup",
    "2fa/verify-login",
    "change-email",
    "change-email-confirm",
    "change-password",
    "deactivate-account",
    "login",
    "logout",
    "me",
    "not-me",
    "password-reset",
    "password-reset-confirm",
    "reauthenticate",
    "refresh",
    "resend-verification",
    "signup",
    "verify-account",
];
/// Those of somebody who is logged in, with the fields that hold the password: Ada calls them.
const WITHIN_SESSIONS: [(&str, Option<&str>); 10] = [
    ("2fa/backup-codes", Some("password")),
    ("2fa/disable", Some("password")),
    ("2fa/enable", None),
    ("2fa/replace", None),
    ("2fa/setup", None),
    ("change-email", None),
    ("change-password", Some("old_password")),
    ("deactivate-account", Some("password")),
    ("me", None),
    ("reauthenticate", Some("password")),
];

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return Corpus::Reject };
    let (endpoint, content_type) = match data[..end].iter().position(|byte| *byte == b' ') {
        Some(blank) => (&data[..blank], HeaderValue::from_bytes(&data[blank + 1..end]).ok()),
        None => (&data[..end], None),
    };
    let Some(endpoint) = ENDPOINTS.into_iter().find(|known| known.as_bytes() == endpoint) else {
        return Corpus::Reject;
    };
    for profile in [Profile::Standard, Profile::Django] {
        let world = World::new(profile);
        let body = world.fill(&data[end + 1..]);
        let mut request = Request::new(body.clone());
        *request.method_mut() = if endpoint == "me" { Method::PATCH } else { Method::POST };
        *request.uri_mut() = format!("/api/auth/{endpoint}/").parse().expect("a path");
        if let Some(content_type) = &content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        let session = WITHIN_SESSIONS.into_iter().find(|(name, _)| *name == endpoint);
        if session.is_some() {
            let cookie = format!("__Host-access_token={}", word("$ada_access"));
            request.headers_mut().insert(COOKIE, cookie.parse().expect("a cookie"));
        }
        let before = world.accounts();
        let response = world.send(request);
        world.check_accounts(data);
        world.check_second_factor(data, &response);
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("");
        if response.status() == StatusCode::OK {
            if endpoint == "login" {
                check_credentials(content_type, &body);
            }
            if let Some((_, Some(field))) = session {
                check_password(&fields(content_type, &body), field);
            }
        } else {
            let versions = |users: &[User; 4]| users.clone().map(|user| (user.revision, user.token_version));
            // A sign-up may clear the password of an account that nobody has proven.
            assert!(versions(&before)[..3] == versions(&world.accounts())[..3], "refused, and something changed");
        }
    }
    Corpus::Keep
});

/// Whoever got in sent the right password and the name of an account that may log in, each once.
fn check_credentials(content_type: &str, body: &[u8]) {
    let fields = fields(content_type, body);
    check_password(&fields, "password");
    let all = |name| all(&fields, name);
    match (&all("email")[..], &all("username")[..]) {
        ([Some(email)], _) => {
            let email = Email::parse(email).expect("an address");
            let known = ["ada@example.org", "bob@example.org", "dora@example.org"];
            assert!(known.contains(&email.as_str()), "{email} is in");
        }
        ([], [Some(username)]) => {
            let username = Username::parse(username).expect("a username").to_string();
            assert!(["ada", "bob", "dora"].contains(&username.as_str()), "{username} is in");
        }
        _ => panic!("no name, or several: {fields:?}"),
    }
}

fn fields(content_type: &str, body: &[u8]) -> Vec<(String, Value)> {
    if content_type.to_ascii_lowercase().contains("json") {
        return members(body).expect("an object");
    }
    form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
}

fn all<'a>(fields: &'a [(String, Value)], name: &str) -> Vec<Option<&'a str>> {
    fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

/// The right one, once.
fn check_password(fields: &[(String, Value)], field: &str) {
    let [Some(password)] = all(fields, field)[..] else { panic!("no {field}, or several: {fields:?}") };
    assert_eq!(Password::new(password).expect("short enough").expose(), PASSWORD);
}
