//! A request: a command and its arguments.

use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

/// A request. Its bytes lie where they arrived, so whoever wants to keep some copies those.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    bytes: &'a [u8],
    /// Where the arguments lie, and the command before them: there is one always.
    places: &'a [Range<usize>],
}

impl<'a> Request<'a> {
    pub(super) fn new(bytes: &'a [u8], places: &'a [Range<usize>]) -> Self {
        assert!(!places.is_empty(), "a request has a command");
        Self { bytes, places }
    }

    /// The command, as it was written.
    pub fn command(&self) -> &'a [u8] {
        self.all().next().unwrap_or_default()
    }

    /// What follows the command.
    pub fn args(&self) -> Args<'a> {
        let mut args = self.all();
        args.next();
        args
    }

    /// The arguments, if there are exactly so many of them.
    pub fn args_exactly<const N: usize>(&self) -> Option<[&'a [u8]; N]> {
        let mut args = self.args();
        (args.len() == N).then(|| std::array::from_fn(|_| args.next().unwrap_or_default()))
    }

    /// The command and the arguments.
    pub fn all(&self) -> Args<'a> {
        Args { bytes: self.bytes, places: self.places.iter() }
    }
}

/// Says how long its parts are, and never what they hold.
impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request of bytes ")?;
        f.debug_list().entries(self.all().map(<[u8]>::len)).finish()
    }
}

/// Arguments, one after the other.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    places: slice::Iter<'a, Range<usize>>,
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let place = self.places.next()?;
        Some(self.bytes.get(place.clone()).expect("the parser saw the argument there"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl ExactSizeIterator for Args<'_> {}
impl FusedIterator for Args<'_> {}
