//! What clients do.

use chord_kv::replication::{Change, Condition, Consistency, Expiry, Operation};
use chord_kv::{Key, Record, Value};
use chord_ring::Phase;
use rand::RngExt;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::{CLIENT, DataPlan, DataRun, TOUR, TOUR_PAUSE};
use crate::world::{HostId, Wish};

/// What clients use a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is written and deleted.
    Register,
    /// It is counted up.
    Counter,
    /// It is appended to.
    List,
    /// It is written with an item more than was read, if it is still what was read.
    Chain,
}

/// The keys that are no registers, behind those that are.
const SPECIAL: [Kind; 6] = [Kind::Counter, Kind::Counter, Kind::List, Kind::List, Kind::Chain, Kind::Chain];

/// For how long something is there that expires, in milliseconds.
const MORTAL_FOR_MS: std::ops::Range<u64> = 100..8_000;

impl DataRun {
    pub(super) fn act_as_client(&mut self) {
        if self.is_over {
            return;
        }
        let pause = self.plan.pause.mul_f64(self.random.random::<f64>() * 2.0);
        self.world.set_alarm(pause, CLIENT);
        let is_up =
            |host: &HostId| self.world.phase(*host) == Some(Phase::Member) && !self.world.is_asleep(*host);
        let Some(host) = self.world.hosts().filter(is_up).choose(&mut self.random) else { return };
        let wish = self.wish(host);
        self.world.operate(host, wish);
    }

    pub(super) fn begin_tour(&mut self) {
        if self.is_over {
            return;
        }
        self.world.set_alarm(TOUR_PAUSE.mul_f64(self.touring.random::<f64>()), TOUR);
        let is_up =
            |host: &HostId| self.world.phase(*host) == Some(Phase::Member) && !self.world.is_asleep(*host);
        if let Some(host) = self.world.hosts().filter(is_up).choose(&mut self.touring) {
            self.world.tour(host);
        }
    }

    fn wish(&mut self, host: HostId) -> Wish {
        let idx = match self.random.random_range(0..10) {
            0..7 => self.random.random_range(0..self.plan.keys),
            _ if self.plan.habits.conditions => self.plan.keys + self.random.random_range(0..SPECIAL.len()),
            _ => self.plan.keys + self.random.random_range(0..2),
        };
        let kind = kind(&self.plan, idx);
        let key = key(idx);
        if self.random.random_bool(0.4) {
            return Wish { key, operation: Operation::Get, consistency: self.read_level() };
        }
        let consistency = self.write_level(kind);
        let operation = match kind {
            Kind::Register => self.change_of_register(host, &key),
            Kind::Counter => change(Change::Add(1), Condition::Always),
            Kind::List => change(Change::Append(value(&self.next_item())), Condition::Always),
            Kind::Chain => self.change_of_chain(&key),
        };
        Wish { key, operation, consistency }
    }

    /// How many copies a read asks for.
    pub(super) fn read_level(&mut self) -> Consistency {
        use Consistency::{All, One, Quorum, Usual};
        if !self.plan.habits.levels {
            return Usual;
        }
        [Usual, Usual, One, Quorum, All].choose(&mut self.random).copied().unwrap_or(Usual)
    }

    fn write_level(&mut self, kind: Kind) -> Consistency {
        let level = self.read_level();
        // What one node has alone may be lost, and with it what was built on it.
        if kind != Kind::Register && level == Consistency::One { Consistency::Usual } else { level }
    }

    fn change_of_register(&mut self, host: HostId, key: &Key) -> Operation {
        let change = match self.random.random_range(0..6) {
            0 => Change::Delete,
            _ => Change::Set(value(&self.next_item())),
        };
        let condition = match self.random.random_range(0..10) {
            0..6 => Condition::Always,
            _ if !self.plan.habits.conditions => Condition::Always,
            6 => Condition::Absent,
            7 => Condition::Present,
            _ => self.as_last_seen(key).0,
        };
        let expiry = match self.random.random_range(0..4) {
            0 if self.plan.habits.expiry => {
                Expiry::At(self.world.wall_ms(host) + self.random.random_range(MORTAL_FOR_MS))
            }
            _ => Expiry::Never,
        };
        Operation::Change { change, condition, expiry }
    }

    fn change_of_chain(&mut self, key: &Key) -> Operation {
        let (condition, before) = self.as_last_seen(key);
        let before =
            before.as_ref().and_then(|record| record.value.as_ref()).map_or(&[][..], Value::as_bytes);
        let text = [before, self.next_item().as_bytes()].concat();
        change(Change::Set(Value::new(&text, usize::MAX).expect("it is short")), condition)
    }

    /// That a key is still as a client saw it last, and what that was.
    fn as_last_seen(&self, key: &Key) -> (Condition, Option<Record>) {
        let mut actions = self.world.actions().iter().rev().filter(|action| action.wish.key == *key);
        let seen = actions.find_map(|action| action.ended.as_ref()?.1.as_ref().ok());
        let record = seen.and_then(|outcome| outcome.record.clone());
        (record.as_ref().map_or(Condition::Absent, |record| Condition::Version(record.version)), record)
    }

    fn next_item(&mut self) -> String {
        self.written += 1;
        format!("v{} ", self.written)
    }
}

fn change(change: Change, condition: Condition) -> Operation {
    Operation::Change { change, condition, expiry: Expiry::Never }
}

/// How many keys the clients of a plan use.
pub(super) fn n_keys(plan: &DataPlan) -> usize {
    plan.keys + SPECIAL.len()
}

pub(super) fn kind(plan: &DataPlan, idx: usize) -> Kind {
    idx.checked_sub(plan.keys).and_then(|idx| SPECIAL.get(idx).copied()).unwrap_or(Kind::Register)
}

pub(super) fn key(idx: usize) -> Key {
    Key::new(format!("key{idx}").as_bytes()).expect("it is short")
}

fn value(text: &str) -> Value {
    Value::new(text.as_bytes(), usize::MAX).expect("it is short")
}
