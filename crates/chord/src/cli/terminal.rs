//! The terminal: what it can show, how large it is, a screen of its own that is given back whatever happens, and keys.

#[cfg(unix)]
mod ends;

use std::io::{self, IsTerminal, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::draw::Letters;
use super::exit::stream_error;

/// The other screen, without a cursor, on which long lines are cut; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// To the first place; the rest of a line; the rest of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// What is assumed of a terminal that does not say how large it is.
const SIZE_ASSUMED: (usize, usize) = (80, 24);

/// Keys that wait to be read, at most: nobody types faster.
const KEYS_WAITING_MAX: usize = 16;

/// Whether the other screen is shown now. It changes only while standard output is locked.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// How the terminal read before, while it reads single keys.
#[cfg(unix)]
static MODE_BEFORE: Mutex<Option<rustix::termios::Termios>> = Mutex::new(None);

/// What the terminal, or whoever reads instead, can show.
pub(crate) fn letters(wants_ascii: bool) -> Letters {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    can_show(wants_ascii, locale.as_deref(), variable("TERM").as_deref())
}

fn can_show(wants_ascii: bool, locale: Option<&str>, terminal: Option<&str>) -> Letters {
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
    // The console of Linux has no Braille in its font.
    let is_plain = matches!(terminal, Some("linux" | "dumb"));
    if is_utf8 && !is_plain && !wants_ascii { Letters::Unicode } else { Letters::Ascii }
}

/// Whether standard output is a terminal on which things can be placed.
pub(crate) fn is_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Columns and rows of the terminal; `None` where standard output is none.
pub(crate) fn size() -> Option<(usize, usize)> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let told = terminal_size::terminal_size_of(io::stdout());
    let told = told.map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
    Some(told.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(SIZE_ASSUMED))
}

/// The other screen of the terminal. When it is dropped, before a panic is told, and when a signal ends the process, the first
/// one is back as it was.
pub(crate) struct Screen {
    changes: Changes,
    keys: Option<Keys>,
}

impl Screen {
    pub(crate) fn enter() -> anyhow::Result<Self> {
        static RESTORES: Once = Once::new();
        RESTORES.call_once(|| {
            let tell = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                tell(panic);
            }));
        });
        #[cfg(unix)]
        ends::hear()?;
        let screen = Self { changes: Changes::new()?, keys: Keys::new() };
        enter()?;
        Ok(screen)
    }

    /// The next key; `None` when all is to be drawn anew, since the terminal has another size or was used for something else
    /// meanwhile. May be dropped at any point.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<u8>> {
        tokio::select! {
            key = Keys::next(&mut self.keys) => Ok(Some(key)),
            change = self.changes.next() => {
                if change == Change::Suspended {
                    self.suspend()?;
                }
                Ok(None)
            }
        }
    }

    /// Stops the process as Ctrl-Z wants it, with the terminal as it was, until it is to go on.
    fn suspend(&mut self) -> anyhow::Result<()> {
        leave();
        self.keys.iter_mut().for_each(Keys::rest);
        #[cfg(unix)]
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        self.keys.iter_mut().for_each(Keys::resume);
        enter()
    }

    /// Shows text from the top. What is below the last row is cut.
    ///
    /// # Errors
    /// Standard output cannot be written; or the first screen is back already, since another part of the program panicked.
    #[expect(clippy::unused_self, reason = "only whoever has the screen may write on it")]
    pub(crate) fn show(&mut self, text: &str) -> anyhow::Result<()> {
        let rows = size().map_or(SIZE_ASSUMED.1, |(_, rows)| rows);
        let lines: Vec<&str> = text.lines().take(rows).collect();
        let all = lines.join(&format!("{REST_OF_LINE}\r\n"));
        let styled = match anstream::AutoStream::choice(&io::stdout()) {
            anstream::ColorChoice::Never => strip_styles(&all),
            _ => all,
        };
        let mut out = io::stdout().lock();
        if !IS_ENTERED.load(Ordering::SeqCst) {
            anyhow::bail!("a part of the program broke; what it said about that is above");
        }
        write(&mut out, &format!("{HOME}{styled}{REST_OF_LINE}{REST_OF_SCREEN}"))
    }
}

/// Without colours, but with what clears lines.
fn strip_styles(text: &str) -> String {
    let lines = text.split(REST_OF_LINE);
    let plain: Vec<String> = lines.map(|line| anstream::adapter::strip_str(line).to_string()).collect();
    plain.join(REST_OF_LINE)
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    IS_ENTERED.store(true, Ordering::SeqCst);
    write(&mut out, ENTER)
}

/// The first screen is back, with its cursor, and reads lines. Whoever panics while it writes may do this too: a thread may lock
/// standard output twice.
fn leave() {
    #[cfg(unix)]
    Mode::restore();
    let mut out = io::stdout().lock();
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        let _ = write(&mut out, LEAVE); // Where nobody reads any more, nothing is to be given back.
    }
}

fn write(out: &mut io::StdoutLock<'_>, text: &str) -> anyhow::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| stream_error(&error))
}

/// Whether anybody reads standard output still, as far as that can be known without writing to it.
pub(crate) fn is_heard() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_known = poll(&mut polled, Some(&at_once)).is_ok();
        !(is_known && polled.iter().any(|polled| polled.revents().contains(PollFlags::ERR)))
    }
    #[cfg(not(unix))]
    true
}

/// What may become of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It has another size.
    Resized,
    /// Ctrl-Z was pressed.
    Suspended,
}

