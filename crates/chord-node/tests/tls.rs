//! Rings that speak TLS: who is let in, who is not, what is refused at the start, and certificates that change.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod certificates;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chord_kv::replication::{Consistency, Operation};
use chord_kv::{Key, VALUE_BYTES_DEFAULT, Value};
use chord_node::{Client, ClientError, ClientTls, Connected, Limits, Node, TlsFiles};
use chord_ring::NodeName;
use chord_wire::frame::{Hello, Kind, OPENING, Outbox, VERSIONS};
use chord_wire::seed;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use certificates::{Authority, DEADLINE, HERE, THERE, hello, showing, start, write};

// A third host beside the two.
const ELSEWHERE: &str = "127.0.0.3";

fn client(node: &Node, tls: &ClientTls) -> Client {
    Client::new(node.name().clone()).with_tls(tls.clone())
}

async fn operate(client: &Client, key: &str, operation: Operation) -> Result<Option<Vec<u8>>, ClientError> {
    let key = Key::new(key.as_bytes()).unwrap();
    let operated = client.operate(key, operation, Consistency::Usual, DEADLINE).await?;
    Ok(operated.outcome.record.and_then(|record| Some(record.value?.as_bytes().to_vec())))
}

fn put(value: &[u8]) -> Operation {
    Operation::put(Value::new(value, VALUE_BYTES_DEFAULT).unwrap())
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waits).await.expect(what);
}

/// One request over HTTP in TLS, and all that comes back.
async fn ask(node: &NodeName, tls: &ClientTls, request: &str) -> String {
    let asks = async {
        let mut stream = Connected::to(node, Some(tls)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(DEADLINE, asks).await.expect("an answer in time")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

async fn metric(node: &Node, tls: &ClientTls, name: &str) -> f64 {
    let text = ask(node.name(), tls, &get("/metrics")).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not told")).parse().unwrap()
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn nodes_with_certificates_are_a_ring_that_keeps_what_is_written_at_any_of_them() {
    let authority = Authority::new();
    let first = start(HERE, authority.node(HERE), None).await;
    let mut nodes = vec![];
    for host in [THERE, ELSEWHERE] {
        let node = start(host, authority.node(host), Some(&first)).await;
        tokio::time::timeout(DEADLINE, node.ready()).await.expect("it joins").unwrap();
        nodes.push(node);
    }
    nodes.push(first);
    until("three nodes know each other, and nothing is lacking", async || {
        let know = |node: &Node| node.view().successors().as_slice().len() == 2 && node.readiness().is_ok();
        nodes.iter().all(know)
    })
    .await;
    let tls = ClientTls::new(authority.file()).unwrap();
    let clients: Vec<Client> = nodes.iter().map(|node| client(node, &tls)).collect();
    // Longer than what TLS takes at a time.
    let long = vec![b'x'; 700_000];
    for (idx, writer) in clients.iter().enumerate() {
        for number in 0..10 {
            operate(writer, &format!("{idx}/{number}"), put(format!("value {number}").as_bytes()))
                .await
                .unwrap();
        }
        operate(writer, &format!("long {idx}"), put(&long)).await.unwrap();
    }
    for reader in &clients {
        for idx in 0..clients.len() {
            for number in 0..10 {
                let got = operate(reader, &format!("{idx}/{number}"), Operation::Get).await.unwrap();
                assert_eq!(got.unwrap(), format!("value {number}").into_bytes());
            }
            assert!(
                operate(reader, &format!("long {idx}"), Operation::Get).await.unwrap() == Some(long.clone())
            );
        }
        assert_eq!(reader.report(DEADLINE).await.unwrap().ring.successors.len(), 2, "REST too");
        let got = reader.call(&seed::Request::Get { key: "0/0".to_owned() }, DEADLINE).await.unwrap();
        assert!(matches!(got.answer, seed::Answer::Get { value: Some(_), .. }), "the seed's words too");
    }
    // One leaves, and hands on what it has.
    let left = nodes.pop().unwrap().shutdown().await;
    assert_eq!(left.left_behind, 0, "{left:?}");
    assert_eq!(operate(&clients[0], "2/3", Operation::Get).await.unwrap(), Some(b"value 3".to_vec()));
    stop(nodes).await;
}

#[tokio::test]
async fn plain_text_is_refused_at_each_door_in_its_own_language() {
    let authority = Authority::new();
    let node = start(HERE, authority.node(HERE), None).await;
    let mut outbox = Outbox::default();
    outbox.open();
    let hello = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: None };
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    let cases: [(&[u8], &str); 6] = [
        (b"GET /v1/kv/k HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 400 "),
        (b"POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 400 "),
        (b"*1\r\n$4\r\nPING\r\n", "-ERR this node speaks TLS alone"),
        (b"SET k v\r\n", "-ERR this node speaks TLS alone"),
        (outbox.unsent(), std::str::from_utf8(&OPENING[1..5]).unwrap_or_default()),
        (b"\x00\x01\x02", "HTTP/1.1 400 "),
    ];
    for (said, expected) in cases {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("it hangs up").unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains(expected) && answer.contains("--tls-ca"), "{answer}");
    }
    let plain = Client::new(node.name().clone());
    let error = operate(&plain, "k", put(b"v")).await.unwrap_err().to_string();
    assert!(error.contains("speaks TLS alone"), "{error}");
    let tls = ClientTls::new(authority.file()).unwrap();
    assert_eq!(
        operate(&client(&node, &tls), "k", Operation::Get).await.unwrap(),
        None,
        "nothing has changed"
    );
    assert!(metric(&node, &tls, "chord_tls_handshakes_total{result=\"plain\"}").await >= 7.0);
    stop([node]).await;
}

#[tokio::test]
async fn a_client_believes_only_a_node_whose_certificate_is_for_its_host_and_of_an_authority_it_trusts() {
    let (authority, other) = (Authority::new(), Authority::new());
    let node = start(HERE, authority.node(HERE), None).await;
    let open = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let trusting = ClientTls::new(other.file()).unwrap();
    let error = operate(&client(&node, &trusting), "k", put(b"v")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::NoTls { reason, .. } if reason.contains("no authority")),
        "{error}"
    );
    let tls = ClientTls::new(authority.file()).unwrap();
    let error = operate(&client(&open, &tls), "k", put(b"v")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::NoTls { reason, .. } if reason.contains("does not speak TLS")),
        "{error}"
    );
    let by_name: NodeName = format!("localhost:{}", node.name().port()).parse().unwrap();
    let error = operate(&Client::new(by_name).with_tls(tls), "k", put(b"v")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::NoTls { reason, .. } if reason.contains("not for localhost")),
        "{error}"
    );
    stop([node, open]).await;
}

