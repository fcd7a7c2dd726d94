//! The swarm: rings under faults drawn from seeds, and rings that merge.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::{Config, Peer, Phase, RingSize, RingTag, View, is_ideal};
use chord_sim::swarm::{Apart, Churn, Fault, Kind, LargeChurn, Merge, Plan, Run, Timed, merge, shrink};
use chord_sim::world::{Down, HostId, Latency, LookupId, Network, Outcome, Settings, World};

/// Seeds that every run of the tests tries. Many more: `chord sim run --seeds 10000`.
const SEEDS: u64 = 200;

/// Rounds within which rings of 64 and 64 nodes, or three rings of any sizes, are one.
const ROUNDS_TO_MERGE: u64 = 30;

#[test]
fn rings_keep_the_invariant_and_heal_under_the_faults_of_many_seeds() {
    for seed in 0..SEEDS {
        let plan = Plan::draw(seed);
        if let Err(broken) = Run::new(plan.clone()).finish() {
            let small = shrink(&plan, &broken);
            let how = &small.broken;
            panic!("seed {seed}: {} at {}: {}\n{}", how.rule, how.at, how.description, small.replay());
        }
    }
}

#[test]
fn two_runs_of_one_seed_are_the_same_event_by_event() {
    for seed in 0..20 {
        let run = || {
            let mut run = Run::new(Plan::draw(seed));
            run.world.start_trace();
            let ended = run.finish_here();
            (ended, run.world.take_trace())
        };
        let ((first, first_trace), (second, second_trace)) = (run(), run());
        let differ = first_trace.iter().zip(&second_trace).find(|(one, other)| one != other);
        assert_eq!(differ, None);
        assert_eq!((first, first_trace.len()), (second, second_trace.len()));
        assert!(first_trace.len() > 100, "something happens with seed {seed}");
    }
}

/// A run that claims to keep the assumptions of the proof, while half of its hosts stand still.
fn overconfident() -> Plan {
    let mut plan =
        (0..1_000).map(Plan::draw).find(|plan| plan.kind == Kind::Assured && plan.founders >= 8).unwrap();
    let frozen = (0..u32::try_from(plan.founders).unwrap()).filter(|host| host % 4 != 0).map(HostId);
    let first = plan.faults.len();
    plan.faults.extend(frozen.enumerate().map(|(idx, host)| Timed {
        number: first + idx,
        at: Duration::from_secs(4),
        fault: Fault::Freeze(host),
    }));
    plan
}

#[test]
fn a_run_that_fails_is_shrunk_to_less_that_fails_by_the_same_rule_again() {
    let plan = overconfident();
    let broken = Run::new(plan.clone()).finish().unwrap_err();
    let small = shrink(&plan, &broken);
    assert_eq!(small.broken.rule, broken.rule);
    assert!(small.plan.faults.len() < plan.faults.len() / 2, "{} faults are left", small.plan.faults.len());
    let again = Run::new(small.plan.clone()).finish().unwrap_err();
    assert_eq!(again, small.broken);
    let numbers: BTreeSet<usize> = small.plan.faults.iter().map(|timed| timed.number).collect();
    let replayed = Run::new(plan.with_hosts(small.plan.hosts).with_only(&numbers)).finish().unwrap_err();
    assert_eq!(replayed, small.broken, "{}", small.replay());
}

#[test]
fn rings_that_were_cut_or_started_apart_become_one() {
    for apart in [Apart::Cut, Apart::Started] {
        for (sizes, rounds_max) in [
            (&[2, 2][..], ROUNDS_TO_MERGE),
            (&[64, 64], ROUNDS_TO_MERGE),
            (&[30, 30, 30], ROUNDS_TO_MERGE),
            (&[100, 10, 1], ROUNDS_TO_MERGE),
        ] {
            let merged = merge(Merge { sizes, apart, loss: 0.0, seed: 1, rounds_max });
            let Some(merged) = merged else {
                panic!("{sizes:?} {apart:?} are no ideal ring after {rounds_max} rounds")
            };
            assert!(merged.one.rounds <= merged.ideal.rounds, "{sizes:?} {apart:?}: {merged:?}");
        }
    }
}

