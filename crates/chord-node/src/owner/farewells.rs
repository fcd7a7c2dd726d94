//! Farewells: one that says that it leaves is asked whether it has, since anybody could say so in its name.

use std::sync::Arc;
use std::time::Duration;

use chord_kv::replication::{PeerAnswer, PeerRequest};
use chord_ring::{Answer, Failure, NodeName, Peer, Refusal, Request};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

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
pub(super) struct Farewells(JoinSet<Option<NodeName>>);

impl Farewells {
    /// Begins to ask a peer that is known here whether it has left: it is no member, and says that it leaves. One that has
    /// crashed and is on its way back is no member either. What is sent to the result goes to `reply` once it has
    /// answered: until then it waits, and is there.
    pub(super) fn check(&mut self, shared: &Arc<Shared>, name: &NodeName, reply: Reply) -> Reply {
        let is_known = shared.acquaintances.borrow().contains(name);
        if !is_known || self.0.len() >= CHECKS_MAX {
            return reply;
        }
        let (sender, answer) = oneshot::channel();
        let (shared, name) = (shared.clone(), name.clone());
        self.0.spawn(async move {
            let peer = Peer::of_name(name.clone(), shared.ring.size);
            let asker = shared.asker();
            let (said, of_records) = tokio::join!(
                asker.ask(&name, Request::Ping, CHECK_WAIT),
                tokio::time::timeout(CHECK_WAIT, asker.ask_about_records(&peer, PeerRequest::Vouch)),
            );
            if let Ok(answer) = answer.await {
                let _ = reply.send(answer); // It may have gone.
            }
            let has_left = match said {
                Ok(Answer::Pong(pong)) => !pong.member && pong.peer.name == name,
                Err(Failure::Refused(Refusal::NotMember)) => true,
                Ok(_) | Err(_) => false,
            };
            let leaves = matches!(of_records, Ok(Ok(PeerAnswer { leaving: true, .. })));
            (has_left && leaves).then_some(name)
        });
        sender
    }

    /// Who has left, as one check after the other ends; `None` while there is none. May be dropped at any point.
    pub(super) async fn next(&mut self) -> Option<Option<NodeName>> {
        let ended = self.0.join_next().await?;
        Some(ended.unwrap_or_else(|error| {
            tracing::error!(event = "farewell-broke", %error, "the check of a farewell broke");
            None
        }))
    }
}
