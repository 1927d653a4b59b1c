//! Access and refresh tokens: what they carry, and every way to bend them (RFC 8725).

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use auth_core::policy::Policy;
use auth_core::token::{LinkPurpose, TokenError, TokenRing, Tokens};
use auth_core::types::{AuthMethods, Channel, MethodTimes, Scope, Session, TenantId, Timestamp, UserId};
use common::{DAY, MINUTE, SECOND, TICK, forge, secret, session};
use proptest::prelude::*;

fn tokens() -> Tokens {
    common::tokens(&Policy::default())
}

fn access(session: &Session) -> String {
    tokens().access(session).unwrap().token.expose().to_owned()
}

fn refresh(session: &Session) -> String {
    tokens().refresh(session).unwrap().token.expose().to_owned()
}

fn now() -> Timestamp {
    session().rotated_at
}

/// Whether neither verifier takes a text for anything but rubbish.
#[track_caller]
fn assert_rubbish(text: &str) {
    assert_eq!(tokens().verify_access(text, now()), Err(TokenError::Invalid), "as access: {text:.200}");
    assert_eq!(tokens().verify_refresh(text, now()), Err(TokenError::Invalid), "as refresh: {text:.200}");
}

#[test]
fn an_access_token_says_what_its_session_says() {
    let session = Session {
        methods: AuthMethods::PASSWORD.and(AuthMethods::ONE_TIME_CODE).and(AuthMethods::MULTI_FACTOR),
        method_times: MethodTimes::default(),
        scope: Scope::Full,
        channel: Channel::Header,
        auth_time: now() - DAY,
        rotated_at: now() + TICK,
        ..session()
    };
    let issued = tokens().access(&session).unwrap();
    let claims = tokens().verify_access(issued.token.expose(), now() + MINUTE).unwrap();
    assert_eq!((claims.tenant, claims.user, claims.session), (session.tenant, session.user, session.id));
    assert_eq!((claims.token_version, claims.channel), (session.token_version, session.channel));
    assert_eq!((claims.auth_time, claims.methods), (session.auth_time, session.methods));
    assert_eq!((claims.issued_at, claims.expires_at), (now(), now() + 15 * MINUTE));
    assert_eq!((issued.issued_at, issued.expires_at), (claims.issued_at, claims.expires_at));
}

#[test]
fn a_refresh_token_names_its_session_and_generation() {
    let session = Session { generation: u32::MAX, ..session() };
    let issued = tokens().refresh(&session).unwrap();
    let claims = tokens().verify_refresh(issued.token.expose(), now() + MINUTE).unwrap();
    assert_eq!((claims.tenant, claims.user, claims.session), (session.tenant, session.user, session.id));
    assert_eq!((claims.token_version, claims.generation), (session.token_version, u32::MAX));
    assert_eq!((issued.issued_at, issued.expires_at), (now(), now() + 7 * DAY));
}

