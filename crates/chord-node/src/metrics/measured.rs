//! Numbers as values, for the program that runs the node: to tell them in another form, or to act on them.

use super::count::Distribution;
use super::sink::{Number, Sink};
use super::table::{Kind, Metric};

/// One metric of a node with its numbers: see [`Node::metrics`](crate::Node::metrics).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// As at `/metrics`.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// `seconds` or `bytes`, if it is in these.
    pub unit: Option<&'static str>,
    /// What sort of number it is.
    pub kind: Kind,
    /// Its numbers: one for each set of labels; none of what is not known.
    pub series: Vec<Series>,
}

/// A number with its labels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// Each label with its value.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub number: Measurement,
}

/// What was counted or measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Measurement {
    /// A whole number.
    Whole(u64),
    /// Another one.
    Real(f64),
    /// What a histogram counted.
    Distribution {
        /// Up to which size, itself included, each count but the last goes.
        bounds: Vec<f64>,
        /// How often within each bound and above the one before, and last, above all of them.
        counts: Vec<u64>,
        /// All sizes together.
        sum: f64,
    },
}

impl Sink for Vec<Measured> {
    fn begins(&mut self, metric: &'static Metric) {
        let Metric { name, kind, unit, help, labels: _ } = metric;
        self.push(Measured { name, help, unit: *unit, kind: *kind, series: Vec::new() });
    }

    fn has(&mut self, metric: &'static Metric, labels: &[&str], number: Number) {
        let number = match number {
            Number::Whole(number) => Measurement::Whole(number),
            Number::Real(number) => Measurement::Real(number),
        };
        add(self, metric, labels, number);
    }

    fn has_distribution(
        &mut self,
        metric: &'static Metric,
        labels: &[&str],
        counted: &Distribution,
        bounds: &[f64],
        total: Number,
    ) {
        let (bounds, counts) = (bounds.to_vec(), counted.counts.clone());
        add(self, metric, labels, Measurement::Distribution { bounds, counts, sum: total.real() });
    }
}

fn add(all: &mut [Measured], metric: &'static Metric, values: &[&str], number: Measurement) {
    let labels = metric.labels.iter().zip(values).map(|((name, _), value)| (*name, (*value).to_owned()));
    let last = all.last_mut().expect("a metric has begun before it has numbers");
    last.series.push(Series { labels: labels.collect(), number });
}
