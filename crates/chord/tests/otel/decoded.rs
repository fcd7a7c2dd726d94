//! Messages of OTLP, decoded: field by field, by the numbers in `opentelemetry/proto`.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A field of a message.
#[derive(Clone, Debug)]
pub(crate) enum Field {
    Varint(u64),
    Fixed(u64),
    Bytes(Vec<u8>),
}

/// A message: its fields in their order, each with its number.
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<(u64, Field)>);

impl Message {
    /// Panics where the bytes are no message.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let field = match tag & 7 {
                0 => Field::Varint(varint(&mut bytes)),
                1 => Field::Fixed(u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight"))),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("a length");
                    Field::Bytes(take(&mut bytes, length).to_vec())
                }
                other => panic!("a field of the sort {other}"),
            };
            fields.push((tag >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |(other, _)| *other == number).map(|(_, field)| field)
    }

    /// The messages in all fields of that number.
    pub(crate) fn messages(&self, number: u64) -> Vec<Self> {
        self.all(number).map(|field| Self::read(bytes(field))).collect()
    }

    /// The message in the only field of that number.
    pub(crate) fn message(&self, number: u64) -> Self {
        let mut all = self.messages(number);
        assert_eq!(all.len(), 1, "field {number} of {self:?}");
        all.remove(0)
    }

    pub(crate) fn text(&self, number: u64) -> String {
        let text = self.all(number).next().map(|field| bytes(field).to_vec()).unwrap_or_default();
        String::from_utf8(text).expect("it is text")
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.all(number).next().is_some()
    }

    pub(crate) fn varint(&self, number: u64) -> u64 {
        match self.all(number).next() {
            Some(Field::Varint(number)) => *number,
            other => panic!("field {number} is {other:?}"),
        }
    }

    pub(crate) fn fixed(&self, number: u64) -> u64 {
        match self.all(number).next() {
            Some(Field::Fixed(number)) => *number,
            other => panic!("field {number} is {other:?}"),
        }
    }

    fn packed(&self, number: u64) -> Vec<u64> {
        let all = self.all(number).flat_map(|field| bytes(field).chunks_exact(8));
        all.map(|eight| u64::from_le_bytes(eight.try_into().expect("eight"))).collect()
    }

    /// The `KeyValue`s in fields of that number, as texts.
    pub(crate) fn attributes(&self, number: u64) -> BTreeMap<String, String> {
        let pairs = self.messages(number).into_iter().map(|pair| (pair.text(1), value(&pair.message(2))));
        pairs.collect()
    }
}