/// Made by an implementation in another language. A new format must keep reading the old one, because
/// tokens outlive a deployment; tokens without a scope are the exception, because a restriction may be missing.
#[test]
fn the_format_is_what_it_was() {
    const ACCESS: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IkNQMGk4WjROIn0.eyJpc3MiOiJpc3MiLCJhdWQiOiJhdWQiLCJzdWIiOiI0MiIsInRpZCI6ImRlZmF1bHQiLCJzaWQiOiIwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJ0b2tlbl90eXBlIjoiYWNjZXNzIiwidG9rZW5fdmVyc2lvbiI6NywiY2hhbm5lbCI6ImNvb2tpZSIsImlhdCI6MTc2NzIyNTYwMCwiZXhwIjoxNzY3MjI2NTAwLCJqdGkiOiI2ZGIzODczZDZjZjhiNjY3ZDE3MjlkNjUwMWZiMzliYiIsInNjb3BlIjoiZnVsbCIsImF1dGhfdGltZSI6MTc2NzIyNTYwMCwiYW1yIjpbInB3ZCJdfQ.vJgMDeWsaJ27USp-Z2eWRfeitB5QxkPYMVsX9pRUWeI";
    const REFRESH: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IkNQMGk4WjROIn0.eyJpc3MiOiJpc3MiLCJhdWQiOiJhdWQiLCJzdWIiOiI0MiIsInRpZCI6ImRlZmF1bHQiLCJzaWQiOiIwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJ0b2tlbl90eXBlIjoicmVmcmVzaCIsInRva2VuX3ZlcnNpb24iOjcsImNoYW5uZWwiOiJjb29raWUiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzgzMDQwMCwianRpIjoiYTJiOTFmNDIyMGVjM2MyZTY1MWFkM2Q4NmJjYjZiZDYiLCJnZW5lcmF0aW9uIjowfQ.NygzFkvG1UiBqk3DSY-fE-RrYOsxuOY-lXgbuuqqLig";
    assert_eq!(access(&session()), ACCESS);
    assert_eq!(refresh(&session()), REFRESH);
}

#[test]
fn tokens_of_one_generation_are_the_same_bytes_whoever_derives_them() {
    let first = session();
    assert_eq!((access(&first), refresh(&first)), (access(&first.clone()), refresh(&first.clone())));
    let second = Session { generation: 1, ..session() };
    assert_ne!(access(&first), access(&second));
    assert_ne!(refresh(&first), refresh(&second));
    // What a rotation does not write leaves no trace in them.
    let seen = Session { last_seen_at: now() + DAY, context: "x".into(), changed_at: now() + DAY, ..session() };
    assert_eq!((access(&first), refresh(&first)), (access(&seen), refresh(&seen)));
}

#[test]
fn no_header_but_our_own_is_accepted_however_it_is_signed() {
    let payloads = [access(&session()), refresh(&session())].map(|token| {
        let payload = token.split('.').nth(1).unwrap();
        forge::decode(payload)
    });
    for (purpose, payload) in ["access", "refresh"].into_iter().zip(&payloads) {
        for header in [
            r#"{"alg":"none","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"None","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"hs256","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"HS384","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"HS256","typ":"jwt","kid":"CP0i8Z4N"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":null}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":""}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"' UNION SELECT 'key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"CP0i8Z4N","jku":"https://evil.example/jwks"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"CP0i8Z4N","x5u":"https://evil.example/x5u"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"CP0i8Z4N","jwk":{"kty":"oct","k":"AA"}}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"CP0i8Z4N","crit":["exp"]}"#,
            r#"{"alg":"HS256","alg":"none","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{ "alg":"HS256","typ":"JWT","kid":"CP0i8Z4N"}"#,
            r#"{"typ":"JWT","alg":"HS256","kid":"CP0i8Z4N"}"#,
            r"{}",
            "",
        ] {
            let signed = forge::jwt(purpose, header, payload);
            assert_rubbish(&signed);
            // The classic of `alg: none`: no signature at all.
            assert_rubbish(&format!("{}.", signed.rsplit_once('.').unwrap().0));
            assert_rubbish(signed.rsplit_once('.').unwrap().0);
        }
        // The forger's tools are good: with our header this is a token.
        assert_eq!(forge::jwt(purpose, forge::HEADER, payload).len(), access_or_refresh(purpose).len());
        assert_eq!(forge::jwt(purpose, forge::HEADER, payload), access_or_refresh(purpose));
    }
}

fn access_or_refresh(purpose: &str) -> String {
    if purpose == "access" { access(&session()) } else { refresh(&session()) }
}

