//! All keys of the ring, as Redis clients ask for them.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chord_kv::Range;
use chord_node::{Builder, Node};
use chord_ring::RingSize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Text(String),
    Error(String),
    Nothing,
    List(Vec<Reply>),
}

/// A client of one node.
struct Redis(BufReader<TcpStream>);

impl Redis {
    async fn of(node: &Node) -> Self {
        Self(BufReader::new(TcpStream::connect(node.name().as_str()).await.unwrap()))
    }

    async fn send(&mut self, lines: &str) {
        self.0.get_mut().write_all(lines.as_bytes()).await.unwrap();
    }

    async fn tell(&mut self, line: &str) -> Reply {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    async fn reply(&mut self) -> Reply {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("an answer in time")
    }

    fn read(&mut self) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        Box::pin(async {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            let text = line.get(1..).unwrap_or_default().trim_end();
            match line.as_bytes().first() {
                Some(b'-') => Reply::Error(text.to_owned()),
                Some(b'$') if text == "-1" => Reply::Nothing,
                Some(b'$') => {
                    let mut bytes = vec![0; text.parse::<usize>().unwrap() + 2];
                    self.0.read_exact(&mut bytes).await.unwrap();
                    Reply::Text(String::from_utf8(bytes).unwrap().trim_end().to_owned())
                }
                Some(b'*') => {
                    let mut parts = Vec::new();
                    for _ in 0..text.parse::<usize>().unwrap() {
                        parts.push(self.read().await);
                    }
                    Reply::List(parts)
                }
                _ => Reply::Text(text.to_owned()),
            }
        })
    }

    /// The next cursor, and the keys that came with it.
    async fn scan(&mut self, cursor: &str, options: &str) -> (String, Vec<String>) {
        let reply = self.tell(&format!("SCAN {cursor} {options}")).await;
        let Reply::List(parts) = &reply else { panic!("{reply:?}") };
        let [Reply::Text(next), keys @ Reply::List(_)] = parts.as_slice() else { panic!("{reply:?}") };
        (next.clone(), texts(keys))
    }

    /// All keys by one scan.
    async fn scan_all(&mut self, options: &str) -> Vec<String> {
        let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
        loop {
            let (next, keys) = self.scan(&cursor, options).await;
            all.extend(keys);
            if next == "0" {
                return all;
            }
            assert_ne!(next, cursor, "it goes on");
            cursor = next;
        }
    }

    async fn write(&mut self, keys: impl Iterator<Item = String>) {
        let mut line = "MSET".to_owned();
        keys.for_each(|key| write!(line, " {key} v").unwrap());
        assert_eq!(self.tell(&line).await, Reply::Text("OK".to_owned()));
    }
}

