//! Writing the parts of a message, of which everything else is made.

use chord_ring::Position;

use super::part::Wire;

/// Room that is there from the start: enough for a message without records.
const ROOM_BYTES: usize = 256;

/// A message that is being written.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(ROOM_BYTES))
    }

    /// Writes behind what is there; [`Writer::into_bytes`] gives all of it back.
    pub(crate) fn behind(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// That many more bytes will come, more or less.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    /// Bytes whose number the reader knows.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A number of 64 bits, in eight bytes: for those that are large as a rule.
    pub(crate) fn number(&mut self, number: u64) {
        self.fixed(&number.to_be_bytes());
    }

    /// A number in as few bytes as it needs, seven bits in each, the lowest first: for those that are small as a rule.
    pub(crate) fn count(&mut self, count: u64) {
        let mut rest = count;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.byte(low & 0x7f);
            }
            self.byte(low | 0x80);
        }
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.count(length as u64);
    }

    /// Bytes, and before them how many there are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.fixed(bytes);
    }

    /// A position without the zeros in front, and before it how many bytes that are.
    pub(crate) fn position(&mut self, position: Position) {
        let bytes = position.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        self.length(bytes.len() - zeros);
        self.fixed(bytes.split_at(zeros).1);
    }

    pub(crate) fn list<T: Wire>(&mut self, list: &[T]) {
        self.length(list.len());
        for item in list {
            item.write(self);
        }
    }
}
