use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chord_kv::replication::PeerRequest;
use chord_ring::{Pong, RingName, RingSize, RingTag, SUSPECT_FOR, budget_onward};
use chord_wire::Copies;
use chord_wire::frame::{Kind, Outbox, VERSIONS, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::links::peer::{DEADLINE, Peer};
use crate::links::spoken::{BREAKS_MAX, PAUSE_MIN};
use crate::links::{Language, Links};
use crate::{Limits, Node};

/// How a peer that says that it speaks frames treats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As a node of before does.
    AnswersInHttp,
    /// The same, after a while.
    AnswersInHttpLate,
    Closes,
    Never,
    /// With a welcome, and then with nonsense.
    Nonsense,
    /// With a welcome, and closes at the first request.
    Breaks,
}

/// What a peer has seen.
#[derive(Default)]
struct Seen {
    http: AtomicUsize,
    frames: AtomicUsize,
    /// For how long the last request by HTTP said that somebody waits; 0 if it said nothing.
    deadline_ms: AtomicUsize,
}

/// How long a late one takes.
const LATE: Duration = Duration::from_millis(300);

async fn peer(manner: Manner) -> (NodeName, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
    let seen = Arc::new(Seen::default());
    let (accepting, counting) = (name.clone(), seen.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, manner, accepting.clone(), counting.clone()));
        }
    });
    (name, seen)
}

async fn serve(mut stream: TcpStream, manner: Manner, name: NodeName, seen: Arc<Seen>) {
    let mut chunk = vec![0; 4096];
    while let Ok(n_bytes @ 1..) = stream.read(&mut chunk).await {
        if chunk.starts_with(b"POST") {
            seen.http.fetch_add(1, Ordering::SeqCst);
            let head = String::from_utf8_lossy(&chunk[..n_bytes]);
            let deadline = head.lines().find_map(|line| line.strip_prefix("chord-deadline-ms: "));
            seen.deadline_ms.store(deadline.map_or(0, |ms| ms.parse().unwrap()), Ordering::SeqCst);
            let body = format!(r#"{{"node": "{name}", "is_alive": true}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nchord-ring-name: chord\r\nchord-ring-size: 160\r\nchord-frames: 1-1\r\n\
                 chord-member: 1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            continue;
        }
        let is_hello = chunk[..n_bytes].starts_with(&frame::OPENING);
        if is_hello {
            seen.frames.fetch_add(1, Ordering::SeqCst);
        }
        match manner {
            Manner::AnswersInHttp => drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await),
            Manner::AnswersInHttpLate => {
                tokio::time::sleep(LATE).await;
                drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
            }
            Manner::Never => std::future::pending().await,
            Manner::Nonsense | Manner::Breaks if is_hello => {
                let copies = Copies { replicas: 3, write_quorum: None };
                let welcome = Welcome {
                    version: 1,
                    name: name.clone(),
                    ring: ring(),
                    is_member: true,
                    copies,
                    challenge: None,
                };
                let mut outbox = Outbox::default();
                outbox.open();
                outbox.put(Kind::Welcome, 0, |to| welcome.write(to));
                stream.write_all(outbox.unsent()).await.unwrap();
                continue;
            }
            Manner::Nonsense => drop(stream.write_all(&[0xff; 64]).await),
            Manner::Closes | Manner::Breaks => {}
        }
        return;
    }
}

fn ring() -> RingTag {
    RingTag { name: RingName::default(), size: RingSize::DEFAULT }
}

fn links() -> (NodeName, Links) {
    let me: NodeName = "127.0.0.1:1".parse().unwrap();
    let copies = Copies { replicas: 3, write_quorum: None };
    (me.clone(), Links::new(me, ring(), copies, Limits::default(), Language::Http, None, None))
}

#[tokio::test]
async fn a_peer_whose_frames_are_broken_stays_within_reach() {
    for manner in [Manner::AnswersInHttp, Manner::Closes, Manner::Never, Manner::Nonsense, Manner::Breaks] {
        let (name, seen) = peer(manner).await;
        let (me, links) = links();
        let asker = Asker { me: &me, links: &links };
        let mut answers = Vec::new();
        for _ in 0..BREAKS_MAX + 3 {
            let answer = asker.ask(&name, RingRequest::Ping, Limits::default().request).await;
            answers.push(matches!(answer, Ok(Answer::Pong(Pong { member: true, .. }))));
        }
        assert_eq!((answers.first(), answers.last()), (Some(&true), Some(&true)), "{manner:?}");
        let n_failed = answers.iter().filter(|is_pong| !**is_pong).count();
        let at_once = matches!(manner, Manner::AnswersInHttp | Manner::Nonsense);
        assert!(n_failed <= if at_once { 0 } else { BREAKS_MAX as usize }, "{manner:?}: {answers:?}");
        assert!(seen.frames.load(Ordering::SeqCst) > 0, "{manner:?}: they were tried");
    }
}

