//! Attempts at a write: which version the owner is told with each, and what the client hears in the end.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::replication::{Change, Condition, Operation, OperationError as Unable, Outcome, Proposal};
use chord_kv::{ClockAhead, Version};
use chord_node::{Limits, Node, OperationError};
use chord_ring::{NodeName, RingSize, between};
use chord_wire::replica::{DataAnswer, DataRequest, Operate, ReplicaLimits, decode_request, encode_answer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const LIMITS: ReplicaLimits = ReplicaLimits { size: RingSize::DEFAULT, value_bytes: 1000 };

/// What an owner makes of an operation.
#[derive(Clone, Debug)]
enum Says {
    Done,
    Refuses(Unable),
    /// It closes the connection.
    Nothing,
    /// It closes the connection, and takes no other.
    Vanishes,
}

/// A member that owns every key and answers operations as it is told.
struct Owner {
    name: NodeName,
    asked: Arc<Mutex<Vec<Operate>>>,
}

impl Owner {
    async fn start(says: &[Says]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked = Arc::default();
        let says = Arc::new(Mutex::new(says.iter().cloned().collect()));
        let (vanish, mut orders) = mpsc::channel::<oneshot::Sender<()>>(1);
        let serving = Serving { name: name.clone(), asked: Arc::clone(&asked), says, vanish };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let serving = serving.clone();
                        tokio::spawn(async move { serving.serve(BufReader::new(stream)).await });
                    }
                    Some(done) = orders.recv() => {
                        drop(listener);
                        return done.send(()).unwrap();
                    }
                }
            }
        });
        Self { name, asked }
    }

    /// The version that was proposed with each operation, if one was.
    fn versions(&self) -> Vec<Option<Version>> {
        let proposed = |asked: &Operate| match asked.proposal {
            Proposal::Version(version) => Some(version),
            Proposal::LeftToOwner | Proposal::Soon(_) => None,
        };
        self.asked.lock().unwrap().iter().map(proposed).collect()
    }
}

/// How one connection to an owner is served.
#[derive(Clone)]
struct Serving {
    name: NodeName,
    asked: Arc<Mutex<Vec<Operate>>>,
    says: Arc<Mutex<VecDeque<Says>>>,
    vanish: mpsc::Sender<oneshot::Sender<()>>,
}

impl Serving {
    async fn serve(&self, mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
        while let Some((path, body)) = read_request(&mut stream).await? {
            let name = &self.name;
            let answer = match path.as_str() {
                "/node" => format!(r#"{{"node": "{name}", "is_alive": true}}"#).into_bytes(),
                "/find_successor" => format!(r#"{{"node": "{name}", "hops": 0}}"#).into_bytes(),
                "/get_successor_list" => br#"{"successor_list": []}"#.to_vec(),
                "/get_predecessor" => br#"{"node": null}"#.to_vec(),
                "/replica" => match self.operate(&body).await {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
                _ => b"{}".to_vec(),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nchord-ring-name: chord\r\nchord-ring-size: 160\r\nchord-from: {name}\r\n\
                 chord-predecessor: none\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), &answer].concat()).await?;
        }
        Ok(())
    }

    /// The answer to a request about records; `None` closes the connection.
    async fn operate(&self, body: &[u8]) -> Option<Vec<u8>> {
        let DataRequest::Operate(operate) = decode_request(body, &LIMITS).unwrap() else { return None };
        self.asked.lock().unwrap().push(operate);
        let says = self.says.lock().unwrap().pop_front().unwrap_or(Says::Done);
        let result = match says {
            Says::Done => Ok(Outcome { copies: 1, ..Outcome::default() }),
            Says::Refuses(error) => Err(error),
            Says::Nothing => return None,
            Says::Vanishes => {
                let (done, is_done) = oneshot::channel();
                self.vanish.send(done).await.unwrap();
                is_done.await.unwrap();
                return None;
            }
        };
        Some(encode_answer(&DataAnswer::Operated(result)))
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((path, body)))
}

/// A node beside that owner, and a key of the owner.
async fn node_beside(owner: &Owner) -> (Node, String) {
    let limits = Limits { operation: Duration::from_secs(2), ..Limits::default() };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    node.join(owner.name.clone()).await.unwrap();
    let position = |text: &str| RingSize::DEFAULT.position_of(text.as_bytes());
    let (from, to) = (position(node.name().as_str()), position(owner.name.as_str()));
    let mut keys = (0..).map(|idx| format!("key{idx}"));
    let key = keys.find(|key| between(from, position(key), to)).unwrap();
    (node, key)
}

/// Puts a key of that owner through a node beside it.
async fn put_beside(owner: &Owner) -> Result<chord_node::Stored, OperationError> {
    let (node, key) = node_beside(owner).await;
    node.put(key.as_bytes(), b"value").await
}

/// How the answer begins that a client of such a node has to this, where `KEY` is a key of the owner.
async fn told_beside(owner: &Owner, request: &str) -> String {
    let (node, key) = node_beside(owner).await;
    let mut stream = BufReader::new(TcpStream::connect(node.name().as_str()).await.unwrap());
    stream.write_all(request.replace("KEY", &key).as_bytes()).await.unwrap();
    let mut line = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_line(&mut line)).await.unwrap().unwrap();
    line
}

