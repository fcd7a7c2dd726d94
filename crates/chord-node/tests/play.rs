//! What `chord dev` has beyond a ring: a network that can be cut, and answers of its own at the doors of its nodes.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chord_node::{ANNEX_BYTES_MAX, Annex, AnnexAnswer, AnnexAsked, Network, Node};
use chord_ring::is_ideal;

use rest_client::{Answer, DEADLINE, ask_with, become_ready, send, stop};

/// Waits until these nodes are a ring by themselves.
async fn until_ideal(what: &str, nodes: &[&Node]) {
    let looks = async {
        loop {
            let views: Vec<_> = nodes.iter().map(|node| node.view()).collect();
            if is_ideal(views.iter().map(AsRef::as_ref)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looks).await.unwrap_or_else(|_| panic!("no ideal ring: {what}"));
}

#[tokio::test]
async fn a_ring_that_is_cut_is_two_rings_and_one_again_when_the_cut_is_healed() {
    let network = Network::new();
    let builder = || Node::builder().listen("127.0.0.1:0").network(network.clone());
    let mut nodes = vec![builder().start().await.unwrap()];
    while nodes.len() < 4 {
        nodes.push(builder().join(nodes[0].name().clone()).start().await.unwrap());
    }
    become_ready(&nodes).await;
    let [a, b, c, d] = &nodes[..] else { unreachable!() };
    a.put(b"before", b"1").await.unwrap();
    network.cut([c.name().clone(), d.name().clone()]);
    until_ideal("one half", &[a, b]).await;
    until_ideal("the other half", &[c, d]).await;
    let written = async {
        while a.put(b"here", b"2").await.is_err() || d.put(b"there", b"3").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, written).await.expect("both halves take writes");
    network.heal();
    until_ideal("the whole ring", &[a, b, c, d]).await;
    become_ready(&nodes).await;
    for node in &nodes {
        for (key, value) in [("before", "1"), ("here", "2"), ("there", "3")] {
            let got = node.get(key.as_bytes()).await.unwrap();
            assert_eq!(got.value.expect(key).as_bytes(), value.as_bytes());
        }
    }
    for node in &nodes {
        stop(node).await;
    }
}

/// Says what it was asked.
#[derive(Debug)]
struct Echo;

impl Annex for Echo {
    fn answer(&self, asked: AnnexAsked) -> Pin<Box<dyn Future<Output = AnnexAnswer> + Send>> {
        let AnnexAsked { at, is_order, path, body, .. } = asked;
        let json = format!("{at} {is_order} {path} {}", body.len()).into_bytes();
        Box::pin(async { AnnexAnswer { status: 200, json } })
    }
}

async fn at_the_annex(node: &Node, line: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        node.name(),
        body.len()
    );
    send(node, &[head.as_bytes(), body].concat()).await
}

#[tokio::test]
async fn what_the_program_answers_at_the_door_it_answers_to_the_nodes_own_page_alone() {
    let node = Node::builder().listen("127.0.0.1:0").annex(Arc::new(Echo)).start().await.unwrap();
    let own = format!("origin: http://{}\r\nsec-fetch-site: same-origin\r\n", node.name());
    let read = at_the_annex(&node, "GET /dev/state", "", b"").await;
    assert_eq!((read.status, read.text()), (200, format!("{} false state 0", node.name()).as_str()));
    let ordered = at_the_annex(&node, "POST /dev/a/b", &own, &[b'x'; ANNEX_BYTES_MAX]).await;
    let said = format!("{} true a/b {ANNEX_BYTES_MAX}", node.name());
    assert_eq!((ordered.status, ordered.text()), (200, said.as_str()));
    assert_eq!(at_the_annex(&node, "POST /dev/a", &own, &[b'x'; ANNEX_BYTES_MAX + 1]).await.status, 400);
    assert_eq!(at_the_annex(&node, "DELETE /dev/a", &own, b"").await.status, 405);
    let foreign = "origin: http://evil.example\r\n";
    assert_eq!(at_the_annex(&node, "POST /dev/a", foreign, b"").await.status, 403);
    assert_eq!(at_the_annex(&node, "GET /dev/state", foreign, b"").await.status, 403);
    assert_eq!(at_the_annex(&node, "POST /dev/a", "", b"").await.status, 403, "no origin");
    assert_eq!(ask_with(&node, "POST /dev/a", &own, b"").await.status, 403, "another host");
    let page = at_the_annex(&node, "GET /page/dev.js", "", b"").await;
    assert!(page.text().contains("isDev = true"), "{}", page.text());
    stop(&node).await;
}

#[tokio::test]
async fn a_node_without_an_annex_has_nothing_there() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let own = format!("origin: http://{}\r\n", node.name());
    assert_eq!(at_the_annex(&node, "GET /dev/state", "", b"").await.status, 404);
    assert_eq!(at_the_annex(&node, "POST /dev/kill", &own, b"").await.status, 404);
    let page = at_the_annex(&node, "GET /page/dev.js", "", b"").await;
    assert!(page.text().contains("isDev = false"), "{}", page.text());
    stop(&node).await;
    assert!(Node::builder().listen("127.0.0.1:0").slowness(0).start().await.is_err());
}
