//! Percent encoding: any bytes as part of a path.

/// A `%` without two hexadecimal digits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a % is followed by two hexadecimal digits; the % itself is written %25")]
pub struct BadPercent;

/// The bytes that are written so. What is not encoded stands for itself, a plus sign too.
///
/// # Errors
/// A `%` is not followed by two hexadecimal digits.
pub fn percent_decode(text: &[u8]) -> Result<Vec<u8>, BadPercent> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'%', high, low, after @ ..] => {
                let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                bytes.push(byte.ok_or(BadPercent)?);
                rest = after;
            }
            [b'%', ..] => return Err(BadPercent),
            [plain, after @ ..] => {
                bytes.push(*plain);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The bytes as part of a path: all but letters, digits, `-`, `.`, `_` and `~` are encoded, and so is all of `.` and `..`,
/// which clients take for steps in a path.
pub fn percent_encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let is_step = matches!(bytes, b"." | b"..");
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if is_plain && !is_step {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes every character");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_encoded_wrongly_is_refused() {
        for wrong in ["%", "%4", "a%", "%4g", "%g4", "%%41", "%+1", "%-1", "% 1", "%ü"] {
            assert_eq!(percent_decode(wrong.as_bytes()), Err(BadPercent), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_encoded_stands_for_itself() {
        let cases: [(&str, &[u8]); 6] = [
            ("", b""),
            ("a+b", b"a+b"),
            ("a/b", b"a/b"),
            ("%2f%2F", b"//"),
            ("%00%ff", b"\0\xff"),
            ("%2525", b"%25"),
        ];
        for (text, bytes) in cases {
            assert_eq!(percent_decode(text.as_bytes()).as_deref(), Ok(bytes), "{text}");
        }
        assert_eq!(percent_encode("a/ü~".as_bytes()), "a%2F%C3%BC~");
        assert_eq!([percent_encode(b".."), percent_encode(b"a.b")], ["%2E%2E", "a.b"]);
    }

    proptest! {
        #[test]
        fn any_bytes_survive(bytes: Vec<u8>) {
            let text = percent_encode(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(percent_decode(text.as_bytes()), Ok(bytes));
        }

        #[test]
        fn any_text_is_decoded_or_refused(text: Vec<u8>) {
            if let Ok(bytes) = percent_decode(&text) {
                prop_assert!(bytes.len() <= text.len());
                prop_assert_eq!(percent_decode(percent_encode(&bytes).as_bytes()), Ok(bytes));
            }
        }
    }
}
