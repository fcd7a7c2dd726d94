//! What is left out of an answer on its way, since whoever asked will not use it: rings that differ in that alone are one
//! state then, and of those there are ten times fewer.
//!
//! What a node will use is known when it is answered. At most one question that may change its list is open, so that
//! its list and its head are the same when it hears the answer; and all that else comes to it meanwhile, be it a
//! notification or a farewell, changes other things.
//!
//! - A member that has a list takes of an answer the first r - 1 entries of the other's list, up to itself; the node
//!   that answers comes before them. The other's predecessor it looks at only in an answer of its head, and only if that
//!   one lies between.
//! - Of a failure it takes that there was one: the dead and those who are no members answer alike, and for good. A refusal
//!   that says more, that another has its position, is never made where each position has one name.
//! - A newcomer decides by the answer alone. If it goes on it takes the list and no predecessor. If it does not, nobody
//!   has heard of it, and it is as if it had never asked.
//! - Whoever is alone, or remembers peers, may use all of it: nothing is left out.
//!
//! All of this is about the shipped rules: a node that breaks one may use what is left out.
//!
//! What is left out does not count for the assumption about failures either. It could only pass over members, over whom the
//! list of its reader never will; so more failures are tried than with whole answers, and none is left out, since whom a
//! reader needs alive is in what it will store. A test takes every step of every state of small rings both ways.

use chord_ring::{Answer, Failure, Node, Phase, State};

/// What is left of this answer to the open question of `node`, which is a member or goes on to be one.
pub(super) fn shortened(node: &Node, answer: Result<Answer, Failure>) -> Result<Answer, Failure> {
    let view = node.view();
    match (view.phase(), answer) {
        (Phase::Joining, Ok(Answer::State(state))) if !state.successors.is_empty() => {
            Ok(Answer::State(State { predecessor: None, ..state }))
        }
        (Phase::Member, Ok(Answer::State(state))) if !view.successors().is_empty() => {
            Ok(Answer::State(of_member(node, state)))
        }
        (Phase::Member, Err(_)) => Err(Failure::Unreachable),
        (Phase::Idle | Phase::Joining | Phase::Member | Phase::Leaving, answer) => answer,
    }
}

fn of_member(node: &Node, mut state: State) -> State {
    let view = node.view();
    let (me, r) = (view.me().position, view.config().successors());
    let is_of_head = view.successors().head() == Some(&state.peer);
    state.predecessor = state.predecessor.filter(|closer| is_of_head && view.is_closer(closer));
    // That there is a list at all counts, even if nothing of it is taken: whoever has none is not taken for the head.
    let n_taken = state.successors.iter().take(r - 1).take_while(|peer| peer.position != me).count();
    state.successors.truncate(n_taken.max(1));
    state
}