/// As `openssl ec -aes128` writes it.
const LOCKED: &str = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
    DEK-Info: AES-128-CBC,1532E491359F7C6052187199B047823F\n\nAAAA\n-----END EC PRIVATE KEY-----\n";

#[tokio::test]
async fn each_set_of_files_that_others_would_not_believe_is_refused_at_the_start_with_the_remedy() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.node(HERE);
    let stranger = other.node(HERE);
    let path = |name: &str, text: &str, mode| {
        let path = authority.path(name);
        write(&path, text, mode);
        path
    };
    let whole = std::fs::read_to_string(&good.certificate).unwrap();
    let key = std::fs::read_to_string(&good.key).unwrap();
    let half = path("half.pem", &whole[..whole.len() / 2], 0o644);
    let with_certificate =
        |certificate: &Path| TlsFiles { certificate: certificate.to_owned(), ..good.clone() };
    let with_key = |key: &Path| TlsFiles { key: key.to_owned(), ..good.clone() };
    let with_authority = |authority: &Path| TlsFiles { authority: authority.to_owned(), ..good.clone() };
    let one_sided = [ExtendedKeyUsagePurpose::ServerAuth];
    let as_dns_name = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::DnsName(HERE.try_into().unwrap())];
    };
    let cases = [
        (with_certificate(&authority.path("none.pem")), "cannot read"),
        (with_certificate(authority.path("ca.pem").parent().unwrap()), "is no file"),
        (with_certificate(&path("empty.pem", "", 0o644)), "no certificate in"),
        (
            with_certificate(&good.key),
            "has a private key and no certificate: name the certificate by --tls-cert",
        ),
        (
            with_key(&good.certificate),
            "has a certificate and no private key: name the certificate by --tls-cert",
        ),
        (with_certificate(&authority.file()), "is that of an authority, which is no node"),
        (authority.signed("dns", HERE, as_dns_name), "one made with IP:127.0.0.1 in its subjectAltName"),
        (with_key(&path("locked.key", LOCKED, 0o600)), "has a passphrase"),
        (
            with_key(&path("locked8.key", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600)),
            "has a passphrase",
        ),
        (with_key(&path("shown.key", LOCKED, 0o644)), "chmod o= "),
        (with_certificate(&half), "no whole PEM"),
        (
            with_certificate(&path(
                "junk.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                0o644,
            )),
            "make it anew",
        ),
        (with_key(&path("open.key", &key, 0o604)), "chmod o= "),
        (with_key(&path("half.key", &key[..key.len() / 2], 0o600)), "no whole PEM"),
        (with_key(&path("empty.key", "", 0o600)), "no private key in"),
        (with_key(&stranger.key), "is not that of the certificate"),
        (with_authority(&authority.path("none.pem")), "cannot read"),
        (with_authority(&path("no-ca.pem", "", 0o644)), "no certificate in"),
        (with_authority(&other.file()), "no authority in"),
        (authority.node(THERE), "is for 127.0.0.2, and this node is called 127.0.0.1"),
        (
            authority.signed("old", HERE, |params| params.not_after = date_time_ymd(2020, 1, 2)),
            "expired on Thu, 02 Jan 2020 00:00:00 GMT, and this machine's clock says",
        ),
        (
            authority.signed("new", HERE, |params| params.not_before = date_time_ymd(2050, 1, 2)),
            "is valid from Sun, 02 Jan 2050",
        ),
        (
            authority.signed("side", HERE, |params| params.extended_key_usages = one_sided.to_vec()),
            "servers and clients alike",
        ),
    ];
    for (files, expected) in cases {
        let started = Node::builder().listen("127.0.0.1:0").tls(files).start().await;
        let Err(error) = started else { panic!("{expected}: it starts") };
        let said = error.to_string();
        assert!(said.contains(expected) && !said.contains('\n'), "{said}");
    }
    stop([start(HERE, good, None).await]).await;
}

