//! The numbers that counts and lengths are, as they come and as they are written.

/// Digits of a number that is read in one go, at most: more would have to be looked at for whether they fit into 64 bits.
const SHORT_DIGITS_MAX: usize = 9;

/// A line that is no number, or one of more than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDecimal;

/// A number that comes byte by byte and ends with its line. As Redis takes it: with no sign but a minus, no zero in front,
/// no blank.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decimal {
    is_negative: bool,
    /// None until the first digit.
    value: Option<i64>,
    has_return: bool,
}

impl Decimal {
    /// Takes what has come of it: how many bytes that is, and the number, if its line ends with them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<i64>), NotDecimal> {
        let is_new = self.value.is_none() && !self.is_negative;
        if is_new && let Some((n_bytes, number)) = short_line(bytes) {
            return Ok((n_bytes, Some(number)));
        }
        for (idx, byte) in bytes.iter().enumerate() {
            if let Some(number) = self.push(*byte)? {
                return Ok((idx + 1, Some(number)));
            }
        }
        Ok((bytes.len(), None))
    }

    /// Takes the next byte; the number, if its line ends with it.
    fn push(&mut self, byte: u8) -> Result<Option<i64>, NotDecimal> {
        match (byte, self.value) {
            (b'\n', value) if self.has_return => return Ok(value),
            _ if self.has_return => return Err(NotDecimal),
            (b'\r', Some(value)) if !(self.is_negative && value == 0) => self.has_return = true,
            (b'-', None) if !self.is_negative => self.is_negative = true,
            (b'0'..=b'9', Some(0)) => return Err(NotDecimal),
            (b'0'..=b'9', value) => self.value = Some(self.with_digit(value.unwrap_or(0), byte - b'0')?),
            _ => return Err(NotDecimal),
        }
        Ok(None)
    }

    fn with_digit(&self, value: i64, digit: u8) -> Result<i64, NotDecimal> {
        let digit = if self.is_negative { -i64::from(digit) } else { i64::from(digit) };
        value.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(NotDecimal)
    }
}

/// A line that has come as a whole and is a number of few digits, as nearly all are: how long it is, and the number.
fn short_line(bytes: &[u8]) -> Option<(usize, i64)> {
    let mut number = 0;
    for (idx, byte) in bytes.iter().enumerate().take(SHORT_DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' if idx == 0 || number > 0 => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if idx > 0 && bytes.get(idx + 1) == Some(&b'\n') => return Some((idx + 2, number)),
            _ => return None,
        }
    }
    None
}

/// Writes a number; nothing is allocated but room in `to`.
pub(super) fn push_decimal(to: &mut Vec<u8>, number: i64) {
    // As long as the longest, and a sign.
    let mut digits = [b'0'; 20];
    let mut n_digits = 0;
    let mut rest = number.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit is below 10");
        n_digits += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        to.push(b'-');
    }
    to.extend_from_slice(digits.get(digits.len() - n_digits..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<i64>, NotDecimal> {
        let mut decimal = Decimal::default();
        let byte_by_byte = line.bytes().try_fold(None, |_, byte| decimal.push(byte));
        let at_once = Decimal::default().read(line.as_bytes());
        assert_eq!(at_once.map(|(_, number)| number), byte_by_byte, "{line:?}");
        byte_by_byte
    }

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for number in [
            0,
            1,
            -1,
            9,
            10,
            19,
            100,
            -100,
            12_345,
            123_456_789,
            1_234_567_890,
            i64::MAX,
            i64::MIN,
            i64::MIN + 1,
        ] {
            let mut bytes = Vec::new();
            push_decimal(&mut bytes, number);
            assert_eq!(bytes, number.to_string().into_bytes());
            assert_eq!(read(&format!("{number}\r\n")), Ok(Some(number)));
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        let bad =
            ["\r\n", "-\r\n", "--1\r\n", "-0\r\n", "00\r\n", "01\r\n", "+1\r\n", " 1\r\n", "1 \r\n", "1x"];
        for line in bad.into_iter().chain(["1\n", "1\r1", "1\r\r", "0x1", "9223372036854775808", "1-"]) {
            assert_eq!(read(line), Err(NotDecimal), "{line:?}");
        }
        assert_eq!(read("12"), Ok(None));
        assert_eq!(read("12\r"), Ok(None));
        assert_eq!(read("-9223372036854775809"), Err(NotDecimal));
    }
}