/// Waits for changes of the terminal.
struct Changes {
    #[cfg(unix)]
    resized: tokio::signal::unix::Signal,
    #[cfg(unix)]
    suspended: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Changes {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let suspend = SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw());
        Ok(Self { resized: signal(SignalKind::window_change())?, suspended: signal(suspend)? })
    }

    async fn next(&mut self) -> Change {
        tokio::select! {
            Some(()) = self.resized.recv() => Change::Resized,
            Some(()) = self.suspended.recv() => Change::Suspended,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl Changes {
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Change {
        std::future::pending().await
    }
}

/// Keys as they are pressed, without a line feed behind them. When it is dropped, the terminal reads lines again.
struct Keys {
    pressed: mpsc::Receiver<u8>,
    #[cfg(unix)]
    mode: Option<Mode>,
}

impl Keys {
    /// `None` where standard input is no terminal, or cannot tell single keys.
    #[cfg(unix)]
    fn new() -> Option<Self> {
        let mode = io::stdin().is_terminal().then(Mode::single_keys)??;
        let (tell, pressed) = mpsc::channel(KEYS_WAITING_MAX);
        // A read of a terminal cannot be given up; the thread ends with the process.
        std::thread::spawn(move || {
            let mut key = [0];
            while io::Read::read(&mut io::stdin(), &mut key).is_ok_and(|read| read > 0) {
                if tell.blocking_send(key[0]).is_err() {
                    return;
                }
            }
        });
        Some(Self { pressed, mode: Some(mode) })
    }

    #[cfg(not(unix))]
    fn new() -> Option<Self> {
        None
    }

    /// The next key; never comes where no more can. May be dropped at any point.
    async fn next(keys: &mut Option<Self>) -> u8 {
        if let Some(keys) = keys
            && let Some(key) = keys.pressed.recv().await
        {
            return key;
        }
        std::future::pending().await
    }

    /// The terminal reads lines until [`Keys::resume`].
    fn rest(&mut self) {
        #[cfg(unix)]
        drop(self.mode.take());
    }

    fn resume(&mut self) {
        #[cfg(unix)]
        {
            self.mode = Mode::single_keys();
        }
    }
}

/// That the terminal reads single keys.
#[cfg(unix)]
struct Mode;

#[cfg(unix)]
impl Mode {
    fn single_keys() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let mut before = MODE_BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = tcgetattr(io::stdin()).ok()?;
        *before = Some(now.clone());
        // Ctrl-C, Ctrl-Z and Ctrl-\ stay what they are.
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &now).ok()?;
        Some(Self)
    }

    fn restore() {
        use rustix::termios::{OptionalActions, tcsetattr};
        let before = MODE_BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(unix)]
impl Drop for Mode {
    fn drop(&mut self) {
        Self::restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_says_that_it_can_is_shown_more_than_ascii() {
        let cases = [
            (false, Some("C.UTF-8"), Some("xterm"), Letters::Unicode),
            (false, Some("de_DE.utf8"), None, Letters::Unicode),
            (true, Some("C.UTF-8"), Some("xterm"), Letters::Ascii),
            (false, Some("C"), Some("xterm"), Letters::Ascii),
            (false, None, Some("xterm"), Letters::Ascii),
            (false, Some("C.UTF-8"), Some("linux"), Letters::Ascii),
            (false, Some("C.UTF-8"), Some("dumb"), Letters::Ascii),
        ];
        for (ascii, locale, terminal, letters) in cases {
            assert_eq!(can_show(ascii, locale, terminal), letters, "{locale:?} {terminal:?}");
        }
    }

    /// Runs itself in a terminal, since the one of the tests is none.
    #[cfg(unix)]
    #[test]
    fn whoever_panics_gives_the_terminal_back_and_nothing_is_drawn_on_it_any_more() {
        const WHO: &str = "CHORD_TEST_WHO_PANICS";
        const TEST: &str = "cli::terminal::tests::whoever_panics_gives_the_terminal_back_and_nothing_is_drawn_on_it_any_more";
        if let Some(who) = std::env::var_os(WHO) {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            return runtime.block_on(async move {
                let mut screen = Screen::enter().unwrap();
                screen.show("drawn").unwrap();
                assert_ne!(who, "main", "on purpose");
                tokio::spawn(async { panic!("on purpose") }).await.unwrap_err();
                let error = screen.show("drawn again").unwrap_err();
                println!("it says: {error}");
            });
        }
        let program = std::env::current_exe().unwrap();
        for who in ["main", "another"] {
            let line = format!("{} --exact {TEST} --nocapture; stty -a", program.display());
            let mut terminal = std::process::Command::new("script");
            terminal.args(["-qfec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env(WHO, who);
            let said = terminal.stdin(std::process::Stdio::null()).output().unwrap().stdout;
            let said = String::from_utf8_lossy(&said);
            let place = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what:?} is not in {said:?}"));
            assert!(place(ENTER) < place("drawn") && place("drawn") < place(LEAVE), "{said:?}");
            assert!(place(LEAVE) < place("on purpose"), "the panic is told on the first screen: {said:?}");
            assert_eq!((said.matches(ENTER).count(), said.matches(LEAVE).count()), (1, 1), "{said:?}");
            assert!(!said.contains("drawn again") && !said.contains("-icanon"), "{said:?}");
            assert_eq!(said.contains("it says: a part of the program broke"), who == "another", "{said:?}");
        }
    }

    #[test]
    fn without_colours_lines_are_still_cleared() {
        let text = format!("\x1b[1ma\x1b[0m{REST_OF_LINE}\r\nb");
        assert_eq!(strip_styles(&text), format!("a{REST_OF_LINE}\r\nb"));
    }
}
