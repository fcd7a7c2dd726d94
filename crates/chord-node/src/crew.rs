//! The threads that serve connections, where a node has its own.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// Threads beside each of them, for what blocks: names that are looked up, and what the system says of the process.
const BLOCKING_THREADS_MAX: usize = 16;

/// Files that each of them has open for itself: by what it waits for all its connections, by what it is woken, and where it
/// hears of signals.
pub const THREAD_FILES: u64 = 4;

/// Threads that serve connections, each those that it was given and no other: who is asked and answers on one thread wakes
/// no other. Without any, connections are served where the node was started.
///
/// Dropped, it ends its threads, and whatever still runs on them.
pub(crate) struct Crew {
    hands: Vec<Hand>,
}

/// One of them.
struct Hand {
    runtime: Handle,
    thread: ThreadId,
    /// Each of its connections holds a copy of this.
    connections: Arc<()>,
    /// The thread waits for the end of this.
    _ends: oneshot::Sender<()>,
}

/// Held by a connection while it is served.
#[derive(Debug)]
pub(crate) struct Served {
    _by: Arc<()>,
}

impl Crew {
    /// Nobody, or as many as are wanted.
    ///
    /// # Errors
    /// The system gives no more threads or files.
    pub(crate) fn of(threads: Option<NonZeroUsize>) -> io::Result<Self> {
        let n_threads = threads.map_or(0, NonZeroUsize::get);
        Ok(Self { hands: (0..n_threads).map(|_| Hand::new()).collect::<io::Result<_>>()? })
    }

    /// Gives a connection to whoever serves fewest: the runtime that it is to be served in, if that is not this one.
    ///
    /// # Errors
    /// The connection cannot be given to another thread.
    pub(crate) fn take(&self, stream: TcpStream) -> io::Result<(TcpStream, Option<(Handle, Served)>)> {
        let Some(hand) = self.hands.iter().min_by_key(|hand| Arc::strong_count(&hand.connections)) else {
            return Ok((stream, None));
        };
        let stream = stream.into_std()?;
        // A socket is watched by the runtime in which it is made.
        let _there = hand.runtime.enter();
        let stream = TcpStream::from_std(stream)?;
        Ok((stream, Some((hand.runtime.clone(), Served { _by: hand.connections.clone() }))))
    }
}

/// Where the tasks of a node run.
pub(crate) struct Runtimes {
    home: Handle,
    crew: Vec<(ThreadId, Handle)>,
}

impl Runtimes {
    /// The one that this is called in, and those of the crew.
    pub(crate) fn with(crew: &Crew) -> Self {
        Self {
            home: Handle::current(),
            crew: crew.hands.iter().map(|hand| (hand.thread, hand.runtime.clone())).collect(),
        }
    }

    /// The one that the node was started in: for what has nothing to do with one connection, and goes on when that has ended.
    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }

    /// The one that this very thread runs, or else the home: for what is soon done, and wakes nobody elsewhere.
    pub(crate) fn here(&self) -> &Handle {
        let this = thread::current().id();
        self.crew.iter().find(|(thread, _)| *thread == this).map_or(&self.home, |(_, runtime)| runtime)
    }

    /// One that serves connections, where any does that alone: for what many of them wait for.
    pub(crate) fn serving(&self) -> &Handle {
        self.crew.first().map_or(&self.home, |(_, runtime)| runtime)
    }

    /// Those that serve connections, if any do that alone.
    pub(crate) fn crew(&self) -> Vec<Handle> {
        self.crew.iter().map(|(_, runtime)| runtime.clone()).collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Handle> {
        std::iter::once(&self.home).chain(self.crew.iter().map(|(_, runtime)| runtime))
    }
}

impl Hand {
    fn new() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("connections".to_owned()).spawn(move || {
            // Nothing is ever sent: the end of the channel ends the thread.
            let _ = runtime.block_on(ended);
            // What blocks has an end of its own; nobody waits for it here.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, thread: thread.thread().id(), connections: Arc::default(), _ends: ends })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn two() -> Crew {
        Crew::of(NonZeroUsize::new(2)).unwrap()
    }

    async fn connection() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        accepted.unwrap();
        stream.unwrap()
    }

    fn loads(crew: &Crew) -> Vec<usize> {
        let mut loads: Vec<_> =
            crew.hands.iter().map(|hand| Arc::strong_count(&hand.connections) - 1).collect();
        loads.sort_unstable();
        loads
    }

    #[tokio::test]
    async fn whoever_serves_fewest_takes_the_next_connection() {
        let crew = two();
        let mut served = Vec::new();
        for _ in 0..5 {
            served.push(crew.take(connection().await).unwrap().1.unwrap().1);
        }
        assert_eq!(loads(&crew), [2, 3]);
        // The first, third and fifth are on one thread.
        drop(served.remove(4));
        drop(served.remove(2));
        drop(served.remove(0));
        assert_eq!(loads(&crew), [0, 2]);
        for _ in 0..2 {
            served.push(crew.take(connection().await).unwrap().1.unwrap().1);
        }
        assert_eq!(loads(&crew), [2, 2]);
    }

    #[tokio::test]
    async fn each_thread_is_a_place_of_its_own_and_ends_with_the_crew() {
        let crew = two();
        let runtimes = Arc::new(Runtimes::with(&crew));
        assert_eq!(runtimes.all().count(), 3);
        assert_eq!(runtimes.here().id(), Handle::current().id());
        assert_eq!(runtimes.serving().id(), crew.hands[0].runtime.id());
        for hand in &crew.hands {
            let (runtimes, expected) = (runtimes.clone(), hand.runtime.id());
            let is_here = hand.runtime.spawn(async move { runtimes.here().id() == expected });
            assert!(is_here.await.unwrap());
        }
        let endless = crew.hands[0].runtime.spawn(std::future::pending::<()>());
        drop(crew);
        let ended = tokio::time::timeout(DEADLINE, endless).await.expect("its thread has ended");
        assert!(ended.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn without_threads_of_its_own_a_node_serves_where_it_was_started() {
        let crew = Crew::of(None).unwrap();
        assert!(crew.take(connection().await).unwrap().1.is_none());
        let runtimes = Runtimes::with(&crew);
        assert_eq!(runtimes.all().count(), 1);
        assert_eq!(runtimes.serving().id(), Handle::current().id());
    }
}
