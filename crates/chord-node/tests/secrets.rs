//! A ring with secrets: who is let in, who is not, and that nothing is changed by those who are not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::Key;
use chord_kv::replication::{Consistency, Operation};
use chord_kv::{VALUE_BYTES_DEFAULT, Value};
use chord_node::{Client, ClientError, Node};
use chord_ring::NodeName;
use chord_wire::Code;
use chord_wire::frame::{Challenge, Declined, Hello, Kind, OPENING, Outbox, PROOF_BYTES, VERSIONS};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use rest_client::{DEADLINE, ask, ask_with, send};

const OF_NODES: &str = "the-secret-of-this-ring";
const OF_READERS: &str = "the-secret-of-readers";
const OF_WRITERS: &str = "the-secret-of-writers";
const OF_ADMINS: &str = "the-secret-of-admins";

/// Files of secrets, and the names of a directory where they are.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, lines: &[&str]) -> PathBuf {
        let path = self.0.path().join(name);
        write(&path, lines);
        path
    }

    /// The secrets of all roles.
    fn all(&self) -> PathBuf {
        let [read, write, admin] = [("read", OF_READERS), ("write", OF_WRITERS), ("admin", OF_ADMINS)]
            .map(|(a, b)| format!("{a} {b}"));
        self.file("all", &[OF_NODES, &read, &write, &admin])
    }
}

