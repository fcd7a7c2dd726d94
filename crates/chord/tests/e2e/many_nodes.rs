//! Many nodes on one machine: how fast they form a ring, how few hops it takes, and what they cost at rest.
//!
//! The limits hold for a release build, which CI names in `CHORD_PROGRAM`.
//! A debug build is several times larger and slower, and has looser ones and fewer nodes: 64 of them keep two cores busy.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

/// What is asked of the program, by how it was built.
struct Limits {
    n_nodes: u16,
    /// From the last join to an ideal ring.
    forming: Duration,
    /// Resident memory of a node at rest.
    resident_kb: u64,
    /// Share of one core that a node takes at rest.
    processor_share: f64,
}

const RELEASE: Limits =
    Limits { n_nodes: 64, forming: Duration::from_secs(10), resident_kb: 15_000, processor_share: 0.01 };

const DEBUG: Limits =
    Limits { n_nodes: 24, forming: Duration::from_secs(30), resident_kb: 40_000, processor_share: 0.05 };

fn limits() -> Limits {
    if is_release_build() { RELEASE } else { DEBUG }
}

/// How long a node is watched at rest.
const WATCHED: Duration = Duration::from_secs(5);

/// A ring where nothing changes is at rest within this: its rounds become slow after ten at 200 ms and three pauses
/// that double.
const REST_LIMIT: Duration = Duration::from_secs(20);

/// How long nodes are watched to see whether they are at rest: a few slow rounds.
const GLANCE: Duration = Duration::from_secs(2);

/// Mean forwards of a lookup among 64 nodes at most: ½ log2 64 of the Chord paper, and one for the last stretch.
const MEAN_HOPS_LIMIT: f64 = 4.0;

#[test]
fn many_nodes_in_one_process_form_an_ideal_ring_with_few_hops() {
    let _machine = alone();
    let Limits { n_nodes, forming, .. } = limits();
    let first = free_ports(n_nodes);
    let names: Vec<String> = (first..first + n_nodes).map(|port| format!("127.0.0.1:{port}")).collect();
    let begin = Instant::now();
    let arguments = ["dev", "--nodes", &n_nodes.to_string(), "--port", &first.to_string()];
    let mut dev = Process::start(program().args(arguments));

    let is_member = |name: &String| match try_ask(name, "find_successor", r#"{"key": 0}"#) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{name}: {}", answer.error())),
        Err(error) => Err(format!("{name}: {error}")),
    };
    wait_for("the last join", Duration::from_secs(60), || names.iter().try_for_each(is_member));
    println!("all nodes are members after {:?}", begin.elapsed());
    let oracle = Oracle::new(160, &names);
    let ((), elapsed) =
        wait_for("an ideal ring", forming, || names.iter().try_for_each(|name| is_ideal_at(&oracle, name)));
    println!("the ring is ideal {elapsed:?} after the last join");
    dev.wait_until_it_says("Ctrl-C").expect("dev sees it too");

    let (mean, elapsed) = wait_for("few hops", forming, || {
        let mean = mean_hops(&names, &oracle)?;
        if mean <= MEAN_HOPS_LIMIT { Ok(mean) } else { Err(format!("{mean:.2} hops in the mean")) }
    });
    println!("{mean:.2} hops in the mean, {elapsed:?} later");
    dev.signal("TERM");
    assert_eq!(dev.wait(), Some(0), "{}", dev.stderr());
}

/// Over one lookup of many keys, spread over the nodes; each must find the right owner.
#[track_caller]
fn mean_hops(names: &[String], oracle: &Oracle) -> Result<f64, String> {
    let keys: Vec<String> = (0..512).map(|idx| format!("key {idx}")).collect();
    let mut n_hops = 0;
    for (key, name) in keys.iter().zip(names.iter().cycle()) {
        let answer = ask(name, "find_successor", &json!({ "key": key }).to_string());
        if answer.status != 200 {
            return Err(format!("{name}: {}", answer.error()));
        }
        let found = answer.fields(&["node", "hops"]);
        assert_eq!(found["node"], json!(oracle.owner_of_key(key)), "{key} at {name}");
        n_hops += found["hops"].as_u64().expect("hops is a number");
    }
    #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
    let mean = n_hops as f64 / keys.len() as f64;
    Ok(mean)
}

#[test]
fn a_node_at_rest_costs_little() {
    let _machine = alone();
    let limits = limits();
    let cluster = Cluster::ring(5, 160);
    let shares = |during: Duration| -> Vec<f64> {
        let times = || cluster.servers.values().map(|node| processor_time(node.id())).collect::<Vec<_>>();
        let (begin, before) = (Instant::now(), times());
        std::thread::sleep(during);
        let (watched, after) = (begin.elapsed(), times());
        let share =
            |(before, after)| Duration::saturating_sub(after, before).as_secs_f64() / watched.as_secs_f64();
        before.into_iter().zip(after).map(share).collect()
    };
    wait_for("nodes at rest", REST_LIMIT, || {
        let shares = shares(GLANCE);
        let quiet = shares.iter().all(|share| *share < limits.processor_share);
        if quiet { Ok(()) } else { Err(format!("they take these shares of a core: {shares:.3?}")) }
    });
    for (node, share) in cluster.servers.values().zip(shares(WATCHED)) {
        let resident_kb = resident_kb(node.id());
        println!("{resident_kb} kB resident, {:.2} % of a core", share * 100.0);
        assert!(resident_kb < limits.resident_kb, "{resident_kb} kB resident, limit {}", limits.resident_kb);
        assert!(share < limits.processor_share, "{:.2} % of a core", share * 100.0);
    }
}
