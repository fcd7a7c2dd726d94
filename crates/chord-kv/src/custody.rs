//! Custody: whether a node has everything of the range that it owns, and whom it asks while it has not.
//!
//! A node that joins takes over a range whose records are still with its former owner. That node sends them on, to
//! whoever it finds to own them at that moment; so if more nodes join, a record may rest with any that lies between the
//! newcomer and the former owner. A newcomer asks for a record that it lacks along that way, farthest first: what has
//! left one of them is then with a nearer one, or here.

use chord_ring::{Peer, Position, between};

/// How many nodes one question goes to: more than are likely to join into one gap before the first of them has
/// everything.
pub const HOLDERS_MAX: usize = 256;

/// What a node knows about the records of its own range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Custody {
    /// The farthest node that may still have records of this node's range; none when all of them are here.
    farthest: Option<Peer>,
}

/// One question on its way along the holders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pull {
    me: Position,
    began_at: Peer,
    farthest: Option<Peer>,
    /// Who is to be asked yet.
    ahead: Vec<Peer>,
    asking: Option<Peer>,
    asked: usize,
}

impl Custody {
    /// The node has become a member, and `former` owned its range before; nobody did in a new ring.
    pub fn joined(former: Option<Peer>) -> Self {
        Self { farthest: former }
    }

    /// Whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.farthest.is_none()
    }

    /// The farthest node that may still have something.
    pub fn farthest(&self) -> Option<&Peer> {
        self.farthest.as_ref()
    }

    /// A question to all who may still have something for the node at `me`, whose successors are these; `None` when
    /// everything is here.
    pub fn pull(&self, me: Position, successors: &[Peer]) -> Option<Pull> {
        let farthest = self.farthest.clone()?;
        let mut ahead = vec![farthest.clone()];
        ahead.extend(successors.iter().filter(|peer| between(me, peer.position, farthest.position)).cloned());
        let began_at = farthest.clone();
        Some(Pull { me, began_at, farthest: Some(farthest), ahead, asking: None, asked: 0 })
    }

    /// Takes in what a question has shown, unless a later one has shown more.
    pub fn learn(&mut self, pull: &Pull) {
        if self.farthest.as_ref() == Some(&pull.began_at) {
            self.farthest.clone_from(&pull.farthest);
        }
    }
}

impl Pull {
    /// Whom to ask now: the farthest that was not asked yet. `None` when nobody is left.
    pub fn ask_next(&mut self) -> Option<Peer> {
        if self.asked >= HOLDERS_MAX {
            return None;
        }
        let me = self.me;
        let farthest = self
            .ahead
            .iter()
            .enumerate()
            .reduce(|far, other| if between(me, far.1.position, other.1.position) { other } else { far });
        let next = self.ahead.swap_remove(farthest?.0);
        self.ahead.retain(|peer| *peer != next);
        self.asked += 1;
        self.asking = Some(next.clone());
        Some(next)
    }

    /// Who was asked does not have it. It is settled if it will have nothing for this node later either; `before` is its
    /// predecessor.
    pub fn has_nothing(&mut self, is_settled: bool, before: Option<Peer>) {
        let Some(asked) = self.asking.take() else { return };
        let nearer = before.filter(|before| between(self.me, before.position, asked.position));
        if is_settled && self.farthest.as_ref() == Some(&asked) {
            self.farthest.clone_from(&nearer);
        }
        if let Some(nearer) = nearer.filter(|nearer| !self.ahead.contains(nearer)) {
            self.ahead.push(nearer);
        }
    }

    /// Who was asked is no longer there, and what it had is gone with it.
    pub fn gone(&mut self) {
        let Some(asked) = self.asking.take() else { return };
        if self.farthest.as_ref() == Some(&asked) {
            let mut rest = self.clone();
            self.farthest = rest.ask_next();
        }
    }

    /// Whether everybody was asked.
    pub fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.asking.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(at: u64) -> Peer {
        Peer { position: at.into(), name: format!("h{at}:1").parse().unwrap() }
    }

