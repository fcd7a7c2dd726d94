//! Versions on their way: proposed once by the node that takes a put, and decided by the owner.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chord_node::{Limits, Node, OperationError};
use chord_ring::{NodeName, RingSize, between, is_ideal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const DEADLINE: Duration = Duration::from_secs(10);

/// Headers that begin with this are ours.
const PREFIX: &str = "chord-";

type Headers = Vec<(String, String)>;

/// A request or an answer: its first line and the headers of ours.
#[derive(Clone, Debug)]
struct Message {
    line: String,
    headers: Headers,
}

impl Message {
    async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Self>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let (mut headers, mut length) = (Headers::new(), 0);
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            let name = name.to_ascii_lowercase();
            if name == "content-length" {
                length = value.parse().unwrap();
            } else if name.starts_with(PREFIX) {
                headers.push((name, value.to_owned()));
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok(Some(Self { line, headers }))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Sends one put with headers of ours.
async fn put(node: &Node, headers: &[(&str, &str)], key: &str, value: &str, no_redirect: bool) -> Message {
    let body = format!(r#"{{"key": "{key}", "value": "{value}", "no_redirect": {no_redirect}}}"#);
    let mut request = "POST /put HTTP/1.1\r\nhost: x\r\n".to_owned();
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    write!(request, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(node.name().as_str()).await.unwrap());
        stream.write_all(request.as_bytes()).await.unwrap();
        Message::read(&mut stream).await.unwrap().unwrap()
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

async fn founder() -> Node {
    Node::builder().listen("127.0.0.1:0").start().await.unwrap()
}

async fn pair() -> [Node; 2] {
    let first = founder().await;
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
    until_ideal(&[&first, &second]).await;
    [first, second]
}

async fn until_ideal(nodes: &[&Node]) {
    let ideal = async {
        loop {
            let views: Vec<_> = nodes.iter().map(|node| node.view()).collect();
            if is_ideal(views.iter().map(AsRef::as_ref)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ideal).await.expect("an ideal ring");
}

fn position(text: &str) -> chord_ring::Position {
    RingSize::DEFAULT.position_of(text.as_bytes())
}

/// A key that lies between these two, so that the second owns it.
fn key_between(from: &NodeName, to: &NodeName) -> String {
    let (from, to) = (position(from.as_str()), position(to.as_str()));
    let mut keys = (0..).map(|idx| format!("key{idx}"));
    keys.find(|key| between(from, position(key), to)).unwrap()
}

async fn read(node: &Node, key: &str) -> String {
    let value = node.get(key.as_bytes()).await.unwrap().value.unwrap();
    String::from_utf8(value.as_bytes().to_vec()).unwrap()
}

fn ms_from_now(ahead: Duration) -> u128 {
    (SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + ahead).as_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_comes_late_or_twice_changes_nothing_and_hears_what_is_newer() {
    let [first, second] = pair().await;
    let key = key_between(first.name(), second.name());
    // At the owner, and by way of the other.
    for (idx, node) in [&second, &first].into_iter().enumerate() {
        let [old, new] = [1, 2].map(|time| format!("{time}.{idx}.7"));
        let old = [("chord-version", old.as_str())];
        let new = [("chord-version", new.as_str())];
        assert_eq!(put(node, &new, &key, "new", false).await.status(), 200);
        let late = put(node, &old, &key, "old", false).await;
        assert_eq!(late.status(), 409, "{late:?}");
        assert_eq!(
            (late.header("chord-error"), late.header("chord-version")),
            (Some("outdated"), Some(new[0].1))
        );
        assert_eq!(put(node, &new, &key, "new", false).await.status(), 200, "the same write again is done");
        assert_eq!(read(&first, &key).await, "new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_newer_than_what_is_there_though_its_node_has_a_clock_that_lags() {
    let [first, second] = pair().await;
    let key = key_between(first.name(), second.name());
    for node in [&first, &second] {
        let ahead = format!("{}.0.7", ms_from_now(Duration::from_secs(30)));
        assert_eq!(
            put(&second, &[("chord-version", ahead.as_str())], &key, "from ahead", false).await.status(),
            200
        );
        node.put(key.as_bytes(), b"later").await.unwrap();
        assert_eq!(read(&first, &key).await, "later");
    }
}

#[tokio::test]
async fn a_version_that_nobody_believes_is_refused_and_the_key_stays_writable() {
    let node = founder().await;
    let wild = version_ahead();
    let refused = put(&node, &[("chord-version", wild.as_str())], "key", "wild", false).await;
    assert_eq!((refused.status(), refused.header("chord-error")), (400, Some("clock-ahead")));
    node.put(b"key", b"value").await.unwrap();
    assert_eq!(read(&node, "key").await, "value");
}

/// A version from a clock that is an hour ahead.
fn version_ahead() -> String {
    format!("{}.0.7", ms_from_now(Duration::from_secs(3600)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_by_a_clock_that_is_ahead_moves_with_its_range_and_can_be_written_again() {
    let [first, second] = pair().await;
    let keys: Vec<String> = (0..20).map(|idx| format!("key{idx}")).collect();
    let ahead = version_ahead();
    for key in &keys {
        // As the heir of a node whose clock is ahead.
        assert_eq!(put(&first, &[("chord-version", &ahead)], key, "copied", true).await.status(), 200);
    }
    let third = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
    until_ideal(&[&first, &second, &third]).await;
    for leaver in [first, second] {
        let departure = leaver.shutdown().await;
        assert_eq!(departure.left_behind, 0, "{departure:?}");
    }
    for key in &keys {
        assert_eq!(read(&third, key).await, "copied");
        third.put(key.as_bytes(), b"written").await.unwrap();
        assert_eq!(read(&third, key).await, "written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_reads_what_was_written_by_a_clock_that_is_ahead() {
    let first = founder().await;
    let keys: Vec<String> = (0..20).map(|idx| format!("key{idx}")).collect();
    let ahead = version_ahead();
    for key in &keys {
        assert_eq!(put(&first, &[("chord-version", &ahead)], key, "copied", true).await.status(), 200);
    }
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
    second.ready().await.unwrap();
    for key in &keys {
        assert_eq!(read(&second, key).await, "copied");
    }
}

#[tokio::test]
async fn a_record_of_unknown_age_counts_only_where_nothing_else_is() {
    let node = founder().await;
    for value in ["first", "second"] {
        assert_eq!(put(&node, &[], "given", value, true).await.status(), 200);
        assert_eq!(read(&node, "given").await, value);
    }
    node.put(b"written", b"value").await.unwrap();
    assert_eq!(
        put(&node, &[], "written", "old copy", true).await.status(),
        200,
        "its sender is done with it"
    );
    assert_eq!(read(&node, "written").await, "value");
    node.put(b"given", b"value").await.unwrap();
    assert_eq!(read(&node, "given").await, "value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_a_record_for_its_own_only_if_it_may_answer_for_it() {
    let [first, second] = pair().await;
    let key = key_between(first.name(), second.name());
    let for_owner = [("chord-version", "1.0.7"), ("chord-named", "1")];
    second.get(key.as_bytes()).await.unwrap(); // Now it answers for its range.
    let refused = put(&first, &for_owner, &key, "value", true).await;
    assert_eq!((refused.status(), refused.header("chord-error")), (503, Some("no-route")));
    let taken = async {
        // The other one may not have vouched yet.
        while put(&second, &for_owner, &key, "value", true).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("the owner takes it");
    assert_eq!(
        put(&first, &for_owner[..1], &key, "value", true).await.status(),
        200,
        "as the heir of a leaver"
    );
}

/// What an owner says to a put.
#[derive(Clone, Copy)]
enum Says {
    Done,
    Outdated(&'static str),
    ClockAhead,
    /// It closes the connection.
    Nothing,
    /// It closes the connection, and takes no other.
    Vanishes,
}

/// A member that owns every key, speaks as a seed node does otherwise, and answers puts as it is told.
struct Owner {
    name: NodeName,
    puts: Arc<Mutex<Vec<Message>>>,
}

impl Owner {
    async fn start(says: &[Says]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
        let owner = Self { name: name.clone(), puts: Arc::default() };
        let (puts, says) = (owner.puts.clone(), Arc::new(Mutex::new(says.iter().copied().collect())));
        let (vanish, mut orders) = mpsc::channel::<oneshot::Sender<()>>(1);
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    Ok((stream, _)) = listener.accept() => stream,
                    Some(done) = orders.recv() => {
                        drop(listener);
                        return done.send(()).unwrap();
                    }
                };
                let (name, puts, says, vanish) = (name.clone(), puts.clone(), says.clone(), vanish.clone());
                tokio::spawn(
                    async move { serve(&name, &puts, &says, &vanish, BufReader::new(stream)).await },
                );
            }
        });
        owner
    }

    fn versions(&self) -> Vec<Option<chord_kv::Version>> {
        let puts = self.puts.lock().unwrap();
        puts.iter().map(|put| put.header("chord-version").map(|version| version.parse().unwrap())).collect()
    }
}

async fn serve(
    name: &NodeName,
    puts: &Mutex<Vec<Message>>,
    says: &Mutex<VecDeque<Says>>,
    vanish: &mpsc::Sender<oneshot::Sender<()>>,
    mut stream: BufReader<TcpStream>,
) -> std::io::Result<()> {
    while let Some(request) = Message::read(&mut stream).await? {
        let mut error = None;
        let body = match request.line.split(' ').nth(1).unwrap() {
            "/node" => format!(r#"{{"node": "{name}", "is_alive": true}}"#),
            "/find_successor" => format!(r#"{{"node": "{name}", "hops": 0}}"#),
            "/get_predecessor" => r#"{"node": null}"#.to_owned(),
            "/get_successor_list" => {
                let list = vec![format!("\"{name}\""); 160].join(", ");
                format!(r#"{{"successor_list": [{list}]}}"#)
            }
            "/put" => {
                puts.lock().unwrap().push(request);
                let said = says.lock().unwrap().pop_front();
                match said.unwrap_or(Says::Done) {
                    Says::Done => {}
                    Says::Outdated(stored) => {
                        error = Some(format!("chord-error: outdated\r\nchord-version: {stored}\r\n"));
                    }
                    Says::ClockAhead => error = Some("chord-error: clock-ahead\r\n".to_owned()),
                    Says::Nothing => return Ok(()),
                    Says::Vanishes => {
                        let (done, is_done) = oneshot::channel();
                        vanish.send(done).await.unwrap();
                        is_done.await.unwrap();
                        return Ok(());
                    }
                }
                format!(r#"{{"storage_node": "{name}", "hops": 0}}"#)
            }
            _ => "{}".to_owned(),
        };
        let (status, body) = if error.is_some() {
            ("409 Conflict", r#"{"error": "no"}"#.to_owned())
        } else {
            ("200 OK", body)
        };
        let (headers, length) = (error.unwrap_or_default(), body.len());
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// A node beside that owner.
async fn beside(owner: &Owner) -> Node {
    let limits = Limits { operation: Duration::from_secs(2), ..Limits::default() };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    node.join(owner.name.clone()).await.unwrap();
    node
}

/// Puts a key of that owner through a node beside it.
async fn put_beside(owner: &Owner) -> Result<chord_node::Stored, OperationError> {
    let node = beside(owner).await;
    node.put(key_between(node.name(), &owner.name).as_bytes(), b"value").await
}

#[tokio::test]
async fn a_write_that_is_outdated_is_sent_again_with_a_version_that_is_newer() {
    let stored = "1.2.3";
    let owner = Owner::start(&[Says::Outdated("281474976710000.5.3"), Says::Outdated(stored)]).await;
    put_beside(&owner).await.unwrap();
    let versions: Vec<_> = owner.versions().into_iter().map(Option::unwrap).collect();
    assert_eq!(versions.len(), 3);
    let wild = "281474976710000.5.3".parse().unwrap();
    assert!(versions[0] < wild && versions[1] > wild, "{versions:?}");
    assert!(versions[2] > versions[0] && versions[2] < wild, "the clock has not followed it: {versions:?}");
}

#[tokio::test]
async fn all_attempts_at_a_write_have_one_version_and_one_without_an_answer_is_not_outdone() {
    let owner = Owner::start(&[Says::Nothing, Says::Nothing, Says::Outdated("281474976710000.5.3")]).await;
    let error = put_beside(&owner).await.unwrap_err();
    assert_eq!(error, OperationError::Deadline, "it may have happened");
    let versions = owner.versions();
    assert!(versions.len() >= 3 && versions[0].is_some(), "{versions:?}");
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
}

#[tokio::test]
async fn a_write_of_a_node_whose_clock_is_ahead_gets_its_version_from_the_owner() {
    let owner = Owner::start(&[Says::ClockAhead]).await;
    put_beside(&owner).await.unwrap();
    let versions = owner.versions();
    assert!(versions.len() == 2 && versions[0].is_some() && versions[1].is_none(), "{versions:?}");
}

#[tokio::test]
async fn a_write_that_the_owner_read_before_it_died_may_have_happened() {
    let owner = Owner::start(&[Says::Vanishes]).await;
    let node = beside(&owner).await;
    let key = key_between(node.name(), &owner.name);
    // On its way through the node, which tries no other.
    let passing = [("chord-path", "127.0.0.1:1"), ("chord-version", "1.0.7")];
    let answer = put(&node, &passing, &key, "value", false).await;
    assert_eq!(owner.versions().len(), 1, "it was read");
    assert_eq!((answer.status(), answer.header("chord-error")), (504, Some("deadline")), "{answer:?}");
}

#[tokio::test]
async fn a_write_without_a_version_is_not_tried_again_when_it_may_have_happened() {
    let owner = Owner::start(&[Says::ClockAhead, Says::Nothing]).await;
    let error = put_beside(&owner).await.unwrap_err();
    assert_eq!(error, OperationError::Deadline, "it may have happened");
    let versions = owner.versions();
    assert!(versions.len() == 2 && versions[0].is_some() && versions[1].is_none(), "{versions:?}");
}