/// Opens with a hello of that name, and says the kind of what comes back.
async fn hail(node: &Node, tls: &ClientTls, name: Option<&str>) -> u8 {
    let hails = async {
        let mut stream = Connected::to(node.name(), Some(tls)).await.unwrap();
        stream.write_all(&hello(name)).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; OPENING.len() + 5];
        stream.read_exact(&mut answer).await.unwrap();
        answer[OPENING.len() + 4]
    };
    tokio::time::timeout(DEADLINE, hails).await.expect("an answer in time")
}

#[tokio::test]
async fn whoever_calls_itself_a_node_has_to_show_a_certificate_for_the_host_of_that_name() {
    let authority = Authority::new();
    let node = start(HERE, authority.node(HERE), None).await;
    let nobody = ClientTls::new(authority.file()).unwrap();
    let there = showing(authority.node(THERE));
    let (welcome, declined) = (Kind::Welcome.number(), Kind::Declined.number());
    assert_eq!(hail(&node, &nobody, None).await, welcome, "clients need no certificate");
    assert_eq!(hail(&node, &there, Some("127.0.0.2:4567")).await, welcome);
    for (tls, name) in
        [(&nobody, "127.0.0.2:4567"), (&there, "127.0.0.3:4567"), (&there, node.name().as_str())]
    {
        assert_eq!(hail(&node, tls, Some(name)).await, declined, "{name}");
    }
    // In headers as well, and in what a body says for others.
    let body = br#"{"remote_node":"127.0.0.2:4567"}"#;
    let notify = |from: &str| {
        let from = if from.is_empty() { String::new() } else { format!("chord-from: {from}\r\n") };
        let length = body.len();
        let text = std::str::from_utf8(body).unwrap();
        format!(
            "POST /notify HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{from}\r\n{text}"
        )
    };
    for (tls, from, status) in [
        (&nobody, "", "403"),
        (&nobody, "127.0.0.2:4567", "403"),
        (&there, "", "403"),
        (&there, "127.0.0.3:4567", "403"),
        (&there, "127.0.0.2:9", "403"),
        (&there, "127.0.0.2:4567", "200"),
    ] {
        let answer = ask(node.name(), tls, &notify(from)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{from}: {answer}");
    }
    let get = |from: &str| {
        format!("GET /v1/kv/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nchord-from: {from}\r\n\r\n")
    };
    assert!(
        ask(node.name(), &nobody, &get("127.0.0.1:1")).await.starts_with("HTTP/1.1 403 "),
        "also where it would do nothing by it"
    );
    assert!(metric(&node, &nobody, "chord_tls_handshakes_total{result=\"impostor\"}").await >= 5.0);
    let certificates = async || metric(&node, &nobody, "chord_refused_total{why=\"certificate\"}").await;
    assert!((8.0..9.0).contains(&certificates().await), "three in frames, four in headers and one in a body");
    assert!(node.view().predecessor().is_none() && node.view().successors().is_empty());
    // One whom another authority has signed does not even get a session.
    let stranger = showing(TlsFiles { authority: authority.file(), ..Authority::new().node(THERE) });
    let mut refused = Connected::to(node.name(), Some(&stranger)).await;
    if let Ok(stream) = &mut refused {
        let _ = stream.write_all(b"PING\r\n").await;
        assert!(!matches!(stream.read(&mut [0; 16]).await, Ok(1..)), "nothing is answered");
    }
    until("it is counted", async || certificates().await >= 9.0).await;
    stop([node]).await;
}

#[tokio::test]
async fn who_does_not_say_in_time_what_it_speaks_is_counted_where_tls_alone_is_spoken() {
    let authority = Authority::new();
    let limits = Limits { header_read: Duration::from_secs(1), ..Limits::default() };
    let builder = Node::builder().listen("127.0.0.1:0").tls(authority.node(HERE)).limits(limits);
    let node = builder.start().await.unwrap();
    let nobody = ClientTls::new(authority.file()).unwrap();
    let late = async || metric(&node, &nobody, "chord_refused_total{why=\"time\"}").await;
    // Half of what tells TLS from all else, and half of a session's beginning.
    for (begun, n_late) in [(&b"\x16"[..], 1.0), (b"\x16\x03\x01\x01\x00\x01", 2.0)] {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut answer = [0; 16];
        let ended = tokio::time::timeout(DEADLINE, stream.read(&mut answer)).await;
        ended.expect("an end in time").ok();
        // An alert of TLS at most, and no session.
        assert!([0, 0x15].contains(&answer[0]), "{answer:?}");
        until("it is counted", async || late().await >= n_late).await;
    }
    stop([node]).await;
}

#[tokio::test]
async fn a_plain_node_and_one_of_another_authority_never_join_and_their_ring_is_joined_by_nobody_of_ours() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let secured = start(HERE, ours.node(HERE), None).await;
    let open = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let waits = |host: &str| Node::builder().listen(&format!("{host}:0")).wait_for_command();
    let plain = waits(HERE).start().await.unwrap();
    let stranger = waits(THERE).tls(theirs.node(THERE)).start().await.unwrap();
    let member = waits(THERE).tls(ours.node(THERE)).start().await.unwrap();
    for (node, contact) in [(&plain, &secured), (&stranger, &secured), (&member, &open)] {
        let joined =
            tokio::time::timeout(DEADLINE, node.join(contact.name().clone())).await.expect("an end in time");
        assert!(joined.is_err() && !node.view().is_member(), "{} is in a ring", node.name());
    }
    assert!(secured.view().successors().is_empty() && open.view().successors().is_empty());
    member.join(secured.name().clone()).await.unwrap();
    stop([plain, stranger, member, open, secured]).await;
}

