//! Whatever bytes arrive: an answer of the usual shape, never a 5xx, never a panic.

use std::collections::BTreeSet;

use auth_system::config::Profile;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::door::Driver;
use crate::place::Store;
use crate::world::{Answer, Call, Ground, World, call};

const PATHS: [&str; 15] = [
    "signup/",
    "verify-account/",
    "resend-verification/",
    "login/",
    "refresh/",
    "logout/",
    "me/",
    "password-reset/",
    "password-reset-confirm/",
    "reauthenticate/",
    "change-password/",
    "change-email/",
    "change-email-confirm/",
    "not-me/",
    "deactivate-account/",
];
const NAMES: [&str; 16] = [
    "cookie",
    "authorization",
    "origin",
    "sec-fetch-site",
    "content-length",
    "x-forwarded-for",
    "accept-language",
    "user-agent",
    "sec-purpose",
    "host",
    "transfer-encoding",
    "content-encoding",
    "expect",
    "range",
    "if-none-match",
    "access-control-request-method",
];
/// Fragments that parsers care about.
const PIECES: [&str; 24] = [
    "__Host-access_token=",
    "__Host-refresh_token=",
    "; ",
    "\"",
    "=",
    ",",
    "Bearer ",
    "null",
    "https://app.example.org",
    "same-origin",
    "cross-site",
    "prefetch",
    "127.0.0.1",
    "[::1]:80",
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9",
    ".",
    "e30",
    "application/json",
    "application/x-www-form-urlencoded",
    ";charset=",
    "email",
    "\t",
    "18446744073709551616",
    "-1",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop_oneof![3 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..9)];
    vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = String> {
    let known = select(&PATHS[..]).prop_map(str::to_owned);
    let odd = "[/a-z.%0-9A-F;:@*!~+-]{0,24}";
    let query = proptest::option::weighted(0.4, "(uid|token|email|[a-z%0-9+&=/?]{0,6}|%[0-9A-F]{2}|=|&){0,9}");
    (prop_oneof![4 => known, 1 => odd], query).prop_map(|(path, query)| {
        format!("/api/auth/{path}{}", query.map_or(String::new(), |query| format!("?{query}")))
    })
}

fn field() -> impl Strategy<Value = String> {
    let name = select(vec!["email", "password", "confirm_password", "username", "uid", "token", "first_name", "x"]);
    let value = prop_oneof![
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just("\"ada@example.org\"".to_owned()),
        select(vec!["null", "7", "-1e5", "true", "[[]]", "{\"a\":{}}", "\"\"", "\"\\ud800\"", "\"\\u0000\"", "}"])
            .prop_map(str::to_owned),
    ];
    (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

fn body() -> impl Strategy<Value = (Option<Vec<u8>>, Vec<u8>)> {
    let object = vec(field(), 0..5).prop_map(|fields| format!("{{{}}}", fields.join(",")).into_bytes());
    let form = "((email|password|uid|token|x)=[a-z@.%0-9A-F+]{0,12}&?){0,5}".prop_map(String::into_bytes);
    let json = Just(Some(b"application/json".to_vec()));
    prop_oneof![
        4 => (json.clone(), object),
        2 => (Just(Some(b"application/x-www-form-urlencoded".to_vec())), form),
        2 => (json, vec(any::<u8>(), 0..200)),
        2 => (proptest::option::of(pieces()), vec(any::<u8>(), 0..200)),
    ]
}

fn calls() -> impl Strategy<Value = Call> {
    let methods = vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::TRACE];
    let method = prop_oneof![6 => Just(Method::POST), 4 => select(methods)];
    let headers = vec((select(&NAMES[..]), pieces()), 0..5);
    (method, path(), headers, body()).prop_map(|(method, path, headers, (content_type, body))| {
        let mut call = call(method, &path);
        call.body = Bytes::from(body);
        let content_type = content_type.map(|value| ("content-type", value));
        for (name, value) in headers.into_iter().chain(content_type) {
            // What no server would let through is left out.
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                call.headers.append(HeaderName::from_static(name), value);
            }
        }
        call
    })
}

fn is_usual(profile: Profile, method: &Method, answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(!answer.status.is_server_error(), "{answer:?}");
    let usual = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Origin"),
    ];
    for (name, value) in usual {
        prop_assert_eq!(answer.header(name), value);
    }
    if method == Method::HEAD || answer.status == 204 {
        prop_assert!(answer.body.is_empty());
        return Ok(());
    }
    let problem = profile == Profile::Standard && !answer.status.is_success();
    let content_type = if problem { "application/problem+json" } else { "application/json" };
    prop_assert_eq!(answer.header("content-type"), content_type);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let keys: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let always = if answer.status.is_success() { "detail" } else { "code" };
    prop_assert!(keys.contains(always));
    if problem {
        let exact = BTreeSet::from(["type", "title", "status", "detail", "code"]);
        let more: Vec<_> = keys.difference(&exact).copied().collect();
        prop_assert!(exact.is_subset(&keys) && (more.is_empty() || more == ["errors"]));
    }
    Ok(())
}

fn never_surprised(driver: Driver, profile: Profile) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world: World = runtime.block_on(Ground { store: Store::Memory, driver }.world_with(|config| {
        config.profile = profile;
        config.bearer = true;
        config.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    }));
    runtime.block_on(world.account("ada@example.org"));
    // More with PROPTEST_CASES.
    let cases = Config::default().cases.max(2000);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&calls(), |call| {
        prop_assume!(call.path.parse::<http::Uri>().is_ok() && call.path.parse::<actix_web::http::Uri>().is_ok());
        let method = call.method.clone();
        is_usual(profile, &method, &runtime.block_on(world.send(call)))
    });
    outcome.unwrap();
    assert_eq!(runtime.block_on(world.log_in("ada@example.org", crate::world::PASSWORD)).status, 200);
}

#[test]
fn the_bare_service_is_never_surprised() {
    never_surprised(Driver::Bare, Profile::Standard);
}

#[test]
fn axum_is_never_surprised() {
    never_surprised(Driver::Axum, Profile::Standard);
}

#[test]
fn actix_is_never_surprised() {
    never_surprised(Driver::Actix, Profile::Standard);
}

#[test]
fn the_django_profile_is_never_surprised() {
    never_surprised(Driver::Bare, Profile::Django);
}
