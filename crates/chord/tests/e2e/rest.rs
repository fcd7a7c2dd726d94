//! REST, while the owner of a key is frozen and then gone.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Cluster, Connection, Response, wait_for};

/// Longest wait until somebody else answers for the keys of a node that is gone.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(20);

fn ask(node: &str, line: &str, headers: &str, body: &str) -> std::io::Result<Response> {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: node\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    let mut connection = Connection::open(node)?;
    connection.send(head.as_bytes())?;
    connection.read_response()
}

#[test]
fn a_client_is_told_in_time_that_a_write_may_have_happened_and_the_others_answer_soon() {
    let mut cluster = Cluster::ring(3, 160);
    let names = cluster.names();
    let owner_of = |path: &str| {
        let lookup = ask(&names[0], &format!("GET /v1/lookup/{path}"), "", "").expect("an answer");
        lookup.fields(&["position", "owner", "hops", "path"])["owner"]["node"].as_str().map(str::to_owned)
    };
    let (key, owner) = (0..100)
        .map(|idx| format!("key{idx}"))
        .find_map(|key| owner_of(&key).filter(|owner| *owner != names[0]).map(|owner| (key, owner)))
        .expect("another node owns one of a hundred keys");
    let path = format!("/v1/kv/{key}");
    let (stored, _) = wait_for("three copies", TAKEOVER_LIMIT, || {
        let stored = ask(&names[0], &format!("PUT {path}?consistency=all"), "", "before");
        let stored = stored.map_err(|error| error.to_string())?;
        if stored.header("chord-copies") == Some("3") { Ok(stored) } else { Err(format!("{stored:?}")) }
    });
    assert_eq!(stored.header("chord-owner"), Some(owner.as_str()));

    cluster.servers[&owner].freeze();
    let begin = Instant::now();
    let headers = "chord-deadline-ms: 300\r\n";
    let late = ask(&names[0], &format!("POST {path}/incr"), headers, "").expect("an answer");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!((late.status, late.header("chord-error")), (504, Some("uncertain")), "{late:?}");
    assert_eq!(late.header("content-type"), Some("application/problem+json"));
    assert_eq!(late.json()["code"], json!("uncertain"));

    cluster.servers.remove(&owner).expect("it is one of them").crash();
    let (got, _) = wait_for("an answer from another owner", TAKEOVER_LIMIT, || {
        let got = ask(&names[0], &format!("GET {path}"), "", "").map_err(|error| error.to_string())?;
        if got.status == 200 { Ok(got) } else { Err(format!("{got:?}")) }
    });
    assert_eq!(got.body, b"before");
    assert_ne!(got.header("chord-owner"), Some(owner.as_str()));
}
