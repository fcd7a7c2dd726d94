//! The last word on a connection: an answer that belongs to no request, in the language that is spoken there.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use chord_wire::Code;
use chord_wire::frame::{Declined, Kind, Outbox, VERSIONS};
use chord_wire::resp::Sniffed;
use chord_wire::rest::{DOCUMENT_PATH, PROBLEM_TYPE, Problem};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{OPENING_BYTES, hear};
use crate::clients::Rationed;
use crate::stream::Stream;

/// How long a connection that is one too many may take to say what it speaks, and then to read that it is.
const FAREWELL_WAIT: Duration = Duration::from_millis(200);

/// How much of what is refused is read and thrown away, and for how long.
pub(super) const DRAINED_MAX: usize = 64 << 20;
pub(super) const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What Redis says then.
const TOO_MANY_CLIENTS: &str = "ERR max number of clients reached";

const ONLY_TLS: &str = "this node speaks TLS alone: connect in TLS, as by https:// or --tls-ca";

const TOO_MANY_CONNECTIONS: &str =
    "this node serves as many connections as its limit allows: try again later";

/// Why a connection finds no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There are as many as there may be.
    Full,
    /// Its client has as many of something as one may have.
    Client(Rationed),
}

impl Why {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Full => TOO_MANY_CONNECTIONS,
            Self::Client(what) => what.sentence(),
        }
    }

    /// In the words of Redis, which client libraries know.
    fn in_redis(self) -> String {
        match self {
            Self::Full => format!("-{TOO_MANY_CLIENTS}\r\n"),
            Self::Client(what) => format!("-{TOO_MANY_CLIENTS}: {}\r\n", what.sentence()),
        }
    }
}

/// Tells a connection that it is one too many, in the language that it begins with. Whoever says nothing at once is told
/// so in HTTP.
pub(super) async fn turn_away(mut stream: TcpStream, is_in_tls: bool, why: Why) {
    let mut bytes = BytesMut::with_capacity(OPENING_BYTES);
    let heard = tokio::time::timeout(FAREWELL_WAIT, hear(&mut stream, &mut bytes)).await;
    let answer = match heard {
        Ok(Err(_)) => return,
        // To be told so in TLS would take more than is given to those who find no place.
        Ok(Ok(Sniffed::Tls)) if is_in_tls => return,
        Ok(Ok(Sniffed::Resp)) => why.in_redis().into_bytes(),
        Ok(Ok(Sniffed::Frames)) => declined(Code::Busy, why.sentence()),
        Ok(Ok(_)) | Err(_) => {
            last_answer(&bytes, StatusCode::SERVICE_UNAVAILABLE, Code::Busy, why.sentence())
        }
    };
    // Whoever does not take it has gone, or never wanted one.
    let _ = tokio::time::timeout(FAREWELL_WAIT, hang_up(Stream::Plain(stream), &answer)).await;
}

/// Tells a connection that nothing is spoken here but TLS, in the language that it begins with.
pub(super) async fn refuse_plain(stream: TcpStream, spoken: Sniffed, opening: &[u8]) {
    let answer = match spoken {
        Sniffed::Resp => format!("-ERR {ONLY_TLS}\r\n").into_bytes(),
        Sniffed::Frames => declined(Code::Forbidden, ONLY_TLS),
        _ => last_answer(opening, StatusCode::BAD_REQUEST, Code::BadRequest, ONLY_TLS),
    };
    hang_up(Stream::Plain(stream), &answer).await;
}

/// Says a last word and closes.
pub(super) async fn hang_up(mut stream: Stream, answer: &[u8]) {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        drain(&mut stream).await;
        Ok::<_, std::io::Error>(())
    };
    // Whoever does not take it has gone, or never wanted one.
    let _ = tokio::time::timeout(DRAIN_WAIT, told).await;
}

/// Reads what still comes for a moment, and keeps nothing: a system that closes a connection with bytes unread takes back
/// what it has not delivered yet.
pub(super) async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = stream.take(DRAINED_MAX as u64);
    let mut chunk = vec![0; 16 << 10];
    let drained = async { while rest.read(&mut chunk).await.is_ok_and(|n_bytes| n_bytes > 0) {} };
    let _ = tokio::time::timeout(DRAIN_WAIT, drained).await;
}

/// An answer in HTTP to what begins so: an error of REST if it asks for a path of REST, else one of the seed's.
pub(super) fn last_answer(opening: &[u8], status: StatusCode, code: Code, sentence: &str) -> Vec<u8> {
    let (content_type, body) = if asks_for_rest(opening) {
        (PROBLEM_TYPE, Problem::new(code, sentence).with_status(status.as_u16()).encode())
    } else {
        ("application/json", chord_wire::encode_error(sentence))
    };
    let reason = status.canonical_reason().unwrap_or_default();
    let retry = if code == Code::Busy { "retry-after: 1\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {content_type}\r\n{retry}chord-error: {code}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n\r\n",
        status.as_u16(),
        body.len(),
        httpdate::fmt_http_date(SystemTime::now()),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

/// What is said in frames to one with whom they are not spoken.
pub(super) fn declined(code: Code, sentence: &str) -> Vec<u8> {
    let mut outbox = Outbox::default();
    let declined = Declined { versions: VERSIONS, code: Some(code), sentence: sentence.to_owned() };
    outbox.open();
    outbox.put(Kind::Declined, 0, |to| declined.write(to));
    outbox.unsent().to_vec()
}

/// Whether a request that begins so asks for a path of REST.
fn asks_for_rest(opening: &[u8]) -> bool {
    let path = opening.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    path.starts_with(b"/v1/") || path == b"/v1" || path.starts_with(DOCUMENT_PATH.as_bytes())
}
