//! What the process uses, as Linux tells it; nothing elsewhere.

use std::fs;

use chord_wire::rest::ProcessBody;

/// Ticks a second of the times in `/proc`: Linux tells them in this unit on every machine.
const TICKS_PER_S: f64 = 100.0;

/// What the process uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(super) usage: Option<Usage>,
    pub(super) files: Option<u64>,
    /// When it was started, in seconds since 1970.
    pub(super) started_s: Option<f64>,
}

/// CPU and memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: u64,
    /// The most that it has had.
    pub(super) peak_bytes: u64,
}

impl Process {
    /// Reads it: files that are in memory, but many where many connections are open.
    pub(crate) fn read() -> Self {
        // One of them is the folder itself.
        let files = fs::read_dir("/proc/self/fd").ok().map(|folder| folder.count().saturating_sub(1) as u64);
        let started = |stat: String| Some(started_after_boot_s(&stat)? + boot_s(&read("/proc/stat")?)?);
        Self { usage: Usage::read(), files, started_s: read("/proc/self/stat").and_then(started) }
    }
}

impl Usage {
    /// Reads it: two short files that are in memory.
    pub(crate) fn read() -> Option<Self> {
        let status = read("/proc/self/status")?;
        let (memory_bytes, peak_bytes) = (bytes_of("VmRSS:", &status)?, bytes_of("VmHWM:", &status)?);
        Some(Self { cpu_s: cpu_s(&read("/proc/self/stat")?)?, memory_bytes, peak_bytes })
    }
}

impl From<Usage> for ProcessBody {
    fn from(usage: Usage) -> Self {
        Self { cpu_seconds: usage.cpu_s, resident_bytes: usage.memory_bytes }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn bytes_of(what: &str, status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The fields behind the name, which may have blanks and brackets in it.
fn fields(stat: &str) -> Option<Vec<&str>> {
    let (_, behind) = stat.rsplit_once(')')?;
    Some(behind.split_ascii_whitespace().collect())
}

/// User and system time.
fn cpu_s(stat: &str) -> Option<f64> {
    let fields = fields(stat)?;
    let user: u32 = fields.get(11)?.parse().ok()?;
    let system: u32 = fields.get(12)?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_S)
}

fn started_after_boot_s(stat: &str) -> Option<f64> {
    let ticks: f64 = fields(stat)?.get(19)?.parse().ok()?;
    Some(ticks / TICKS_PER_S)
}

/// When the machine was started, in seconds since 1970.
fn boot_s(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b ) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 150 1 1";
        assert_eq!(cpu_s(stat), Some(3.0));
        assert_eq!(started_after_boot_s(stat), Some(1.5));
        assert_eq!(boot_s("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000.0));
        assert_eq!(bytes_of("VmRSS:", "Name:\tx\nVmHWM:\t 13 kB\nVmRSS:\t    12 kB\n"), Some(12 << 10));
        assert_eq!((cpu_s("nonsense"), bytes_of("VmRSS:", "")), (None, None));
        assert_eq!((started_after_boot_s("7 (a) S"), boot_s("")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_was_started_a_moment_ago_and_uses_something() {
        let Process { usage, files, started_s } = Process::read();
        assert!(usage.is_some_and(|usage| usage.memory_bytes > 1 << 20 && usage.cpu_s < 3600.0));
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        // The machine tells when it was started in whole seconds.
        assert!(files > Some(0) && started_s.is_some_and(|at| at < now + 2.0 && at > now - 3600.0));
    }
}
