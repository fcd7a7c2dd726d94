use chord::{RingName, RingSize, Version};
use chord_ring::RingTag;
use chord_wire::frame::{self, Arrived, Asked, Hello, Inbox, Kind, Outbox, Welcome};
use chord_wire::replica::ReplicaLimits;
use chord_wire::resp::{RequestLimits, RequestParser};

use super::*;

const PUT: Request = Request { operation: Operation::Put, key: 42 };
const GET: Request = Request { operation: Operation::Get, key: 42 };
const VALUE: &[u8] = b"00000042000";

fn sizes() -> Sizes {
    Sizes::of(VALUE.len())
}

fn node() -> NodeName {
    "127.0.0.1:4567".parse().unwrap()
}

fn asked(speech: &mut dyn Speech, request: Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    speech.ask(request, 1, &mut bytes);
    bytes
}

/// The answer in `bytes`, which is waited for until its last byte has come.
fn answer<'a>(speech: &mut dyn Speech, asked: Operation, bytes: &'a [u8]) -> Answer<'a> {
    for cut in 0..bytes.len() {
        let came = Came { bytes: &bytes[..cut], is_all: false, asked };
        assert_eq!(speech.hear(came).unwrap(), Heard::Part, "{cut} of {}", bytes.len());
    }
    match speech.hear(Came { bytes, is_all: false, asked }).unwrap() {
        Heard::Answer { n_bytes, number: None, answer, stays: true } if n_bytes == bytes.len() => answer,
        other => panic!("{other:?}"),
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Head and body of a request, which has the length that it says.
fn parts(bytes: &[u8]) -> (String, String) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(body.is_empty() || head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_seeds_json_is_asked_and_understood() {
    let mut door = http::Http::new(&node(), "", sizes());
    let (head, body) = parts(&asked(&mut door, PUT));
    assert!(head.starts_with("POST /put HTTP/1.1\r\nHost: 127.0.0.1:4567\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, serde_json::json!({ "key": "k00000042", "value": "00000042000", "no_redirect": false }));
    let (head, body) = parts(&asked(&mut door, GET));
    assert!(head.starts_with("POST /get HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, "{\"key\": \"k00000042\"}");

    assert_eq!(answer(&mut door, Operation::Put, &http("200 OK", "{\"hops\": 0}")), Answer::Stored);
    let found = http("200 OK", "{\"value\": \"00000042000\", \"hops\": 1}");
    assert_eq!(answer(&mut door, Operation::Get, &found), Answer::Found(VALUE.into()));
    assert_eq!(answer(&mut door, Operation::Get, &http("200 OK", "{\"value\": null}")), Answer::Absent);
    let refused = http("503 Busy", "{\"error\": \"it is busy\"}");
    assert_eq!(
        answer(&mut door, Operation::Get, &refused),
        Answer::Refused("status 503: it is busy".to_owned())
    );
}

#[test]
fn requests_in_xml_rpc_say_what_those_in_json_say() {
    use chord::wire::{Request, xmlrpc};
    let mut door = super::xmlrpc::XmlRpc::new(&node(), "", sizes());
    let key = "k00000042".to_owned();
    let put = Request::Put { key: key.clone(), value: "00000042000".to_owned(), no_redirect: false };
    for (request, wanted) in [(PUT, put), (GET, Request::Get { key })] {
        let (head, body) = parts(&asked(&mut door, request));
        assert!(head.starts_with("POST /RPC2 HTTP/1.1\r\n"), "{head}");
        assert_eq!(xmlrpc::decode_call(body.as_bytes()), Ok(xmlrpc::Call::Seed(wanted)));
    }
    let fault = "<?xml version='1.0'?><methodResponse><fault><value><struct>\
        <member><name>faultCode</name><value><int>1</int></value></member>\
        <member><name>faultString</name><value><string>it is busy</string></value></member>\
        </struct></value></fault></methodResponse>";
    let fault = http("200 OK", fault);
    let answer = answer(&mut door, Operation::Get, &fault);
    assert_eq!(answer, Answer::Refused("fault 1: it is busy".to_owned()));
}

#[test]
fn a_value_over_rest_is_the_body() {
    let mut door = rest::Rest::new(&node(), "", sizes());
    let (head, body) = parts(&asked(&mut door, PUT));
    assert!(head.starts_with("PUT /v1/kv/k00000042 HTTP/1.1\r\nHost: 127.0.0.1:4567\r\n"), "{head}");
    assert_eq!(body.as_bytes(), VALUE);
    let get = parts(&asked(&mut door, GET)).0;
    assert_eq!(get, "GET /v1/kv/k00000042 HTTP/1.1\r\nHost: 127.0.0.1:4567");

    assert_eq!(answer(&mut door, Operation::Put, &http("201 Created", "")), Answer::Stored);
    assert_eq!(answer(&mut door, Operation::Put, b"HTTP/1.1 204 No Content\r\n\r\n"), Answer::Stored);
    let found = http("200 OK", "00000042000");
    assert_eq!(answer(&mut door, Operation::Get, &found), Answer::Found(VALUE.into()));
    let problem = |status| http(status, "{\"detail\": \"nothing is stored under this key\"}");
    assert_eq!(answer(&mut door, Operation::Get, &problem("404 Not Found")), Answer::Absent);
    let refused = answer(&mut door, Operation::Put, &problem("404 Not Found")) == Answer::Absent;
    assert!(!refused, "a put finds nothing absent");
}

#[test]
fn each_request_over_http_says_what_lets_it_in() {
    let said = "Authorization: Bearer of-sixteen-characters\r\n";
    let doors: [Box<dyn Speech>; 3] = [
        Box::new(http::Http::new(&node(), said, sizes())),
        Box::new(xmlrpc::XmlRpc::new(&node(), said, sizes())),
        Box::new(rest::Rest::new(&node(), said, sizes())),
    ];
    for mut door in doors {
        for request in [PUT, GET] {
            let head = parts(&asked(&mut *door, request)).0;
            assert!(format!("{head}\r\n").contains(&format!("\r\n{said}")), "{head}");
        }
    }
}

#[test]
fn redis_is_asked_nothing_before_it_has_let_one_in() {
    let mut door = redis::Redis::new(Some("of-sixteen-characters".to_owned()), sizes());
    let mut opening = Vec::new();
    door.open(&mut opening);
    assert_eq!(opening, b"*2\r\n$4\r\nAUTH\r\n$21\r\nof-sixteen-characters\r\n");
    assert!(!door.is_open());
    let came = |bytes| Came { bytes, is_all: false, asked: Operation::Get };
    let refused = door.hear(came(b"-WRONGPASS no such secret\r\n")).unwrap_err();
    assert_eq!(refused.to_string(), "WRONGPASS no such secret");
    assert!(!door.is_open());
    assert_eq!(door.hear(came(b"+OK\r\n")).unwrap(), Heard::Aside { n_bytes: 5 });
    assert!(door.is_open());
    assert_eq!(answer(&mut door, Operation::Put, b"+OK\r\n"), Answer::Stored);
}

#[test]
fn redis_is_asked_and_understood() {
    let mut door = redis::Redis::new(None, sizes());
    let mut parser = RequestParser::new(RequestLimits::default());
    parser.feed(&asked(&mut door, PUT));
    let request = parser.next_request().unwrap().unwrap();
    assert_eq!((request.command(), request.args_exactly()), (&b"SET"[..], Some([&b"k00000042"[..], VALUE])));
    parser.feed(&asked(&mut door, GET));
    let request = parser.next_request().unwrap().unwrap();
    assert_eq!((request.command(), request.args_exactly()), (&b"GET"[..], Some([&b"k00000042"[..]])));

    assert_eq!(answer(&mut door, Operation::Put, b"+OK\r\n"), Answer::Stored);
    assert_eq!(answer(&mut door, Operation::Get, b"$11\r\n00000042000\r\n"), Answer::Found(VALUE.into()));
    for null in [&b"$-1\r\n"[..], b"_\r\n"] {
        assert_eq!(answer(&mut door, Operation::Get, null), Answer::Absent);
    }
    let moved = answer(&mut door, Operation::Get, b"-MOVED 1 127.0.0.1:1\r\n");
    assert_eq!(moved, Answer::Refused("MOVED 1 127.0.0.1:1".to_owned()));
    for wrong in
        [&b"+OK\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"$x\r\n", b"$1\r\nabc\r\n", b"\r\n", &[b'+'; 5000]]
    {
        let came = Came { bytes: wrong, is_all: false, asked: Operation::Get };
        assert!(door.hear(came).is_err(), "{}", String::from_utf8_lossy(wrong));
    }
}

/// What the other side of a connection of frames has received.
fn arrived<T>(inbox: &mut Inbox, mut bytes: &[u8], read: impl Fn(u8, u32, &[u8]) -> T) -> T {
    match inbox.next(&mut bytes).unwrap() {
        Some(Arrived::Message(message)) => read(message.kind, message.id, &message.content),
        other => panic!("{other:?}"),
    }
}

fn came(bytes: &[u8]) -> Came<'_> {
    Came { bytes, is_all: false, asked: Operation::Put }
}

#[test]
fn frames_are_spoken_once_the_node_has_said_welcome() {
    let ring = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
    let mut door = peer::Peer::new(ring.clone(), sizes());
    let (mut inbox, mut outbox, mut bytes) = (Inbox::of_requests(1 << 20), Outbox::default(), Vec::new());
    door.open(&mut bytes);
    let hello = arrived(&mut inbox, &bytes, |_, _, content| Hello::read(content).unwrap());
    assert_eq!((hello.name, hello.ring), (None, Some(ring.clone())));
    assert!(!door.is_open());

    let copies = chord_wire::Copies { replicas: 3, write_quorum: None };
    let welcome = Welcome { version: 1, name: node(), ring, is_member: true, copies, challenge: None };
    outbox.open();
    outbox.put(Kind::Welcome, 0, |to| welcome.write(to));
    let heard = door.hear(came(outbox.unsent())).unwrap();
    assert_eq!(heard, Heard::Aside { n_bytes: outbox.unsent().len() });
    outbox.sent(outbox.unsent().len());
    assert!(door.is_open());

    let limits = ReplicaLimits { size: RingSize::DEFAULT, value_bytes: 1 << 20 };
    let mut request = Vec::new();
    door.ask(PUT, 7, &mut request);
    let (id, asked) =
        arrived(&mut inbox, &request, |kind, id, content| (id, Asked::read(kind, content, &limits).unwrap()));
    let frame::Request::Operate { operate, named: false, .. } = asked.request else { panic!("{asked:?}") };
    assert_eq!((id, operate.key.as_bytes()), (7, &b"k00000042"[..]));

    let version: Version = "1.0.5".parse().unwrap();
    let value = Some(chord::Value::new(VALUE, 1 << 20).unwrap());
    let position = operate.key.position(RingSize::DEFAULT);
    let record = chord::Record { position, key: operate.key, version, value, expires_at_ms: None };
    let outcome = chord::Outcome { record: Some(record), copies: 1, ..chord::Outcome::default() };
    let answer = frame::Answer::Operated { result: Ok(outcome), owner: None, hops: Some(0) };
    outbox.put(answer.kind(), 7, |to| answer.write(to));
    let n_bytes = outbox.unsent().len();
    let answer = Answer::Found(VALUE.into());
    let heard = door.hear(came(outbox.unsent())).unwrap();
    assert_eq!(heard, Heard::Answer { n_bytes, number: Some(7), answer, stays: true });
}

/// A frame of HTTP/2 as etcd sends it.
fn http2(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], content].concat()
}

#[test]
fn etcd_is_asked_and_understood() {
    let mut door = etcd::Etcd::new(&node(), sizes());
    let mut bytes = Vec::new();
    door.open(&mut bytes);
    assert!(bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0"));
    assert!(!door.is_open());
    let hear = |door: &mut etcd::Etcd, bytes: &[u8]| {
        for cut in 0..bytes.len() {
            assert_eq!(door.hear(came(&bytes[..cut])).unwrap(), Heard::Part);
        }
        match door.hear(came(bytes)).unwrap() {
            Heard::Answer { number, answer: Answer::Found(value), .. } => {
                Some((number, Ok(value.into_owned())))
            }
            Heard::Answer { number, answer, .. } => Some((number, Err(format!("{answer:?}")))),
            Heard::Aside { .. } => None,
            Heard::Part => panic!("it is whole"),
        }
    };
    assert_eq!(hear(&mut door, &http2(4, 0, 0, &[])), None);
    assert!(door.is_open());

    bytes.clear();
    door.ask(GET, 1, &mut bytes);
    assert_eq!(bytes[..9], http2(4, 1, 0, &[]), "the settings are confirmed first");
    assert!(bytes.ends_with(&http2(0, 1, 1, b"\0\0\0\0\x0b\x0a\x09k00000042")));
    door.ask(PUT, 2, &mut bytes);
    assert!(bytes.ends_with(&http2(0, 1, 3, b"\0\0\0\0\x18\x0a\x09k00000042\x12\x0b00000042000")));
    door.ask(GET, 3, &mut bytes);

    // A header, a pair of a key, a revision and a value, and how many there are.
    let pair = b"\x0a\x02\x18\x05\x12\x1a\x0a\x09k00000042\x10\x07\x2a\x0b00000042000\x20\x01";
    let found = [&[0, 0, 0, 0, u8::try_from(pair.len()).unwrap()], &pair[..]].concat();
    assert_eq!(hear(&mut door, &http2(1, 4, 1, b"\x88")), None);
    assert_eq!(hear(&mut door, &http2(0, 0, 1, &found)), None);
    assert_eq!(hear(&mut door, &http2(1, 5, 1, b"")), Some((Some(1), Ok(VALUE.to_vec()))));
    assert_eq!(hear(&mut door, &http2(3, 0, 1, &[0; 4])), None, "it has its answer");
    assert_eq!(hear(&mut door, &http2(0, 0, 3, b"\0\0\0\0\x04\x0a\x02\x18\x05")), None);
    assert_eq!(hear(&mut door, &http2(1, 5, 3, b"")), Some((Some(2), Err("Stored".to_owned()))));
    let (number, refused) = hear(&mut door, &http2(1, 5, 5, b"\x88")).unwrap();
    assert!(number == Some(3) && refused.unwrap_err().starts_with("Refused"));
    assert_eq!(hear(&mut door, &http2(6, 0, 0, b"12345678")), None);
    bytes.clear();
    door.ask(GET, 4, &mut bytes);
    assert!(bytes.starts_with(&http2(6, 1, 0, b"12345678")), "a ping is answered");
}
