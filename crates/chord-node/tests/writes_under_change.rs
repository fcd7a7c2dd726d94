//! Writes while nodes join and leave: what was acknowledged is read meanwhile, and afterwards from every node.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]
#![allow(clippy::print_stdout, reason = "shown when a test fails, and with --nocapture")]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_node::{Node, OperationError};
use chord_ring::is_ideal;
use rand::seq::IndexedRandom;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(20);

/// Once the ring is ideal, every key reads right within this.
const SETTLED_LIMIT: Duration = Duration::from_secs(5);

/// Each writes keys of its own, one after the other, so that the writes of one key have an order.
const N_WRITERS: usize = 4;
const KEYS_PER_WRITER: usize = 40;

/// Keys that are written once, before the others: so many that each hand-over takes a while, or so few that the writers get
/// far although many join at once.
const BALLAST: usize = 1000;
const LITTLE_BALLAST: usize = 200;

/// Between two writes of one writer: a few thousand writes in all, and processors left for the nodes.
const WRITE_PAUSE: Duration = Duration::from_millis(2);

/// How long the writers go on before and after a change.
const BETWEEN_CHANGES: Duration = Duration::from_millis(250);

/// The nodes that take writes at the moment.
#[derive(Clone)]
struct Live(Arc<Mutex<Vec<Node>>>);

impl Live {
    fn all(&self) -> Vec<Node> {
        self.0.lock().unwrap().clone()
    }

    fn any(&self) -> Node {
        self.0.lock().unwrap().choose(&mut rand::rng()).unwrap().clone()
    }

    async fn join_one(&self) {
        // The youngest: it is not about to leave.
        let contact = self.0.lock().unwrap().last().unwrap().name().clone();
        let joiner = Node::builder().listen("127.0.0.1:0").join(contact);
        let node = Box::pin(joiner.start()).await.unwrap();
        tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
        self.0.lock().unwrap().push(node);
    }

    /// Founds the ring, with so many records.
    async fn found(n_ballast: usize) -> (Self, Vec<Written>) {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let mut written = Vec::new();
        for idx in 0..n_ballast {
            let key = format!("ballast {idx}");
            node.put(key.as_bytes(), b"1").await.unwrap();
            written.push(Written { key, acknowledged: 1, attempted: 1, by: "the founder".to_owned() });
        }
        (Self(Arc::new(Mutex::new(vec![node]))), written)
    }

    /// The oldest node takes no more writes from clients, and leaves.
    async fn leave_one(&self) {
        let leaver = self.0.lock().unwrap().remove(0);
        let departure = leaver.shutdown().await;
        assert_eq!(departure.left_behind, 0, "{} left: {departure:?}", leaver.name());
    }