    /// Asks all holders; `before` is the ring as each knows it. Returns whom it asked.
    fn ask(pull: &mut Pull, settled: &[u64], before: &[(u64, u64)]) -> Vec<Peer> {
        let before_of =
            |asked: &Peer| before.iter().find(|(at, _)| peer(*at) == *asked).map(|(_, before)| peer(*before));
        let mut asked = Vec::new();
        while let Some(holder) = pull.ask_next() {
            pull.has_nothing(settled.iter().any(|at| peer(*at) == holder), before_of(&holder));
            asked.push(holder);
        }
        asked
    }

    #[test]
    fn a_founder_has_everything() {
        assert!(Custody::joined(None).is_complete());
        assert_eq!(Custody::joined(None).pull(10.into(), &[peer(20)]), None);
    }

    #[test]
    fn holders_are_asked_from_the_former_owner_back_to_the_newcomer() {
        let custody = Custody::joined(Some(peer(50)));
        let mut pull = custody.pull(10.into(), &[peer(20), peer(30), peer(60)]).unwrap();
        let asked = ask(&mut pull, &[], &[(50, 40), (40, 30), (30, 20), (20, 10)]);
        assert_eq!(asked, [peer(50), peer(40), peer(30), peer(20)]);
        assert!(pull.is_done());
    }

    #[test]
    fn the_way_goes_round_zero() {
        let custody = Custody::joined(Some(peer(5)));
        let mut pull = custody.pull(200.into(), &[peer(250)]).unwrap();
        assert_eq!(ask(&mut pull, &[], &[(5, 2), (2, 250), (250, 200)]), [peer(5), peer(2), peer(250)]);
    }

    #[test]
    fn a_settled_holder_is_not_asked_again() {
        let mut custody = Custody::joined(Some(peer(50)));
        let before = [(50, 40), (40, 30), (30, 10)];
        let mut pull = custody.pull(10.into(), &[]).unwrap();
        ask(&mut pull, &[50, 30], &before);
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(40)), "what 30 says does not count before 40 is settled");
        let mut pull = custody.pull(10.into(), &[]).unwrap();
        ask(&mut pull, &[40, 30], &before);
        custody.learn(&pull);
        assert!(custody.is_complete());
    }

    #[test]
    fn a_late_answer_does_not_undo_what_is_known() {
        let mut custody = Custody::joined(Some(peer(50)));
        let mut late = custody.pull(10.into(), &[]).unwrap();
        let mut quick = late.clone();
        ask(&mut late, &[50], &[(50, 40)]);
        ask(&mut quick, &[50, 40], &[(50, 40), (40, 10)]);
        custody.learn(&quick);
        custody.learn(&late);
        assert!(custody.is_complete());
    }

    #[test]
    fn a_holder_that_is_gone_gives_way_to_the_farthest_that_is_known() {
        let mut custody = Custody::joined(Some(peer(50)));
        let mut pull = custody.pull(10.into(), &[peer(20), peer(30)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(50)));
        pull.gone();
        ask(&mut pull, &[], &[(30, 20), (20, 10)]);
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(30)));
    }

    #[test]
    fn a_holder_that_stays_silent_leaves_the_question_open() {
        let custody = Custody::joined(Some(peer(50)));
        let mut pull = custody.pull(10.into(), &[]).unwrap();
        pull.ask_next();
        assert!(!pull.is_done());
    }

    #[test]
    fn a_way_without_end_is_given_up() {
        let custody = Custody::joined(Some(peer(1000)));
        let mut pull = custody.pull(10.into(), &[]).unwrap();
        let mut asked = 0;
        while let Some(holder) = pull.ask_next() {
            asked += 1;
            let at: u64 = holder.position.to_string().parse().unwrap();
            pull.has_nothing(false, Some(peer(at - 1)));
        }
        assert_eq!(asked, HOLDERS_MAX);
        assert!(!pull.is_done());
    }
}
