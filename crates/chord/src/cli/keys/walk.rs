//! Once round the ring, from node to node, and what each of them keeps.
//!
//! The way begins behind the first node and ends at it. Each node is asked for what lies between the one before and itself,
//! so that every position is asked about once, whatever happens to the ring meanwhile. The part of a node that does not
//! answer is asked of the next one, which keeps copies of it.

use std::collections::VecDeque;
use std::time::Duration;

use chord::wire::{Answer, Request};
use chord::{Client, ClientError, Cursor, Header, NodeName, Peer, Position, Range, RingSize};

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
    /// The connection to the first of them.
    client: Option<Client>,
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
        client.ring(deadline).await?;
        let successors = successors(&client, deadline).await?;
        let mut walk = Self::here(client, deadline).await?;
        let home = walk.home.name.clone();
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
            client: Some(client),
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
            let range = Range { after: self.at, up_to: self.up_to(&node) };
            let client = self.client.take().filter(|client| *client.node() == node);
            let client = client.unwrap_or_else(|| Client::new(node.clone()));
            match client.list(range, self.cursor.clone(), self.deadline).await {
                Ok(listed) if listed.next.is_some() && listed.next == self.cursor => {
                    let reason = "its list does not go on".to_owned();
                    self.pass_by(node.clone(), ClientError::Garbled { node, reason });
                }
                Ok(listed) => {
                    if self.told.as_ref() != Some(&node) {
                        self.n_told += 1;
                        self.told = Some(node.clone());
                    }
                    self.cursor = listed.next;
                    if self.cursor.is_none() {
                        self.arrive(&client, range.up_to).await;
                    }
                    self.client = Some(client);
                    return Some(Page { node, headers: listed.headers });
                }
                Err(error) => self.pass_by(node, error),
            }
        }
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

    /// Everything up to there was listed by the node of that client.
    async fn arrive(&mut self, client: &Client, up_to: Position) {
        self.at = up_to;
        if up_to == self.home.position {
            self.ahead.clear();
            return;
        }
        let known = self.ahead.split_off(1);
        match successors(client, self.deadline).await {
            Ok(successors) => self.look_ahead(client.node(), successors),
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

    fn pass_by(&mut self, node: NodeName, error: ClientError) {
        self.ahead.pop_front();
        if !self.failures.iter().any(|(failed, _)| *failed == node) {
            self.failures.push((node, error));
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
            client: None,
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

    #[test]
    fn a_node_that_fails_twice_is_named_once() {
        let (mut walk, names) = walk();
        for name in [&names[0], &names[1], &names[0]] {
            walk.pass_by(name.clone(), ClientError::Unreachable(name.clone()));
        }
        let failed: Vec<NodeName> = walk.into_failures().into_iter().map(|(name, _)| name).collect();
        assert_eq!(failed, names[..2]);
    }
}
