//! One client of each door, which speaks to any node.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use chord::{Change, Client, Condition, Consistency, Expiry, Key, Operation, VALUE_BYTES_DEFAULT, Value};
use serde_json::json;

use super::super::support::{Called, Connection, Response, XmlRpc, post_request};
use super::Door;

const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no value.
#[derive(Debug)]
#[expect(dead_code, reason = "read by whoever reads the failure")]
pub(crate) enum Failure {
    /// The node says that this door cannot carry it.
    Unsayable(String),
    Wrong(String),
}

fn wrong(what: impl std::fmt::Debug) -> Failure {
    Failure::Wrong(format!("{what:?}"))
}

/// A client of one door.
pub(crate) enum Speaker {
    Seed(BTreeMap<String, Connection>),
    XmlRpc(XmlRpc),
    Rest(BTreeMap<String, Connection>),
    Redis(BTreeMap<String, BufReader<TcpStream>>),
    Operate(tokio::runtime::Runtime, BTreeMap<String, Client>),
}

impl Speaker {
    pub(crate) fn new(door: Door) -> Self {
        match door {
            Door::Seed => Self::Seed(BTreeMap::new()),
            Door::XmlRpc => Self::XmlRpc(XmlRpc::start()),
            Door::Rest => Self::Rest(BTreeMap::new()),
            Door::Redis => Self::Redis(BTreeMap::new()),
            Door::Operate => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                Self::Operate(runtime.expect("a runtime"), BTreeMap::new())
            }
        }
    }

    pub(crate) fn put(&mut self, node: &str, key: &str, value: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(value);
        match self {
            Self::Seed(_) | Self::Rest(_) => {
                let (request, good) = match self {
                    Self::Seed(_) => (
                        post_request("put", json!({ "key": key, "value": text }).to_string().as_bytes()),
                        [200, 200],
                    ),
                    _ => (rest("PUT", key, value), [201, 204]),
                };
                let answer = self.ask(node, &request)?;
                if good.contains(&answer.status) { Ok(()) } else { Err(wrong(answer)) }
            }
            Self::XmlRpc(python) => match python.call(node, "put", json!({ "key": key, "value": text })) {
                Called::Answer(_) => Ok(()),
                other => Err(wrong(other)),
            },
            Self::Redis(open) => match redis(open, node, &[b"SET", key.as_bytes(), value])? {
                Some(answer) if answer == b"OK" => Ok(()),
                other => Err(wrong(other)),
            },
            Self::Operate(..) => {
                let value = Value::new(value, VALUE_BYTES_DEFAULT).expect("values are small");
                let (condition, expiry) = (Condition::Always, Expiry::Never);
                let change = Operation::Change { change: Change::Set(value), condition, expiry };
                self.operate(node, key, change).map(|_| ())
            }
        }
    }

    pub(crate) fn get(&mut self, node: &str, key: &str) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Seed(_) => {
                let request = post_request("get", json!({ "key": key }).to_string().as_bytes());
                let answer = self.ask(node, &request)?;
                if answer.status == 406 && answer.header("chord-error") == Some("not-text") {
                    return Err(Failure::Unsayable(answer.error()));
                }
                let value = answer.json()["value"].as_str().map(|text| text.as_bytes().to_vec());
                value.filter(|_| answer.status == 200).ok_or_else(|| wrong(answer))
            }
            Self::XmlRpc(python) => match python.call(node, "get", json!({ "key": key })) {
                Called::Fault(_, said) if said.contains("XML") || said.contains("not text") => {
                    Err(Failure::Unsayable(said))
                }
                Called::Answer(answer) => {
                    let value = answer["value"].as_str().map(|text| text.as_bytes().to_vec());
                    value.ok_or_else(|| wrong(answer))
                }
                other => Err(wrong(other)),
            },
            Self::Rest(_) => {
                let answer = self.ask(node, &rest("GET", key, b""))?;
                if answer.status == 200 { Ok(answer.body) } else { Err(wrong(answer)) }
            }
            Self::Redis(open) => {
                redis(open, node, &[b"GET", key.as_bytes()])?.ok_or_else(|| wrong("there is none"))
            }
            Self::Operate(..) => {
                let value = self.operate(node, key, Operation::Get)?;
                value.ok_or_else(|| wrong("there is none"))
            }
        }
    }

    /// One exchange over HTTP, on a connection that stays open.
    fn ask(&mut self, node: &str, request: &[u8]) -> Result<Response, Failure> {
        let (Self::Seed(open) | Self::Rest(open)) = self else { return Err(wrong("it does not speak HTTP")) };
        if !open.contains_key(node) {
            open.insert(node.to_owned(), Connection::open(node).map_err(wrong)?);
        }
        let connection = open.get_mut(node).expect("it was opened");
        connection.send(request).and_then(|()| connection.read_response()).map_err(wrong)
    }

    fn operate(&mut self, node: &str, key: &str, operation: Operation) -> Result<Option<Vec<u8>>, Failure> {
        let Self::Operate(runtime, clients) = self else { return Err(wrong("it does not speak binary")) };
        let client = clients
            .entry(node.to_owned())
            .or_insert_with(|| Client::new(node.parse().expect("a node has a name")));
        let key = Key::new(key.as_bytes()).expect("keys are short");
        let operated = runtime.block_on(client.operate(key, operation, Consistency::Quorum, DEADLINE));
        let record = operated.map_err(wrong)?.outcome.record;
        Ok(record.and_then(|record| record.value).map(|value| value.as_bytes().to_vec()))
    }
}

/// A request of REST.
fn rest(method: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} /v1/kv/{key} HTTP/1.1\r\nHost: node\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// One command of Redis, on a connection that stays open: what it answers, in version 2 of the protocol.
fn redis(
    open: &mut BTreeMap<String, BufReader<TcpStream>>,
    node: &str,
    words: &[&[u8]],
) -> Result<Option<Vec<u8>>, Failure> {
    if !open.contains_key(node) {
        let stream = TcpStream::connect(node).map_err(wrong)?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(wrong)?;
        open.insert(node.to_owned(), BufReader::new(stream));
    }
    let stream = open.get_mut(node).expect("it was opened");
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(&[word, &b"\r\n"[..]].concat());
    }
    stream.get_mut().write_all(&request).map_err(wrong)?;
    let mut line = String::new();
    stream.read_line(&mut line).map_err(wrong)?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+", word)) => Ok(Some(word.as_bytes().to_vec())),
        Some(("$", "-1")) => Ok(None),
        Some(("$", length)) => {
            let mut value = vec![0; length.parse::<usize>().map_err(wrong)? + 2];
            stream.read_exact(&mut value).map_err(wrong)?;
            value.truncate(value.len() - 2);
            Ok(Some(value))
        }
        _ => Err(wrong(line)),
    }
}
