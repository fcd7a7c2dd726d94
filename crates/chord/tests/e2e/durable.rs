//! Copies and data directories: what outlives crashes, and what a node says about a directory that it cannot use.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::*;

/// Longest wait until all nodes have what they should, on a machine that does much else: some rounds of repair.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// `chord serve` with a data directory of its own.
fn server(name: &str, dir: &Path, further: &[&str]) -> Process {
    let dir = dir.join(name.replace(':', "-"));
    let mut process =
        Process::start(program().args(["serve", "--listen", name]).arg("--data").arg(dir).args(further));
    process.wait_until_it_says("Running on").expect("it serves");
    process
}

#[track_caller]
pub(crate) fn wait_until_ready(names: &[String]) {
    let oracle = Oracle::new(160, names);
    wait_for("all nodes ready", READY_LIMIT, || {
        names.iter().try_for_each(|name| is_ideal_at(&oracle, name).and_then(|()| readiness(name)))
    });
}

fn put_all(names: &[String], count: usize) {
    for idx in 0..count {
        let pair = json!({ "key": format!("key{idx}"), "value": format!("value{idx}") }).to_string();
        ask(&names[idx % names.len()], "put", &pair).fields(&["storage_node", "hops"]);
    }
}

/// How many of the keys each node finds.
fn found(names: &[String], count: usize) -> Vec<usize> {
    let has = |name: &String, idx: usize| {
        let got = ask(name, "get", &json!({ "key": format!("key{idx}") }).to_string());
        got.json()["value"] == json!(format!("value{idx}"))
    };
    names.iter().map(|name| (0..count).filter(|idx| has(name, *idx)).count()).collect()
}

#[test]
fn works_where_the_seed_failed_a_thousand_keys_survive_two_joins_and_then_a_kill() {
    const KEYS: usize = 1000;
    let _machine = beside_others();
    let mut cluster = Cluster::ring(3, 160);
    put_all(&cluster.names(), KEYS);
    for _ in 0..2 {
        let contact = cluster.names().remove(0);
        let name = cluster.add_idle();
        ask(&name, "join", &json!({ "remote_node": contact }).to_string()).fields(&[]);
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
    assert_eq!(found(&cluster.names(), KEYS), [KEYS; 5], "after two joins");
    wait_until_ready(&cluster.names());
    let victim = cluster.names().remove(2);
    cluster.servers.remove(&victim).expect("it runs").crash();
    assert_eq!(found(&cluster.names(), KEYS), [KEYS; 4], "right after the kill");
}

#[test]
fn all_nodes_killed_at_once_have_every_acknowledged_write_when_they_are_started_again() {
    const KEYS: usize = 300;
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(4, 160);
    let joins = |idx: usize| if idx == 0 { vec![] } else { vec!["--join", names[0].as_str()] };
    let mut servers: Vec<Process> =
        names.iter().enumerate().map(|(idx, name)| server(name, dir.path(), &joins(idx))).collect();
    wait_until_ready(&names);
    put_all(&names, KEYS);
    servers.iter_mut().for_each(Process::crash);
    // None is told whom to join: each remembers.
    let again: Vec<Process> = names.iter().map(|name| server(name, dir.path(), &[])).collect();
    wait_until_ready(&names);
    assert_eq!(found(&names, KEYS), [KEYS; 4]);
    drop(again);
}

#[test]
fn a_node_that_was_away_comes_back_by_itself_and_has_what_was_written_meanwhile() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(3, 160);
    let mut servers = vec![server(&names[0], dir.path(), &[])];
    for name in &names[1..] {
        servers.push(server(name, dir.path(), &["--join", &names[0]]));
    }
    wait_until_ready(&names);
    put_all(&names[1..], 100);
    // The founder is told nothing, and must not found another ring.
    servers[0].crash();
    put_all(&names[1..], 200);
    servers[0] = server(&names[0], dir.path(), &[]);
    wait_until_ready(&names);
    assert_eq!(found(&names, 200), [200; 3]);
    servers[1].signal("TERM");
    assert_eq!(servers[1].wait(), Some(0), "{}", servers[1].stderr());
    servers[2].signal("TERM");
    assert_eq!(servers[2].wait(), Some(0), "{}", servers[2].stderr());
    assert_eq!(found(&names[..1], 200), [200], "the one that is left has all");
}

