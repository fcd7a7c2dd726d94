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
