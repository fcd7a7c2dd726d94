//! The probe: whether the others find this node where it is, by their own word.
//!
//! A node that is connected may be lost all the same: others answer for its range, or name somebody else between them and it. So
//! every few seconds one question goes to one other node, in turn: does it find this node's position here, does the successor
//! name it as its predecessor, and the predecessor as its successor? A question that is not answered says nothing of this node.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use chord_ring::{Answer, Failure, Peer, Question, Request, View, jittered};
use chord_wire::rest::Checked;

use crate::links::lock;
use crate::shared::{Shared, Stage};

/// Pause between two questions: one request every few seconds is nothing beside maintenance, and what is wrong for shorter is
/// about to heal.
const PAUSE: Duration = Duration::from_secs(5);

/// How often in a row a question has to be contradicted: once may be a ring that is changing.
const CONTRADICTIONS: u32 = 2;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Another node looks this one's position up.
    Found,
    /// The successor is asked for its predecessor.
    Successor,
    /// The predecessor is asked for its successor.
    Predecessor,
}

impl Check {
    const ALL: [Self; 3] = [Self::Found, Self::Successor, Self::Predecessor];
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Agrees,
    Contradicts,
    /// Nothing that makes sense.
    Unanswered,
}

/// What is known of one question.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Whether it was ever answered.
    is_answered: bool,
    contradictions: u32,
}

/// What the others have said.
#[derive(Debug, Default)]
pub(crate) struct Probe(Mutex<Heard>);

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    known: [Known; Check::ALL.len()],
    /// How often each answer came.
    counts: [u64; 3],
}

impl Probe {
    /// What is known of a question.
    pub(crate) fn checked(&self, check: Check) -> Checked {
        let Known { is_answered, contradictions } = lock(&self.0).known[check as usize];
        match (is_answered, contradictions >= CONTRADICTIONS) {
            (_, true) => Checked::Contradicted,
            (true, false) => Checked::Agreed,
            (false, false) => Checked::Unknown,
        }
    }

    /// How often others agreed, contradicted, and said nothing.
    pub(crate) fn counted(&self) -> [u64; 3] {
        lock(&self.0).counts
    }

    fn note(&self, check: Check, said: Said) {
        let mut heard = lock(&self.0);
        heard.counts[said as usize] += 1;
        let known = &mut heard.known[check as usize];
        match said {
            Said::Agrees => *known = Known { is_answered: true, contradictions: 0 },
            Said::Contradicts => known.contradictions += 1,
            Said::Unanswered => {}
        }
    }

    /// Another neighbour may be there now, or none.
    fn forget(&self, check: Check) {
        lock(&self.0).known[check as usize] = Known::default();
    }

    /// Whether it was contradicted, and not often enough to be believed.
    fn is_doubtful(&self, check: Check) -> bool {
        (1..CONTRADICTIONS).contains(&lock(&self.0).known[check as usize].contradictions)
    }
}

/// Asks in turn, until the node leaves.
pub(crate) async fn probe(shared: Arc<Shared>) {
    let (mut turn, mut is_again) = (0, false);
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(PAUSE, rand::random())) => {}
            () = shared.reached(Stage::Departing) => return,
        }
        let check = Check::ALL[turn % Check::ALL.len()];
        let view = shared.view();
        match whom(&view, check, turn) {
            Some(peer) => shared.probe.note(check, ask(&shared, &view, check, &peer).await),
            None => shared.probe.forget(check),
        }
        // What contradicts is asked again at once; but whoever says nothing then holds nothing up.
        is_again = !is_again && shared.probe.is_doubtful(check);
        if !is_again {
            turn += 1;
        }
    }
}

/// Who is asked. To look this node up each that it knows further away comes in turn; those next to it know it anyway.
fn whom(view: &View, check: Check, turn: usize) -> Option<Peer> {
    if !view.is_member() {
        return None;
    }
    let successors = view.successors().as_slice();
    match check {
        Check::Successor => successors.first().cloned(),
        Check::Predecessor => view.predecessor().cloned(),
        Check::Found => {
            let further: Vec<&Peer> = view.fingers().runs().iter().map(|finger| &finger.peer).collect();
            let all = successors.iter().chain(further.iter().copied());
            let count = successors.len() + further.len();
            all.cycle().nth((turn / Check::ALL.len()) % count.max(1)).cloned()
        }
    }
}

async fn ask(shared: &Shared, view: &View, check: Check, peer: &Peer) -> Said {
    let target = view.me().position;
    let request = match check {
        Check::Found => Request::FindSuccessor(Question { target, named: false, path: Vec::new() }),
        Check::Successor | Check::Predecessor => Request::GetState,
    };
    let answer = shared.asker().ask(&peer.name, request, shared.limits.request).await;
    judge(view.me(), check, peer, answer)
}

/// What an answer says of this node. Whatever makes no sense says something of the other one alone.
fn judge(me: &Peer, check: Check, peer: &Peer, answer: Result<Answer, Failure>) -> Said {
    let named = match (check, answer) {
        (Check::Found, Ok(Answer::Found(found))) => Some(found.owner),
        (Check::Successor, Ok(Answer::State(state))) if state.peer == *peer => state.predecessor,
        (Check::Predecessor, Ok(Answer::State(state))) if state.peer == *peer => {
            state.successors.into_iter().next()
        }
        _ => return Said::Unanswered,
    };
    match named {
        // A neighbour that knows none at the moment is about to learn of one.
        None if check == Check::Successor => Said::Unanswered,
        Some(named) if named.name == me.name => Said::Agrees,
        Some(_) | None => Said::Contradicts,
    }
}

#[cfg(test)]
mod tests;