#[test]
fn a_founder_whose_ring_goes_on_without_those_it_knew_waits_and_founds_no_second_ring() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(4, 160);
    let mut founder = server(&names[0], dir.path(), &[]);
    let mut second = server(&names[1], dir.path(), &["--join", &names[0]]);
    wait_until_ready(&names[..2]);
    put_all(&names[..2], 50);
    founder.crash();
    let others: Vec<Process> =
        names[2..].iter().map(|name| server(name, dir.path(), &["--join", &names[1]])).collect();
    wait_until_ready(&names[1..]);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0), "{}", second.stderr());

    let mut founder = server(&names[0], dir.path(), &[]);
    founder.wait_until_it_says("this node waits for them").expect("it says what it waits for");
    assert!(readiness(&names[0]).is_err());
    // Nor when the file that tells with whom it was is lost.
    founder.crash();
    let known = dir.path().join(names[0].replace(':', "-")).join("peers.json");
    std::fs::remove_file(known).expect("it is there");
    let mut founder = server(&names[0], dir.path(), &[]);
    founder.wait_until_it_says("are lost").expect("it says what is lost");
    assert!(readiness(&names[0]).is_err());
    founder.crash();
    let _founder = server(&names[0], dir.path(), &["--join", &names[2]]);
    let whole = [&names[..1], &names[2..]].concat();
    wait_until_ready(&whole);
    assert_eq!(found(&whole, 50), [50; 3]);
    drop(others);
}

#[test]
fn a_node_that_was_alone_founds_its_ring_again() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(2, 160);
    let mut founder = server(&names[0], dir.path(), &[]);
    let mut second = server(&names[1], dir.path(), &["--join", &names[0]]);
    wait_until_ready(&names);
    put_all(&names, 20);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0), "{}", second.stderr());
    wait_until_ready(&names[..1]);
    let known = dir.path().join(names[0].replace(':', "-")).join("peers.json");
    wait_for("it is written down that it is alone, and that the other has left", IDEAL_LIMIT, || {
        let text = std::fs::read_to_string(&known).map_err(|error| error.to_string())?;
        let written: Vec<String> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if written == names[..1] { Ok(()) } else { Err(text) }
    });
    founder.crash();
    let _founder = server(&names[0], dir.path(), &[]);
    wait_until_ready(&names[..1]);
    assert_eq!(found(&names[..1], 20), [20]);
}

/// The names that a node has written down.
fn remembered(dir: &Path, name: &str) -> Vec<String> {
    let peers = std::fs::read_to_string(dir.join(name.replace(':', "-")).join("peers.json"));
    peers.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

#[test]
fn who_left_in_good_order_is_waited_for_by_nobody_and_who_is_back_or_has_crashed_is_remembered() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(4, 160);
    let (first, others) = names.split_first().expect("there are four");
    let mut servers = vec![server(first, dir.path(), &[])];
    servers.extend(others.iter().map(|name| server(name, dir.path(), &["--join", first])));
    wait_until_ready(&names);
    put_all(&names, 30);
    let leave = |leaver: &mut Process| {
        leaver.signal("TERM");
        assert_eq!(leaver.wait(), Some(0), "{}", leaver.stderr());
    };
    let until_all_others = |what: &str, remember: bool| {
        let is_so = |name: &String| remembered(dir.path(), name).contains(first) == remember;
        wait_for(what, IDEAL_LIMIT, || if others.iter().all(is_so) { Ok(()) } else { Err("one does not") });
    };
    until_all_others("all know the first one", true);
    leave(&mut servers[0]);
    // Though they were told to join through it.
    until_all_others("all forget who has left", false);
    servers[0] = server(first, dir.path(), &[]);
    wait_until_ready(&names);
    until_all_others("all know who is back", true);
    servers[0].crash();
    wait_until_ready(others);
    until_all_others("all remember who has crashed", true);
    servers[0] = server(first, dir.path(), &[]);
    wait_until_ready(&names);
    leave(&mut servers[0]);
    until_all_others("all forget who has left", false);
    servers.iter_mut().for_each(Process::crash);
    // They are still told to join through it.
    let founds = ["--join", first, "--found"];
    let again = |name: &String| server(name, dir.path(), &founds[..if *name == others[0] { 3 } else { 2 }]);
    let _again: Vec<Process> = others.iter().map(again).collect();
    wait_until_ready(others);
    assert_eq!(found(others, 30), [30; 3]);
    until_all_others("nobody knows who has left", false);
}

