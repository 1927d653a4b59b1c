use proptest::prelude::*;

use super::*;

fn members(json: &str) -> Result<Vec<(String, Value<'_>)>, Malformed> {
    let mut members = Vec::new();
    object(json, |name, value| {
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
        ("amr".to_owned(), Value::Array(r#"["pwd","otp"]"#)),
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
    fn plain_bytes_are_counted_to_the_first_that_is_not(
        bytes in proptest::collection::vec(prop_oneof![9 => b' '..=b'~', 1 => any::<u8>()], 0..80)
    ) {
        let counted = bytes.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count();
        prop_assert_eq!(plain_length(&bytes), counted);
    }

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
