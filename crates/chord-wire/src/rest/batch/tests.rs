use chord_kv::Version;
use chord_ring::Position;
use proptest::prelude::*;

use super::*;

const VALUE_BYTES_MAX: usize = 10;

fn read(line: &str) -> Result<Wanted, BadLine> {
    Wanted::read(line.as_bytes(), VALUE_BYTES_MAX)
}

#[test]
fn each_operation_has_its_line() {
    let wish = |key: &[u8], action| Wanted {
        key: Key::new(key).unwrap(),
        action,
        precondition: Precondition::Is(Condition::Always),
        ttl: None,
        consistency: Consistency::Usual,
    };
    let put = |bytes: &[u8]| Action::Put(Value::new(bytes, 10).unwrap());
    assert_eq!(read(r#"{"op":"get","key":"k"}"#), Ok(wish(b"k", Action::Get)));
    assert_eq!(read(r#"{"op":"delete","key_base64":"AP8="}"#), Ok(wish(b"\0\xff", Action::Delete)));
    assert_eq!(read(r#"{"op":"incr","key":"k"}"#), Ok(wish(b"k", Action::Incr(1))));
    assert_eq!(read(r#"{"op":"incr","key":"k","by":-5}"#), Ok(wish(b"k", Action::Incr(-5))));
    assert_eq!(read(r#"{ "value": "", "key": "", "op": "put" }"#), Ok(wish(b"", put(b""))));
    let version = Version::new(5, 1, Position::ZERO);
    let all =
        r#"{"op":"put","key":"k","value_base64":"/w==","ttl":30,"if_match":"5.1.0","consistency":"all"}"#;
    let expected = Wanted {
        ttl: Some(Duration::from_secs(30)),
        precondition: Precondition::Is(Condition::Version(version)),
        consistency: Consistency::All,
        ..wish(b"k", put(b"\xff"))
    };
    assert_eq!(read(all), Ok(expected.clone()));
    assert_eq!(read(&all.replace("30", "\"30s\"").replace("\"5.1.0\"", r#""\"5.1.0\"""#)), Ok(expected));
    let absent = read(r#"{"op":"put","key":"k","value":"v","if_absent":true}"#).unwrap();
    assert_eq!(absent.precondition, Precondition::Is(Condition::Absent));
}

#[test]
fn a_line_that_is_wrong_is_refused_by_a_sentence_that_repeats_nothing_of_it() {
    let cases = [
        ("SECRET", "the line is no JSON object: see column 1"),
        (r#"["SECRET"]"#, "the line is no JSON object: see column 1"),
        (r#"{"op":"get","key":"SECRET""#, "the line is no JSON object: see column 26"),
        (r#"{"op":"SECRET","key":"k"}"#, "op is one of get, put, delete and incr"),
        (r#"{"key":"k"}"#, "op is one of get, put, delete and incr"),
        (r#"{"op":"get"}"#, "the line names no key: say key, or key_base64 where it is no text"),
        (r#"{"op":"get","key":5}"#, "the field key must be a text"),
        (r#"{"op":"get","key":null}"#, "the field key must be a text"),
        (r#"{"op":"get","key":"k","key":"k"}"#, "the field key is there twice"),
        (r#"{"op":"get","key":"k","key_base64":"aw=="}"#, "say key as text or in base64, not both"),
        (
            r#"{"op":"get","key_base64":"SECRET="}"#,
            "key_base64 is no base64, of A-Z a-z 0-9 + / with = at the end",
        ),
        (r#"{"op":"get","key":"k","value":"v"}"#, "the operation of this line takes no value"),
        (r#"{"op":"get","key":"k","if_match":"*"}"#, "the operation of this line takes no if_match"),
        (r#"{"op":"put","key":"k","value":"v","by":1}"#, "the operation of this line takes no by"),
        (r#"{"op":"delete","key":"k","ttl":"1s"}"#, "the operation of this line takes no ttl"),
        (r#"{"op":"put","key":"k"}"#, "a put needs a value: say value, or value_base64 where it is no text"),
        (r#"{"op":"put","key":"k","value":"12345678901"}"#, "a value has at most 10 bytes here, not 11"),
        (r#"{"op":"incr","key":"k","by":1.5}"#, "the field by must be a whole number of 64 bits"),
        (r#"{"op":"put","key":"k","value":"v","consistency":"SECRET"}"#, "consistency is one, quorum or all"),
        (
            r#"{"op":"put","key":"k","value":"v","if_match":"*","if_absent":true}"#,
            "if_match and if_absent contradict each other: say one of them",
        ),
        (
            r#"{"op":"put","key":"k","value":"v","if_macth":"*"}"#,
            "the line has a field that is none of op, key, key_base64, value, value_base64, ttl, by, if_match, if_absent and consistency",
        ),
    ];
    for (line, sentence) in cases {
        assert_eq!(read(line).unwrap_err().to_string(), sentence, "{line}");
    }
    let deep = format!("{{\"op\":\"get\",\"key\":{}", "[".repeat(100_000));
    assert!(read(&deep).is_err());
}

#[test]
fn empty_lines_are_passed_over() {
    let lines: Vec<_> = batch_lines(b"\n{1}\r\n\n  \n{2}").collect();
    assert_eq!(lines, [b"{1}", b"{2}"]);
}

#[test]
fn an_answer_tells_text_as_text() {
    let outcome = Outcome { copies: 2, ..Outcome::default() };
    let owner = "h:1".parse().unwrap();
    let done = BatchDone::new(200, &outcome, &owner, 1);
    let record = |value: &[u8]| Record {
        position: Position::ZERO,
        key: Key::empty(),
        value: Some(Value::new(value, 10).unwrap()),
        version: Version::new(5, 1, Position::ZERO),
        expires_at_ms: None,
    };
    let line = |done: &BatchDone| String::from_utf8(BatchAnswer::Done(done.clone()).encode()).unwrap();
    let expected = "{\"status\":200,\"value\":\"v\",\"owner\":\"h:1\",\"hops\":1,\"copies\":2}\n";
    assert_eq!(line(&done.clone().with_value(&record(b"v"))), expected);
    assert!(line(&done.clone().with_value(&record(b"\xff"))).contains("\"value_base64\":\"/w==\""));
    assert!(line(&done.with_number(i64::MIN)).contains("\"value\":-9223372036854775808,"));
    let deleted = Some(Version::new(5, 1, Position::ZERO));
    let deletion = BatchDone::new(204, &Outcome { deleted, ..Outcome::default() }, &owner, 1);
    assert_eq!(line(&deletion), "{\"status\":204,\"version\":\"5.1.0\",\"owner\":\"h:1\",\"hops\":1}\n");
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(".{0,12}")
}

proptest! {
    #[test]
    fn a_line_survives_json(
        op in "get|put|delete|incr",
        texts in [some_text(), some_text(), some_text(), some_text(), some_text(), some_text(), some_text()],
        by: Option<i64>,
        if_absent: Option<bool>,
    ) {
        let [key, key_base64, value, value_base64, ttl, if_match, consistency] = texts;
        let line = BatchLine { op, key, key_base64, value, value_base64, ttl, by, if_match, if_absent, consistency };
        let written = serde_json::to_vec(&line).unwrap();
        prop_assert_eq!(BatchLine::read(&written), Ok(line));
    }

    #[test]
    fn any_bytes_are_a_line_or_refused(bytes: Vec<u8>) {
        let _ = Wanted::read(&bytes, VALUE_BYTES_MAX);
    }
}
