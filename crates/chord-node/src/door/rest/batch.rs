//! Batches: many operations in one request, some at a time, answered in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chord_kv::Key;
use chord_wire::Code;
use chord_wire::rest::{
    Action, BATCH_LINES_MAX, BATCH_TYPE, BatchAnswer, BatchDone, Problem, Wanted, batch_lines,
};
use futures_util::stream::{self, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::content::Content;
use super::super::http::{Received, Rejected};
use super::super::seed::Refused;
use super::super::share::{self, Share};
use super::call::Call;
use super::kv::put_status;
use super::mistake;
use super::perform::{number, perform};
use crate::clients::Visit;
use crate::metrics::Door;
use crate::operation::{Outcome, Ticket};
use crate::shared::Shared;

/// Lines of one batch that are under way at the same time, at most: as many values may wait for those before them.
const LINES_AT_ONCE: usize = 16;

/// What an answer may have that needs no part of the budget for itself.
const ANSWER_BYTES: usize = 16 << 10;

/// How long a batch may take. What has not begun by then is not done: some hundred operations that each wait as long as
/// one may would take minutes.
const BATCH_WAIT: Duration = Duration::from_secs(60);

/// What a body may say it is. The third is what `curl --json` says.
const TYPES: [&str; 5] = [
    BATCH_TYPE,
    "application/jsonl",
    "application/json",
    "application/json-lines",
    "application/octet-stream",
];

/// Does what the lines say.
pub(super) async fn run(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    check_type(call.headers)?;
    let (shared, wait) = (call.shared, call.wait_at_most(BATCH_WAIT));
    let body = call.body(shared.limits.body_bytes()).await?;
    let lines: Vec<_> = batch_lines(&body.bytes).take(BATCH_LINES_MAX + 1).collect();
    if lines.is_empty() {
        return Err(mistake(&"the batch is empty: each line is a JSON object with op and key"));
    }
    if lines.len() > BATCH_LINES_MAX {
        let sentence = format!("a batch has at most {BATCH_LINES_MAX} lines: send several");
        return Err(Refused::new(Code::TooLarge, sentence).into());
    }
    let lines: Vec<_> = lines.into_iter().map(|line| body.bytes.slice_ref(line)).collect();
    // Answers that wait for those before them need no part of the budget each, as long as they are small.
    let room = Share::beside(shared, LINES_AT_ONCE * ANSWER_BYTES);
    let at_once = if room.is_some() { LINES_AT_ONCE } else { 1 };
    let until = Instant::now() + wait;
    let mut batch = Batch { shared: shared.clone(), until, last: BTreeMap::new(), _body: body, _room: room };
    let answers = stream::iter(lines).map(move |line| batch.begin(&line)).buffered(at_once);
    let mut response = Response::new(Content::Pieces(Box::pin(answers)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BATCH_TYPE));
    Ok(response)
}

fn check_type(headers: &HeaderMap) -> Result<(), Rejected> {
    let Some(said) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = said.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if TYPES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    let sentence = "a batch is lines of JSON: say so by Content-Type: application/x-ndjson";
    Err(Rejected::closing(Code::MediaType, sentence))
}

/// A batch under way.
struct Batch {
    shared: Arc<Shared>,
    until: Instant,
    /// Of each key, the end of the last line that is about it: they come one after the other.
    last: BTreeMap<Key, oneshot::Receiver<()>>,
    _body: Received,
    /// For the answers that wait.
    _room: Option<Share>,
}

impl Batch {
    /// Begins with a line. It goes on whether or not its answer is waited for: a client that reads slowly must not make a
    /// write late.
    fn begin(&mut self, line: &[u8]) -> impl Future<Output = Bytes> + use<> {
        let answered = match Wanted::read(line, self.shared.limits.value_bytes) {
            Err(bad) => Err(failed(bad.code(), bad.to_string())),
            Ok(wanted) => {
                let (done, end) = oneshot::channel();
                let before = self.last.insert(wanted.key.clone(), end);
                let (shared, until) = (self.shared.clone(), self.until);
                Ok(tokio::spawn(Visit::along(async move {
                    if let Some(before) = before {
                        // Its end is all that counts, however it came about.
                        let _ = before.await;
                    }
                    let answer = one(&shared, wanted, until).await;
                    drop(done);
                    held(&shared, &answer)
                })))
            }
        };
        async move {
            match answered {
                Err(answer) => answer,
                Ok(task) => task.await.unwrap_or_else(|_| broken()),
            }
        }
    }
}

/// The line that says so, and its part of the budget until it is sent. Only a value makes it large, and that can be asked
/// for again.
fn held(shared: &Arc<Shared>, answer: &BatchAnswer) -> Bytes {
    share::held(shared, answer.encode().into())
        .unwrap_or_else(|unread| failed(Code::Busy, unread.to_string()))
}

fn failed(code: Code, sentence: impl Into<String>) -> Bytes {
    BatchAnswer::Failed(Problem::new(code, sentence)).encode().into()
}

fn broken() -> Bytes {
    failed(Code::Internal, "this node made a mistake: its log says more")
}

/// Does what one line wants.
async fn one(shared: &Shared, wanted: Wanted, until: Instant) -> BatchAnswer {
    if Instant::now() >= until {
        let sentence = "the batch took too long, and this line was not begun";
        return BatchAnswer::Failed(Problem::new(Code::Deadline, sentence));
    }
    let wait = shared.limits.operation.min(until.saturating_duration_since(Instant::now()));
    let action = wanted.action.clone();
    let done = perform(shared, wanted, Ticket::new(Door::Rest, wait))
        .await
        .and_then(|outcome| done(&action, &outcome));
    match done {
        Ok(done) => BatchAnswer::Done(done),
        Err(Refused { code, sentence, context }) => {
            BatchAnswer::Failed(Problem::new(code, sentence).with_version(context.version.as_ref()))
        }
    }
}

fn done(action: &Action, outcome: &Outcome) -> Result<BatchDone, Refused> {
    let status = match action {
        Action::Get | Action::Incr(_) => 200,
        Action::Put(_) => put_status(outcome).as_u16(),
        Action::Delete => 204,
    };
    let done = BatchDone::new(status, &outcome.kept, &outcome.owner, outcome.hops);
    Ok(match (action, &outcome.kept.record) {
        (Action::Get, Some(record)) => done.with_value(record),
        (Action::Incr(_), _) => done.with_number(number(outcome)?),
        _ => done,
    })
}
