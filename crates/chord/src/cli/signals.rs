//! Ctrl-C, SIGTERM, and a terminal that is closed.

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
    /// That the terminal is closed, where it is heard.
    hangup: Option<tokio::signal::unix::Signal>,
}

/// Of SIGHUP, in a set of signals as /proc writes it.
#[cfg(unix)]
const HANGUP_BIT: u64 = 1;

#[cfg(unix)]
impl Signals {
    /// From now on no such signal ends the process by itself.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// The same, and a terminal that is closed is such a wish too, unless whoever started the process had it ignored: that
    /// is what nohup is for.
    pub(crate) fn with_hangup() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let is_ignored =
            std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
        let hangup = if is_ignored { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { hangup, ..Self::new()? })
    }

    /// The next signal. May be dropped and called again without missing one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(self.hangup.as_mut()) => {}
        }
    }

    /// Those that have come so far are not to count.
    pub(crate) fn forget(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while self.interrupt.poll_recv(&mut context).is_ready() {}
        while self.terminate.poll_recv(&mut context).is_ready() {}
        while self.hangup.as_mut().is_some_and(|hangup| hangup.poll_recv(&mut context).is_ready()) {}
    }
}

#[cfg(unix)]
async fn hung_up(hangup: Option<&mut tokio::signal::unix::Signal>) {
    match hangup {
        Some(hangup) => _ = hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether a process with this status was started with SIGHUP ignored.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set & HANGUP_BIT != 0)
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

    pub(crate) fn with_hangup() -> io::Result<Self> {
        Self::new()
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn forget(&mut self) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_that_is_ignored_is_told_from_others() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
