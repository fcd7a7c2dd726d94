use std::time::Duration;

use chord_ring::NodeName;
use chord_wire::rest::REPORT_BYTES_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Node;

const DEADLINE: Duration = Duration::from_secs(20);

/// Looks until what is shown holds these words, each in some event.
async fn look_until(look: &mut Look, words: &[String]) -> String {
    let mut shown = String::new();
    let looking = async {
        while !words.iter().all(|word| shown.contains(word)) {
            let event = look.next(Some).await.expect("the node runs");
            shown.push_str(&String::from_utf8(event).expect("events are text"));
        }
    };
    let ended = tokio::time::timeout(DEADLINE, looking).await;
    assert!(ended.is_ok(), "not all of {words:?} are in {}", &shown[..shown.len().min(4000)]);
    shown
}

fn seen(name: &NodeName, shared: &Shared, answer: &str) -> String {
    let position = shared.peer(name.clone()).position;
    format!("{{\"node\":\"{name}\",\"position\":\"{position}\",\"answer\":\"{answer}\"")
}

/// A peer that answers everything with these bytes, again and again if they are endless.
async fn liar(says: impl Fn(&NodeName) -> Vec<u8>, is_endless: bool) -> NodeName {
    liar_at("127.0.0.1", says, is_endless).await
}

async fn liar_at(host: &str, says: impl Fn(&NodeName) -> Vec<u8>, is_endless: bool) -> NodeName {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
    let said = says(&name);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = said.clone();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while matches!(stream.read(&mut asked).await, Ok(1..)) {
                    while stream.write_all(&said).await.is_ok() && is_endless {}
                }
            });
        }
    });
    name
}

fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What a node says that knows so many others.
fn report(name: &NodeName, ring_name: &str, known: usize) -> String {
    let known: Vec<_> = (1..=known).map(|port| format!("127.0.0.2:{port}").parse().unwrap()).collect();
    report_of(name, ring_name, &known)
}

/// What a node says that knows these.
fn report_of(name: &NodeName, ring_name: &str, known: &[NodeName]) -> String {
    let links = known
        .iter()
        .map(|name| format!("{{\"node\":\"{name}\",\"round_trip_us\":null,\"is_suspect\":false}}"));
    let links = links.collect::<Vec<_>>().join(",");
    format!(
        "{{\"ring\":{{\"node\":\"{name}\",\"position\":\"1\",\"ring_name\":\"{ring_name}\",\"ring_size\":160,\"is_member\":true,\
        \"predecessor\":null,\"successors\":[],\"fingers\":[],\"range\":null,\"is_ready\":true,\"not_ready_because\":null}},\
        \"version\":\"<b>\",\"started_at_ms\":1,\"records\":1,\"copies_missing\":0,\
        \"storage\":{{\"is_durable\":false,\"records\":1,\"bytes\":1,\"trouble\":null}},\"links\":[{links}]}}"
    )
}

async fn node() -> Node {
    Node::builder().listen("127.0.0.1:0").start().await.unwrap()
}

#[tokio::test]
async fn a_picture_has_every_node_by_its_own_word() {
    let first = node().await;
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, second.ready()).await.unwrap().unwrap();
    let shared = first.shared();
    let mut look = shared.look().expect("nobody else looks");
    let names = [first.name(), second.name()];
    let shown = look_until(&mut look, &names.map(|name| seen(name, shared, "answered"))).await;
    assert!(shown.starts_with("event: ring\n"), "{shown}");
    let name = second.name().clone();
    second.shutdown().await;
    look_until(&mut look, &[seen(&name, shared, "unreachable")]).await;
    let told = format!("\"node\":\"{name}\",\"sentence\":\"{name}: it has left the ring in good order.\"");
    let alone = "\"code\":\"alone\",\"severity\":\"note\",\"node\":null,\"sentence\":\"The ring has one node";
    look_until(&mut look, &[told, alone.to_owned()]).await;
    drop(look);
    first.shutdown().await;
}

