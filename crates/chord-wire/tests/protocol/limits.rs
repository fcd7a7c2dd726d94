//! Limits.

use std::time::Duration;

use chord_kv::replication::{
    INTERESTS_MAX, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, NOTICES_MAX, PARTS, RECALLED_MAX,
};
use chord_kv::{KEY_BYTES_MAX, VALUE_BYTES_DEFAULT};
use chord_ring::{NODE_NAME_BYTES_MAX, RingSize, SUCCESSORS_LIMIT};
use chord_wire::frame::{ANNOUNCED_MAX, CONTENT_BYTES_MAX, HEAD_BYTES, HELLO_BYTES_MAX, VERSIONS};
use chord_wire::replica::{GROUP_MEMBERS_MAX, NEIGHBOURS_MAX, REASON_BYTES_MAX, ReplicaLimits};
use chord_wire::rest::REPORT_BYTES_MAX;
use chord_wire::{PATH_NAMES_MAX, REMAINING_MAX};

use super::{DOCUMENTATION, rows};

/// Holds a whole table against what the source has.
fn check(heading: &str, limits: &[(&str, String)]) {
    let documented: Vec<(&str, String)> =
        rows(heading).into_iter().map(|row| (row[0], row[1].to_owned())).collect();
    assert_eq!(documented, limits);
}

#[test]
fn the_limits_of_frames_are_those_of_the_documentation() {
    // What is told here in words, a node does: `chord_node` holds these rows against its own limits.
    let of_nodes = [
        "requests that are under way on a connection",
        "time for a hello, for a frame that has begun, for a long message that has begun",
        "bytes of answers that are not read",
    ];
    let heading = "### Limits of frames";
    let of_nodes = of_nodes.map(|what| {
        let row = rows(heading).into_iter().find(|row| row[0] == what).expect("a row of a node's limit");
        (what, row[1].to_owned())
    });
    let limits = [
        ("bytes of a frame before its content", HEAD_BYTES.to_string()),
        ("bytes of a frame's content", CONTENT_BYTES_MAX.to_string()),
        ("bytes of the content of a hello, and of what answers it", HELLO_BYTES_MAX.to_string()),
        ("long messages that are announced and not whole", ANNOUNCED_MAX.to_string()),
        ("bytes of a message", "those of a message about records, as below".to_owned()),
        ("names in a path", format!("{PATH_NAMES_MAX}, and one more in an answer")),
        ("successors in a list", SUCCESSORS_LIMIT.to_string()),
    ];
    check(heading, &[&limits[..], &of_nodes[..]].concat());
    assert!(DOCUMENTATION.contains(&format!("\n| versions | {VERSIONS} |\n")));
    let (shortest, longest) = (HEAD_BYTES - 4, HEAD_BYTES - 4 + CONTENT_BYTES_MAX);
    assert!(DOCUMENTATION.contains(&format!("most significant first: from {shortest} to {longest} |\n")));
    assert!(DOCUMENTATION.contains(&format!("| fields; bytes, at most {REPORT_BYTES_MAX}, which are what")));
}

#[test]
fn the_limits_of_messages_are_those_of_the_documentation() {
    assert_eq!((VALUE_BYTES_DEFAULT, REMAINING_MAX), (1 << 20, Duration::from_secs(3600)));
    let limits = ReplicaLimits { size: RingSize::DEFAULT, value_bytes: VALUE_BYTES_DEFAULT };
    let rest = limits.message_bytes() - 2 * (KEY_BYTES_MAX + VALUE_BYTES_DEFAULT);
    assert_eq!(rest % 1024, 0);
    let limits = [
        ("bytes of a key", KEY_BYTES_MAX.to_string()),
        ("bytes of a value", "what the receiver is told, 1 MiB if it is told nothing".to_owned()),
        ("bytes of a name", NODE_NAME_BYTES_MAX.to_string()),
        ("bytes of a sentence", REASON_BYTES_MAX.to_string()),
        ("records, headers or keys in a list; verdicts, newer versions", MESSAGE_RECORDS_MAX.to_string()),
        ("members of a group, copies of a key", GROUP_MEMBERS_MAX.to_string()),
        ("successors in a standing", SUCCESSORS_LIMIT.to_string()),
        ("neighbours in an account", NEIGHBOURS_MAX.to_string()),
        ("nodes of a last life in an account", RECALLED_MAX.to_string()),
        ("interests in a list", INTERESTS_MAX.to_string()),
        ("changes in a list", NOTICES_MAX.to_string()),
        ("parts of a range", PARTS.to_string()),
        ("milliseconds that somebody waits", "3 600 000; a sender cuts a longer wait".to_owned()),
        (
            "bytes of the keys and values in a list, without those of its last record",
            format!("{} KiB", MESSAGE_BYTES_MAX >> 10),
        ),
        ("bytes of a message", format!("{} KiB, and twice those of the longest key and value", rest >> 10)),
    ];
    check("### Limits", &limits);
}