#[test]
fn keys_that_are_easy_to_come_by_sign_nothing() {
    let token = access(&session());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let purposes = ["key-id", "refresh", "link/verify-email", "link/set-password", "data/pepper", ""];
    let derived = purposes.map(|purpose| forge::key(1, purpose).to_vec());
    let root = common::secret_bytes(1);
    let guesses = [&b""[..], b"secret", b"CP0i8Z4N", &[0; 32], &root];
    for key in derived.iter().map(Vec::as_slice).chain(guesses) {
        let forged = format!("{signed}.{}", forge::encode(forge::mac(key, signed.as_bytes())));
        assert_ne!(tokens().verify_access(&forged, now()).map(|_| ()), Ok(()));
    }
}

#[test]
fn a_header_that_names_another_key_of_the_ring_is_refused() {
    let ring = || TokenRing::new(&secret(2), &[secret(1)]);
    let both = Tokens::new(ring(), "iss", "aud", &Policy::default()).unwrap();
    let (new, old) = (both.access(&session()).unwrap().token.expose().to_owned(), access(&session()));
    assert!(both.verify_access(&new, now()).is_ok());
    assert!(both.verify_access(&old, now()).is_ok());
    let (new_header, new_rest) = new.split_once('.').unwrap();
    let (old_header, old_rest) = old.split_once('.').unwrap();
    assert_ne!(new_header, old_header);
    for crossed in [format!("{new_header}.{old_rest}"), format!("{old_header}.{new_rest}")] {
        assert_eq!(both.verify_access(&crossed, now()), Err(TokenError::Invalid));
    }
}

#[test]
fn a_truncated_token_is_refused_at_every_length() {
    for token in [access(&session()), refresh(&session())] {
        for length in 0..token.len() {
            assert_rubbish(&token[..length]);
            assert_rubbish(&token[token.len() - length..]);
        }
    }
}

#[test]
fn a_token_with_any_byte_changed_is_refused() {
    const BYTES: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0";
    let (token, tokens) = (access(&session()), tokens());
    for index in 0..token.len() {
        for byte in BYTES.iter().filter(|byte| **byte != token.as_bytes()[index]) {
            let mut changed = token.clone().into_bytes();
            changed[index] = *byte;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.verify_access(&changed, now()), Err(TokenError::Invalid), "{index} {byte}");
        }
    }
}

