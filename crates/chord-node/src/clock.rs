//! The clock on the wall, as far as one node can tell that it is wrong. Versions of writes are made by it.

use std::sync::Mutex;
use std::time::Duration;

use chord_kv::CLOCK_AHEAD_MS_MAX;
use chord_ring::NodeName;
use tokio::time::Instant;

use crate::links::lock;

/// The first moment of 2026, before which there was no node, and of 2126, in milliseconds since 1970.
const FIRST_MS: u64 = 1_767_225_600_000;
const LAST_MS: u64 = 4_922_899_200_000;

/// How often it is said at most that clocks differ.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What helps.
const SET_IT: &str = "set the clock, as by chrony or systemd-timesyncd, and start the node again";

/// Says in the log if the clock cannot be right.
pub(crate) fn check_clock(node: &NodeName, now_ms: u64) {
    if let Some(sentence) = impossible(now_ms) {
        tracing::error!(event = "clock-wrong", %node, "{sentence}");
    }
}

/// Why the clock cannot be right.
fn impossible(now_ms: u64) -> Option<String> {
    let what = match now_ms {
        ..FIRST_MS => "before 2026, when there was no such program",
        LAST_MS.. => "after 2125",
        FIRST_MS..LAST_MS => return None,
    };
    Some(format!(
        "the clock of this machine shows a time {what}: what is written here would count as far older or newer than what others write; {SET_IT}"
    ))
}

/// That the clocks of two nodes differ, said now and then.
#[derive(Debug, Default)]
pub(crate) struct Differences(Mutex<Option<Instant>>);

impl Differences {
    /// The owner of a key finds that this node's clock is so far ahead of its own.
    pub(crate) fn tell(&self, node: &NodeName, owner: &NodeName, ahead_ms: u64) {
        if self.is_due(Instant::now()) {
            let seconds = ahead_ms / 1000;
            tracing::warn!(
                event = "clocks-differ",
                %node,
                peer = %owner,
                "the clock of this node is {seconds} s ahead of that of {owner}, where {} are allowed; one of the two is wrong: compare both with a third, and set that which is by chrony or systemd-timesyncd",
                CLOCK_AHEAD_MS_MAX / 1000
            );
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut said_at = lock(&self.0);
        let is_due = said_at.is_none_or(|said_at| now - said_at >= SAID_EVERY);
        if is_due {
            *said_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 31_556_952_000;

    #[test]
    fn a_clock_that_nobody_has_set_is_told_from_one_that_is_right() {
        for (now_ms, begins) in [(0, "before 2026"), (FIRST_MS - 1, "before 2026"), (LAST_MS, "after 2125")] {
            let sentence = impossible(now_ms).unwrap();
            assert!(sentence.contains(begins) && sentence.contains("set the clock"), "{sentence}");
        }
        for now_ms in [FIRST_MS, LAST_MS - 1, crate::age::now_ms()] {
            assert_eq!(impossible(now_ms), None, "{now_ms}");
        }
        assert_eq!(
            (FIRST_MS / YEAR_MS, LAST_MS / YEAR_MS),
            (2026 - 1970, 2126 - 1970),
            "as the sentences say"
        );
    }

    #[test]
    fn clocks_that_differ_are_told_of_once_a_minute() {
        let (differences, begin) = (Differences::default(), Instant::now());
        let due: Vec<u64> =
            (0..150).filter(|second| differences.is_due(begin + Duration::from_secs(*second))).collect();
        assert_eq!(due, [0, 60, 120]);
    }
}
