//! The fuzzer's seeds and what it has found, without the fuzzer. `CONTRIBUTING.md` says how to look for more.

mod fuzz_bodies;

use std::fs;
use std::path::Path;

fn check_corpus(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut n_files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("a folder of ours can be read").path();
        let bytes = fs::read(&path).expect("a file of ours can be read");
        let checked = std::panic::catch_unwind(|| check(&bytes));
        assert!(checked.is_ok(), "{} breaks the rule above", path.display());
        n_files += 1;
    }
    assert!(n_files >= 8, "{} holds {n_files} files", folder.display());
    check(&[]);
}

#[test]
fn requests_of_redis_clients_come_to_the_same_however_they_are_cut() {
    check_corpus("resp", fuzz_bodies::resp::check);
}

#[test]
fn what_a_connection_speaks_is_decided_once() {
    check_corpus("sniff", fuzz_bodies::sniff::check);
}

#[test]
fn json_that_is_understood_is_the_same_when_it_is_written() {
    check_corpus("json", fuzz_bodies::json::check);
}

#[test]
fn xml_that_is_understood_is_the_same_when_it_is_written() {
    check_corpus("xmlrpc", fuzz_bodies::xmlrpc::check);
}

#[test]
fn a_replica_message_has_one_encoding() {
    check_corpus("replica", fuzz_bodies::replica::check);
}

#[test]
fn frames_come_to_the_same_however_they_are_cut() {
    check_corpus("frame", fuzz_bodies::frame::check);
}

#[test]
fn what_rest_understands_is_the_same_when_it_is_written() {
    check_corpus("rest", fuzz_bodies::rest::check);
}
