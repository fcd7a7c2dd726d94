//! Beginning: how a node comes into a ring, by itself or through others.

use std::sync::Arc;
use std::time::Duration;

use chord_ring::{Command, CommandError, JoinError, NodeName};

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
    Join(Vec<NodeName>),
    WaitForCommand,
}

/// What a node does while none of its contacts is in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Asks them again.
    Wait,
    /// Founds a ring, in which they find it.
    Found,
}

impl Beginning {
    /// Begins. A node that founds a ring is a member when this returns; one that joins goes on by itself. Those whom an earlier
    /// life of the node `remembered` are asked too: it was in their ring, whether it founded that or not.
    pub(crate) async fn begin(self, meanwhile: Meanwhile, shared: &Arc<Shared>, remembered: Vec<NodeName>) {
        let (contacts, meanwhile) = match self {
            Self::Found | Self::WaitForCommand if !remembered.is_empty() => (Vec::new(), Meanwhile::Found),
            Self::Found => return shared.found().await,
            Self::Join(contacts) => (contacts, meanwhile),
            Self::WaitForCommand => return,
        };
        tokio::spawn(join_through(shared.clone(), Contacts { configured: contacts, remembered }, meanwhile));
    }
}

/// Through whom to join.
struct Contacts {
    configured: Vec<NodeName>,
    remembered: Vec<NodeName>,
}

/// Joins through the first contact that answers; goes through them again, with growing pauses, until one does or the node
/// may found a ring.
async fn join_through(shared: Arc<Shared>, contacts: Contacts, meanwhile: Meanwhile) {
    let (mut pause, pause_max) = CONTACT_PAUSE;
    let Contacts { configured, remembered } = contacts;
    let is_other = |name: &NodeName| *name != shared.me.name;
    let mut contacts: Vec<NodeName> = configured.into_iter().filter(is_other).collect();
    let n_configured = contacts.len();
    for name in remembered.into_iter().filter(is_other).take(REMEMBERED_MAX) {
        if !contacts.contains(&name) {
            contacts.push(name);
        }
    }
    if contacts.is_empty() && meanwhile == Meanwhile::Wait {
        let error = JoinError::Itself(shared.me.name.clone());
        shared.refuse_join(error);
        return;
    }
    for contact in &contacts[..n_configured] {
        let _ = shared.command(Command::Remember(contact.clone())).await;
    }
    let joining = async {
        let mut rounds_alone = 0;
        loop {
            rounds_alone = match shared.ask_contacts(&contacts).await {
                Asked::Ended => return,
                Asked::InNoRing => rounds_alone + 1,
                Asked::NotNow => 0,
            };
            if meanwhile == Meanwhile::Found && rounds_alone >= FOUND_ROUNDS {
                tracing::info!("none of the nodes to join is in a ring: founding one");
                return shared.found().await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
    };
    tokio::select! {
        () = joining => {}
        () = shared.reached(Stage::Departing) => {}
    }
}

/// What came of one round through the contacts.
enum Asked {
    /// The node is a member, or never will be.
    Ended,
    /// None of them is there and in a ring.
    InNoRing,
    /// At least one is, and could not let the node in.
    NotNow,
}

impl Shared {
    async fn found(&self) {
        // A new node in no ring cannot refuse.
        let _ = self.command(Command::Create).await;
    }

    /// Tries to join through each of them, until one lets the node in.
    async fn ask_contacts(&self, contacts: &[NodeName]) -> Asked {
        let mut asked = Asked::InNoRing;
        for contact in contacts {
            match self.command(Command::Join(contact.clone())).await {
                Ok(()) | Err(CommandError::AlreadyMember) => return Asked::Ended,
                Err(CommandError::Join(error)) if is_lasting(&error) => {
                    self.refuse_join(error);
                    return Asked::Ended;
                }
                Err(error) => {
                    tracing::warn!("{error}; trying again");
                    if !is_in_no_ring(&error) {
                        asked = Asked::NotNow;
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

/// Whether a contact was not there, or in no ring.
fn is_in_no_ring(error: &CommandError) -> bool {
    matches!(error, CommandError::Join(JoinError::Contact { .. } | JoinError::ContactNotMember(_)))
}
