use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::replication::Header;
use crate::{Key, Version};

const PATIENCE: Duration = Duration::from_secs(10);

fn size() -> RingSize {
    RingSize::new(6).expect("a size")
}

fn peer(position: u64) -> Peer {
    Peer { position: position.into(), name: format!("host{position}:1").parse().expect("a name") }
}

fn key(number: u64) -> Key {
    Key::new(format!("key{number}").as_bytes()).expect("it is short")
}

/// A record, which says that its key was deleted if it is over.
fn header(key: &Key, time_ms: u64, is_over: bool) -> Header {
    let version = Version::new(time_ms, 0, Position::ZERO);
    let over_at_ms = is_over.then_some(time_ms);
    Header { position: key.position(size()), key: key.clone(), version, over_at_ms }
}

#[allow(clippy::unnecessary_wraps, reason = "a question can fail")]
fn listed(claim: Claim, near: &[u64], headers: Vec<Header>) -> Result<PeerAnswer, Failure> {
    let near = near.iter().map(|position| peer(*position)).collect();
    let account = Account { claim, is_settled: false, near, recalled: Vec::new() };
    Ok(PeerAnswer { leaving: false, body: AnswerBody::Listed { account, headers, next: None } })
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Who is asked next, for which range.
fn asked(tour: &mut Tour, now: Duration) -> (Peer, Range) {
    match tour.next(now) {
        Ok(Step::Ask(peer, PeerRequest::List { range, .. })) => (peer, range),
        other => panic!("{other:?}"),
    }
}

/// A tour that has come to its first owner, at 20, which was asked.
fn begun() -> Tour {
    let mut tour = Tour::new(size(), Range::ALL, PATIENCE);
    assert_eq!(tour.next(at(0)), Ok(Step::FindOwner(Position::ZERO)));
    tour.found(at(0), Some(peer(20)));
    assert_eq!(asked(&mut tour, at(0)), (peer(20), Range { after: 63.into(), up_to: 20.into() }));
    tour
}

#[test]
fn an_owner_that_lacks_nothing_is_believed_alone_and_names_the_next_one() {
    let mut tour = begun();
    let told = tour.answered(at(1), listed(Claim::Whole, &[40], Vec::new())).unwrap().expect("a page");
    assert_eq!((told.owner, told.nodes), (peer(20).name, 1));
    assert_eq!(asked(&mut tour, at(1)), (peer(40), Range { after: 20.into(), up_to: 40.into() }));
    assert_eq!(tour.reached(), 20.into());
    // Nobody is between the last one and the end.
    assert!(tour.answered(at(2), listed(Claim::Whole, &[10], Vec::new())).unwrap().is_some());
    assert_eq!(asked(&mut tour, at(2)), (peer(10), Range { after: 40.into(), up_to: 63.into() }));
    assert!(tour.answered(at(3), listed(Claim::Whole, &[20], Vec::new())).unwrap().is_some());
    assert_eq!((tour.next(at(3)), tour.is_over()), (Ok(Step::End), true));
}

#[test]
fn while_an_owner_lacks_something_all_others_are_asked_and_it_again_after_them() {
    let keys: Vec<Key> = (0..1000).map(key).filter(|key| key.position(size()) <= 20.into()).take(3).collect();
    let [first, second, third] = keys.as_slice() else { panic!("three keys") };
    let mut tour = begun();
    assert_eq!(tour.answered(at(1), listed(Claim::Part(7), &[40, 60], Vec::new())), Ok(None));
    for (other, has) in [(40, header(first, 1, false)), (60, header(second, 1, false))] {
        assert_eq!(asked(&mut tour, at(1)).0, peer(other));
        assert_eq!(tour.answered(at(1), listed(Claim::Nothing, &[20], vec![has])), Ok(None));
    }
    assert_eq!(asked(&mut tour, at(1)).0, peer(20), "what the others have dropped since is here");
    let own = vec![header(second, 2, true), header(third, 1, false)];
    let told = tour.answered(at(1), listed(Claim::Part(7), &[40, 60], own)).unwrap().expect("a page");
    let live: BTreeSet<&Key> =
        told.headers.iter().filter(|header| header.is_live(9)).map(|header| &header.key).collect();
    assert_eq!((live, told.nodes), (BTreeSet::from([first, third]), 3), "the second was deleted");
}

#[test]
fn where_more_may_be_missing_than_before_all_are_asked_anew() {
    let mut tour = begun();
    assert_eq!(tour.answered(at(1), listed(Claim::Part(7), &[40], Vec::new())), Ok(None));
    assert_eq!(asked(&mut tour, at(1)).0, peer(40));
    assert_eq!(tour.answered(at(1), listed(Claim::Nothing, &[], Vec::new())), Ok(None));
    assert_eq!(asked(&mut tour, at(1)).0, peer(20));
    assert_eq!(tour.answered(at(1), listed(Claim::Part(8), &[40], Vec::new())), Ok(None));
    assert_eq!(asked(&mut tour, at(1)).0, peer(40), "once more");
    assert_eq!(tour.answered(at(1), listed(Claim::Nothing, &[50], Vec::new())), Ok(None));
    assert_eq!(asked(&mut tour, at(1)).0, peer(50), "nobody has everything, so those beyond are asked");
    assert_eq!(tour.answered(at(1), Err(Failure::Garbled)), Ok(None), "it keeps nothing that can be listed");
    assert_eq!(asked(&mut tour, at(1)).0, peer(20));
    assert_eq!(tour.answered(at(1), listed(Claim::Nothing, &[40], Vec::new())), Ok(None));
    assert_eq!(tour.next(at(1)), Ok(Step::Pause(RETRY_PAUSE)));
    assert_eq!(tour.next(at(51)), Ok(Step::FindOwner(Position::ZERO)), "it is not the owner any more");
}

#[test]
fn one_that_does_not_tell_is_asked_until_the_owner_does_not_name_it_any_more() {
    let mut tour = begun();
    assert_eq!(tour.answered(at(0), listed(Claim::Part(7), &[40], Vec::new())), Ok(None));
    for round in 0..100 {
        let now = at(round * 100);
        let mut tour = tour.clone();
        assert_eq!(asked(&mut tour, now).0, peer(40));
        assert_eq!(tour.answered(now, Err(Failure::Unreachable)), Ok(None));
        assert_eq!(tour.next(now), Ok(Step::Pause(RETRY_PAUSE)));
        assert_eq!(asked(&mut tour, now + RETRY_PAUSE).0, peer(20), "it may know more by now");
        assert!(tour.answered(now, listed(Claim::Part(7), &[], Vec::new())).unwrap().is_some());
    }
    assert_eq!(asked(&mut tour, at(9_900)).0, peer(40));
    assert_eq!(tour.answered(at(9_900), Err(Failure::Silent)), Ok(None));
    assert_eq!(tour.next(at(10_000)), Err(TourError::Untold(peer(40).name)));
    assert_eq!(
        tour.next(at(10_000)),
        Ok(Step::FindOwner(Position::ZERO)),
        "it tries anew, and leaves out nothing"
    );
}

#[test]
fn what_cannot_be_listed_is_left_out_only_by_whoever_is_on_the_tour() {
    let mut tour = begun();
    let refused = tour.answered(at(0), Err(Failure::Garbled));
    assert_eq!(refused, Err(TourError::NoList(peer(20).name)));
    assert_eq!(tour.reached(), 63.into());
    assert!(tour.skip());
    assert_eq!(tour.next(at(0)), Ok(Step::FindOwner(21.into())));
    tour.found(at(0), None);
    assert_eq!(tour.next(at(10_000)), Err(TourError::NoOwner));
    assert!(!tour.skip(), "nobody knows how much that would be");
}

/// A ring in which each key is somewhere all the while.
struct Ring {
    /// What each node has, and whether it may lack some of its range.
    nodes: BTreeMap<u64, Member>,
    keys: Vec<Key>,
    epochs: u64,
    state: u64,
}

#[derive(Default)]
struct Member {
    has: BTreeMap<(Position, Key), Header>,
    lacks: Option<u64>,
}

impl Ring {
    fn random(&mut self, below: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    fn owner_of(&self, position: Position) -> u64 {
        let mut later = self.nodes.keys().filter(|node| Position::from(**node) >= position);
        *later.next().or(self.nodes.keys().next()).expect("there is a node")
    }

    fn range_of(&self, node: u64) -> Range {
        let before = self.nodes.range(..node).next_back().or(self.nodes.iter().next_back());
        Range { after: (*before.expect("there is a node").0).into(), up_to: node.into() }
    }

    fn any(&mut self) -> u64 {
        let idx = self.random(self.nodes.len() as u64);
        *self.nodes.keys().nth(usize::try_from(idx).expect("it is small")).expect("there are so many")
    }

    /// Something changes.
    fn happen(&mut self) {
        let node = self.any();
        match self.random(6) {
            0 => {
                let newcomer = self.random(64);
                self.epochs += 1;
                let lacks = Some(self.epochs);
                self.nodes.entry(newcomer).or_insert(Member { lacks, ..Member::default() });
            }
            // It leaves each record with its owner. The one after it comes to own more, of which it may lack some.
            1 if self.nodes.len() > 1 => {
                let gone = self.nodes.remove(&node).expect("it was there");
                self.epochs += 1;
                let heir = self.owner_of(node.into());
                self.nodes.get_mut(&heir).expect("it is there").lacks = Some(self.epochs);
                for (place, header) in gone.has {
                    let owner = self.owner_of(place.0);
                    self.nodes.get_mut(&owner).expect("it is there").has.insert(place, header);
                }
            }
            // An owner takes one record more, from whoever has it.
            2 | 3 => {
                let range = self.range_of(node);
                let all = self.nodes.values().flat_map(|member| member.has.clone());
                let all: BTreeMap<_, _> =
                    all.filter(|((position, _), _)| range.contains(*position)).collect();
                let member = self.nodes.get_mut(&node).expect("it is there");
                match all.into_iter().find(|(place, _)| !member.has.contains_key(place)) {
                    Some((place, header)) => drop(member.has.insert(place, header)),
                    None => member.lacks = None,
                }
            }
            // What is elsewhere is dropped when its owner has it.
            _ => {
                let range = self.range_of(node);
                let mut strays =
                    self.nodes[&node].has.keys().filter(|(position, _)| !range.contains(*position));
                let is_kept =
                    |place: &&(Position, Key)| self.nodes[&self.owner_of(place.0)].has.contains_key(place);
                let dropped = strays.find(is_kept).cloned();
                if let Some(place) = dropped {
                    self.nodes.get_mut(&node).expect("it is there").has.remove(&place);
                }
            }
        }
    }

    fn answer(&mut self, peer: &Peer, request: PeerRequest) -> Result<PeerAnswer, Failure> {
        let PeerRequest::List { range, cursor } = request else { panic!("another question") };
        let number = u64::from_be_bytes(peer.position.to_be_bytes()[24..].try_into().expect("eight"));
        if !self.nodes.contains_key(&number) || self.random(10) == 0 {
            return Err(Failure::Unreachable);
        }
        let (own, page_len) =
            (self.range_of(number), usize::try_from(self.random(3) + 1).expect("it is small"));
        let member = &self.nodes[&number];
        let place = |position, key: &Key| {
            (size().distance(size().finger_start(range.after, 0), position), key.clone())
        };
        let from = cursor.map(|cursor| place(cursor.position, &cursor.key));
        let mut headers: Vec<&Header> =
            member.has.values().filter(|header| range.contains(header.position)).collect();
        headers.retain(|header| from.as_ref().is_none_or(|from| *from < place(header.position, &header.key)));
        headers.sort_by_key(|header| place(header.position, &header.key));
        let is_more = headers.len() > page_len;
        let headers: Vec<Header> = headers.into_iter().take(page_len).cloned().collect();
        let next = headers.last().filter(|_| is_more);
        let next = next.map(|last| Cursor { position: last.position, key: last.key.clone() });
        let mut all = (0..64).map(Position::from);
        let owns = all.all(|position| !range.contains(position) || own.contains(position));
        let claim = match (owns, member.lacks) {
            (false, _) => Claim::Nothing,
            (true, None) => Claim::Whole,
            (true, Some(epoch)) => Claim::Part(epoch),
        };
        let after = self.nodes.range(number + 1..).chain(self.nodes.range(..number));
        let near = after.map(|(node, _)| self::peer(*node)).collect();
        let account = Account { claim, is_settled: false, near, recalled: Vec::new() };
        Ok(PeerAnswer { leaving: false, body: AnswerBody::Listed { account, headers, next } })
    }
}

/// All keys that a tour tells while the ring changes.
fn toured(ring: &mut Ring, arc: Range, changes: u64) -> Vec<Header> {
    let mut tour = Tour::new(size(), arc, PATIENCE);
    let (mut now, mut told) = (Duration::ZERO, Vec::new());
    loop {
        now += at(1);
        for _ in 0..ring.random(changes + 1) {
            ring.happen();
        }
        match tour.next(now) {
            Ok(Step::End) => return told,
            Ok(Step::Pause(pause)) => now += pause,
            Ok(Step::FindOwner(position)) => {
                let owner = match ring.random(5) {
                    0 => None,
                    1 => Some(peer(ring.any())),
                    _ => Some(peer(ring.owner_of(position))),
                };
                tour.found(now, owner);
            }
            Ok(Step::Ask(peer, request)) => {
                let answer = ring.answer(&peer, request);
                told.extend(tour.answered(now, answer).unwrap().into_iter().flat_map(|told| told.headers));
            }
            Err(TourError::NoOwner | TourError::Untold(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

proptest! {
    #[test]
    fn a_tour_tells_each_key_once_and_in_order_while_nodes_come_and_go_and_records_move(
        seed: u64,
        changes in 0u64..16,
        n_nodes in 1u64..6,
        n_keys in 0u64..40,
        ends in (0u64..64, 0u64..64),
    ) {
        let keys: Vec<Key> = (0..n_keys).map(key).collect();
        let mut ring = Ring { nodes: BTreeMap::new(), keys, epochs: 0, state: seed };
        for _ in 0..n_nodes {
            let node = ring.random(64);
            ring.nodes.insert(node, Member::default());
        }
        for key in ring.keys.clone() {
            let position = key.position(size());
            let owner = ring.owner_of(position);
            let owner = ring.nodes.get_mut(&owner).expect("it is there");
            owner.has.insert((position, key.clone()), header(&key, 1, false));
        }
        let arc = Range { after: ends.0.into(), up_to: ends.1.into() };
        let told = toured(&mut ring, arc, changes);
        let first = size().finger_start(arc.after, 0);
        let place = |position: Position, key: &Key| (size().distance(first, position), key.clone());
        let mut expected: Vec<_> = ring.keys.iter().map(|key| (key.position(size()), key)).collect();
        expected.retain(|(position, _)| arc.contains(*position));
        let mut expected: Vec<_> = expected.into_iter().map(|(position, key)| place(position, key)).collect();
        expected.sort();
        let told: Vec<_> = told.iter().map(|header| place(header.position, &header.key)).collect();
        prop_assert_eq!(told, expected);
    }
}
