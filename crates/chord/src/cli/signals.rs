//! Ctrl-C and SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::task::{Context, Waker};

/// The wishes of whoever runs the process that it should end.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on no such signal ends the process by itself.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next signal. May be dropped and called again without missing one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Those that have come so far are not to count.
    pub(crate) fn forget(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while self.interrupt.poll_recv(&mut context).is_ready() {}
        while self.terminate.poll_recv(&mut context).is_ready() {}
    }
}

impl Signals {
    /// Does work that asks now and then whether a signal has come, and then ends with what it has. It is not waited for after
    /// a second one.
    ///
    /// # Errors
    /// The work broke, or there was a second signal.
    pub(crate) async fn hear<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = is_stopped.clone();
        let mut working = tokio::task::spawn_blocking(move || work(&|| stop.load(Ordering::Relaxed)));
        tokio::select! {
            done = &mut working => return Ok(done?),
            () = self.next() => is_stopped.store(true, Ordering::Relaxed),
        }
        tokio::select! {
            done = &mut working => Ok(done?),
            () = self.next() => anyhow::bail!("stopped at once: what was done so far is not told"),
        }
    }
}

/// Ctrl-C, on systems that have no SIGTERM.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn forget(&mut self) {}
}
