//! The page of a node, and what it is made of: what nodes tell of themselves, and the stream of pictures.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use chord_node::{Limits, Node};

use rest_client::{Answer, DEADLINE, ask, ask_with, node, put, ring, stop};

const BROWSER: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

#[tokio::test]
async fn a_browser_gets_a_page_and_everybody_else_what_was_there_before() {
    let node = node(Limits::default()).await;
    let page = ask_with(&node, "GET /", BROWSER, b"").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("vary"), Some("accept"));
    let head = ask_with(&node, "HEAD /", BROWSER, b"").await;
    assert_eq!((head.status, head.headers()), (200, page.headers()));
    assert_eq!(ask(&node, "GET /").await.status, 405, "the path of XML-RPC");
    let call = b"<?xml version='1.0'?><methodCall><methodName>node</methodName></methodCall>";
    let answered = ask_with(&node, "POST /", BROWSER, call).await;
    assert_eq!((answered.status, answered.header("content-type")), (200, Some("text/xml")));
    stop(&node).await;
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there_and_need_not_be_sent_twice() {
    let node = node(Limits::default()).await;
    let page = ask_with(&node, "GET /", BROWSER, b"").await;
    let named: Vec<_> = page.text().split('"').filter(|word| word.starts_with("/page/")).collect();
    assert!(named.len() >= 3, "{named:?}");
    for path in named {
        let file = ask(&node, &format!("GET {path}")).await;
        assert!(file.status == 200 && !file.body.is_empty(), "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let same =
            ask_with(&node, &format!("GET {path}"), &format!("if-none-match: {}\r\n", file.tag()), b"").await;
        assert_eq!((same.status, same.tag(), same.body.len()), (304, file.tag(), 0), "{path}");
    }
    assert_eq!(ask(&node, "GET /page/none.js").await.status, 404);
    assert_eq!(ask(&node, "GET /page/../main.js").await.status, 404);
    assert_eq!(put(&node, "/page/main.js", "", b"x").await.status, 405);
    stop(&node).await;
}

#[tokio::test]
async fn a_link_may_lead_to_the_page_from_anywhere_and_to_nothing_else() {
    let node = node(Limits::default()).await;
    let linked = format!("{BROWSER}sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n");
    assert_eq!(ask_with(&node, "GET /", &linked, b"").await.status, 200);
    assert_eq!(ask_with(&node, "GET /v1/node", &linked, b"").await.problem(), (403, "forbidden"));
    assert_eq!(ask_with(&node, "GET /v1/ring/live", &linked, b"").await.problem(), (403, "forbidden"));
    stop(&node).await;
}

#[tokio::test]
async fn nodes_tell_of_themselves_and_one_shows_them_all() {
    let nodes = ring().await;
    assert_eq!(put(&nodes[0], "/v1/kv/greeting", "", b"hello").await.status, 201);
    let believed = ask(&nodes[1], "GET /v1/ring").await;
    let told = ask(&nodes[1], "GET /v1/node").await;
    // Behind that are counters, which have gone on meanwhile.
    let (believed, _) = believed.text().split_once("\"sent\"").unwrap();
    assert!(told.text().starts_with(&format!("{{\"ring\":{believed}")), "{}", told.text());
    assert!(told.text().contains("\"copies_missing\":0,"), "{}", told.text());
    let is_there = |node: &Node| {
        let position = node.view().me().position;
        format!("{{\"node\":\"{}\",\"position\":\"{position}\",\"answer\":\"answered\"", node.name())
    };
    let mut last = String::new();
    let looks = async {
        loop {
            let shown = ask(&nodes[0], "GET /v1/ring/live?for=1s").await;
            assert_eq!(shown.header("content-type"), Some("text/event-stream"));
            if nodes.iter().all(|node| shown.text().contains(&is_there(node))) {
                return shown;
            }
            last = shown.text().to_owned();
        }
    };
    let shown = tokio::time::timeout(DEADLINE, looks).await;
    let shown = shown.unwrap_or_else(|_| panic!("not all nodes are shown: {last}"));
    assert!(shown.text().starts_with("event: ring\ndata: {\"seen_by\":"), "{}", shown.text());
    for node in &nodes {
        stop(node).await;
    }
}

#[tokio::test]
async fn the_copies_of_a_key_are_those_of_its_owner_and_its_successors() {
    let nodes = ring().await;
    all_three(&nodes[0], "nothing").await;
    let stored = put(&nodes[0], "/v1/kv/k?consistency=all", "", b"1").await;
    for node in &nodes {
        let kept = all_three(node, "value").await;
        let version = format!("\"version\":{}", stored.tag());
        assert_eq!(kept.text().matches(&version).count(), 3, "{version} in {}", kept.text());
        assert!(kept.text().contains("\"do_agree\":true"), "{}", kept.text());
    }
    assert_eq!(ask(&nodes[0], "DELETE /v1/kv/k?consistency=all").await.status, 204);
    all_three(&nodes[1], "deleted").await;
    for node in &nodes {
        stop(node).await;
    }
}

/// Asks for the copies of a key until three nodes say that of it: whom an owner has chosen it tells a moment later.
async fn all_three(node: &Node, has: &str) -> Answer {
    let asks = async {
        loop {
            let copies = ask(node, "GET /v1/copies/k").await;
            if copies.text().matches(&format!("\"has\":\"{has}\"")).count() == 3 {
                return copies;
            }
        }
    };
    tokio::time::timeout(DEADLINE, asks)
        .await
        .unwrap_or_else(|_| panic!("{} does not hear from three nodes: {has}", node.name()))
}