#[test]
fn nodes_whose_founder_never_returns_say_how_to_go_on_without_it() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(3, 160);
    let to_founder = ["--join", names[0].as_str()];
    let mut servers = vec![server(&names[0], dir.path(), &[])];
    servers.extend(names[1..].iter().map(|name| server(name, dir.path(), &to_founder)));
    wait_until_ready(&names);
    put_all(&names, 30);
    wait_for("names that are written down", IDEAL_LIMIT, || {
        let written = |name: &String| {
            let peers = dir.path().join(name.replace(':', "-")).join("peers.json");
            std::fs::read_to_string(peers)
                .is_ok_and(|text| names.iter().filter(|other| text.contains(*other)).count() == 2)
        };
        if names.iter().all(written) { Ok(()) } else { Err("some are not") }
    });
    servers.iter_mut().for_each(Process::crash);
    let mut second = server(&names[1], dir.path(), &to_founder);
    let mut third = server(&names[2], dir.path(), &to_founder);
    for waiting in [&mut second, &mut third] {
        waiting.wait_until_it_says("start one of the nodes that wait with --found").expect("it says so");
        assert!(waiting.stderr().contains(&format!("none of the nodes to join ({}, ", names[0])));
    }
    second.crash();
    let mut second = server(&names[1], dir.path(), &[&to_founder[..], &["--found"]].concat());
    second.wait_until_it_says("Founded a ring").expect("it may");
    third.wait_until_it_says("Joined the ring").expect("it finds the other one");
}

#[test]
fn a_node_that_was_alone_at_its_end_joins_those_with_whom_it_was_if_they_are_back() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(2, 160);
    let mut founder = server(&names[0], dir.path(), &[]);
    let mut second = server(&names[1], dir.path(), &["--join", &names[0]]);
    wait_until_ready(&names);
    put_all(&names, 20);
    second.crash();
    wait_for("the founder is alone", IDEAL_LIMIT, || is_ideal_at(&Oracle::new(160, &names[..1]), &names[0]));
    founder.crash();
    let _second = server(&names[1], dir.path(), &["--join", &names[0], "--found"]);
    wait_for("the second does without the founder", READY_LIMIT, || match readiness(&names[1]) {
        Err(why)
            if why.contains(&format!(
                "{}, with which this node was in a ring before, is not back",
                names[0]
            )) =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    });
    let _founder = server(&names[0], dir.path(), &[]);
    wait_until_ready(&names);
    assert_eq!(found(&names, 20), [20; 2]);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named_with_the_reason_and_what_to_do() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let data = dir.path().join("data");
    let names = free_names(2, 160);
    let serve = |name: &str, further: &[&str]| {
        run_command(program().args(["serve", "--listen", name]).arg("--data").arg(&data).args(further))
    };
    let mut owner = Process::start(program().args(["serve", "--listen", &names[0]]).arg("--data").arg(&data));
    owner.wait_until_it_says("Running on").expect("it serves");
    assert_refused(&serve(&names[0], &[]), "the port is taken");
    assert_refused(&serve(&names[1], &[]), "is in use by process");
    owner.signal("TERM");
    assert_eq!(owner.wait(), Some(0), "{}", owner.stderr());
    assert_refused(&serve(&names[1], &[]), &format!("holds the data of node {}, not of", names[0]));
    assert_refused(
        &serve(&names[0], &["--ring", "other"]),
        "holds the data of the ring \"chord\", not of \"other\"",
    );
    assert_refused(&serve(&names[0], &["--ring-size", "64"]), "was written on a ring of 160 bits, not 64");
    let identity = data.join("identity.json");
    let newer =
        std::fs::read_to_string(&identity).expect("it is there").replace("\"format\": 1", "\"format\": 3");
    std::fs::write(&identity, newer).expect("it can be written");
    assert_refused(&serve(&names[0], &[]), "has format 3, and this version reads up to 2");
    std::fs::write(&identity, "{").expect("it can be written");
    assert_refused(&serve(&names[0], &[]), "is damaged");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    let refused = run_command(program().args(["serve", "--listen", &names[0]]).arg("--data").arg(&file));
    assert_refused(&refused, "is no directory; name one");
}

