//! The states of a ring that were met, each once, in the order in which they were.
//!
//! They are what fills the memory: 2 bytes a position, 4 for the way that led to each, and some 8 to find it again. All of
//! it is kept, and not a hash of it, so that no two states are ever taken for one.

use super::global::Global;

/// No state.
const NONE: u32 = u32::MAX;

/// An odd number without pattern: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Places of the index at the beginning; a power of two.
const INDEX_LEN_FIRST: usize = 1 << 12;

/// The index is at most this full, in quarters. Fuller, the way to a state along those of the same place is long.
const INDEX_QUARTERS_MAX: usize = 3;

/// States by number, numbers by state, and from which other each was met first.
pub(super) struct Store {
    n_positions: usize,
    locals: Numbers,
    parents: Vec<u32>,
    /// Numbers at the hash of their state or after.
    index: Vec<u32>,
    /// A part of that hash for each of them, so that few other states are looked at on the way to one: they are far apart
    /// in memory.
    tags: Vec<u8>,
}

/// Where a state belongs in the index.
#[derive(Clone, Copy)]
struct Home {
    place: usize,
    tag: u8,
}

impl Store {
    pub(super) fn new(n_positions: usize) -> Self {
        Self {
            n_positions,
            locals: Numbers::default(),
            parents: Vec::new(),
            index: vec![NONE; INDEX_LEN_FIRST],
            tags: vec![0; INDEX_LEN_FIRST],
        }
    }

    /// The number of this state, which may be new.
    ///
    /// # Panics
    /// There are 2^32 - 1 others.
    pub(super) fn number(&mut self, state: &Global, parent: Option<u32>) -> u32 {
        let free = match self.find(state) {
            Ok(number) => return number,
            Err(free) => free,
        };
        let number = u32::try_from(self.len()).ok().filter(|number| *number != NONE);
        let number = number.expect("fewer than 2^32 states fit into memory");
        (self.index[free.place], self.tags[free.place]) = (number, free.tag);
        self.locals.extend(state.places());
        self.parents.push(parent.unwrap_or(NONE));
        if self.len() * 4 > self.index.len() * INDEX_QUARTERS_MAX {
            self.grow();
        }
        number
    }

    /// The number of a state that was met.
    ///
    /// # Panics
    /// It was not.
    pub(super) fn number_of(&self, state: &Global) -> u32 {
        self.find(state).ok().expect("who goes on from a state that was met comes to states that were met")
    }

    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(super) fn state(&self, number: u32) -> Global {
        let mut state = Global::empty(self.n_positions);
        let begin = number as usize * self.n_positions;
        for at in 0..self.n_positions {
            state.put(at, self.locals.at(begin + at));
        }
        state
    }

    /// The states that led to this one, the first of all first, itself last.
    pub(super) fn way_to(&self, number: u32) -> Vec<u32> {
        let mut way = vec![number];
        let mut at = number;
        while self.parents[at as usize] != NONE {
            at = self.parents[at as usize];
            way.push(at);
        }
        way.reverse();
        way
    }

    /// Memory taken, in bytes. Room that was never used takes none.
    pub(super) fn bytes(&self) -> usize {
        self.locals.bytes() + (self.parents.len() + self.index.len()) * size_of::<u32>() + self.tags.len()
    }

    /// The number of this state, or its place in the index if it is new.
    fn find(&self, state: &Global) -> Result<u32, Home> {
        let mut home = self.home(state);
        loop {
            match self.index[home.place] {
                NONE => return Err(home),
                number if self.tags[home.place] == home.tag && self.is(number, state) => return Ok(number),
                _ => home.place = (home.place + 1) & (self.index.len() - 1),
            }
        }
    }

    fn is(&self, number: u32, state: &Global) -> bool {
        let begin = number as usize * self.n_positions;
        self.locals.are(begin, state.places())
    }

    fn home(&self, state: &Global) -> Home {
        let mut hash = 0_u64;
        for local in state.places() {
            hash = (hash.rotate_left(5) ^ u64::from(*local)).wrapping_mul(SPREAD);
        }
        // The high bits of a product depend on all bits of its factors.
        let n_bits = self.index.len().ilog2();
        let place =
            usize::try_from(hash >> (u64::BITS - n_bits)).expect("it is below the length of the index");
        let [.., tag] = (hash << n_bits).to_le_bytes();
        Home { place, tag }
    }

    fn grow(&mut self) {
        let longer = self.index.len() * 2;
        // Before the new ones are there: all of them together would be half as much again.
        (self.index, self.tags) = (Vec::new(), Vec::new());
        (self.index, self.tags) = (vec![NONE; longer], vec![0; longer]);
        for number in 0..self.len() {
            let number = u32::try_from(number).expect("it was given before");
            let mut home = self.home(&self.state(number));
            while self.index[home.place] != NONE {
                home.place = (home.place + 1) & (self.index.len() - 1);
            }
            (self.index[home.place], self.tags[home.place]) = (number, home.tag);
        }
    }
}

/// Numbers of local states, in 2 bytes each while they are small enough, else in 3.
#[derive(Default)]
struct Numbers {
    low: Vec<u16>,
    /// Empty while all are 0.
    high: Vec<u8>,
}

impl Numbers {
    fn extend(&mut self, numbers: &[u32]) {
        let is_wide = !self.high.is_empty() || numbers.iter().any(|number| *number > u16::MAX.into());
        if is_wide {
            self.high.resize(self.low.len(), 0);
            self.high.extend(numbers.iter().map(|number| {
                u8::try_from(number >> u16::BITS).expect("there are fewer than 2^24 states of one position")
            }));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the rest is in `high`")]
        self.low.extend(numbers.iter().map(|number| *number as u16));
    }

    fn at(&self, idx: usize) -> u32 {
        let high = self.high.get(idx).copied().unwrap_or(0);
        u32::from(self.low[idx]) | u32::from(high) << u16::BITS
    }

    /// Whether those from `begin` on are these. They are too few to be worth a call that compares memory.
    fn are(&self, begin: usize, numbers: &[u32]) -> bool {
        numbers.iter().enumerate().all(|(at, number)| self.at(begin + at) == *number)
    }

    fn bytes(&self) -> usize {
        self.low.len() * size_of::<u16>() + self.high.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_again_when_numbers_have_become_wide() {
        let mut store = Store::new(2);
        let far = u32::from(u16::MAX) + 1;
        let states: Vec<Global> = [[0, 1], [1, 0], [far, 1], [0, far], [0, 1 + far]]
            .iter()
            .map(|places| Global::of(places))
            .collect();
        for (number, state) in states.iter().enumerate() {
            assert_eq!(store.number(state, None) as usize, number);
        }
        for (number, state) in (0..).zip(&states) {
            assert_eq!((store.number_of(state), store.state(number)), (number, *state));
        }
        assert_eq!(store.len(), states.len());
    }
}
