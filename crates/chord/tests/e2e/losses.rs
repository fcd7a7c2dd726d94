//! The load of `chord dev` counts the acknowledged writes that are lost: here they are lost, and the test counts for itself.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

/// Keys of the load.
const LOAD_KEYS: usize = 500;

/// Keys of the test's own.
const OWN_KEYS: usize = 60;

/// Longest wait for something to come about.
const LIMIT: Duration = Duration::from_secs(90);

struct Dev {
    process: Process,
    /// In the order of the ring, with the share of each.
    nodes: Vec<(String, f64)>,
}

impl Dev {
    fn start(n_nodes: u16) -> Self {
        let mut process =
            Process::start(program().args(["dev", "--json", "--port", "0", "--nodes", &n_nodes.to_string()]));
        process.wait_until_it_says("share_percent").expect("the ring forms");
        let (ring, _) = wait_for("the ring", LIMIT, || {
            serde_json::from_str::<Value>(&process.stdout()).map_err(|error| error.to_string())
        });
        let node = |node: &Value| {
            let name = node["node"].as_str().expect("a name").to_owned();
            (name, node["share_percent"].as_f64().expect("a share"))
        };
        Self { nodes: ring["nodes"].as_array().expect("nodes").iter().map(node).collect(), process }
    }

    /// Turns the ring so that the node with the largest share comes first.
    fn turn_to_the_largest(&mut self) {
        let largest = (0..self.nodes.len()).max_by(|a, b| self.nodes[*a].1.total_cmp(&self.nodes[*b].1));
        self.nodes.rotate_left(largest.expect("there are nodes"));
    }

    fn stop(mut self) {
        self.process.signal("TERM");
        assert_eq!(self.process.wait(), Some(0), "{}", self.process.stderr());
    }
}

/// One request, which must be answered.
fn request(at: &str, what: &str, headers: &str, body: &str) -> Response {
    let length = body.len();
    let text = format!(
        "{what} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let asked = || {
        let mut connection = Connection::open(at)?;
        connection.send(text.as_bytes())?;
        connection.read_response()
    };
    asked().unwrap_or_else(|error: std::io::Error| panic!("{what} at {at}: {error}"))
}

/// Has a node do what a button of its page does.
fn order(at: &str, order: &str, body: &Value) -> Value {
    let headers = format!("Origin: http://{at}\r\nContent-Type: application/json\r\n");
    let answer = request(at, &format!("POST /dev/{order}"), &headers, &body.to_string());
    assert_eq!(answer.status, 200, "{order}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn load(at: &str) -> Value {
    let answer = request(at, "GET /dev/state", "", "");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["load"].clone()
}

/// Those of these keys that each of two nodes says are absent.
fn absent(at: [&str; 2], keys: &[String]) -> Result<BTreeSet<String>, String> {
    let is_absent = |node: &str, key: &str| {
        let answer = request(node, &format!("GET /v1/kv/{key}"), "", "");
        match answer.status {
            200 => Ok(false),
            404 => Ok(true),
            status => Err(format!("{key} at {node}: {status}")),
        }
    };
    let mut absent = BTreeSet::new();
    for key in keys {
        if is_absent(at[0], key)? && is_absent(at[1], key)? {
            absent.insert(key.clone());
        }
    }
    Ok(absent)
}

fn load_keys() -> Vec<String> {
    (0..LOAD_KEYS).map(|idx| format!("load-{idx:03}")).collect()
}

/// Begins a load of that rate and waits until all keys have been written several times.
fn begin_load(at: &str, rate: u16) {
    order(at, "load", &json!({ "rate": rate }));
    wait_for("every key written several times", LIMIT, || {
        let load = load(at);
        let is_so = load["keys"] == LOAD_KEYS && load["acknowledged"].as_u64() > Some(3 * LOAD_KEYS as u64);
        if is_so && load["lost"] == 0 { Ok(()) } else { Err(load.to_string()) }
    });
}

/// Waits until the page says that as many are lost as the test finds gone while the load goes on.
fn counts_what_is_gone(at: [&str; 2]) -> usize {
    let (gone, after) = wait_for("the count of what is gone", LIMIT, || {
        let gone = absent(at, &load_keys())?;
        let load = load(at[0]);
        let is_counted = !gone.is_empty() && load["lost"] == gone.len();
        if is_counted { Ok(gone.len()) } else { Err(format!("{} are gone: {load}", gone.len())) }
    });
    println!("{gone} of {LOAD_KEYS} keys are gone, and counted after {after:?}");
    gone
}

#[test]
fn what_is_lost_when_a_record_and_all_its_copies_die_is_counted_though_the_load_goes_on() {
    let _machine = alone();
    let mut dev = Dev::start(6);
    dev.turn_to_the_largest();
    let names: Vec<&str> = dev.nodes.iter().map(|(name, _)| name.as_str()).collect();
    let at = [names[4], names[5]];
    let own: Vec<String> = (0..OWN_KEYS).map(|idx| format!("own-{idx}")).collect();
    for key in &own {
        let put = request(at[0], &format!("PUT /v1/kv/{key}?consistency=all"), "", "x");
        assert!(put.status < 300, "{}", String::from_utf8_lossy(&put.body));
    }
    begin_load(at[0], 1000);
    thread::scope(|scope| {
        for name in &names[..3] {
            scope.spawn(move || order(at[0], "kill", &json!({ "node": name })));
        }
    });
    let gone = counts_what_is_gone(at);
    let own_gone = absent(at, &own).expect("the ring answers").len();
    println!("{own_gone} of {OWN_KEYS} keys of the test are gone");
    assert!(own_gone > 0, "the range of one node, and all its copies, are gone");
    // What is lost stays so, however long the load goes on.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(load(at[0])["lost"], gone);
    dev.stop();
}

#[test]
fn keys_of_the_load_that_somebody_deletes_are_counted_as_lost_though_the_load_goes_on() {
    let _machine = alone();
    let dev = Dev::start(3);
    let at = [dev.nodes[0].0.as_str(), dev.nodes[1].0.as_str()];
    begin_load(at[0], 1000);
    for idx in 10..30 {
        let deleted = request(at[0], &format!("DELETE /v1/kv/load-{idx:03}"), "", "");
        assert!(deleted.status < 300, "{}", String::from_utf8_lossy(&deleted.body));
    }
    assert_eq!(counts_what_is_gone(at), 20);
    dev.stop();
}
