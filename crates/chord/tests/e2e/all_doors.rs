//! All doors of one ring at once, under load of one program for each: what is written through each is read through each other,
//! byte for byte.

mod speaker;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{Cluster, Process, alone, program, wait_for};
use speaker::{Failure, Speaker};

/// A way to speak to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    Seed,
    XmlRpc,
    Rest,
    Redis,
    Operate,
}

impl Door {
    const ALL: [Self; 5] = [Self::Seed, Self::XmlRpc, Self::Rest, Self::Redis, Self::Operate];

    /// Whether a value of this kind can come in here.
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Seed => kind != Kind::Bytes,
            // Python's client sends a carriage return bare, which XML makes a line feed of.
            Self::XmlRpc => !matches!(kind, Kind::Bytes | Kind::Control | Kind::Lines),
            Self::Rest | Self::Redis | Self::Operate => true,
        }
    }

    /// Whether it can go out here.
    fn gives(self, kind: Kind) -> bool {
        match self {
            Self::Seed => kind != Kind::Bytes,
            Self::XmlRpc => !matches!(kind, Kind::Bytes | Kind::Control),
            Self::Rest | Self::Redis | Self::Operate => true,
        }
    }
}

/// What a value is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Markup,
    Lines,
    /// Text of bytes that XML has no way to write.
    Control,
    /// No text.
    Bytes,
    Empty,
    Long,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Plain, Self::Markup, Self::Lines, Self::Control, Self::Bytes, Self::Empty, Self::Long];

    fn of(round: usize) -> Self {
        Self::ALL[round % Self::ALL.len()]
    }

    /// The value that is written through that door in that round: each another one.
    fn value(self, door: Door, round: usize) -> Vec<u8> {
        let mark = format!("{door:?} {round}");
        match self {
            Self::Plain => mark.into_bytes(),
            Self::Markup => format!("<{mark}> & \"quoted\\\" ]]> \u{e9} \u{1f980} %2F +").into_bytes(),
            Self::Lines => format!("{mark}\r\n\r\none\n\ttwo\r").into_bytes(),
            Self::Control => format!("{mark}\0\u{1}\u{7f}\u{1b}[0m").into_bytes(),
            Self::Bytes => (0..=255).chain(mark.bytes()).collect(),
            Self::Empty => Vec::new(),
            Self::Long => format!("{mark} ").repeat(10_000).into_bytes(),
        }
    }
}

/// Rounds of writing, three of each kind, so that each is written through each node.
const ROUNDS: usize = 3 * 7;

/// Longest time that a door may take for them, on a machine that does much else.
const ROUNDS_LIMIT: Duration = Duration::from_secs(60);

/// The doors as `chord bench` calls them, which puts load on each.
const LOADED: [&str; 5] = ["http", "xmlrpc", "rest", "redis", "peer"];

/// How long the load lasts: longer than the rounds on a machine that does nothing else.
const LOAD_SECONDS: &str = "8";

/// Longest time that it may last, with all its keys written first.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

