//! Codes in any spelling: one form each, and nothing else is a code.

#![allow(clippy::unwrap_used, reason = "for the helpers: clippy.toml covers test functions only")]

use auth_core::types::{BACKUP_CODE_ALPHABET, Code, InvalidCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Zeros of a few scripts, and of digits of other widths and styles.
const ZEROS: [u32; 10] = [0x30, 0x660, 0x6f0, 0x966, 0x9e6, 0xe50, 0x17e0, 0xff10, 0x1d7ce, 0x1fbf0];
/// Characters that pasting and phones put between others.
const SEPARATORS: [char; 21] = [
    ' ', '\t', '\n', '\r', '\u{b}', '\u{85}', '\u{a0}', '\u{2003}', '\u{2028}', '\u{202f}', '\u{3000}', '\u{ad}',
    '\u{200b}', '\u{200e}', '\u{2060}', '\u{feff}', '-', '\u{2010}', '\u{2014}', '\u{2212}', '\u{ff0d}',
];

/// One character of a code as its owner's device may write it.
fn spelt(c: char) -> impl Strategy<Value = String> {
    let separators = vec(select(&SEPARATORS[..]), 0..3);
    (select(&ZEROS[..]), any::<bool>(), any::<bool>(), separators).prop_map(move |(zero, lower, wide, separators)| {
        let c = match c.to_digit(10) {
            Some(digit) => char::from_u32(zero + digit).unwrap(),
            None => {
                let c = if lower { c.to_ascii_lowercase() } else { c };
                if wide { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c }
            }
        };
        separators.into_iter().chain([c]).collect()
    })
}

fn spelling(code: String) -> impl Strategy<Value = (String, String)> {
    let characters: Vec<_> = code.chars().map(spelt).collect();
    (Just(code), characters, vec(select(&SEPARATORS[..]), 0..3))
        .prop_map(|(code, characters, end)| (code, characters.concat() + &String::from_iter(end)))
}

fn backup_code() -> impl Strategy<Value = String> {
    vec(select(&BACKUP_CODE_ALPHABET[..]), 8).prop_map(|bytes| bytes.into_iter().map(char::from).collect())
}

proptest! {
    #[test]
    fn every_spelling_of_a_code_of_the_authenticator_is_that_code(
        (code, spelt) in "[0-9]{6}".prop_flat_map(spelling),
    ) {
        prop_assert!(matches!(Code::parse(&spelt), Ok(Code::Totp(read)) if *read == code), "{:?}", spelt);
    }

    #[test]
    fn every_spelling_of_a_backup_code_is_that_code((code, spelt) in backup_code().prop_flat_map(spelling)) {
        prop_assert!(matches!(Code::parse(&spelt), Ok(Code::Backup(read)) if *read == code), "{:?}", spelt);
    }

    #[test]
    fn one_character_more_or_less_or_of_no_code_makes_it_none(
        (code, spelt) in prop_oneof!["[0-9]{6}".boxed(), backup_code().boxed()].prop_flat_map(spelling),
        other in "[^\\p{L}\\p{N}\\p{Z}\\p{C}\\p{Pd}\\p{M}\u{2212}\u{2043}\u{207b}\u{208b}\u{2800}]",
    ) {
        for text in [format!("{spelt}{other}"), format!("{other}{spelt}"), code[1..].to_owned(), format!("{code}2")] {
            prop_assert!(Code::parse(&text).is_err(), "{:?}", text);
        }
    }

    #[test]
    fn a_text_is_no_code_or_one_that_reads_as_itself(text in ".{0,40}") {
        match Code::parse(&text) {
            Ok(code) => {
                let again = Code::parse(code.expose());
                prop_assert_eq!(again.as_ref(), Ok(&code));
                let digits = code.expose().bytes().all(|byte| byte.is_ascii_digit());
                let backup = code.expose().bytes().all(|byte| BACKUP_CODE_ALPHABET.contains(&byte));
                match &code {
                    Code::Totp(text) => prop_assert!(text.len() == 6 && digits),
                    Code::Backup(text) => prop_assert!(text.len() == 8 && backup),
                    other => prop_assert!(false, "{other:?} is of no form that is tested"),
                }
            }
            Err(error) => prop_assert_eq!(error == InvalidCode::Empty, Code::plain(&text).is_empty()),
        }
    }

    #[test]
    fn a_number_is_its_digits_with_leading_zeros(number in 0..1_000_000_u32) {
        let (read, digits) = (Code::from_number(&number.to_string()), format!("{number:06}"));
        prop_assert!(matches!(read, Ok(Code::Totp(code)) if *code == digits));
    }

    #[test]
    fn no_other_number_is_a_code(number in prop_oneof![
        "-[0-9]{1,6}", "[0-9]{7,20}", "[0-9]{1,3}\\.[0-9]{1,2}", "[1-9]e[0-9]", Just(String::from("NaN")),
    ]) {
        prop_assert!(Code::from_number(&number).is_err());
    }
}

#[test]
fn a_code_shows_itself_to_no_log() {
    let codes = ["123456", "ABCD2345"].map(|code| format!("{:?}", Code::parse(code).unwrap()));
    assert_eq!(codes, ["Totp(…)", "Backup(…)"]);
}
