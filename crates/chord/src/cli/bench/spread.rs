//! How latencies are spread: how many of them lie where, in steps that grow with them.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::table::thousands;

/// Where the first step ends, in nanoseconds.
const FIRST_NS: u64 = 1_000;

/// How much longer each step is than the one before it.
const GROWTH: f64 = std::f64::consts::SQRT_2;

/// Longest bar, in characters.
const BAR_CHARS: u64 = 50;

/// How many latencies lie above the last step and up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Step {
    up_to_ms: f64,
    count: u64,
}

/// The steps, from the first to the last in which there are any.
pub(super) fn steps(latencies: &Histogram<u64>) -> Vec<Step> {
    #[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
    let step = |up_to_ns: u64, count| Step { up_to_ms: up_to_ns as f64 / 1e6, count };
    let steps = latencies.iter_log(FIRST_NS, GROWTH);
    let mut steps: Vec<Step> =
        steps.map(|step_| step(step_.value_iterated_to(), step_.count_since_last_iteration())).collect();
    while steps.last().is_some_and(|last| last.count == 0) {
        steps.pop();
    }
    let n_empty = steps.iter().take_while(|step| step.count == 0).count();
    steps.split_off(n_empty)
}

/// The steps as bars.
pub(super) fn bars(steps: &[Step]) -> String {
    let most = steps.iter().map(|step| step.count).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for Step { up_to_ms, count } in steps {
        let n_chars = usize::try_from((count * BAR_CHARS).div_ceil(most)).unwrap_or(0);
        let bar = "#".repeat(n_chars);
        let line = format!("{up_to_ms:>10.3} ms  {:>12}  {bar}", thousands(*count));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_is_in_the_step_that_ends_above_it() {
        let mut latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for (ns, count) in [(100_000, 5), (100_100, 5), (3_000_000, 1)] {
            latencies.record_n(ns, count).unwrap();
        }
        let steps = steps(&latencies);
        assert_eq!(steps.iter().map(|step| step.count).sum::<u64>(), 11);
        let (first, last) = (steps[0], steps[steps.len() - 1]);
        assert_eq!((first.count, last.count), (10, 1));
        assert!((0.1..0.142).contains(&first.up_to_ms) && (3.0..4.25).contains(&last.up_to_ms), "{steps:?}");
        let bars = bars(&steps);
        assert_eq!(bars.lines().count(), steps.len());
        assert_eq!(bars.lines().next().unwrap().matches('#').count(), 50);
        assert_eq!(bars.lines().last().unwrap().matches('#').count(), 5);
    }

    #[test]
    fn nothing_has_no_steps() {
        assert!(steps(&Histogram::new_with_bounds(1, 1000, 3).unwrap()).is_empty());
    }
}
