//! Beginning: how a node comes into a ring, by itself or through others.

mod complaints;
mod seek;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chord_ring::{Command, CommandError, JoinError, NodeName};

use complaints::Complaints;
use seek::Seeker;

use crate::contact::Contact;
use crate::links::lock;
use crate::shared::{Shared, Stage};

/// Pause between two rounds through the contacts while none answers, at first and at most.
const CONTACT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// After how many rounds in which no contact was in a ring a node founds one that may. One that starts at the same time
/// shows in the second.
const FOUND_ROUNDS: u32 = 2;

/// Peers of an earlier life that are asked to let this node in again, at most: enough that some are there, few enough that
/// all are asked in a moment.
const REMEMBERED_MAX: usize = 16;

/// How a node begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    Found,
    Join(Vec<Contact>),
    WaitForCommand,
}

/// What a node does while none of its contacts is in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Asks them again.
    Wait,
    /// Founds a ring when one of them is there and in none either, in which they find it. While nobody is there, their
    /// ring may go on without this node, through others.
    FoundWithOthers,
    /// Founds a ring, in which they find it.
    Found,
}

/// What a node knows of its life before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// There was none, or it was alone in its ring from the beginning to the end.
    Nobody,
    /// It was alone in its ring at the end, and with these before: a cut may have parted them.
    Alone(Vec<NodeName>),
    /// It was in a ring with these, those worth asking first at the front.
    With(Vec<NodeName>),
    /// It has records, and nothing that tells with whom it was.
    Forgotten,
}

impl Past {
    /// With whom it was.
    pub(crate) fn peers(&self) -> &[NodeName] {
        match self {
            Self::With(names) | Self::Alone(names) => names,
            Self::Nobody | Self::Forgotten => &[],
        }
    }
}

impl Beginning {
    /// Begins. A node that founds a ring is a member when this returns; one that joins goes on by itself. Those with whom it
    /// was in an earlier life are asked too: it was in their ring, whether it founded that or not.
    pub(crate) async fn begin(self, meanwhile: Meanwhile, shared: &Arc<Shared>, past: Past) {
        let (contacts, meanwhile) = match (self, &past, meanwhile) {
            (Self::Join(contacts), ..) => (contacts, meanwhile),
            (_, Past::With(_), Meanwhile::Found) | (_, Past::Alone(_), _) => (Vec::new(), Meanwhile::Found),
            (_, Past::With(_), _) => (Vec::new(), Meanwhile::FoundWithOthers),
            (Self::Found, Past::Forgotten, Meanwhile::Wait | Meanwhile::FoundWithOthers) => {
                tracing::error!(event = "past-forgotten", "{PAST_FORGOTTEN}");
                return;
            }
            (Self::Found, ..) => return shared.found().await,
            (Self::WaitForCommand, ..) => return,
        };
        let remembered = past.peers().to_vec();
        // Where the names are lost, any of them may have been with this node.
        if past != Past::Forgotten {
            let named = contacts.iter().filter_map(Contact::node);
            let strangers = named.filter(|name| !remembered.contains(*name));
            lock(&shared.unmet).extend(strangers.cloned());
        }
        tokio::spawn(join_through(
            shared.clone(),
            Seeker::new(&shared.me.name, &contacts, &remembered),
            meanwhile,
            matches!(past, Past::Alone(_)),
        ));
    }
}

const PAST_FORGOTTEN: &str = "this node has records of an earlier life, and the names of those with whom it was are lost: \
    start it with --join and the name of a node of its ring, or with --found if there is none";

const HOW_TO_END_IT: &str = "this node waits for them, since their ring may go on elsewhere; start it with --join and the name \
    of another node of the ring, or, if the ring is gone for good, start one of the nodes that wait with --found and the others \
    with --join and its name; should the ring go on after all, there are two until they meet, and of two writes to one key the \
    older is lost then";

const HOW_TO_COME_TOGETHER: &str = "this node waits until they take each other for nodes of one ring, which all have the same \
    secret and certificates of the same authorities, or none of them; the lines with join-failed say what is wrong";

