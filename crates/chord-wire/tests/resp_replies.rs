//! RESP: answers, byte by byte and as another implementation reads them.

use bytes::Bytes;
use chord_wire::resp::{Protocol, Reply, ReplyWriter};
use proptest::collection::vec;
use proptest::prelude::*;
use resp_rs::{resp2, resp3};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("these answers are text")
}

#[test]
fn answers_are_written_in_these_bytes() {
    let pair = || vec![(Reply::Simple("a"), Reply::Integer(1))];
    let list = || vec![Reply::Integer(-1), Reply::Null];
    let table = [
        (Reply::OK, "+OK\r\n", "+OK\r\n"),
        (Reply::Simple("a\r\n+b"), "+a  +b\r\n", "+a  +b\r\n"),
        (Reply::Error { code: "ERR", sentence: "no\nway" }, "-ERR no way\r\n", "-ERR no way\r\n"),
        (Reply::Error { code: "MOVED\r\n", sentence: "" }, "-MOVED   \r\n", "-MOVED   \r\n"),
        (Reply::Integer(0), ":0\r\n", ":0\r\n"),
        (Reply::Integer(i64::MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n"),
        (Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (Reply::Bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (Reply::Bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
        (Reply::Null, "$-1\r\n", "_\r\n"),
        (Reply::NullArray, "*-1\r\n", "_\r\n"),
        (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
        (Reply::Array(list()), "*2\r\n:-1\r\n$-1\r\n", "*2\r\n:-1\r\n_\r\n"),
        (Reply::Map(pair()), "*2\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n:1\r\n"),
        (Reply::Set(list()), "*2\r\n:-1\r\n$-1\r\n", "~2\r\n:-1\r\n_\r\n"),
        (Reply::Push(list()), "*2\r\n:-1\r\n$-1\r\n", ">2\r\n:-1\r\n_\r\n"),
        (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
        (Reply::Boolean(false), ":0\r\n", "#f\r\n"),
        (Reply::Verbatim("some\r\ntext"), "$10\r\nsome\r\ntext\r\n", "=14\r\ntxt:some\r\ntext\r\n"),
        (Reply::BigNumber("-123"), "$4\r\n-123\r\n", "(-123\r\n"),
    ];
    for (reply, resp2, resp3) in table {
        assert_eq!(text(&reply.encode(Protocol::Resp2)), resp2, "{reply:?}");
        assert_eq!(text(&reply.encode(Protocol::Resp3)), resp3, "{reply:?}");
    }
}

#[test]
fn doubles_are_short_and_lose_nothing() {
    let table = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (9.9e-6, "9.9e-6"),
        (99_999_999_999_999_984.0, "99999999999999980"),
        (1e17, "1e17"),
        (f64::MAX, "1.7976931348623157e308"),
        (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
        (-5e-324, "-5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (number, digits) in table {
        let resp2 = format!("${}\r\n{digits}\r\n", digits.len());
        assert_eq!(text(&Reply::Double(number).encode(Protocol::Resp2)), resp2);
        assert_eq!(text(&Reply::Double(number).encode(Protocol::Resp3)), format!(",{digits}\r\n"));
    }
}

#[test]
fn answers_are_written_behind_those_that_are_there() {
    let mut bytes = b"+OK\r\n".to_vec();
    let mut writer = ReplyWriter::new(Protocol::Resp3, &mut bytes);
    writer.map(2).bulk(b"n").count(3).bulk(b"none").bulk_or_null(None);
    writer.bulk_or_null(Some(b"some"));
    assert_eq!(text(&bytes), "+OK\r\n%2\r\n$1\r\nn\r\n:3\r\n$4\r\nnone\r\n_\r\n$4\r\nsome\r\n");
}

/// An answer that owns what it holds.
#[derive(Clone, Debug)]
enum Owned {
    Line(bool, String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Double(f64),
    Boolean(bool),
    Text(String),
    Digits(u128),
    List(u8, Vec<Self>),
    Map(Vec<(Self, Self)>),
}

fn owned() -> impl Strategy<Value = Owned> {
    let leaf = prop_oneof![
        (any::<bool>(), any::<String>()).prop_map(|(is_error, text)| Owned::Line(is_error, text)),
        any::<i64>().prop_map(Owned::Integer),
        vec(any::<u8>(), 0..20).prop_map(Owned::Bulk),
        Just(Owned::Null),
        any::<f64>().prop_map(Owned::Double),
        any::<bool>().prop_map(Owned::Boolean),
        any::<String>().prop_map(Owned::Text),
        any::<u128>().prop_map(Owned::Digits),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            (0u8..3, vec(inner.clone(), 0..4)).prop_map(|(kind, parts)| Owned::List(kind, parts)),
            vec((inner.clone(), inner), 0..3).prop_map(Owned::Map),
        ]
    })
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

impl Owned {
    fn write(&self, to: &mut ReplyWriter<'_>) {
        match self {
            Self::Line(true, text) => _ = to.error("ERR", text),
            Self::Line(false, text) => _ = to.simple(text),
            Self::Integer(number) => _ = to.integer(*number),
            Self::Bulk(bytes) => _ = to.bulk(bytes),
            Self::Null => _ = to.null(),
            Self::Double(number) => _ = to.double(*number),
            Self::Boolean(is_true) => _ = to.boolean(*is_true),
            Self::Text(text) => _ = to.verbatim(text),
            Self::Digits(number) => _ = to.big_number(&number.to_string()),
            Self::List(kind, parts) => {
                match kind {
                    0 => to.array(parts.len()),
                    1 => to.set(parts.len()),
                    _ => to.push(parts.len()),
                };
                for part in parts {
                    part.write(to);
                }
            }
            Self::Map(pairs) => {
                to.map(pairs.len());
                for part in pairs.iter().flat_map(|(key, value)| [key, value]) {
                    part.write(to);
                }
            }
        }
    }

    fn encode(&self, protocol: Protocol) -> Bytes {
        let mut bytes = Vec::new();
        self.write(&mut ReplyWriter::new(protocol, &mut bytes));
        bytes.into()
    }

    /// What another implementation of the older protocol should see.
    fn resp2(&self) -> resp2::Frame {
        use resp2::Frame;
        let bulk = |bytes: &[u8]| Frame::BulkString(Some(Bytes::copy_from_slice(bytes)));
        match self {
            Self::Line(true, text) => Frame::Error(format!("ERR {}", one_line(text)).into()),
            Self::Line(false, text) => Frame::SimpleString(one_line(text).into()),
            Self::Integer(number) => Frame::Integer(*number),
            Self::Bulk(bytes) => bulk(bytes),
            Self::Null => Frame::BulkString(None),
            Self::Double(_) => bulk(self.encode(Protocol::Resp3)[1..].trim_ascii_end()),
            Self::Boolean(is_true) => Frame::Integer((*is_true).into()),
            Self::Text(text) => bulk(text.as_bytes()),
            Self::Digits(number) => bulk(number.to_string().as_bytes()),
            Self::List(_, parts) => Frame::Array(Some(parts.iter().map(Self::resp2).collect())),
            Self::Map(pairs) => Frame::Array(Some(
                pairs.iter().flat_map(|(key, value)| [key.resp2(), value.resp2()]).collect(),
            )),
        }
    }

    /// What another implementation of the newer protocol should see.
    fn resp3(&self) -> resp3::Frame {
        use resp3::Frame;
        match self {
            Self::Line(true, text) => Frame::Error(format!("ERR {}", one_line(text)).into()),
            Self::Line(false, text) => Frame::SimpleString(one_line(text).into()),
            Self::Integer(number) => Frame::Integer(*number),
            Self::Bulk(bytes) => Frame::BulkString(Some(bytes.clone().into())),
            Self::Null => Frame::Null,
            Self::Double(number) if number.is_finite() => Frame::Double(*number),
            Self::Double(number) => Frame::SpecialFloat(number.to_string().to_lowercase().into()),
            Self::Boolean(is_true) => Frame::Boolean(*is_true),
            Self::Text(text) => Frame::VerbatimString { payload: format!("txt:{text}").into() },
            Self::Digits(number) => Frame::BigNumber(number.to_string().into()),
            Self::List(kind, parts) => {
                let parts = parts.iter().map(Self::resp3).collect();
                match kind {
                    0 => Frame::Array(Some(parts)),
                    1 => Frame::Set(parts),
                    _ => Frame::Push(parts),
                }
            }
            Self::Map(pairs) => {
                Frame::Map(pairs.iter().map(|(key, value)| (key.resp3(), value.resp3())).collect())
            }
        }
    }
}

proptest! {
    #[test]
    fn another_implementation_reads_what_was_meant(reply in owned()) {
        let (frame, rest) = resp2::parse_frame(reply.encode(Protocol::Resp2)).expect("RESP2 was written");
        prop_assert_eq!((frame, rest.len()), (reply.resp2(), 0));
        let (frame, rest) = resp3::parse_frame(reply.encode(Protocol::Resp3)).expect("RESP3 was written");
        prop_assert_eq!((frame, rest.len()), (reply.resp3(), 0));
    }

    #[test]
    fn a_double_that_was_written_is_the_same_number(number in any::<f64>()) {
        let bytes = Reply::Double(number).encode(Protocol::Resp3);
        let read: f64 = text(&bytes[1..]).trim_end().parse().expect("a number");
        prop_assert_eq!(read.to_bits(), number.to_bits());
    }
}
