//! The open loop: reads and writes at a fixed rate, however fast they are answered.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::connection::Connection;
use super::load::Measured;
use super::workload::{Operation, Random, Workload};

/// What is sent at a fixed rate.
pub(super) const OPERATIONS: [Operation; 2] = [Operation::Put, Operation::Get];

/// Reads and writes that go on until this is dropped.
#[derive(Debug)]
pub(super) struct Paced {
    measured: Arc<[Mutex<Measured>; 2]>,
    began: Instant,
    _tasks: JoinSet<()>,
}

impl Paced {
    /// Sends so many requests a second, as many puts as gets. Each kind has every other connection.
    pub(super) fn start(workload: &Workload, per_second: u32) -> anyhow::Result<Self> {
        let measured = Arc::new(fresh()?.map(Mutex::new));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..workload.connections {
            let kind = usize::from(number) % OPERATIONS.len();
            let beat = Beat {
                connection: Connection::new(workload, number / 2, OPERATIONS[kind]),
                random: Random::new(number.into()),
                keys: workload.keys,
                // One after the other, and then the first again.
                due: began + Duration::from_secs(number.into()) / per_second,
                pause: Duration::from_secs(workload.connections.into()) / per_second,
            };
            tasks.spawn(beat.run(Arc::clone(&measured), kind));
        }
        Ok(Self { measured, began, _tasks: tasks })
    }

    /// What was measured since the start or the last call, and how it is from now on begins anew.
    pub(super) fn take(&mut self) -> anyhow::Result<[Measured; 2]> {
        let elapsed = mem::replace(&mut self.began, Instant::now()).elapsed();
        let mut taken = fresh()?;
        for (fresh, measured) in taken.iter_mut().zip(&*self.measured) {
            mem::swap(fresh, &mut measured.lock().unwrap_or_else(PoisonError::into_inner));
            fresh.elapsed = elapsed;
        }
        Ok(taken)
    }
}

fn fresh() -> anyhow::Result<[Measured; 2]> {
    let [put, get] = OPERATIONS;
    Ok([Measured::new(put)?, Measured::new(get)?])
}

/// One connection's work.
struct Beat {
    connection: Connection,
    random: Random,
    keys: u64,
    due: Instant,
    pause: Duration,
}

impl Beat {
    async fn run(mut self, measured: Arc<[Mutex<Measured>; 2]>, kind: usize) {
        loop {
            let is_late = Instant::now() > self.due;
            tokio::time::sleep_until(self.due.into()).await;
            // A request that the one before it held up has waited since it was due; a timer that is late is no one's wait.
            let since = if is_late { self.due } else { Instant::now() };
            let ended = self.connection.exchange(self.random.below(self.keys)).await;
            // Held for the record alone, never while waiting.
            measured[kind].lock().unwrap_or_else(PoisonError::into_inner).record(ended, since.elapsed());
            self.due += self.pause;
        }
    }
}
