//! What is learned of owners, against a list of what each position was learned to be owned by.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use chord_ring::*;
use chord_sim::numbered::{name, number, peer};
use proptest::prelude::*;

const BITS: u64 = 5;
const POSITIONS: u64 = 1 << BITS;

fn shortcuts(bits: u64) -> Shortcuts {
    Shortcuts::new(RingSize::new(bits).unwrap())
}

fn found(owner: u64, after: Option<u64>) -> Found {
    Found {
        owner: peer(owner),
        hops: 1,
        path: vec![name(owner)],
        after: after.map(Position::from),
        took: Vec::new(),
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn owner_of(shortcuts: &Shortcuts, target: u64, now: Duration) -> Option<u64> {
    shortcuts.owner_of(target.into(), now).map(number)
}

#[derive(Clone, Debug)]
enum Happening {
    Learned { target: u64, owner: u64, after: Option<u64>, pause: u64 },
    Forgotten(u64),
}

/// Of each position, who was learned to own it, and when.
#[derive(Default)]
struct Model(BTreeMap<u64, (u64, Duration)>);

impl Model {
    fn learn(&mut self, target: u64, owner: u64, after: Option<u64>, now: Duration) {
        let steps = |from: u64, to: u64| (to + POSITIONS - from) % POSITIONS;
        let is_in = |after: u64, position: u64| owned(after.into(), position.into(), owner.into());
        let is_known = |at: u64| self.0.get(&at).is_some_and(|(known, _)| *known == owner);
        let told = after.filter(|after| is_in(*after, target));
        let range: Vec<u64> = (0..POSITIONS)
            .filter(|at| match told {
                Some(after) => is_in(after, *at),
                None if is_known(target) => is_known(*at),
                None => steps(*at, owner) <= steps(target, owner),
            })
            .collect();
        // Whoever lies in the range owns nothing, and nobody owns what lies before this owner and not its range.
        self.0.retain(|at, (known, _)| !range.contains(known) && steps(*at, *known) < steps(*at, owner));
        self.0.extend(range.into_iter().map(|at| (at, (owner, now))));
    }

    fn forget(&mut self, owner: u64) {
        self.0.retain(|_, (known, _)| *known != owner);
    }

    fn owner_of(&self, target: u64, now: Duration) -> Option<u64> {
        let (owner, at) = self.0.get(&target)?;
        (now <= *at + SHORTCUT_AGE_MAX).then_some(*owner)
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let at = 0..POSITIONS;
    let learned = (at.clone(), at.clone(), prop::option::weighted(0.8, at.clone()), 0_u64..4)
        .prop_map(|(target, owner, after, pause)| Happening::Learned { target, owner, after, pause });
    prop::collection::vec(prop_oneof![9 => learned, 1 => at.prop_map(Happening::Forgotten)], 0..40)
}

proptest! {
    #[test]
    fn each_position_has_the_owner_that_was_learned_last(happenings in happenings()) {
        let (mut shortcuts, mut model, mut now) = (shortcuts(BITS), Model::default(), Duration::ZERO);
        for happening in happenings {
            match happening {
                Happening::Learned { target, owner, after, pause } => {
                    now += secs(pause);
                    shortcuts.learn(target.into(), &found(owner, after), now);
                    model.learn(target, owner, after, now);
                    prop_assert_eq!(owner_of(&shortcuts, target, now), Some(owner));
                }
                Happening::Forgotten(owner) => {
                    shortcuts.forget(&name(owner));
                    model.forget(owner);
                }
            }
            for target in 0..POSITIONS {
                prop_assert_eq!(owner_of(&shortcuts, target, now), model.owner_of(target, now), "{}", target);
            }
        }
    }
}

#[test]
fn an_owner_is_believed_in_for_a_while_and_no_longer() {
    let mut shortcuts = shortcuts(8);
    shortcuts.learn(15.into(), &found(20, Some(10)), secs(100));
    let end = secs(100) + SHORTCUT_AGE_MAX;
    assert_eq!(owner_of(&shortcuts, 11, end), Some(20));
    assert_eq!(owner_of(&shortcuts, 11, end + Duration::from_nanos(1)), None);
    assert_eq!((owner_of(&shortcuts, 10, end), owner_of(&shortcuts, 21, end)), (None, None));
}

#[test]
fn one_that_does_not_say_where_its_range_begins_owns_what_it_was_found_for_and_what_follows() {
    let mut shortcuts = shortcuts(8);
    shortcuts.learn(15.into(), &found(20, None), secs(0));
    assert_eq!(
        [14, 15, 20, 21].map(|at| owner_of(&shortcuts, at, secs(0))),
        [None, Some(20), Some(20), None]
    );
    shortcuts.learn(12.into(), &found(20, None), secs(1));
    shortcuts.learn(18.into(), &found(20, None), secs(2));
    assert_eq!([11, 12, 20].map(|at| owner_of(&shortcuts, at, secs(2))), [None, Some(20), Some(20)]);
    shortcuts.learn(30.into(), &found(40, Some(35)), secs(3));
    assert_eq!(owner_of(&shortcuts, 30, secs(3)), Some(40), "a range that lies elsewhere counts as none");
}

#[test]
fn of_more_owners_than_there_is_room_for_the_one_learned_longest_ago_goes() {
    let mut shortcuts = shortcuts(16);
    let n_owners = SHORTCUTS_MAX as u64;
    let learn = |shortcuts: &mut Shortcuts, idx: u64, at: u64| {
        shortcuts.learn((idx * 10).into(), &found(idx * 10, Some(idx * 10 - 5)), Duration::from_millis(at));
    };
    for idx in 1..=n_owners {
        learn(&mut shortcuts, idx, idx);
    }
    learn(&mut shortcuts, 1, n_owners + 1);
    assert_eq!(shortcuts.len(), SHORTCUTS_MAX);
    learn(&mut shortcuts, n_owners + 1, n_owners + 2);
    assert_eq!(shortcuts.len(), SHORTCUTS_MAX);
    let is_known = |idx: u64| owner_of(&shortcuts, idx * 10, secs(1)).is_some();
    assert_eq!([1, 2, 3, n_owners + 1].map(is_known), [true, false, true, true]);
}
