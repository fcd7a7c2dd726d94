//! Messages in the encoding of Protocol Buffers, as far as OTLP needs it: fields that are written one after the other.

/// What a field's number is followed by.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

/// A message, as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// What was written, as it is sent.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A number of few bits, or a choice.
    pub(super) fn varint(mut self, field: u8, number: u64) -> Self {
        self.tag(field, Wire::Varint);
        self.raw_varint(number);
        self
    }

    pub(super) fn fixed64(mut self, field: u8, number: u64) -> Self {
        self.tag(field, Wire::Fixed64);
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn double(self, field: u8, number: f64) -> Self {
        self.fixed64(field, number.to_bits())
    }

    pub(super) fn text(self, field: u8, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A message in this one.
    pub(super) fn inner(self, field: u8, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// A message in this one that was written before.
    pub(super) fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.tag(field, Wire::Bytes);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Numbers in one field, packed.
    pub(super) fn packed(mut self, field: u8, numbers: impl ExactSizeIterator<Item = u64>) -> Self {
        self.tag(field, Wire::Bytes);
        self.raw_varint(8 * numbers.len() as u64);
        numbers.for_each(|number| self.0.extend(number.to_le_bytes()));
        self
    }

    fn tag(&mut self, field: u8, wire: Wire) {
        self.raw_varint(u64::from(field) << 3 | wire as u64);
    }

    fn raw_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }
}

/// What is in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Eight bytes, or four.
    Fixed,
}

/// The fields of a message that came from elsewhere, up to its end or to what is none.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Content<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, content))
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_encoding_has_them() {
        // The examples of the encoding's documentation: 150, "testing", and a message within one.
        assert_eq!(Message::new().varint(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let testing = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(Message::new().text(2, "testing").into_bytes(), testing);
        let inner = Message::new().inner(3, &Message::new().varint(1, 150));
        assert_eq!(inner.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let doubles = Message::new().double(1, 1.0).into_bytes();
        assert_eq!(doubles, [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        let packed = Message::new().packed(6, [1, 0x0102].into_iter()).into_bytes();
        assert_eq!(packed, [0x32, 16, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::new().varint(16, u64::MAX).into_bytes().len(), 2 + 10);
    }

    #[test]
    fn what_is_no_message_ends_and_nothing_breaks() {
        let whole = Message::new().varint(1, 150).text(2, "testing").fixed64(3, 7).into_bytes();
        let read: Vec<_> = Fields(&whole).collect();
        let expected = [(1, Content::Varint(150)), (2, Content::Bytes(b"testing")), (3, Content::Fixed)];
        assert_eq!(read, expected);
        for end in 0..whole.len() {
            assert!(Fields(&whole[..end]).count() < 3);
        }
        for hostile in
            [&[0xff; 11][..], &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0x0b]]
        {
            assert_eq!(Fields(hostile).count(), 0);
        }
    }
}
