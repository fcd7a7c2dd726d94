//! All keys of a ring, listed while its processes crash, freeze and join.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::durable::wait_until_ready;
use crate::support::*;

/// Longest wait for one answer: a node waits for ten seconds for those who may have keys.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// How long a scan may take with all that happens meanwhile.
const SCAN_LIMIT: Duration = Duration::from_secs(60);

/// What a Redis client is told: the strings of an answer, in order, or an error.
fn told(node: &str, line: &str) -> Result<Vec<String>, String> {
    let stream = TcpStream::connect(node).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("it is not zero");
    let mut stream = BufReader::new(stream);
    write!(stream.get_mut(), "{line}\r\n").map_err(|error| error.to_string())?;
    let (mut left, mut strings) = (1, Vec::new());
    while left > 0 {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(|error| error.to_string())?;
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or("it was closed")?;
        left -= 1;
        match kind {
            "*" => left += rest.parse::<usize>().expect("a count"),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().expect("a length") + 2];
                stream.read_exact(&mut bytes).map_err(|error| error.to_string())?;
                strings.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            }
            "-" => return Err(rest.to_owned()),
            _ => strings.push(rest.to_owned()),
        }
    }
    Ok(strings)
}

#[test]
fn a_scan_misses_no_key_though_a_node_crashes_another_freezes_and_one_joins() {
    let mut cluster = Cluster::ring(5, 160);
    let names = cluster.names();
    let keys: BTreeSet<String> = (0..5000).map(|idx| format!("key:{idx}")).collect();
    for part in keys.iter().collect::<Vec<_>>().chunks(500) {
        let mut line = "MSET".to_owned();
        for key in part {
            write!(line, " {key} v").expect("it is a string");
        }
        assert_eq!(told(&names[0], &line), Ok(vec!["OK".to_owned()]));
    }
    wait_until_ready(&names);
    let asked = &names[..3];
    let (mut cursor, mut listed, mut n_pages) = ("0".to_owned(), BTreeSet::new(), 0);
    let began = Instant::now();
    for node in asked.iter().cycle() {
        assert!(began.elapsed() < SCAN_LIMIT, "it does not come to an end");
        let Ok(page) = told(node, &format!("SCAN {cursor}")) else { continue };
        let (next, page) = page.split_first().expect("a cursor");
        listed.extend(page.iter().cloned());
        n_pages += 1;
        match n_pages {
            10 => cluster.servers.get_mut(&names[3]).expect("it runs").crash(),
            20 => {
                let newcomer = cluster.add_idle();
                ask(&newcomer, "join", &json!({ "remote_node": names[0] }).to_string()).fields(&[]);
            }
            40 => cluster.servers[&names[4]].freeze(),
            _ => {}
        }
        if next == "0" {
            break;
        }
        next.clone_into(&mut cursor);
    }
    cluster.servers[&names[4]].signal("CONT");
    assert!(n_pages > 40, "{n_pages} pages");
    let missed: Vec<&String> = keys.difference(&listed).collect();
    assert!(missed.is_empty() && listed.len() == keys.len(), "missed: {missed:?}");
}
