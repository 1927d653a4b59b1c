//! A strict reader of the one JSON object that a token's payload is. It borrows, allocates nothing and never recurses.
//!
//! It accepts a subset of RFC 8259: whatever it accepts, any JSON parser reads the same way. Names of members are plain
//! (no escapes), so one claim cannot come twice in two spellings.

/// The payload is not what we would ever have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A member's value, as far as claims need it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A text without escapes.
    Text(&'a str),
    /// An integer that fits.
    Integer(i64),
    /// An array, from bracket to bracket, of well-formed JSON.
    Array(&'a str),
    /// Anything else that is well-formed.
    Other,
}

/// Unknown claims may nest this deep.
const MAX_DEPTH: u32 = 16;

/// Reads an object and hands over its members in order.
pub(crate) fn object<'a>(
    json: &'a str,
    mut member: impl FnMut(&'a str, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(json);
    cursor.space();
    cursor.expect(b'{')?;
    cursor.space();
    if !cursor.eat(b'}') {
        loop {
            cursor.space();
            let name = cursor.text()?;
            cursor.space();
            cursor.expect(b':')?;
            let value = cursor.value()?;
            member(name, value)?;
            cursor.space();
            if cursor.eat(b'}') {
                break;
            }
            cursor.expect(b',')?;
        }
    }
    cursor.space();
    if cursor.is_done() { Ok(()) } else { Err(Malformed) }
}

/// Hands over the elements of an array that [`object`] found, if all are plain texts.
pub(crate) fn texts<'a>(array: &'a str, element: impl FnMut(&'a str)) -> Result<(), Malformed> {
    Cursor::new(array).texts(element)
}

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

    /// Just these bytes.
    #[inline(always)] // What is known of them makes it a comparison of words.
    pub(super) fn exactly(&mut self, expected: &str) -> Result<(), Malformed> {
        if !self.rest().starts_with(expected.as_bytes()) {
            return Err(Malformed);
        }
        self.at += expected.len();
        Ok(())
    }

    /// A plain text.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        self.string()?.ok_or(Malformed)
    }

    /// An integer that fits.
    pub(super) fn integer(&mut self) -> Result<i64, Malformed> {
        match self.number()? {
            Value::Integer(integer) => Ok(integer),
            _ => Err(Malformed),
        }
    }

    /// An array of plain texts.
    pub(super) fn texts(&mut self, mut element: impl FnMut(&'a str)) -> Result<(), Malformed> {
        self.expect(b'[')?;
        self.space();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.space();
            element(self.text()?);
            self.space();
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.expect(byte).is_ok()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.skip_space();
        }
    }

    /// Apart, for our own payloads have none.
    #[cold]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.json.get(start..self.at).unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// A string: its text when plain, `None` when well-formed with escapes.
    #[inline(always)] // The call would cost as much as the usual short text.
    fn string(&mut self) -> Result<Option<&'a str>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_length(self.rest());
        let text = self.since(start);
        if self.eat(b'"') { Ok(Some(text)) } else { self.escaped_rest().map(|()| None) }
    }

    #[cold]
    fn escaped_rest(&mut self) -> Result<(), Malformed> {
        while !self.eat(b'"') {
            self.escape()?;
            self.at += plain_length(self.rest());
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.expect(b'\\')?;
        let kind = self.peek().ok_or(Malformed)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let code = self.hex4()?;
                match code {
                    // Half of a pair means nothing alone.
                    0xd800..0xdc00 => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        if (0xdc00..0xe000).contains(&self.hex4()?) { Ok(()) } else { Err(Malformed) }
                    }
                    0xdc00..0xe000 => Err(Malformed),
                    _ => Ok(()),
                }
            }
            _ => Err(Malformed),
        }
    }

    fn hex4(&mut self) -> Result<u32, Malformed> {
        (0..4).try_fold(0, |code, _| {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Malformed)?;
            self.at += 1;
            Ok(code << 4 | digit)
        })
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        self.space();
        match self.peek().ok_or(Malformed)? {
            b'"' => Ok(self.string()?.map_or(Value::Other, Value::Text)),
            b'-' | b'0'..=b'9' => self.number(),
            b'[' => {
                let start = self.at;
                self.skip_nested()?;
                Ok(Value::Array(self.since(start)))
            }
            b'{' => self.skip_nested().map(|()| Value::Other),
            _ => self.literal().map(|()| Value::Other),
        }
    }

    fn literal(&mut self) -> Result<(), Malformed> {
        let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| self.rest().starts_with(word));
        self.at += word.ok_or(Malformed)?.len();
        Ok(())
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

    #[inline(always)]
    fn number(&mut self) -> Result<Value<'a>, Malformed> {
        let negative = self.eat(b'-');
        let magnitude = if self.eat(b'0') { 0 } else { self.digits()? };
        let integer_end = self.at;
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let whole = self.at == integer_end;
        Ok(match i64::try_from(magnitude) {
            // Minus zero is a float to some parsers.
            Ok(0) if negative => Value::Other,
            Ok(magnitude) if whole => Value::Integer(if negative { -magnitude } else { magnitude }),
            _ => Value::Other,
        })
    }

    /// Skips an array or object; the bits of `kinds` remember which brackets are open.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let mut kinds = 0_u32;
        let mut depth = 0;
        loop {
            // At the start of a value.
            self.space();
            match self.peek().ok_or(Malformed)? {
                open @ (b'[' | b'{') => {
                    if depth == MAX_DEPTH {
                        return Err(Malformed);
                    }
                    self.at += 1;
                    depth += 1;
                    kinds = kinds << 1 | u32::from(open == b'{');
                    self.space();
                    if !self.eat(closing(kinds)) {
                        if kinds & 1 == 1 {
                            self.member_name()?;
                        }
                        continue;
                    }
                    depth -= 1;
                    kinds >>= 1;
                }
                b'"' => self.string().map(|_| ())?,
                b'-' | b'0'..=b'9' => self.number().map(|_| ())?,
                _ => self.literal()?,
            }
            // Behind a value.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                if self.eat(closing(kinds)) {
                    depth -= 1;
                    kinds >>= 1;
                    continue;
                }
                self.expect(b',')?;
                if kinds & 1 == 1 {
                    self.member_name()?;
                }
                break;
            }
        }
    }

    fn member_name(&mut self) -> Result<(), Malformed> {
        self.space();
        self.string()?;
        self.space();
        self.expect(b':')
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

fn closing(kinds: u32) -> u8 {
    if kinds & 1 == 1 { b'}' } else { b']' }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod check {
    //! The promise, checked against serde_json.

    use serde_json::Value as Json;

    use super::{Value, object, texts};

    /// Whatever the scanner accepts, serde_json accepts and reads alike.
    pub(crate) fn agrees_with_serde(json: &[u8]) {
        let Ok(json) = std::str::from_utf8(json) else { return };
        let mut members = Vec::new();
        let accepted = object(json, |name, value| {
            members.push((name.to_owned(), value));
            Ok(())
        });
        if accepted.is_err() {
            return;
        }
        // A number beyond the range of a double is well-formed, yet serde_json refuses it.
        let whole = match serde_json::from_str::<Json>(json) {
            Ok(whole) => whole,
            Err(error) if error.to_string().starts_with("number out of range") => return,
            Err(error) => unreachable!("accepted what serde_json refuses: {error}"),
        };
        let whole = whole.as_object().cloned().unwrap_or_default();
        for (index, (name, value)) in members.iter().enumerate() {
            if members.iter().skip(index + 1).any(|(later, _)| later == name) {
                continue; // serde_json keeps the last one
            }
            let theirs = whole.get(name);
            match value {
                Value::Text(text) => assert_eq!(theirs.and_then(Json::as_str), Some(*text)),
                Value::Integer(number) => assert_eq!(theirs.and_then(Json::as_i64), Some(*number)),
                Value::Array(array) => {
                    let theirs = theirs.and_then(Json::as_array).cloned().unwrap_or_default();
                    let mut ours = Vec::new();
                    if texts(array, |text| ours.push(Json::from(text))).is_ok() {
                        assert_eq!(theirs, ours);
                    }
                }
                Value::Other => assert!(theirs.is_some()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
