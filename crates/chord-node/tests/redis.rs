//! The Redis door, byte by byte.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(20);

async fn node(limits: Limits) -> Node {
    Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap()
}

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.name().as_str()).await.unwrap()
}

/// Sends lines of words, and reads until the answers are these.
async fn told(stream: &mut TcpStream, lines: &str, answers: &str) {
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut answer = vec![0; answers.len()];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.expect(lines).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), answers, "{lines}");
}

/// What comes until the node closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn each_command_answers_as_that_of_redis() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let tour = [
        ("PING\r\n", "+PONG\r\n"),
        ("*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\n", "$3\r\na\0b\r\n"),
        ("GET k\r\n", "$-1\r\n"),
        ("SET k v\r\n", "+OK\r\n"),
        ("get k\r\n", "$1\r\nv\r\n"),
        ("SET k w NX\r\n", "$-1\r\n"),
        ("SET k w XX GET\r\n", "$1\r\nv\r\n"),
        ("SET k x NX GET\r\n", "$1\r\nw\r\n"),
        ("SET k v EX 100\r\nTTL k\r\nSET k v KEEPTTL\r\nTTL k\r\n", "+OK\r\n:100\r\n+OK\r\n:100\r\n"),
        ("PERSIST k\r\nPERSIST k\r\nTTL k\r\nTTL none\r\n", ":1\r\n:0\r\n:-1\r\n:-2\r\n"),
        (
            "EXPIRE k 100 XX\r\nEXPIRE k 100 NX\r\nEXPIRE k 50 GT\r\nEXPIRE k 50 LT\r\n",
            ":0\r\n:1\r\n:0\r\n:1\r\n",
        ),
        ("EXPIREAT k 1\r\nEXISTS k\r\n", ":1\r\n:0\r\n"),
        ("INCR n\r\nINCRBY n 41\r\nDECR n\r\nDECRBY n 2\r\n", ":1\r\n:42\r\n:41\r\n:39\r\n"),
        ("INCRBYFLOAT n 0.5\r\n", "$4\r\n39.5\r\n"),
        ("INCR n\r\n", "-ERR value is not an integer or out of range\r\n"),
        ("INCRBYFLOAT n inf\r\n", "-ERR increment would produce NaN or Infinity\r\n"),
        ("INCRBYFLOAT n nan\r\n", "-ERR value is not a valid float\r\n"),
        ("SET n 9223372036854775807\r\nINCR n\r\n", "+OK\r\n-ERR increment or decrement would overflow\r\n"),
        ("APPEND s Hello\r\nAPPEND s \" World\"\r\nSTRLEN s\r\n", ":5\r\n:11\r\n:11\r\n"),
        ("GETRANGE s 0 4\r\nGETRANGE s -5 -1\r\n", "$5\r\nHello\r\n$5\r\nWorld\r\n"),
        ("SETRANGE s 6 Redis\r\nGET s\r\n", ":11\r\n$11\r\nHello Redis\r\n"),
        ("GETSET s z\r\nGETDEL s\r\nGETDEL s\r\n", "$11\r\nHello Redis\r\n$1\r\nz\r\n$-1\r\n"),
        ("SETNX s 1\r\nSETNX s 2\r\nGETEX s EX 9\r\nTTL s\r\n", ":1\r\n:0\r\n$1\r\n1\r\n:9\r\n"),
        ("MSET a 1 b 2 a 3\r\nMGET a b c\r\n", "+OK\r\n*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n"),
        ("EXISTS a b c a\r\nTYPE a\r\nTYPE c\r\nDEL a b c\r\n", ":3\r\n+string\r\n+none\r\n:2\r\n"),
        ("SELECT 0\r\nSELECT 1\r\n", "+OK\r\n-ERR DB index is out of range\r\n"),
        ("SELECT zero\r\n", "-ERR value is not an integer or out of range\r\n"),
        ("EXPIRE a 1 soon\r\n", "-ERR Unsupported option soon\r\n"),
        ("LPUSH l 1\r\n", "-ERR unknown command 'LPUSH'\r\n"),
        ("GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("MSET a\r\n", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("MSET a 1 b\r\n", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("SET a 1 EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n"),
        ("SET a 1 PX 9 EX 9\r\n", "-ERR syntax error\r\n"),
        (
            "FLUSHALL\r\n",
            "-NOPERM User default has no permissions to run the 'flushall' command: a node that is started with --allow-flush deletes all keys of the ring, whoever wrote them\r\n",
        ),
        ("CLUSTER INFO\r\n", "-ERR This instance has cluster support disabled\r\n"),
        ("CHORD.CAS v - one\r\n", "$"),
    ];
    for (lines, answers) in tour {
        told(&mut stream, lines, answers).await;
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_compare_and_set_stores_without_a_lifetime_as_set_does() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let mut other = connect(&node).await;
    other.write_all(b"SET k v EX 100\r\nCHORD.GETV k\r\nQUIT\r\n").await.unwrap();
    let answers = rest(&mut other).await;
    let version = answers.lines().rev().nth(1).unwrap();
    stream.write_all(format!("CHORD.CAS k {version} w\r\nTTL k\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert!(answers.starts_with('$') && answers.ends_with("\r\n:-1\r\n+OK\r\n"), "{answers}");
    node.shutdown().await;
}

#[tokio::test]
async fn several_of_the_longest_values_are_set_by_one_command() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let value = "v".repeat(1 << 20);
    let pairs =
        ["a", "b", "c", "d", "e"].map(|key| format!("$1\r\n{key}\r\n$1048576\r\n{value}\r\n")).concat();
    stream.write_all(format!("*11\r\n$4\r\nMSET\r\n{pairs}").as_bytes()).await.unwrap();
    told(&mut stream, "STRLEN e\r\n", "+OK\r\n:1048576\r\n").await;
    node.shutdown().await;
}

#[tokio::test]
async fn the_patterns_of_a_connection_have_a_limit_together() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let patterns: Vec<String> = (0..17).map(|idx| format!("k*{}{idx:02}", "?".repeat(1020))).collect();
    stream.write_all(format!("PSUBSCRIBE {}\r\nQUIT\r\n", patterns.join(" ")).as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("$10\r\npsubscribe").count(), 16, "{answers}");
    assert!(answers.contains("-ERR the patterns of a connection have 16384 bytes at most"), "{answers}");
    node.shutdown().await;
}