    async fn until_ideal(&self) {
        let ideal = async {
            loop {
                let views: Vec<_> = self.all().iter().map(Node::view).collect();
                if is_ideal(views.iter().map(AsRef::as_ref)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, ideal).await.expect("the ring becomes ideal");
    }
}

/// What was written to one key: the numbers from 1, in this order.
#[derive(Clone, Debug)]
struct Written {
    key: String,
    /// The last number whose put succeeded, or none.
    acknowledged: u64,
    /// The last number that was put at all.
    attempted: u64,
    /// Who took the acknowledged number, and through which node it went.
    by: String,
}

impl Written {
    /// Whether a read may find this.
    fn allows(&self, found: Option<u64>) -> bool {
        (self.acknowledged..=self.attempted).contains(&found.unwrap_or(0))
    }
}

/// What one writer did.
struct Report {
    written: Vec<Written>,
    n_puts: usize,
    longest: Duration,
    errors: Vec<String>,
    /// Answers to reads meanwhile that must not be.
    wrong: Vec<String>,
}

/// Writes every key in turn, each time a greater number, until `done`; each once at least, however slow the machine is.
async fn write(writer: usize, live: Live, done: Arc<AtomicBool>, started: Instant) -> Report {
    let key = |idx| format!("writer {writer} key {idx}");
    let new = |idx| Written { key: key(idx), acknowledged: 0, attempted: 0, by: String::new() };
    let mut report = Report {
        written: (0..KEYS_PER_WRITER).map(new).collect(),
        n_puts: 0,
        longest: Duration::ZERO,
        errors: Vec::new(),
        wrong: Vec::new(),
    };
    for idx in (0..KEYS_PER_WRITER).cycle() {
        if done.load(Ordering::Relaxed) && report.n_puts >= KEYS_PER_WRITER {
            break;
        }
        let written = &mut report.written[idx];
        written.attempted += 1;
        report.n_puts += 1;
        let node = live.any();
        let value = written.attempted.to_string();
        let asked = Instant::now();
        let stored = node.put(written.key.as_bytes(), value.as_bytes()).await;
        report.longest = report.longest.max(asked.elapsed());
        match stored {
            Ok(stored) => {
                written.acknowledged = written.attempted;
                let at = started.elapsed();
                written.by = format!("by {} through {} at {at:?}", stored.owner, node.name());
            }
            Err(error) => report.errors.push(format!("{:?}: {error}", started.elapsed())),
        }
        let any = report.written.choose(&mut rand::rng()).unwrap();
        match read(&live.any(), any).await {
            Ok(None) => {}
            Ok(Some(wrong)) => report.wrong.push(format!("{:?}: {wrong}", started.elapsed())),
            Err(error) => report.errors.push(format!("{:?}: {error}", started.elapsed())),
        }
        tokio::time::sleep(WRITE_PAUSE).await;
    }
    report
}

/// The writers at work.
struct Writers {
    done: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Report>>,
    started: Instant,
}

impl Writers {
    fn start(live: &Live) -> Self {
        let (done, started) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let start = |writer| tokio::spawn(write(writer, live.clone(), done.clone(), started));
        let tasks = (0..N_WRITERS).map(start).collect();
        Self { done, tasks, started }
    }

    async fn end(self) -> Vec<Written> {
        self.done.store(true, Ordering::Relaxed);
        let (mut written, mut n_puts, mut errors, mut wrong) = (Vec::new(), 0, Vec::new(), Vec::new());
        let mut longest = Duration::ZERO;
        for task in self.tasks {
            let report = task.await.unwrap();
            written.extend(report.written);
            n_puts += report.n_puts;
            longest = longest.max(report.longest);
            errors.extend(report.errors);
            wrong.extend(report.wrong);
        }
        let (elapsed, n_errors) = (self.started.elapsed(), errors.len());
        println!("{n_puts} puts in {elapsed:?}, the longest {longest:?}, {n_errors} errors: {errors:?}");
        assert!(wrong.is_empty(), "{} wrong reads meanwhile:\n{}", wrong.len(), wrong.join("\n"));
        assert!(errors.len() * 20 < n_puts, "{} errors at {n_puts} puts: {errors:?}", errors.len());
        written
    }
}

/// Lets the writers write while `change` happens to the ring, and reads everything back.
async fn writes_survive(n_nodes: usize, n_ballast: usize, change: impl AsyncFnOnce(&Live)) {
    // Together they would be slow for want of processors, and prove less.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let (live, ballast) = Live::found(n_ballast).await;
    for _ in 1..n_nodes {
        live.join_one().await;
    }
    live.until_ideal().await;
    let writers = Writers::start(&live);
    tokio::time::sleep(BETWEEN_CHANGES).await;
    change(&live).await;
    tokio::time::sleep(BETWEEN_CHANGES).await;
    let written = writers.end().await;
    live.until_ideal().await;
    let ideal = Instant::now();
    let nodes = live.all();
    let mut wrong = wrong_reads(&nodes, &written).await + &wrong_reads(&nodes[..1], &ballast).await;
    let n_wrong = wrong.lines().count();
    while !wrong.is_empty() && ideal.elapsed() < SETTLED_LIMIT {
        tokio::time::sleep(Duration::from_millis(50)).await;
        wrong = wrong_reads(&nodes, &written).await + &wrong_reads(&nodes[..1], &ballast).await;
    }
    println!("{n_wrong} wrong reads at first, {:?} after the ring is ideal", ideal.elapsed());
    assert!(wrong.is_empty(), "{SETTLED_LIMIT:?} after the ring is ideal:\n{wrong}");
}

/// Reads every key through each of these nodes; a line for each answer that must not be.
async fn wrong_reads(nodes: &[Node], written: &[Written]) -> String {
    let mut wrong = String::new();
    for node in nodes {
        for key in written {
            match read(node, key).await {
                Ok(None) => {}
                Ok(Some(answer)) => writeln!(wrong, "{answer}").unwrap(),
                Err(error) => writeln!(wrong, "{}: {error}, but {key:?}", node.name()).unwrap(),
            }
        }
    }
    wrong
}

/// Reads a key, whose writer waits meanwhile; the answer if it must not be.
async fn read(node: &Node, key: &Written) -> Result<Option<String>, OperationError> {
    let got = node.get(key.key.as_bytes()).await?;
    let number =
        got.value.as_ref().map(|value| std::str::from_utf8(value.as_bytes()).unwrap().parse().unwrap());
    let answer = || format!("{}: {number:?} by {}, but {key:?}", node.name(), got.owner);
    Ok((!key.allows(number)).then(answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_while_nodes_join() {
    writes_survive(1, BALLAST, async |live| {
        for _ in 0..6 {
            live.join_one().await;
            tokio::time::sleep(BETWEEN_CHANGES).await;
        }
        tokio::join!(live.join_one(), live.join_one());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_while_nodes_join_two_and_three_at_once() {
    writes_survive(3, LITTLE_BALLAST, async |live| {
        for _ in 0..2 {
            tokio::join!(live.join_one(), live.join_one(), live.join_one());
            tokio::time::sleep(BETWEEN_CHANGES).await;
            tokio::join!(live.join_one(), live.join_one());
            tokio::time::sleep(BETWEEN_CHANGES).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_while_nodes_leave() {
    writes_survive(7, BALLAST, async |live| {
        for _ in 0..3 {
            live.leave_one().await;
            tokio::time::sleep(BETWEEN_CHANGES).await;
        }
        tokio::join!(live.leave_one(), live.leave_one());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_while_nodes_join_and_leave() {
    writes_survive(4, BALLAST, async |live| {
        for _ in 0..2 {
            live.join_one().await;
            tokio::time::sleep(BETWEEN_CHANGES).await;
            live.leave_one().await;
            tokio::time::sleep(BETWEEN_CHANGES).await;
            tokio::join!(live.join_one(), live.leave_one());
        }
    })
    .await;
}
