//! RESP: requests. What is answered is in `resp_replies.rs`, what a connection begins with in `resp_sniff.rs`.

mod resp_requests;

use bytes::Bytes;
use chord_kv::VALUE_BYTES_LIMIT;
use chord_wire::Code;
use chord_wire::resp::{ProtocolError, RequestLimits, RequestParser};
use proptest::collection::vec;
use proptest::prelude::*;
use resp_requests::{Read, Words, array, drain, line, read};
use resp_rs::resp2::{Frame, frame_to_bytes, parse_frame};

const SMALL: RequestLimits =
    RequestLimits { args_max: 4, bulk_bytes_max: 16, inline_bytes_max: 24, request_bytes_max: 64 };

fn all(bytes: &[u8]) -> Read {
    read(RequestLimits::default(), [bytes])
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// The only request that these bytes are.
fn only(bytes: &[u8]) -> Words {
    match all(bytes) {
        (requests, None) if requests.len() == 1 => requests.concat(),
        other => panic!("one request was expected: {other:?}"),
    }
}

fn nothing(bytes: &[u8]) {
    assert_eq!(all(bytes), (Vec::new(), None), "{:?}", bytes.escape_ascii().to_string());
}

fn refused(bytes: &[u8]) -> ProtocolError {
    match all(bytes) {
        (requests, Some(error)) if requests.is_empty() => error,
        other => panic!("an error was expected: {other:?}"),
    }
}

fn any_words() -> impl Strategy<Value = Words> {
    let byte = prop_oneof![any::<u8>(), Just(b' '), Just(b'"'), Just(b'\\'), Just(b'\r'), Just(b'\n')];
    vec(vec(byte, 0..12), 1..6)
}

/// Bytes that are often nearly requests.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"*1\r\n".to_vec()),
        Just(b"*2\r\n$1\r\n".to_vec()),
        Just(b"$3\r\nfoo\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"GET \"a b\" 'c'\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        any_words().prop_map(|words| array(&words)),
        vec(any::<u8>(), 0..6),
        vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'"'), b'0'..=b'3'], 0..6),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Each piece begins where the one before ended.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #[test]
    fn requests_survive_however_they_are_written_and_cut(
        requests in vec((any_words(), any::<bool>()), 0..6),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let written = requests.iter().map(|(words, as_line)| if *as_line { line(words) } else { array(words) });
        let bytes = written.collect::<Vec<_>>().concat();
        let expected: Vec<Words> = requests.into_iter().map(|(words, _)| words).collect();
        let (found, error) = read(RequestLimits::default(), pieces(&bytes, &cuts));
        prop_assert_eq!((found, error), (expected, None));
    }

    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        bytes in any_bytes(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        for limits in [RequestLimits::default(), SMALL] {
            let whole = read(limits, [&bytes[..]]);
            prop_assert_eq!(&read(limits, pieces(&bytes, &cuts)), &whole);
            prop_assert_eq!(&read(limits, bytes.chunks(1)), &whole);
        }
    }

    #[test]
    fn a_request_of_another_implementation_is_understood(words in any_words()) {
        let bulks = words.iter().map(|word| Frame::BulkString(Some(Bytes::copy_from_slice(word)))).collect();
        prop_assert_eq!(only(&frame_to_bytes(&Frame::Array(Some(bulks)))), words);
    }

    #[test]
    fn an_array_that_is_taken_means_the_same_to_another_implementation(bytes in any_bytes()) {
        let (requests, _) = all(&bytes);
        if let (b'*', Some(first)) = (bytes.first().copied().unwrap_or(0), requests.first())
            && let Ok((Frame::Array(Some(bulks)), _)) = parse_frame(Bytes::copy_from_slice(&bytes))
            && !bulks.is_empty()
        {
            let bulks: Vec<_> = bulks.iter().map(|bulk| bulk.as_bytes().expect("only bulks are taken")).collect();
            prop_assert_eq!(bulks, first.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn pipelined_requests_come_one_after_the_other() {
    let bytes = b"*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*3\r\n$3\r\nSET\r\n$1\r\n";
    let mut parser = RequestParser::new(RequestLimits::default());
    assert!(parser.is_idle());
    let (room, _) = parser.room().split_at_mut(bytes.len());
    room.copy_from_slice(bytes);
    parser.received(bytes.len());
    let mut requests = Vec::new();
    drain(&mut parser, &mut requests).unwrap();
    assert_eq!(requests, [words(&["PING"]), words(&["PING"]), words(&["GET", ""])]);
    assert!(!parser.is_idle(), "half a request is there");
    parser.feed(b"k\r\n$5\r\na\r\nb\0\r\n");
    let request = parser.next_request().unwrap().expect("it is whole now");
    assert_eq!(request.args_exactly(), Some([&b"k"[..], b"a\r\nb\0"]));
    assert_eq!((request.args_exactly::<1>(), request.args().len()), (None, 2));
    assert!(!format!("{request:?}").contains('k'), "what it holds is not shown");
    assert!(parser.is_idle(), "what was given out is done");
}

#[test]
fn what_asks_for_nothing_is_passed_over() {
    for bytes in ["*0\r\n", "*-1\r\n", "*-10\r\n", "\r\n", "\n", "  \t \r\n", "\r\n*0\r\n\n"] {
        nothing(bytes.as_bytes());
        assert_eq!(only(format!("{bytes}PING\r\n").as_bytes()), words(&["PING"]));
    }
}

#[test]
fn a_line_is_split_as_redis_splits_it() {
    let table: &[(&[u8], &[&[u8]])] = &[
        (b"PING", &[b"PING"]),
        (b"  SET\tk \x0b v\x0bw  ", &[b"SET", b"k", b"v\x0bw"]),
        (b"SET k \"\"", &[b"SET", b"k", b""]),
        (b"SET k ''", &[b"SET", b"k", b""]),
        (b"SET 'a \"b\" \\' \\n' x", &[b"SET", b"a \"b\" ' \\n", b"x"]),
        (b"SET \"a 'b' \\\" \\\\ \\n\\r\\t\\a\\b\\q\" x", &[b"SET", b"a 'b' \" \\ \n\r\t\x07\x08q", b"x"]),
        (b"SET \"\\x00\\xfF\\xg0\\x4\" x", &[b"SET", b"\x00\xffxg0x4", b"x"]),
        (b"SET a\"b c\" d'e'", &[b"SET", b"ab c", b"de"]),
        (b"SET a\\x41 \\n", &[b"SET", b"a\\x41", b"\\n"]),
        (b"SET \"a\"\x0b\"b\"", &[b"SET", b"a", b"b"]),
        (b"SET \xff\0\x7f", &[b"SET", b"\xff\0\x7f"]),
        (b"$3 +OK", &[b"$3", b"+OK"]),
    ];
    for (bytes, expected) in table {
        for end in [&b"\n"[..], b"\r\n"] {
            assert_eq!(only(&[bytes, end].concat()), *expected, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn quotes_that_are_not_balanced_are_an_error() {
    for line in
        ["\"", "'", "GET \"a", "GET 'a", "GET \"a\"b", "GET 'a'b", "GET \"a\"'b'", "GET \"a\\\"", "GET 'a\\'"]
    {
        let error = refused(format!("{line}\r\nPING\r\n").as_bytes());
        assert_eq!(error, ProtocolError::UnbalancedQuotes, "{line}");
    }
}

#[test]
fn errors_say_what_redis_says() {
    let table: &[(&str, &str)] = &[
        ("*x\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*1\n", "invalid multibulk length"),
        ("*1\rx", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("* 1\r\n", "invalid multibulk length"),
        ("*9223372036854775808\r\n", "invalid multibulk length"),
        ("*18446744073709551617\r\n", "invalid multibulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$-0\r\n", "invalid bulk length"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n\r\n", "expected '$', got '?'"),
        ("*1\r\n\u{e9}", "expected '$', got '?'"),
        ("*1\r\n\u{1b}[2J", "expected '$', got '?'"),
        ("*1\r\n$4\r\nPINGX\n", "expected CRLF after a bulk string"),
        ("*1\r\n$4\r\nPING\r\r", "expected CRLF after a bulk string"),
        ("*1\r\n$4\r\nPING\n\n", "expected CRLF after a bulk string"),
        ("GET \"\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, sentence) in table {
        let error = refused(bytes.as_bytes());
        assert_eq!(error.to_string(), format!("Protocol error: {sentence}"), "{bytes:?}");
        assert_eq!(error.code(), Code::Malformed);
    }
}

#[test]
fn nothing_is_read_behind_an_error() {
    let (requests, error) = all(b"PING\r\n*1\r\n$1\r\nx\r\n*1\r\nfoo\r\nPING\r\n");
    assert_eq!(requests, [words(&["PING"]), words(&["x"])]);
    assert_eq!(error, Some(ProtocolError::NotABulk { got: 'f' }));
}

/// At the limit, and one over.
fn check_limit(limits: RequestLimits, at: &[u8], over: &[u8], error: ProtocolError, sentence: &str) {
    let (requests, none) = read(limits, [at]);
    assert_eq!((requests.len(), none), (1, None), "{}", at.escape_ascii());
    assert_eq!(read(limits, [over]), (Vec::new(), Some(error)), "{}", over.escape_ascii());
    assert_eq!((error.to_string(), error.code()), (format!("Protocol error: {sentence}"), Code::TooLarge));
}

#[test]
fn each_limit_is_kept_to_and_named() {
    check_limit(
        SMALL,
        &array(&["a"; 4]),
        b"*5\r\n",
        ProtocolError::TooManyArgs { limit: 4 },
        "invalid multibulk length: it is more than 4",
    );
    check_limit(
        SMALL,
        b"a b c d\r\n",
        b"a b c d e\r\n",
        ProtocolError::TooManyArgs { limit: 4 },
        "invalid multibulk length: it is more than 4",
    );
    check_limit(
        SMALL,
        &array(&["a".repeat(16)]),
        b"*1\r\n$17\r\n",
        ProtocolError::BulkTooLong { limit: 16 },
        "invalid bulk length: it is more than 16",
    );
    let too_long = ProtocolError::LineTooLong { limit: 24 };
    let sentence = "too big inline request: it has more than 24 bytes";
    check_limit(SMALL, &[&[b'a'; 24], &b"\n"[..]].concat(), &[b'a'; 25], too_long, sentence);
    check_limit(
        SMALL,
        &[&[b'a'; 23], &b"\r\n"[..]].concat(),
        &[&[b'a'; 25], &b"\n"[..]].concat(),
        too_long,
        sentence,
    );
    // The count takes 4 bytes, and what is around an argument 6.
    let limits = RequestLimits { request_bytes_max: 4 + 3 * (6 + 5), ..SMALL };
    check_limit(
        limits,
        &array(&["12345"; 3]),
        b"*3\r\n$5\r\n12345\r\n$5\r\n12345\r\n$6\r\n",
        ProtocolError::RequestTooLong { limit: limits.request_bytes_max },
        "too big request: it has more than 37 bytes",
    );
}

#[test]
fn claims_are_refused_when_they_are_made_and_limits_without_end_are_no_danger() {
    let limits = RequestLimits {
        args_max: usize::MAX,
        bulk_bytes_max: usize::MAX,
        inline_bytes_max: usize::MAX,
        request_bytes_max: usize::MAX,
    };
    assert_eq!(
        read(limits, [&b"*9223372036854775807\r\n$9223372036854775807\r\nfoo"[..]]),
        (Vec::new(), None)
    );
    assert_eq!(read(limits, [&b"PING\n"[..]]), (vec![words(&["PING"])], None));
    for claim in ["*9223372036854775807\r\n", "*1\r\n$9223372036854775807\r\n"] {
        assert_eq!(refused(claim.as_bytes()).code(), Code::TooLarge);
    }
}

#[test]
fn the_largest_value_passes_and_one_that_is_a_little_longer_is_left_to_others() {
    let value = vec![b'v'; VALUE_BYTES_LIMIT + 1];
    let bytes = array(&[b"SET", &b"key"[..], &value]);
    let mut parser = RequestParser::new(RequestLimits::default());
    for piece in bytes.chunks(1 << 16) {
        assert!(parser.next_request().unwrap().is_none());
        parser.feed(piece);
    }
    let request = parser.next_request().unwrap().expect("it is whole");
    assert!(request.args_exactly() == Some([b"key", &value[..]]));
    assert!(parser.room().len() < 1 << 16, "what a large request took is given back");
}

#[test]
fn memory_grows_with_what_comes_and_not_with_what_is_claimed() {
    let mut parser = RequestParser::new(RequestLimits::default());
    parser.feed(b"*65536\r\n$67108864\r\n");
    assert!(parser.next_request().unwrap().is_none());
    assert!(parser.room().len() <= 16 << 10);
}

#[test]
fn there_is_no_more_room_than_the_longest_request_and_one_read_need() {
    let limits = RequestLimits { request_bytes_max: 100 << 10, ..RequestLimits::default() };
    let mut parser = RequestParser::new(limits);
    parser.feed(b"*1\r\n$90000\r\n");
    for _ in 0..80 {
        assert!(parser.next_request().unwrap().is_none());
        parser.feed(&[b'v'; 1 << 10]);
    }
    assert!(parser.room().len() <= (28 << 10));
}

#[test]
fn many_pairs_at_once_are_a_request() {
    let n_args = RequestLimits::default().args_max;
    let request = vec![b"MSET".to_vec(); n_args];
    assert_eq!(only(&array(&request)).len(), n_args);
    let limit = ProtocolError::TooManyArgs { limit: n_args };
    assert_eq!(refused(format!("*{}\r\n", n_args + 1).as_bytes()), limit);
}

/// What it costs to parse these bytes in pieces of that size.
fn work(bytes: &[u8], piece_bytes: usize) -> u64 {
    let mut parser = RequestParser::new(RequestLimits::default());
    for piece in bytes.chunks(piece_bytes) {
        parser.feed(piece);
        while parser.next_request().expect("all is well formed").is_some() {}
    }
    parser.work()
}

#[test]
fn the_cost_grows_with_the_bytes_however_they_are_cut() {
    let line = [vec![b'a'; 60_000], b"\r\n".to_vec()].concat();
    for bytes in [array(&vec!["12345678"; 10_000]), array(&vec!["12345678"; 50_000]), line] {
        for piece_bytes in [1, 7, 1460, bytes.len()] {
            let n_pieces = bytes.len().div_ceil(piece_bytes);
            let work = work(&bytes, piece_bytes);
            assert!(work <= (bytes.len() + n_pieces) as u64, "{work} for {} in {n_pieces}", bytes.len());
        }
    }
}

#[test]
fn requests_that_are_not_taken_at_once_are_all_there_later() {
    let request = array(&["SET", "key", "value"]);
    let mut parser = RequestParser::new(RequestLimits::default());
    let mut n_taken = 0;
    for _ in 0..10_000 {
        parser.feed(&request.repeat(2));
        n_taken += u64::from(parser.next_request().unwrap().is_some());
    }
    while let Some(request) = parser.next_request().unwrap() {
        assert_eq!(request.args_exactly(), Some([&b"key"[..], b"value"]));
        n_taken += 1;
    }
    assert_eq!(n_taken, 20_000);
    assert!(parser.is_idle());
    // Each byte is looked at once, and moved once at most.
    let n_bytes = request.len() as u64 * n_taken;
    assert!(parser.work() <= 2 * n_bytes, "{} for {n_bytes} bytes", parser.work());
}

#[test]
fn more_than_there_was_room_for_cannot_be_received() {
    let received = std::panic::catch_unwind(|| {
        let mut parser = RequestParser::new(RequestLimits::default());
        let n_bytes = parser.room().len() + 1;
        parser.received(n_bytes);
    });
    assert!(received.is_err());
}