#[tokio::test]
async fn a_pipeline_is_answered_in_its_order_and_each_key_is_as_its_commands_say() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let (mut lines, mut answers) = (String::new(), String::new());
    for idx in 0..500 {
        use std::fmt::Write as _;
        let key = idx % 7;
        write!(lines, "SET k{key} {idx}\r\nGET k{key}\r\nINCR k{key}\r\nGET k{key}\r\n").unwrap();
        let (value, next) = (idx.to_string(), (idx + 1).to_string());
        let (length, next_length) = (value.len(), next.len());
        write!(answers, "+OK\r\n${length}\r\n{value}\r\n:{next}\r\n${next_length}\r\n{next}\r\n").unwrap();
    }
    told(&mut stream, &lines, &answers).await;
    node.shutdown().await;
}

#[tokio::test]
async fn commands_that_begin_together_are_answered_in_their_order_among_others() {
    use std::fmt::Write as _;
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let (mut lines, mut answers) = (String::new(), String::new());
    for idx in 0..100 {
        write!(lines, "SET k{idx} {idx}\r\n").unwrap();
        answers.push_str("+OK\r\n");
    }
    lines.push_str("MGET k98 k99\r\nPING\r\nGET k99\r\nGET\r\nGET k0\r\nDEL k0 k1\r\nGET k0\r\nGET k2\r\n");
    answers.push_str("*2\r\n$2\r\n98\r\n$2\r\n99\r\n+PONG\r\n$2\r\n99\r\n");
    answers
        .push_str("-ERR wrong number of arguments for 'get' command\r\n$1\r\n0\r\n:2\r\n$-1\r\n$1\r\n2\r\n");
    lines.push_str("CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nSET b 2\r\nQUIT\r\nGET b\r\n");
    answers.push_str("$1\r\n1\r\n+OK\r\n+OK\r\n");
    told(&mut stream, &lines, &answers).await;
    assert_eq!(rest(&mut stream).await, "", "it has said goodbye");
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_that_wants_no_answers_gets_none_and_the_newer_protocol_has_maps() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    told(&mut stream, "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n", "$1\r\n1\r\n").await;
    told(
        &mut stream,
        "CLIENT REPLY OFF\r\nSET a 2\r\nnonsense\r\nCLIENT REPLY ON\r\nGET a\r\n",
        "+OK\r\n$1\r\n2\r\n",
    )
    .await;
    told(&mut stream, "HELLO 3\r\n", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n").await;
    let both = "$-1\r\n%7\r\n";
    told(&mut connect(&node).await, "GET none\r\nHELLO 3\r\n", both).await;
    told(&mut connect(&node).await, "HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n").await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_refused_as_a_whole() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let refused = "-ERR a ring has no transactions: send these commands without MULTI, as a pipeline, or use CHORD.CAS\r\n";
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let tour = [
        ("SET k v\r\n", "+OK\r\n".to_owned()),
        ("MULTI\r\nSET k w\r\nGET k\r\nEXEC\r\n", format!("+OK\r\n{refused}{refused}{aborted}")),
        ("GET k\r\n", "$1\r\nv\r\n".to_owned()),
        ("MULTI\r\nSET k w\r\nDISCARD\r\nGET k\r\n", format!("+OK\r\n{refused}+OK\r\n$1\r\nv\r\n")),
        ("MULTI\r\nnonsense\r\nEXEC\r\n", format!("+OK\r\n-ERR unknown command 'nonsense'\r\n{aborted}")),
        ("MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n".to_owned()),
        ("MULTI\r\nMULTI\r\nRESET\r\n", "+OK\r\n-ERR MULTI calls can not be nested\r\n+RESET\r\n".to_owned()),
        ("EXEC\r\nDISCARD\r\n", "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n".to_owned()),
        ("GET k\r\n", "$1\r\nv\r\n".to_owned()),
    ];
    for (lines, answers) in tour {
        told(&mut stream, lines, &answers).await;
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_sees_its_own_connection_and_no_other() {
    let node = node(Limits::default()).await;
    let (mut stream, mut other) = (connect(&node).await, connect(&node).await);
    told(&mut other, "CLIENT SETNAME other\r\n", "+OK\r\n").await;
    told(&mut stream, "CLIENT SETNAME mine\r\n", "+OK\r\n").await;
    let nothing = "$0\r\n\r\n";
    told(&mut stream, "CLIENT LIST TYPE pubsub\r\n", nothing).await;
    told(&mut stream, "CLIENT LIST ID 999999999\r\n", nothing).await;
    told(&mut stream, "CLIENT LIST TYPE nonsense\r\n", "-ERR Unknown client type\r\n").await;
    told(&mut stream, "CLIENT LIST ID one\r\n", "-ERR Invalid client ID\r\n").await;
    told(&mut stream, "CLIENT LIST nonsense\r\n", "-ERR syntax error\r\n").await;
    let plain = "cannot contain spaces, newlines or special characters.\r\n";
    told(&mut stream, "CLIENT SETNAME \"a b\"\r\n", &format!("-ERR Client names {plain}")).await;
    told(&mut stream, "CLIENT SETINFO LIB-NAME \"a b\"\r\n", &format!("-ERR lib-name {plain}")).await;
    stream.write_all(b"CLIENT LIST\r\nQUIT\r\n").await.unwrap();
    let list = rest(&mut stream).await;
    assert!(list.contains(" name=mine ") && list.contains(" cmd=client|list user=default "), "{list}");
    assert!(!list.contains("other") && list.contains(" flags=N db=0 sub=0 psub=0 "), "{list}");
    told(&mut other, "CLIENT SETNAME other\r\n", "+OK\r\n").await;
    other
        .write_all(b"HELLO 3\r\nSUBSCRIBE news\r\nPSUBSCRIBE a.* b.*\r\nCLIENT LIST TYPE pubsub\r\nQUIT\r\n")
        .await
        .unwrap();
    let list = rest(&mut other).await;
    assert!(list.contains(" name=other ") && list.contains(" flags=P db=0 sub=1 psub=2 "), "{list}");
    node.shutdown().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_ends_the_connection() {
    let node = node(Limits::default()).await;
    let cases = [
        ("*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
        ("*9223372036854775807\r\n", "-ERR Protocol error: invalid multibulk length"),
        ("*2\r\n$3\r\nGET\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ];
    for (bytes, refused) in cases {
        let mut stream = connect(&node).await;
        stream.write_all(b"PING\r\n").await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(&format!("+PONG\r\n{refused}")), "{bytes}: {answer}");
    }
    let mut stream = connect(&node).await;
    stream.write_all(b"PING\r\nPOST / HTTP/1.1\r\nHost: x\r\n\r\nSET stolen 1\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "+PONG\r\n");
    let mut stream = connect(&node).await;
    stream.write_all(b"SET k v\r\nQUIT\r\nSET k w\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "+OK\r\n+OK\r\n");
    told(&mut connect(&node).await, "MGET stolen k\r\n", "*2\r\n$-1\r\n$1\r\nv\r\n").await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_silent_client_may_stay_and_half_a_request_may_not() {
    let short = Duration::from_millis(200);
    let node = node(Limits { header_read: short, body_read: short, ..Limits::default() }).await;
    let mut silent = connect(&node).await;
    told(&mut silent, "PING\r\n", "+PONG\r\n").await;
    let mut half = connect(&node).await;
    told(&mut half, "PING\r\n", "+PONG\r\n").await;
    half.write_all(b"*2\r\n$3\r\nGE").await.unwrap();
    let late = "-ERR Protocol error: the request did not arrive in time: send all of it at once\r\n";
    assert_eq!(rest(&mut half).await, late);
    assert_eq!(rest(&mut connect(&node).await).await, "", "whoever says nothing at all is closed too");
    told(&mut silent, "PING\r\n", "+PONG\r\n").await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_slowed_and_then_closed() {
    let limits = Limits { answer_write: Duration::from_millis(500), ..Limits::default() };
    let node = node(limits).await;
    let mut stream = connect(&node).await;
    let value = "v".repeat(900 << 10);
    told(&mut stream, &format!("SET k {}\r\n", "v".repeat(60 << 10)), "+OK\r\n").await;
    node.put(b"k", value.as_bytes()).await.unwrap();
    let gets = "GET k\r\n".repeat(1000);
    // The node takes no more requests when its answers are not read, and closes after a while.
    let sent = tokio::time::timeout(DEADLINE, async {
        loop {
            if stream.write_all(gets.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    assert!(sent.await.is_ok(), "it is closed");
    node.shutdown().await;
}

#[tokio::test]
async fn many_clients_may_write_one_key() {
    let node = node(Limits::default()).await;
    let mut clients = Vec::new();
    for client in 0..20 {
        let mut stream = connect(&node).await;
        clients.push(tokio::spawn(async move {
            for idx in 0..50 {
                told(&mut stream, &format!("SET k {client}-{idx}\r\n"), "+OK\r\n").await;
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    node.shutdown().await;
}
