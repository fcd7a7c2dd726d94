//! What the records have to say to whoever reads the log. It is written without their lock: a log may be slow.

use chord_kv::StoreError;
use chord_kv::replication::Event;
use chord_ring::NodeName;

use super::refusals::Word;

/// A line.
pub(super) enum Said {
    Event(Event),
    /// The store refuses records, and what is to be said of that.
    Refuses(StoreError, Word),
    /// The store takes records again, of which it has refused so many.
    TakesAgain(u64),
}

impl Said {
    /// Logs it.
    pub(super) fn tell(&self, node: &NodeName) {
        match self {
            Self::Event(event) => tell(node, event),
            Self::Refuses(error, Word::More(count)) => {
                tracing::error!(event = "store-refuses", %node, "{error} ({count} more records were refused)");
            }
            Self::Refuses(error, Word::Begun | Word::Over(_)) => {
                tracing::error!(event = "store-refuses", %node, "{error}");
            }
            Self::TakesAgain(count) => {
                tracing::info!(event = "store-takes-again", %node, "the store takes records again, of which it has refused {count}");
            }
        }
    }
}

fn tell(node: &NodeName, event: &Event) {
    match event {
        Event::WasStopped => {
            tracing::info!(event = "was-stopped", %node, "this node was stopped for a while: it asks before it answers");
        }
        Event::Complete(_) => {
            tracing::info!(event = "range-complete", %node, "has everything of its range that others had before");
        }
        Event::Missed(missed) => {
            let names: Vec<String> = missed.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            tracing::warn!(event = "goes-on-without", %node, "answers from now on without what only {names} may have, which did not come back: start it soon");
        }
        Event::Lost(count) => {
            tracing::warn!(event = "records-lost", %node, count, "records here turned out damaged: others are asked for them");
        }
        Event::Surpassed(rival) => {
            tracing::warn!(event = "claim-surpassed", %node, "another node claimed keys of this one, by group {rival}, and the node before still names this one: it goes on, and asks for what the other may have written");
        }
        Event::TooManyOwners(limit) => {
            tracing::warn!(event = "watch-too-wide", %node, "keys are watched that more than {limit} nodes own: that watch does not begin; let it name fewer keys");
        }
        other => tracing::info!(event = "records-event", %node, ?other, "event of the records"),
    }
}
