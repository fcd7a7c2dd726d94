//! Names of many nodes, and who is found there.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::Node;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn contacts(texts: &[&str]) -> Vec<Contact> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_node_does_not_ask_itself_and_nobody_twice() {
    let me = name("me:1");
    let seeker =
        Seeker::new(&me, &contacts(&["a:1", "me:1", "dns:many:1", "a:1"]), &[name("b:1"), me.clone()]);
    assert_eq!(seeker.named, [name("a:1"), name("b:1")]);
    assert_eq!(seeker.shown(), ["a:1", "b:1", "dns:many:1"]);
    assert!(!seeker.is_empty());
    assert!(Seeker::new(&me, &contacts(&["me:1"]), &[]).is_empty());
    assert!(!Seeker::new(&me, &contacts(&["dns:me:1"]), &[]).is_empty(), "others may be found there");
}

#[test]
fn of_many_addresses_some_are_asked_in_each_round_and_all_in_some_round() {
    let address = |number: u16| SocketAddr::from(([10, 0, 0, 1], number));
    assert_eq!(some_of(Vec::new(), 7), []);
    assert_eq!(some_of(vec![address(2), address(1), address(2)], 0), [address(1), address(2)]);
    let many: Vec<SocketAddr> = (1..=100).map(address).collect();
    let mut seen = BTreeSet::new();
    for draw in 0..100 {
        let some = some_of(many.clone(), draw);
        assert_eq!(some.len(), ADDRESSES_MAX);
        seen.extend(some);
    }
    assert_eq!(seen.len(), 100);
}

#[tokio::test]
async fn what_is_found_at_the_addresses_of_a_name_is_called_what_it_says_and_members_come_first() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let builder = Node::builder().listen(&format!("127.0.0.1:{port}")).known_as(name("member:1"));
    let member = builder.start().await.unwrap();
    let idle = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    let there = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(who_is_there(there, None).await, Some((true, name("member:1"))));
    let at = idle.name().as_str().parse().unwrap();
    assert_eq!(who_is_there(at, None).await, Some((false, idle.name().clone())));
    member.shutdown().await;
    idle.shutdown().await;
    assert_eq!(who_is_there(at, None).await, None, "nobody is there any more");
}

#[tokio::test]
async fn one_that_speaks_no_frames_is_called_by_its_address_and_one_that_says_nothing_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answers = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let (mute, _) = listener.accept().await.unwrap();
        tokio::time::sleep(GREET_WAIT * 2).await;
        drop(mute);
    });
    assert_eq!(who_is_there(at, None).await, Some((false, name(&at.to_string()))));
    let begun = std::time::Instant::now();
    assert_eq!(who_is_there(at, None).await, None);
    assert!(begun.elapsed() < GREET_WAIT + Duration::from_secs(1));
    answers.abort();
}

#[tokio::test]
async fn a_node_joins_through_a_name_that_stands_for_all_and_never_through_itself() {
    let first = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let port = first.name().port();
    // The system says that localhost is 127.0.0.1, and mostly ::1 too, where nobody is.
    let through: Contact = format!("dns:localhost:{port}").parse().unwrap();
    let second = Node::builder().listen("127.0.0.1:0").join_through(through.clone()).start().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), second.ready()).await.unwrap().unwrap();
    assert_eq!(second.view().successors().head().unwrap().name, *first.name());
    let shared = first.shared();
    let Contact::Dns(place) = through else { panic!("it is one") };
    assert_eq!(Lookup { place, said: None }.look(shared).await, [], "the node itself is left out");
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn a_node_that_finds_only_itself_at_a_name_waits_and_one_that_may_founds_a_ring() {
    // The port is not known before, so it is taken, left, and taken again.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let through: Contact = format!("dns:localhost:{port}").parse().unwrap();
    let builder = Node::builder().listen(&format!("127.0.0.1:{port}")).join_through(through);
    let waits = builder.clone().start().await.unwrap();
    let ready = tokio::time::timeout(Duration::from_secs(2), waits.ready()).await;
    assert!(ready.is_err(), "it is in no ring, and goes on looking: {ready:?}");
    waits.shutdown().await;
    let founds = builder.found_if_none().start().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), founds.ready()).await.unwrap().unwrap();
    founds.shutdown().await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_complained_of_once_and_nobody_is_found() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let mut lookup = Lookup { place: name("no-such-host.invalid:1"), said: None };
    assert_eq!(lookup.look(node.shared()).await, []);
    assert!(lookup.said.is_some());
    node.shutdown().await;
}
