//! A ring on two hosts whose cable is pulled out and put back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::*;

const RING_SIZE: usize = 160;

/// How long the cable is out: each side has healed by itself and forgotten the other's addresses for good.
const CUT: Duration = Duration::from_secs(30);

/// Longest wait until both sides are one ring again.
const MERGE_LIMIT: Duration = Duration::from_secs(30);

/// Nodes of one ring, each on one of two hosts.
struct Divided {
    hosts: Hosts,
    nodes: BTreeMap<String, Process>,
}

impl Divided {
    /// The namespace that a node is in.
    fn host_of(&self, name: &str) -> &str {
        if name.starts_with(Hosts::NEAR) { &self.hosts.near } else { &self.hosts.far }
    }

    /// What a node answers to a command from its own host.
    fn answer(&self, name: &str, command: &[&str]) -> Result<String, String> {
        let (address, port) = name.rsplit_once(':').expect("a name is HOST:PORT");
        let client = ["http", "client", address, port];
        let ended = run_command(Hosts::program_at(self.host_of(name)).args(client).args(command));
        if ended.code == Some(0) { Ok(ended.stdout.trim().to_owned()) } else { Err(ended.stderr) }
    }

    #[track_caller]
    fn start(&mut self, name: &str, contact: Option<&str>) {
        let (address, port) = name.rsplit_once(':').expect("a name is HOST:PORT");
        let size = RING_SIZE.to_string();
        let mut server = Hosts::program_at(self.host_of(name));
        let mut process = Process::start(server.args(["http", "server", address, port, &size]));
        process.wait_until_it_says("Running on").expect("it serves");
        self.nodes.insert(name.to_owned(), process);
        let done = match contact.map(|contact| contact.rsplit_once(':').expect("a name is HOST:PORT")) {
            None => self.answer(name, &["create"]),
            Some((address, port)) => self.answer(name, &["join", address, port]),
        };
        done.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The names of the nodes on one host.
    fn at(&self, address: &str) -> Vec<String> {
        self.nodes.keys().filter(|name| name.starts_with(address)).cloned().collect()
    }

    /// Waits until these nodes are an ideal ring of their own; returns how long it took.
    #[track_caller]
    fn wait_until_ideal(&self, what: &str, names: &[String], limit: Duration) -> Duration {
        let oracle = Oracle::new(RING_SIZE, names);
        let display = |name: &String| format!("chord.node({name})");
        let is_ideal = |name: &String| {
            let before = oracle.predecessor(name).as_ref().map_or("None".to_owned(), display);
            let list: Vec<String> = oracle.successor_list(name).iter().map(display).collect();
            let expected = [
                ("get_predecessor", format!("GetPredecessorResponse(node={before})")),
                (
                    "get_successor_list",
                    format!("GetSuccessorListResponse(successor_list=[{}])", list.join(", ")),
                ),
            ];
            expected.iter().try_for_each(|(command, expected)| match self.answer(name, &[command])? {
                answer if answer == *expected => Ok(()),
                answer => Err(format!("{name}: {answer}, not {expected}")),
            })
        };
        wait_for(what, limit, || names.iter().try_for_each(is_ideal)).1
    }
}

#[test]
fn a_ring_that_is_cut_for_half_a_minute_is_one_again_with_all_who_joined_on_either_side() {
    let _machine = beside_others();
    let Some(hosts) = Hosts::new() else {
        return println!("not tried: this user may not make network namespaces, so there is no cable to cut");
    };
    let mut ring = Divided { hosts, nodes: BTreeMap::new() };
    let near = |number: u16| format!("{}:{}", Hosts::NEAR, 5000 + number);
    let far = |number: u16| format!("{}:{}", Hosts::FAR, 5000 + number);
    ring.start(&near(0), None);
    for name in [near(1), near(2), far(0), far(1), far(2)] {
        ring.start(&name, Some(&near(0)));
    }
    let all: Vec<String> = ring.nodes.keys().cloned().collect();
    ring.wait_until_ideal("a ring on two hosts", &all, IDEAL_LIMIT);

    let begin = Instant::now();
    ring.hosts.cut();
    for address in [Hosts::NEAR, Hosts::FAR] {
        ring.wait_until_ideal("a ring on one side of the cut", &ring.at(address), CUT);
    }
    ring.start(&near(3), Some(&near(1)));
    ring.start(&far(3), Some(&far(1)));
    for address in [Hosts::NEAR, Hosts::FAR] {
        ring.wait_until_ideal("a ring that has grown on one side of the cut", &ring.at(address), IDEAL_LIMIT);
    }
    let until_mended = || if begin.elapsed() < CUT { Err("it is still cut") } else { Ok(()) };
    wait_for("the end of the cut", CUT, until_mended);

    ring.hosts.mend();
    let all: Vec<String> = ring.nodes.keys().cloned().collect();
    assert_eq!(all.len(), 8);
    let took = ring.wait_until_ideal("one ring again", &all, MERGE_LIMIT);
    println!("one ring again {:.1} s after the cable was put back", took.as_secs_f64());
}
