//! Who is to be asked to let a node in: those whom it knows by name, and whoever is at the addresses of a host name now.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use chord_ring::{Command, NodeName};
use futures_util::future::join_all;

use crate::contact::Contact;
use crate::links::{Unanswered, greet};
use crate::secret::draw;
use crate::shared::Shared;
use crate::tls::Dialer;

use super::REMEMBERED_MAX;

/// How long it may take to look a name up, and to hear who is at an address.
const LOOK_WAIT: Duration = Duration::from_secs(5);
const GREET_WAIT: Duration = Duration::from_secs(2);

/// How many addresses of a name are asked in one round: some of them are there, and whoever is lets this node in. Of more,
/// other ones come in the next round.
const ADDRESSES_MAX: usize = 16;

/// Whom to ask.
pub(super) struct Seeker {
    /// By name, without this node itself.
    named: Vec<NodeName>,
    lookups: Vec<Lookup>,
    /// Whom the ring was told of, to go on looking for theirs.
    told: BTreeSet<NodeName>,
}

/// A name of many.
struct Lookup {
    place: NodeName,
    /// What was said last of it.
    said: Option<String>,
}

impl Seeker {
    pub(super) fn new(me: &NodeName, configured: &[Contact], remembered: &[NodeName]) -> Self {
        let mut named: Vec<NodeName> = Vec::new();
        let others = remembered.iter().filter(|name| *name != me).take(REMEMBERED_MAX);
        for name in configured.iter().filter_map(Contact::node).chain(others).filter(|name| *name != me) {
            if !named.contains(name) {
                named.push(name.clone());
            }
        }
        let places = configured.iter().filter_map(|contact| match contact {
            Contact::Dns(place) => Some(place.clone()),
            Contact::Node(_) => None,
        });
        let lookups = places.map(|place| Lookup { place, said: None }).collect();
        Self { named, lookups, told: BTreeSet::new() }
    }

    /// Whether there never will be anybody to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.lookups.is_empty()
    }

    /// Them all in a few words each.
    pub(super) fn shown(&self) -> Vec<String> {
        let places = self.lookups.iter().map(|lookup| Contact::Dns(lookup.place.clone()).to_string());
        self.named.iter().map(ToString::to_string).chain(places).collect()
    }

    /// Who is to be asked now. The ring hears of each: should this node found one, it goes on to look for theirs.
    pub(super) async fn round(&mut self, shared: &Shared) -> Vec<NodeName> {
        let mut names = self.named.clone();
        for lookup in &mut self.lookups {
            for name in lookup.look(shared).await {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        for name in &names {
            if self.told.len() < TOLD_MAX && self.told.insert(name.clone()) {
                let _ = shared.command(Command::Remember(name.clone())).await;
            }
        }
        names
    }
}

/// Of how many the ring is told, however often names come to mean others.
const TOLD_MAX: usize = 1024;

impl Lookup {
    /// The names of the nodes that are there, members of a ring first, without this one.
    async fn look(&mut self, shared: &Shared) -> Vec<NodeName> {
        let addresses = match self.addresses().await {
            Ok(addresses) => addresses,
            Err(why) => {
                self.complain(why);
                return Vec::new();
            }
        };
        let mut found: Vec<(bool, NodeName)> =
            join_all(addresses.into_iter().map(|at| who_is_there(at, shared.dialer())))
                .await
                .into_iter()
                .flatten()
                .collect();
        found.retain(|(_, name)| *name != shared.me.name);
        found.sort_by_key(|(is_member, _)| !is_member);
        found.into_iter().map(|(_, name)| name).collect()
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let looked_up = tokio::net::lookup_host((self.place.host(), self.place.port()));
        let found = match tokio::time::timeout(LOOK_WAIT, looked_up).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {} s", LOOK_WAIT.as_secs())),
        };
        Ok(some_of(found.collect(), rand::random()))
    }

    /// Says why the name cannot be looked up, once for each reason.
    fn complain(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            tracing::warn!(
                event = "contacts-unknown",
                "the host name {}, at whose addresses there are to be nodes to join, cannot be looked up ({why}): check the name after dns:; it is looked up again until it is known",
                self.place.host()
            );
            self.said = Some(why);
        }
    }
}

/// Each address once, and no more than are asked in one round; which these are is drawn.
fn some_of(addresses: Vec<SocketAddr>, draw: u32) -> Vec<SocketAddr> {
    let mut some: Vec<SocketAddr> = addresses.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let begin = usize::try_from(draw).unwrap_or(0) % some.len().max(1);
    some.rotate_left(begin);
    some.truncate(ADDRESSES_MAX);
    some
}

/// Who listens at an address, and whether it is in a ring; none if nobody does.
async fn who_is_there(address: SocketAddr, tls: Option<&Dialer>) -> Option<(bool, NodeName)> {
    let place: NodeName = address.to_string().parse().ok()?;
    match tokio::time::timeout(GREET_WAIT, greet(&place, draw(), tls)).await {
        Ok(Ok(welcome)) => Some((welcome.is_member, welcome.name)),
        // One that speaks no frames does not say what it is called: then it can only be asked by its address.
        Ok(Err(Unanswered::NotSpoken(_))) => Some((false, place)),
        Ok(Err(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
