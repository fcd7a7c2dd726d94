//! What is sent: keys, values and requests, all computed from a number.

use std::time::Duration;

use chord::NodeName;

use super::Door;

/// Digits of a key: enough for the largest number of keys.
const KEY_DIGITS: usize = 8;

/// Length of a key: a letter before its digits.
pub(super) const KEY_BYTES: usize = 1 + KEY_DIGITS;

/// What is measured on which nodes.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) door: Door,
    pub(super) nodes: Vec<NodeName>,
    pub(super) connections: u16,
    pub(super) keys: u64,
    pub(super) value_bytes: usize,
    pub(super) warmup: Duration,
    pub(super) measured: Duration,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Get,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

impl Workload {
    /// Which node the connection of that number speaks to.
    pub(super) fn node(&self, connection: u16) -> &NodeName {
        assert!(!self.nodes.is_empty(), "there is a node to measure");
        &self.nodes[usize::from(connection) % self.nodes.len()]
    }
}

/// The bytes of an HTTP request, built once; each key, and each value, has the same length and is written
/// over the last.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    key_at: usize,
    value_at: usize,
    value_bytes: usize,
}

impl Template {
    pub(super) fn new(door: Door, operation: Operation, node: &NodeName, value_bytes: usize) -> Self {
        let name = operation.name();
        let value_bytes = if operation == Operation::Put { value_bytes } else { 0 };
        let (path, content_type) = match door {
            Door::Http => (name, "application/json"),
            Door::XmlRpc => ("RPC2", "text/xml"),
        };
        let [before_key, before_value, end] = body(door, operation);
        let length = before_key.len() + KEY_DIGITS + before_value.len() + value_bytes + end.len();
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {node}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut bytes = [head, before_key].concat().into_bytes();
        let key_at = bytes.len();
        bytes.resize(key_at + KEY_DIGITS, b'0');
        bytes.extend_from_slice(before_value.as_bytes());
        let value_at = bytes.len();
        bytes.resize(value_at + value_bytes, b'0');
        bytes.extend_from_slice(end.as_bytes());
        Self { bytes, key_at, value_at, value_bytes }
    }

    /// The request for that key.
    pub(super) fn request(&mut self, key: u64) -> &[u8] {
        let digits = digits(key);
        self.bytes[self.key_at..self.key_at + KEY_DIGITS].copy_from_slice(&digits);
        fill(&mut self.bytes[self.value_at..self.value_at + self.value_bytes], digits);
        &self.bytes
    }
}

/// What stands before a key's digits, between them and the value, and after it.
fn body(door: Door, operation: Operation) -> [String; 3] {
    const METHOD: &str = "<?xml version='1.0'?><methodCall><methodName>";
    const MEMBERS: &str = "</methodName><params><param><value><struct>";
    const KEY: &str = "<member><name>key</name><value><string>k";
    const VALUE: &str = "</string></value></member><member><name>value</name><value><string>";
    const REDIRECT: &str =
        "</string></value></member><member><name>no_redirect</name><value><boolean>0</boolean>";
    const END: &str = "</value></member></struct></value></param></params></methodCall>";
    match (door, operation) {
        (Door::Http, Operation::Put) => {
            ["{\"key\": \"k", "\", \"value\": \"", "\", \"no_redirect\": false}"].map(str::to_owned)
        }
        (Door::Http, Operation::Get) => ["{\"key\": \"k", "\"}", ""].map(str::to_owned),
        (Door::XmlRpc, Operation::Put) => {
            [format!("{METHOD}put{MEMBERS}{KEY}"), VALUE.to_owned(), format!("{REDIRECT}{END}")]
        }
        (Door::XmlRpc, Operation::Get) => {
            [format!("{METHOD}get{MEMBERS}{KEY}"), format!("</string>{END}"), String::new()]
        }
    }
}

/// Whether `value` is what was written under that key.
pub(super) fn is_value(value: &str, key: u64, value_bytes: usize) -> bool {
    let digits = digits(key);
    value.len() == value_bytes && value.as_bytes().chunks(KEY_DIGITS).all(|chunk| digits.starts_with(chunk))
}

/// A value repeats its key's digits: it is checked without being kept.
fn fill(value: &mut [u8], digits: [u8; KEY_DIGITS]) {
    for chunk in value.chunks_mut(KEY_DIGITS) {
        chunk.copy_from_slice(&digits[..chunk.len()]);
    }
}

fn digits(key: u64) -> [u8; KEY_DIGITS] {
    let mut digits = [b'0'; KEY_DIGITS];
    let mut rest = key;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    digits
}

/// Numbers that look random: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014, figure 13). The same in every
/// run.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, of which none is noticeably more likely: `bound` is far below 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(operation: Operation, key: u64, value_bytes: usize) -> String {
        let node = "127.0.0.1:4567".parse().unwrap();
        let mut template = Template::new(Door::Http, operation, &node, value_bytes);
        template.request(7_654_321);
        String::from_utf8(template.request(key).to_vec()).unwrap()
    }

    #[test]
    fn requests_in_xml_rpc_say_what_those_in_json_say() {
        use chord::wire::{Request, xmlrpc};
        let node = "127.0.0.1:4567".parse().unwrap();
        let key = "k00000042".to_owned();
        for (operation, wanted) in [
            (
                Operation::Put,
                Request::Put { key: key.clone(), value: "00000042000".to_owned(), no_redirect: false },
            ),
            (Operation::Get, Request::Get { key }),
        ] {
            let mut template = Template::new(Door::XmlRpc, operation, &node, 11);
            template.request(7_654_321);
            let request = String::from_utf8(template.request(42).to_vec()).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /RPC2 HTTP/1.1\r\n"), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            assert_eq!(xmlrpc::decode_call(body.as_bytes()), Ok(xmlrpc::Call::Seed(wanted)));
        }
    }

    #[test]
    fn requests_are_well_formed() {
        for operation in [Operation::Put, Operation::Get] {
            let request = text(operation, 42, 11);
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("POST /{} HTTP/1.1\r\n", operation.name())), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["key"], "k00000042");
            if operation == Operation::Put {
                assert_eq!(body["value"], "00000042000");
                assert!(is_value(body["value"].as_str().unwrap(), 42, 11));
            }
        }
    }

    #[test]
    fn another_keys_value_is_not_taken() {
        assert!(is_value("", 5, 0));
        assert!(!is_value("00000042", 43, 8));
        assert!(!is_value("0000004200", 42, 8));
        assert!(!is_value("", 42, 8));
    }

    #[test]
    fn random_numbers_stay_below_their_bound() {
        let mut random = Random::new(1);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(random.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }
}
