//! Watching keys through whole nodes.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use chord_kv::replication::{
    Change, Condition, Consistency, Expiry, Filter, Happened, Notice, Operation, Seen, Since,
};
use chord_kv::{Key, Range, Value, Version};
use chord_node::{Client, Node, Watch};
use chord_ring::{RingSize, is_ideal};

const DEADLINE: Duration = Duration::from_secs(20);

async fn ring(n_nodes: usize) -> Vec<Node> {
    let builder = Node::builder().listen("127.0.0.1:0");
    let mut nodes = vec![builder.clone().start().await.unwrap()];
    while nodes.len() < n_nodes {
        nodes.push(join(&nodes[0]).await);
    }
    until(|| is_ideal(nodes.iter().map(Node::view).collect::<Vec<_>>().iter().map(AsRef::as_ref))).await;
    until(|| nodes.iter().all(|node| node.readiness().is_ok())).await;
    nodes
}

async fn join(contact: &Node) -> Node {
    let node = Node::builder().listen("127.0.0.1:0").join(contact.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
    node
}

async fn until(holds: impl Fn() -> bool) {
    let looks = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looks).await.expect("in time");
}

async fn next(watch: &mut Watch) -> Seen {
    tokio::time::timeout(DEADLINE, watch.next())
        .await
        .expect("something is seen in time")
        .expect("it goes on")
}

async fn next_change(watch: &mut Watch) -> Notice {
    match next(watch).await {
        Seen::Changed(notice) => notice,
        other => panic!("{other:?}"),
    }
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).unwrap()
}

async fn change(node: &Node, name: &str, change: Change, expiry: Expiry) {
    let operation = Operation::Change { change, condition: Condition::Always, expiry };
    let client = Client::new(node.name().clone());
    client.operate(key(name), operation, Consistency::Usual, DEADLINE).await.unwrap();
}