#[test]
fn rings_become_one_though_messages_are_lost() {
    for apart in [Apart::Cut, Apart::Started] {
        let merged = merge(Merge { sizes: &[20, 20], apart, loss: 0.05, seed: 1, rounds_max: 60 });
        assert!(merged.is_some(), "{apart:?}");
    }
}

#[test]
fn plans_have_no_seed_or_one_or_two() {
    let drawn: BTreeSet<usize> = (0..100).map(|seed| Plan::draw(seed).seeds).collect();
    assert_eq!(drawn, BTreeSet::from([0, 1, 2]));
}

/// A ring of three at the first hosts, and one of three that calls itself `other` at the next ones, all of which remember
/// a node of the first.
fn two_rings(other: &Config) -> (World, [Vec<HostId>; 2]) {
    let settings = Settings::new(config("chord", 12), 1);
    let mut world = World::new(settings, Network::reliable(Latency::Constant(Duration::from_millis(5))));
    let hosts: Vec<HostId> = (0..6)
        .map(|number| {
            let name = format!("host{number}:1").parse().unwrap();
            world.add_host(Peer::of_name(name, config("chord", 12).ring().size)).unwrap()
        })
        .collect();
    let (first, second) = hosts.split_at(3);
    world.start_ideal(first);
    for host in second {
        world.set_config(*host, other.clone());
        world.set_seeds(*host, &first[..1]);
    }
    world.create(second[0]);
    for host in &second[1..] {
        world.join(*host, &second[..1]);
    }
    world.run_until(world.now().after(Duration::from_secs(60)));
    (world, [first.to_vec(), second.to_vec()])
}

fn config(name: &str, bits: u64) -> Config {
    Config::new(RingTag { name: name.parse().unwrap(), size: RingSize::new(bits).unwrap() })
}

#[test]
fn rings_of_different_names_or_sizes_never_merge_though_they_know_of_each_other() {
    for (other, are_one) in
        [(config("other", 12), false), (config("chord", 13), false), (config("chord", 12), true)]
    {
        let (world, rings) = two_rings(&other);
        let views = |hosts: &[HostId]| -> Vec<View> {
            hosts.iter().map(|host| world.node(*host).unwrap().view().clone()).collect()
        };
        assert_eq!(world.is_ideal(), are_one, "{}", world.describe().join("\n"));
        for ring in &rings {
            assert_eq!(is_ideal(&views(ring)), !are_one, "{}", world.describe().join("\n"));
        }
    }
}

#[test]
fn a_lookup_never_comes_to_a_node_of_a_ring_of_another_name_or_size() {
    for other in [config("other", 12), config("chord", 13)] {
        let (mut world, rings) = two_rings(&other);
        // A host keeps its name: a node of the second ring now runs where the first ring knows a member of its own.
        let moved = rings[0][1];
        world.crash(moved, Down::Refuses);
        world.set_config(moved, other.clone());
        world.join(moved, &rings[1]);
        let asked: Vec<LookupId> = (0..64_u64)
            .flat_map(|target| [rings[0][0], rings[0][2]].map(|host| (host, target * 64)))
            .filter_map(|(host, target)| world.look_up(host, target.into()))
            .collect();
        world.run_until(world.now().after(Duration::from_secs(20)));
        assert_eq!(world.phase(moved), Some(Phase::Member));
        let of_the_first = [rings[0][0], rings[0][2]].map(|host| world.name(host).clone());
        for id in asked {
            let errand = &world.errands()[id.0 as usize];
            let Some((_, Outcome::Found(found))) = &errand.ended else { panic!("{errand:?}") };
            assert!(found.path.iter().all(|name| of_the_first.contains(name)), "{found:?}");
        }
    }
}