#[tokio::test]
async fn frames_are_tried_again_when_the_peer_says_anew_that_it_speaks_them_and_not_before_a_pause() {
    let (name, seen) = peer(Manner::AnswersInHttp).await;
    let (me, links) = links();
    let asker = Asker { me: &me, links: &links };
    let ping = || asker.ask(&name, RingRequest::Ping, Limits::default().request);
    ping().await.unwrap();
    let tried = Instant::now();
    ping().await.unwrap();
    assert_eq!(seen.frames.load(Ordering::SeqCst), 1);
    let again = async {
        while seen.frames.load(Ordering::SeqCst) == 1 {
            ping().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(10 * PAUSE_MIN, again).await.expect("they are tried again");
    assert!(tried.elapsed() >= PAUSE_MIN);
}

#[tokio::test]
async fn after_the_first_contact_our_nodes_speak_frames() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let (me, links) = links();
    let asker = Asker { me: &me, links: &links };
    let link = links.to(node.name());
    assert!(!link.frames.may_ask(), "nothing is known of it");
    for _ in 0..3 {
        let budget = Limits::default().request;
        let Ok(Answer::Pong(pong)) = asker.ask(node.name(), RingRequest::Ping, budget).await else {
            panic!("no pong")
        };
        assert_eq!((&pong.peer.name, pong.member, pong.ring), (node.name(), true, Some(ring())));
        assert!(link.frames.may_ask());
    }
    assert!(lock(&link.met).is_some(), "they were spoken");
    node.shutdown().await;
}

#[tokio::test]
async fn what_was_tried_in_frames_is_taken_off_the_time_that_is_left_for_http() {
    let (name, seen) = peer(Manner::AnswersInHttpLate).await;
    let (me, links) = links();
    let asker = Asker { me: &me, links: &links };
    let to = chord_ring::Peer::of_name(name, RingSize::DEFAULT);
    // What it answers makes no sense, which is nobody's concern here.
    let _ = asker.ask_about_records(&to, PeerRequest::Vouch).await;
    assert_eq!(seen.frames.load(Ordering::SeqCst), 1, "they were tried");
    let said = seen.deadline_ms.load(Ordering::SeqCst);
    let most = budget_onward(Limits::default().request.saturating_sub(LATE)).as_millis();
    assert!(said > 0 && said as u128 <= most, "{said} ms of {most}");
}

#[tokio::test]
async fn a_node_that_has_stopped_keeps_no_connection_though_somebody_has_it_still() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let peer = Peer::new().await;
    let link = node.shared().links.to(&peer.name);
    link.frames.told(VERSIONS);
    let peers_part = async {
        let mut served = peer.welcome().await;
        let (_, id) = served.hear().await.expect("a request");
        served.refuse(id, "no").await;
        served
    };
    let (mut served, asked) = tokio::join!(peers_part, link.ask_by_itself(RingRequest::Ping));
    assert!(asked.is_ok_and(|heard| heard.is_some()));
    node.shutdown().await;
    let end = tokio::time::timeout(DEADLINE, served.hear()).await;
    assert_eq!(end.expect("closed in time"), None);
    for link in [link, node.shared().links.to(&"127.0.0.1:1".parse().unwrap())] {
        link.frames.told(VERSIONS);
        assert!(link.ask_by_itself(RingRequest::Ping).await.is_err(), "nothing is asked any more");
    }
}

#[tokio::test]
async fn a_peer_that_failed_is_gone_round_until_it_has_answered_a_ping() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute: NodeName = mute.local_addr().map(|at| at.to_string().parse().unwrap()).unwrap();
    let (_, links) = links();
    for name in [node.name(), &mute] {
        assert!(!links.is_suspect(name));
        links.to(name).gave_up();
    }
    let failed = Instant::now();
    let answers = async {
        while links.is_suspect(node.name()) {
            assert!(links.is_suspect(&mute));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, answers).await.expect("it is pinged, and answers");
    assert!(failed.elapsed() >= SUSPECT_FOR && links.is_suspect(&mute));
    node.shutdown().await;
}

#[test]
fn a_question_about_records_takes_little_memory_while_it_waits() {
    let (me, links) = links();
    let asker = Asker { me: &me, links: &links };
    let to = chord_ring::Peer::of_name(me.clone(), RingSize::DEFAULT);
    let n_bytes = size_of_val(&asker.ask_about_records(&to, PeerRequest::Vouch));
    assert!(n_bytes <= 4096, "{n_bytes} bytes");
}
