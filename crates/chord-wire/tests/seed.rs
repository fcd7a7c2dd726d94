//! The seed's messages: exact bytes, round trips, and what is refused.

mod messages;

use chord_ring::{NodeNameError, Position, RingSize};
use chord_wire::Command;
use chord_wire::seed::{
    Answer, BadBody, Leaving, Request, SUCCESSOR_LIST_MAX, Target, Wanted, cut_at_repeat, decode_answer,
    decode_request, encode_answer, encode_request, fill_successor_list,
};
use messages::{name, names};
use proptest::prelude::*;

fn any_position() -> impl Strategy<Value = Position> {
    any::<[u8; 32]>().prop_map(Position::from_be_bytes)
}

fn any_request() -> impl Strategy<Value = Request> {
    messages::request(any::<String>(), any_position())
}

fn any_answer() -> impl Strategy<Value = (Command, Answer)> {
    messages::answer(any::<String>())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("we write UTF-8")
}

/// Every row of wire.md, section 2.
fn requests() -> Vec<(Request, &'static str)> {
    let remote = name("127.0.0.1:4567");
    let [key, value] = ["foo", "bar"].map(str::to_owned);
    vec![
        (Request::Node, "{}"),
        (Request::Create, "{}"),
        (Request::Join { remote }, r#"{"remote_node": "127.0.0.1:4567"}"#),
        (Request::FindSuccessor { target: Target::Position(Position::from(5)) }, r#"{"key": 5}"#),
        (Request::FindSuccessor { target: Target::Key(key.clone()) }, r#"{"key": "foo"}"#),
        (Request::Notify { remote: Some(name("127.0.0.1:4569")) }, r#"{"remote_node": "127.0.0.1:4569"}"#),
        (Request::Notify { remote: None }, r#"{"remote_node": null}"#),
        (Request::GetPredecessor, "{}"),
        (Request::GetSuccessorList, "{}"),
        (Request::Get { key: key.clone() }, r#"{"key": "foo"}"#),
        (
            Request::Put { key, value, no_redirect: false },
            r#"{"key": "foo", "value": "bar", "no_redirect": false}"#,
        ),
        (Request::Shutdown, "{}"),
        (
            Request::Leave(Leaving {
                node: name("127.0.0.1:4567"),
                predecessor: None,
                successor_list: names(&[4568, 4569]),
            }),
            r#"{"node": "127.0.0.1:4567", "predecessor": null, "successor_list": ["127.0.0.1:4568", "127.0.0.1:4569"]}"#,
        ),
    ]
}

fn answers() -> Vec<(Command, Answer, &'static str)> {
    let node = name("127.0.0.1:4567");
    let other = name("127.0.0.1:4568");
    let get = |value: Option<&str>| Answer::Get {
        storage_node: node.clone(),
        hops: 0,
        value: value.map(str::to_owned),
    };
    let alive = Answer::Node { node: node.clone(), is_alive: true };
    vec![
        (Command::Node, alive, r#"{"node": "127.0.0.1:4567", "is_alive": true}"#),
        (Command::Create, Answer::Done, "{}"),
        (Command::Join, Answer::Done, "{}"),
        (
            Command::FindSuccessor,
            Answer::FindSuccessor { node: other.clone(), hops: 0 },
            r#"{"node": "127.0.0.1:4568", "hops": 0}"#,
        ),
        (Command::Notify, Answer::Done, "{}"),
        (Command::GetPredecessor, Answer::Predecessor(Some(other)), r#"{"node": "127.0.0.1:4568"}"#),
        (Command::GetPredecessor, Answer::Predecessor(None), r#"{"node": null}"#),
        (
            Command::GetSuccessorList,
            Answer::SuccessorList(names(&[4568, 4569])),
            r#"{"successor_list": ["127.0.0.1:4568", "127.0.0.1:4569"]}"#,
        ),
        (
            Command::Get,
            get(Some("bar")),
            r#"{"storage_node": "127.0.0.1:4567", "hops": 0, "value": "bar", "found": true}"#,
        ),
        (
            Command::Get,
            get(None),
            r#"{"storage_node": "127.0.0.1:4567", "hops": 0, "value": null, "found": false}"#,
        ),
        (
            Command::Put,
            Answer::Put { storage_node: node, hops: 0 },
            r#"{"storage_node": "127.0.0.1:4567", "hops": 0}"#,
        ),
        (Command::Shutdown, Answer::Done, "{}"),
        (Command::Leave, Answer::Done, "{}"),
    ]
}

#[test]
fn every_request_is_written_exactly_as_the_seed_writes_it() {
    for (request, body) in requests() {
        assert_eq!(text(&encode_request(&request)), body);
        assert_eq!(decode_request(request.command(), body.as_bytes()), Ok(request));
    }
}

#[test]
fn every_answer_is_written_exactly_as_the_seed_writes_it() {
    for (command, answer, body) in answers() {
        assert_eq!(text(&encode_answer(&answer)), body);
        assert_eq!(decode_answer(command, body.as_bytes()), Ok(answer));
    }
}

#[test]
fn an_empty_body_counts_as_an_empty_object() {
    for body in ["", " \r\n", "{}", " { } "] {
        assert_eq!(decode_request(Command::Create, body.as_bytes()), Ok(Request::Create));
    }
    let missing = decode_request(Command::Get, b"").unwrap_err();
    assert_eq!(missing.fault, BadBody::Missing { field: "key" });
}

#[test]
fn unknown_fields_are_ignored_and_missing_optional_ones_filled_in() {
    let put = decode_request(Command::Put, br#"{"ttl": [{"a": 1.5e9}], "value": "v", "key": "k"}"#);
    assert_eq!(put, Ok(Request::Put { key: "k".into(), value: "v".into(), no_redirect: false }));
    let node = decode_answer(Command::Node, br#"{"node": "h:1", "load": null}"#);
    assert_eq!(node, Ok(Answer::Node { node: name("h:1"), is_alive: true }));
    let found = decode_answer(Command::FindSuccessor, br#"{"node": "h:1"}"#);
    assert_eq!(found, Ok(Answer::FindSuccessor { node: name("h:1"), hops: 0 }));
    let absent = Ok(Answer::Get { storage_node: name("h:1"), hops: 0, value: None });
    assert_eq!(decode_answer(Command::Get, br#"{"storage_node": "h:1", "found": false}"#), absent);
    assert_eq!(decode_answer(Command::Get, br#"{"storage_node": "h:1", "value": null}"#), absent);
}

#[test]
fn positions_are_exact_up_to_the_last_digit() {
    let largest = Position::MAX.to_string();
    for digits in ["0", "9007199254740993", "18446744073709551616", "18446744073709551617", &largest] {
        let body = format!(r#"{{"key": {digits}}}"#);
        let request = decode_request(Command::FindSuccessor, body.as_bytes()).unwrap();
        let position: Position = digits.parse().unwrap();
        assert_eq!(request, Request::FindSuccessor { target: Target::Position(position) });
        assert_eq!(text(&encode_request(&request)), body);
    }
}

#[test]
fn an_integer_is_a_position_and_a_string_of_digits_is_a_key() {
    let size = RingSize::new(7).unwrap();
    assert_eq!(Target::Position(Position::from(128 + 5)).position(size), Position::from(5));
    assert_eq!(Target::Key("127.0.0.1:4567".into()).position(size), Position::from(85));
    let request = decode_request(Command::FindSuccessor, br#"{"key": "5"}"#);
    assert_eq!(request, Ok(Request::FindSuccessor { target: Target::Key("5".into()) }));
}

#[test]
fn a_number_beyond_every_ring_is_taken_modulo_its_size() {
    // 2^256 + 5
    let large = "115792089237316195423570985008687907853269984665640564039457584007913129639941";
    let body = format!(r#"{{"key": {large}}}"#);
    let request = decode_request(Command::FindSuccessor, body.as_bytes());
    assert_eq!(request, Ok(Request::FindSuccessor { target: Target::Position(Position::from(5)) }));
}

#[test]
fn numbers_that_are_no_positions_are_refused_in_one_sentence() {
    let too_long = "9".repeat(1001);
    for number in ["-1", "-0", "1.0", "1e3", "1E0", "0.5", &too_long, "true", "null", "[5]", r#"{"a": 5}"#] {
        let refused = decode_request(Command::FindSuccessor, format!(r#"{{"key": {number}}}"#).as_bytes());
        let refused = refused.unwrap_err();
        assert_eq!(refused.fault, BadBody::WrongType { field: "key", wanted: Wanted::Target }, "{number}");
        assert_eq!(
            refused.to_string(),
            "the field \"key\" must be a position (a whole number, 0 or more, in at most 1000 digits alone) \
             or a key (a string); the body of find_successor is a JSON object like {\"key\": 5} for a position \
             or {\"key\": \"foo\"} for a key"
        );
    }
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    use BadBody::{Duplicate, Missing, NotAName, NotJson, NotObject, NotText, NotUtf8, Trailing, WrongType};
    let string = |field| WrongType { field, wanted: Wanted::String };
    let cases: Vec<(Command, &[u8], BadBody)> = vec![
        (Command::Get, b"{\"key\": \"\xff\"}", NotUtf8),
        (Command::Get, b"key=foo", NotJson { line: 1, column: 1 }),
        (Command::Get, b"{\"key\": \n", NotJson { line: 2, column: 0 }),
        (Command::Get, b"{\"key\": \"a\nb\"}", NotJson { line: 1, column: 10 }),
        (Command::Get, b"{\"key\": 01}", NotJson { line: 1, column: 10 }),
        (Command::Get, b"{'key': 'foo'}", NotJson { line: 1, column: 2 }),
        (Command::Get, b"[\"foo\"]", NotObject),
        (Command::Create, b"[]", NotObject),
        (Command::Create, b"null", NotObject),
        (Command::Create, b"5", NotObject),
        (Command::Create, b"{} {}", Trailing),
        (Command::Create, b"{}x", Trailing),
        (Command::Get, b"{\"key\": \"a\", \"key\": \"b\"}", Duplicate { field: "key" }),
        (Command::Get, b"{\"key\": null, \"k\\u0065y\": \"b\"}", Duplicate { field: "key" }),
        (Command::Get, b"{\"Key\": \"a\"}", Missing { field: "key" }),
        (Command::Get, b"{\"key\": 5}", string("key")),
        (Command::Get, b"{\"key\": null}", string("key")),
        (Command::Get, b"{\"key\": \"\\ud800\"}", NotText { field: "key" }),
        (Command::Put, b"{\"key\": \"a\"}", Missing { field: "value" }),
        (Command::Put, b"{\"key\": \"a\", \"value\": {}}", string("value")),
        (
            Command::Put,
            b"{\"key\": \"a\", \"value\": \"b\", \"no_redirect\": 1}",
            WrongType { field: "no_redirect", wanted: Wanted::Boolean },
        ),
        (Command::Join, b"{}", Missing { field: "remote_node" }),
        (Command::Join, b"{\"remote_node\": null}", string("remote_node")),
        (
            Command::Join,
            b"{\"remote_node\": \"localhost\"}",
            NotAName { field: "remote_node", error: NodeNameError::NoPort },
        ),
        (Command::Notify, b"{}", Missing { field: "remote_node" }),
        (
            Command::Notify,
            b"{\"remote_node\": false}",
            WrongType { field: "remote_node", wanted: Wanted::StringOrNull },
        ),
        (
            Command::Leave,
            b"{\"node\": \"h:1\", \"predecessor\": null, \"successor_list\": [\"h:1\", 5]}",
            WrongType { field: "successor_list", wanted: Wanted::Names },
        ),
    ];
    for (command, body, fault) in cases {
        let refused = decode_request(command, body).unwrap_err();
        assert_eq!(refused.fault, fault, "{}", body.escape_ascii());
        assert_eq!(refused.command, command);
    }
}

#[test]
fn bad_answers_are_told_by_their_field() {
    use BadBody::{FoundNothing, Missing, NotAName, NotJson, WrongType};
    let count = WrongType { field: "hops", wanted: Wanted::Count };
    let cases: Vec<(Command, &[u8], BadBody)> = vec![
        (Command::Node, b"<!doctype html>", NotJson { line: 1, column: 1 }),
        (Command::Node, b"{\"is_alive\": true}", Missing { field: "node" }),
        (Command::Node, b"{\"node\": \"h:0\"}", NotAName { field: "node", error: NodeNameError::BadPort }),
        (Command::FindSuccessor, b"{\"node\": \"h:1\", \"hops\": -1}", count),
        (Command::FindSuccessor, b"{\"node\": \"h:1\", \"hops\": 4294967296}", count),
        (Command::FindSuccessor, b"{\"node\": \"h:1\", \"hops\": \"2\"}", count),
        (Command::GetPredecessor, b"{}", Missing { field: "node" }),
        (
            Command::GetSuccessorList,
            b"{\"successor_list\": \"h:1\"}",
            WrongType { field: "successor_list", wanted: Wanted::Names },
        ),
        (Command::Get, b"{\"storage_node\": \"h:1\"}", Missing { field: "value" }),
        (Command::Get, b"{\"storage_node\": \"h:1\", \"found\": true, \"value\": null}", FoundNothing),
        (Command::Put, b"{}", Missing { field: "storage_node" }),
    ];
    for (command, body, fault) in cases {
        assert_eq!(decode_answer(command, body).unwrap_err().fault, fault, "{}", body.escape_ascii());
    }
}

#[test]
fn no_error_repeats_what_was_sent() {
    let secret = "hunter2";
    let bodies = [
        r#"{"key": {"hunter2": 1}}"#,
        r#"{"remote_node": "hunter2"}"#,
        r#"{"hunter2"}"#,
        "hunter2",
        r#"{"key": "hunter2", "value": hunter2}"#,
        r#""hunter2""#,
        r#"{"node": "hunter2:x", "storage_node": "hunter2", "successor_list": ["hunter2"]}"#,
    ];
    for body in bodies {
        for command in Command::ALL {
            let shown = [
                decode_request(command, body.as_bytes()).err().map(|error| format!("{error} {error:?}")),
                decode_answer(command, body.as_bytes()).err().map(|error| format!("{error} {error:?}")),
            ];
            assert!(shown.iter().flatten().all(|shown| !shown.contains(secret)), "{shown:?}");
        }
    }
}

#[test]
fn depth_is_harmless() {
    for depth in [100, 127, 128, 129, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let bomb = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            let unclosed = open.repeat(depth);
            let ignored = format!(r#"{{"x": {bomb}, "key": "k"}}"#);
            assert_eq!(
                decode_request(Command::Get, ignored.as_bytes()),
                Ok(Request::Get { key: "k".into() })
            );
            for body in
                [&bomb, &unclosed, &format!(r#"{{"key": {bomb}}}"#), &format!(r#"{{"key": {unclosed}"#)]
            {
                assert!(decode_request(Command::Get, body.as_bytes()).is_err());
            }
            let list = format!(r#"{{"successor_list": [{bomb}]}}"#);
            assert!(decode_answer(Command::GetSuccessorList, list.as_bytes()).is_err());
        }
    }
}

fn list_of(entries: usize) -> Vec<u8> {
    let me = name("127.0.0.1:1");
    encode_answer(&Answer::SuccessorList(fill_successor_list(&me, &names(&[2, 3]), entries)))
}

#[test]
fn a_list_of_the_largest_ring_is_taken_and_one_entry_more_is_not() {
    let whole = fill_successor_list(&name("127.0.0.1:1"), &names(&[2, 3]), SUCCESSOR_LIST_MAX);
    let taken = decode_answer(Command::GetSuccessorList, &list_of(SUCCESSOR_LIST_MAX));
    assert_eq!(taken, Ok(Answer::SuccessorList(whole)));
    let refused = decode_answer(Command::GetSuccessorList, &list_of(SUCCESSOR_LIST_MAX + 1)).unwrap_err();
    assert_eq!(refused.fault, BadBody::TooMany { field: "successor_list" });
}

#[test]
fn a_seed_nodes_list_is_cut_where_it_begins_to_repeat() {
    assert_eq!(cut_at_repeat(names(&[2, 3, 1, 2, 3, 1, 2])), names(&[2, 3, 1]));
    assert_eq!(cut_at_repeat(names(&[1, 1])), names(&[1]));
    assert_eq!(cut_at_repeat(Vec::new()), Vec::new());
}

/// Bytes that are nearly right: a good body with a few bytes changed, cut or doubled.
fn damaged_body() -> impl Strategy<Value = Vec<u8>> {
    (any_request(), any::<prop::sample::Index>(), any::<u8>(), 0..3u8).prop_map(|(request, at, byte, how)| {
        let mut body = encode_request(&request);
        let at = at.index(body.len());
        match how {
            0 => body[at] = byte,
            1 => body.truncate(at),
            _ => body.insert(at, byte),
        }
        body
    })
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in any_request()) {
        prop_assert_eq!(decode_request(request.command(), &encode_request(&request)), Ok(request));
    }

    #[test]
    fn answers_survive_the_wire((command, answer) in any_answer()) {
        prop_assert_eq!(decode_answer(command, &encode_answer(&answer)), Ok(answer));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        body in prop_oneof![damaged_body(), prop::collection::vec(any::<u8>(), 0..200)]
    ) {
        for command in Command::ALL {
            let _ = decode_request(command, &body);
            let _ = decode_answer(command, &body);
        }
        let _ = chord_wire::decode_error(&body);
    }

    #[test]
    fn each_request_cut_short_is_refused((request, at) in (any_request(), any::<prop::sample::Index>())) {
        let body = encode_request(&request);
        let at = at.index(body.len());
        prop_assume!(at > 0);
        prop_assert!(decode_request(request.command(), &body[..at]).is_err());
    }
}
