//! What the tasks of one node share: the published view, the store, the links and the way to the owner task.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use chord_disk::DiskStore;
use chord_kv::{Store, VersionClock};
use chord_ring::{
    Answer, Command, CommandError, Failure, JoinError, NodeName, Peer, Refusal, Request, RingTag, View,
};
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::annex::Annex;
use crate::askers::Askers;
use crate::clients::Clients;
use crate::clock::Differences;
use crate::crawl::Crawler;
use crate::crew::Runtimes;
use crate::departed::Departed;
use crate::guard::Guard;
use crate::links::{Asker, Links, lock};
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::reach::OwnCall;
use crate::records::Records;
use crate::shortcuts::Shortcuts;
use crate::tls::{Dialer, NodeTls};
use crate::{Departure, Limits, OperationError};

/// How many messages may wait for the owner task. It handles one in microseconds; a full box means that it is stuck
/// or flooded, and the sender then waits within its own deadline.
pub(crate) const MAILBOX_MAX: usize = 256;

/// How many commands may go round the whole ring at a time that were given here: few enough that others are not slowed
/// down, and that their answers, which may be long, fit into memory. Others wait.
pub(crate) const ROUNDS_MAX: usize = 8;

/// How long whoever gives a command waits for its end. A join takes longest: 25 attempts with pauses of 0.2 s, or three
/// peers that are silent, within half of this; where each of them takes its time, it goes on unheard.
const COMMAND_WAIT: Duration = Duration::from_secs(30);

/// A message to the owner task. Its sender may give up waiting.
pub(crate) enum Mail {
    Command(Command, oneshot::Sender<Result<(), CommandError>>),
    Request(Option<RingTag>, Request, oneshot::Sender<Result<Answer, Refusal>>),
    /// A lookup found a peer dead.
    Unreachable(NodeName),
    /// A peer that lies before the first successor asked for this node's state.
    AskedBy(Peer),
}

pub(crate) struct Shared {
    pub(crate) me: Peer,
    pub(crate) ring: RingTag,
    pub(crate) limits: Limits,
    /// Whether Redis clients may delete all keys at once.
    pub(crate) may_flush: bool,
    /// Lets in who may come in.
    pub(crate) guard: Guard,
    /// What TLS is spoken with, if it is.
    pub(crate) tls: Option<Arc<NodeTls>>,
    pub(crate) view: ArcSwap<View>,
    pub(crate) view_changed: watch::Sender<()>,
    pub(crate) store: Arc<dyn Store>,
    /// The same, if it is on a disk and has to be closed.
    pub(crate) disk: Option<Arc<DiskStore>>,
    /// Makes the versions of writes that begin here.
    pub(crate) clock: Arc<VersionClock>,
    /// Bytes of request bodies under way, in units of `door::BUDGET_UNIT`.
    pub(crate) body_budget: Semaphore,
    /// What each client has of what one may have.
    pub(crate) clients: Clients,
    /// Bytes of what waits for those who watch.
    pub(crate) watched_bytes: Arc<AtomicUsize>,
    /// How often a connection gave its buffers back.
    pub(crate) dozes: AtomicU64,
    /// For commands that go round the whole ring.
    pub(crate) rounds: Semaphore,
    pub(crate) links: Links,
    /// Where its tasks run.
    pub(crate) runtimes: Runtimes,
    pub(crate) mailbox: mpsc::Sender<Mail>,
    pub(crate) records: Records,
    /// Whom this node knows, its neighbours first.
    pub(crate) acquaintances: watch::Sender<Vec<NodeName>>,
    /// Who has left, by its own word.
    pub(crate) departed: Mutex<Departed>,
    /// Who has this node's name.
    pub(crate) askers: Mutex<Askers>,
    /// Whom this node takes for the owner of what, beside its lists.
    pub(crate) shortcuts: Shortcuts,
    /// Those through whom it was told to join, and who have never said that they are in its ring.
    pub(crate) unmet: Mutex<BTreeSet<NodeName>>,
    /// By whom the node wants to be let into a ring, in words; nothing if it is not on its way into one.
    pub(crate) waits_for: Mutex<String>,
    /// Why the node gave up joining, if it did.
    pub(crate) join_refused: watch::Sender<Option<JoinError>>,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) departure: OnceCell<Departure>,
    /// When the node was started, in milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// What the program itself answers at this door.
    pub(crate) annex: Option<Arc<dyn Annex>>,
    /// Looks at the whole ring, for those who watch it.
    pub(crate) crawler: Crawler,
    /// How often a rule of the ring was found broken at this node.
    pub(crate) violations: AtomicU64,
    pub(crate) metrics: Metrics,
    /// What others say of where this node is.
    pub(crate) probe: Probe,
    /// How this node looks whether its name leads to it.
    pub(crate) own_call: OwnCall,
    /// What is said of clocks that differ.
    pub(crate) clock_differences: Differences,
}

