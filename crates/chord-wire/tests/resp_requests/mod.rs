//! Requests of Redis clients: how they are written, and what a parser makes of bytes that come in pieces.

use chord_wire::resp::{ProtocolError, RequestLimits, RequestParser};

/// A command and its arguments.
pub(crate) type Words = Vec<Vec<u8>>;

/// Every request that was read, and the error that ended it.
pub(crate) type Read = (Vec<Words>, Option<ProtocolError>);

/// As an array of bulk strings.
pub(crate) fn array(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// As a line, with every word in double quotes.
pub(crate) fn line(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.push(b'"');
        for byte in word {
            match byte {
                b'"' | b'\\' => bytes.extend([b'\\', *byte]),
                b'\n' => bytes.extend(b"\\n"),
                b' '..=b'~' => bytes.push(*byte),
                other => bytes.extend(format!("\\x{other:02x}").into_bytes()),
            }
        }
        bytes.extend(b"\" ");
    }
    bytes.extend(b"\r\n");
    bytes
}

/// What comes of these pieces, one after the other.
pub(crate) fn read<'a>(limits: RequestLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut parser = RequestParser::new(limits);
    let mut requests = Vec::new();
    for piece in pieces {
        parser.feed(piece);
        if let Err(error) = drain(&mut parser, &mut requests) {
            assert_eq!(parser.next_request().err(), Some(error), "nothing follows an error");
            return (requests, Some(error));
        }
    }
    (requests, None)
}

/// Takes all requests that are there.
pub(crate) fn drain(parser: &mut RequestParser, to: &mut Vec<Words>) -> Result<(), ProtocolError> {
    while let Some(request) = parser.next_request()? {
        let words: Words = request.all().map(<[u8]>::to_vec).collect();
        assert_eq!(request.command(), words[0]);
        assert!(request.args().eq(words[1..].iter().map(|word| &word[..])));
        to.push(words);
    }
    Ok(())
}
