//! Codes of second factors, as people type and paste them.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

/// The length of an authenticator's code.
pub const TOTP_CHARS: usize = 6;
/// The length of a backup code.
pub const BACKUP_CODE_CHARS: usize = 8;
/// The characters of a backup code: no two of them look alike. Thirty-two, so that each byte's lower five bits choose one.
pub const BACKUP_CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A code in its one form, told apart by its alphabet and length: six digits, or eight characters of the backup alphabet.
///
/// People copy codes in groups, with blanks, hyphens and line ends, in the digits of their script and in lower case. All
/// these spellings are one code.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// A code of an authenticator.
    Totp(Zeroizing<String>),
    /// A backup code.
    Backup(Zeroizing<String>),
}

impl Code {
    /// Reads a code in any spelling.
    ///
    /// # Errors
    /// [`InvalidCode`] for a text that no authenticator shows and that is no backup code.
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let plain = Self::plain(text);
        let digits = plain.bytes().all(|byte| byte.is_ascii_digit());
        let backup = plain.bytes().all(|byte| BACKUP_CODE_ALPHABET.contains(&byte));
        match plain.chars().count() {
            0 => Err(InvalidCode::Empty),
            TOTP_CHARS if digits => Ok(Self::Totp(plain)),
            BACKUP_CODE_CHARS if backup => Ok(Self::Backup(plain)),
            count if count < TOTP_CHARS => Err(InvalidCode::TooShort),
            count if count > BACKUP_CODE_CHARS => Err(InvalidCode::TooLong),
            _ => Err(InvalidCode::Malformed),
        }
    }

    /// Drops what only groups characters, and writes digits of every script in ASCII and letters in upper case.
    pub fn plain(text: &str) -> Zeroizing<String> {
        // Enough for every character, so that no copy of the code stays behind in memory that was given back.
        let mut plain = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
        for c in text.chars().filter(|c| !is_separator(*c)) {
            match digit(c) {
                Some(digit) => plain.push(digit),
                None => plain.extend(narrow(c).to_uppercase()),
            }
        }
        plain
    }

    /// Reads a code that came as a number, which has lost its leading zeros.
    ///
    /// # Errors
    /// [`InvalidCode`] for a number that is no whole one of at most six digits.
    pub fn from_number(number: &str) -> Result<Self, InvalidCode> {
        if number.is_empty() || number.len() > TOTP_CHARS || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidCode::Malformed);
        }
        let mut padded = format!("{number:0>TOTP_CHARS$}");
        let code = Self::parse(&padded);
        padded.zeroize();
        code
    }

    /// The code itself, in its one form. Never log, store or return it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Totp(text) | Self::Backup(text) => text,
        }
    }
}

/// Shows the kind of code alone.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Totp(_) => "Totp(…)",
            Self::Backup(_) => "Backup(…)",
        })
    }
}

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCode {
    /// Nothing but white space and hyphens.
    Empty,
    /// Fewer characters than any code has.
    TooShort,
    /// More characters than any code has.
    TooLong,
    /// Characters that no code of this length has.
    Malformed,
}

/// Whether a character only groups others: white space, hyphens and dashes, and characters without a width.
fn is_separator(c: char) -> bool {
    let dash = matches!(
        c,
        '-' | '\u{58a}' | '\u{5be}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2043}'
                | '\u{207b}'
                | '\u{208b}'
                | '\u{2212}'
                | '\u{2e17}'
                | '\u{2e1a}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{2e40}'
                | '\u{2e5d}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30a0}'
                | '\u{30fc}'
                | '\u{fe31}'
                | '\u{fe32}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
                | '\u{ff70}'
                | '\u{10ead}'
    );
    let without_width = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}');
    // A braille pattern without dots looks blank, too.
    c.is_whitespace() || dash || without_width || c == '\u{2800}'
}

/// The ASCII digit for a decimal digit of any script.
fn digit(c: char) -> Option<char> {
    let c = u32::from(c);
    let zero = ZEROS.get(ZEROS.partition_point(|zero| *zero <= c).checked_sub(1)?)?;
    char::from_digit(c.checked_sub(*zero)?, 10)
}

/// The ASCII letter for a letter as wide as an ideograph.
fn narrow(c: char) -> char {
    match c {
        '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => {
            u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c)
        }
        _ => c,
    }
}

/// The zeros of every script that counts by tens: nine more digits follow each (general category `Nd`, Unicode 16).
#[rustfmt::skip]
const ZEROS: [u32; 76] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0,
    0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_are_digits_and_in_order() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS {
            for value in 0..10 {
                let c = char::from_u32(zero + value).unwrap_or_default();
                assert!(c.is_numeric(), "{zero:x} + {value}");
                assert_eq!(digit(c), char::from_digit(value, 10));
            }
            let next = zero + 10;
            if !ZEROS.contains(&next) {
                assert_eq!(char::from_u32(next).and_then(digit), None, "{next:x}");
            }
        }
        for c in ['a', '²', '½', '一', 'Ⅷ', '①', '\0', '\u{10ffff}'] {
            assert_eq!(digit(c), None, "{c}");
        }
    }
}