fn write(path: &Path, lines: &[&str]) {
    // At once, as whoever changes a file that others read should.
    let beside = path.with_extension("new");
    std::fs::write(&beside, lines.join("\n")).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

async fn founder(secrets: &Path) -> Node {
    Node::builder().listen("127.0.0.1:0").secret_file(secrets).start().await.unwrap()
}

async fn joiner(secrets: &Path, contact: &Node) -> Node {
    let contact = contact.name().clone();
    Node::builder().listen("127.0.0.1:0").secret_file(secrets).join(contact).start().await.unwrap()
}

fn client(node: &NodeName, secrets: &Path) -> Client {
    Client::new(node.clone()).with_secret_file(secrets).unwrap()
}

async fn operate(client: &Client, operation: Operation) -> Result<Option<Vec<u8>>, Option<Code>> {
    let key = Key::new(b"key").unwrap();
    match client.operate(key, operation, Consistency::Usual, DEADLINE).await {
        Ok(operated) => {
            Ok(operated.outcome.record.and_then(|record| Some(record.value?.as_bytes().to_vec())))
        }
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

fn put(value: &[u8]) -> Operation {
    Operation::put(Value::new(value, VALUE_BYTES_DEFAULT).unwrap())
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waits).await.expect(what);
}

#[tokio::test]
async fn nodes_that_share_a_secret_are_a_ring_and_any_of_them_answers_clients_that_know_one() {
    let files = Files::new();
    let secrets = files.all();
    let first = founder(&secrets).await;
    let nodes = [joiner(&secrets, &first).await, joiner(&secrets, &first).await];
    for node in &nodes {
        tokio::time::timeout(DEADLINE, node.ready()).await.expect("it joins").unwrap();
    }
    until("three nodes know each other", async || {
        [&first, &nodes[0], &nodes[1]].iter().all(|node| node.view().successors().as_slice().len() == 2)
    })
    .await;
    let of_writers = files.file("writers", &[OF_WRITERS]);
    let writer = client(nodes[0].name(), &of_writers);
    assert_eq!(writer.ring(DEADLINE).await.unwrap().name.as_str(), "chord");
    assert_eq!(operate(&writer, put(b"value")).await.unwrap(), Some(b"value".to_vec()));
    for node in [&first, &nodes[0], &nodes[1]] {
        let reader = client(node.name(), &files.file("readers", &[OF_READERS]));
        assert_eq!(operate(&reader, Operation::Get).await.unwrap(), Some(b"value".to_vec()));
        assert_eq!(operate(&reader, put(b"other")).await, Err(Some(Code::Forbidden)));
    }
    for node in nodes {
        node.shutdown().await;
    }
    first.shutdown().await;
}

#[tokio::test]
async fn a_node_without_the_secret_never_joins_and_one_that_has_it_never_joins_those_without() {
    let files = Files::new();
    let (ours, theirs) = (files.all(), files.file("theirs", &["the-secret-of-another-ring"]));
    let of_writers = files.file("writers", &[OF_WRITERS]);
    let guarded = founder(&ours).await;
    let open = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let strangers = [
        Node::builder().listen("127.0.0.1:0").join(guarded.name().clone()).start().await.unwrap(),
        joiner(&theirs, &guarded).await,
        joiner(&ours, &open).await,
    ];
    for stranger in &strangers {
        // One that is let in is in the ring after some milliseconds.
        let joined = tokio::time::timeout(Duration::from_millis(500), stranger.ready()).await;
        assert!(joined.is_err() && !stranger.view().is_member(), "{} is in a ring", stranger.name());
    }
    assert!(guarded.view().successors().is_empty() && open.view().successors().is_empty());
    assert!(guarded.view().predecessor().is_none());
    let writer = client(guarded.name(), &of_writers);
    assert!(operate(&writer, put(b"value")).await.is_ok(), "it answers its own all the while");
    for node in strangers.into_iter().chain([guarded, open]) {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_client_without_a_secret_or_with_another_one_is_told_so_and_changes_nothing() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let stranger = Client::new(node.name().clone());
    assert_eq!(operate(&stranger, put(b"value")).await, Err(Some(Code::NoSecret)));
    let other = client(node.name(), &files.file("other", &["the-secret-of-another-ring"]));
    assert_eq!(operate(&other, put(b"value")).await, Err(Some(Code::NoSecret)));
    let of_writers = files.file("writers", &[OF_WRITERS]);
    let writer = client(node.name(), &of_writers);
    assert_eq!(operate(&writer, Operation::Get).await, Ok(None));
    // Who knows a secret says it to nobody who shows no such knowledge.
    let open = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let deceived = client(open.name(), &of_writers);
    assert_eq!(operate(&deceived, Operation::Get).await, Err(Some(Code::NoSecret)));
    node.shutdown().await;
    open.shutdown().await;
}

#[tokio::test]
async fn http_takes_a_secret_as_a_token_or_a_password_and_says_what_is_missing() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    for request in ["GET /v1/kv/k", "PUT /v1/kv/k", "GET /v1/ring", "GET /openapi.json", "POST /v1/batch"] {
        let refused = ask(&node, request).await;
        assert_eq!(refused.problem(), (401, "no-secret"), "{request}");
        assert!(refused.header("www-authenticate").unwrap().starts_with("Basic "), "{request}");
    }
    for request in ["POST /get", "POST /shutdown", "POST /notify", "POST /operate", "POST /replica"] {
        assert_eq!(ask(&node, request).await.status, 401, "{request}");
    }
    let page = ask_with(&node, "GET /", "accept: text/html\r\n", b"").await;
    assert_eq!(page.status, 401);
    assert_eq!(ask(&node, "GET /readyz").await.status, 200, "whoever restarts nodes need not know it");
    let bearer = |secret: &str| format!("authorization: Bearer {secret}\r\n");
    assert_eq!(ask_with(&node, "PUT /v1/kv/k", &bearer(OF_WRITERS), b"v").await.status, 201);
    assert_eq!(ask_with(&node, "GET /v1/kv/k", &bearer(OF_READERS), b"").await.body, b"v");
    // `someone:the-secret-of-readers`
    let basic = "authorization: basic c29tZW9uZTp0aGUtc2VjcmV0LW9mLXJlYWRlcnM=\r\n";
    assert_eq!(ask_with(&node, "GET /v1/kv/k", basic, b"").await.body, b"v");
    for wrong in ["Bearer", "Bearer ", "Bearer the-secret-of-nobody", "Basic !", "Basic eA==", "Digest x", ""]
    {
        let refused = ask_with(&node, "GET /v1/kv/k", &format!("authorization: {wrong}\r\n"), b"").await;
        assert_eq!(refused.problem(), (401, "no-secret"), "{wrong}");
    }
    let reads = bearer(OF_READERS);
    for request in ["PUT /v1/kv/k", "DELETE /v1/kv/k", "POST /v1/kv/k/incr", "POST /v1/batch"] {
        let refused = ask_with(&node, request, &reads, b"").await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{request}");
        assert!(!refused.text().contains("secret-of"), "{}", refused.text());
    }
    let json = |secret: &str| format!("{}content-type: application/json\r\n", bearer(secret));
    assert_eq!(ask_with(&node, "POST /get", &json(OF_READERS), br#"{"key":"k"}"#).await.status, 200);
    for (path, body) in
        [("/put", &br#"{"key":"k","value":"w","no_redirect":false}"#[..]), ("/shutdown", b"{}")]
    {
        let refused = ask_with(&node, &format!("POST {path}"), &bearer(OF_READERS), body).await;
        assert_eq!((refused.status, refused.header("chord-error")), (403, Some("forbidden")), "{path}");
    }
    let notified = br#"{"remote_node":"127.0.0.1:1"}"#;
    assert_eq!(ask_with(&node, "POST /notify", &bearer(OF_ADMINS), notified).await.status, 403);
    assert_eq!(ask_with(&node, "GET /v1/kv/k", &reads, b"").await.body, b"v", "nothing has changed");
    node.shutdown().await;
}

#[tokio::test]
async fn xml_rpc_takes_a_secret_as_http_does() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let call = |method: &str, headers: &str| {
        let body = format!(
            "<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params></params></methodCall>"
        );
        let length = body.len();
        format!(
            "POST /RPC2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
    };
    let bearer = format!("authorization: Bearer {OF_READERS}\r\n");
    let refused = send(&node, call("node", "").as_bytes()).await;
    assert!(refused.text().contains("wants a secret"), "{}", refused.text());
    let answered = send(&node, call("node", &bearer).as_bytes()).await;
    assert!(answered.text().contains(node.name().as_str()), "{}", answered.text());
    let refused = send(&node, call("shutdown", &bearer).as_bytes()).await;
    assert!(refused.text().contains("of the role read"), "{}", refused.text());
    assert_eq!(ask(&node, "GET /readyz").await.status, 200, "it goes on");
    node.shutdown().await;
}

async fn told(stream: &mut TcpStream, lines: &str, answers: &str) {
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut answer = vec![0; answers.len()];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.expect(lines).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), answers, "{lines}");
}

#[tokio::test]
async fn redis_clients_log_in_as_they_do_with_redis() {
    const NO_AUTH: &str = "-NOAUTH Authentication required.\r\n";
    const WRONG_PASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    let files = Files::new();
    let node = founder(&files.all()).await;
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    for line in [
        "PING\r\n",
        "GET k\r\n",
        "SET k v\r\n",
        "CLIENT LIST\r\n",
        "MULTI\r\n",
        "SUBSCRIBE c\r\n",
        "FLUSHALL\r\n",
    ] {
        told(&mut stream, line, NO_AUTH).await;
    }
    told(&mut stream, "HELLO 3\r\n", "-NOAUTH HELLO must be called").await;
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    told(&mut stream, "AUTH the-secret-of-nobody\r\n", WRONG_PASS).await;
    told(&mut stream, "AUTH default the-secret-of-nobody\r\n", WRONG_PASS).await;
    told(&mut stream, &format!("AUTH {OF_READERS}\r\n"), "+OK\r\n").await;
    told(&mut stream, "PING\r\nGET k\r\n", "+PONG\r\n$-1\r\n").await;
    told(&mut stream, "SET k v\r\n", "-NOPERM User default has no permissions to run the 'set' command\r\n")
        .await;
    told(&mut stream, &format!("AUTH someone {OF_WRITERS}\r\n"), "+OK\r\n").await;
    told(&mut stream, "SET k v\r\nGET k\r\n", "+OK\r\n$1\r\nv\r\n").await;
    told(
        &mut stream,
        "FLUSHALL\r\n",
        "-NOPERM User default has no permissions to run the 'flushall' command\r\n",
    )
    .await;
    told(&mut stream, "RESET\r\nGET k\r\n", &format!("+RESET\r\n{NO_AUTH}")).await;
    told(&mut stream, &format!("HELLO 3 AUTH default {OF_READERS}\r\n"), "%7\r\n").await;
    node.shutdown().await;
}

#[tokio::test]
async fn whoever_is_refused_is_counted_by_the_reason_and_nobody_else_is() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let ask = async |request: &str, role: &str| {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        let known = if role.is_empty() { String::new() } else { format!("authorization: Bearer {role}\r\n") };
        let request = format!("{request}\r\nhost: h\r\nconnection: close\r\n{known}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(DEADLINE, read).await.expect("an answer in time").unwrap();
        answer
    };
    ask("GET /v1/kv/k HTTP/1.1", "").await;
    ask("GET /healthz HTTP/1.1", "").await;
    ask("DELETE /v1/kv/k HTTP/1.1", OF_READERS).await;
    ask("GET /v1/kv/k HTTP/1.1\r\norigin: http://evil.example", OF_READERS).await;
    ask("GET /v1/kv/k HTTP/1.1\r\nchord-ring-name: other\r\nchord-ring-size: 160", OF_READERS).await;
    ask(&format!("GET /v1/kv/{} HTTP/1.1", "k".repeat(5000)), OF_READERS).await;
    ask("GET /v1/kv/nothing HTTP/1.1", OF_READERS).await;
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    told(&mut stream, "AUTH the-secret-of-nobody\r\nPING\r\n", "-WRONGPASS ").await;
    let metrics = async || ask("GET /metrics HTTP/1.1", OF_READERS).await;
    let counted =
        [("secret", 3), ("role", 1), ("page", 1), ("ring", 1), ("size", 1), ("time", 0), ("form", 0)];
    until("all of them are counted, and no other", async || {
        let told = metrics().await;
        let line = |(why, count): &(&str, u32)| format!("\nchord_refused_total{{why=\"{why}\"}} {count}\n");
        counted.iter().all(|reason| told.contains(&line(reason)))
    })
    .await;
    node.shutdown().await;
}

#[tokio::test]
async fn before_it_gives_a_secret_a_redis_client_can_have_nothing_kept_that_takes_memory() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let long = format!("$5000\r\n{}\r\n", "v".repeat(5000));
    let begin = ["*2\r\n$4\r\nECHO\r\n", "*100\r\n", &"v".repeat(5000)];
    for (n, begin) in begin.into_iter().enumerate() {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let _ = stream.write_all(long.as_bytes()).await; // It may have been refused by then.
        let mut said = String::new();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut said)).await.expect("it ends");
        assert!(said.starts_with("-ERR Protocol error"), "{n}: {said}");
        assert!(said.contains("give a secret by AUTH before"), "{n}: {said}");
    }
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    let logged_in = format!("AUTH {OF_READERS}\r\n*2\r\n$4\r\nECHO\r\n{long}");
    told(&mut stream, &logged_in, &format!("+OK\r\n{long}")).await;
    node.shutdown().await;
}

#[tokio::test]
async fn what_is_told_on_and_on_ends_when_the_secret_that_opened_it_is_gone() {
    let files = Files::new();
    let path = files.all();
    let node = founder(&path).await;
    let mut streams = Vec::new();
    for (request, begins) in [
        (
            format!("GET /v1/watch/k HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {OF_READERS}\r\n\r\n"),
            "HTTP/1.1 200",
        ),
        (
            format!("GET /v1/ring/live HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {OF_READERS}\r\n\r\n"),
            "HTTP/1.1 200",
        ),
        (format!("AUTH {OF_READERS}\r\nSUBSCRIBE __keyspace@0__:k\r\n"), "+OK\r\n*3\r\n$9\r\nsubscribe"),
    ] {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        told(&mut stream, &request, begins).await;
        streams.push(stream);
    }
    let mut stays = TcpStream::connect(node.name().as_str()).await.unwrap();
    told(
        &mut stays,
        &format!("AUTH {OF_WRITERS}\r\nSUBSCRIBE c\r\n"),
        "+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    )
    .await;
    write(&path, &[OF_NODES, &format!("write {OF_WRITERS}")]);
    for mut stream in streams {
        let mut rest = Vec::new();
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it ends").unwrap();
    }
    told(&mut stays, "PING\r\n", "*2\r\n$4\r\npong").await;
    node.shutdown().await;
}

/// Opens with a hello, and reads what is said to it.
async fn hail(node: &NodeName, hello: &Hello) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(node.as_str()).await.unwrap();
    let mut outbox = Outbox::default();
    outbox.open();
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    stream.write_all(outbox.unsent()).await.unwrap();
    let mut opening = [0; OPENING.len()];
    stream.read_exact(&mut opening).await.unwrap();
    let heard = frame(&mut stream).await;
    (stream, heard)
}

/// The kind of the next frame and its content.
async fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let length = stream.read_u32().await.unwrap();
        let mut bytes = vec![0; length as usize];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes.drain(1..5);
        bytes
    };
    tokio::time::timeout(DEADLINE, read).await.expect("an answer in time")
}

