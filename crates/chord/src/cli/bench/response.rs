//! HTTP/1.1 answers, as far as a load generator must understand them: status, length, whether the connection
//! stays.

use anyhow::{Context, bail};

/// Longest head of an answer.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;

/// Most header lines.
const HEADERS_MAX: usize = 100;

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Where the body begins.
    pub(super) bytes: usize,
    /// `None`: the body ends with the connection.
    pub(super) body_bytes: Option<usize>,
    pub(super) keep_alive: bool,
}

/// An answer that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<'a> {
    pub(super) head: Head,
    pub(super) body: &'a [u8],
    /// With its head.
    pub(super) n_bytes: usize,
}

/// The answer at the beginning of `bytes`; `None` while it is not whole. `is_all`: no more bytes will come.
pub(super) fn whole(bytes: &[u8], is_all: bool) -> anyhow::Result<Option<Whole<'_>>> {
    let Some(head) = head(bytes)? else { return Ok(None) };
    let n_bytes = match head.body_bytes {
        Some(body_bytes) => head.bytes.saturating_add(body_bytes),
        None if is_all => bytes.len(),
        None => return Ok(None),
    };
    Ok(bytes.get(head.bytes..n_bytes).map(|body| Whole { head, body, n_bytes }))
}

/// The head at the beginning of `bytes`; `None` while it is not complete.
pub(super) fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        if bytes.len() > HEAD_BYTES_MAX {
            bail!("the head of the answer has more than {HEAD_BYTES_MAX} bytes");
        }
        return Ok(None);
    };
    let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let mut lines = text.context("the head of the answer is not text")?.split("\r\n");
    let (version, status) = status_line(lines.next().unwrap_or_default())?;
    let mut head = Head { status, bytes: end + 4, body_bytes: None, keep_alive: version == "HTTP/1.1" };
    for line in lines.take(HEADERS_MAX) {
        head.read_header(line)?;
    }
    if matches!(head.status, 204 | 304) {
        head.body_bytes = Some(0); // By RFC 9112, 6.3: these never have a body, and no length.
    }
    Ok(Some(Head { keep_alive: head.keep_alive && head.body_bytes.is_some(), ..head }))
}

fn status_line(line: &str) -> anyhow::Result<(&str, u16)> {
    let mut words = line.split(' ');
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|status| status.parse().ok());
    version.zip(status).context("the answer is not HTTP/1.1")
}

impl Head {
    fn read_header(&mut self, line: &str) -> anyhow::Result<()> {
        let (name, value) = line.split_once(':').context("the answer has a header without a colon")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            self.body_bytes = Some(value.parse().context("the answer's length is no number")?);
        } else if name.eq_ignore_ascii_case("connection") {
            self.keep_alive = !value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer comes in chunks, which this load generator does not read");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Head> {
        head(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_head_of_our_own_answers() {
        let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(
            parsed(text),
            Some(Head { status: 200, bytes: text.len() - 2, body_bytes: Some(2), keep_alive: true })
        );
    }

    #[test]
    fn a_seed_node_closes_the_connection() {
        let closed = parsed("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert!(!closed.keep_alive);
        let closed = parsed("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n").unwrap();
        assert!(!closed.keep_alive);
        let unknown = parsed("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!((unknown.body_bytes, unknown.keep_alive), (None, false));
    }

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1";
        for cut in 0..text.len() - 8 {
            assert_eq!(whole(&text[..cut], false).unwrap(), None);
        }
        let answer = whole(text, false).unwrap().unwrap();
        assert_eq!((answer.body, answer.n_bytes), (&b"{}"[..], text.len() - 8));
        let until_the_end = b"HTTP/1.0 200 OK\r\n\r\n{}";
        assert_eq!(whole(until_the_end, false).unwrap(), None);
        assert_eq!(whole(until_the_end, true).unwrap().unwrap().body, b"{}");
    }

    #[test]
    fn no_content_has_no_body_and_the_connection_stays() {
        let head = parsed("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!((head.body_bytes, head.keep_alive), (Some(0), true));
    }

    #[test]
    fn a_part_of_a_head_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parsed(&text[..cut]), None);
        }
        assert!(head(&vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn other_protocols_are_refused() {
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200\r\nx\r\n\r\n"] {
            assert!(head(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(head(b"\xff\r\n\r\n").is_err());
    }
}
