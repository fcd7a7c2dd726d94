//! A whole ring: what is at each of its positions.

use super::NODES_MAX;
use super::local::EMPTY;

/// The numbers of the local states, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Global {
    places: [u32; NODES_MAX],
    n_positions: usize,
}

impl Global {
    /// A ring where nothing is.
    pub(super) fn empty(n_positions: usize) -> Self {
        Self { places: [EMPTY; NODES_MAX], n_positions }
    }

    /// The ring of these local states.
    #[cfg(test)]
    pub(super) fn of(places: &[u32]) -> Self {
        let mut global = Self::empty(places.len());
        global.places[..places.len()].copy_from_slice(places);
        global
    }

    pub(super) fn len(&self) -> usize {
        self.n_positions
    }

    pub(super) fn places(&self) -> &[u32] {
        &self.places[..self.n_positions]
    }

    pub(super) fn at(&self, position: usize) -> u32 {
        self.places[position]
    }

    pub(super) fn put(&mut self, position: usize, local: u32) {
        self.places[position] = local;
    }

    /// The position `steps` on.
    pub(super) fn on(&self, position: usize, steps: usize) -> usize {
        (position + steps) % self.n_positions
    }

    /// What stands for this ring and all that are the same but turned, and by how many positions it is turned: what was
    /// at that position is at position 0 now.
    pub(super) fn canonical(&self) -> (Self, usize) {
        let n = self.n_positions;
        let mut best = 0;
        for turn in 1..n {
            let smaller = (0..n)
                .map(|at| self.places[(turn + at) % n].cmp(&self.places[(best + at) % n]))
                .find(|order| order.is_ne());
            if smaller.is_some_and(std::cmp::Ordering::is_lt) {
                best = turn;
            }
        }
        (self.turned(best), best)
    }

    /// The same ring, where what was at position `by` is at position 0.
    pub(super) fn turned(&self, by: usize) -> Self {
        let mut turned = *self;
        turned.places[..self.n_positions].rotate_left(by);
        turned
    }
}
