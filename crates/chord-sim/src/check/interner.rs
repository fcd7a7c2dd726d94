//! Values that are kept once and known by a number.

use std::hash::Hash;
use std::rc::Rc;

use rustc_hash::FxHashMap;

/// Equal values have equal numbers, given in the order of their first appearance.
#[derive(Debug)]
pub(super) struct Interner<T> {
    values: Vec<Rc<T>>,
    numbers: FxHashMap<Rc<T>, u32>,
}

impl<T: Eq + Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), numbers: FxHashMap::default() }
    }

    /// The number of this value.
    ///
    /// # Panics
    /// There are 2^32 others.
    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("fewer than 2^32 values fit into memory");
        let value = Rc::new(value);
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    /// The value of this number.
    pub(super) fn value(&self, number: u32) -> &Rc<T> {
        &self.values[number as usize]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
