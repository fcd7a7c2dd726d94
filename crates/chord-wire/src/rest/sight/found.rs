//! What is found out of all that nodes say of themselves, told with a picture: whoever draws it has not to find it out again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Side, Sight, State};

/// What follows from what the nodes of a picture say of themselves. Where nothing is the matter, all of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct FoundBody {
    /// How each node is that is not `ready`, in a word or two.
    #[schema(value_type = BTreeMap<String, String>)]
    pub states: BTreeMap<String, &'static str>,
    /// Beliefs about who is next that the other node does not share.
    pub torn: Vec<TornBody>,
    /// Parts of the ring for which nobody answers, or several do.
    pub claims: Vec<ClaimBody>,
    /// The rings into which the nodes fall, each in the order in which its nodes name each other; none where all members are in
    /// one.
    pub rings: Vec<Vec<String>>,
}

/// A belief that is not shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TornBody {
    /// Whose belief it is.
    pub of: String,
    /// Whether it is about its successor or its predecessor.
    pub side: SideBody,
}

/// Whom a belief is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SideBody {
    /// The next node.
    Successor,
    /// The one before.
    Predecessor,
}

/// A part of the ring, as parts of the circle from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct ClaimBody {
    /// Behind this,
    pub from: f64,
    /// up to this.
    pub to: f64,
    /// How many nodes answer for it, by their own word.
    pub owners: usize,
}

impl From<Side> for SideBody {
    fn from(side: Side) -> Self {
        match side {
            Side::Successor => Self::Successor,
            Side::Predecessor => Self::Predecessor,
        }
    }
}

impl Sight {
    /// What follows from all that is seen.
    pub fn found(&self) -> FoundBody {
        let states = self.order().into_iter().map(|place| (place, self.state(place)));
        let states = states.filter(|(_, state)| *state != State::Ready);
        let torn = self.torn().into_iter();
        let claims = self.claims().into_iter();
        let rings = self.cycles();
        let is_one = matches!(&rings[..], [ring] if {
            let ring: BTreeSet<&str> = ring.iter().copied().collect();
            self.members().all(|(place, _)| ring.contains(place.name()))
        });
        let names = |ring: Vec<&str>| ring.into_iter().map(str::to_owned).collect();
        FoundBody {
            states: states.map(|(place, state)| (place.name().to_owned(), state.words())).collect(),
            torn: torn
                .map(|belief| TornBody { of: belief.of.to_owned(), side: belief.side.into() })
                .collect(),
            claims: claims.map(|arc| ClaimBody { from: arc.from, to: arc.to, owners: arc.owners }).collect(),
            rings: if is_one { Vec::new() } else { rings.into_iter().map(names).collect() },
        }
    }
}
