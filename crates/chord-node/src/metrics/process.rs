//! What the process uses, as Linux tells it; nothing elsewhere.

use std::fs;

/// Ticks a second of the times in `/proc`: Linux tells them in this unit on every machine.
const TICKS_PER_S: f64 = 100.0;

/// What the process uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: u64,
    pub(super) files: u64,
}

impl Process {
    /// Reads it: files that are in memory, but many where many connections are open.
    pub(crate) fn read() -> Self {
        let memory = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_bytes(&status));
        let cpu = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_s(&stat));
        // One of them is the folder itself.
        let files = fs::read_dir("/proc/self/fd").map_or(0, |folder| folder.count().saturating_sub(1));
        Self { cpu_s: cpu.unwrap_or(0.0), memory_bytes: memory.unwrap_or(0), files: files as u64 }
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// User and system time: the 12th and 13th fields behind the name, which may have blanks and brackets in it.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b ) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_s(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    12 kB\n"), Some(12 << 10));
        assert_eq!((cpu_s("nonsense"), resident_bytes("")), (None, None));
    }
}