#[test]
fn a_start_that_the_ring_refuses_leaves_the_directory_free_for_the_right_one() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(2, 160);
    let _first = server(&names[0], dir.path(), &[]);
    let data = dir.path().join(names[1].replace(':', "-"));
    let refused = |further: &[&str], reason: &str| {
        let serve = ["serve", "--listen", &names[1], "--join", &names[0]];
        let ended = run_command(program().args(serve).arg("--data").arg(&data).args(further));
        assert!(ended.code == Some(1) && ended.stderr.contains(reason), "{}", ended.stderr);
        assert!(!data.join("peers.json").exists() && !data.join("peers.new").exists(), "{further:?}");
    };
    refused(&["--ring", "other"], "its ring is called chord, this node's ring is called other; start this");
    refused(&["--ring-size", "64"], "its ring has size 160, this node has ring size 64; start this");
    let mut second = server(&names[1], dir.path(), &["--join", &names[0]]);
    wait_until_ready(&names);
    wait_for("its peers are written down", IDEAL_LIMIT, || {
        if remembered(dir.path(), &names[1]).contains(&names[0]) { Ok(()) } else { Err("not yet") }
    });
    second.crash();
    assert_bound(&data, &names[1]);
}

/// It has been in a ring, and belongs there.
#[track_caller]
fn assert_bound(data: &Path, name: &str) {
    let mut serve = program();
    serve.args(["serve", "--listen", name, "--ring", "other"]).arg("--data").arg(data);
    assert_refused(&run_command(&mut serve), "holds the data of the ring \"chord\", not of \"other\"");
    let mut serve = program();
    serve.args(["serve", "--listen", "127.0.0.1:0"]).arg("--data").arg(data);
    assert_refused(&run_command(&mut serve), &format!("have the node listen on {name}, which is its name"));
}

#[test]
fn a_node_that_was_told_to_refuse_does_not_start_on_a_flipped_bit_and_another_sets_it_aside() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let names = free_names(1, 160);
    let mut owner = server(&names[0], dir.path(), &["--on-damage", "refuse"]);
    put_all(&names, 10);
    // Then all of it is in the tree.
    owner.signal("TERM");
    assert_eq!(owner.wait(), Some(0), "{}", owner.stderr());
    let data = dir.path().join(names[0].replace(':', "-"));
    let records = data.join("records.redb");
    let mut bytes = std::fs::read(&records).expect("it is there");
    // Pages that a commit left behind have it too.
    let places: Vec<usize> =
        bytes.windows(6).enumerate().filter(|(_, bytes)| *bytes == b"value7").map(|(at, _)| at).collect();
    for at in &places {
        bytes[*at] ^= 1;
    }
    assert!(!places.is_empty());
    std::fs::write(&records, &bytes).expect("it can be written");
    let mut serve = program();
    serve.args(["serve", "--on-damage", "refuse", "--listen", &names[0]]).arg("--data").arg(&data);
    assert_refused(&run_command(&mut serve), "is damaged (");
    assert!(std::fs::read(&records).expect("it is there") == bytes, "it is as it was");
    let mut lenient = server(&names[0], dir.path(), &[]);
    lenient.wait_until_it_says("set aside as").expect("it says so");
    assert!(data.join("records.redb.damaged-1").exists());
}

