//! Names that a client chooses: addresses, usernames, language tags.

#![no_main]

use auth_core::types::{Email, Locale, MAX_EMAIL_BYTES, MAX_USERNAME_CHARS, Username};
use libfuzzer_sys::{Corpus, fuzz_target};
use unicode_normalization::is_nfkc;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    let (email, username) = (Email::parse(text).ok(), Username::parse(text).ok());
    assert!(email.is_none() || username.is_none(), "both an address and a username");
    if let Some(email) = email {
        check_email(&email);
    }
    if let Some(username) = username {
        check_username(&username);
    }
    check_locale(Locale::parse_or_default(text));
    Corpus::Keep
});

fn check_email(email: &Email) {
    let text = email.as_str();
    let (local, domain) = text.split_once('@').expect("an address has an @");
    assert!(!domain.contains('@'), "two @");
    assert!(text.len() <= MAX_EMAIL_BYTES && !local.is_empty() && local.len() <= 64);
    assert_eq!(email.local_part(), local);
    assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace() || "\"(),:;<>[\\]".contains(c)), "{text:?}");
    assert!(domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b)), "{domain:?}");
    assert!(is_nfkc(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase()), "{text:?} is not folded");
    let (shown, kept) = (email.spelling(), Email::stored(text, email.other_spelling()));
    assert!(shown.len() <= MAX_EMAIL_BYTES && kept.is_some_and(|kept| kept.spelling() == shown), "{shown:?}");
    // Whatever spelling of it comes next is the same account.
    for again in [text.to_owned(), shown.to_owned(), text.to_ascii_uppercase(), format!(" {text}\t")] {
        assert_eq!(Email::parse(&again).as_ref(), Ok(email), "{again:?}");
    }
}

fn check_username(username: &Username) {
    let text = username.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.+-".contains(&b);
    assert!((1..=MAX_USERNAME_CHARS).contains(&text.len()) && text.bytes().all(plain), "{text:?}");
    for again in [text.to_owned(), text.to_ascii_uppercase(), format!(" {text}\t")] {
        assert_eq!(Username::parse(&again).as_ref(), Ok(username), "{again:?}");
    }
}

/// A locale becomes part of a template's name.
fn check_locale(locale: Locale) {
    let text = locale.as_str();
    assert!((2..=16).contains(&text.len()), "{text:?}");
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{text:?}");
    assert!(text.starts_with(locale.language()) && !locale.language().is_empty(), "{text:?}");
    assert_eq!(Locale::parse_or_default(text), locale);
}
