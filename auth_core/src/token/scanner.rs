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
    Array(&'a [u8]),
    /// Anything else that is well-formed.
    Other,
}

/// Unknown claims may nest this deep.
const MAX_DEPTH: u32 = 16;

/// Reads an object and hands over its members in order.
pub(crate) fn object<'a>(
    json: &'a [u8],
    mut member: impl FnMut(&'a str, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor { json, at: 0 };
    cursor.space();
    cursor.expect(b'{')?;
    cursor.space();
    if !cursor.eat(b'}') {
        loop {
            cursor.space();
            let name = cursor.string()?.ok_or(Malformed)?;
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
    if cursor.at == json.len() { Ok(()) } else { Err(Malformed) }
}

/// Hands over the elements of an array that [`object`] found, if all are plain texts.
pub(crate) fn texts<'a>(array: &'a [u8], mut element: impl FnMut(&'a str)) -> Result<(), Malformed> {
    let mut cursor = Cursor { json: array, at: 0 };
    cursor.expect(b'[')?;
    cursor.space();
    if cursor.eat(b']') {
        return Ok(());
    }
    loop {
        cursor.space();
        element(cursor.string()?.ok_or(Malformed)?);
        cursor.space();
        if cursor.eat(b']') {
            return Ok(());
        }
        cursor.expect(b',')?;
    }
}

struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// A string: its text when plain, `None` when well-formed with escapes.
    fn string(&mut self) -> Result<Option<&'a str>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let mut plain = true;
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    self.escape()?;
                }
                0..0x20 => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        let text = std::str::from_utf8(self.since(start)).map_err(|_| Malformed)?;
        self.at += 1;
        Ok(plain.then_some(text))
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
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
        let rest = self.json.get(self.at..).unwrap_or_default();
        let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
        self.at += word.ok_or(Malformed)?.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn number(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        let negative = self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let integer_end = self.at;
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        if self.at != integer_end {
            return Ok(Value::Other);
        }
        let digits = self.json.get(start + usize::from(negative)..integer_end).unwrap_or_default();
        let magnitude =
            digits.iter().try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
        Ok(match magnitude {
            // Minus zero is a float to some parsers.
            Some(0) if negative => Value::Other,
            Some(magnitude) => Value::Integer(if negative { -magnitude } else { magnitude }),
            None => Value::Other,
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
        let mut members = Vec::new();
        let accepted = object(json, |name, value| {
            members.push((name.to_owned(), value));
            Ok(())
        });
        if accepted.is_err() {
            return;
        }
        // A number beyond the range of a double is well-formed, yet serde_json refuses it.
        let whole = match serde_json::from_slice::<Json>(json) {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(json: &str) -> Result<Vec<(String, Value<'_>)>, Malformed> {
        let mut members = Vec::new();
        object(json.as_bytes(), |name, value| {
            members.push((name.to_owned(), value));
            Ok(())
        })?;
        Ok(members)
    }

    #[test]
    fn reads_what_we_write() {
        let json = r#"{"sub":"42","exp":1700000000,"amr":["pwd","otp"]}"#;
        let expected = [
            ("sub".to_owned(), Value::Text("42")),
            ("exp".to_owned(), Value::Integer(1_700_000_000)),
            ("amr".to_owned(), Value::Array(br#"["pwd","otp"]"#)),
        ];
        assert_eq!(members(json).as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn skips_unknown_claims_of_any_shape() {
        for value in
            ["null", "true", "{}", "[]", r#"{"a":[{"b":{}},[]],"c":"\ud83d\ude00\n"}"#, "[1,-2.5e3,\"x\"]", "-0", "1e5"]
        {
            let json = format!("{{ \"x\" : {value} , \"y\":1}}");
            let found = members(&json).map(|members| members.len());
            assert_eq!(found, Ok(2), "{json}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(17), "]".repeat(17));
        for json in [
            "",
            "{",
            "[]",
            "1",
            "{}x",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":1e}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"\u0061":1}"#,
            r#"{a:1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1}"#,
            r#"{"a":{"b":1]}"#,
            r#"{"a":tru}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"b"#,
            &deep,
        ] {
            assert_eq!(members(json), Err(Malformed), "{json}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}", |_, _| Ok(())), Err(Malformed));
    }

    #[test]
    fn numbers_are_integers_or_nothing() {
        for (number, value) in [
            ("0", Value::Integer(0)),
            ("-7", Value::Integer(-7)),
            ("9223372036854775807", Value::Integer(i64::MAX)),
            ("9223372036854775808", Value::Other),
            ("1.0", Value::Other),
            ("1e3", Value::Other),
        ] {
            assert_eq!(members(&format!("{{\"n\":{number}}}")), Ok(vec![("n".to_owned(), value)]), "{number}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_random_text(json in "[{}\\[\\]:,\"a-c0-9\\\\u. \\-+eE]{0,40}") {
            check::agrees_with_serde(json.as_bytes());
        }

        #[test]
        fn agrees_with_serde_json_on_random_objects(
            object in proptest::collection::vec(("[a-c]{1,2}", "(\"[a-z\\\\n]{0,3}\"|-?[0-9]{1,20}(\\.[0-9])?|\\[\"x\"(,\"y\")?\\]|\\{\"a\":[0-9]\\}|null)"), 0..5)
        ) {
            let members: Vec<String> = object.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            check::agrees_with_serde(format!("{{{}}}", members.join(",")).as_bytes());
        }
    }
}