#[test]
fn a_port_that_is_taken_leaves_no_directory_behind_and_other_files_are_left_alone() {
    let _machine = beside_others();
    let dir = TempDir::new().expect("a temporary directory");
    let (data, photos) = (dir.path().join("deep/data"), dir.path().join("photos"));
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let name = held.local_addr().expect("it is bound").to_string();
    let serve =
        |data: &Path| run_command(program().args(["serve", "--listen", &name]).arg("--data").arg(data));
    assert_refused(&serve(&data), "the port is taken");
    assert!(!dir.path().join("deep").exists());
    drop(held);
    std::fs::create_dir(&photos).expect("it can be made");
    std::fs::write(photos.join("photo.jpg"), "").expect("it can be written");
    assert_refused(&serve(&photos), "holds other files, such as \"photo.jpg\"");
    assert_eq!(std::fs::read_dir(&photos).expect("it is there").count(), 1, "nothing was made");
}

/// It ended with one line that says so.
#[track_caller]
fn assert_refused(ended: &Ended, reason: &str) {
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(reason), "{}", ended.stderr);
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{}", ended.stderr);
}

/// A small file system that ends with this.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where nobody may mount one.
    fn of(bytes: u32) -> Option<Self> {
        let dir = TempDir::new().expect("a temporary directory");
        let size = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "chord-test"]).arg(dir.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_writes_get_an_error_reads_go_on_and_all_is_well_when_there_is_room() {
    let _machine = beside_others();
    let Some(disk) = SmallDisk::of(12 << 20) else {
        println!("nobody may mount a file system here");
        return;
    };
    let names = free_names(1, 160);
    let mut server = server(&names[0], disk.0.path(), &[]);
    put_all(&names, 10);
    let ballast = disk.0.path().join("ballast");
    let filled = std::fs::write(&ballast, vec![0; 12 << 20]);
    assert!(filled.is_err(), "the disk is full");
    let full_since = Instant::now();
    let large = "x".repeat(500_000);
    let big = |idx: usize| json!({ "key": format!("large{idx}"), "value": large }).to_string();
    // What waits for the disk is bounded: sooner or later there is an error, within the deadline of an operation.
    let refused = (0..1000).find_map(|idx| {
        let answer = try_ask(&names[0], "put", &big(idx)).expect("it answers");
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("a full disk takes no more");
    assert!([504, 507].contains(&refused.status), "{}", refused.error());
    assert_eq!(found(&names, 10), [10], "reads go on");
    server.wait_until_it_says("takes no writes").expect("it says so");
    for idx in 0..50 {
        let answer = try_ask(&names[0], "put", &big(idx)).expect("it answers");
        assert_eq!(answer.status, 507, "{}", answer.error());
    }
    let said = server.stderr().matches("takes no writes").count() as u64;
    assert!(said >= 1 && said <= 1 + full_since.elapsed().as_secs() / 10, "{}", server.stderr());
    let wrong = readiness(&names[0]).expect_err("it cannot write");
    assert!(wrong.contains("takes no writes"), "{wrong}");
    std::fs::remove_file(&ballast).expect("it can be removed");
    wait_for("a write", READY_LIMIT, || {
        let answer = try_ask(&names[0], "put", &json!({ "key": "again", "value": "v" }).to_string());
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.error()) }
    });
    server.wait_until_it_says("the store takes records again").expect("it says so");
}
