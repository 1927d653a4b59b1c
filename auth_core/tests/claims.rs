//! Claims: each is demanded, once, in its one JSON type. Every payload here is rightly signed, so that nothing but its
//! content can speak against it.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use auth_core::policy::Policy;
use auth_core::token::TokenError;
use auth_core::types::AuthMethods;
use common::{forge, session};

/// The claims of one kind of token: name and JSON.
type Claims = Vec<(String, String)>;

fn claims(kind: &str) -> Claims {
    let tokens = common::tokens(&Policy::default());
    let token = if kind == "access" { tokens.access(&session()).unwrap() } else { tokens.refresh(&session()).unwrap() };
    let payload = forge::decode(token.token.expose().split('.').nth(1).unwrap());
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&payload).unwrap();
    object.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

fn payload(claims: &[(String, String)]) -> String {
    let members: Vec<_> = claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn verdict(kind: &str, payload: impl AsRef<[u8]>) -> Result<(), TokenError> {
    let tokens = common::tokens(&Policy::default());
    let token = forge::jwt(kind, forge::HEADER, payload);
    let now = session().rotated_at;
    match kind {
        "access" => tokens.verify_access(&token, now).map(|_| ()),
        _ => tokens.verify_refresh(&token, now).map(|_| ()),
    }
}

fn with(kind: &str, name: &str, value: &str) -> String {
    let mut claims = claims(kind);
    claims.iter_mut().filter(|claim| claim.0 == name).for_each(|claim| claim.1 = value.to_owned());
    payload(&claims)
}

#[test]
fn every_claim_is_demanded() {
    for kind in ["access", "refresh"] {
        assert_eq!(verdict(kind, payload(&claims(kind))), Ok(()));
        let all = claims(kind);
        assert_eq!(all.len(), if kind == "access" { 14 } else { 12 });
        for left_out in 0..all.len() {
            let mut some = all.clone();
            let (name, _) = some.remove(left_out);
            // Refresh tokens carry the channel for whoever reads them; the flow asks the row.
            let expected = if (kind, &*name) == ("refresh", "channel") { Ok(()) } else { Err(TokenError::Invalid) };
            assert_eq!(verdict(kind, payload(&some)), expected, "{kind} without {name}");
        }
    }
}

#[test]
fn a_claim_given_twice_is_refused_whichever_comes_first() {
    for kind in ["access", "refresh"] {
        for claim in claims(kind) {
            let mut twice = claims(kind);
            twice.push(claim.clone());
            assert_eq!(verdict(kind, payload(&twice)), Err(TokenError::Invalid), "{claim:?}");
            twice.rotate_right(1);
            assert_eq!(verdict(kind, payload(&twice)), Err(TokenError::Invalid), "{claim:?}");
        }
    }
}

#[test]
fn a_claim_of_another_json_type_is_refused() {
    const TEXTS: [&str; 10] = ["0", "1.5", "null", "true", "[]", "{}", "[\"iss\"]", "\"\"", "\"a\\u0062\"", "\"é\""];
    const NUMBERS: [&str; 14] = [
        "\"7\"",
        "\"\"",
        "null",
        "false",
        "[]",
        "[7]",
        "{}",
        "7.0",
        "7e0",
        "1.7e9",
        "-1",
        "-0",
        "9223372036854775808",
        "-9223372036854775808",
    ];
    const LISTS: [&str; 8] = ["null", "\"pwd\"", "1", "{}", "[1]", "[null]", "[[\"pwd\"]]", "[\"p\\u0077d\"]"];
    for kind in ["access", "refresh"] {
        for (name, value) in claims(kind) {
            let wrong = match value.as_bytes()[0] {
                b'"' => &TEXTS[..],
                b'[' => &LISTS,
                _ => &NUMBERS,
            };
            for wrong in wrong {
                // Any text is a `jti`, and a user's id may hold what a name may.
                if name == "jti" && wrong.starts_with('"') && !wrong.contains('\\') {
                    continue;
                }
                // The time of a login long ago may be before 1970.
                if name == "auth_time" && *wrong == "-1" {
                    continue;
                }
                let verdict = verdict(kind, with(kind, &name, wrong));
                assert!(matches!(verdict, Err(TokenError::Invalid | TokenError::WrongType)), "{kind} {name}={wrong}");
            }
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let iat = session().rotated_at.seconds();
    for (name, value) in [
        ("token_version", (1_u64 << 31).to_string()),
        ("token_version", (1_u64 << 32).to_string()),
        ("token_version", i64::MAX.to_string()),
        ("exp", i64::MAX.to_string()),
        ("exp", (iat + 901).to_string()),
        ("exp", (iat - 1).to_string()),
        ("iat", i64::MAX.to_string()),
        ("iat", (iat + 6).to_string()),
        ("iat", "0".to_owned()),
    ] {
        assert_eq!(verdict("access", with("access", name, &value)), Err(TokenError::Invalid), "{name}={value}");
    }
    for value in [1_u64 << 32, u64::MAX] {
        assert_eq!(verdict("refresh", with("refresh", "generation", &value.to_string())), Err(TokenError::Invalid));
    }
    assert_eq!(verdict("refresh", with("refresh", "generation", &u32::MAX.to_string())), Ok(()));
}

#[test]
fn names_and_ids_are_compared_whole_and_in_their_case() {
    for (name, value) in [
        ("iss", "\"ISS\""),
        ("iss", "\"iss \""),
        ("iss", "[\"iss\"]"),
        ("aud", "\"au\""),
        ("aud", "[\"aud\",\"other\"]"),
        ("channel", "\"Cookie\""),
        ("channel", "\"query\""),
        ("sid", "\"1\""),
        ("sub", "\"4 2\""),
        ("tid", "\"\""),
    ] {
        assert_eq!(verdict("access", with("access", name, value)), Err(TokenError::Invalid), "{name}={value}");
    }
}

#[test]
fn the_kind_counts_even_under_the_right_key() {
    for (kind, other) in [("access", "refresh"), ("refresh", "access")] {
        for value in [other, "Access", "accessx", ""] {
            let payload = with(kind, "token_type", &format!("\"{value}\""));
            assert_eq!(verdict(kind, &payload), Err(TokenError::WrongType), "{kind} as {value:?}");
        }
    }
}

#[test]
fn claims_that_we_do_not_know_are_ignored() {
    for unknown in ["null", "1.5e300", "\"\\ud83d\\ude00\"", "[[{\"a\":[1,\"x\",null]}]]", "{\"exp\":1,\"sub\":\"1\"}"]
    {
        let mut all = claims("access");
        all.insert(3, ("nbf_of_tomorrow".to_owned(), unknown.to_owned()));
        assert_eq!(verdict("access", payload(&all)), Ok(()), "{unknown}");
    }
}

#[test]
fn methods_that_we_do_not_know_are_no_methods() {
    let tokens = common::tokens(&Policy::default());
    for (list, methods) in [
        ("[]", AuthMethods::default()),
        ("[\"face\"]", AuthMethods::default()),
        ("[\"pwd\",\"face\",\"pwd\"]", AuthMethods::PASSWORD),
        ("[\"otp\",\"mfa\"]", AuthMethods::ONE_TIME_CODE.and(AuthMethods::MULTI_FACTOR)),
    ] {
        let token = forge::jwt("access", forge::HEADER, with("access", "amr", list));
        let claims = tokens.verify_access(&token, session().rotated_at);
        assert_eq!(claims.map(|claims| claims.methods), Ok(methods), "{list}");
    }
}

#[test]
fn a_scope_that_this_build_does_not_know_is_refused() {
    for (scope, expected) in [
        ("\"full\"", Ok(())),
        ("\"enrol_factor\"", Ok(())),
        ("\"low_trust\"", Err(TokenError::Invalid)),
        ("\"Full\"", Err(TokenError::Invalid)),
        ("\"\"", Err(TokenError::Invalid)),
        ("null", Err(TokenError::Invalid)),
        ("[\"full\"]", Err(TokenError::Invalid)),
    ] {
        assert_eq!(verdict("access", with("access", "scope", scope)), expected, "{scope}");
    }
}

#[test]
fn a_payload_that_is_not_one_json_object_is_refused() {
    let good = payload(&claims("access"));
    let open = good.strip_suffix('}').unwrap();
    for bad in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("{good}x"),
        format!("\u{feff}{good}"),
        open.to_owned(),
        format!("{open},}}"),
        format!("{open},\"x\":1e}}"),
        format!("{open},\"\\u0065xp\":1}}"),
        format!("{open},\"x\":\"\n\"}}"),
        format!("{open},\"x\":{}1{}}}", "[".repeat(600), "]".repeat(600)),
    ] {
        assert_eq!(verdict("access", &bad), Err(TokenError::Invalid), "{bad:.80}");
    }
    assert_eq!(verdict("access", [open.as_bytes(), b",\"x\":\"\xff\"}"].concat()), Err(TokenError::Invalid));
    assert_eq!(verdict("access", format!(" {open} }} \n")), Ok(()));
}
