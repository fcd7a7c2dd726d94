//! Whole nodes in one process, on real sockets: they form a ring, carry operations and leave.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::time::Duration;

use chord_node::{Builder, Limits, Node};
use chord_ring::{NodeName, RingSize, is_ideal};

const DEADLINE: Duration = Duration::from_secs(20);

/// A ring of `n_nodes`, each joined through the first.
async fn ring(n_nodes: usize) -> Vec<Node> {
    ring_of(n_nodes, Node::builder()).await
}

/// The same, of nodes with these settings.
async fn ring_of(n_nodes: usize, builder: Builder) -> Vec<Node> {
    let builder = builder.listen("127.0.0.1:0");
    let mut nodes = vec![builder.clone().start().await.unwrap()];
    while nodes.len() < n_nodes {
        let contact = nodes[0].name().clone();
        let node = builder.clone().join(contact).start().await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        nodes.push(node);
    }
    until_ideal(&nodes).await;
    nodes
}

async fn until_ideal(nodes: &[Node]) {
    let ideal = async {
        loop {
            let views: Vec<_> = nodes.iter().map(Node::view).collect();
            if is_ideal(views.iter().map(AsRef::as_ref)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ideal).await.expect("the ring becomes ideal");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_answers_for_any_key() {
    let nodes = ring(5).await;
    for idx in 0..50 {
        let key = format!("key{idx}");
        let stored = nodes[idx % 5].put(key.as_bytes(), b"value").await.unwrap();
        for node in &nodes {
            let got = node.get(key.as_bytes()).await.unwrap();
            assert_eq!(got.value.unwrap().as_bytes(), b"value");
            assert_eq!(got.owner, stored.owner);
            assert!(got.hops <= 1, "five nodes know each other, yet {} hops", got.hops);
        }
    }
    assert_eq!(nodes[0].get(b"absent").await.unwrap().value, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_hands_its_keys_to_its_successor() {
    let mut nodes = ring(4).await;
    for idx in 0..200 {
        nodes[idx % 4].put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
    while nodes.len() > 1 {
        let leaver = nodes.remove(0);
        let departure = leaver.shutdown().await;
        assert_eq!(departure.left_behind, 0, "{departure:?}");
        for idx in 0..200 {
            let got = nodes[idx % nodes.len()].get(format!("key{idx}").as_bytes()).await.unwrap();
            assert!(got.value.is_some(), "key{idx} is gone with {} nodes left", nodes.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_of_a_ring_that_leave_at_once_do_not_wait_for_each_other() {
    let nodes = ring(3).await;
    for idx in 0..100 {
        nodes[idx % 3].put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
    let started = std::time::Instant::now();
    let (a, b, c) = tokio::join!(nodes[0].shutdown(), nodes[1].shutdown(), nodes[2].shutdown());
    let took = started.elapsed();
    let left_behind: u64 = [a, b, c].iter().map(|departure| departure.left_behind).sum();
    assert!(left_behind >= 100, "{a:?} {b:?} {c:?}");
    for departure in [a, b, c].iter().filter(|departure| departure.left_behind > 0) {
        assert!(departure.ended_ring, "nobody stays: {departure:?}");
    }
    assert!(took < Duration::from_secs(5), "half of what a departure may take: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_wait_in_a_ring_of_more_nodes_than_a_successor_list_holds() {
    const SUCCESSORS: u8 = 2;
    let nodes = ring_of(usize::from(SUCCESSORS) + 2, Node::builder().successors(SUCCESSORS)).await;
    for idx in 0..100 {
        nodes[idx % nodes.len()].put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
    let started = std::time::Instant::now();
    let mut leaving = tokio::task::JoinSet::new();
    for node in nodes {
        leaving.spawn(async move { node.shutdown().await });
    }
    let departures = leaving.join_all().await;
    let took = started.elapsed();
    let mut lost = departures.iter().filter(|departure| departure.left_behind > 0).peekable();
    assert!(lost.peek().is_some() && lost.all(|departure| departure.ended_ring), "{departures:?}");
    assert!(took < Duration::from_secs(7), "less than a departure may take: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_node_cannot_take_is_with_the_others_when_a_node_leaves() {
    let full = Limits { store_bytes: 100, ..Limits::default() };
    let full = Node::builder().listen("127.0.0.1:0").limits(full).start().await.unwrap();
    let mut nodes = vec![full.clone()];
    for _ in 0..3 {
        let limits = Limits { departure: Duration::from_secs(3), ..Limits::default() };
        let node = Node::builder().listen("127.0.0.1:0").limits(limits).join(full.name().clone());
        let node = node.start().await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        nodes.push(node);
    }
    until_ideal(&nodes).await;
    let is_next_but_one = |node: &&Node| node.view().successors().as_slice()[1] == *full.view().me();
    let leaver = nodes.iter().find(is_next_but_one).unwrap();
    let mut written = Vec::new();
    for key in (0..200).map(|idx| format!("key{idx}")) {
        // The full one refuses what belongs to it.
        if leaver.put(key.as_bytes(), b"value").await.is_ok() {
            written.push(key);
        }
    }
    assert!(written.len() > 10, "the others own a part of so many: {}", written.len());
    leaver.shutdown().await;
    let stays = nodes.iter().find(|node| node.name() != leaver.name() && node.name() != full.name()).unwrap();
    for key in &written {
        assert!(stays.get(key.as_bytes()).await.unwrap().value.is_some(), "{key} is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_that_leave_at_once_give_their_keys_to_the_one_that_stays() {
    let nodes = ring(5).await;
    for idx in 0..200 {
        nodes[idx % 5].put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
    let (stays, leave) = nodes.split_first().unwrap();
    let mut leaving = tokio::task::JoinSet::new();
    for node in leave {
        let node = node.clone();
        leaving.spawn(async move { node.shutdown().await });
    }
    for departure in leaving.join_all().await {
        assert_eq!(departure.left_behind, 0, "{departure:?}");
    }
    for idx in 0..200 {
        let got = stays.get(format!("key{idx}").as_bytes()).await.unwrap();
        assert!(got.value.is_some(), "key{idx} is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_nodes_in_one_process_are_an_ideal_ring_within_ten_seconds_of_the_last_join() {
    let mut nodes = vec![Node::builder().listen("127.0.0.1:0").start().await.unwrap()];
    while nodes.len() < 64 {
        let contact = nodes[nodes.len() / 2].name().clone();
        let node = Node::builder().listen("127.0.0.1:0").join(contact).start().await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        nodes.push(node);
    }
    let last_join = std::time::Instant::now();
    until_ideal(&nodes).await;
    let took = last_join.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

#[tokio::test]
async fn a_ring_size_is_refused_by_a_ring_of_another() {
    let first = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let size = RingSize::new(8).unwrap();
    let other =
        Node::builder().listen("127.0.0.1:0").ring_size(size).wait_for_command().start().await.unwrap();
    let error = other.join(first.name().clone()).await.unwrap_err();
    assert!(error.to_string().contains("its ring has size 160, this node has ring size 8"), "{error}");
    other.create().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_reachable_while_nodes_join() {
    let mut nodes = ring(1).await;
    for idx in 0..200 {
        nodes[0].put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
    for _ in 0..6 {
        let contact = nodes[0].name().clone();
        let node = Node::builder().listen("127.0.0.1:0").join(contact).start().await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        nodes.push(node);
        for idx in 0..200 {
            let got = nodes[idx % nodes.len()].get(format!("key{idx}").as_bytes()).await.unwrap();
            assert!(got.value.is_some(), "key{idx} is gone with {} nodes", nodes.len());
        }
    }
}

#[tokio::test]
async fn a_node_that_is_told_to_join_itself_says_so() {
    let size = RingSize::new(160).unwrap();
    let first = Node::builder().listen("127.0.0.1:0").ring_size(size).start().await.unwrap();
    let name = first.name().clone();
    first.shutdown().await;
    let itself = Node::builder().listen(name.as_str()).join(name.clone()).start().await.unwrap();
    let error = tokio::time::timeout(DEADLINE, itself.ready()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("is this node itself"), "{error}");
}

#[tokio::test]
async fn a_node_that_may_founds_a_ring_only_if_none_of_its_contacts_is_in_one() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody: NodeName = nobody.local_addr().unwrap().to_string().parse().unwrap();
    let waits = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    let start = async |listen: &str, contacts: &[&NodeName]| {
        let builder = Node::builder().listen(listen).found_if_none();
        let builder = contacts.iter().fold(builder, |builder, contact| builder.join((*contact).clone()));
        let node = builder.start().await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        node
    };
    let first = start("127.0.0.1:0", &[&nobody, waits.name()]).await;
    assert!(first.view().is_alone());
    waits.join(first.name().clone()).await.unwrap();
    until_ideal(&[first.clone(), waits.clone()]).await;
    let name = first.name().clone();
    first.put(b"key", b"value").await.unwrap();
    assert_eq!(first.shutdown().await.left_behind, 0);
    // Started again, it comes back into its ring, and never says that what it had is absent.
    let again = start(name.as_str(), &[&name, &nobody, waits.name()]).await;
    assert!(!again.view().is_alone());
    assert_eq!(again.get(b"key").await.unwrap().value.unwrap().as_bytes(), b"value");
}

#[tokio::test]
async fn an_address_that_no_other_node_can_use_is_refused_as_a_name() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = Node::builder().listen(address).start().await.err().expect("refused").to_string();
        assert!(error.contains("every address of this machine"), "{error}");
    }
}

#[tokio::test]
async fn any_bytes_are_carried_from_any_node_to_any_other() {
    let nodes = ring(3).await;
    for writer in &nodes {
        for key in (0..=u8::MAX).map(|byte| [0xff, byte]) {
            let value = [writer.name().as_str().as_bytes(), &key].concat();
            writer.put(&key, &value).await.unwrap();
            for reader in &nodes {
                assert_eq!(reader.get(&key).await.unwrap().value.unwrap().as_bytes(), value);
            }
        }
    }
}
