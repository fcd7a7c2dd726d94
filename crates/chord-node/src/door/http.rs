//! HTTP: from a connection to single requests, with every limit on their way in.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use chord_ring::RingSize;
use chord_wire::rest::is_rest;
use chord_wire::xmlrpc::encode_fault;
use chord_wire::{Code, Command, Context, ERROR_HEADER, FROM_HEADER, encode_error};
use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Collected};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::content::{Answer, Content};
use super::doze::Doze;
use super::farewell::{DRAIN_WAIT, DRAINED_MAX, hang_up, last_answer};
use super::line::Line;
use super::pages::Own;
use super::seat::{Seat, Turn};
use super::seed::{Answered, Refused};
use super::share::{Share, Spent};
use super::{Ends, annex, page, pages, records, rest, seed, xmlrpc};
use crate::Limits;
use crate::clients::Visit;
use crate::guard::{NO_CERTIFICATE, Visitor};
use crate::links::{OPERATE_PATH, REPLICA_PATH, REPLICA_TYPE, context, write_context};
use crate::metrics::Door;
use crate::offence::Offence;
use crate::secret::Role;
use crate::shared::Shared;
use crate::stream::Stream;

/// What is spoken in a request, by its path.
#[derive(Clone, Copy)]
enum Language {
    Json(Command),
    XmlRpc,
    /// Binary, from another node.
    Replica,
    /// Binary, from a client.
    Operate,
}

impl Language {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/" | "/RPC2" => Some(Self::XmlRpc),
            REPLICA_PATH => Some(Self::Replica),
            OPERATE_PATH => Some(Self::Operate),
            path => path.strip_prefix('/').and_then(Command::from_name).map(Self::Json),
        }
    }
}

impl Language {
    /// Bytes of a body, at most.
    fn body_bytes(self, limits: &Limits) -> usize {
        match self {
            Self::Json(_) | Self::XmlRpc => limits.body_bytes(),
            Self::Replica | Self::Operate => limits.replica(RingSize::DEFAULT).message_bytes(),
        }
    }
}

/// A request that is refused, and whether the rest of it is not worth reading.
pub(super) struct Rejected {
    pub(super) refused: Refused,
    pub(super) closes: bool,
}

impl Rejected {
    /// What follows on this connection cannot be told from what is left of this request.
    pub(super) fn closing(code: Code, sentence: impl Into<String>) -> Self {
        Self { refused: Refused::new(code, sentence), closes: true }
    }
}

impl From<Spent> for Rejected {
    fn from(spent: Spent) -> Self {
        Self::closing(Code::Busy, spent.to_string())
    }
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        Self { refused, closes: false }
    }
}

/// Serves one connection, of which these bytes came in, until either side ends it.
pub(super) async fn serve(stream: Stream, first: Bytes, ends: Ends, shared: Arc<Shared>, seat: Arc<Seat>) {
    let mut line = Line::new(stream, first, seat.clone(), shared.limits.answer_write);
    loop {
        match talk(&mut line, &ends, &shared, &seat).await {
            Talk::Pauses if doze(&line, &shared, &seat).await => {}
            Talk::Pauses | Talk::Ends => return,
            Talk::Breaks(error) => {
                tracing::debug!(peer = %ends.peer, "a connection ended: {error}");
                let Some((code, answer)) = refusal(&error, &line, &shared.limits) else { return };
                note(&shared, &ends, Offence::of_last(code));
                tokio::select! {
                    () = hang_up(line.into_stream(), &answer) => {}
                    () = seat.asked_to_leave() => {}
                }
                return;
            }
        }
    }
}

/// How requests and answers, one after the other, came to an end.
enum Talk {
    /// Nothing was asked for a while.
    Pauses,
    Ends,
    Breaks(hyper::Error),
}

/// Answers requests for as long as they come.
async fn talk(line: &mut Line, ends: &Ends, shared: &Arc<Shared>, seat: &Arc<Seat>) -> Talk {
    let limits = &shared.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .half_close(true) // A whole request is done, also when nothing more is sent, or nobody waits for the answer.
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes);
    let service = service_fn(|request| {
        let (shared, turn) = (shared.clone(), Turn::begin(seat));
        async move {
            let response = respond(&shared, ends, request).await;
            note(&shared, ends, offence(&response));
            Ok::<_, Infallible>(response.map(|content| Answer::new(content, turn)))
        }
    });
    let mut pauses = Doze::new(seat);
    let mut connection = builder.serve_connection(TokioIo::new(&mut *line), service);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        () = seat.asked_to_leave() => None,
        () = pauses.due() => {
            let unused = connection.into_parts().read_buf;
            line.put_back(unused);
            return Talk::Pauses;
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None if seat.is_idle() => return Talk::Ends,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            connection.await
        }
    };
    ended.map_or_else(Talk::Breaks, |()| Talk::Ends)
}