/// After how long without a ring a node says whom it waits for, and what ends that, and how long it is silent then: nodes that
/// are started together find each other before the first, and a log of a day has some hundred lines of it.
const WORD_AFTER: Duration = Duration::from_secs(3);
const WORD_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Says now and then that a node waits.
struct Patience {
    begun: Instant,
    word_after: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { begun: Instant::now(), word_after: WORD_AFTER }
    }

    fn say(&mut self, contacts: &str, asked: Asked) {
        let (what, remedy) = match asked {
            Asked::NotThere => ("is there", HOW_TO_END_IT),
            Asked::InNoRing => ("is in a ring", HOW_TO_END_IT),
            Asked::Apart => ("lets this node in, and at least one is there", HOW_TO_COME_TOGETHER),
            Asked::NotNow | Asked::Ended => return,
        };
        let waited = self.begun.elapsed();
        if waited >= self.word_after {
            self.word_after = waited + WORD_PAUSE;
            tracing::warn!(
                event = "waits-to-join",
                "none of the nodes to join ({contacts}) {what}: {remedy}"
            );
        }
    }
}

/// How many nodes are named in a sentence at most.
const LISTED_MAX: usize = 4;

/// "a, b, c, d and 2 others".
fn listed(names: &[String]) -> String {
    let (shown, rest) = names.split_at(names.len().min(LISTED_MAX));
    match rest.len() {
        0 => shown.join(", "),
        1 => format!("{} and 1 other", shown.join(", ")),
        others => format!("{} and {others} others", shown.join(", ")),
    }
}

