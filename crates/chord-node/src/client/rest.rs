//! What a client asks in REST: what a node tells of itself, and the way to a key.

use std::time::Duration;

use bytes::Bytes;
use chord_kv::Key;
use chord_wire::rest::{
    BadReport, NODE_PATH, REPORT_BYTES_MAX, ReportBody, Route, TRACE_BYTES_MAX, TraceBody, decode_problem,
    percent_encode,
};
use chord_wire::{Code, DEADLINE_HEADER};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::{Client, ClientError};
use crate::links::NoAnswer;
use crate::tls::Dialer;

/// Bytes of a problem, at most: a sentence and some words.
const PROBLEM_BYTES_MAX: usize = 16 << 10;

/// An answer whose body is still to be read, on a connection of its own.
pub(super) struct Answering {
    pub(super) body: Incoming,
    _driver: Driver,
}

/// What drives the connection; it ends with the answer.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// What the node tells of itself.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub async fn report(&self, deadline: Duration) -> Result<ReportBody, ClientError> {
        self.within(deadline, async {
            let ring = self.ring(deadline).await?;
            let body = self.get_whole(NODE_PATH, deadline, REPORT_BYTES_MAX).await?;
            ReportBody::decode(&body, &self.node, ring.name.as_str(), ring.size)
                .map_err(|bad| self.garbled(&bad))
        })
        .await
    }

    /// The way to a key: which nodes had the question, why each named the next, and who keeps the key.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub async fn trace(&self, key: &Key, deadline: Duration) -> Result<TraceBody, ClientError> {
        self.within(deadline, async {
            let path = Route::Trace.template().replace("{key}", &percent_encode(key.as_bytes()));
            let body = self.get_whole(&path, deadline, TRACE_BYTES_MAX).await?;
            TraceBody::decode(&body).map_err(|bad: BadReport| self.garbled(&bad))
        })
        .await
    }

    pub(super) async fn within<T>(
        &self,
        deadline: Duration,
        asks: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let silent = ClientError::Silent { node: self.node.clone(), waited: deadline };
        tokio::time::timeout(deadline, asks).await.unwrap_or(Err(silent))
    }

    async fn get_whole(
        &self,
        path: &str,
        deadline: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, ClientError> {
        let answering = self.get(path, Some(deadline)).await?;
        self.whole(answering.body, bytes_max).await
    }

    /// Asks for a path; an answer is one that gives it.
    pub(super) async fn get(&self, path: &str, wait: Option<Duration>) -> Result<Answering, ClientError> {
        let (answering, status) =
            self.send(path, wait).await.map_err(|no_answer| self.unanswered(no_answer))?;
        if status == StatusCode::OK {
            return Ok(answering);
        }
        let body = self.whole(answering.body, PROBLEM_BYTES_MAX).await?;
        let node = self.node.clone();
        match decode_problem(&body) {
            Some((code @ Some(Code::UnknownCommand), _)) => {
                let sentence = "it cannot tell of that: it is of an older version".to_owned();
                Err(ClientError::Refused { node, code, sentence })
            }
            Some((code, sentence)) => Err(ClientError::Refused { node, code, sentence }),
            None if status == StatusCode::NOT_FOUND => Err(ClientError::OtherProgram(node)),
            None => Err(self.garbled(&"the answer is an error that says nothing")),
        }
    }

    async fn send(&self, path: &str, wait: Option<Duration>) -> Result<(Answering, StatusCode), NoAnswer> {
        let stream = Dialer::connect(self.connections.dialer(), &self.node).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Closed)?;
        let driver = Driver(tokio::spawn(async {
            let _ = connection.await; // Why it ended, the answer says.
        }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = path.parse().map_err(|_| NoAnswer::Broken)?;
        let headers = request.headers_mut();
        headers.extend(HeaderValue::from_str(self.node.as_str()).ok().map(|host| (HOST, host)));
        if let Some(said) = self.connections.authorization() {
            headers.insert(AUTHORIZATION, said.clone());
        }
        if let Some(wait) = wait {
            let ms = HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
            headers.insert(DEADLINE_HEADER, ms);
        }
        let answered = sender.send_request(request).await;
        let response =
            answered.map_err(|error| if error.is_parse() { NoAnswer::Broken } else { NoAnswer::Closed })?;
        let status = response.status();
        Ok((Answering { body: response.into_body(), _driver: driver }, status))
    }

    async fn whole(&self, body: Incoming, bytes_max: usize) -> Result<Bytes, ClientError> {
        let collected = Limited::new(body, bytes_max).collect().await.map_err(|error| {
            self.unanswered(if error.is::<LengthLimitError>() {
                NoAnswer::TooLarge { limit: bytes_max }
            } else {
                NoAnswer::Broken
            })
        })?;
        Ok(collected.to_bytes())
    }
}
