//! Intervals of the circle, clockwise from their first end to their second.
//!
//! Only the order of positions matters here, not the size of the ring.

use crate::Position;

/// Whether `x` lies strictly between `from` and `to`, clockwise: in (from, to).
///
/// With equal ends the interval is the whole circle but its one end: `between(a, x, a)` is true for
/// every `x` other than `a` (TSE 2017, sections III-A and VI-A).
pub fn between(from: Position, x: Position, to: Position) -> bool {
    if from < to { from < x && x < to } else { from < x || x < to }
}

/// Whether `x` lies in (from, to]: after `from`, up to and with `to`, clockwise.
///
/// This is the range that a node at `to` owns when its predecessor is at `from`. With equal ends it is
/// the whole circle: a node that is its own predecessor owns everything.
pub fn owned(from: Position, x: Position, to: Position) -> bool {
    x == to || between(from, x, to)
}