/// Joins through the first of those to be asked that answers; goes through them again, with growing pauses, until one does or the
/// node may found a ring.
async fn join_through(shared: Arc<Shared>, mut contacts: Seeker, meanwhile: Meanwhile, was_alone: bool) {
    let (mut pause, pause_max) = CONTACT_PAUSE;
    if contacts.is_empty() && meanwhile == Meanwhile::Wait {
        let error = JoinError::Itself(shared.me.name.clone());
        shared.refuse_join(error);
        return;
    }
    let shown = listed(&contacts.shown());
    lock(&shared.waits_for).clone_from(&shown);
    let joining = async {
        let mut rounds_alone = 0;
        let (mut patience, mut complaints) = (Patience::new(), Complaints::default());
        loop {
            let asked = shared.ask_contacts(&contacts.round(&shared).await, &mut complaints).await;
            rounds_alone = match asked {
                Asked::Ended => return,
                Asked::NotThere if meanwhile == Meanwhile::FoundWithOthers => 0,
                // It may be in the ring of this node, which must not found a second one; but for one that goes on with its own.
                Asked::Apart if !was_alone => 0,
                Asked::NotThere | Asked::InNoRing | Asked::Apart => rounds_alone + 1,
                Asked::NotNow => 0,
            };
            if meanwhile != Meanwhile::Wait && rounds_alone >= FOUND_ROUNDS {
                tracing::info!(event = "founds", "none of the nodes to join is in a ring: founding one");
                return shared.found().await;
            }
            patience.say(&shown, asked);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
    };
    tokio::select! {
        () = joining => {}
        () = shared.reached(Stage::Departing) => {}
    }
    lock(&shared.waits_for).clear();
}

/// What came of one round through the contacts.
#[derive(Clone, Copy)]
enum Asked {
    /// The node is a member, or never will be.
    Ended,
    /// None of them is there.
    NotThere,
    /// Of those who are there none is in a ring.
    InNoRing,
    /// At least one is there, and it or this node does not take the other for a node of its ring.
    Apart,
    /// At least one is, and could not let the node in.
    NotNow,
}

impl Shared {
    async fn found(&self) {
        // A new node in no ring cannot refuse.
        let _ = self.command(Command::Create).await;
    }

    /// Tries to join through each of them, until one lets the node in.
    async fn ask_contacts(&self, contacts: &[NodeName], complaints: &mut Complaints) -> Asked {
        let mut asked = Asked::NotThere;
        for contact in contacts {
            match self.command(Command::Join(contact.clone())).await {
                Ok(()) | Err(CommandError::AlreadyMember) => return Asked::Ended,
                Err(CommandError::Join(error)) if is_lasting(&error) => {
                    self.refuse_join(error);
                    return Asked::Ended;
                }
                Err(error) => {
                    if complaints.is_due(contact, &error, Instant::now()) {
                        tracing::warn!(event = "join-failed", "{error}; trying again");
                    }
                    match (&error, asked) {
                        (CommandError::Join(JoinError::Contact { .. }), _)
                        | (CommandError::Join(JoinError::ContactNotMember(_)), Asked::Apart)
                        | (_, Asked::NotNow) => {}
                        (CommandError::Join(JoinError::Apart { .. }), _) => asked = Asked::Apart,
                        (CommandError::Join(JoinError::ContactNotMember(_)), _) => asked = Asked::InNoRing,
                        _ => asked = Asked::NotNow,
                    }
                }
            }
        }
        asked
    }

    /// Gives up joining. Whoever waits for the node to be ready is told, and tells people.
    fn refuse_join(&self, error: JoinError) {
        tracing::debug!("gave up joining: {error}");
        self.join_refused.send_replace(Some(error));
    }
}

/// Whether a join would fail again however often it is tried: the node is set up for another ring, or for a place that is taken.
fn is_lasting(error: &JoinError) -> bool {
    matches!(
        error,
        JoinError::PositionTaken { .. } | JoinError::RingSizeDiffers { .. } | JoinError::ForeignRing { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[cfg(unix)]
    #[tokio::test]
    async fn a_contact_that_is_there_and_knows_another_secret_is_called_so_and_keeps_a_node_from_founding_a_ring()
     {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            crate::secret::write_for_tests(&path, &format!("the-secret-of-{name}-ring"));
            path
        };
        let (ours, theirs) = (file("our"), file("their"));
        let builder = Node::builder().listen("127.0.0.1:0");
        let guarded = builder.clone().secret_file(&ours).start().await.unwrap();
        let open = builder.clone().start().await.unwrap();
        let join = |contact: &Node| Command::Join(contact.name().clone());
        let waits = builder.clone().wait_for_command();
        for (node, contact, why) in [
            (
                waits.clone().secret_file(&theirs),
                &guarded,
                "another secret than this node: the file that --secret-file",
            ),
            (waits.clone(), &guarded, "wants a secret"),
            (waits.secret_file(&theirs), &open, "start it with --secret-file too"),
        ] {
            let node = node.start().await.unwrap();
            let said = node.shared().command(join(contact)).await.unwrap_err().to_string();
            let begin = format!("cannot join through {}: it is there, and ", contact.name());
            assert!(said.starts_with(&begin) && said.contains(why), "{said}");
            node.shutdown().await;
        }
        // One that may found a ring does so a second after it has found nobody there.
        let stranger = builder.clone().secret_file(&theirs).join(guarded.name().clone()).found_if_none();
        let stranger = stranger.start().await.unwrap();
        let lonely = builder.join("127.0.0.1:1".parse().unwrap()).found_if_none().start().await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), lonely.ready()).await.expect("in time").unwrap();
        let founds = tokio::time::timeout(Duration::from_secs(1), stranger.ready()).await;
        assert!(founds.is_err() && !stranger.view().is_member(), "it has founded a second ring");
        for node in [stranger, lonely, open, guarded] {
            node.shutdown().await;
        }
    }

    #[tokio::test]
    async fn whom_a_node_was_told_of_and_who_was_never_in_its_ring_is_written_down_only_while_it_is_alone() {
        let builder = Node::builder().listen("127.0.0.1:0");
        let member = builder.clone().start().await.unwrap();
        let stranger = builder.clone().wait_for_command().start().await.unwrap();
        let builder = builder.join(stranger.name().clone()).join(member.name().clone());
        let node = builder.start().await.unwrap();
        let known = |is_so: fn(bool, bool) -> bool| {
            let (member, stranger) = (member.name().clone(), stranger.name().clone());
            let mut known = node.shared().acquaintances.subscribe();
            async move {
                let is_so = |names: &Vec<NodeName>| is_so(names.contains(&member), names.contains(&stranger));
                let waits = known.wait_for(is_so);
                tokio::time::timeout(Duration::from_secs(20), waits).await.expect("in time").unwrap();
            }
        };
        known(|member, stranger| member && !stranger).await;
        stranger.shared().command(Command::Join(member.name().clone())).await.unwrap();
        known(|member, stranger| member && stranger).await;
        for node in [stranger, member, node] {
            node.shutdown().await;
        }
    }
}
