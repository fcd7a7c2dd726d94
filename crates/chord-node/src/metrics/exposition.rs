//! Numbers as the text that Prometheus reads, in its own format or in that of `OpenMetrics`.

use std::fmt::{self, Write};

use super::count::Distribution;
use super::sink::{Number, Sink};
use super::table::{Kind, Metric, Values};

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What the client's `Accept` prefers of the two, as far as that matters: whoever understands `OpenMetrics` names it.
    pub(crate) fn wanted(accept: &str) -> Self {
        let is_wanted = accept.split(',').any(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let is_named =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            is_named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if is_wanted { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text, as far as it is written.
pub(crate) struct Exposition {
    text: String,
    format: Format,
}

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        Self { text: String::with_capacity(64 << 10), format }
    }

    pub(crate) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }
}

impl Sink for Exposition {
    fn begins(&mut self, metric: &'static Metric) {
        let Metric { name, kind, unit, help, .. } = metric;
        let family = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.line(format_args!("# HELP {family} {}", Escaped(help)));
        self.line(format_args!("# TYPE {family} {}", kind.word()));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
    }

    fn has(&mut self, metric: &'static Metric, labels: &[&str], number: Number) {
        let labels = Labels { metric, values: labels, bound: None };
        self.line(format_args!("{}{labels} {number}", metric.name));
    }

    fn has_distribution(
        &mut self,
        metric: &'static Metric,
        labels: &[&str],
        counted: &Distribution,
        bounds: &[f64],
        total: Number,
    ) {
        let name = metric.name;
        let ends = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut so_far = 0;
        for (count, end) in counted.counts.iter().zip(ends) {
            so_far += count;
            let labels = Labels { metric, values: labels, bound: Some(&end) };
            self.line(format_args!("{name}_bucket{labels} {so_far}"));
        }
        let labels = Labels { metric, values: labels, bound: None };
        self.line(format_args!("{name}_sum{labels} {total}"));
        self.line(format_args!("{name}_count{labels} {so_far}"));
    }
}

/// Labels as they stand behind a name.
struct Labels<'a> {
    metric: &'static Metric,
    values: &'a [&'a str],
    /// Of a bucket.
    bound: Option<&'a str>,
}

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, values, bound } = self;
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let named = metric.labels.iter().zip(*values).map(|((name, allowed), value)| {
            let is_allowed = match allowed {
                Values::These(words) => words.contains(value),
                Values::Version => true,
            };
            debug_assert!(is_allowed, "{} has no {name} {value}", metric.name);
            (*name, *value)
        });
        let all = named.chain(bound.map(|bound| ("le", bound)));
        let mut opening = '{';
        for (name, value) in all {
            write!(f, "{opening}{name}=\"{}\"", Escaped(value))?;
            opening = ',';
        }
        if opening == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// A text that ends neither its line nor its quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