#[tokio::test]
async fn a_certificate_is_changed_under_load_and_nothing_is_lost_and_a_wrong_one_changes_nothing() {
    let authority = Authority::new();
    let files = authority.node(HERE);
    let node = start(HERE, files.clone(), None).await;
    let second = start(THERE, authority.node(THERE), Some(&node)).await;
    tokio::time::timeout(DEADLINE, second.ready()).await.expect("it joins").unwrap();
    let tls = ClientTls::new(authority.file()).unwrap();
    let (is_over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let load = async {
        while !is_over.load(Ordering::Relaxed) {
            // On a new connection each time, and on the ring's own.
            let number = written.fetch_add(1, Ordering::Relaxed);
            for at in [&node, &second] {
                operate(&client(at, &tls), &format!("{number}"), put(b"value")).await.unwrap();
            }
        }
    };
    let expiry = async || metric(&node, &tls, "chord_tls_certificate_expiry_seconds").await;
    let refused = async || metric(&node, &tls, "chord_tls_files_refused").await > 0.0;
    let changes = async {
        let first = expiry().await;
        assert!(metric(&node, &tls, "chord_tls_certificate_begin_seconds").await < first);
        let good = authority.made(HERE, |params| params.not_after = date_time_ymd(2050, 1, 2));
        let take = |(certificate, key): (&str, &str)| {
            write(&files.key, key, 0o600);
            write(&files.certificate, certificate, 0o644);
        };
        // One after the other: between the two they do not belong together.
        take((&good.0, &good.1));
        until("the new one is used", async || expiry().await < first).await;
        let now = expiry().await;
        let of_other = authority.made(THERE, |_| {});
        let old = authority.made(HERE, |params| params.not_after = date_time_ymd(2020, 1, 2));
        for wrong in [
            (&good.0[..good.0.len() / 2], &good.1[..]),
            (&of_other.0, &good.1),
            (&of_other.0, &of_other.1),
            (&old.0, &old.1),
            ("", &good.1),
        ] {
            take(wrong);
            until("it is seen", refused).await;
            assert!((expiry().await - now).abs() < 0.5, "the good one stays");
            take((&good.0, &good.1));
            until("it is well again", async || !refused().await).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, changes);
    let reader = client(&second, &tls);
    for number in 0..written.load(Ordering::Relaxed) {
        assert!(operate(&reader, &format!("{number}"), Operation::Get).await.unwrap().is_some(), "{number}");
    }
    stop([second, node]).await;
}

async fn limited(limits: Limits, authority: &Authority) -> Node {
    Node::builder().listen("127.0.0.1:0").tls(authority.node(HERE)).limits(limits).start().await.unwrap()
}

/// What comes back until the other side hangs up.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it hangs up");
    rest
}

#[tokio::test]
async fn handshakes_that_are_slow_old_or_wrong_are_ended_and_keep_nobody_out() {
    let authority = Authority::new();
    let short = Duration::from_millis(500);
    let node = limited(Limits { connections: 4, header_read: short, ..Limits::default() }, &authority).await;
    let tls = ClientTls::new(authority.file()).unwrap();
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(
        operate(&client(&node, &tls), "k", put(b"v")).await.unwrap(),
        Some(b"v".to_vec()),
        "one more finds a place"
    );
    for stream in &mut slow {
        let answer = rest(stream).await;
        assert!(matches!(answer[..], [] | [0x15, 3, _, 0, 2, 1, 0]), "{answer:?} is more than a farewell");
    }
    // TLS 1.1, which has no extension that says of a newer version.
    let mut old = b"\x16\x03\x01\x00\x37\x01\x00\x00\x33\x03\x02".to_vec();
    old.extend_from_slice(&[7; 32]);
    old.extend_from_slice(b"\x00\x00\x02\xc0\x13\x01\x00\x00\x08\x00\x0d\x00\x04\x00\x02\x04\x03");
    let junk = b"\x16\x03\x01\x00\x04\x63\x00\x00\x00".to_vec();
    for (said, alert) in [(old, Some(70)), (junk, None)] {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        let _ = stream.write_all(&said).await;
        let answer = rest(&mut stream).await;
        let [0x15, 3, _, 0, 2, 2, code] = answer[..] else { panic!("{answer:?} is no alert") };
        assert!(alert.is_none_or(|alert| alert == code), "{code}");
    }
    assert!(metric(&node, &tls, "chord_tls_handshakes_total{result=\"failed\"}").await >= 6.0);
    stop([node]).await;
}

#[tokio::test]
async fn a_client_that_comes_again_goes_on_with_its_session() {
    let authority = Authority::new();
    let node = start(HERE, authority.node(HERE), None).await;
    let tls = ClientTls::new(authority.file()).unwrap();
    let resumed = async || metric(&node, &tls, "chord_tls_handshakes_total{result=\"resumed\"}").await;
    until("it goes on", async || resumed().await > 0.0).await;
    stop([node]).await;
}

#[tokio::test]
async fn one_who_watches_in_tls_and_goes_is_noticed_though_nothing_happens() {
    let authority = Authority::new();
    let node = limited(Limits { watches: 1, ..Limits::default() }, &authority).await;
    let tls = ClientTls::new(authority.file()).unwrap();
    let request = b"GET /v1/watch/k HTTP/1.1\r\nhost: x\r\n\r\n";
    let watches = async || {
        let mut stream = Connected::to(node.name(), Some(&tls)).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.flush().await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        (head.ends_with(b"200"), stream)
    };
    let (is_first_let_in, first) = watches().await;
    assert!(is_first_let_in);
    assert!(!watches().await.0, "there is one place");
    drop(first);
    until("its place is free", async || watches().await.0).await;
    stop([node]).await;
}

#[tokio::test]
async fn one_who_asks_for_much_in_tls_and_reads_nothing_is_let_go() {
    let authority = Authority::new();
    let short = Duration::from_millis(300);
    let node = limited(Limits { answer_write: short, ..Limits::default() }, &authority).await;
    let tls = ClientTls::new(authority.file()).unwrap();
    operate(&client(&node, &tls), "k", put(&vec![b'v'; VALUE_BYTES_DEFAULT])).await.unwrap();
    let cases =
        [("http", "GET /v1/kv/k HTTP/1.1\r\nhost: x\r\n\r\n"), ("redis", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")];
    for (protocol, request) in cases {
        let open = format!("chord_connections{{protocol=\"{protocol}\"}}");
        // Who asks for metrics is there too.
        let others = f64::from(protocol == "http");
        let mut stream = Connected::to(node.name(), Some(&tls)).await.unwrap();
        stream.write_all(request.repeat(64).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        until("it is there", async || metric(&node, &tls, &open).await > others).await;
        until("it is let go", async || metric(&node, &tls, &open).await <= others).await;
        drop(stream);
    }
    stop([node]).await;
}

#[tokio::test]
async fn many_large_requests_at_a_time_on_one_connection_are_all_answered() {
    const N_KEYS: u32 = 64;
    let authority = Authority::new();
    let first = start(HERE, authority.node(HERE), None).await;
    let second = start(THERE, authority.node(THERE), Some(&first)).await;
    tokio::time::timeout(DEADLINE, second.ready()).await.expect("it joins").unwrap();
    let client = &client(&first, &ClientTls::new(authority.file()).unwrap());
    let value = |number: u32| number.to_be_bytes().repeat(60_000);
    let key = |number: u32| format!("key {number}");
    let puts =
        (0..N_KEYS).map(|number| async move { operate(client, &key(number), put(&value(number))).await });
    for stored in futures_util::future::join_all(puts).await {
        stored.unwrap();
    }
    let gets = (0..N_KEYS).map(|number| async move { operate(client, &key(number), Operation::Get).await });
    for (number, got) in (0..).zip(futures_util::future::join_all(gets).await) {
        assert!(got.unwrap() == Some(value(number)), "{number}");
    }
    stop([second, first]).await;
}

#[tokio::test]
async fn with_a_secret_too_both_must_hold() {
    let authority = Authority::new();
    let secret = authority.path("secret");
    write(&secret, "the-secret-of-this-ring\n", 0o600);
    let builder = |host: &str| Node::builder().listen(&format!("{host}:0")).tls(authority.node(host));
    let first = builder(HERE).secret_file(&secret).start().await.unwrap();
    let second = builder(THERE).secret_file(&secret).join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, second.ready()).await.expect("it joins").unwrap();
    let without = builder(ELSEWHERE).wait_for_command().start().await.unwrap();
    let joined = tokio::time::timeout(DEADLINE, without.join(first.name().clone())).await;
    assert!(joined.expect("an end in time").is_err(), "a certificate alone makes no member");
    let plain = Node::builder().listen("127.0.0.1:0").secret_file(&secret).wait_for_command();
    let plain = plain.start().await.unwrap();
    let joined = tokio::time::timeout(DEADLINE, plain.join(first.name().clone())).await;
    assert!(joined.expect("an end in time").is_err(), "nor does a secret");
    let tls = ClientTls::new(authority.file()).unwrap();
    let error = operate(&client(&first, &tls), "k", put(b"v")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused { sentence, .. } if sentence.contains("secret")),
        "{error}"
    );
    let known = client(&second, &tls).with_secret_file(&secret).unwrap();
    assert_eq!(operate(&known, "k", put(b"v")).await.unwrap(), Some(b"v".to_vec()));
    stop([plain, without, second, first]).await;
}
