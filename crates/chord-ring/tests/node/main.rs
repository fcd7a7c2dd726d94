//! One node, driven by hand: each input, each effect in order, nothing left over.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod any_input;
mod fingers;
mod join;
mod leave;
mod lookups;
mod pace;
mod probe;
mod rectify;
mod scenarios;
mod stabilize;
mod support;
mod timeless;

use chord_ring::*;
use support::*;

fn notify(from: u64) -> Request {
    Request::Notify { from: peer(from) }
}

fn farewell(from: u64, predecessor: Option<u64>, list: &[u64]) -> Request {
    Request::Leave { from: peer(from), predecessor: predecessor.map(peer), successors: peers(list) }
}

/// A node of another name at the position of `peer(at)`.
fn usurper(at: u64) -> Peer {
    Peer { name: "usurper:1".parse().unwrap(), ..peer(at) }
}

const SILENT: Result<Answer, Failure> = Err(Failure::Silent);
const UNREACHABLE: Result<Answer, Failure> = Err(Failure::Unreachable);
const NOT_MEMBER: Result<Answer, Failure> = Err(Failure::Refused(Refusal::NotMember));
const DONE: Result<Answer, Failure> = Ok(Answer::Done);

/// A member in the middle of a round: the head was asked for its state, the predecessor whether it lives.
fn in_round(at: u64, list: &[u64], predecessor: u64) -> Solo {
    let mut node = Solo::member(at, list, Some(predecessor));
    node.maintain();
    node.expect_send(Purpose::Ring, list[0], Request::GetState);
    node.expect_send(Purpose::Rectify, predecessor, Request::Ping);
    let fingers = node.drain(); // whatever finger is looked up, and the next round
    assert!(
        fingers
            .iter()
            .all(|output| matches!(output, Output::Wake(..) | Output::Send(_, _, Request::FindSuccessor(_))))
    );
    node
}