fn declined(frame: &[u8]) -> Option<Code> {
    assert_eq!(frame[0], Kind::Declined.number(), "{frame:?}");
    Declined::read(&frame[1..]).unwrap().code
}

#[tokio::test]
async fn a_hello_without_a_challenge_and_a_wrong_proof_are_declined() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let hello = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: None };
    let (_, heard) = hail(node.name(), &hello).await;
    assert_eq!(declined(&heard), Some(Code::NoSecret));
    let hello = Hello { challenge: Some(Challenge([1; PROOF_BYTES])), ..hello };
    let (mut stream, heard) = hail(node.name(), &hello).await;
    assert_eq!(heard[0], Kind::Welcome.number());
    let mut proof = Outbox::default();
    proof.put(Kind::Proof, 0, |to| chord_wire::frame::Proof([2; PROOF_BYTES]).write(to));
    stream.write_all(proof.unsent()).await.unwrap();
    assert_eq!(declined(&frame(&mut stream).await), Some(Code::NoSecret));
    node.shutdown().await;
}

#[tokio::test]
async fn what_is_asked_before_the_proof_is_not_done() {
    let files = Files::new();
    let node = founder(&files.all()).await;
    let challenge = Some(Challenge([1; PROOF_BYTES]));
    let hello = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge };
    let (mut stream, heard) = hail(node.name(), &hello).await;
    assert_eq!(heard[0], Kind::Welcome.number());
    let mut ping = Outbox::default();
    ping.put(Kind::Ping, 1, |to| to.push(0));
    stream.write_all(ping.unsent()).await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it hangs up");
    assert_eq!(rest, b"");
    node.shutdown().await;
}