#[tokio::test]
async fn what_was_there_before_a_write_that_was_sent_twice_is_not_said_to_be_nothing() {
    let commands = ["GETSET KEY v\r\n", "SET KEY v GET\r\n", "GETDEL KEY\r\n"];
    for command in commands {
        let once = told_beside(&Owner::start(&[Says::Done]).await, command).await;
        assert_eq!(once, "$-1\r\n", "{command}");
        let twice = told_beside(&Owner::start(&[Says::Nothing, Says::Done]).await, command).await;
        assert!(twice.starts_with("-UNCERTAIN the change is made"), "{command} {twice}");
    }
    let put = "PUT /v1/kv/KEY HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    for (says, status) in [(&[Says::Done][..], 201), (&[Says::Nothing, Says::Done], 200)] {
        let line = told_beside(&Owner::start(says).await, put).await;
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{says:?} {line}");
    }
}

#[tokio::test]
async fn what_set_tells_that_was_there_is_what_it_was_decided_by() {
    let gone = Says::Refuses(Unable::ConditionFailed { found: None });
    let owner = Owner::start(&[Says::Done, gone, Says::Done, Says::Done]).await;
    assert_eq!(told_beside(&owner, "SET KEY v NX GET\r\n").await, "$-1\r\n");
    let asked: Vec<Operation> = owner.asked.lock().unwrap().drain(..).map(|asked| asked.operation).collect();
    let sets = |operation: &Operation| {
        matches!(operation, Operation::Change { condition: Condition::Absent, change: Change::Set(_), .. })
    };
    let tries = asked.chunks(2).filter(|two| two[0] == Operation::Get && sets(&two[1])).count();
    assert_eq!((asked.len(), tries), (4, 2), "{asked:?}");
    let owner = Owner::start(&[Says::Done]).await;
    assert_eq!(told_beside(&owner, "SET KEY v XX GET\r\n").await, "$-1\r\n");
    assert_eq!(owner.asked.lock().unwrap().len(), 1, "nothing is there to be replaced");
}

fn outdated(stored: &str) -> Says {
    Says::Refuses(Unable::Outdated { stored: stored.parse().unwrap() })
}

#[tokio::test]
async fn a_write_that_is_outdated_is_sent_again_with_a_version_that_is_newer() {
    // Beyond what is stored now, and within what is believed of a clock that is ahead.
    let ahead_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() + 30_000;
    let stored = format!("{ahead_ms}.5.3");
    let owner = Owner::start(&[outdated(&stored)]).await;
    put_beside(&owner).await.unwrap();
    let versions: Vec<Version> = owner.versions().into_iter().map(Option::unwrap).collect();
    let stored: Version = stored.parse().unwrap();
    assert!(versions.len() == 2 && versions[0] < stored && versions[1] > stored, "{versions:?}");
}

