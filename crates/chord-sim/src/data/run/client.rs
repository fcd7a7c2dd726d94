//! What clients do.

use chord_kv::replication::{Change, Condition, Expiry, Operation};
use chord_kv::{Key, Value};
use chord_ring::Phase;
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::{CLIENT, DataRun};
use crate::world::HostId;

/// Keys that are counted up instead of written.
pub(super) const COUNTERS: usize = 2;

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
        let idx = self.random.random_range(0..self.plan.keys + COUNTERS);
        let operation = if idx >= self.plan.keys {
            match self.random.random_range(0..3) {
                0 => Operation::Get,
                _ => Operation::Change {
                    change: Change::Add(1),
                    condition: Condition::Always,
                    expiry: Expiry::Never,
                },
            }
        } else {
            match self.random.random_range(0..10) {
                0..4 => Operation::Get,
                4..9 => {
                    self.written += 1;
                    Operation::put(value(&format!("v{}", self.written)))
                }
                _ => Operation::delete(),
            }
        };
        self.world.operate(host, key(idx), operation);
    }
}

pub(super) fn key(idx: usize) -> Key {
    Key::new(format!("key{idx}").as_bytes()).expect("it is short")
}

fn value(text: &str) -> Value {
    Value::new(text.as_bytes(), usize::MAX).expect("it is short")
}
