//! What reads from a disk whose pages are in nobody's cache cost those who read what is at hand:
//! `cargo run --release -p chord-node --example cold_reads -- DIR [RECORDS]`.
//!
//! One node with more records than it keeps in memory. One client reads one key over and over; in every other turn eight
//! more read keys at random, after the system was told to forget the file.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement tells, and may fail by panic")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chord_node::{Builder, Limits, Node, Syncing};

const VALUE: [u8; 1024] = [b'v'; 1024];
const N_WRITERS: u64 = 64;
const N_COLD: u64 = 8;
const TURN: Duration = Duration::from_secs(2);
const N_TURNS: usize = 3;
/// Longer than a node that works takes to begin, or to be rid of what it has been given.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let dir = std::env::args().nth(1).expect("say in which directory");
    let n_records: u64 = std::env::args().nth(2).map_or(500_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir_in(dir).unwrap();
    let node = Arc::new(builder(dir.path()).start().await.unwrap());
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    all(N_WRITERS, |_| {
        let (node, next) = (node.clone(), next.clone());
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= n_records {
                    return;
                }
                let key = key(number);
                until_done(|| node.put(&key, &VALUE)).await;
            }
        }
    })
    .await;
    println!("wrote {n_records} records of {} bytes in {:.1?}", VALUE.len(), begun.elapsed());
    node.shutdown().await;
    let node = Arc::new(builder(dir.path()).start().await.unwrap());
    let hot = key(n_records / 2);
    until_done(|| node.get(&hot)).await;
    for _ in 0..N_TURNS {
        show("without cold reads", &hot_reads(&node, &hot).await);
        forget(dir.path());
        let (is_over, reads) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let cold = (0..N_COLD).map(|reader| {
            tokio::spawn(cold_reads(node.clone(), n_records, reader, is_over.clone(), Arc::clone(&reads)))
        });
        let cold: Vec<_> = cold.collect();
        show("with cold reads   ", &hot_reads(&node, &hot).await);
        is_over.store(true, Ordering::Relaxed);
        for reader in cold {
            reader.await.unwrap();
        }
        show("the cold ones     ", &reads.lock().unwrap());
    }
    node.shutdown().await;
}

fn builder(dir: &Path) -> Builder {
    let limits = Limits { store_bytes: u64::MAX, ..Limits::default() };
    let builder = Node::builder().listen("127.0.0.1:0").replicas(1).limits(limits);
    builder.data(dir).sync(Syncing::Interval(Duration::from_secs(1)))
}

fn key(number: u64) -> Vec<u8> {
    format!("key{number:013}").into_bytes()
}

/// Does it again until it is done.
async fn until_done<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(mut attempt: impl FnMut() -> F) {
    let began = Instant::now();
    while let Err(error) = attempt().await {
        assert!(began.elapsed() < PATIENCE, "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn all<F: Future<Output = ()> + Send + 'static>(count: u64, task: impl Fn(u64) -> F) {
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(task(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn hot_reads(node: &Node, hot: &[u8]) -> Vec<Duration> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < TURN {
        let asked = Instant::now();
        node.get(hot).await.unwrap();
        took.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took
}

async fn cold_reads(
    node: Arc<Node>,
    n_records: u64,
    reader: u64,
    is_over: Arc<AtomicBool>,
    reads: Arc<std::sync::Mutex<Vec<Duration>>>,
) {
    // A step through all of them that comes nowhere twice.
    let mut number = reader * 7_919;
    while !is_over.load(Ordering::Relaxed) {
        number = (number + 104_729) % n_records;
        let asked = Instant::now();
        node.get(&key(number)).await.unwrap();
        reads.lock().unwrap().push(asked.elapsed());
    }
}

/// Has the system forget what it has of the files there.
fn forget(dir: &Path) {
    for file in std::fs::read_dir(dir).unwrap().flatten().filter(|file| file.path().is_file()) {
        let of = format!("of={}", file.path().display());
        let told = Command::new("dd")
            .args([&of, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"])
            .stderr(Stdio::null())
            .status();
        assert!(told.is_ok_and(|status| status.success()));
    }
}

fn show(what: &str, took: &[Duration]) {
    let mut took = took.to_vec();
    took.sort_unstable();
    let at =
        |share: usize| took.get((took.len() * share / 1000).min(took.len() - 1)).copied().unwrap_or_default();
    println!(
        "{what}: {} reads, p50 {:.0?}, p99 {:.1?}, longest {:.1?}",
        took.len(),
        at(500),
        at(990),
        at(1000)
    );
}
