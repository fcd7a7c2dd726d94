//! The states of a ring that were met, each once, in the order in which they were.

use super::global::Global;

/// No state.
const NONE: u32 = u32::MAX;

/// An odd number without pattern: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Places of the index at the beginning; a power of two.
const INDEX_LEN_FIRST: usize = 1 << 12;

/// States by number, numbers by state, and from which other each was met first.
pub(super) struct Store {
    n_positions: usize,
    words: Vec<u32>,
    parents: Vec<u32>,
    /// Numbers at the hash of their state or after; at most half full.
    index: Vec<u32>,
}

impl Store {
    pub(super) fn new(n_positions: usize) -> Self {
        Self { n_positions, words: Vec::new(), parents: Vec::new(), index: vec![NONE; INDEX_LEN_FIRST] }
    }

    /// The number of this state, which may be new.
    ///
    /// # Panics
    /// There are 2^32 - 1 others.
    pub(super) fn number(&mut self, state: &Global, parent: Option<u32>) -> u32 {
        let mut place = self.home(state.places());
        loop {
            match self.index[place] {
                NONE => break,
                number if self.is(number, state.places()) => return number,
                _ => place = (place + 1) & (self.index.len() - 1),
            }
        }
        let number = u32::try_from(self.len()).ok().filter(|number| *number != NONE);
        let number = number.expect("fewer than 2^32 states fit into memory");
        self.index[place] = number;
        self.words.extend_from_slice(state.places());
        self.parents.push(parent.unwrap_or(NONE));
        if self.len() * 2 > self.index.len() {
            self.grow();
        }
        number
    }

    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(super) fn state(&self, number: u32) -> Global {
        Global::of(self.words_of(number))
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

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        (self.words.capacity() + self.parents.capacity() + self.index.capacity()) * size_of::<u32>()
    }

    /// Whether these are the words of the state of that number. They are too few to be worth a call that compares memory.
    fn is(&self, number: u32, words: &[u32]) -> bool {
        self.words_of(number).iter().eq(words)
    }

    fn words_of(&self, number: u32) -> &[u32] {
        let begin = number as usize * self.n_positions;
        &self.words[begin..begin + self.n_positions]
    }

    fn home(&self, words: &[u32]) -> usize {
        let mut hash = 0_u64;
        for word in words {
            hash = (hash.rotate_left(5) ^ u64::from(*word)).wrapping_mul(SPREAD);
        }
        // The high bits of a product depend on all bits of its factors.
        let home = hash >> (u64::BITS - self.index.len().ilog2());
        usize::try_from(home).expect("it is below the length of the index")
    }

    fn grow(&mut self) {
        self.index = vec![NONE; self.index.len() * 2];
        for number in 0..self.len() {
            let number = u32::try_from(number).expect("it was given before");
            let mut place = self.home(self.words_of(number));
            while self.index[place] != NONE {
                place = (place + 1) & (self.index.len() - 1);
            }
            self.index[place] = number;
        }
    }
}