/// An ideal ring of so many hosts.
fn ideal_world(n_hosts: usize, latency: Duration) -> (World, Vec<HostId>) {
    let settings = Settings::new(config("chord", 64).with_successors(2).unwrap(), 1);
    let mut world = World::new(settings, Network::reliable(Latency::Constant(latency)));
    let names = (0..n_hosts).map(|number| format!("host{number}:1").parse().unwrap());
    let peers = names.map(|name| Peer::of_name(name, config("chord", 64).ring().size));
    let hosts: Vec<HostId> =
        peers.collect::<Vec<_>>().into_iter().filter_map(|peer| world.add_host(peer)).collect();
    world.start_ideal(&hosts);
    (world, hosts)
}

/// How long a lookup of what `host` owns took that began at the member at `from`.
fn look_up_owner(world: &mut World, from: HostId, host: HostId) -> (Duration, Outcome) {
    let target = world.node(host).unwrap().view().me().position;
    let id = world.look_up(from, target).unwrap();
    world.run_until(world.now().after(Duration::from_secs(5)));
    let errand = &world.errands()[id.0 as usize];
    let (at, outcome) = errand.ended.clone().expect("a client's lookup ends within its time");
    (at.since(errand.began), outcome)
}

#[test]
fn a_slow_way_is_waited_for_and_a_frozen_peer_is_not() {
    let (mut world, hosts) = ideal_world(2, Duration::from_millis(240));
    let (took, outcome) = look_up_owner(&mut world, hosts[0], hosts[1]);
    assert_eq!(took, Duration::from_millis(480));
    assert!(matches!(outcome, Outcome::Found(_)));
    // A frozen owner is asked whether it lives after half a second, and given up after another: nobody else is the owner.
    world.freeze(hosts[1]);
    let target = world.node(hosts[1]).unwrap().view().me().position;
    let id = world.look_up(hosts[0], target).unwrap();
    world.run_until(world.now().after(Duration::from_millis(990)));
    assert_eq!(world.errands()[id.0 as usize].timeouts, 0);
    world.run_until(world.now().after(Duration::from_millis(20)));
    assert_eq!(world.errands()[id.0 as usize].timeouts, 1);
}

#[test]
fn a_lookup_behind_a_slow_peer_goes_on_while_the_peer_lives() {
    let (mut world, hosts) = ideal_world(12, Duration::from_millis(5));
    let view = world.node(hosts[0]).unwrap().view();
    let ring: Vec<_> = view.successors().as_slice().iter().map(|peer| peer.name.clone()).collect();
    let next = world.host(&ring[1]).unwrap();
    let far = world.node(next).unwrap().view().successors().as_slice()[1].name.clone();
    let (far, asker) = (world.host(&far).unwrap(), hosts[0]);
    // The far host answers after 0.6 s: whoever asks it asks after 0.5 s whether it lives, and hears its answer first.
    world.network.slow.push((far, Duration::from_millis(300)));
    let (took, outcome) = look_up_owner(&mut world, asker, far);
    assert!(matches!(outcome, Outcome::Found(_)), "{outcome:?}");
    assert!(took > Duration::from_millis(600), "{took:?}");
    assert_eq!(world.errands().last().unwrap().timeouts, 0);
}

#[test]
fn a_ring_under_churn_answers_lookups() {
    for churn in [
        Churn::Rate(0.5),
        Churn::Lifetimes(Duration::from_secs(120)),
        Churn::HeavyTailed(Duration::from_secs(120)),
    ] {
        let churned = LargeChurn::new(60, churn, 7).run(Duration::from_secs(60));
        let mut by_second = LargeChurn::new(60, churn, 7);
        let last = (0..60).map(|_| by_second.run(Duration::from_secs(1))).last();
        assert_eq!(last, Some(churned), "second by second it is the same");
        assert!(churned.n_joins > 10 && churned.n_ends > 10, "{churned:?}");
        assert!(churned.n_right > 500, "{churned:?}");
        assert!(churned.n_wrong * 50 < churned.n_right, "{churned:?}");
    }
}
