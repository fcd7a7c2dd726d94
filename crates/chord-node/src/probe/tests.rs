use chord_ring::{Found, NodeName, RingSize, State, is_ideal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Node;

const DEADLINE: Duration = Duration::from_secs(20);

fn peer(name: &str) -> Peer {
    Peer::of_name(name.parse().unwrap(), RingSize::DEFAULT)
}

fn found(owner: &str) -> Answer {
    Answer::Found(Found { owner: peer(owner), hops: 1, path: Vec::new(), after: None, took: Vec::new() })
}

fn state(of: &str, predecessor: Option<&str>, successors: &[&str]) -> Answer {
    let successors = successors.iter().map(|name| peer(name)).collect();
    Answer::State(State { peer: peer(of), predecessor: predecessor.map(peer), successors, ring_size: None })
}

#[test]
fn only_who_names_another_in_this_nodes_place_contradicts_it() {
    const ME: &str = "127.0.0.1:1";
    const OTHER: &str = "127.0.0.1:2";
    const THIRD: &str = "127.0.0.1:3";
    let cases = [
        (Check::Found, Ok(found(ME)), Said::Agrees),
        (Check::Found, Ok(found(OTHER)), Said::Contradicts),
        (Check::Found, Ok(state(OTHER, Some(ME), &[ME])), Said::Unanswered),
        (Check::Found, Err(Failure::Silent), Said::Unanswered),
        (Check::Found, Err(Failure::Garbled), Said::Unanswered),
        (Check::Successor, Ok(state(OTHER, Some(ME), &[])), Said::Agrees),
        (Check::Successor, Ok(state(OTHER, Some(THIRD), &[ME])), Said::Contradicts),
        (Check::Successor, Ok(state(OTHER, None, &[ME])), Said::Unanswered),
        (Check::Successor, Ok(state(THIRD, Some(THIRD), &[])), Said::Unanswered),
        (Check::Predecessor, Ok(state(OTHER, None, &[ME, THIRD])), Said::Agrees),
        (Check::Predecessor, Ok(state(OTHER, Some(ME), &[THIRD, ME])), Said::Contradicts),
        (Check::Predecessor, Ok(state(OTHER, Some(ME), &[])), Said::Contradicts),
    ];
    for (check, answer, said) in cases {
        let words = format!("{check:?} {answer:?}");
        assert_eq!(judge(&peer(ME), check, &peer(OTHER), answer), said, "{words}");
    }
}

#[tokio::test]
async fn a_node_that_others_do_not_find_is_not_ready_until_one_does() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let shared = node.shared();
    tokio::time::timeout(DEADLINE, async {
        while shared.readiness().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it is ready");
    shared.probe.note(Check::Found, Said::Contradicts);
    assert!(shared.probe.is_doubtful(Check::Found) && shared.readiness().is_ok(), "once is no proof");
    shared.probe.note(Check::Found, Said::Unanswered);
    shared.probe.note(Check::Found, Said::Contradicts);
    assert!(shared.readiness().unwrap_err().starts_with("other nodes find another one"));
    assert_eq!(shared.contradictions(), [true, false, false, false]);
    shared.probe.note(Check::Successor, Said::Contradicts);
    shared.probe.note(Check::Successor, Said::Contradicts);
    let health = shared.healthy().await;
    let codes: Vec<_> = health.reasons.iter().map(|reason| reason.code).collect();
    assert!(health.ok, "what others say is no reason to start it anew");
    assert_eq!(codes, [chord_wire::rest::Reason::NotFound, chord_wire::rest::Reason::Disagreement]);
    shared.probe.note(Check::Found, Said::Agrees);
    assert_eq!(shared.readiness(), Ok(()));
    assert_eq!(shared.probe.counted(), [1, 4, 1]);
    node.shutdown().await;
}

#[tokio::test]
async fn nodes_of_a_ring_find_each_other_where_they_are() {
    let first = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
    let whole = async {
        while !is_ideal([&*first.view(), &*second.view()]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, whole).await.expect("a ring");
    for check in Check::ALL {
        let (shared, view) = (first.shared(), first.view());
        let other = whom(&view, check, 0).expect("somebody is there");
        assert_eq!(other.name, *second.name());
        assert_eq!(ask(shared, &view, check, &other).await, Said::Agrees, "{check:?}");
    }
    second.shutdown().await;
    first.shutdown().await;
}

/// A peer that answers everything with these bytes, again and again if they are endless.
async fn liar(said: Vec<u8>, is_endless: bool) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = said.clone();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while matches!(stream.read(&mut asked).await, Ok(1..)) {
                    while stream.write_all(&said).await.is_ok() && is_endless {}
                }
            });
        }
    });
    Peer::of_name(name, RingSize::DEFAULT)
}

#[tokio::test]
async fn rubbish_says_nothing_of_this_node() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let lies = [
        (Vec::new(), false),
        (b"\xff\0nonsense".to_vec(), false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec(), false),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 34\r\n\r\n{\"node_id\":\"<b>\\u0007\",\"hops\":-1e9}"
                .to_vec(),
            false,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n".repeat(100), true),
    ];
    let asks = lies.into_iter().map(|(said, is_endless)| {
        let node = node.clone();
        async move {
            let (shared, view) = (node.shared(), node.view());
            let liar = liar(said, is_endless).await;
            for check in Check::ALL {
                let said = tokio::time::timeout(DEADLINE, ask(shared, &view, check, &liar)).await;
                assert_eq!(said, Ok(Said::Unanswered), "{check:?}");
            }
        }
    });
    futures_util::future::join_all(asks).await;
    node.shutdown().await;
}
