//! Lists of keys over REST.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::collections::BTreeSet;

use chord_node::{Limits, Node};
use rest_client::{ask, node, put, ring};

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_a_line_through_each_node() {
    let nodes = ring().await;
    let mut expected = BTreeSet::new();
    for idx in 0..150 {
        let tag = put(&nodes[idx % 3], &format!("/v1/kv/list:{idx}"), "", b"x").await.tag();
        let version = tag.trim_matches('"').to_owned();
        expected.insert(format!("{{\"key\":\"list:{idx}\",\"version\":\"{version}\"}}"));
    }
    put(&nodes[0], "/v1/kv/another%FF", "", b"x").await;
    put(&nodes[0], "/v1/kv/list:gone", "", b"x").await;
    assert_eq!(ask(&nodes[1], "DELETE /v1/kv/list:gone").await.status, 204);
    for node in &nodes {
        let answer = ask(node, "GET /v1/keys?prefix=list:").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
        let lines: Vec<String> = answer.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 150, "each once");
        assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), expected);
        let all = ask(node, "GET /v1/keys").await;
        assert_eq!(all.text().lines().count(), 151);
        assert!(all.text().contains("{\"key_base64\":\"YW5vdGhlcv8=\",\"version\":"));
    }
}

#[tokio::test]
async fn a_ring_without_keys_has_no_lines_and_a_node_in_no_ring_says_so() {
    let node = node(Limits::default()).await;
    let answer = ask(&node, "GET /v1/keys").await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(ask(&node, "GET /v1/keys?prefix=a&prefix=b").await.problem(), (400, "bad-request"));
    assert_eq!(ask(&node, "POST /v1/keys").await.problem(), (405, "method-not-allowed"));
    let alone = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    assert_eq!(ask(&alone, "GET /v1/keys").await.problem(), (409, "not-member"));
}