#[tokio::test]
async fn a_meeting_that_was_listened_to_is_worth_nothing_when_it_is_played_again() {
    let files = Files::new();
    let secrets = files.all();
    let node = founder(&secrets).await;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: NodeName = between.local_addr().unwrap().to_string().parse().unwrap();
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let first = Mutex::new(Some(said.clone()));
    let listens = async {
        loop {
            let (theirs, _) = between.accept().await.unwrap();
            let there = TcpStream::connect(node.name().as_str()).await.unwrap();
            let ((mut from, mut back), (mut from_there, mut to)) = (theirs.into_split(), there.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_there, &mut back).await });
            // What the first connection says is kept.
            let kept = std::mem::take(&mut *first.lock().unwrap());
            tokio::spawn(async move {
                let mut more = Vec::new();
                while from.read_buf(&mut more).await.is_ok_and(|n_bytes| n_bytes > 0) {
                    to.write_all(&more).await.unwrap();
                    if let Some(kept) = &kept {
                        kept.lock().unwrap().append(&mut more);
                    }
                    more.clear();
                }
            });
        }
    };
    let writer = client(&name, &files.file("writers", &[OF_WRITERS]));
    tokio::select! {
        () = listens => {}
        put = operate(&writer, put(b"value")) => assert!(put.is_ok(), "it is let in"),
    }
    let said = said.lock().unwrap().clone();
    let mut again = TcpStream::connect(node.name().as_str()).await.unwrap();
    again.write_all(&said).await.unwrap();
    let mut opening = [0; OPENING.len()];
    again.read_exact(&mut opening).await.unwrap();
    assert_eq!(frame(&mut again).await[0], Kind::Welcome.number());
    assert_eq!(declined(&frame(&mut again).await), Some(Code::NoSecret));
    node.shutdown().await;
}

