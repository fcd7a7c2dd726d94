//! What no input leads to: a state that breaks a rule.

use super::Node;
use crate::{
    Answer, Config, Event, Incarnation, Input, Output, Peer, Purpose, Request, RequestId, RingName, RingSize,
    RingTag, State, SuccessorList, Wake,
};

fn peer(at: u64) -> Peer {
    Peer { position: at.into(), name: format!("node{at}:1").parse().unwrap() }
}

fn peers(positions: &[u64]) -> Vec<Peer> {
    positions.iter().copied().map(peer).collect()
}

/// Node 10 of a ring of 256 positions, r = 3, with neighbours that nobody checked.
fn broken(list: &[u64], predecessor: Option<u64>) -> Node {
    let ring = RingTag { name: RingName::default(), size: RingSize::new(8).unwrap() };
    let config = Config::new(ring).with_successors(3).unwrap();
    let mut node = Node::new(config, peer(10), Incarnation(0));
    node.handle(Input::Command(crate::Token(0), crate::Command::Create));
    drain(&mut node);
    node.view.successors = SuccessorList::unchecked(peers(list));
    node.view.predecessor = predecessor.map(peer);
    node
}

fn drain(node: &mut Node) -> Vec<Output> {
    std::iter::from_fn(|| node.poll()).collect()
}

/// Lets the node find out; which rule it reports to be broken.
fn repair(node: &mut Node) -> Vec<&'static str> {
    let before = node.view.clone();
    node.handle(Input::Wake(Wake::RetryJoin));
    let mut rules = Vec::new();
    for output in drain(node) {
        if let Output::Event(Event::Violation { rule, view }) = output {
            if rules.is_empty() {
                assert_eq!(*view, before, "the report shows the state before the repair");
            }
            rules.push(rule);
        }
    }
    rules
}

#[test]
fn a_broken_list_is_cut_where_it_breaks_and_the_predecessor_stays() {
    for (list, sound, rule) in [
        (vec![20, 40, 30], vec![20, 40], "the successor list is out of order"),
        (vec![20, 20], vec![20], "the successor list is out of order"),
        (vec![20, 10], vec![20], "the successor list is out of order"),
        (vec![10, 20], vec![], "the successor list is out of order"),
        (vec![20, 30, 40, 50], vec![20, 30, 40], "the successor list is too long"),
    ] {
        let mut node = broken(&list, Some(5));
        assert_eq!(repair(&mut node), [rule]);
        assert_eq!(node.view.successors.as_slice(), peers(&sound));
        assert_eq!(node.view.predecessor, Some(peer(5)));
        assert!(!node.view.owns(100.into()), "it does not own the whole circle");
        for lost in list.into_iter().filter(|at| !sound.contains(at) && *at != 10) {
            assert!(node.remembered.names().any(|name| *name == peer(lost).name), "{lost} is remembered");
        }
        assert_eq!(repair(&mut node), [""; 0], "once is enough");
    }
}

#[test]
fn a_node_that_is_its_own_predecessor_forgets_that_and_keeps_its_list() {
    let mut node = broken(&[20, 30], Some(10));
    assert_eq!(repair(&mut node), ["the predecessor is the node itself"]);
    assert_eq!(node.view.successors.as_slice(), peers(&[20, 30]));
    assert_eq!(node.view.predecessor, None);
    assert!(!node.view.owns(100.into()));
    assert_eq!(node.remembered.names().count(), 0, "it does not remember itself");
}

#[test]
fn both_are_repaired_if_both_are_broken() {
    let mut node = broken(&[20, 40, 30], Some(10));
    let rules = ["the successor list is out of order", "the predecessor is the node itself"];
    assert_eq!(repair(&mut node), rules);
    assert_eq!((node.view.successors.as_slice(), &node.view.predecessor), (&*peers(&[20, 40]), &None));
}

#[test]
fn an_answer_about_a_former_head_is_ignored_and_the_present_one_asked() {
    let mut node = broken(&[20, 30], Some(5));
    node.handle(Input::Wake(Wake::Maintain));
    drain(&mut node);
    node.view.successors = SuccessorList::unchecked(peers(&[30]));
    let id = RequestId { incarnation: Incarnation(0), purpose: Purpose::Ring };
    let stale =
        State { peer: peer(20), predecessor: Some(peer(15)), successors: peers(&[25]), ring_size: None };
    node.handle(Input::Answer(id, Ok(Answer::State(stale))));
    assert_eq!(drain(&mut node), [Output::Send(id, peer(30).name, Request::GetState)]);
    assert_eq!(node.view.successors.as_slice(), peers(&[30]));
}