/// Waits for the next request with nothing but the socket: hyper keeps buffers of 16 KiB. Returns whether there is one.
async fn doze(line: &Line, shared: &Shared, seat: &Seat) -> bool {
    shared.dozes.fetch_add(1, Ordering::Relaxed);
    let idle = seat.idle_for().unwrap_or_default();
    tokio::select! {
        wakes = line.wakes(shared.limits.header_read.saturating_sub(idle)) => wakes,
        () = seat.asked_to_leave() => false,
    }
}

/// What is said to bytes that are no request, as [`Line`] tells; none if nobody waits for an answer.
fn refusal(error: &hyper::Error, line: &Line, limits: &Limits) -> Option<(Code, Vec<u8>)> {
    let status = line.held_back().and_then(|status| StatusCode::from_u16(status).ok());
    let (status, code, sentence) = match status {
        Some(status @ StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            let Limits { headers, header_bytes, .. } = limits;
            let sentence = format!(
                "the request's headers are too many or too long: this node accepts {headers} headers, and {header_bytes} bytes of them with the first line"
            );
            (status, Code::TooLarge, sentence)
        }
        Some(status @ StatusCode::URI_TOO_LONG) => {
            (status, Code::TooLarge, "the request's path is too long".to_owned())
        }
        // A timeout, and a connection that was closed by the client, are errors to which hyper says nothing.
        None if !line.hears_half_a_request() => return None,
        None if error.is_timeout() => (StatusCode::REQUEST_TIMEOUT, Code::TooSlow, LATE_HEADERS.to_owned()),
        None if error.is_incomplete_message() => {
            let sentence = "the request ended before its headers did".to_owned();
            (StatusCode::BAD_REQUEST, Code::BadRequest, sentence)
        }
        None if !error.is_parse() => return None,
        Some(_) | None => {
            // Hyper's words are constant: nothing of the request is in them.
            let sentence =
                format!("this is no request of HTTP/1.1, which is what this node understands: {error}");
            (StatusCode::BAD_REQUEST, Code::BadRequest, sentence)
        }
    };
    Some((code, last_answer(line.opening(), status, code, &sentence)))
}

/// What an answer refuses that nobody has noted before.
fn offence(response: &Response<Content>) -> Option<Offence> {
    let code = Code::from_token(response.headers().get(ERROR_HEADER)?.to_str().ok()?)?;
    let is_last = response.headers().get(CONNECTION).is_some_and(|said| said == "close");
    if is_last { Offence::of_last(code) } else { Offence::of(code) }
}

fn note(shared: &Shared, ends: &Ends, offence: Option<Offence>) {
    if let Some(offence) = offence {
        shared.guard.offences().note(offence, ends.from());
    }
}

/// The end of a connection on which nothing whole came in time.
pub(super) async fn hang_up_late(stream: Stream) {
    hang_up(stream, &last_answer(&[], StatusCode::REQUEST_TIMEOUT, Code::TooSlow, LATE_HEADERS)).await;
}

const LATE_HEADERS: &str = "the request's headers did not arrive in time";

async fn respond(shared: &Arc<Shared>, ends: &Ends, request: Request<Incoming>) -> Response<Content> {
    let path = request.uri().path();
    let (is_rest, language) = (is_rest(path), Language::of(path));
    if let Err(sentence) = check_form(&request) {
        let rejected = Rejected::closing(Code::BadRequest, sentence);
        return if is_rest { rest::refuse(None, rejected) } else { reject(None, rejected) };
    }
    let visitor = visitor(shared, ends, request.headers());
    let is_for_everybody = matches!(path, "/healthz" | "/readyz");
    Visit::is_of_node(
        request.headers().contains_key(FROM_HEADER) && shared.guard.allows(&visitor, Role::Node),
    );
    if !is_for_everybody && let Err(what) = shared.clients.request(&shared.limits) {
        let closes = !request.body().is_end_stream();
        let rejected = Rejected { refused: Refused::new(Code::Busy, what.sentence()), closes };
        return if is_rest { rest::refuse(None, rejected) } else { reject(language, rejected) };
    }
    // A page of ours tells nothing by itself, so a link to it may lead here from anywhere. It is for who may read all the
    // same, so that a browser asks its user for the secret first.
    if let Some(response) = page::respond(&request, shared.annex.is_some()) {
        let admitted = shared.guard.admit(&visitor, Role::Read);
        return admitted.map_or_else(|refused| reject(None, refused.into()), |()| response);
    }
    if let Some(annex) = annex::of(shared, &request) {
        return match shared.guard.admit(&visitor, Role::Admin) {
            Ok(()) => Box::pin(annex::respond(annex, shared, request)).await,
            Err(refused) => reject(None, refused.into()),
        };
    }
    let refuse = |language, rejected| {
        if is_rest { rest::refuse(None, rejected) } else { reject(language, rejected) }
    };
    let (has_secrets, is_in_tls) = (shared.guard.secrets().is_some(), shared.tls.is_some());
    let own = Own { name: &shared.me.name, is_in_tls };
    if let Some(sentence) = pages::is_foreign(request.headers(), own, has_secrets) {
        note(shared, ends, Some(Offence::Page));
        return refuse(None, Rejected::closing(Code::Forbidden, sentence));
    }
    if is_in_tls && request.headers().contains_key(FROM_HEADER) && !visitor.is_certified() {
        note(shared, ends, Some(Offence::Certificate));
        return refuse(language, Rejected::closing(Code::Forbidden, NO_CERTIFICATE));
    }
    let answered = if is_rest {
        // On the heap: every connection holds room for the largest answer under way.
        Box::pin(rest::respond(shared, visitor, request)).await
    } else {
        respond_in_seeds_words(shared, &visitor, language, request).await
    };
    let (head, content) = answered.into_parts();
    match content.held(shared) {
        Ok(content) => Response::from_parts(head, content),
        Err(unread) => refuse(language, Refused::new(Code::Busy, unread.to_string()).into()),
    }
}

