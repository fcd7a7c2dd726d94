//! Once round the ring, from node to node, and what each of them keeps.
//!
//! The way begins behind the first node and ends at it. Each node is asked for what lies between the one before and itself,
//! so that every position is asked about once, whatever happens to the ring meanwhile; and so is the one after it, from
//! which a node that has just joined may still be taking what it owns. The part of a node that does not answer is asked of
//! that one alone, which keeps copies of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chord::wire::{Answer, Request};
use chord::{Client, ClientError, Cursor, Header, Key, Listed, NodeName, Peer, Position, Range, RingSize};

/// A way round the ring, or through one node.
pub(super) struct Walk {
    size: RingSize,
    /// Where the way ends, and began.
    home: Peer,
    /// Up to where everything was listed.
    at: Position,
    /// From where on the next node is asked, if not from there.
    cursor: Option<Cursor>,
    /// Who keeps what follows, nearest first; empty at the end of the way.
    ahead: VecDeque<NodeName>,
    /// The connections to the first two of them.
    clients: Vec<Client>,
    /// How many nodes have told something, and which of them was the last.
    n_told: u64,
    told: Option<NodeName>,
    failures: Vec<(NodeName, ClientError)>,
    deadline: Duration,
}

/// Some of what a node keeps.
pub(super) struct Page {
    pub(super) node: NodeName,
    pub(super) headers: Vec<Header>,
}

impl Walk {
    /// Round the whole ring of a node.
    ///
    /// # Errors
    /// The node cannot be asked about its ring.
    pub(super) async fn around(client: Client, deadline: Duration) -> Result<Self, ClientError> {
        let mut walk = Self::here(client, deadline).await?;
        let home = walk.home.name.clone();
        let successors = successors(walk.client(&home), deadline).await?;
        walk.look_ahead(&home, successors);
        Ok(walk)
    }

    /// Through all that one node keeps.
    ///
    /// # Errors
    /// The node cannot be asked about its ring.
    pub(super) async fn here(client: Client, deadline: Duration) -> Result<Self, ClientError> {
        let size = client.ring(deadline).await?.size;
        let home = Peer::of_name(client.node().clone(), size);
        Ok(Self {
            size,
            at: home.position,
            cursor: None,
            ahead: VecDeque::from([home.name.clone()]),
            home,
            clients: vec![client],
            n_told: 0,
            told: None,
            failures: Vec::new(),
            deadline,
        })
    }

    /// The next page; `None` at the end of the way, or where nobody leads on.
    pub(super) async fn next_page(&mut self) -> Option<Page> {
        loop {
            let node = self.ahead.front()?.clone();
            if self.has_failed(&node) {
                self.ahead.pop_front();
                continue;
            }
            let range = Range { after: self.at, up_to: self.up_to(&node) };
            let Some(mut listed) = self.list(&node, range, self.cursor.clone()).await else { continue };
            if let Some(next) = self.ahead.get(1).cloned() {
                self.add_what_has(&next, range, &mut listed).await;
            }
            if self.told.as_ref() != Some(&node) {
                self.n_told += 1;
                self.told = Some(node.clone());
            }
            self.cursor = listed.next;
            if self.cursor.is_none() {
                self.arrive(&node, range.up_to).await;
            }
            return Some(Page { node, headers: listed.headers });
        }
    }

    /// A page of what a node keeps of a range. One that fails is not asked again.
    async fn list(&mut self, node: &NodeName, range: Range, cursor: Option<Cursor>) -> Option<Listed> {
        if self.has_failed(node) {
            return None;
        }
        let deadline = self.deadline;
        let failed = match self.client(node).list(range, cursor.clone(), deadline).await {
            Ok(listed) if listed.next.is_none() || listed.next != cursor => return Some(listed),
            Ok(_) => {
                ClientError::Garbled { node: node.clone(), reason: "its list does not go on".to_owned() }
            }
            Err(error) => error,
        };
        self.failures.push((node.clone(), failed));
        None
    }

    /// Adds what another node has of the same stretch, up to where the page ends; the newest record of a key counts.
    async fn add_what_has(&mut self, other: &NodeName, range: Range, listed: &mut Listed) {
        // Behind the beginning, so that the end of a range that is the whole circle comes last.
        let first = self.size.finger_start(range.after, 0);
        let size = self.size;
        let place = |position: Position, key: &Key| (size.distance(first, position), key.clone());
        let end = listed.next.as_ref().map(|end| place(end.position, &end.key));
        let is_beyond = |place: &(Position, Key)| end.as_ref().is_some_and(|end| place > end);
        let ends_before =
            |cursor: &Cursor| end.as_ref().is_none_or(|end| place(cursor.position, &cursor.key) < *end);
        let headers = listed.headers.drain(..).map(|header| (place(header.position, &header.key), header));
        let mut newest: BTreeMap<_, _> = headers.collect();
        let mut cursor = self.cursor.clone();
        while let Some(page) = self.list(other, range, cursor).await {
            for header in page.headers {
                let place = place(header.position, &header.key);
                let known = newest.get(&place);
                if !is_beyond(&place) && known.is_none_or(|known: &Header| known.version < header.version) {
                    newest.insert(place, header);
                }
            }
            cursor = page.next.filter(&ends_before);
            if cursor.is_none() {
                break;
            }
        }
        listed.headers = newest.into_values().collect();
    }

