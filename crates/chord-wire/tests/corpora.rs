//! The fuzzer's seeds and what it has found, without the fuzzer. `CONTRIBUTING.md` says how to look for more.

mod fuzz_bodies;

use std::fs;
use std::path::Path;

use chord_wire::frame::{Arrived, Inbox, Kind, OPENING, Tag};

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

/// The number of the kind of each frame below this folder that is whole, and its content.
fn frames() -> Vec<(u8, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/frame");
    let mut frames = Vec::new();
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let bytes = fs::read(entry.expect("a folder of ours can be read").path()).expect("a file of ours");
        // Three bytes are for the body of the target.
        let Some(mut rest) = bytes.get(3..) else { continue };
        let mut inbox = Inbox::of_answers(1 << 20);
        if !rest.starts_with(&OPENING) {
            continue;
        }
        while let Ok(Some(arrived)) = inbox.next(&mut rest) {
            if let Arrived::Message(message) = arrived {
                frames.push((message.kind, message.content.into_owned()));
            }
        }
    }
    frames
}

#[test]
fn the_fuzzer_of_frames_begins_with_each_kind_and_each_field() {
    let frames = frames();
    let (mut kinds, mut fields) = (Vec::new(), Vec::new());
    for (kind, content) in &frames {
        kinds.push(*kind);
        let before = match Kind::of(*kind) {
            Some(Kind::Hello | Kind::Declined) => 2,
            Some(Kind::Welcome) => 1,
            _ => 0,
        };
        let mut rest = content.get(before..).unwrap_or_default();
        while let [tag, length, behind @ ..] = rest
            && *tag != 0
        {
            fields.push(*tag);
            rest = behind.get(usize::from(*length)..).unwrap_or_default();
        }
    }
    // What is announced and comes in pieces is put together again, and has the kind of the whole.
    let of_parts = [Kind::Announced, Kind::Piece];
    for kind in Kind::ALL.iter().filter(|kind| !of_parts.contains(kind)) {
        assert!(kinds.contains(&kind.number()), "{kind:?} is in no file of fuzz/corpus/frame");
    }
    for tag in Tag::ALL {
        assert!(fields.contains(&tag.number()), "{tag:?} is in no file of fuzz/corpus/frame");
    }
}

#[test]
fn what_rest_understands_is_the_same_when_it_is_written() {
    check_corpus("rest", fuzz_bodies::rest::check);
}