fn texts(reply: &Reply) -> Vec<String> {
    let Reply::List(parts) = reply else { panic!("{reply:?}") };
    let text = |part: &Reply| match part {
        Reply::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    parts.iter().map(text).collect()
}

fn set(keys: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    keys.into_iter().collect()
}

async fn joined(builder: &Builder, contact: &Node) -> Node {
    let node = builder.clone().join(contact.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
    node
}

async fn ring_of(n_nodes: usize, builder: Builder) -> Vec<Node> {
    let builder = builder.listen("127.0.0.1:0");
    let mut nodes = vec![builder.clone().start().await.unwrap()];
    while nodes.len() < n_nodes {
        let node = joined(&builder, &nodes[0]).await;
        nodes.push(node);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_asks_one_node_after_the_other_misses_no_key_while_nodes_join_and_leave() {
    let builder = Node::builder().listen("127.0.0.1:0");
    let mut nodes = ring_of(3, builder.clone()).await;
    let all = || (0..4000).map(|idx| format!("key:{idx}"));
    let keys: Vec<String> = all().collect();
    for part in keys.chunks(500) {
        Redis::of(&nodes[0]).await.write(part.iter().cloned()).await;
    }
    let (mut cursor, mut listed, mut n_calls) = ("0".to_owned(), Vec::new(), 0);
    let (mut joining, mut leaving) = (None, None);
    loop {
        let node = &nodes[n_calls % nodes.len()];
        let (next, keys) = Redis::of(node).await.scan(&cursor, "").await;
        listed.extend(keys);
        n_calls += 1;
        match n_calls {
            10 => {
                let (builder, contact) = (builder.clone(), nodes[0].clone());
                joining = Some(tokio::spawn(async move { joined(&builder, &contact).await }));
            }
            15 => {
                let leaver = nodes.remove(1);
                leaving = Some(tokio::spawn(async move { leaver.shutdown().await }));
            }
            25 => nodes.push(joining.take().unwrap().await.unwrap()),
            30 => assert_eq!(leaving.take().unwrap().await.unwrap().left_behind, 0),
            _ => {}
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert!(n_calls > 30, "{n_calls} calls");
    assert_eq!(listed.len(), 4000, "each once");
    assert!(set(listed) == set(all()), "another set of keys");
    for node in &nodes {
        assert_eq!(Redis::of(node).await.tell("DBSIZE").await, Reply::Text("4000".to_owned()));
    }
    let mut walk = nodes[0].keys(Range::ALL);
    let mut positions = Vec::new();
    while let Some(page) = walk.next_page().await.unwrap() {
        positions.extend(page.keys.into_iter().map(|header| header.position));
    }
    assert!(positions.len() == 4000 && positions.is_sorted() && walk.is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_without_keys_is_scanned_at_once() {
    let nodes = ring_of(3, Node::builder()).await;
    let mut redis = Redis::of(&nodes[1]).await;
    assert_eq!(redis.scan("0", "").await, ("0".to_owned(), Vec::new()));
    assert_eq!(redis.tell("KEYS *").await, Reply::List(Vec::new()));
    assert_eq!(redis.tell("DBSIZE").await, Reply::Text("0".to_owned()));
    assert_eq!(redis.tell("RANDOMKEY").await, Reply::Nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_types_and_counts_choose_keys_as_of_redis() {
    let nodes = ring_of(2, Node::builder()).await;
    let mut redis = Redis::of(&nodes[0]).await;
    redis.write((0..500).map(|idx| format!("user:{idx}"))).await;
    redis.write((0..300).map(|idx| format!("item:{idx}"))).await;
    for line in ["SET gone v", "DEL gone", "SET late v PX 1", "SET stays v EX 1000"] {
        redis.tell(line).await;
    }
    while redis.tell("EXISTS late").await != Reply::Text("0".to_owned()) {}
    let users = || set((0..500).map(|idx| format!("user:{idx}")));
    assert!(set(redis.scan_all("MATCH user:*").await) == users());
    assert!(set(redis.scan_all("match user:* type STRING count 1").await) == users());
    assert!(set(texts(&redis.tell("KEYS user:*").await)) == users());
    assert_eq!(redis.scan_all("MATCH s[t]ay?").await, ["stays"]);
    for all in ["", "COUNT 1", "COUNT 100", "COUNT 1000000000", "TYPE string"] {
        assert_eq!(redis.scan_all(all).await.len(), 801, "{all}");
    }
    assert_eq!(redis.tell("DBSIZE").await, Reply::Text("801".to_owned()));
    assert!(redis.scan_all("TYPE hash").await.is_empty());
    assert!(redis.scan_all("MATCH nothing:*").await.is_empty());
    let (next, keys) = redis.scan("0", "COUNT 500").await;
    assert!(next != "0" && (500..600).contains(&keys.len()), "{} keys at {next}", keys.len());
    for _ in 0..20 {
        let Reply::Text(key) = redis.tell("RANDOMKEY").await else { panic!("there are keys") };
        assert_eq!(redis.tell(&format!("EXISTS {key}")).await, Reply::Text("1".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_are_deleted_by_a_node_that_is_allowed_to_and_by_no_other() {
    let mut nodes = ring_of(2, Node::builder()).await;
    nodes.push(joined(&Node::builder().listen("127.0.0.1:0").allow_flush(), &nodes[0]).await);
    let (mut strict, mut lax) = (Redis::of(&nodes[0]).await, Redis::of(&nodes[2]).await);
    for (flush, n_keys) in [("FLUSHDB", "700"), ("flushall async", "701")] {
        strict.write((0..700).map(|idx| format!("key:{idx}"))).await;
        let Reply::Error(refused) = strict.tell(flush).await else { panic!("it is not allowed") };
        assert!(refused.starts_with("NOPERM ") && refused.contains("--allow-flush"), "{refused}");
        assert_eq!(strict.tell("DBSIZE").await, Reply::Text(n_keys.to_owned()));
        // In a pipeline it comes after what is before it, and before what is behind it.
        lax.send(&format!("SET before v\r\n{flush}\r\nSET behind v\r\nKEYS *\r\n")).await;
        for _ in 0..3 {
            assert_eq!(lax.reply().await, Reply::Text("OK".to_owned()));
        }
        assert_eq!(texts(&lax.reply().await), ["behind"]);
    }
    assert_eq!(lax.tell("FLUSHDB SOON").await, Reply::Error("ERR syntax error".to_owned()));
    assert_eq!(lax.tell("FLUSHDB SYNC SYNC").await, Reply::Error("ERR syntax error".to_owned()));
    assert_eq!(strict.scan_all("").await, ["behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_the_words_of_redis() {
    let nodes = ring_of(1, Node::builder()).await;
    let mut redis = Redis::of(&nodes[0]).await;
    for (line, words) in [
        ("SCAN -1", "ERR invalid cursor"),
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 1x", "ERR invalid cursor"),
        ("SCAN 9007199254740992", "ERR invalid cursor"),
        ("SCAN 18446744073709551615", "ERR invalid cursor"),
        ("SCAN 18446744073709551616", "ERR invalid cursor"),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 COUNT -5", "ERR syntax error"),
        ("SCAN 0 COUNT x", "ERR value is not an integer or out of range"),
        ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 NONSENSE 1", "ERR syntax error"),
        ("SCAN", "ERR wrong number of arguments for 'scan' command"),
        ("KEYS", "ERR wrong number of arguments for 'keys' command"),
        ("DBSIZE 1", "ERR wrong number of arguments for 'dbsize' command"),
    ] {
        assert_eq!(redis.tell(line).await, Reply::Error(words.to_owned()), "{line}");
    }
    let longest = "*".repeat(1024);
    assert_eq!(redis.tell(&format!("KEYS {longest}")).await, Reply::List(Vec::new()));
    for line in [format!("KEYS {longest}*"), format!("SCAN 0 MATCH {longest}*")] {
        let words = "ERR a pattern has at most 1024 bytes here";
        assert_eq!(redis.tell(&line).await, Reply::Error(words.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_no_ring_says_so() {
    let node = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    let mut redis = Redis::of(&node).await;
    for line in ["SCAN 0", "KEYS *", "DBSIZE", "RANDOMKEY"] {
        let reply = redis.tell(line).await;
        assert!(matches!(&reply, Reply::Error(words) if words.starts_with("LOADING ")), "{line}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipeline_a_list_of_all_keys_keeps_its_place() {
    let nodes = ring_of(3, Node::builder()).await;
    let mut redis = Redis::of(&nodes[2]).await;
    let one = |text: &str| Reply::Text(text.to_owned());
    for idx in 0..20 {
        redis.send(&format!("SET k{idx} 1\r\nKEYS *\r\nDBSIZE\r\nDEL k{idx}\r\nKEYS *\r\nSCAN 0\r\n")).await;
        assert_eq!(redis.reply().await, one("OK"));
        assert_eq!(redis.reply().await, Reply::List(vec![one(&format!("k{idx}"))]));
        assert_eq!((redis.reply().await, redis.reply().await), (one("1"), one("1")));
        assert_eq!(redis.reply().await, Reply::List(Vec::new()));
        assert_eq!(redis.reply().await, Reply::List(vec![one("0"), Reply::List(Vec::new())]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_ring_all_keys_of_one_position_are_told_together() {
    let nodes = ring_of(1, Node::builder().ring_size(RingSize::new(3).unwrap())).await;
    let mut redis = Redis::of(&nodes[0]).await;
    let keys = || (0..2000).map(|idx| format!("k{idx}"));
    redis.write(keys()).await;
    let listed = redis.scan_all("COUNT 1").await;
    assert_eq!(listed.len(), 2000);
    assert!(set(listed) == set(keys()));
    let (next, keys) = redis.scan("0", "COUNT 1").await;
    assert!(next == "1" && keys.len() > 200, "{} keys, then {next}", keys.len());
}
