//! What a connection speaks, by its first bytes.

use chord_wire::frame::OPENING;
use chord_wire::resp::Sniffed::{Frames, Http, NeedMore, Resp, Tls, Unknown};
use chord_wire::resp::{SNIFF_BYTES_MAX, Sniffed, sniff};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn first_lines_show_what_is_spoken() {
    let table: &[(&str, Sniffed)] = &[
        ("GET / HTTP/1.1\r\n", Http),
        ("GET /foo?a=b HTTP/1.0\r\n", Http),
        ("get /foo http/1.1\r\n", Http),
        ("POST /RPC2 HTTP/1.1\r\n", Http),
        ("OPTIONS * HTTP/1.1\r\n", Http),
        ("GET http://host/ HTTP/1.1\r\n", Http),
        ("GET HTTPS://host/ HTTP/1.1\r\n", Http),
        ("CONNECT host:443 HTTP/1.1\r\n", Http),
        ("PROPFIND / HTTP/1.1\r\n", Http),
        ("SET /key HTTP/1.1\r\n", Http),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http),
        ("\r\n\r\nGET / HTTP/1.1\r\n", Http),
        ("GET / HTTP/9", Http),
        ("*1\r\n$4\r\nPING\r\n", Resp),
        ("\r\n*1\r\n", Resp),
        ("*x", Resp),
        ("PING\r\n", Resp),
        ("\nPING\r\n", Resp),
        ("GET foo\r\n", Resp),
        ("GET /foo\r\n", Resp),
        ("GET /foo\n", Resp),
        ("GET /foo \r\n", Resp),
        ("GET /foo\tHTTP/1.1\r\n", Resp),
        ("GET  /foo HTTP/1.1\r\n", Resp),
        ("GET /foo  HTTP/1.1\r\n", Resp),
        ("SET /foo bar\r\n", Resp),
        ("SET /foo HTTPS\r\n", Resp),
        ("SET foo HTTP/1.1\r\n", Resp),
        ("DELETE foo\r\n", Resp),
        ("DEL httpfoo\r\n", Resp),
        ("KEYS *\r\n", Resp),
        ("CONNECT host:443\r\n", Resp),
        (" PING\r\n", Resp),
        ("\"GET\" / HTTP/1.1\r\n", Resp),
        ("$-1\r\n", Resp),
        ("SSH-2.0-OpenSSH\r\n", Resp),
        ("\u{16}\u{3}\u{1}", Tls),
        ("\u{16}\u{2}", Unknown),
        ("\u{15}\u{3}", Unknown),
        ("\0", Unknown),
        ("\t", Unknown),
        ("\u{7f}", Unknown),
        ("é", Unknown),
        ("", NeedMore),
        ("\r\n", NeedMore),
        ("\u{16}", NeedMore),
        ("G", NeedMore),
        ("GET", NeedMore),
        ("GET ", NeedMore),
        ("GET htt", NeedMore),
        ("GET /foo", NeedMore),
        ("GET /foo ", NeedMore),
        ("GET /foo HTTP", NeedMore),
        ("CONNECT host", NeedMore),
        ("PING", NeedMore),
    ];
    for (bytes, sniffed) in table {
        assert_eq!(sniff(bytes.as_bytes()), *sniffed, "{bytes:?}");
    }
}

#[test]
fn as_many_bytes_as_are_looked_at_always_decide() {
    let table = [
        ("GET /", b'a', Http),
        ("GET / ", b'H', Resp),
        ("GET", b'a', Resp),
        ("GET /", 0xff, Http),
        ("", b'\n', Unknown),
        ("CONNECT ", b'a', Http),
    ];
    for (beginning, more, sniffed) in table {
        let mut bytes = beginning.as_bytes().to_vec();
        bytes.resize(SNIFF_BYTES_MAX, more);
        assert_eq!(sniff(&bytes), sniffed, "{beginning}");
        bytes.extend(b" HTTP/1.1\r\n");
        assert_eq!(sniff(&bytes), sniffed, "{beginning}");
    }
    for (end, sniffed) in [(&b"\x16"[..], Unknown), (b"P", Resp), (b"GET htt", Http), (b"GET / HTT", Http)] {
        let blank = vec![b'\n'; SNIFF_BYTES_MAX - end.len()];
        assert_eq!(sniff(&[&blank, end].concat()), sniffed);
    }
    let at_the_end = [&vec![b'\n'; SNIFF_BYTES_MAX - 14][..], b"GET / HTTP/1.1"].concat();
    assert_eq!(sniff(&at_the_end), Http);
}

#[test]
fn our_nodes_begin_with_what_no_text_begins_with() {
    assert!(!OPENING[0].is_ascii() && std::str::from_utf8(&OPENING).is_err());
    assert_eq!(sniff(&OPENING), Frames);
    assert_eq!(sniff(&[&OPENING[..], b"GET / HTTP/1.1"].concat()), Frames);
    for end in 1..OPENING.len() {
        assert_eq!(sniff(&OPENING[..end]), NeedMore);
        assert_eq!(sniff(&[&OPENING[..end], b"x"].concat()), Unknown);
    }
    assert_eq!(sniff(&[b"\n", &OPENING[..]].concat()), Unknown);
    check_beginnings(&OPENING);
}

const PIECES: &[&str] = &[
    "GET",
    "SET",
    "CONNECT",
    "PRI",
    " ",
    "/",
    "*",
    "http",
    "foo",
    "HTTP/",
    "\r\n",
    "\n",
    "\u{16}\u{3}",
    "\"",
    "é",
];

/// Whatever a beginning shows is what the whole shows.
fn check_beginnings(bytes: &[u8]) {
    let whole = sniff(bytes);
    for end in 0..bytes.len() {
        let sniffed = sniff(&bytes[..end]);
        assert!(
            sniffed == NeedMore || sniffed == whole,
            "{sniffed:?} after {end} of {}",
            bytes.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn no_cut_of_the_first_line_changes_the_decision(
        pieces in vec(prop::sample::select(PIECES), 0..10),
        others in vec(any::<u8>(), 0..4),
    ) {
        check_beginnings(&[pieces.concat().as_bytes(), &others].concat());
    }

    #[test]
    fn a_request_line_is_http(
        method in "[A-Z][A-Za-z-]{0,12}",
        target in "(/|\\*|http://)[!-~]{0,40}",
        version in "HTTP/[0-9]\\.[0-9]",
    ) {
        let line = format!("{method} {target} {version}\r\n");
        prop_assert_eq!(sniff(line.as_bytes()), Http);
        check_beginnings(line.as_bytes());
    }

    #[test]
    fn a_command_is_resp(command in "[A-Za-z]{1,12}", args in vec("[!-GI-~][!-~]{0,12}", 0..5)) {
        let line = format!("{command} {}\r\n", args.join(" "));
        prop_assert_eq!(sniff(line.as_bytes()), Resp);
        check_beginnings(line.as_bytes());
    }
}