#[tokio::test]
async fn over_a_version_from_the_far_future_the_owner_decides() {
    let owner = Owner::start(&[outdated("281474976710000.5.3")]).await;
    put_beside(&owner).await.unwrap();
    let versions = owner.versions();
    assert!(versions.len() == 2 && versions[0].is_some() && versions[1].is_none(), "{versions:?}");
}

#[tokio::test]
async fn all_attempts_at_a_write_have_one_version_and_one_without_an_answer_is_not_outdone() {
    let owner = Owner::start(&[Says::Nothing, Says::Nothing, outdated("281474976710000.5.3")]).await;
    let error = put_beside(&owner).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    let versions = owner.versions();
    assert!(versions.len() >= 3 && versions[0].is_some(), "{versions:?}");
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
}

#[tokio::test]
async fn a_write_of_a_node_whose_clock_is_ahead_gets_its_version_from_the_owner() {
    let owner = Owner::start(&[Says::Refuses(ClockAhead { ahead_ms: 100_000 }.into())]).await;
    put_beside(&owner).await.unwrap();
    let versions = owner.versions();
    assert!(versions.len() == 2 && versions[0].is_some() && versions[1].is_none(), "{versions:?}");
}

#[tokio::test]
async fn a_write_that_the_owner_read_before_it_died_may_have_happened() {
    let owner = Owner::start(&[Says::Vanishes]).await;
    let put = put_beside(&owner).await;
    let versions = owner.versions();
    assert!(versions[0].is_some() && versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    // The node that is left takes the range over, and then writes it itself, if the time is enough for that.
    assert!(put.as_ref().err().is_none_or(OperationError::may_have_happened), "{put:?}");
}

#[tokio::test]
async fn a_write_without_a_version_is_not_tried_again_when_it_may_have_happened() {
    let ahead = Says::Refuses(ClockAhead { ahead_ms: 100_000 }.into());
    let owner = Owner::start(&[ahead, Says::Nothing]).await;
    let error = put_beside(&owner).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    let versions = owner.versions();
    assert!(versions.len() == 2 && versions[0].is_some() && versions[1].is_none(), "{versions:?}");
}

#[tokio::test]
async fn what_an_owner_refuses_is_told_in_its_words() {
    let refused = Unable::ConditionFailed { found: Some(Version::new(1, 2, 3.into())) };
    let owner = Owner::start(&[Says::Refuses(refused.clone())]).await;
    assert_eq!(put_beside(&owner).await.unwrap_err(), OperationError::Data(refused));
    let operation = owner.asked.lock().unwrap().pop().unwrap().operation;
    assert!(
        matches!(operation, Operation::Change { condition: Condition::Always, .. }),
        "a put has no condition of its own: {operation:?}"
    );
}

#[tokio::test]
async fn who_writes_where_copies_are_missing_hears_how_many_whoever_owns_the_key() {
    let limits = Limits { operation: Duration::from_secs(2), ..Limits::default() };
    let start = || Node::builder().listen("127.0.0.1:0").limits(limits.clone()).replicas(3).write_quorum(3);
    let first = start().start().await.unwrap();
    let second = start().join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), second.ready()).await.unwrap().unwrap();
    let puts = (0..20).map(|idx| {
        let first = &first;
        async move { first.put(format!("key{idx}").as_bytes(), b"value").await.unwrap_err() }
    });
    let errors = futures_util::future::join_all(puts).await;
    for error in errors {
        let OperationError::Data(Unable::TooFewCopies { copies, wanted: 3 }) = error else {
            panic!("{error}");
        };
        assert!((1..3).contains(&copies), "{copies}");
    }
}
