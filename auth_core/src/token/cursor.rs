//! A reader of the one form in which we write payloads, byte by byte. It borrows and allocates nothing.

/// The payload is not what we would ever have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the reader is. It moves on behind branches: were `at` computed from the bytes that it passes, reading would be
/// one long chain of loads that wait for each other.
pub(super) struct Cursor<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    /// Whether all is read.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.json.len()
    }

    /// Reads just these bytes.
    #[inline(always)] // What is known of them makes it a comparison of words.
    pub(super) fn exactly(&mut self, expected: &str) -> Result<(), Malformed> {
        if !self.rest().starts_with(expected.as_bytes()) {
            return Err(Malformed);
        }
        self.at += expected.len();
        Ok(())
    }

    /// Reads a text without escapes.
    #[inline(always)] // The call would cost as much as the usual short text.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_length(self.rest());
        let text = self.json.get(start..self.at).unwrap_or_default();
        self.expect(b'"')?;
        Ok(text)
    }

    /// Reads an integer that fits, without leading zeros. What follows is for the next call to refuse.
    #[inline(always)]
    pub(super) fn integer(&mut self) -> Result<i64, Malformed> {
        let negative = self.eat(b'-');
        let magnitude = if self.eat(b'0') { 0 } else { self.digits()? };
        match i64::try_from(magnitude) {
            // Minus zero is a float to some parsers.
            Ok(0) if negative => Err(Malformed),
            Ok(magnitude) => Ok(if negative { -magnitude } else { magnitude }),
            Err(_) => Err(Malformed),
        }
    }

    /// Reads an array of texts without escapes.
    pub(super) fn texts(&mut self, mut element: impl FnMut(&'a str)) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            element(self.text()?);
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.expect(byte).is_ok()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.rest().first() != Some(&byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// At least one digit, and what they say; past the range of `u64` its end.
    fn digits(&mut self) -> Result<u64, Malformed> {
        let mut rest = self.rest();
        let mut number = 0;
        // Digit by digit, each would wait for the one before; times have ten.
        if let Some((word, behind)) = rest.split_first_chunk().filter(|(word, _)| word.iter().all(u8::is_ascii_digit)) {
            (number, rest) = (eight_digits(u64::from_le_bytes(*word)), behind);
        }
        for digit in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            rest = rest.get(1..).unwrap_or_default();
        }
        let count = self.rest().len() - rest.len();
        self.at += count;
        if count > 0 { Ok(number) } else { Err(Malformed) }
    }
}

/// How many bytes come before the first that is `"`, `\` or a control character: by words of eight, for texts are the
/// most of a payload.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count();
    words.len() * 8 + in_rest
}

/// Marks bytes of a word that are `"`, `\` or below 0x20 by their highest bit. A borrow may mark bytes above a true
/// find, never below.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

/// What eight digits say, the first in the lowest byte: neighbours are joined to pairs, pairs to fours, fours to eight.
fn eight_digits(word: u64) -> u64 {
    let digits = word & (0x0f * (u64::MAX / 0xff));
    let pairs = ((digits * 10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = ((pairs * 100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    ((fours * 10_000) + (fours >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_bytes_are_counted_to_the_first_that_is_not(
            bytes in proptest::collection::vec(prop_oneof![9 => b' '..=b'~', 1 => any::<u8>()], 0..80)
        ) {
            let counted = bytes.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count();
            prop_assert_eq!(plain_length(&bytes), counted);
        }

        #[test]
        fn integers_are_read_as_serde_json_reads_them(text in "-?[0-9]{1,20}") {
            let mut cursor = Cursor::new(&text);
            let read = cursor.integer().ok().filter(|_| cursor.is_done());
            prop_assert_eq!(read, serde_json::from_str::<i64>(&text).ok());
        }
    }
}