fn bytes(field: &Field) -> &[u8] {
    match field {
        Field::Bytes(bytes) => bytes,
        other => panic!("{other:?} is no text and no message"),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number without an end")
}

/// An `AnyValue`.
fn value(any: &Message) -> String {
    match &any.0[..] {
        [(1, _)] => any.text(1),
        [(2, Field::Varint(is_so))] => (*is_so == 1).to_string(),
        [(3, Field::Varint(number))] => number.cast_signed().to_string(),
        [(4, Field::Fixed(bits))] => f64::from_bits(*bits).to_string(),
        other => panic!("a value is {other:?}"),
    }
}

/// One export of metrics.
pub(crate) struct Metrics {
    pub(crate) resource: BTreeMap<String, String>,
    /// Each series, as Prometheus writes it, with its number.
    pub(crate) series: BTreeMap<String, f64>,
    /// Of each metric: `counter`, `gauge` or `histogram`, and its unit.
    pub(crate) kinds: BTreeMap<String, (&'static str, String)>,
    /// From when to when it counted, each the same for all.
    pub(crate) times: (u64, u64),
}

impl Metrics {
    /// An `ExportMetricsServiceRequest`.
    pub(crate) fn read(body: &[u8]) -> Self {
        let of_resource = Message::read(body).message(1);
        let resource = of_resource.message(1).attributes(1);
        let scope = of_resource.message(2);
        assert_eq!(scope.message(1).text(1), "chord");
        let mut all = Self { resource, series: BTreeMap::new(), kinds: BTreeMap::new(), times: (0, 0) };
        for metric in scope.messages(2) {
            let (kind, data) = match [5, 7, 9].map(|field| metric.has(field)) {
                [true, false, false] => ("gauge", metric.message(5)),
                [false, true, false] => ("counter", metric.message(7)),
                [false, false, true] => ("histogram", metric.message(9)),
                other => panic!("{metric:?} has {other:?}"),
            };
            if kind != "gauge" {
                assert_eq!(data.varint(2), 2, "it counts since the start");
            }
            assert!(kind != "counter" || data.varint(3) == 1, "it only grows");
            let name = metric.text(1);
            assert!(metric.text(2).ends_with('.'), "{name} is described");
            for point in data.messages(1) {
                all.add(&name, kind, &point);
            }
            let before = all.kinds.insert(name.clone(), (kind, metric.text(3)));
            assert!(before.is_none(), "{name} is there once");
        }
        all
    }

    fn add(&mut self, name: &str, kind: &str, point: &Message) {
        let times = (if kind == "gauge" { self.times.0 } else { point.fixed(2) }, point.fixed(3));
        assert!(self.times == (0, 0) || self.times.1 == times.1, "{name} is of another time");
        assert!(self.times.0 == 0 || self.times.0 == times.0, "{name} began at another time");
        self.times = times;
        if kind != "histogram" {
            let number = if point.has(6) { real(point.fixed(6)) } else { f64::from_bits(point.fixed(4)) };
            return self.put(name, &point.attributes(7), None, number);
        }
        let (labels, counts, bounds) = (point.attributes(9), point.packed(6), point.packed(7));
        assert_eq!(counts.len(), bounds.len() + 1, "{name}");
        let ends = bounds.iter().map(|bits| f64::from_bits(*bits).to_string()).chain(["+Inf".to_owned()]);
        let mut so_far = 0;
        for (count, end) in counts.iter().zip(ends) {
            so_far += count;
            self.put(&format!("{name}_bucket"), &labels, Some(&end), real(so_far));
        }
        assert_eq!(point.fixed(4), so_far, "{name} counts what is in its buckets");
        self.put(&format!("{name}_count"), &labels, None, real(so_far));
        self.put(&format!("{name}_sum"), &labels, None, f64::from_bits(point.fixed(5)));
    }

    fn put(&mut self, name: &str, labels: &BTreeMap<String, String>, bound: Option<&str>, number: f64) {
        let mut all: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend(bound.map(|bound| ("le", bound)));
        let before = self.series.insert(series(name, all), number);
        assert!(before.is_none(), "{name} with {labels:?} is there once");
    }
}

/// A series by its name and its labels, in one order whoever tells it.
pub(crate) fn series(name: &str, mut labels: Vec<(&str, &str)>) -> String {
    labels.sort_unstable();
    labels.iter().fold(name.to_owned(), |mut series, (name, value)| {
        let _ = write!(series, " {name}={value}");
        series
    })
}

#[expect(clippy::cast_precision_loss, reason = "tests count less than 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

/// A line of the log, as the collector has it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) level: String,
    pub(crate) severity: u64,
    pub(crate) message: String,
    pub(crate) event: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) at_ns: u64,
}

/// An `ExportLogsServiceRequest`: who tells, and the lines.
pub(crate) fn records(body: &[u8]) -> (BTreeMap<String, String>, Vec<Record>) {
    let of_resource = Message::read(body).message(1);
    let resource = of_resource.message(1).attributes(1);
    let records = of_resource.message(2).messages(2).into_iter().map(|record| Record {
        at_ns: record.fixed(1),
        severity: record.varint(2),
        level: record.text(3),
        message: value(&record.message(5)),
        attributes: record.attributes(6),
        event: record.text(12),
    });
    (resource, records.collect())
}
