//! A tiny HTTP/1.1 client over a bare socket, so that tests see every byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for one answer before it gives up.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("{wrong} in {self:?}: {text:?}"))
    }

    /// The JSON object of a good answer, which has exactly these fields.
    #[track_caller]
    pub(crate) fn fields(&self, names: &[&str]) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/json"));
        let answer = self.json();
        assert_eq!(field_names(&answer), sorted(names), "{answer}");
        answer
    }

    /// The sentence of an error: the only field, one line.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        let answer = self.json();
        assert_eq!(field_names(&answer), ["error"], "{answer}");
        let sentence = answer["error"].as_str().expect("an error is a string").to_owned();
        assert!(!sentence.trim().is_empty() && !sentence.contains('\n'), "{sentence:?} is not one line");
        sentence
    }
}

#[track_caller]
fn field_names(answer: &Value) -> Vec<&str> {
    let object = answer.as_object().unwrap_or_else(|| panic!("{answer} is not an object"));
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    sorted(&names)
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// One connection to a node.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?, ANSWER_LIMIT)
    }

    /// The same, with another limit for each step; the address is numeric.
    pub(crate) fn open_within(address: &str, limit: Duration) -> io::Result<Self> {
        let address = address.parse().map_err(io::Error::other)?;
        Self::over(TcpStream::connect_timeout(&address, limit)?, limit)
    }

    fn over(stream: TcpStream, limit: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Another handle to the socket, to write from another thread.
    pub(crate) fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// POSTs a body to `/command` as the seed's client does, and reads the answer.
    pub(crate) fn post(&mut self, command: &str, body: &str) -> io::Result<Response> {
        self.send(&post_request(command, body.as_bytes()))?;
        self.read_response()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn read_response(&mut self) -> io::Result<Response> {
        let head = self.take_head()?;
        let (status, headers) = parse_head(&head)?;
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let body = match length.and_then(|(_, value)| value.parse().ok()) {
            _ if status < 200 => Vec::new(),
            Some(length) => {
                while self.received.len() < length {
                    self.receive()?;
                }
                self.received.drain(..length).collect()
            }
            None => {
                self.read_to_end()?;
                std::mem::take(&mut self.received)
            }
        };
        Ok(Response { status, headers, body })
    }

    /// Reads whatever comes until the other side closes, and returns all of it.
    pub(crate) fn read_until_closed(&mut self) -> io::Result<Vec<u8>> {
        self.read_to_end()?;
        Ok(std::mem::take(&mut self.received))
    }

    fn take_head(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).map_err(io::Error::other);
            }
            self.receive()?;
        }
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        loop {
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let n_bytes = self.stream.read(&mut buffer)?;
        if n_bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(&buffer[..n_bytes]);
        Ok(())
    }
}

/// The bytes of a request, with a body of any bytes.
pub(crate) fn post_request(command: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /{command} HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn parse_head(head: &str) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {head:?}")))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok((status, headers))
}

/// One request on a connection of its own.
pub(crate) fn try_ask(node: &str, command: &str, body: &str) -> io::Result<Response> {
    Connection::open(node)?.post(command, body)
}

/// One request to a node that must answer, whatever it answers.
#[track_caller]
pub(crate) fn ask(node: &str, command: &str, body: &str) -> Response {
    try_ask(node, command, body).unwrap_or_else(|error| panic!("{node} to {command} {body}: {error}"))
}

/// One request, and how long it took.
pub(crate) fn timed(node: &str, command: &str, body: &str) -> (io::Result<Response>, Duration) {
    let begin = Instant::now();
    let answer = try_ask(node, command, body);
    (answer, begin.elapsed())
}

/// Longest wait for a node's word whether it is ready: that of one that is stopped is asked for again.
const READINESS_LIMIT: Duration = Duration::from_secs(5);

/// Whether a node says that it is ready, or why not.
pub(crate) fn readiness(node: &str) -> Result<(), String> {
    let asked = || {
        let mut connection = Connection::open_within(node, READINESS_LIMIT)?;
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: node\r\n\r\n")?;
        connection.read_response()
    };
    let answer = asked().map_err(|error| format!("{node}: {error}"))?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status == 200 { Ok(()) } else { Err(format!("{node}: {}", text.trim_end())) }
}
