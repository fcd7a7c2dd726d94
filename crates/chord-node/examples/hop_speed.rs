//! How long one hop from node to node takes, beside a raw echo over TCP. Pinned to one core:
//! `taskset -c 0 cargo run --release -p chord-node --example hop_speed`.
//!
//! Two nodes in two processes, one copy of each key: a get of a key that the asked node owns needs no hop, and one of the
//! other's keys needs one. The echo is a third process that sends back what it gets. Each is done in turn, in rounds.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement tells, and may fail by panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chord_node::Node;

const ROUNDS: usize = 10;
const EACH: usize = 2_000;
const BYTES: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo"] => echo(),
        ["node", contact] => on_one_thread(serve(contact)),
        _ => on_one_thread(measure()),
    }
}

fn on_one_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn echo() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut bytes = [0; BYTES];
    while stream.read_exact(&mut bytes).is_ok() {
        stream.write_all(&bytes).unwrap();
    }
}

async fn serve(contact: &str) {
    let node = Node::builder().listen("127.0.0.1:0").replicas(1).join(contact.parse().unwrap());
    let node = node.start().await.unwrap();
    node.ready().await.unwrap();
    println!("{}", node.name());
    std::future::pending::<()>().await;
}

/// Another process of this program, and the name that it has said.
fn another(arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut name = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut name).unwrap();
    (child, name.trim().to_owned())
}

async fn measure() {
    let here = Node::builder().listen("127.0.0.1:0").replicas(1).start().await.unwrap();
    here.ready().await.unwrap();
    let me = here.name().to_string();
    let (mut echo, echo_at) = another(&["echo"]);
    let (mut there, _) = tokio::task::spawn_blocking(move || another(&["node", &me])).await.unwrap();
    let mut keys = [None, None];
    let deadline = Instant::now() + Duration::from_secs(30);
    for number in 0.. {
        assert!(Instant::now() < deadline, "the ring did not come about");
        // Before that all keys are this node's.
        if here.view().predecessor().is_some() && here.readiness().is_ok() {
            let key = format!("key{number}");
            let stored = here.put(key.as_bytes(), &[b'v'; BYTES]).await.unwrap();
            keys[usize::from(stored.owner != *here.name())].get_or_insert(key);
        }
        if keys.iter().all(Option::is_some) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut stream = TcpStream::connect(echo_at).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut raw, mut own, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut bytes = [0; BYTES];
        for _ in 0..EACH {
            let began = Instant::now();
            stream.write_all(&bytes).unwrap();
            stream.read_exact(&mut bytes).unwrap();
            raw.push(began.elapsed());
        }
        for (key, took) in keys.iter().flatten().zip([&mut own, &mut other]) {
            for _ in 0..EACH {
                let began = Instant::now();
                here.get(key.as_bytes()).await.unwrap();
                took.push(began.elapsed());
            }
        }
    }
    for child in [&mut echo, &mut there] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let [raw, own, other] = [raw, own, other].map(median);
    println!("raw echo          {raw:>8.1} µs (p50)");
    println!("get of an own key {own:>8.1} µs");
    println!(
        "get with one hop  {other:>8.1} µs: the hop takes {:.1} µs, {:.2} raw echoes",
        other - own,
        (other - own) / raw
    );
}

fn median(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took[took.len() / 2].as_secs_f64() * 1e6
}
