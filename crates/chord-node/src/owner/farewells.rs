//! Farewells: one that says that it leaves is asked whether it has, since anybody could say so in its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chord_kv::replication::{PeerAnswer, PeerRequest};
use chord_ring::{Answer, Failure, NodeName, Peer, Refusal, Request};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};

use crate::shared::Shared;

/// How long one that says farewell is asked whether it is a member still: it has said so a moment ago.
const CHECK_WAIT: Duration = Duration::from_millis(500);

/// Farewells that are checked at a time, at most: far more than leave at once. Of the others it is not known whether they left
/// in good order, which costs a wait when the ring is started again.
const CHECKS_MAX: usize = 64;

/// To whom the answer goes.
type Reply = oneshot::Sender<Result<Answer, Refusal>>;

/// The farewells that are being checked.
#[derive(Default)]
pub(super) struct Farewells {
    checks: JoinSet<bool>,
    /// Whom each is about.
    about: HashMap<Id, NodeName>,
}

impl Farewells {
    /// Begins to ask a peer that is known here whether it has left: it is no member, and says that it leaves. One that has
    /// crashed and is on its way back is no member either. What is sent to the result goes to `reply` once it has
    /// answered: until then it waits, and is there. However often somebody says so, a peer is asked once at a time.
    pub(super) fn check(&mut self, shared: &Arc<Shared>, name: &NodeName, reply: Reply) -> Reply {
        let is_known = shared.acquaintances.borrow().contains(name);
        let is_asked = self.about.values().any(|asked| asked == name);
        if !is_known || is_asked || self.checks.len() >= CHECKS_MAX {
            return reply;
        }
        let (sender, answer) = oneshot::channel();
        let (shared, whom) = (shared.clone(), name.clone());
        let check = self.checks.spawn(async move {
            let peer = Peer::of_name(whom.clone(), shared.ring.size);
            let asker = shared.asker();
            let (said, of_records) = tokio::join!(
                asker.ask(&whom, Request::Ping, CHECK_WAIT),
                tokio::time::timeout(CHECK_WAIT, asker.ask_about_records(&peer, PeerRequest::Vouch)),
            );
            if let Ok(answer) = answer.await {
                let _ = reply.send(answer); // It may have gone.
            }
            let has_left = match said {
                Ok(Answer::Pong(pong)) => !pong.member && pong.peer.name == whom,
                Err(Failure::Refused(Refusal::NotMember)) => true,
                Ok(_) | Err(_) => false,
            };
            let leaves = matches!(of_records, Ok(Ok(PeerAnswer { leaving: true, .. })));
            has_left && leaves
        });
        self.about.insert(check.id(), name.clone());
        sender
    }

    /// Who has left, as one check after the other ends; `None` while there is none. May be dropped at any point.
    pub(super) async fn next(&mut self) -> Option<Option<NodeName>> {
        let (id, has_left) = match self.checks.join_next_with_id().await? {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(event = "farewell-broke", %error, "the check of a farewell broke");
                (error.id(), false)
            }
        };
        Some(self.about.remove(&id).filter(|_| has_left))
    }
}