#[tokio::test]
async fn a_secret_is_changed_while_all_go_on_and_the_old_one_opens_nothing_afterwards() {
    const NEXT: &str = "the-next-secret-of-it";
    let files = Files::new();
    let (one, other) = (files.file("one", &[OF_NODES]), files.file("other", &[OF_NODES]));
    let (old, new) = (files.file("old", &[OF_NODES]), files.file("new", &[NEXT]));
    let first = founder(&one).await;
    let second = joiner(&other, &first).await;
    tokio::time::timeout(DEADLINE, second.ready()).await.expect("it joins").unwrap();
    let kept = client(first.name(), &old);
    operate(&kept, put(b"value")).await.expect("it is let in");
    // Both are valid everywhere, then the new one is what nodes say, then the old one is gone.
    for lines in [[OF_NODES, NEXT], [NEXT, OF_NODES]] {
        for path in [&one, &other] {
            write(path, &lines);
        }
        until("the new one is taken", async || {
            let newcomer = [client(first.name(), &new), client(second.name(), &new)];
            operate(&newcomer[0], Operation::Get).await.is_ok()
                && operate(&newcomer[1], Operation::Get).await.is_ok()
        })
        .await;
        assert!(operate(&kept, put(b"value")).await.is_ok());
    }
    for path in [&one, &other] {
        write(path, &[NEXT]);
    }
    until("the old one opens nothing, also not where it had", async || {
        operate(&kept, Operation::Get).await == Err(Some(Code::NoSecret))
            && operate(&client(second.name(), &old), Operation::Get).await == Err(Some(Code::NoSecret))
    })
    .await;
    let newcomer = client(second.name(), &new);
    until("the ring goes on", async || operate(&newcomer, put(b"other")).await.is_ok()).await;
    assert_eq!(first.view().successors().as_slice().len(), 1, "they know each other");
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn a_number_says_while_what_is_in_the_file_is_not_taken() {
    let files = Files::new();
    let secrets = files.all();
    let good = std::fs::read_to_string(&secrets).unwrap();
    let good: Vec<&str> = good.lines().collect();
    let node = founder(&secrets).await;
    let is_refused = async |told: &str| {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {OF_READERS}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(DEADLINE, read).await.expect("an answer in time").unwrap();
        answer.contains(&format!("\nchord_secrets_refused {told}\n"))
    };
    assert!(is_refused("0").await);
    write(&secrets, &[OF_NODES, "short"]);
    until("it is wrong", async || is_refused("1").await).await;
    write(&secrets, &good);
    until("it is well", async || is_refused("0").await).await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_does_not_start_without_secrets_that_it_was_to_have() {
    let files = Files::new();
    for lines in [&[][..], &["short"], &["read the-secret-of-readers"]] {
        let path = files.file("wrong", lines);
        let started = Node::builder().listen("127.0.0.1:0").secret_file(&path).start().await;
        let Err(error) = started else { panic!("it starts with {lines:?}") };
        assert!(error.to_string().contains("wrong"), "{error}");
    }
    let pipe = files.0.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let started = Node::builder().listen("127.0.0.1:0").secret_file(&pipe).start();
    let started = tokio::time::timeout(DEADLINE, started).await.expect("nobody waits for who writes to it");
    assert!(started.is_err_and(|error| error.to_string().contains("pipe is no file")));
}
