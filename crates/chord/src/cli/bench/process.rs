//! What a process uses, as /proc tells it (proc(5)).

use std::fs;
use std::time::Instant;

use serde::Serialize;

/// Ticks of /proc/PID/stat in a second: `USER_HZ`, which is 100 on every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used until one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) node: String,
    pub(super) pid: u32,
    at: Instant,
    resident_kib: u64,
    cpu_ticks: u64,
}

/// What a process used between two moments.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Usage {
    pub(super) node: String,
    pub(super) pid: u32,
    /// At the second moment.
    pub(super) resident_mib: f64,
    pub(super) cpu_seconds: f64,
    /// Of one core.
    pub(super) cpu_percent: f64,
}

impl Sample {
    /// `None` where there is no such process, or no /proc.
    pub(super) fn take(node: &str, pid: u32) -> Option<Self> {
        let at = Instant::now();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (resident_kib, cpu_ticks) = (resident_kib(&status)?, cpu_ticks(&stat)?);
        Some(Self { node: node.to_owned(), pid, at, resident_kib, cpu_ticks })
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        self.resident_kib * 1024
    }
}

/// What this process has used: a list of one, or of none where there is no /proc.
pub(super) fn own_sample() -> Vec<Sample> {
    Sample::take("load generator", std::process::id()).into_iter().collect()
}

/// What each process of both lists used between them.
pub(super) fn usage(before: &[Sample], after: &[Sample]) -> Vec<Usage> {
    let pairs = after.iter().filter_map(|now| {
        let then = before.iter().find(|then| then.pid == now.pid)?;
        Some(Usage::between(then, now))
    });
    pairs.collect()
}

impl Usage {
    #[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
    fn between(then: &Sample, now: &Sample) -> Self {
        let cpu_seconds = now.cpu_ticks.saturating_sub(then.cpu_ticks) as f64 / TICKS_PER_SECOND as f64;
        let elapsed = now.at.duration_since(then.at).as_secs_f64();
        Self {
            node: now.node.clone(),
            pid: now.pid,
            resident_mib: mib(now.resident_kib),
            cpu_seconds,
            cpu_percent: if elapsed > 0.0 { round(cpu_seconds / elapsed * 100.0) } else { 0.0 },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people, far below 2^52")]
fn mib(kib: u64) -> f64 {
    round(kib as f64 / 1024.0)
}

/// Two digits behind the point.
pub(super) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time: the 14th and 15th fields. The 2nd may hold spaces and ends with the last
/// parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 3 0 99 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t   10240 kB\nThreads:\t1\n"), Some(10240));
        assert_eq!(cpu_ticks("7 (a"), None);
        assert_eq!(resident_kib(""), None);
    }

    #[test]
    fn usage_is_a_difference() {
        let now = Instant::now();
        let sample =
            |at, cpu_ticks| Sample { node: "n".to_owned(), pid: 1, at, resident_kib: 2048, cpu_ticks };
        let later = now + std::time::Duration::from_secs(10);
        let [used] = <[Usage; 1]>::try_from(usage(&[sample(now, 100)], &[sample(later, 150)])).unwrap();
        assert_eq!((used.resident_mib, used.cpu_seconds, used.cpu_percent), (2.0, 0.5, 5.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_be_sampled() {
        assert!(Sample::take("me", std::process::id()).is_some_and(|sample| sample.resident_kib > 0));
    }
}
