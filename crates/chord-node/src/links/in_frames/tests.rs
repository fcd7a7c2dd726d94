use std::sync::atomic::{AtomicUsize, Ordering};

use chord_ring::{Pong, RingName, RingSize, RingTag};
use chord_wire::frame::{Kind, Outbox, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::links::{Language, Links};
use crate::{Limits, Node};

/// How a peer that says that it speaks frames treats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As a node of before does.
    AnswersInHttp,
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
}

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
            Manner::Never => std::future::pending().await,
            Manner::Nonsense | Manner::Breaks if is_hello => {
                let copies = Copies { replicas: 3, write_quorum: None };
                let welcome =
                    Welcome { version: 1, name: name.clone(), ring: ring(), is_member: true, copies };
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
    (me.clone(), Links::new(me, ring(), copies, Limits::default(), Language::Http))
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
    assert!(lock(&link.frames.spoken).met.is_some(), "they were spoken");
    node.shutdown().await;
}
