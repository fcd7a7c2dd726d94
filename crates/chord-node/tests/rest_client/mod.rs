//! A client of HTTP that knows no more than it must: one request a connection, and its answer as it came.

use std::time::Duration;

use chord_node::{Limits, Node};
use chord_ring::is_ideal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn node(limits: Limits) -> Node {
    Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap()
}

/// A ring of three, ready.
pub(crate) async fn ring() -> Vec<Node> {
    let mut nodes = vec![Node::builder().listen("127.0.0.1:0").start().await.unwrap()];
    while nodes.len() < 3 {
        let joiner = Node::builder().listen("127.0.0.1:0").join(nodes[0].name().clone());
        let joiner = joiner.start().await.unwrap();
        let ready = tokio::time::timeout(DEADLINE, joiner.ready()).await;
        ready.unwrap_or_else(|_| panic!("{} does not join", joiner.name())).unwrap();
        nodes.push(joiner);
    }
    become_ready(&nodes).await;
    nodes
}

/// Waits until these nodes are one ring and have all that they should.
pub(crate) async fn become_ready(nodes: &[Node]) {
    let ready = async {
        loop {
            let views: Vec<_> = nodes.iter().map(Node::view).collect();
            let is_ready = nodes.iter().all(|node| node.readiness().is_ok());
            if is_ready && is_ideal(views.iter().map(AsRef::as_ref)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, ready).await.is_err() {
        let why: Vec<_> = nodes.iter().map(|node| (node.name(), node.readiness())).collect();
        panic!("the ring does not become ready: {why:?}");
    }
}

/// Stops a node, which takes no longer than it may.
pub(crate) async fn stop(node: &Node) {
    let stopped = tokio::time::timeout(DEADLINE, node.shutdown()).await;
    stopped.unwrap_or_else(|_| panic!("{} does not stop", node.name()));
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All headers but the time.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.headers.iter().filter(|(name, _)| name != "date").cloned().collect()
    }

    pub(crate) fn tag(&self) -> String {
        self.header("etag").expect("a tag").to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The status and the code of a problem.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let code = self.header("chord-error").expect("a code");
        let (status, text) = (self.status, self.text());
        assert!(text.contains(&format!("\"code\":\"{code}\"")), "{text}");
        assert!(text.contains(&format!("\"status\":{status},")), "{text}");
        (status, code)
    }

    fn parse(bytes: &[u8], is_head: bool) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        match (length, answer.header("transfer-encoding")) {
            (Some(length), None) if !is_head => assert_eq!(answer.body.len(), length, "{head}"),
            (None, Some("chunked")) => return Self { body: unchunked(&answer.body), ..answer },
            _ => assert_eq!(answer.body, b"", "{head}"),
        }
        answer
    }
}

fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n").expect("a whole chunk");
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}

/// Sends these bytes, and reads the answer.
pub(crate) async fn send(node: &Node, bytes: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        // The node may answer before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await.unwrap_or_else(|_| {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        panic!("{} does not answer {}", node.name(), String::from_utf8_lossy(line))
    });
    Answer::parse(&answer, bytes.starts_with(b"HEAD "))
}

/// Sends a request with these headers, each with its line end, and that body.
pub(crate) async fn ask_with(node: &Node, line: &str, headers: &str, body: &[u8]) -> Answer {
    let length = if body.is_empty() && !line.starts_with('P') {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}{headers}\r\n");
    send(node, &[head.as_bytes(), body].concat()).await
}

pub(crate) async fn ask(node: &Node, line: &str) -> Answer {
    ask_with(node, line, "", b"").await
}

pub(crate) async fn put(node: &Node, path: &str, headers: &str, body: &[u8]) -> Answer {
    ask_with(node, &format!("PUT {path}"), headers, body).await
}
