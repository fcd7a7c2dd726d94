//! The machine that the tests run on: its ports, its load, what Linux tells about a process.

use std::io;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Tests that assert times hold this alone; all others share it.
static MACHINE: RwLock<()> = RwLock::new(());

/// This test may run beside others.
pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// This test asserts how long things take, so no other test of this binary runs meanwhile.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Ports that are handed out: below those that Linux gives to outgoing connections, so that none of these takes one
/// between its choice and its use.
const PORT_FIRST: u16 = 10_000;
const N_PORTS: u16 = 20_000;

/// Held while a process begins: until then it has whatever is open here, also the sockets by which ports are tried.
static BEGINNING: Mutex<()> = Mutex::new(());

/// Begins a process while no port is tried.
pub(crate) fn begin(command: &mut Command) -> io::Result<Child> {
    let _alone = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// A loopback port that nobody listens on, another one at each call.
#[track_caller]
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` consecutive loopback ports that nobody listens on.
#[track_caller]
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _alone = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
    // Test processes that run at the same time begin at different places.
    let begin =
        u16::try_from(std::process::id() % u32::from(N_PORTS / 100)).expect("below the number of ports");
    for _ in 0..N_PORTS {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed).wrapping_add(begin * 100);
        let first = PORT_FIRST + offset % (N_PORTS - count);
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports in a row")
}

/// Resident memory of a process in kilobytes.
pub(crate) fn resident_kb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells VmRSS");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("VmRSS is a number")
}

/// How long a process has been on a processor since it started, all threads together.
pub(crate) fn processor_time(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let of_task = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.filter_map(Result::ok).map(of_task).sum())
}

/// Something, if every thread of a process was stopped by a signal: the signal itself says nothing about when.
pub(crate) fn is_stopped(process: u32) -> Option<()> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let is_stopped = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The state follows the name, which may hold anything.
        text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    };
    tasks.filter_map(Result::ok).all(is_stopped).then_some(())
}

/// How many files, sockets included, this process and its children may open.
pub(crate) fn files_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(256)
}
