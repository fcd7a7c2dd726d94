//! The load generator: threads that share the connections, so that one of them is never in the way of another.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::door::Speeches;
use super::draw::Drawing;
use super::lane::{Lane, LaneSetup, Source, lock};
use super::measured::Tally;
use super::pacing::{Pace, Pacing};
use super::progress::Progress;
use super::workload::{Operation, Workload};

/// How often it is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Requests that are being sent. Dropped, it sends no more.
#[derive(Debug)]
pub(super) struct Load {
    tallies: Vec<Arc<Mutex<Tally>>>,
    /// Tells which connection failed by a fault of this program; closed when all are done.
    faults: mpsc::Receiver<anyhow::Error>,
    began: Instant,
    _stop: watch::Sender<()>,
}

/// Makes connections of a workload.
pub(super) struct Lanes<'a> {
    workload: &'a Workload,
    /// What is said to each of the nodes.
    speeches: Vec<Speeches>,
}

/// Writes every key once; the connections share them out.
pub(super) async fn fill(lanes: &Lanes<'_>) -> anyhow::Result<()> {
    each(lanes, Operation::Put, 1).await.context("cannot write the keys")
}

/// Reads every `step`th key once, and checks what is under it.
pub(super) async fn check(lanes: &Lanes<'_>, step: u64) -> anyhow::Result<()> {
    each(lanes, Operation::Get, step).await.context("cannot read the keys back")
}

async fn each(lanes: &Lanes<'_>, operation: Operation, step: u64) -> anyhow::Result<()> {
    let n_keys = lanes.workload.keys.div_ceil(step);
    let step = usize::try_from(step)?;
    let now = Instant::now();
    let mut load = lanes.start(Pacing::Closed, now, None, |number| lanes.each(number, operation, step))?;
    let progress = Progress::of_keys(n_keys);
    while !load.is_over_within(LOOK_EVERY).await? {
        progress.at(load.n_ended());
        if let Some(failure) = load.failure() {
            bail!("{failure}");
        }
    }
    load.failure().map_or(Ok(()), |failure| bail!("{failure}"))
}

/// Sends requests, of which so many percent are reads, first for the warm-up, then for the measured time.
pub(super) async fn measure(lanes: &Lanes<'_>, reads_percent: u8) -> anyhow::Result<Tally> {
    let (workload, now) = (lanes.workload, Instant::now());
    let begin = now + workload.warmup;
    let end = begin + workload.measured;
    let mut load =
        lanes.start(workload.pacing, now, Some(end), |number| lanes.drawn(number, reads_percent))?;
    let mut failed = Tally::new()?;
    if begin > now {
        tokio::time::sleep_until(begin.into()).await;
        failed = load.take()?.failures_only()?;
    }
    let progress = Progress::of_time(workload.measured);
    while !load.is_over_within(LOOK_EVERY).await? {
        progress.after(begin.elapsed(), load.n_ended());
    }
    let mut measured = load.take()?;
    measured.add(failed)?;
    Ok(measured.over(begin, end))
}

impl Load {
    /// Sends requests as the workload has them, of which so many percent are reads, until this is dropped.
    pub(super) async fn start(workload: &Workload, reads_percent: u8) -> anyhow::Result<Self> {
        let lanes = Lanes::of(workload).await?;
        lanes.start(workload.pacing, Instant::now(), None, |number| lanes.drawn(number, reads_percent))
    }

    /// What was measured since the start or the last call; from now on it begins anew.
    pub(super) fn take(&mut self) -> anyhow::Result<Tally> {
        let mut all = Tally::new()?;
        for tally in &self.tallies {
            let fresh = Tally::new()?;
            all.add(std::mem::replace(&mut *lock(tally), fresh))?;
        }
        let now = Instant::now();
        Ok(all.over(std::mem::replace(&mut self.began, now), now))
    }

    /// How many requests ended since then.
    fn n_ended(&self) -> u64 {
        self.tallies.iter().map(|tally| lock(tally).n_ended()).sum()
    }

    fn failure(&self) -> Option<String> {
        self.tallies.iter().find_map(|tally| lock(tally).failure().map(str::to_owned))
    }