/// Whether a request has the form that RFC 9112 asks for, where hyper is content with less: another program on its way
/// may take something else for its body, or for whom it is meant.
fn check_form(request: &Request<Incoming>) -> Result<(), &'static str> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !is_chunked || codings.next().is_some() {
            return Err("the only transfer coding that this node takes is chunked, once");
        }
    }
    let n_hosts = headers.get_all(HOST).iter().count();
    if n_hosts > 1 || (n_hosts == 0 && request.version() == Version::HTTP_11) {
        return Err("a request says by its header host, once, for whom it is");
    }
    Ok(())
}

async fn respond_in_seeds_words(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    language: Option<Language>,
    request: Request<Incoming>,
) -> Response<Content> {
    match handle(shared, visitor, language, request).await {
        Ok(response) => response,
        Err(rejected) => reject(language, rejected),
    }
}

async fn handle(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    language: Option<Language>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Rejected> {
    let (head, body) = request.into_parts();
    let language = language.ok_or_else(|| Rejected::closing(Code::UnknownCommand, UNKNOWN_COMMAND))?;
    if head.method != Method::POST {
        let sentence = match language {
            Language::Json(command) => {
                format!("{command} is asked for by POST, with a JSON object as the body")
            }
            Language::XmlRpc => "this path is that of XML-RPC, which is spoken by POST".to_owned(),
            Language::Replica | Language::Operate => {
                "records are asked for by POST, with a binary message as the body".to_owned()
            }
        };
        return Err(Rejected::closing(Code::MethodNotAllowed, sentence));
    }
    // What it takes beyond that, each command knows; from a stranger not even a body is read.
    shared
        .guard
        .admit(visitor, Role::Read)
        .map_err(|Refused { code, sentence, .. }| Rejected::closing(code, sentence))?;
    let context = read_context(&head.headers)?;
    let body = read_body(shared, body, language.body_bytes(&shared.limits)).await?;
    match language {
        Language::Json(command) => {
            let request = chord_wire::seed::decode_request(command, &body.bytes)
                .map_err(|bad| Refused::new(Code::BadRequest, bad.to_string()))?;
            let asker = (Door::Json, visitor);
            let Answered { answer, context } = seed::answer(shared, asker, request, context).await?;
            Ok(response(StatusCode::OK, JSON, chord_wire::seed::encode_answer(&answer), &context))
        }
        Language::XmlRpc => {
            // On the heap: every connection holds room for the largest answer under way.
            let (body, context) = Box::pin(xmlrpc::answer(shared, visitor, &body.bytes, context)).await;
            Ok(response(StatusCode::OK, XML, body, &context))
        }
        Language::Replica => {
            let (body, context) =
                Box::pin(records::answer_peer(shared, visitor, &body.bytes, context)).await?;
            Ok(response(StatusCode::OK, BINARY, body, &context))
        }
        Language::Operate => {
            let (body, context) =
                Box::pin(records::answer_client(shared, visitor, &body.bytes, context)).await?;
            Ok(response(StatusCode::OK, BINARY, body, &context))
        }
    }
}

/// The answer to a request that was not even given to the node.
fn reject(language: Option<Language>, rejected: Rejected) -> Response<Content> {
    let Rejected { refused: Refused { code, sentence, mut context }, closes } = rejected;
    context.code = Some(code);
    let mut response = match language {
        Some(Language::XmlRpc) if code != Code::MethodNotAllowed => {
            response(StatusCode::OK, XML, encode_fault(code, &sentence), &context)
        }
        Some(_) | None => {
            let status =
                StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response(status, JSON, encode_error(&sentence), &context)
        }
    };
    if code == Code::NoSecret {
        ask_for_secret(response.headers_mut());
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if code == Code::MethodNotAllowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Who asks, by the secret that its headers say: a bearer token, or the password of any user (RFC 6750 and 7617).
fn visitor(shared: &Shared, ends: &Ends, headers: &HeaderMap) -> Visitor {
    let stranger = ends.stranger().certified(is_certified(shared, ends, headers));
    let given = if shared.guard.secrets().is_some() { headers.get(AUTHORIZATION) } else { None };
    let Some((scheme, said)) = given.and_then(|given| given.to_str().ok()?.split_once(' ')) else {
        return stranger;
    };
    let said = said.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return stranger.known_by(shared.guard.recognize(said.as_bytes()));
    }
    let pair = if scheme.eq_ignore_ascii_case("basic") { BASE64_STANDARD.decode(said).ok() } else { None };
    let password = pair.as_ref().and_then(|pair| pair.splitn(2, |byte| *byte == b':').nth(1));
    stranger.known_by(password.and_then(|password| shared.guard.recognize(password)))
}

/// Whether the one who calls itself a node has shown a certificate for that; nobody has to where TLS is not spoken.
fn is_certified(shared: &Shared, ends: &Ends, headers: &HeaderMap) -> bool {
    let Some(tls) = &shared.tls else { return false };
    let claimed = context(headers).ok().and_then(|context| context.from);
    claimed.is_some_and(|name| tls.vouches_for(&ends.shown, &name))
}

/// Tells how a secret is given. A browser asks its user for a name and a password then.
pub(super) fn ask_for_secret(headers: &mut HeaderMap) {
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"chord\", charset=\"UTF-8\""));
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"chord\""));
}

