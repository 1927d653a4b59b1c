//! The one email type, with the one canonical form that uniqueness, look-ups, limits and mail share.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest canonical address, in bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;
/// The longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;

/// A mail address in canonical form: NFKC, local part in lower case, domain as lower-case IDNA ASCII, exactly one `@`.
///
/// Two texts that a person would call the same address give equal values, so a stored value is also the recipient.
/// Quoted local parts and address literals are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(Box<str>);

/// Why a text is not a mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEmail;

impl fmt::Display for InvalidEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a mail address")
    }
}

impl std::error::Error for InvalidEmail {}

impl Email {
    /// Canonicalises first and validates what came of it. White space around the address is dropped.
    ///
    /// # Errors
    /// [`InvalidEmail`] when the canonical text is not `local@domain` with a dotted domain (or `localhost`),
    /// is longer than 254 bytes, or has control characters or blanks.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        // Canonical forms may be shorter than the input, but never by this much: bounds the work below.
        if text.len() > 4 * MAX_EMAIL_BYTES {
            return Err(InvalidEmail);
        }
        let folded = fold(text.trim()).ok_or(InvalidEmail)?;
        let (local, domain) = folded.split_once('@').ok_or(InvalidEmail)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        let canonical = format!("{local}@{domain}");
        if valid_local(local) && valid_domain(&domain) && canonical.len() <= MAX_EMAIL_BYTES {
            Ok(Self(canonical.into_boxed_str()))
        } else {
            Err(InvalidEmail)
        }
    }

    /// The canonical address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

/// Folds to the fixed point: a single pass of NFKC and lower case may leave text that another pass would change.
fn fold(text: &str) -> Option<String> {
    let mut current = text.to_owned();
    for _ in 0..4 {
        let next: String = current.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        if next == current {
            return Some(current);
        }
        current = next;
    }
    None
}

fn valid_local(local: &str) -> bool {
    let atom = |c: char| c.is_alphanumeric() || (c.is_ascii_punctuation() && "!#$%&'*+-/=?^_`{|}~".contains(c));
    !local.is_empty()
        && local.len() <= MAX_LOCAL_BYTES
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

fn valid_domain(domain: &str) -> bool {
    let name = domain == "localhost" || domain.contains('.');
    // A domain whose last label is a number is an IPv4 address in disguise.
    let number = domain.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    name && !number && !domain.ends_with('.') && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses are personal data: `Debug` shows the domain only, so that logs stay clean by default.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email(…@{})", self.0.split_once('@').map_or("", |(_, domain)| domain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.to_string())
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
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert!(email.as_str().len() <= MAX_EMAIL_BYTES);
                prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