    /// The connection to a node: those to the last two are kept.
    fn client(&mut self, node: &NodeName) -> &Client {
        let known = self.clients.iter().position(|client| client.node() == node);
        let client = known.map_or_else(|| Client::new(node.clone()), |idx| self.clients.remove(idx));
        self.clients.truncate(1);
        self.clients.insert(0, client);
        &self.clients[0]
    }

    fn has_failed(&self, node: &NodeName) -> bool {
        self.failures.iter().any(|(failed, _)| failed == node)
    }

    /// How much of the way is done, in percent.
    pub(super) fn percent_done(&self) -> u64 {
        let reached = self.cursor.as_ref().map_or(self.at, |cursor| cursor.position);
        let fraction = self.size.fraction(self.size.distance(self.home.position, reached));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
        let percent = (fraction * 100.0) as u64;
        percent
    }

    /// How many nodes have told what they keep, or some of it.
    pub(super) fn n_told(&self) -> u64 {
        self.n_told
    }

    /// Which nodes did not tell, and why: what they have may be missing.
    pub(super) fn into_failures(self) -> Vec<(NodeName, ClientError)> {
        self.failures
    }

    /// The end of what `node` is asked for: its own position, or that of home if it lies beyond.
    fn up_to(&self, node: &NodeName) -> Position {
        let position = self.size.position_of(node.as_str().as_bytes());
        let rest = Range { after: self.at, up_to: self.home.position };
        if rest.contains(position) { position } else { rest.up_to }
    }

    /// Everything up to there was listed by that node.
    async fn arrive(&mut self, node: &NodeName, up_to: Position) {
        self.at = up_to;
        if up_to == self.home.position {
            self.ahead.clear();
            return;
        }
        let known = self.ahead.split_off(1);
        let deadline = self.deadline;
        match successors(self.client(node), deadline).await {
            Ok(successors) => self.look_ahead(node, successors),
            // Those whom an earlier node has named go on.
            Err(_) => self.ahead = known,
        }
    }

    fn look_ahead(&mut self, node: &NodeName, successors: Vec<NodeName>) {
        // Should none of them answer, home has copies, and then the node itself.
        let last = [self.home.name.clone(), node.clone()];
        self.ahead.clear();
        for name in successors.into_iter().filter(|name| name != node).chain(last) {
            if !self.ahead.contains(&name) {
                self.ahead.push_back(name);
            }
        }
    }
}

async fn successors(client: &Client, deadline: Duration) -> Result<Vec<NodeName>, ClientError> {
    match client.call(&Request::GetSuccessorList, deadline).await?.answer {
        Answer::SuccessorList(successors) => Ok(successors),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A walk that begins at the third of five nodes, in the order of the ring.
    fn walk() -> (Walk, Vec<NodeName>) {
        let size = RingSize::new(160).unwrap();
        let names = (1..=5).map(|port| format!("h:{port}").parse().unwrap());
        let mut peers: Vec<Peer> = names.map(|name| Peer::of_name(name, size)).collect();
        peers.sort_by_key(|peer| peer.position);
        let home = peers[2].clone();
        let walk = Walk {
            size,
            at: home.position,
            home,
            cursor: None,
            ahead: VecDeque::new(),
            clients: Vec::new(),
            n_told: 0,
            told: None,
            failures: Vec::new(),
            deadline: Duration::ZERO,
        };
        (walk, peers.into_iter().map(|peer| peer.name).collect())
    }

    #[test]
    fn each_node_is_asked_up_to_itself_and_none_beyond_the_end_of_the_way() {
        let (mut walk, names) = walk();
        let at = |name: &NodeName| RingSize::new(160).unwrap().position_of(name.as_str().as_bytes());
        for name in &names {
            assert_eq!(walk.up_to(name), at(name), "the way is the whole ring");
        }
        walk.at = at(&names[0]);
        assert_eq!(walk.up_to(&names[1]), at(&names[1]));
        for beyond in [&names[0], &names[2], &names[3], &names[4]] {
            assert_eq!(walk.up_to(beyond), at(&names[2]));
        }
    }

    #[test]
    fn home_and_the_node_itself_are_asked_last_for_what_nobody_else_tells() {
        let (mut walk, names) = walk();
        let [first, second, home, fourth, fifth] = names.as_slice() else { panic!("five names") };
        walk.look_ahead(fourth, [fifth, first, fourth, first].map(NodeName::clone).to_vec());
        assert_eq!(walk.ahead, [fifth, first, home, fourth].map(NodeName::clone));
        walk.look_ahead(home, Vec::new());
        assert_eq!(walk.ahead, std::slice::from_ref(home), "a node that is alone");
        walk.look_ahead(first, vec![second.clone(), home.clone()]);
        assert_eq!(walk.ahead, [second, home, first].map(NodeName::clone));
    }
}
