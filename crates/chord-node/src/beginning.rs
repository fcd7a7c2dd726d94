//! Beginning: how a node comes into a ring, by itself or through others.

use std::sync::Arc;
use std::time::Duration;

use chord_ring::{Command, CommandError, JoinError, NodeName};

use crate::shared::{Shared, Stage};

/// Pause between two rounds through the contacts while none answers, at first and at most.
const CONTACT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How a node begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    Found,
    Join(Vec<NodeName>),
    WaitForCommand,
}

impl Beginning {
    /// Begins. A node that founds a ring is a member when this returns; one that joins goes on by itself.
    pub(crate) async fn begin(self, shared: &Arc<Shared>) {
        match self {
            Self::Found => {
                // A new node in no ring cannot refuse.
                let _ = shared.command(Command::Create).await;
            }
            Self::Join(contacts) => drop(tokio::spawn(join_through(shared.clone(), contacts))),
            Self::WaitForCommand => {}
        }
    }
}

/// Joins through the first contact that answers; goes through them again, with growing pauses, until one does.
async fn join_through(shared: Arc<Shared>, contacts: Vec<NodeName>) {
    let (mut pause, pause_max) = CONTACT_PAUSE;
    let contacts: Vec<NodeName> = contacts.into_iter().filter(|name| *name != shared.me.name).collect();
    if contacts.is_empty() {
        let error = JoinError::Itself(shared.me.name.clone());
        shared.refuse_join(error);
        return;
    }
    for contact in &contacts {
        let _ = shared.command(Command::Remember(contact.clone())).await;
    }
    let joining = async {
        loop {
            for contact in &contacts {
                match shared.command(Command::Join(contact.clone())).await {
                    Ok(()) | Err(CommandError::AlreadyMember) => return,
                    Err(CommandError::Join(error)) if is_lasting(&error) => {
                        shared.refuse_join(error);
                        return;
                    }
                    Err(error) => tracing::warn!("{error}; trying again"),
                }
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

impl Shared {
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
