//! Rings of our nodes and of an independent peer in Python that imitates chord.py, in either language of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const RING_SIZE: usize = 7;

/// A node, whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Ours, and what it speaks first to others.
    Ours(&'static str),
    /// Python's, and the only language that it speaks.
    Python(&'static str),
}

use Kind::{Ours, Python};

/// How long a put or a get at a node of ours may take in a ring that is in order.
const PROMPT: Duration = Duration::from_secs(1);

/// Longest wait until a mixed ring is in order; Python's nodes stabilize every 200 ms, and wait 2 s for a dead peer.
const MIXED_LIMIT: Duration = Duration::from_secs(20);

struct Mixed {
    nodes: BTreeMap<String, (Kind, Process)>,
    /// Python nodes that are no longer in the ring, for what they said.
    former: Vec<Process>,
    xml_rpc: XmlRpc,
}

impl Mixed {
    /// A ring in which these nodes follow each other. The second joins through the first, and so on.
    #[track_caller]
    fn ring(kinds: &[Kind]) -> Self {
        let mut mixed = Self { nodes: BTreeMap::new(), former: Vec::new(), xml_rpc: XmlRpc::start() };
        let names = Oracle::new(RING_SIZE, &free_names(kinds.len(), RING_SIZE)).names();
        for (idx, (name, kind)) in names.iter().zip(kinds).enumerate() {
            mixed.start(name, *kind, &[]);
            match idx.checked_sub(1) {
                None => drop(mixed.done(name, "create", &json!({}))),
                Some(before) => mixed.join(name, &names[before]),
            }
        }
        mixed.wait_until_in_order();
        mixed
    }

    #[track_caller]
    fn start(&mut self, name: &str, kind: Kind, more: &[&str]) {
        let process = match kind {
            Ours(language) => try_server_of(language, name, RING_SIZE).expect("the port is free"),
            Python(language) => python_peer(language, name, RING_SIZE, more),
        };
        self.nodes.insert(name.to_owned(), (kind, process));
    }

    #[track_caller]
    fn join(&self, name: &str, contact: &str) {
        self.done(name, "join", &json!({ "remote_node": contact }));
    }

    /// One more node at a free place; returns its name.
    #[track_caller]
    fn add(&mut self, kind: Kind, more: &[&str]) -> String {
        let contact = self.names().swap_remove(0);
        let taken: Vec<_> = self.nodes.keys().map(|name| position(name, RING_SIZE)).collect();
        let free = free_names(taken.len() + 1, RING_SIZE);
        let name = free.into_iter().find(|name| !taken.contains(&position(name, RING_SIZE)));
        let name = name.expect("one of so many positions is free");
        self.start(&name, kind, more);
        self.join(&name, &contact);
        name
    }

    fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    fn ours(&self) -> Vec<String> {
        let ours = self.nodes.iter().filter(|(_, (kind, _))| matches!(kind, Ours(_)));
        ours.map(|(name, _)| name.clone()).collect()
    }

    #[track_caller]
    fn python(&self) -> String {
        let python = self.nodes.iter().find(|(_, (kind, _))| matches!(kind, Python(_)));
        python.expect("there is a node in Python").0.clone()
    }

    fn oracle(&self) -> Oracle {
        Oracle::new(RING_SIZE, self.nodes.keys())
    }

    /// Asks a node in a language that it speaks.
    fn ask(&self, name: &str, command: &str, fields: &Value) -> Result<Value, String> {
        let (Ours(language) | Python(language)) = self.nodes[name].0;
        if language == "xmlrpc" {
            return match self.xml_rpc.call(name, command, fields.clone()) {
                Called::Answer(answer) => Ok(answer),
                other => Err(format!("{name} to {command} {fields}: {other:?}")),
            };
        }
        let answer = try_ask(name, command, &fields.to_string());
        match answer.map_err(|error| format!("{name} to {command} {fields}: {error}"))? {
            answer if answer.status == 200 => Ok(answer.json()),
            other => Err(format!("{name} to {command} {fields}: {}", String::from_utf8_lossy(&other.body))),
        }
    }

    #[track_caller]
    fn done(&self, name: &str, command: &str, fields: &Value) -> Value {
        self.ask(name, command, fields).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// Waits until every node, whoever wrote it, says what the sorted ring says.
    #[track_caller]
    fn wait_until_in_order(&self) {
        let oracle = self.oracle();
        let is_in_order = |name: &String| {
            let before = self.ask(name, "get_predecessor", &json!({}))?;
            if before["node"] != json!(oracle.predecessor(name)) {
                return Err(format!("{name}: {before}, not {:?}", oracle.predecessor(name)));
            }
            let list = self.ask(name, "get_successor_list", &json!({}))?;
            if list["successor_list"] != json!(oracle.successor_list(name)) {
                return Err(format!("{name}: {list}, not {:?}", oracle.successor_list(name)));
            }
            Ok(())
        };
        wait_for("a mixed ring in order", MIXED_LIMIT, || self.nodes.keys().try_for_each(is_in_order));
    }

    /// Writes keys through these nodes in turn.
    #[track_caller]
    fn put(&self, keys: &[String], value: &str, through: &[String]) {
        for (key, name) in keys.iter().zip(through.iter().cycle()) {
            let fields = json!({ "key": key, "value": format!("{value} of {key}"), "no_redirect": false });
            let answer = self.done(name, "put", &fields);
            assert_eq!(
                answer["storage_node"],
                json!(self.oracle().owner_of_key(key)),
                "{key} through {name}"
            );
        }
    }

    /// What is wrong with a key as it is read through a node.
    fn misread(&self, name: &str, key: &str, value: &str) -> Result<(), String> {
        let answer = self.ask(name, "get", &json!({ "key": key }))?;
        let expected = json!(format!("{value} of {key}"));
        if answer["found"] != json!(true) || answer["value"] != expected {
            return Err(format!("{key} through {name}: {answer}, not {expected}"));
        }
        Ok(())
    }

    /// Reads every key through each of these nodes.
    #[track_caller]
    fn expect(&self, keys: &[String], value: &str, through: &[String]) {
        for name in through {
            for key in keys {
                let begin = std::time::Instant::now();
                self.misread(name, key, value).unwrap_or_else(|wrong| panic!("{wrong}"));
                assert!(begin.elapsed() < PROMPT, "{key} through {name} took {:?}", begin.elapsed());
            }
        }
    }

    #[track_caller]
    fn wait_until_read(&self, keys: &[String], value: &str, through: &[String]) {
        wait_for("every key", MIXED_LIMIT, || {
            through.iter().try_for_each(|name| keys.iter().try_for_each(|key| self.misread(name, key, value)))
        });
    }

    /// Takes a node out of the books: it has left, or is about to be killed.
    fn remove(&mut self, name: &str) -> Process {
        self.nodes.remove(name).expect("the node is in the ring").1
    }

    /// Nobody has sent Python a message with other fields than the seed's, and it has not stumbled over one.
    #[track_caller]
    fn assert_strict(&self) {
        let python = self.nodes.values().map(|(_, process)| process).chain(&self.former);
        for said in python.map(Process::stderr) {
            assert!(!said.contains("STRICT VIOLATION") && !said.contains("Traceback"), "{said}");
        }
    }
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|idx| format!("schlüssel {idx}")).collect()
}

/// At least `count` keys, and so many more that every node owns one, however short its range.
fn keys_for_every_node(oracle: &Oracle, count: usize) -> Vec<String> {
    let mut without = oracle.names();
    let mut keys = Vec::new();
    while keys.len() < count || !without.is_empty() {
        let key = format!("schlüssel {}", keys.len());
        without.retain(|name| name != oracle.owner_of_key(&key));
        keys.push(key);
    }
    keys
}

/// The keys that these nodes own.
fn owned_by(oracle: &Oracle, keys: &[String], names: &[String]) -> Vec<String> {
    keys.iter().filter(|key| names.iter().any(|name| name == oracle.owner_of_key(key))).cloned().collect()
}

#[track_caller]
fn answers_for_everything(mixed: &Mixed) {
    let keys = keys(24);
    mixed.put(&keys, "a", &mixed.names());
    mixed.expect(&keys, "a", &mixed.names());
    let oracle = mixed.oracle();
    for number in 0..1_u8 << RING_SIZE {
        let mut at = [0; 32];
        at[31] = number;
        for name in mixed.names() {
            let begin = std::time::Instant::now();
            let answer = mixed.done(&name, "find_successor", &json!({ "key": number }));
            assert_eq!(answer["node"], json!(oracle.owner(at)), "{number} at {name}");
            assert!(begin.elapsed() < PROMPT, "{number} at {name} took {:?}", begin.elapsed());
        }
    }
    let absent = mixed.done(&mixed.python(), "get", &json!({ "key": "nobody wrote this" }));
    assert_eq!((&absent["value"], &absent["found"]), (&Value::Null, &json!(false)));
    mixed.assert_strict();
}

#[test]
fn rings_with_a_python_peer_over_http_are_in_order_and_answer_for_everything() {
    const P: Kind = Python("http");
    const R: Kind = Ours("http");
    let _machine = beside_others();
    for kinds in [&[R, P][..], &[P, R], &[R, P, R, P], &[P, P, R, R]] {
        answers_for_everything(&Mixed::ring(kinds));
    }
}

#[test]
fn rings_with_a_python_peer_over_xml_rpc_are_in_order_and_answer_for_everything() {
    const P: Kind = Python("xmlrpc");
    let _machine = beside_others();
    for kinds in [
        &[Ours("http"), P][..],
        &[P, Ours("http")],
        &[Ours("xmlrpc"), P, Ours("http"), P],
        &[P, P, Ours("xmlrpc"), Ours("xmlrpc")],
    ] {
        answers_for_everything(&Mixed::ring(kinds));
    }
}

#[test]
fn our_nodes_stand_between_peers_that_have_no_language_in_common() {
    let _machine = beside_others();
    let mixed = Mixed::ring(&[Ours("http"), Python("http"), Ours("xmlrpc"), Python("xmlrpc")]);
    let oracle = mixed.oracle();
    let keys = keys_for_every_node(&oracle, 40);
    mixed.put(&keys, "a", &mixed.ours());
    mixed.expect(&keys, "a", &mixed.ours());
    for name in mixed.names() {
        let own = owned_by(&oracle, &keys, std::slice::from_ref(&name));
        mixed.expect(&own, "a", &[name]);
    }
    mixed.assert_strict();
}

#[test]
fn keys_stay_readable_when_a_python_peer_joins_a_ring_of_ours() {
    let _machine = beside_others();
    for language in ["http", "xmlrpc"] {
        let mut mixed = Mixed::ring(&[Ours("http"), Ours("http")]);
        let keys = keys(60);
        mixed.put(&keys, "a", &mixed.ours());
        mixed.add(Python(language), &[]);
        mixed.wait_until_in_order();
        mixed.wait_until_read(&keys, "a", &mixed.names());
        mixed.assert_strict();
    }
}

#[test]
fn a_python_peer_that_leaves_hands_every_key_over() {
    let _machine = beside_others();
    for language in ["http", "xmlrpc"] {
        for n_ours in [1, 3] {
            let kinds: Vec<Kind> =
                std::iter::once(Python(language)).chain((0..n_ours).map(|_| Ours("http"))).collect();
            let mut mixed = Mixed::ring(&kinds);
            let keys = keys(40);
            mixed.put(&keys, "a", &mixed.names());
            let leaver = mixed.python();
            // Its process may end before its answer has gone out, as the seed's does.
            let _ = mixed.ask(&leaver, "shutdown", &json!({}));
            let mut process = mixed.remove(&leaver);
            assert_eq!(process.wait(), Some(0));
            mixed.former.push(process);
            mixed.wait_until_in_order();
            mixed.expect(&keys, "a", &mixed.ours());
            mixed.assert_strict();
        }
    }
}

#[test]
fn a_node_of_ours_that_leaves_hands_its_keys_to_a_python_peer() {
    let _machine = beside_others();
    for language in ["http", "xmlrpc"] {
        let mut mixed = Mixed::ring(&[Ours("http"), Python(language)]);
        let keys = keys(40);
        mixed.put(&keys, "a", &mixed.names());
        let leaver = mixed.ours().swap_remove(0);
        assert_eq!(mixed.done(&leaver, "shutdown", &json!({})), json!({}));
        assert_eq!(mixed.remove(&leaver).wait(), Some(0));
        let stays = mixed.python();
        mixed.wait_until_read(&keys, "a", &[stays]);
        mixed.assert_strict();
    }
}

#[test]
fn old_copies_of_a_leaving_seed_node_replace_nothing_newer() {
    let _machine = beside_others();
    let mixed = Mixed::ring(&[Ours("http"), Ours("http")]);
    let keys = keys(8);
    mixed.put(&keys, "new", &mixed.names());
    for key in &keys {
        let owner = mixed.oracle().owner_of_key(key).to_owned();
        let fields = json!({ "key": key, "value": "old", "no_redirect": true });
        mixed.done(&owner, "put", &fields);
    }
    mixed.expect(&keys, "new", &mixed.names());
}

#[test]
fn a_ring_closes_round_a_python_peer_that_is_killed_or_frozen() {
    let _machine = alone();
    for language in ["http", "xmlrpc"] {
        let mut mixed = Mixed::ring(&[Ours("http"), Python(language), Ours("xmlrpc"), Ours("http")]);
        let keys = keys(60);
        mixed.put(&keys, "a", &mixed.ours());
        let victim = mixed.python();
        let kept = owned_by(&mixed.oracle(), &keys, &mixed.ours());
        mixed.nodes[&victim].1.freeze();
        wait_for("the keys of others while a peer is frozen", REQUEST_LIMIT, || {
            mixed
                .ours()
                .iter()
                .try_for_each(|name| kept.iter().try_for_each(|key| mixed.misread(name, key, "a")))
        });
        mixed.expect(&kept, "a", &mixed.ours());
        mixed.nodes[&victim].1.signal("CONT");
        mixed.wait_until_in_order();
        mixed.wait_until_read(&keys, "a", &mixed.names());

        let mut process = mixed.remove(&victim);
        process.crash();
        mixed.former.push(process);
        mixed.wait_until_in_order();
        mixed.expect(&kept, "a", &mixed.ours());
        mixed.assert_strict();
    }
}

#[test]
fn a_peer_that_answers_wrongly_harms_nobody_and_is_reported() {
    let _machine = alone();
    for (language, fault) in
        [("http", "html"), ("http", "missing-field"), ("xmlrpc", "wrong-type"), ("xmlrpc", "silence")]
    {
        let mut mixed = Mixed::ring(&[Ours("http"), Ours("http"), Ours("http")]);
        let keys = keys(60);
        mixed.put(&keys, "a", &mixed.names());
        let name = mixed.add(Python(language), &["--misbehave", fault, "--misbehave-on-signal"]);
        mixed.wait_until_in_order();
        mixed.wait_until_read(&keys, "a", &mixed.names());

        mixed.nodes[&name].1.signal("USR1");
        let kept = owned_by(&mixed.oracle(), &keys, &mixed.ours());
        wait_for("the keys of others beside a peer that answers wrongly", MIXED_LIMIT, || {
            mixed
                .ours()
                .iter()
                .try_for_each(|name| kept.iter().try_for_each(|key| mixed.misread(name, key, "a")))
        });
        if fault != "silence" {
            wait_for("a line in the log of one of ours", MIXED_LIMIT, || {
                let told = |name: &String| mixed.nodes[name].1.stderr().contains("a peer answered wrongly");
                mixed.ours().iter().any(told).then_some(()).ok_or("nobody has reported it")
            });
        }
        mixed.nodes[&name].1.signal("USR1");
        mixed.wait_until_in_order();
        mixed.wait_until_read(&keys, "a", &mixed.names());
    }
}

/// The ring as this node shows it.
fn shown_by(name: &str) -> Result<Value, String> {
    let ended = run(&["ring", "--json", "--node", name]);
    serde_json::from_str(&ended.stdout).map_err(|error| format!("{error}: {}", ended.stderr))
}

#[test]
fn a_ring_in_order_is_told_as_whole_whoever_is_in_it_and_a_dead_node_is_told_beside_python_peers() {
    let _machine = beside_others();
    let kinds = [Ours("http"), Python("http"), Ours("xmlrpc"), Python("http"), Ours("http")];
    let mut mixed = Mixed::ring(&kinds);
    mixed.put(&keys(24), "a", &mixed.ours());
    for name in mixed.ours() {
        wait_for("a mixed ring that is told as whole", MIXED_LIMIT, || {
            let ring = shown_by(&name)?;
            let codes: Vec<_> =
                ring["reasons"].as_array().into_iter().flatten().map(|reason| &reason["code"]).collect();
            let lists = ["torn", "unowned", "doubly_owned"].map(|list| ring[list].as_array().map(Vec::len));
            let is_whole = ring["verdict"] == "note"
                && codes == ["other-program"; 2]
                && lists == [Some(0); 3]
                && (&ring["members"], &ring["rings"], &ring["not_answering"])
                    == (&json!(3), &json!(1), &json!(0));
            if is_whole { Ok(()) } else { Err(format!("{name} shows {ring}")) }
        });
    }
    let victim = mixed.ours().swap_remove(0);
    let stays = mixed.ours().swap_remove(1);
    // Once the others have closed the ring round a node, whoever begins to look does not find it any more.
    let mut watch = Process::start(program().args(["ring", "--watch", "--json", "--node", &stays]));
    wait_for("a watcher who sees all", MIXED_LIMIT, || {
        let shown = watch.stdout();
        let last: Value = serde_json::from_str(shown.lines().last().unwrap_or_default()).unwrap_or_default();
        if last["members"] == 3 { Ok(()) } else { Err(format!("{last} {}", watch.stderr())) }
    });
    mixed.remove(&victim).crash();
    wait_for("the dead node", MIXED_LIMIT, || {
        let ring = shown_by(&stays)?;
        let reasons = ring["reasons"].as_array();
        let is_told = |code: &str| {
            reasons.is_some_and(|reasons| {
                reasons.iter().any(|reason| reason["code"] == code && reason["node"] == victim.as_str())
            })
        };
        if ring["not_answering"] == 1 && is_told("not-answering") { Ok(()) } else { Err(ring.to_string()) }
    });
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
    mixed.assert_strict();
}

#[test]
fn another_program_under_a_known_name_is_spoken_to_in_its_own_language() {
    let _machine = beside_others();
    let mut mixed = Mixed::ring(&[Ours("http"), Python("http"), Ours("http")]);
    let name = mixed.python();
    mixed.remove(&name).crash();
    mixed.wait_until_in_order();
    mixed.start(&name, Python("xmlrpc"), &[]);
    let contact = mixed.ours().swap_remove(0);
    mixed.join(&name, &contact);
    mixed.wait_until_in_order();
    let keys = keys(24);
    mixed.put(&keys, "a", &mixed.names());
    mixed.expect(&keys, "a", &mixed.names());
    mixed.assert_strict();
}
