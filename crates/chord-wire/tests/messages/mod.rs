//! Messages of every kind, for the tests of the languages that they are written in.

use chord_ring::{NodeName, Position};
use chord_wire::Command;
use chord_wire::seed::{Answer, Leaving, Request, Target};
use proptest::prelude::*;

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

pub(crate) fn names(ports: &[u16]) -> Vec<NodeName> {
    ports.iter().map(|port| name(&format!("127.0.0.1:{port}"))).collect()
}

fn any_name() -> impl Strategy<Value = NodeName> {
    ("[a-zA-Z0-9._-]{1,40}|\\[[0-9a-f:]{2,30}\\]", 1u16..)
        .prop_map(|(host, port)| name(&format!("{host}:{port}")))
}

fn any_names() -> impl Strategy<Value = Vec<NodeName>> {
    prop::collection::btree_set(any_name(), 0..6).prop_map(|names| names.into_iter().collect())
}

/// Any request with such texts and positions.
pub(crate) fn request(
    text: impl Strategy<Value = String> + Clone + 'static,
    position: impl Strategy<Value = Position> + 'static,
) -> impl Strategy<Value = Request> {
    let leaving = (any_name(), prop::option::of(any_name()), any_names());
    prop_oneof![
        prop::sample::select(vec![
            Request::Node,
            Request::Create,
            Request::GetPredecessor,
            Request::GetSuccessorList,
            Request::Shutdown
        ]),
        any_name().prop_map(|remote| Request::Join { remote }),
        prop::option::of(any_name()).prop_map(|remote| Request::Notify { remote }),
        position.prop_map(|position| Request::FindSuccessor { target: Target::Position(position) }),
        text.clone().prop_map(|key| Request::FindSuccessor { target: Target::Key(key) }),
        text.clone().prop_map(|key| Request::Get { key }),
        (text.clone(), text, any::<bool>()).prop_map(|(key, value, no_redirect)| Request::Put {
            key,
            value,
            no_redirect
        }),
        leaving.prop_map(|(node, predecessor, successor_list)| Request::Leave(Leaving {
            node,
            predecessor,
            successor_list
        })),
    ]
}

/// Any answer with such texts, and the command that it answers.
pub(crate) fn answer(
    text: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = (Command, Answer)> {
    let hops = any::<u32>;
    prop_oneof![
        Just((Command::Create, Answer::Done)),
        (any_name(), any::<bool>())
            .prop_map(|(node, is_alive)| (Command::Node, Answer::Node { node, is_alive })),
        (any_name(), hops())
            .prop_map(|(node, hops)| (Command::FindSuccessor, Answer::FindSuccessor { node, hops })),
        prop::option::of(any_name()).prop_map(|node| (Command::GetPredecessor, Answer::Predecessor(node))),
        any_names().prop_map(|names| (Command::GetSuccessorList, Answer::SuccessorList(names))),
        (any_name(), hops(), prop::option::of(text)).prop_map(|(storage_node, hops, value)| (
            Command::Get,
            Answer::Get { storage_node, hops, value }
        )),
        (any_name(), hops())
            .prop_map(|(storage_node, hops)| (Command::Put, Answer::Put { storage_node, hops })),
    ]
}