#[test]
fn a_token_has_one_spelling() {
    let token = access(&session());
    for variant in ["=", "==", " ", "\n", "\0", ".", "..", "A", "é", ".AAAA"] {
        assert_rubbish(&format!("{token}{variant}"));
        assert_rubbish(&format!("{variant}{token}"));
    }
    assert_rubbish(&format!("Bearer {token}"));
    for index in 0..=token.len() {
        assert_rubbish(&format!("{}.{}", &token[..index], &token[index..]));
    }
    // The last character of a signature holds four bits of it and two that must be zero.
    let (head, last) = token.split_at(token.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.find(last).unwrap();
    assert_eq!(value % 4, 0);
    for spare in 1..4 {
        assert_rubbish(&format!("{head}{}", &alphabet[value + spare..=value + spare]));
    }
}

#[test]
fn a_token_that_is_too_long_is_refused_unread() {
    for rubbish in [".".repeat(1_000_000), "A".repeat(1_000_000), format!("{}.", access(&session())).repeat(1000)] {
        assert_rubbish(&rubbish);
    }
    // Not for its signature: this one's is good, and its payload would fit.
    let payload = forge::decode(access(&session()).split('.').nth(1).unwrap());
    let of_length = |bytes| {
        let padding = "x".repeat(bytes - payload.len() - r#""x":"","#.len());
        let payload = payload.replacen('{', &format!(r#"{{"x":"{padding}","#), 1);
        forge::jwt("access", forge::HEADER, &payload)
    };
    let (fits, too_long) = (of_length(1456), of_length(1460));
    assert!((2040..=2048).contains(&fits.len()) && (2049..2060).contains(&too_long.len()));
    assert!(tokens().verify_access(&fits, now()).is_ok());
    assert_eq!(tokens().verify_access(&too_long, now()), Err(TokenError::Invalid));
}

#[test]
fn the_longest_names_still_make_a_token_that_is_read() {
    let policy = Policy::default();
    let ring = TokenRing::new(&secret(1), &[]);
    let longest = Tokens::new(ring, &"i".repeat(200), &"a".repeat(200), &policy).unwrap();
    let id = "x".repeat(64);
    let session = Session {
        tenant: TenantId::parse(&id).unwrap(),
        user: UserId::parse(&id).unwrap(),
        generation: u32::MAX,
        methods: AuthMethods::from_bits(u8::MAX),
        method_times: MethodTimes::default(),
        scope: Scope::EnrolFactor,
        ..session()
    };
    assert!(longest.verify_access(longest.access(&session).unwrap().token.expose(), now()).is_ok());
    assert!(longest.verify_refresh(longest.refresh(&session).unwrap().token.expose(), now()).is_ok());
}

#[test]
fn one_kind_of_token_is_not_another() {
    let (access, refresh) = (access(&session()), refresh(&session()));
    let links = [LinkPurpose::VerifyEmail, LinkPurpose::SetPassword];
    assert_eq!(tokens().verify_access(&refresh, now()), Err(TokenError::WrongType));
    assert_eq!(tokens().verify_access(&refresh, now() + 99 * DAY), Err(TokenError::WrongType));
    assert_eq!(tokens().verify_refresh(&access, now()), Err(TokenError::Invalid));
    for purpose in links {
        let user = common::user_row();
        assert_rubbish(tokens().link(purpose, &user, now() + DAY).expose());
        for token in [&access, &refresh] {
            assert!(!tokens().verify_link(purpose, Some(&user), token, now()));
        }
    }
}

#[test]
fn a_token_dies_at_its_expiry_and_not_before() {
    let end = now() + 15 * MINUTE;
    assert!(tokens().verify_access(&access(&session()), end - TICK).is_ok());
    assert_eq!(tokens().verify_access(&access(&session()), end), Err(TokenError::Expired));
    let end = now() + 7 * DAY;
    assert!(tokens().verify_refresh(&refresh(&session()), end - TICK).is_ok());
    assert_eq!(tokens().verify_refresh(&refresh(&session()), end), Err(TokenError::Expired));
}

#[test]
fn no_token_outlives_its_session() {
    let session = Session { expires_at: now() + MINUTE, idle_expires_at: now() + 7 * DAY, ..session() };
    assert_eq!(tokens().access(&session).unwrap().expires_at, session.expires_at);
    assert_eq!(tokens().refresh(&session).unwrap().expires_at, session.expires_at);
}

#[test]
fn a_token_from_the_future_is_refused_past_five_seconds() {
    for early in [TICK, SECOND, 5 * SECOND] {
        assert!(tokens().verify_access(&access(&session()), now() - early).is_ok(), "{early:?}");
        assert!(tokens().verify_refresh(&refresh(&session()), now() - early).is_ok(), "{early:?}");
    }
    for early in [5 * SECOND + TICK, 6 * SECOND, DAY] {
        let then = now() - early;
        assert_eq!(tokens().verify_access(&access(&session()), then), Err(TokenError::Invalid), "{early:?}");
        assert_eq!(tokens().verify_refresh(&refresh(&session()), then), Err(TokenError::Invalid), "{early:?}");
    }
}

#[test]
fn a_token_that_lives_longer_than_the_policy_allows_is_refused() {
    let living = |access_lifetime| common::tokens(&Policy { access_lifetime, ..Policy::default() });
    for (lifetime, accepted) in [(14 * MINUTE, true), (15 * MINUTE, true), (15 * MINUTE + SECOND, false)] {
        let token = living(lifetime).access(&session()).unwrap();
        assert_eq!(tokens().verify_access(token.token.expose(), now()).is_ok(), accepted, "{lifetime:?}");
    }
    for (over, accepted) in [(Duration::ZERO, true), (SECOND, false)] {
        let end = now() + 30 * DAY + over;
        let token = refresh(&Session { idle_expires_at: end, expires_at: end, ..session() });
        assert_eq!(tokens().verify_refresh(&token, now()).is_ok(), accepted, "{over:?}");
    }
    // A lifetime with a fraction: between two whole seconds it is one second more.
    let policy = Policy { access_lifetime: Duration::from_millis(11_500), ..Policy::default() };
    for fraction in [0, 499, 500, 999] {
        let session = Session { rotated_at: now() + Duration::from_millis(fraction), ..session() };
        let token = common::tokens(&policy).access(&session).unwrap();
        assert!(common::tokens(&policy).verify_access(token.token.expose(), now()).is_ok(), "{fraction}");
    }
}

#[test]
fn a_token_of_another_issuer_or_audience_is_refused() {
    let ring = || TokenRing::new(&secret(1), &[]);
    for (issuer, audience) in [("iss2", "aud"), ("iss", "aud2"), ("ISS", "aud"), ("aud", "iss")] {
        let other = Tokens::new(ring(), issuer, audience, &Policy::default()).unwrap();
        let (access, refresh) = (other.access(&session()).unwrap(), other.refresh(&session()).unwrap());
        assert_eq!(tokens().verify_access(access.token.expose(), now()), Err(TokenError::Invalid));
        assert_eq!(tokens().verify_refresh(refresh.token.expose(), now()), Err(TokenError::Invalid));
    }
}

#[test]
fn names_that_json_would_escape_are_refused_at_the_start() {
    let ring = || TokenRing::new(&secret(1), &[]);
    for bad in ["", " ", "a b", "a\"b", "a\\b", "a\n", "ä", &"x".repeat(201)] {
        assert_eq!(Tokens::new(ring(), bad, "aud", &Policy::default()).unwrap_err().setting, "issuer", "{bad}");
        assert_eq!(Tokens::new(ring(), "iss", bad, &Policy::default()).unwrap_err().setting, "audience", "{bad}");
    }
}

#[test]
fn a_secret_is_changed_by_accepting_it_first_and_signing_with_it_next() {
    let ring = |signing, accepted: &[u8]| {
        let accepted: Vec<_> = accepted.iter().map(|number| secret(*number)).collect();
        Tokens::new(TokenRing::new(&secret(signing), &accepted), "iss", "aud", &Policy::default()).unwrap()
    };
    // Before, the fleet learns the new secret; then it signs with it; then the old one goes.
    let steps = [ring(1, &[]), ring(1, &[2]), ring(2, &[1]), ring(2, &[])];
    for (maker, tokens) in steps.iter().enumerate() {
        let token = tokens.access(&session()).unwrap();
        for (reader, tokens) in steps.iter().enumerate() {
            let verdict = tokens.verify_access(token.token.expose(), now()).map(|_| ());
            // Neighbours in the roll-out understand each other; strangers do not.
            match maker.abs_diff(reader) {
                0 | 1 => assert_eq!(verdict, Ok(()), "{maker} {reader}"),
                3 => assert_eq!(verdict, Err(TokenError::Invalid), "{maker} {reader}"),
                _ => {}
            }
        }
    }
    assert_eq!(ring(3, &[]).verify_access(&access(&session()), now()), Err(TokenError::Invalid));
}

proptest! {
    #[test]
    fn no_text_makes_a_verifier_panic_or_agree(text in "\\PC{0,200}", cut in 0_usize..500) {
        let (real, user) = (access(&session()), common::user_row());
        for text in [text.clone(), format!("{}{text}", &real[..cut.min(real.len())])] {
            prop_assert!(text == real || tokens().verify_access(&text, now()).is_err());
            prop_assert!(tokens().verify_refresh(&text, now()).is_err());
            prop_assert!(!tokens().verify_link(LinkPurpose::SetPassword, Some(&user), &text, now()));
        }
    }
}
