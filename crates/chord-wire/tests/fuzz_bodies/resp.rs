//! Requests of Redis clients: however the bytes are cut, the same requests come of them, and those mean what they say.

use chord_wire::resp::{ProtocolError, RequestLimits, RequestParser};

/// Narrow enough for short inputs to reach them.
const NARROW: RequestLimits =
    RequestLimits { args_max: 4, bulk_bytes_max: 16, inline_bytes_max: 24, request_bytes_max: 64 };

type Words = Vec<Vec<u8>>;
type Read = (Vec<Words>, Option<ProtocolError>);

/// The first four bytes say where the others are cut.
pub(crate) fn check(bytes: &[u8]) {
    let Some(([a, b, c, d], bytes)) = bytes.split_first_chunk() else { return };
    let cuts = [[*a, *b], [*c, *d]].map(|cut| usize::from(u16::from_le_bytes(cut)) % (bytes.len() + 1));
    let (low, high) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
    let pieces = [&bytes[..low], &bytes[low..high], &bytes[high..]];
    for limits in [RequestLimits::default(), NARROW] {
        let whole = read(limits, [bytes]);
        assert_eq!(read(limits, pieces), whole);
        assert_eq!(read(limits, bytes.chunks(1)), whole);
        // What a line says may be too long for an array that is as narrow.
        let written = array(&whole.0);
        assert_eq!(read(RequestLimits::default(), [&written[..]]), (whole.0, None));
    }
}

fn read<'a>(limits: RequestLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut parser = RequestParser::new(limits);
    let (mut requests, mut n_bytes, mut n_pieces) = (Vec::new(), 0, 0);
    for piece in pieces {
        (n_bytes, n_pieces) = (n_bytes + piece.len(), n_pieces + 1);
        parser.feed(piece);
        loop {
            match parser.next_request() {
                Ok(Some(request)) => requests.push(request.all().map(<[u8]>::to_vec).collect()),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        assert!(parser.work() <= (2 * n_bytes + n_pieces) as u64, "a byte is looked at once, and moved once");
    }
    (requests, None)
}

fn array(requests: &[Words]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for words in requests {
        bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}
