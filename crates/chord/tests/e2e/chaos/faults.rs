//! What goes wrong: one scenario after another, each for as long as a run lasts.

use std::fmt;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64Mcg;

use super::clients::Known;
use super::history::{Clock, Standstill};
use super::ring::{Ring, wait_until_ready};

/// A node is killed, or one joins and leaves, so often.
const FAULT_EVERY: Duration = Duration::from_secs(5);

/// How long a node stands still.
const FREEZE: Duration = Duration::from_secs(5);

/// A node is frozen so often: it has a moment to catch up before the next.
const FREEZE_EVERY: Duration = Duration::from_secs(6);

/// How long a newcomer stays.
const STAY: Duration = Duration::from_secs(2);

/// How long the cable is out, in a run that is long enough for the ring to heal after it.
const CUT: Duration = Duration::from_secs(20);

/// All nodes are killed so often: the ring is back and under load again by then.
const KILL_ALL_EVERY: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// SIGKILL of a random node every 5 s, which is started again at once
    Kill,
    /// SIGSTOP of a random node for 5 s, again and again
    Freeze,
    /// SIGTERM of one node after the other, each started again and ready before the next
    Rolling,
    /// A node joins and leaves every 5 s
    Churn,
    /// No network between two nodes and the other three for 20 s
    Cut,
    /// SIGKILL of all nodes at once, which are started again
    KillAll,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().expect("no scenario is hidden").get_name())
    }
}

impl Scenario {
    /// Whether a read may see what was overwritten before: one side of a cut does not know the other's writes, and a
    /// node that wakes up does not know at once that it was replaced.
    pub(crate) fn may_be_stale(self) -> bool {
        matches!(self, Self::Freeze | Self::Cut)
    }

    /// Whether enough nodes are always there that every key should be served.
    pub(crate) fn is_always_served(self) -> bool {
        self != Self::KillAll
    }
}

/// Does to a ring what a scenario says, and tells it as it happens.
pub(crate) struct Injector<'a> {
    pub(crate) ring: &'a mut Ring,
    pub(crate) known: &'a Known,
    pub(crate) random: Pcg64Mcg,
    pub(crate) clock: Clock,
    pub(crate) length: Duration,
    pub(crate) n_faults: u32,
    pub(crate) standstills: Vec<Standstill>,
    /// What nodes said that could not leave in good order.
    pub(crate) unclean: Vec<String>,
}

impl Injector<'_> {
    /// Does to the ring what the scenario says, and waits for the end of the run.
    #[track_caller]
    pub(crate) fn inject(&mut self, scenario: Scenario) {
        match scenario {
            Scenario::Kill => self.every(FAULT_EVERY, Self::kill_one),
            Scenario::Freeze => self.every(FREEZE_EVERY, Self::freeze_one),
            Scenario::Rolling => self.restart_in_turn(),
            Scenario::Churn => self.every(FAULT_EVERY, Self::join_and_leave),
            Scenario::Cut => self.cut(),
            Scenario::KillAll => self.every(KILL_ALL_EVERY, Self::kill_all),
        }
        self.wait_until(self.length);
    }

    /// Injects a fault in each such period until the run is over; at least one.
    fn every(&mut self, period: Duration, mut fault: impl FnMut(&mut Self)) {
        let mut next = period.min(self.length / 2);
        while next < self.length {
            self.wait_until(next);
            fault(self);
            next = (next + period).max(self.clock.elapsed());
        }
    }

    fn kill_one(&mut self) {
        let name = self.draw();
        self.tell(&format!("kill -9 {name}"));
        self.ring.kill(&name);
        self.ring.run(&name);
        tell_ready(&name);
    }

    fn freeze_one(&mut self) {
        let name = self.draw();
        self.tell(&format!("{name} is stopped for {} s", FREEZE.as_secs()));
        let began = self.clock.now();
        self.ring.process(&name).freeze();
        thread::sleep(FREEZE);
        self.ring.process(&name).signal("CONT");
        self.standstills.push(Standstill { node: name.clone(), began, ended: self.clock.now() });
        tell_ready(&name);
    }

    fn restart_in_turn(&mut self) {
        let names = self.ring.names();
        for name in names.iter().cycle() {
            if self.clock.elapsed() >= self.length {
                return;
            }
            self.leave(name);
            self.ring.run(name);
            tell_ready(name);
        }
    }

    fn join_and_leave(&mut self) {
        let name = self.ring.grow();
        self.tell(&format!("{name} has joined"));
        self.known.add(&name);
        thread::sleep(STAY);
        self.known.remove(&name);
        self.leave(&name);
        self.ring.forget(&name);
    }

    fn cut(&mut self) {
        let length = CUT.min(self.length / 2);
        self.wait_until(self.length / 6);
        self.tell(&format!("2 nodes are cut off from 3 for {} s", length.as_secs()));
        self.ring.lab().cut();
        thread::sleep(length);
        self.ring.lab().mend();
        let took = self.ring.wait_until_whole();
        println!("          one ring again after {:.1} s", took.as_secs_f64());
    }

    fn kill_all(&mut self) {
        let names = self.ring.names();
        self.tell("kill -9 of all nodes");
        self.ring.kill_all();
        for name in &names {
            self.ring.run(name);
        }
        for name in &names {
            tell_ready(name);
        }
    }

    fn leave(&mut self, name: &str) {
        self.tell(&format!("{name} is told to leave"));
        if let Err(wrong) = self.ring.leave(name) {
            println!("          {wrong}");
            self.unclean.push(wrong);
        }
    }

    fn draw(&mut self) -> String {
        self.ring.names().choose(&mut self.random).expect("the ring has nodes").clone()
    }

    /// Says what goes wrong, and when.
    fn tell(&mut self, fault: &str) {
        self.n_faults += 1;
        println!("  {:5.1} s {fault}", self.clock.elapsed().as_secs_f64());
    }

    fn wait_until(&self, elapsed: Duration) {
        thread::sleep(elapsed.saturating_sub(self.clock.elapsed()));
    }
}

fn tell_ready(name: &str) {
    let took = wait_until_ready(name);
    println!("          {name} is ready after {:.1} s", took.as_secs_f64());
}