    /// Waits so long at most; true if all that was to be sent was sent and answered.
    async fn is_over_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        match tokio::time::timeout(time, self.faults.recv()).await {
            Ok(Some(fault)) => Err(fault),
            Ok(None) => Ok(true),
            Err(_) => Ok(false),
        }
    }
}

impl<'a> Lanes<'a> {
    /// Asks the nodes what must be known of them.
    pub(super) async fn of(workload: &'a Workload) -> anyhow::Result<Self> {
        let mut speeches = Vec::new();
        for node in &workload.nodes {
            speeches.push(workload.door.speeches(node, workload.sizes, &workload.entry).await?);
        }
        Ok(Self { workload, speeches })
    }

    /// What that connection draws.
    fn drawn(&self, number: u16, reads_percent: u8) -> Source {
        let Workload { draw, keys, .. } = *self.workload;
        let seed = u64::from(number) << 8 | u64::from(reads_percent);
        let slots = self.workload.answers_for(number);
        let is_of_node =
            slots.map(|slots| -> Box<dyn Fn(u64) -> bool + Send> { Box::new(move |key| slots.hold(key)) });
        Source::Drawn(Drawing::new(draw, keys, reads_percent, seed), is_of_node)
    }

    /// That connection's share of every `step`th key.
    fn each(&self, number: u16, operation: Operation, step: usize) -> Source {
        let Workload { keys, connections, .. } = *self.workload;
        let all = (0..keys).step_by(step);
        let Some(slots) = self.workload.answers_for(number) else {
            return Source::Each(operation, Box::new(all.skip(number.into()).step_by(connections.into())));
        };
        // Those of its node, which it shares with the node's other connections.
        let is_sibling = |other: &u16| self.workload.node_of(*other) == self.workload.node_of(number);
        let (n_before, n_all) =
            ((0..number).filter(is_sibling).count(), (0..connections).filter(is_sibling).count());
        let own = all.filter(move |key| slots.hold(*key)).skip(n_before).step_by(n_all);
        Source::Each(operation, Box::new(own))
    }

    /// Starts the threads.
    fn start(
        &self,
        pacing: Pacing,
        begin: Instant,
        until: Option<Instant>,
        source: impl Fn(u16) -> Source,
    ) -> anyhow::Result<Load> {
        let n_threads = self.workload.threads.min(self.workload.connections);
        let (stop, stopped) = watch::channel(());
        let (told, faults) = mpsc::channel(1);
        let mut tallies = Vec::new();
        for thread in 0..n_threads {
            let tally = Arc::new(Mutex::new(Tally::new()?));
            let numbers = (thread..self.workload.connections).step_by(n_threads.into());
            let lanes = numbers.map(|number| {
                let Workload { pipeline, connections, .. } = *self.workload;
                let pace = Pace::new(pacing, pipeline, begin, until, number, connections);
                Lane::new(self.setup(number, source(number), pace), Arc::clone(&tally))
            });
            run(lanes.collect(), stopped.clone(), told.clone())?;
            tallies.push(tally);
        }
        Ok(Load { tallies, faults, began: begin, _stop: stop })
    }

    fn setup(&self, number: u16, source: Source, pace: Pace) -> LaneSetup {
        let node = self.workload.node_of(number);
        LaneSetup {
            node: self.workload.nodes[node].clone(),
            speech: self.speeches[node](),
            source,
            pace,
            sizes: self.workload.sizes,
            growth: self.workload.door.growth(),
            tls: self.workload.entry.tls.clone(),
        }
    }
}

/// Runs those connections on a thread of their own, until they are done or nobody wants them any more.
fn run(
    lanes: Vec<Lane>,
    mut stopped: watch::Receiver<()>,
    told: mpsc::Sender<anyhow::Error>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = async move {
        let mut tasks = JoinSet::new();
        for lane in lanes {
            tasks.spawn(lane.run());
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(fault) = ended {
                let _ = told.try_send(fault.into()); // One that is told already is enough.
            }
        }
    };
    let thread = std::thread::Builder::new().name("load".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = all => {}
                _ = stopped.changed() => {}
            }
        });
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
