//! Keyspace notifications, byte by byte.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::fmt::Write as _;
use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use rest_client::{DEADLINE, node, put, ring};

struct Client(TcpStream);

impl Client {
    async fn connect(node: &Node) -> Self {
        Self(TcpStream::connect(node.name().as_str()).await.unwrap())
    }

    /// Sends lines of words, and reads until the answers are these.
    async fn told(&mut self, lines: &str, answers: &str) {
        self.0.write_all(lines.as_bytes()).await.unwrap();
        let mut answer = vec![0; answers.len()];
        let read = tokio::time::timeout(DEADLINE, self.0.read_exact(&mut answer)).await;
        read.unwrap_or_else(|_| panic!("{lines}: not in time")).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), answers, "{lines}");
    }

    /// Subscribes to what happens to a key, as soon as there is room for one who watches.
    async fn subscribes(&mut self, key: &str) {
        let tries = async {
            loop {
                self.0.write_all(format!("SUBSCRIBE __keyspace@0__:{key}\r\n").as_bytes()).await.unwrap();
                let mut answer = [0; 1 << 10];
                let n_bytes = self.0.read(&mut answer).await.unwrap();
                if answer.starts_with(b"*3\r\n") {
                    return;
                }
                assert!(answer[..n_bytes].starts_with(b"-TRYAGAIN "));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, tries).await.expect("there is room in time");
    }

    /// Reads this, which it has not asked for.
    async fn hears(&mut self, parts: &[&str]) {
        self.told("", &array('*', parts)).await;
    }
}

/// A list of texts, which begins with that.
fn array(kind: char, parts: &[&str]) -> String {
    let mut text = format!("{kind}{}\r\n", parts.len());
    for part in parts {
        write!(text, "${}\r\n{part}\r\n", part.len()).unwrap();
    }
    text
}

fn confirmed(kind: char, word: &str, name: &str, count: usize) -> String {
    array(kind, &[word, name]).replacen('2', "3", 1) + &format!(":{count}\r\n")
}