/// How far a node has gone with its departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Running,
    /// Sees to it that others have what it has, and goes on answering meanwhile.
    Departing,
    /// Takes no new connection and ends those that are open after the answer under way.
    Closing,
    /// The door is closed, and every answer has gone out.
    Stopped,
}

impl Shared {
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker { me: &self.me.name, links: &self.links }
    }

    /// Who connects in TLS, if that is spoken.
    pub(crate) fn dialer(&self) -> Option<&Dialer> {
        self.tls.as_deref().map(NodeTls::dialer)
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Moves on to a later stage; an earlier one changes nothing.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = *now < stage;
            *now = (*now).max(stage);
            later
        });
    }

    /// Why the node is in no ring, if it is on its way into one.
    pub(crate) fn waits(&self) -> Option<OperationError> {
        let contacts = lock(&self.waits_for).clone();
        (!contacts.is_empty()).then_some(OperationError::Joining { contacts })
    }

    /// Waits until the node has come so far.
    pub(crate) async fn reached(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ = stages.wait_for(|now| *now >= stage).await;
    }

    /// Gives a command to the ring and waits for its end.
    pub(crate) async fn command(&self, command: Command) -> Result<(), CommandError> {
        self.command_within(COMMAND_WAIT, command).await
    }

    /// The same, and waits no longer than that: the command itself goes on.
    async fn command_within(&self, wait: Duration, command: Command) -> Result<(), CommandError> {
        let (reply, answer) = oneshot::channel();
        let (begun, until) = (std::time::Instant::now(), Instant::now() + wait);
        let given = tokio::time::timeout_at(until, self.mailbox.send(Mail::Command(command, reply))).await;
        if !matches!(given, Ok(Ok(()))) {
            return Err(CommandError::Busy); // It was not even begun.
        }
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(done)) => done.map_err(|error| self.join_explained(error, begun)),
            Ok(Err(_)) => Err(CommandError::Busy), // The node is stopping.
            Err(_) => Err(CommandError::UnderWay),
        }
    }

    /// That error of a command, with what only the links know: whether a contact that let nobody in was there.
    fn join_explained(&self, error: CommandError, begun: std::time::Instant) -> CommandError {
        let CommandError::Join(JoinError::Contact { contact, failure: Failure::Silent | Failure::Garbled }) =
            &error
        else {
            return error;
        };
        match self.links.to(contact).parted_since(begun) {
            Some(why) => JoinError::Apart { contact: contact.clone(), why }.into(),
            None => error,
        }
    }

    /// A peer asks whom this node takes for its successor: if that should be the peer, this node finds out at once.
    pub(crate) fn asked_by(&self, asker: &Peer) {
        let view = self.view.load();
        let may_follow = !view.successors().is_empty() && view.is_closer(asker);
        if may_follow && lock(&self.askers).may_look() {
            // A full mailbox, like too many who ask, only delays what maintenance finds out by itself.
            let _ = self.mailbox.try_send(Mail::AskedBy(asker.clone()));
        }
    }

    /// Gives a peer's request to the ring; `None` if the owner task does not come to it in time.
    pub(crate) async fn request(
        &self,
        ring: Option<RingTag>,
        request: Request,
    ) -> Option<Result<Answer, Refusal>> {
        let (reply, answer) = oneshot::channel();
        let replied = async {
            self.mailbox.send(Mail::Request(ring, request, reply)).await.ok()?;
            answer.await.ok()
        };
        let replied = tokio::time::timeout(self.limits.request, replied).await;
        replied.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[tokio::test]
    async fn a_command_that_takes_long_is_said_to_be_under_way() {
        let node = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
        let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let contact: NodeName = mute.local_addr().unwrap().to_string().parse().unwrap();
        let join = Command::Join(contact);
        let waited = node.shared().command_within(Duration::from_millis(50), join.clone()).await;
        assert_eq!(waited, Err(CommandError::UnderWay));
        assert_eq!(node.shared().command(join).await, Err(CommandError::Busy), "so it is");
        node.shutdown().await;
    }
}