/// Programs that write and read at each door until their time is over.
struct Load(Vec<(&'static str, Process)>);

impl Load {
    fn start(names: &[String]) -> Self {
        let nodes: Vec<&str> = names.iter().flat_map(|name| ["--node", name]).collect();
        let start = |door| {
            let mut command = program();
            command.args(["bench", "--json", "--door", door]).args(&nodes);
            command.args(["--reads", "50", "--connections", "4", "--keys", "200", "--warmup", "0"]);
            (door, Process::start(command.args(["--seconds", LOAD_SECONDS])))
        };
        let mut load = Self(LOADED.map(start).into());
        for (door, bench) in &mut load.0 {
            bench.wait_until_it_says("Measuring").unwrap_or_else(|said| panic!("{door}: {said}"));
        }
        load
    }

    /// How many operations each program has done, all without an error.
    #[track_caller]
    fn end(self) -> Vec<(&'static str, u64)> {
        self.0.into_iter().map(|(door, bench)| (door, done(door, bench))).collect()
    }
}

#[track_caller]
fn done(door: &str, mut bench: Process) -> u64 {
    let (status, _) =
        wait_for(&format!("the end of the load at {door}"), LOAD_LIMIT, || bench.ended().ok_or("it goes on"));
    let said = bench.stdout();
    assert!(status.success(), "{door}: {said}{}", bench.stderr());
    let said: serde_json::Value = serde_json::from_str(&said).expect("one JSON document");
    let operations = said["operations"].as_array().expect("operations");
    let count =
        |what: &str| operations.iter().map(|operation| operation[what].as_u64().expect(what)).sum::<u64>();
    assert_eq!(count("errors"), 0, "{door}: {said}");
    count("count")
}

fn key(door: Door, round: usize) -> String {
    format!("{door:?}-{round}")
}

/// By whom it was written and by whom read: how often that was right, and what went wrong first.
type Matrix = BTreeMap<(Door, Door), (usize, Option<String>)>;

fn table(matrix: &Matrix) -> String {
    let mut text = format!("{:>18}", "written \\ read");
    for reader in Door::ALL {
        let _ = write!(text, "{:>10}", format!("{reader:?}"));
    }
    for writer in Door::ALL {
        let _ = write!(text, "\n{:>18}", format!("{writer:?}"));
        for reader in Door::ALL {
            let cell = match matrix.get(&(writer, reader)) {
                Some((_, Some(_))) => "WRONG".to_owned(),
                Some((n_right, None)) => n_right.to_string(),
                None => "-".to_owned(),
            };
            let _ = write!(text, "{cell:>10}");
        }
    }
    for ((writer, reader), (_, wrong)) in matrix {
        if let Some(wrong) = wrong {
            let _ = write!(text, "\nwritten by {writer:?}, read by {reader:?}: {wrong}");
        }
    }
    text
}

/// What all clients have in common.
struct Scene {
    names: Vec<String>,
    /// How many rounds each door has written.
    written: BTreeMap<Door, AtomicUsize>,
    matrix: Mutex<Matrix>,
}

impl Scene {
    /// Reads what was written through a door in a round, and notes what comes of it.
    fn read(&self, speaker: &mut Speaker, reader: Door, (writer, round): (Door, usize), node: &str) {
        let kind = Kind::of(round);
        if !writer.takes(kind) {
            return;
        }
        let wrong = match speaker.get(node, &key(writer, round)) {
            Ok(value) if !reader.gives(kind) => Some(format!("{} bytes come out of it", value.len())),
            Ok(value) if value == kind.value(writer, round) => None,
            Ok(value) => Some(format!("{:?}", String::from_utf8_lossy(&value[..value.len().min(60)]))),
            Err(Failure::Unsayable(_)) if !reader.gives(kind) => None,
            Err(failure) => Some(format!("{failure:?}")),
        };
        let mut matrix = self.matrix.lock().expect("no client panics in here");
        let (n_right, first_wrong) = matrix.entry((writer, reader)).or_default();
        *n_right += usize::from(wrong.is_none());
        if let Some(wrong) = wrong {
            first_wrong.get_or_insert(format!("{kind:?} in round {round} through {node}: {wrong}"));
        }
    }

    /// Writes round by round, and reads what others have written meanwhile; in the end everything through every node.
    fn run(&self, door: Door) {
        let mut speaker = Speaker::new(door);
        for round in 0..ROUNDS {
            let node = &self.names[round % self.names.len()];
            let kind = Kind::of(round);
            if door.takes(kind) {
                let put = speaker.put(node, &key(door, round), &kind.value(door, round));
                put.unwrap_or_else(|failure| panic!("{door:?} writes {kind:?} to {node}: {failure:?}"));
            }
            self.written[&door].store(round + 1, Ordering::Release);
            for (writer, n_rounds) in &self.written {
                let Some(last) = n_rounds.load(Ordering::Acquire).checked_sub(1) else { continue };
                for node in &self.names {
                    self.read(&mut speaker, door, (*writer, last), node);
                }
            }
        }
        for (writer, n_rounds) in &self.written {
            wait_for("the end of all writing", ROUNDS_LIMIT, || {
                if n_rounds.load(Ordering::Acquire) == ROUNDS { Ok(()) } else { Err("one still writes") }
            });
            // Nodes close connections over which nothing was asked for a while.
            let mut speaker = Speaker::new(door);
            for round in 0..ROUNDS {
                for node in &self.names {
                    self.read(&mut speaker, door, (*writer, round), node);
                }
            }
        }
    }
}

#[test]
fn all_doors_at_once() {
    let _machine = alone();
    let cluster = Cluster::ring(3, 160);
    let scene = Scene {
        names: cluster.names(),
        written: Door::ALL.map(|door| (door, AtomicUsize::new(0))).into(),
        matrix: Mutex::default(),
    };
    let load = Load::start(&scene.names);
    let ended: Vec<_> = std::thread::scope(|scope| {
        let clients = Door::ALL.map(|door| {
            let scene = &scene;
            scope.spawn(move || {
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.run(door)));
                // Nobody waits for one that has broken.
                scene.written[&door].store(ROUNDS, Ordering::Release);
                ended.is_ok()
            })
        });
        clients.map(|client| client.join().unwrap_or(false)).into()
    });
    let matrix = scene.matrix.into_inner().expect("no client panics in here");
    let is_right = matrix.len() == 25 && matrix.values().all(|(_, wrong)| wrong.is_none());
    assert!(is_right && ended.iter().all(|is_well| *is_well), "{ended:?}\n{}", table(&matrix));
    println!("{}", table(&matrix));
    let load = load.end();
    assert!(load.iter().all(|(_, n_done)| *n_done > 0), "{load:?}");
    println!("beside it: {load:?}");
}
