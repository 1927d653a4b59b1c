//! The one email type: the canonical key that uniqueness, look-ups and limits share, and the spelling that mail goes to.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest address, in bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;
/// The longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;

/// A mail address: its canonical key and the spelling that its owner typed.
///
/// The key is NFKC under full case folding, with the domain as lower-case IDNA ASCII and exactly one `@`. Two texts that a
/// person would call the same address have one key. Equality, hash and order are those of the key. Mail servers may tell
/// spellings apart, so mail goes to the [`spelling`](Self::spelling), and never to one that another client typed.
///
/// Local parts are atoms of RFC 6531: letters, marks and digits of every script. Quoted local parts and address literals
/// are refused.
#[derive(Clone)]
pub struct Email {
    key: Box<str>,
    /// Where it differs from the key.
    spelling: Option<Box<str>>,
}

/// Why a text is not a mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address")]
pub struct InvalidEmail;

impl Email {
    /// Canonicalises and validates. White space around the address is dropped.
    ///
    /// # Errors
    /// [`InvalidEmail`] when the canonical text is not `local@domain` with a dotted domain (or `localhost`),
    /// is longer than 254 bytes, or has control characters or blanks.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        // Canonical forms may be shorter than the input, but never by this much: bounds the work below.
        if text.len() > 4 * MAX_EMAIL_BYTES {
            return Err(InvalidEmail);
        }
        let text = text.trim();
        let compatible: String = text.nfkc().collect();
        let (local, domain) = compatible.split_once('@').ok_or(InvalidEmail)?;
        // Its letters are those of IDNA, which knows better than case folding.
        let domain = idna::domain_to_ascii_strict(&lower(domain).ok_or(InvalidEmail)?).map_err(|_| InvalidEmail)?;
        let folded = fold(local).ok_or(InvalidEmail)?;
        let key = format!("{folded}@{domain}");
        if !valid_local(&folded) || !valid_domain(&domain) || key.len() > MAX_EMAIL_BYTES {
            return Err(InvalidEmail);
        }
        let spelling = spelling_of(text, local).map(|local| format!("{local}@{domain}"));
        let spelling = spelling.filter(|spelling| *spelling != key && spelling.len() <= MAX_EMAIL_BYTES);
        Ok(Self { key: key.into(), spelling: spelling.map(Into::into) })
    }

    /// The address of a row: the key and, where it differs, the spelling beside it. `None` for what cannot be one.
    ///
    /// A key that today's rules would write otherwise is taken as it is: it is the one that the row is found by.
    pub fn stored(key: &str, spelling: Option<&str>) -> Option<Self> {
        let same = |parsed: &Self, text: &str| &*parsed.key == key && parsed.spelling() == text;
        let spelt = spelling.and_then(|text| Self::parse(text).ok().filter(|parsed| same(parsed, text)));
        let (local, domain) = key.split_once('@')?;
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !c.is_ascii_uppercase();
        let shaped =
            !local.is_empty() && valid_domain(domain) && key.len() <= MAX_EMAIL_BYTES && key.chars().all(plain);
        spelt.or_else(|| shaped.then(|| Self { key: key.into(), spelling: None }))
    }

    /// The canonical key.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The address as it was typed: what mail goes to and what people are shown.
    pub fn spelling(&self) -> &str {
        self.spelling.as_deref().unwrap_or(&self.key)
    }

    /// The spelling where it differs from the key: what a store keeps beside the key.
    pub fn other_spelling(&self) -> Option<&str> {
        self.spelling.as_deref()
    }

    /// Returns the part of the key before the `@`.
    pub fn local_part(&self) -> &str {
        self.key.split_once('@').map_or("", |(local, _)| local)
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl PartialOrd for Email {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Email {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for Email {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// The local part as it was typed, in NFC (RFC 6532 section 3.1); full-width and other variants of ASCII are ASCII, for they
/// come from keyboards. `None` where it cannot be told from the key.
fn spelling_of(text: &str, compatible_local: &str) -> Option<String> {
    if compatible_local.is_ascii() {
        return Some(compatible_local.to_owned());
    }
    let (typed, _) = text.split_once('@')?;
    let typed: String = typed.nfc().collect();
    valid_local(&typed).then_some(typed)
}

/// Folds to the fixed point: a single pass may leave text that another pass would change.
fn to_fixed_point(text: &str, pass: impl Fn(&str) -> String) -> Option<String> {
    let mut current = text.to_owned();
    for _ in 0..4 {
        let next = pass(&current);
        if next == current {
            return Some(current);
        }
        current = next;
    }
    None
}

/// NFKC and default case folding (Unicode section 3.13).
fn fold(text: &str) -> Option<String> {
    to_fixed_point(text, |text| caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect())
}

/// NFKC and lower case.
fn lower(text: &str) -> Option<String> {
    to_fixed_point(text, |text| text.nfkc().flat_map(char::to_lowercase).nfkc().collect())
}

fn valid_local(local: &str) -> bool {
    let atom = |c: char| {
        let letter = c.is_alphanumeric() || is_combining_mark(c);
        (letter && !is_invisible(c)) || (c.is_ascii_punctuation() && "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    // A mark stands on a letter.
    let part =
        |part: &str| part.chars().all(atom) && part.chars().next().is_some_and(|first| !is_combining_mark(first));
    local.len() <= MAX_LOCAL_BYTES && local.split('.').all(part)
}

/// Letters and marks that show nothing (default ignorable): two addresses with and without one look alike.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
    )
}

fn valid_domain(domain: &str) -> bool {
    let name = domain == "localhost" || domain.contains('.');
    // A domain whose last label is a number is an IPv4 address in disguise.
    let number = domain.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    name && !number && !domain.ends_with('.') && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
}

/// Shows the spelling of the owner.
impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelling())
    }
}

/// Addresses are personal data: `Debug` shows the domain only, so that logs stay clean by default.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email(…@{})", self.key.split_once('@').map_or("", |(_, domain)| domain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.as_str().to_owned())
    }

    fn spelling(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.spelling().to_owned())
    }

    #[test]
    fn names_of_every_script_are_local_parts() {
        // Devanagari, Tamil, Thai, Khmer, Myanmar, Bengali, Arabic with vowel marks, Hebrew with points, Vietnamese, Georgian,
        // Cherokee, digits of Arabic.
        for local in [
            "हिन्दी",
            "क्षत्रिय",
            "தமிழ்நாடு",
            "สมชาย.น้ำ",
            "សុភាព",
            "မြန်မာ",
            "বাংলা.ব্যক্তি",
            "مُحَمَّد",
            "שָׁלוֹם",
            "nguyễn.thị",
            "ნინო",
            "ᏣᎳᎩ",
            "علی٢٣",
            "ivan+почта",
            "用户",
        ] {
            let address = format!("{local}@example.org");
            let key = canonical(&address);
            assert!(key.is_some(), "{local}");
            assert_eq!(canonical(key.as_deref().unwrap_or("")), key, "{local}");
            let nfc: String = address.nfc().collect();
            assert_eq!(spelling(&address), Some(nfc), "{local}");
        }
    }

    #[test]
    fn spellings_that_people_call_the_same_are_one_address() {
        for spellings in [
            &["straße@example.org", "STRASSE@example.org", "STRAẞE@example.org", "strasse@example.org"][..],
            &["σοφός@example.org", "ΣΟΦΌΣ@example.org", "σοφόσ@EXAMPLE.org"],
            &["ﬁona@example.org", "Fiona@example.org"],
            &["zoe\u{308}@example.org", "zoë@example.org", "ZOË@example.org"],
        ] {
            let keys: Vec<_> = spellings.iter().map(|spelling| canonical(spelling)).collect();
            assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
        // `ı` and `i` are two letters in every locale. Domains keep the letters that IDNA tells apart.
        assert_ne!(canonical("ılı@example.org"), canonical("ili@example.org"));
        assert_ne!(canonical("ada@straße.example"), canonical("ada@strasse.example"));
    }

    #[test]
    fn mail_goes_to_the_spelling_that_was_typed() {
        for (typed, key, spelling) in [
            ("ada@example.org", "ada@example.org", "ada@example.org"),
            (" Ada.Lovelace@Example.ORG", "ada.lovelace@example.org", "Ada.Lovelace@example.org"),
            ("ａｄａ@example.org", "ada@example.org", "ada@example.org"),
            ("Straße@Bücher.example", "strasse@xn--bcher-kva.example", "Straße@xn--bcher-kva.example"),
            ("Zoe\u{308}@example.org", "zoë@example.org", "Zoë@example.org"),
        ] {
            let email = Email::parse(typed).unwrap();
            assert_eq!((email.as_str(), email.spelling()), (key, spelling), "{typed}");
            assert_eq!(email.to_string(), spelling);
            assert_eq!(email, Email::parse(key).unwrap());
            let stored = Email::stored(email.as_str(), email.other_spelling()).unwrap();
            assert_eq!((stored.as_str(), stored.spelling()), (key, spelling));
        }
    }

    #[test]
    fn a_row_keeps_its_key_and_loses_a_spelling_of_another_address() {
        // A key of an earlier folding, which could not be changed.
        let old = Email::stored("σοφός@example.org", None).unwrap();
        assert_eq!((old.as_str(), old.spelling()), ("σοφός@example.org", "σοφός@example.org"));
        for spelling in ["eve@example.org", "", "ada@example.org\n", "ada@example.org, eve@example.org"] {
            let stored = Email::stored("ada@example.org", Some(spelling)).unwrap();
            assert_eq!(stored.spelling(), "ada@example.org", "{spelling}");
        }
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@example.org",
            "ada@exa mple.org",
            "ada\n@example.org",
            "Ada@example.org",
            "a@b@c.org",
        ] {
            assert!(Email::stored(bad, None).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn what_shows_nothing_or_turns_text_around_is_refused() {
        for hidden in [
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2066}',
            '\u{ad}',
            '\u{feff}',
            '\u{fe0f}',
            '\u{34f}',
            '\u{3164}',
            '\u{e0100}',
        ] {
            assert_eq!(canonical(&format!("a{hidden}da@example.org")), None, "{hidden:?}");
        }
        assert_eq!(canonical("\u{301}ada@example.org"), None, "a mark without its letter");
        assert_eq!(canonical("ada.\u{301}x@example.org"), None);
    }

    #[test]
    fn variants_of_one_address_are_one_address() {
        for variant in
            ["Ada@Example.org", " ada@example.org\t", "ADA@EXAMPLE.ORG", "ａｄａ@example.org", "ada@ｅxample。org"]
        {
            assert_eq!(canonical(variant).as_deref(), Some("ada@example.org"), "{variant}");
        }
        assert_eq!(canonical("ada@BÜCHER.example").as_deref(), Some("ada@xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}.org", "d".repeat(63)).replace("a@", &format!("a@{}", "d.".repeat(100)));
        for bad in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "a@b@example.org",
            "ada@example",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "a b@example.org",
            "ada@exa mple.org",
            "ada\0@example.org",
            "ada\r\nBcc: x@example.org",
            "\"ada\"@example.org",
            ".ada@example.org",
            "ada.@example.org",
            "a..b@example.org",
            "ada@example..org",
            "ada@-example.org",
            "ada@example.org.",
            "ada,bob@example.org",
            "<ada@example.org>",
            "ada＠b@example.org",
            &long_local,
            &long,
        ] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_hides_the_local_part() {
        let shown = Email::parse("ada@example.org").map(|email| format!("{email:?}"));
        assert_eq!(shown, Ok("Email(…@example.org)".to_owned()));
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_a_fixed_point(text in "\\PC{1,20}@\\PC{1,12}\\.\\PC{2,6}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
                prop_assert_eq!(Email::parse(email.spelling()), Ok(email.clone()));
                let stored = Email::stored(email.as_str(), email.other_spelling());
                prop_assert_eq!(stored.map(|it| it.to_string()), Some(email.to_string()));
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert!(email.as_str().len() <= MAX_EMAIL_BYTES);
                prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