fn text(text: &str) -> Change {
    Change::Set(Value::new(text.as_bytes(), 100).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_watches_a_key_sees_each_of_its_changes_through_any_node() {
    let nodes = ring(3).await;
    for (idx, watching) in nodes.iter().enumerate() {
        let name = format!("key{idx}");
        let mut watch = watching.watch(Filter::Key(key(&name)), Since::Now).unwrap();
        assert_eq!(next(&mut watch).await, Seen::Watching);
        change(&nodes[0], "another", text("x"), Expiry::Never).await;
        change(&nodes[1], &name, text("a"), Expiry::Never).await;
        change(&nodes[2], &name, text("b"), Expiry::Never).await;
        change(&nodes[0], &name, Change::Delete, Expiry::Never).await;
        let seen =
            [next_change(&mut watch).await, next_change(&mut watch).await, next_change(&mut watch).await];
        assert!(seen[0].version < seen[1].version && seen[1].version < seen[2].version);
        assert_eq!(
            seen.clone().map(|notice| notice.happened),
            [Happened::Set, Happened::Set, Happened::Deleted]
        );
        assert!(seen.iter().all(|notice| notice.key == key(&name)));
        let soon = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_millis(300);
        change(&nodes[1], &name, text("c"), Expiry::At(u64::try_from(soon.as_millis()).unwrap())).await;
        let set = next_change(&mut watch).await;
        let expired = next_change(&mut watch).await;
        assert_eq!((set.happened, expired.happened), (Happened::Set, Happened::Expired));
        assert_eq!(set.version, expired.version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_watches_a_prefix_sees_the_keys_of_all_nodes() {
    let nodes = ring(3).await;
    let mut watch = nodes[0].watch(Filter::Prefix(b"user:".to_vec()), Since::Now).unwrap();
    assert_eq!(next(&mut watch).await, Seen::Watching);
    let mut expected = BTreeMap::new();
    for idx in 0..200 {
        let name = format!("user:{idx}");
        change(&nodes[idx % 3], &name, text("a"), Expiry::Never).await;
        change(&nodes[idx % 3], &format!("other:{idx}"), text("a"), Expiry::Never).await;
        expected.insert(key(&name), 1);
    }
    let mut seen = BTreeMap::new();
    for _ in 0..200 {
        *seen.entry(next_change(&mut watch).await.key).or_insert(0) += 1;
    }
    assert_eq!(seen, expected);
    assert_eq!(watch.next_now(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_comes_back_is_told_whether_something_was_missed() {
    let nodes = ring(2).await;
    let filter = Filter::Key(key("key"));
    let mut watch = nodes[0].watch(filter.clone(), Since::Now).unwrap();
    assert_eq!(next(&mut watch).await, Seen::Watching);
    change(&nodes[0], "key", text("a"), Expiry::Never).await;
    let last = next_change(&mut watch).await;
    drop(watch);
    let since = Since::Change(last.version, last.happened);
    let mut watch = nodes[1].watch(filter.clone(), since).unwrap();
    assert_eq!(next(&mut watch).await, Seen::Watching);
    change(&nodes[0], "key", text("b"), Expiry::Never).await;
    assert_eq!(next_change(&mut watch).await.happened, Happened::Set, "nothing was missed");
    drop(watch);
    let mut watch = nodes[1].watch(filter, since).unwrap();
    assert_eq!(next(&mut watch).await, Seen::Watching);
    assert!(matches!(next(&mut watch).await, Seen::Missed(_)));
    assert!(next_change(&mut watch).await.version > last.version);
}

/// Writes keys through a node, one after the other, for as long as somebody wants to know what was acknowledged.
async fn writes(node: Node, written: Weak<Mutex<Vec<(Key, Version)>>>) {
    let client = Client::new(node.name().clone());
    for count in 0.. {
        let key = key(&format!("key{}", count % 50));
        let put = Operation::put(Value::new(b"v", 9).unwrap());
        let done = client.operate(key.clone(), put, Consistency::Usual, DEADLINE).await;
        let Some(written) = written.upgrade() else { return };
        // What is not acknowledged may be told or not.
        if let Some(record) = done.ok().and_then(|done| done.outcome.record) {
            written.lock().unwrap().push((key, record.version));
        }
    }
}

/// Whether all of these changes were seen, or said to have been missed perhaps; and those of each key once and in order.
fn tells_of(said: &[Seen], written: &[(Key, Version)]) -> bool {
    let mut seen: BTreeMap<Key, Vec<Version>> = BTreeMap::new();
    let mut missed = Vec::new();
    for said in said {
        match said {
            Seen::Changed(Notice { key, version, .. }) => {
                let of_key = seen.entry(key.clone()).or_default();
                assert!(of_key.last().is_none_or(|last| last < version), "in order, and once");
                of_key.push(*version);
            }
            Seen::Missed(range) => missed.push(*range),
            Seen::Watching => panic!("it watches already"),
        }
    }
    let is_missed = |key: &Key| missed.iter().any(|range| range.contains(key.position(RingSize::DEFAULT)));
    let is_seen = |key, version| seen.get(key).is_some_and(|of_key| of_key.contains(version));
    written.iter().all(|(key, version)| is_seen(key, version) || is_missed(key))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_without_a_word_while_nodes_come_and_go() {
    let mut nodes = ring(3).await;
    let mut watch = nodes[0].watch(Filter::Prefix(Vec::new()), Since::Now).unwrap();
    assert_eq!(next(&mut watch).await, Seen::Watching);
    let said = Arc::new(Mutex::new(Vec::new()));
    let telling = said.clone();
    tokio::spawn(async move {
        while let Some(seen) = watch.next().await {
            telling.lock().unwrap().push(seen);
        }
    });
    let written = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(writes(nodes[0].clone(), Arc::downgrade(&written)));
    let n_written = || written.lock().unwrap().len();
    until(|| n_written() >= 100).await;
    nodes.push(join(&nodes[0]).await);
    let leaves = nodes.remove(1);
    leaves.shutdown().await;
    until(|| is_ideal(nodes.iter().map(Node::view).collect::<Vec<_>>().iter().map(AsRef::as_ref))).await;
    let before = n_written();
    until(|| n_written() >= before + 100).await;
    let all = written.lock().unwrap().clone();
    drop(written);
    until(|| tells_of(&said.lock().unwrap(), &all)).await;
    // Some owners are others by now, which may be found out later. All of the ring is missed only by who reads too slowly.
    let missed = |range: Option<Range>| {
        let is_it = |seen: &Seen| matches!(seen, Seen::Missed(of) if range.is_none_or(|range| range == *of));
        said.lock().unwrap().iter().any(is_it)
    };
    until(|| missed(None)).await;
    assert!(!missed(Some(Range::whole_from(nodes[0].view().me().position))));
}
