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

/// Tells the child where to write, from which number on, and how large.
const DIR: &str = "CHORD_DISK_TEST_DIR";
const FIRST: &str = "CHORD_DISK_TEST_FIRST";
const WORDS: &str = "CHORD_DISK_TEST_WORDS";

/// How many writes are acknowledged before the child is killed, in each round.
const ACKNOWLEDGED: [usize; 5] = [1, 60, 120, 200, 300];

fn record(n: u64, words: usize) -> Record {
    let key = Key::new(&n.to_be_bytes()).unwrap();
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(&n.to_be_bytes().repeat(words), VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(n + 1, 0, Position::ZERO),
        expires_at_ms: None,
    }
}

/// Not a test of its own: the child of the next one.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let words: usize = std::env::var(WORDS).unwrap().parse().unwrap();
    let store = DiskStore::open(&dir, Options::new(identity())).unwrap();
    let mut out = std::io::stdout();
    for n in first.. {
        let sequence = store.apply(vec![record(n, words)]).unwrap().sequence;
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
    check_kills(8);
}

/// So large that the log is full every few hundred of them, and goes into the tree while more come.
#[test]
fn what_was_acknowledged_while_the_tree_was_filled_is_there_after_a_kill() {
    check_kills(3000);
}

fn check_kills(words: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut first = 0;
    for acknowledged in ACKNOWLEDGED {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env(DIR, dir.path())
            .env(FIRST, first.to_string())
            .env(WORDS, words.to_string())
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
            let expected = record(n, words);
            let read = store.read(expected.position, &expected.key).unwrap();
            assert!(read == Some(expected), "write {n} of {last}");
        }
        first = last + 1;
    }
}
