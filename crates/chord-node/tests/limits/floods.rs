//! A member, or one who says that it is one, that tells a node much: what the node asks others for that is bounded.

use std::time::{Duration, Instant};

use chord_node::Node;
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// How long others flood the node, and how much they tell it at the least. Without a bound each word costs a question, or every
/// few where the answer takes its time.
const FLOOD: Duration = Duration::from_secs(2);
const WORDS_MIN: usize = 2000;

/// What the node asks by itself in a second, at most: four rounds of stabilizing take three questions each, beside one for its
/// predecessor, one for a finger and one for whom it remembers.
const OWN_PER_S: f64 = 5.0 * 6.0;

/// What others may have it ask in a second for each kind of question, and at once.
const TOLD_PER_S: f64 = 20.0;
const TOLD_AT_ONCE: f64 = 16.0;

/// How many requests of the ring the node has sent to others.
async fn asked_others(node: &Node) -> f64 {
    let metrics = told(node, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let series = "chord_peer_requests_total{purpose=\"ring\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

/// Two nodes that are each other's neighbours.
async fn pair() -> [Node; 2] {
    let builder = || Node::builder().listen("127.0.0.1:0").replicas(2);
    let first = builder().start().await.unwrap();
    let second = builder().join(first.name().clone()).start().await.unwrap();
    second.ready().await.unwrap();
    let both = [first, second];
    let know_each_other = || both.iter().all(|node| node.view().predecessor().is_some());
    let until = Instant::now() + DEADLINE;
    while !know_each_other() {
        assert!(Instant::now() < until, "no ring of two");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    both
}

/// Sends what `word` makes of each number again and again, as fast as it is answered. Returns how many were sent, and how many
/// questions the node asked others meanwhile, and for how long.
async fn flood(node: &Node, word: impl Fn(usize) -> Vec<u8>) -> (usize, f64, Duration) {
    let (before, began) = (asked_others(node).await, Instant::now());
    let mut n_sent = 0;
    while began.elapsed() < FLOOD || n_sent < WORDS_MIN {
        let words: Vec<u8> = (n_sent..n_sent + 200).flat_map(&word).collect();
        let answers = told(node, &words).await;
        assert_eq!(
            answers.matches("HTTP/1.1 200 ").count(),
            200,
            "a flood is no reason to refuse: {answers}"
        );
        n_sent += 200;
    }
    (n_sent, asked_others(node).await - before, began.elapsed())
}

fn post_on(command: &str, body: &str) -> Vec<u8> {
    format!("POST /{command} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[track_caller]
fn assert_bounded(what: &str, (n_sent, asked, took): (usize, f64, Duration)) {
    let most = TOLD_AT_ONCE + (OWN_PER_S + TOLD_PER_S) * took.as_secs_f64();
    println!("{what}: {n_sent} were sent, and {asked} questions asked; {most} are allowed");
    assert!(asked <= most, "{what}: {n_sent} had the node ask {asked} times, {most} are allowed");
}

#[tokio::test]
async fn however_many_notifications_come_few_questions_are_asked_for_them_and_nothing_changes() {
    let [first, second] = pair().await;
    let ghosts =
        |n: usize| post_on("notify", &format!(r#"{{"remote_node": "127.0.0.9:{}"}}"#, n % 60_000 + 1));
    assert_bounded("names of nodes that there are not", flood(&first, ghosts).await);
    let nobody = |_: usize| post_on("notify", r#"{"remote_node": null}"#);
    assert_bounded("that there is no predecessor", flood(&first, nobody).await);
    let view = first.view();
    assert_eq!(view.predecessor().map(|peer| &peer.name), Some(second.name()));
    assert_eq!(view.successors().head().map(|peer| &peer.name), Some(second.name()));
    assert_eq!(first.put(b"key", b"value").await.map(drop), Ok(()), "and it serves");
}

#[tokio::test]
async fn however_often_somebody_asks_whom_a_node_follows_it_seldom_looks_whether_that_is_still_so() {
    let [first, second] = pair().await;
    let asks = |n: usize| {
        let name = format!("127.0.0.9:{}", n % 60_000 + 1);
        format!("POST /get_successor_list HTTP/1.1\r\nhost: x\r\nchord-from: {name}\r\ncontent-length: 2\r\n\r\n{{}}")
            .into_bytes()
    };
    assert_bounded("questions by those who would follow", flood(&first, asks).await);
    assert_eq!(first.view().successors().head().map(|peer| &peer.name), Some(second.name()));
}

#[tokio::test]
async fn a_newcomer_finds_its_place_while_others_flood_the_one_that_comes_after_it() {
    let [first, second] = pair().await;
    let flooded = [first.name().clone(), second.name().clone()];
    let floods: Vec<_> = flooded
        .into_iter()
        .map(|name| {
            tokio::spawn(async move {
                for n in 0usize.. {
                    let Ok(mut stream) = tokio::net::TcpStream::connect(name.as_str()).await else { return };
                    let words: Vec<u8> = (0..100)
                        .flat_map(|m| {
                            let ghost =
                                format!(r#"{{"remote_node": "127.0.0.9:{}"}}"#, (n * 100 + m) % 60_000 + 1);
                            post_on("notify", &ghost)
                        })
                        .collect();
                    let _ = stream.write_all(&words).await;
                    let _ = stream.shutdown().await;
                    read_to_end(&mut stream).await;
                }
            })
        })
        .collect();
    let third =
        Node::builder().listen("127.0.0.1:0").replicas(2).join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE * 3, third.ready()).await.expect("in time").unwrap();
    let until = Instant::now() + DEADLINE * 3;
    let is_known = || {
        [&first, &second]
            .iter()
            .any(|node| node.view().predecessor().is_some_and(|peer| peer.name == *third.name()))
    };
    while !is_known() {
        assert!(Instant::now() < until, "nobody takes it for its predecessor");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    floods.iter().for_each(tokio::task::JoinHandle::abort);
}
