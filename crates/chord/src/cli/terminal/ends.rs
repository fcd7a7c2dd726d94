//! Signals that end the process while it has the other screen: whatever it waits for, the terminal is given back first.

use std::io;
use std::sync::Once;
use std::sync::mpsc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::leave;

/// How long whoever has the screen may take to end after Ctrl-C and SIGTERM: it may stand still, as where a terminal that was
/// stopped by Ctrl-S takes nothing more.
const END_WAIT: Duration = Duration::from_secs(1);

/// How long the terminal may take what gives it back.
const LEAVE_WAIT: Duration = Duration::from_millis(500);

/// Added to the number of a signal, what shells take for the code of a process that it ended.
const CODE_BASE: i32 = 128;

/// From now on these signals do not end the process before the terminal is as it was. Needs a runtime.
pub(super) fn hear() -> io::Result<()> {
    static HEARS: Once = Once::new();
    let mut signals = Ends {
        quit: signal(SignalKind::quit())?,
        hangup: signal(SignalKind::hangup())?,
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    HEARS.call_once(|| {
        tokio::spawn(async move {
            let code = CODE_BASE + signals.next().await.as_raw_value();
            give_back();
            std::process::exit(code);
        });
    });
    Ok(())
}

/// Waits for the terminal no longer than it may take.
fn give_back() {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        leave();
        let _ = done.send(());
    });
    let _ = is_done.recv_timeout(LEAVE_WAIT);
}

struct Ends {
    quit: Signal,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// The signal that ends the process: at once, or because nobody else ended it when asked to.
    async fn next(&mut self) -> SignalKind {
        let kind = tokio::select! {
            _ = self.quit.recv() => return SignalKind::quit(),
            _ = self.hangup.recv() => return SignalKind::hangup(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        tokio::time::sleep(END_WAIT).await;
        kind
    }
}