#[tokio::test]
async fn who_leaves_is_told_apart_from_who_dies_and_what_it_hands_over_is_counted() {
    let first = node().await;
    let mut ring = Vec::new();
    while ring.len() < 4 {
        let joins = Node::builder().listen("127.0.0.1:0").join(first.name().clone());
        let joined = joins.start().await.unwrap();
        tokio::time::timeout(DEADLINE, joined.ready()).await.unwrap().unwrap();
        ring.push(joined);
    }
    let shared = first.shared();
    // What is put while a range is on its way to another node counts as handed over with it.
    let settled = async {
        let is_divided = || {
            let reports: Vec<_> = ring.iter().chain([&first]).map(|node| node.shared().report()).collect();
            let ranges = reports.iter().filter_map(|report| report.ring.range.as_ref());
            let all: Vec<_> = ranges.filter(|range| range.is_complete).map(|range| range.share).collect();
            all.len() == reports.len() && (all.iter().sum::<f64>() - 1.0).abs() < 1e-6
        };
        while !is_divided() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settled).await.expect("all have their ranges");
    for number in 0..100 {
        first.put(format!("key {number}").as_bytes(), b"value").await.unwrap();
    }
    let mut look = shared.look().expect("nobody else looks");
    let names: Vec<_> = ring.iter().map(|node| seen(node.name(), shared, "answered")).collect();
    look_until(&mut look, &names).await;
    ring.sort_by_key(|node| node.shared().own_records());
    let leaver = ring.pop().expect("there are some");
    let (name, own) = (leaver.name().clone(), leaver.shared().own_records());
    let stay = || ring.iter().chain([&first]);
    let taken_over = || stay().map(|node| node.shared().report().taken_over).sum::<u64>();
    let before = taken_over();
    assert!(own > 0);
    assert_eq!(leaver.shutdown().await.left_behind, 0);
    let told = format!(
        "{},\"because\":\"it has left the ring in good order\",\"has_left\":true",
        seen(&name, shared, "unreachable")
    );
    look_until(&mut look, &[told, "\"code\":\"left\",\"severity\":\"note\"".to_owned()]).await;
    let handed_over = async {
        while taken_over() < before + own {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, handed_over).await.expect("what it had is counted");
    assert_eq!(taken_over(), before + own, "and nothing else");
    drop(look);
    for node in ring.into_iter().chain([first]) {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn whatever_a_peer_says_is_bounded_and_shown_as_what_it_is() {
    let node = node().await;
    let shared = node.shared().clone();
    let ring_name = shared.ring.name.to_string();
    let rubbish = liar(|_| answer("{\"ring\":[[[["), false).await;
    let no_http = liar(|_| b"+PONG\r\n\r\n".to_vec(), false).await;
    let endless = liar(|_| b"HTTP/1.1 200 OK\r\nx: ".to_vec(), true).await;
    let large = liar(|_| answer(&" ".repeat(REPORT_BYTES_MAX + 1)), false).await;
    let silent = liar(|_| Vec::new(), false).await;
    let foreign = liar(|name| answer(&report(name, "another", 0)), false).await;
    let another = liar(|name| answer(&report(&shared.me.name, name.as_str(), 0)), false).await;
    let inventor = liar(|name| answer(&report(name, &ring_name, 1000)), false).await;
    let older = liar(|_| b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
    let cases = [
        (&rubbish, "garbled"),
        (&no_http, "garbled"),
        (&large, "garbled"),
        (&silent, "silent"),
        (&foreign, "other-ring"),
        (&another, "other-ring"),
        (&inventor, "answered"),
        (&older, "other-program"),
    ];
    let all = cases.iter().map(|(name, _)| (*name).clone()).chain([endless.clone()]);
    shared.acquaintances.send_replace(all.collect());
    let mut look = shared.look().expect("nobody else looks");
    let wanted: Vec<_> = cases.iter().map(|(name, answer)| seen(name, &shared, answer)).collect();
    let shown = look_until(&mut look, &wanted).await;
    assert!(!shown.contains(&seen(&endless, &shared, "answered")), "an answer without an end is none");
    let picture = look.pictures.borrow().clone();
    let made_up = picture.nodes.keys().filter(|name| name.host() == "127.0.0.2").count();
    assert!(made_up <= round::NEW_NAMES_MAX, "{made_up}");
    assert!(picture.left_out > 0, "and it is said that there were more");
    drop(look);
    node.shutdown().await;
}

#[tokio::test]
async fn who_is_left_out_is_counted_once_however_many_name_it() {
    let node = node().await;
    let shared = node.shared().clone();
    let ring_name = shared.ring.name.to_string();
    let known = chord_wire::rest::REPORT_NAMES_MAX;
    let inventors = peers("127.0.0.1", 2, |name| answer(&report(name, &ring_name, known))).await;
    shared.acquaintances.send_replace(inventors);
    let mut look = shared.look().expect("nobody else looks");
    // Each of the two brings as many into a round as it may: others than the first.
    let left = (known - 2 * round::NEW_NAMES_MAX) as u64;
    let is_counted = |picture: &Arc<Picture>| picture.has_asked_all && picture.left_out == left;
    let counted = tokio::time::timeout(DEADLINE, look.pictures.wait_for(is_counted)).await;
    assert!(
        counted.is_ok_and(|seen| seen.is_ok()),
        "{} are left out, not {left}",
        shared.crawler.pictures.borrow().left_out
    );
    drop(look);
    node.shutdown().await;
}

/// So many peers there, whose names come after all others or before them.
async fn peers(host: &str, count: usize, says: impl Fn(&NodeName) -> Vec<u8>) -> Vec<NodeName> {
    let mut names = Vec::new();
    while names.len() < count {
        names.push(liar_at(host, &says, false).await);
    }
    names
}

#[tokio::test]
async fn a_third_of_the_ring_that_hangs_keeps_nobody_from_being_seen() {
    let node = node().await;
    let shared = node.shared().clone();
    let ring_name = shared.ring.name.to_string();
    // Before all others by their names, and named first.
    let hang = peers("127.0.0.1", 64, |_| Vec::new()).await;
    let answer_all = peers("127.0.0.9", 128, |name| answer(&report(name, &ring_name, 0))).await;
    let mut named = Vec::new();
    for known in [&hang[..], &answer_all[..64], &answer_all[64..]] {
        named.push(liar(|name| answer(&report_of(name, &ring_name, known)), false).await);
    }
    shared.acquaintances.send_replace(named);
    let mut look = shared.look().expect("nobody else looks");
    let began = std::time::Instant::now();
    let wanted: Vec<_> = answer_all.iter().map(|name| seen(name, &shared, "answered")).collect();
    look_until(&mut look, &wanted).await;
    let took = began.elapsed();
    // Two rounds of three seconds, and the second that the last of each round may take;
    // and a machine that does much else.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let is_whole = |picture: &Arc<Picture>| {
        picture.has_asked_all && hang.iter().all(|name| picture.nodes.contains_key(name))
    };
    let whole = tokio::time::timeout(DEADLINE, look.pictures.wait_for(is_whole)).await;
    assert!(whole.is_ok_and(|seen| seen.is_ok()), "everybody has had a turn");
    drop(look);
    node.shutdown().await;
}

/// A peer that answers each question as it likes, by how many came before; by nothing, to be waited for in vain.
async fn moody(says: impl Fn(&NodeName, usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> NodeName {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
    let (says, n_asked) = (Arc::new((name.clone(), says)), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (says, n_asked) = (says.clone(), n_asked.clone());
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while matches!(stream.read(&mut asked).await, Ok(1..)) {
                    let (name, says) = &*says;
                    let said = says(name, n_asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                    if stream.write_all(&said.unwrap_or_default()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    name
}

#[tokio::test]
async fn one_that_was_slow_once_is_asked_again_though_another_names_sixty_new_ones_in_each_round() {
    let node = node().await;
    let shared = node.shared().clone();
    let ring_name = shared.ring.name.to_string();
    let hang = peers("127.0.0.1", 8 * round::NEW_NAMES_MAX, |_| Vec::new()).await;
    let ring_of = ring_name.clone();
    let inventor = moody(move |name, n_before| {
        let made_up = hang.iter().cycle().skip(n_before * round::NEW_NAMES_MAX).take(round::NEW_NAMES_MAX);
        Some(answer(&report_of(name, &ring_of, &made_up.cloned().collect::<Vec<_>>())))
    });
    let inventor = inventor.await;
    let ring_of = ring_name.clone();
    let slow = moody(move |name, n_before| (n_before > 0).then(|| answer(&report(name, &ring_of, 0)))).await;
    // Whoever is right answers later than the one who makes names up.
    let named = [slow.clone()];
    let late = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let witness: NodeName = late.local_addr().unwrap().to_string().parse().unwrap();
    let said = answer(&report_of(&witness, &ring_name, &named));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = late.accept().await {
            let said = said.clone();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while matches!(stream.read(&mut asked).await, Ok(1..)) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    if stream.write_all(&said).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    shared.acquaintances.send_replace(vec![inventor, witness]);
    let mut look = shared.look().expect("nobody else looks");
    look_until(&mut look, &[seen(&slow, &shared, "answered")]).await;
    drop(look);
    node.shutdown().await;
}

/// Somebody who asks to see the ring, and reads no more than whether it may.
async fn reads_nothing(node: &Node) -> (tokio::net::TcpStream, String) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    let asked = format!("GET /v1/ring/live HTTP/1.1\r\nhost: {}\r\n\r\n", node.name());
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut status)).await.expect("in time").unwrap();
    (stream, String::from_utf8_lossy(&status).into_owned())
}

#[tokio::test]
async fn a_hundred_who_look_at_two_hundred_nodes_and_do_not_read_take_no_more_than_their_part() {
    const BUDGET: usize = 16 << 20;
    let limits = crate::Limits {
        bodies_bytes: BUDGET,
        answer_write: Duration::from_secs(10),
        ..crate::Limits::default()
    };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap();
    let shared = node.shared().clone();
    let ring_name = shared.ring.name.to_string();
    let all = peers("127.0.0.1", 196, |name| answer(&report(name, &ring_name, 240))).await;
    let mut named = Vec::new();
    for known in all.chunks(49) {
        named.push(liar(|name| answer(&report_of(name, &ring_name, known)), false).await);
    }
    shared.acquaintances.send_replace(named);
    let mut look = shared.look().expect("nobody else looks");
    let wanted: Vec<_> = all.iter().map(|name| seen(name, &shared, "answered")).collect();
    let whole = look_until(&mut look, &wanted).await.len();
    assert!(whole > 3 << 20, "{whole} bytes are more than a socket takes");

    let taken = || BUDGET - shared.body_budget.available_permits() * crate::door::BUDGET_UNIT;
    let mut streams = Vec::new();
    let mut n_seats = 0;
    for _ in 0..100 {
        let (stream, status) = reads_nothing(&node).await;
        n_seats += usize::from(status.ends_with("200"));
        assert!(status.ends_with("200") || status.ends_with("503"), "{status}");
        streams.push(stream);
    }
    assert_eq!(n_seats, LOOKS_MAX - 1, "this test looks too");
    let unread = || shared.crawler.unread_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let settles = async {
        while unread() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settles).await.expect("what they do not read counts");
    let part = BUDGET / 8;
    let mut most = 0;
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        most = most.max(taken());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Sixty-three whole pictures would be a hundred times as much as that; one alone may exceed the part.
    assert!(
        most > 0 && most <= part.max(2 * whole),
        "{most} bytes of {BUDGET} are taken, a picture has {whole}"
    );
    println!("{n_seats} who do not read take {most} bytes at most, where a picture has {whole}");

    let cut_off = async {
        while shared.crawler.seats.available_permits() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, cut_off).await.expect("who has a picture and does not read it is cut off");
    drop(streams);
    let given_back = async {
        while shared.crawler.seats.available_permits() < LOOKS_MAX - 1 || unread() > 0 || taken() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, given_back).await.expect("everything is given back");
    drop(look);
    node.shutdown().await;
}

#[tokio::test]
async fn the_ring_is_looked_at_only_while_somebody_wants_to_see_it() {
    let node = node().await;
    let shared = node.shared();
    assert!(!*lock(&shared.crawler.is_at_work));
    let mut looks: Vec<_> = (0..LOOKS_MAX).map(|_| shared.look().expect("there is room")).collect();
    assert!(shared.look().is_none(), "one more is too many");
    looks.truncate(2);
    for look in &mut looks {
        look_until(look, &[seen(node.name(), shared, "answered")]).await;
    }
    drop(looks);
    let ends = async {
        while *lock(&shared.crawler.is_at_work) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ends).await.expect("nobody looks any more");
    let mut again = shared.look().expect("there is room again");
    look_until(&mut again, &[seen(node.name(), shared, "answered")]).await;
    drop(again);
    node.shutdown().await;
}
