//! What is found out of all that nodes say of themselves, told with a picture: whoever draws it has not to find it out again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Arc, Belief, Side, Sight, State};

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
    /// one, nor where no ring closes, since each way along successors ends at a node that does not answer: nobody says then that
    /// there are several.
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

impl FoundBody {
    /// How many bytes it has as JSON.
    pub fn bytes(&self) -> usize {
        let mut counted = Counted(0);
        let written = serde_json::to_writer(&mut counted, self);
        debug_assert!(written.is_ok(), "names and numbers can be written as JSON");
        counted.0
    }
}

/// What is written there is only counted.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is found out of all that is seen, once for whoever draws it and for whoever reads what is the matter.
#[derive(Debug)]
pub struct Findings<'a> {
    pub(super) sight: &'a Sight,
    pub(super) torn: Vec<Belief<'a>>,
    pub(super) claims: Vec<Arc>,
    pub(super) cycles: Vec<Vec<&'a str>>,
}

impl Sight {
    /// Finds out what follows from all that is seen.
    pub fn findings(&self) -> Findings<'_> {
        Findings { sight: self, torn: self.torn(), claims: self.claims(), cycles: self.cycles() }
    }
}

impl Findings<'_> {
    /// The same for whoever draws it.
    pub fn told(&self) -> FoundBody {
        let Self { sight, torn, claims, cycles } = self;
        let states = sight.order().into_iter().map(|place| (place, sight.state(place)));
        let states = states.filter(|(_, state)| *state != State::Ready);
        let is_one = matches!(&cycles[..], [ring] if {
            let ring: BTreeSet<&str> = ring.iter().copied().collect();
            sight.members().all(|(place, _)| ring.contains(place.name()))
        });
        let names = |ring: &Vec<&str>| ring.iter().map(|name| (*name).to_owned()).collect();
        let torn = torn.iter().map(|belief| TornBody { of: belief.of.to_owned(), side: belief.side.into() });
        let claims = claims.iter().map(|arc| ClaimBody { from: arc.from, to: arc.to, owners: arc.owners });
        FoundBody {
            states: states.map(|(place, state)| (place.name().to_owned(), state.words())).collect(),
            torn: torn.collect(),
            claims: claims.collect(),
            rings: if is_one { Vec::new() } else { cycles.iter().map(names).collect() },
        }
    }
}
