//! A collector: takes requests on a port, and answers as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks whether somebody connects.
const PAUSE: Duration = Duration::from_millis(5);

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes what comes.
    Well,
    /// With that status, and this line among the headers.
    Refuses(u16, &'static str),
    /// That everything is well, and that it did not take all.
    TakesAPart,
    /// Nothing, for as long as it lives.
    Hangs,
    /// Nothing, and it hangs up at once, as if nobody were there.
    Gone,
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

struct State {
    mood: Mutex<Mood>,
    taken: Mutex<Vec<Taken>>,
    /// Those that were answered in another way, or not.
    refused: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// One collector. Its port is free again when it is dropped.
pub(crate) struct Collector {
    port: u16,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

impl Collector {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        listener.set_nonblocking(true).expect("it is a socket");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(State {
            mood: Mutex::new(mood),
            taken: Mutex::default(),
            refused: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let shared = state.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &shared));
        Self { port, state, accepting: Some(accepting) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *lock(&self.state.mood) = mood;
    }

    /// The bodies of all requests to that path that were taken.
    pub(crate) fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        self.taken().into_iter().filter(|taken| taken.path == path).map(|taken| taken.body).collect()
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        lock(&self.state.taken).clone()
    }

    /// The paths of those that were not.
    pub(crate) fn refused(&self) -> Vec<String> {
        lock(&self.state.refused).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    while !state.is_over.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let state = state.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn serve(mut stream: TcpStream, state: &State) {
    stream.set_nonblocking(false).expect("it is a socket");
    if *lock(&state.mood) == Mood::Gone {
        return;
    }
    // Whoever sends nothing more has been killed.
    let Some(taken) = read(&stream) else { return };
    let mood = *lock(&state.mood);
    let (status, header, body) = match mood {
        Mood::Well => (200, "", Vec::new()),
        // ExportLogsServiceResponse { partial_success: { rejected_log_records: 1, error_message: "odd" } }
        Mood::TakesAPart => (200, "", vec![10, 7, 8, 1, 18, 3, b'o', b'd', b'd']),
        Mood::Refuses(status, header) => (status, header, b"no".to_vec()),
        // It went while it read.
        Mood::Gone => return,
        Mood::Hangs => {
            lock(&state.refused).push(taken.path);
            while !state.is_over.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
            }
            return;
        }
    };
    if status == 200 {
        lock(&state.taken).push(taken);
    } else {
        lock(&state.refused).push(taken.path);
    }
    let head = format!("HTTP/1.1 {status} X\r\n{header}Content-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

fn read(stream: &TcpStream) -> Option<Taken> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let path = head.strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split('\r').next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Taken { path, head, body })
}