const UNKNOWN_COMMAND: &str = "no such command: POST to /node, /create, /join, /find_successor, /notify, \
    /get_predecessor, /get_successor_list, /get, /put or /shutdown, or XML-RPC to /RPC2; REST is below /v1, as \
    /openapi.json describes it, and /healthz, /readyz and /metrics say how this node is";

pub(super) fn read_context(headers: &HeaderMap) -> Result<Context, Rejected> {
    context(headers).map_err(|bad| Rejected::closing(Code::BadRequest, bad.to_string()))
}

/// A body, and its part of the budget for as long as this is kept.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _share: Share,
}

pub(super) async fn read_body(
    shared: &Arc<Shared>,
    mut body: Incoming,
    limit: usize,
) -> Result<Received, Rejected> {
    let announced = body.size_hint();
    let mut share = Share::of(shared);
    let received = tokio::time::timeout(shared.limits.body_read, async {
        if announced.lower() > limit as u64 {
            drain(&mut body).await;
            return Err(too_large(limit));
        }
        let size = announced.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let Some(size) = size else { return collect(&mut body, limit, &mut share).await };
        share.fit(size)?;
        body.collect().await.map(Collected::to_bytes).map_err(|_| cut_off())
    });
    let late = || Rejected::closing(Code::TooSlow, "the body did not arrive in time");
    let bytes = received.await.unwrap_or_else(|_| Err(late()))?;
    Ok(Received { bytes, _share: share })
}

/// Reads a body that does not say how long it will be.
async fn collect(body: &mut Incoming, limit: usize, share: &mut Share) -> Result<Bytes, Rejected> {
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| cut_off())?;
        let Some(data) = frame.data_ref() else { continue };
        let size = received.len() + data.len();
        if size > limit {
            drain(body).await;
            return Err(too_large(limit));
        }
        share.fit(size)?;
        received.extend_from_slice(data);
    }
    Ok(received.freeze())
}

fn cut_off() -> Rejected {
    Rejected::closing(Code::BadRequest, "the body ended before it was complete")
}

fn too_large(limit: usize) -> Rejected {
    let sentence = format!("the body has more than the {limit} bytes that this node accepts");
    Rejected::closing(Code::TooLarge, sentence)
}

/// Reads on and keeps nothing: most clients look at an answer only when they have sent everything.
async fn drain(body: &mut Incoming) {
    let drained = async {
        let mut room = DRAINED_MAX;
        while room > 0 {
            let Some(Ok(frame)) = body.frame().await else { return };
            room = room.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // Whoever is slower than that gets the answer, if its system still delivers it.
    let _ = tokio::time::timeout(DRAIN_WAIT, drained).await;
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const BINARY: HeaderValue = HeaderValue::from_static(REPLICA_TYPE);

fn response(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Content>,
    context: &Context,
) -> Response<Content> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    write_context(context, headers);
    response
}