const NOT_ALLOWED: &str =
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_confirmed_one_by_one_as_redis_does() {
    let node = node(Limits::default()).await;
    let mut client = Client::connect(&node).await;
    let subscribed = |name, count| confirmed('*', "subscribe", name, count);
    let both = subscribed("a", 1) + &subscribed("b", 2) + &subscribed("a", 2);
    client.told("SUBSCRIBE a b a\r\n", &both).await;
    client.told("get k\r\n", &format!("-ERR Can't execute 'get': {NOT_ALLOWED}\r\n")).await;
    client.told("HELLO 3\r\n", &format!("-ERR Can't execute 'hello': {NOT_ALLOWED}\r\n")).await;
    client.told("PING\r\nPING hi\r\n", &(array('*', &["pong", ""]) + &array('*', &["pong", "hi"]))).await;
    let gone = confirmed('*', "unsubscribe", "a", 1) + &confirmed('*', "unsubscribe", "b", 0);
    client.told("UNSUBSCRIBE\r\n", &gone).await;
    client.told("UNSUBSCRIBE\r\nGET k\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n$-1\r\n").await;
    client.told("PSUBSCRIBE x*\r\n", &confirmed('*', "psubscribe", "x*", 1)).await;
    client.told("UNSUBSCRIBE zz\r\n", &confirmed('*', "unsubscribe", "zz", 1)).await;
    client.told("RESET\r\nPING\r\n", "+RESET\r\n+PONG\r\n").await;
    client.told("SUBSCRIBE\r\n", "-ERR wrong number of arguments for 'subscribe' command\r\n").await;
    client.told("PUBLISH a b\r\n", "-ERR unknown command 'PUBLISH'\r\n").await;
    let says = array('*', &["notify-keyspace-events", "g$xKE"]);
    client.told("CONFIG GET notify-*\r\n", &says).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_what_happens_to_a_key_through_any_node() {
    let nodes = ring().await;
    let mut client = Client::connect(&nodes[0]).await;
    let mut events = Client::connect(&nodes[1]).await;
    let channel = "__keyspace@0__:a b";
    let line = format!("SUBSCRIBE \"{channel}\"\r\n");
    client.told(&line, &confirmed('*', "subscribe", channel, 1)).await;
    events.told("PSUBSCRIBE __key*:*d\r\n", &confirmed('*', "psubscribe", "__key*:*d", 1)).await;
    let mut writer = Client::connect(&nodes[2]).await;
    writer.told("SET other 1\r\nSET \"a b\" 1\r\nDEL \"a b\"\r\n", "+OK\r\n+OK\r\n:1\r\n").await;
    writer.told("SET \"a b\" 2 PX 50\r\n", "+OK\r\n").await;
    for happened in ["set", "del", "set", "expired"] {
        client.hears(&["message", channel, happened]).await;
    }
    events.hears(&["pmessage", "__key*:*d", "__keyevent@0__:expired", "a b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_protocol_has_other_commands_beside_subscriptions() {
    let node = node(Limits::default()).await;
    let mut client = Client::connect(&node).await;
    let mut hello = [0; 1024];
    client.0.write_all(b"HELLO 3\r\n").await.unwrap();
    while !String::from_utf8_lossy(&hello).contains("modules\r\n*0\r\n") {
        let n_bytes = client.0.read(&mut hello).await.unwrap();
        assert!(n_bytes > 0);
    }
    let pattern = "__keyspace@0__:k*";
    let line = format!("PSUBSCRIBE {pattern}\r\nPING\r\n");
    client.told(&line, &(confirmed('>', "psubscribe", pattern, 1) + "+PONG\r\n")).await;
    put(&node, "/v1/kv/k1", "", b"").await;
    client.told("", &array('>', &["pmessage", pattern, "__keyspace@0__:k1", "set"])).await;
    client.told("GET k1\r\n", "$0\r\n\r\n").await;
    let line = format!("PUNSUBSCRIBE {pattern}\r\n");
    client.told(&line, &confirmed('>', "punsubscribe", pattern, 0)).await;
    put(&node, "/v1/kv/k2", "", b"").await;
    client.told("GET k2\r\n", "$0\r\n\r\n").await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_reads_too_slowly_is_told_that_it_has_missed_something() {
    let node = node(Limits::default()).await;
    // What its system keeps for it is less than what is told.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut client = Client(socket.connect(node.name().as_str().parse().unwrap()).await.unwrap());
    let channel = "__chord__:missed";
    client.told("SUBSCRIBE __chord__:missed\r\n", &confirmed('*', "subscribe", channel, 1)).await;
    let (pattern, key) = ("__keyspace@0__:*", "k".repeat(4000));
    let line = format!("PSUBSCRIBE {pattern}\r\n");
    client.told(&line, &confirmed('*', "psubscribe", pattern, 2)).await;
    let mut writer = Client::connect(&node).await;
    let missed = array('*', &["message", channel, pattern]);
    // It reads when it is too late, and finds out then.
    let wrote = async {
        for _ in 0..30 {
            writer.told(&format!("SET {key} 1\r\n").repeat(100), &"+OK\r\n".repeat(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE * 3, wrote).await.expect("in time");
    let reads = async {
        let mut heard = Vec::with_capacity(1 << 20);
        while !String::from_utf8_lossy(&heard).contains(&missed) {
            let tail = heard.len().saturating_sub(missed.len());
            heard.drain(..tail);
            assert!(client.0.read_buf(&mut heard).await.unwrap() > 0);
        }
    };
    tokio::time::timeout(DEADLINE, reads).await.expect("it is told");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_subscribed_keeps_its_place_and_keeps_no_node_from_ending() {
    let limits = Limits { connections: 3, watches: 1, ..Limits::default() };
    let node = node(limits).await;
    let mut client = Client::connect(&node).await;
    let line = "SUBSCRIBE __keyspace@0__:k\r\n";
    let yes = confirmed('*', "subscribe", "__keyspace@0__:k", 1);
    client.told(line, &yes).await;
    let limit = "1 watches go through this node, as many as may: end some, or ask another node";
    for _ in 0..5 {
        Client::connect(&node).await.told(line, &format!("-TRYAGAIN {limit}\r\n")).await;
    }
    let written = Client::connect(&node).await.told("SET k 1\r\n", "+OK\r\n").await;
    assert_eq!(written, (), "an idle one has made room");
    client.hears(&["message", "__keyspace@0__:k", "set"]).await;
    let (mut heard, ends) = (Vec::new(), Duration::from_secs(10));
    tokio::time::timeout(ends, node.shutdown()).await.expect("it ends");
    let end = tokio::time::timeout(ends, client.0.read_to_end(&mut heard)).await;
    end.expect("its connection too").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsubscribed_makes_room_for_other_watches() {
    let node = node(Limits { watches: 2, ..Limits::default() }).await;
    for ends in ["UNSUBSCRIBE __keyspace@0__:b", "UNSUBSCRIBE", "RESET"] {
        let mut client = Client::connect(&node).await;
        client.subscribes("a").await;
        client.subscribes("b").await;
        client.0.write_all(format!("{ends}\r\n").as_bytes()).await.unwrap();
        Client::connect(&node).await.subscribes("c").await;
        drop(client);
    }
    node.shutdown().await;
}
