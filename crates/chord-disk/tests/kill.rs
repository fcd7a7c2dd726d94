//! A process that writes is killed, again and again: all that it said was durable is there.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chord_disk::{DiskStore, Options};
use chord_kv::{Key, Record, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use support::{eventually, identity};

/// Tells the child where to write, and from which number on.
const DIR: &str = "CHORD_DISK_TEST_DIR";
const FIRST: &str = "CHORD_DISK_TEST_FIRST";

/// How many writes are acknowledged before the child is killed, in each round.
const ACKNOWLEDGED: [usize; 5] = [1, 60, 120, 200, 300];

fn record(n: u64) -> Record {
    let key = Key::new(&n.to_be_bytes()).unwrap();
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(&n.to_be_bytes().repeat(8), VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(n + 1, 0, Position::ZERO),
        expires_at_ms: None,
    }
}

/// Not a test of its own: the child of the next one.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = DiskStore::open(&dir, Options::new(identity())).unwrap();
    let mut out = std::io::stdout();
    for n in first.. {
        let sequence = store.apply(vec![record(n)]).unwrap().sequence;
        // Every third waits, so that commits of one and of several are cut off.
        if n % 3 == 0 {
            eventually(|| (store.durable() >= sequence).then_some(()));
            writeln!(out, "durable {n}").unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = 0;
    for acknowledged in ACKNOWLEDGED {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env(DIR, dir.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number = |line: String| line.split("durable ").nth(1).and_then(|text| text.parse::<u64>().ok());
        let early = lines.by_ref().filter_map(number).take(acknowledged).last();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died, and nobody had read yet.
        let last = lines.filter_map(number).last().or(early).expect("it wrote something");
        let store = DiskStore::open(dir.path(), Options::new(identity())).unwrap();
        assert!(store.report().is_clean(), "{}", store.report());
        for n in 0..=last {
            let read = store.read(record(n).position, &record(n).key).unwrap();
            assert_eq!(read, Some(record(n)), "write {n} of {last}");
        }
        first = last + 1;
    }
}
