//! What is sent to a collector: the messages of OTLP, by the numbers that `opentelemetry/proto` gives their fields.
//!
//! The official crates are no help here. Their metrics are counted by instruments of their own, and what has been counted
//! already, above all histograms, cannot be handed to them; ours stand in one table and are counted without a lock.

use std::time::{SystemTime, UNIX_EPOCH};

use chord::{Measured, Measurement, MetricKind, NodeName, Series};
use tracing::Level;

use crate::cli::exit::one_line;

use super::protobuf::{Content, Fields, Message};

/// Sums and histograms count since the node runs.
const CUMULATIVE: u64 = 2;

/// Longest reason of a collector that is repeated.
const REASON_CHARS_MAX: usize = 200;

/// Who tells: the node, as a message `Resource`.
pub(super) fn resource(node: &NodeName) -> Vec<u8> {
    let named = [
        ("service.name", "chord"),
        ("service.instance.id", node.as_str()),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource = Message::new();
    named.iter().fold(resource, |of, (name, value)| of.inner(1, &attribute(name, value))).into_bytes()
}

/// An `ExportMetricsServiceRequest`.
pub(super) fn metrics(resource: &[u8], metrics: &[Measured], since: SystemTime, now: SystemTime) -> Vec<u8> {
    let times = Times { since: nanos(since), now: nanos(now) };
    // What has no number is not there: a metric without points says nothing.
    let told = metrics.iter().filter(|metric| !metric.series.is_empty());
    let scope = told.fold(scope(), |scope, told| scope.inner(2, &metric(told, times)));
    exported(resource, &scope)
}

/// An `ExportLogsServiceRequest` with records that were made by [`record`].
pub(super) fn logs<'a>(resource: &[u8], records: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    exported(resource, &records.fold(scope(), |scope, record| scope.bytes(2, record)))
}

/// One line of the log.
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) message: &'a str,
    pub(super) fields: &'a [(String, Value)],
}

/// The value of a field of the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Real(f64),
    Truth(bool),
}

/// A `LogRecord`.
pub(super) fn record(line: &Line<'_>, now: SystemTime) -> Vec<u8> {
    let (severity, word) = match line.level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (5, "DEBUG"),
        Level::INFO => (9, "INFO"),
        Level::WARN => (13, "WARN"),
        Level::ERROR => (17, "ERROR"),
    };
    let record = Message::new().fixed64(1, nanos(now)).varint(2, severity).text(3, word);
    let record = record.inner(5, &Message::new().text(1, line.message));
    let record = record.inner(6, &attribute("target", line.target));
    let record = line.fields.iter().fold(record, |record, (name, value)| {
        record.inner(6, &Message::new().text(1, name).inner(2, &any(value)))
    });
    let event = line.fields.iter().find_map(|(name, value)| match value {
        Value::Text(event) if name == "event" => Some(event),
        _ => None,
    });
    let record = record.fixed64(11, nanos(now));
    event.iter().fold(record, |record, event| record.text(12, event)).into_bytes()
}

/// What a collector did not take of what it got, and why: what it says beside that everything was well.
pub(super) fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let (mut count, mut reason) = (0, String::new());
    for (field, content) in Fields(answer) {
        let (1, Content::Bytes(partial)) = (field, content) else { continue };
        for (field, content) in Fields(partial) {
            match (field, content) {
                (1, Content::Varint(rejected)) => count = rejected,
                (2, Content::Bytes(text)) => {
                    let text: String = String::from_utf8_lossy(text).chars().take(REASON_CHARS_MAX).collect();
                    reason = one_line(&text);
                }
                _ => {}
            }
        }
    }
    (count > 0).then_some((count, reason))
}

/// From when to when something was counted.
#[derive(Clone, Copy)]
struct Times {
    since: u64,
    now: u64,
}

fn nanos(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `ResourceMetrics` or `ResourceLogs`, alone in a request: their fields have the same numbers.
fn exported(resource: &[u8], scope: &Message) -> Vec<u8> {
    Message::new().inner(1, &Message::new().bytes(1, resource).inner(2, scope)).into_bytes()
}

/// `ScopeMetrics` or `ScopeLogs`, before what it has.
fn scope() -> Message {
    Message::new().inner(1, &Message::new().text(1, "chord").text(2, env!("CARGO_PKG_VERSION")))
}

fn attribute(name: &str, value: &str) -> Message {
    Message::new().text(1, name).inner(2, &Message::new().text(1, value))
}

fn any(value: &Value) -> Message {
    match value {
        Value::Text(text) => Message::new().text(1, text),
        Value::Truth(is_so) => Message::new().varint(2, u64::from(*is_so)),
        Value::Whole(number) => Message::new().varint(3, number.cast_unsigned()),
        Value::Real(number) => Message::new().double(4, *number),
    }
}

/// A unit as UCUM writes it.
fn unit(word: &str) -> &str {
    match word {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    }
}

fn metric(told: &Measured, times: Times) -> Message {
    let message = Message::new().text(1, told.name).text(2, told.help);
    let message = told.unit.iter().fold(message, |message, word| message.text(3, unit(word)));
    let points = told
        .series
        .iter()
        .fold(Message::new(), |data, series| data.inner(1, &point(series, told.kind, times)));
    match told.kind {
        MetricKind::Gauge => message.inner(5, &points),
        MetricKind::Counter => message.inner(7, &points.varint(2, CUMULATIVE).varint(3, 1)),
        MetricKind::Histogram => message.inner(9, &points.varint(2, CUMULATIVE)),
        // One of a later version goes with its name alone.
        _ => message,
    }
}

fn point(series: &Series, kind: MetricKind, times: Times) -> Message {
    let point = match kind {
        MetricKind::Counter | MetricKind::Histogram => Message::new().fixed64(2, times.since),
        // A gauge is as it is now.
        _ => Message::new(),
    };
    let point = point.fixed64(3, times.now);
    let labelled = |point: Message, field| {
        series.labels.iter().fold(point, |point, (name, value)| point.inner(field, &attribute(name, value)))
    };
    match &series.number {
        Measurement::Whole(number) => {
            labelled(point.fixed64(6, i64::try_from(*number).unwrap_or(i64::MAX).cast_unsigned()), 7)
        }
        Measurement::Real(number) => labelled(point.double(4, *number), 7),
        Measurement::Distribution { bounds, counts, sum } => {
            let point = point.fixed64(4, counts.iter().sum()).double(5, *sum);
            let point = point.packed(6, counts.iter().copied());
            labelled(point.packed(7, bounds.iter().map(|bound| bound.to_bits())), 9)
        }
        _ => point,
    }
}
