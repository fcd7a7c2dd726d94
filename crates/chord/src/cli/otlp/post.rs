//! One request to a collector, on a connection of its own: they are seconds apart, and none is waited for long.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use chord::Connected;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::super::exit::one_line;
use super::Endpoint;
use super::messages::rejected;

/// How long a collector may take for one request, as other exporters have it.
const WAIT: Duration = Duration::from_secs(10);

/// What a collector may say: a sentence in a message.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Longest pause that a collector may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a collector has not what was sent to it.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may take it later, after a pause if it asked for one.
    Later { why: String, pause: Option<Duration> },
    /// It never will.
    Never { why: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Later { why, .. } | Self::Never { why }) = self;
        f.write_str(why)
    }
}

/// Sends a message to `path` there. Returns how much of it was not taken, and why, if the collector says that.
pub(super) async fn post(
    endpoint: &Endpoint,
    path: &'static str,
    message: Vec<u8>,
) -> Result<Option<(u64, String)>, Failure> {
    let later = |why: String| Failure::Later { why, pause: None };
    let Ok(answered) = tokio::time::timeout(WAIT, exchange(endpoint, path, message)).await else {
        return Err(later(format!("it did not answer within {} s", WAIT.as_secs())));
    };
    let Answer { status, pause, body } = answered.map_err(|error| later(one_line(&format!("{error:#}"))))?;
    if status.is_success() {
        return Ok(rejected(&body));
    }
    let why = format!("it answered {status}");
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Later { why, pause },
        _ => Failure::Never { why },
    })
}

struct Answer {
    status: StatusCode,
    pause: Option<Duration>,
    body: Bytes,
}

/// What drives a connection, for as long as somebody needs it.
struct Driving(JoinHandle<()>);

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(endpoint: &Endpoint, path: &str, message: Vec<u8>) -> anyhow::Result<Answer> {
    let stream = Connected::to(&endpoint.node, None).await.context("it cannot be reached")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // How it ends is told by the answer that comes, or does not.
    let _driving = Driving(tokio::spawn(async { _ = connection.await }));
    let request = Request::post(format!("{}{path}", endpoint.path))
        .header(HOST, endpoint.node.as_str())
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header(USER_AGENT, concat!("chord/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(message)))?;
    let (head, body) = sender.send_request(request).await.context("it does not answer")?.into_parts();
    let pause = head.headers.get(RETRY_AFTER).and_then(|pause| pause.to_str().ok()?.parse().ok());
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?.to_bytes();
    Ok(Answer { status: head.status, pause: pause.map(|s| Duration::from_secs(s).min(PAUSE_MAX)), body })
}
