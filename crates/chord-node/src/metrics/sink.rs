//! What numbers are told to, metric by metric: the text at `/metrics`, or values for the program that runs the node.

use std::fmt;

use super::count::Distribution;
use super::table::Metric;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "a sum of more than 2^53 is as good rounded")]
    pub(super) fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<bool> for Number {
    fn from(is_so: bool) -> Self {
        Self::Whole(u64::from(is_so))
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number}"),
        }
    }
}

/// Takes what is told.
pub(crate) trait Sink {
    /// A metric begins, whose numbers follow.
    fn begins(&mut self, metric: &'static Metric);

    /// It has this number, for these values of its labels.
    fn has(&mut self, metric: &'static Metric, labels: &[&str], number: Number);

    /// It has a distribution: `bounds` are those of its counts but the last, and what they count in becomes `total` in that
    /// unit.
    fn has_distribution(
        &mut self,
        metric: &'static Metric,
        labels: &[&str],
        counted: &Distribution,
        bounds: &[f64],
        total: Number,
    );
}

impl dyn Sink + '_ {
    /// A metric without labels.
    pub(crate) fn tell(&mut self, metric: &'static Metric, number: impl Into<Number>) {
        self.begin(metric).one(&[], number);
    }

    /// The same of what may not be known: then there is no number.
    pub(crate) fn tell_if(&mut self, metric: &'static Metric, number: Option<impl Into<Number>>) {
        let mut family = self.begin(metric);
        if let Some(number) = number {
            family.one(&[], number);
        }
    }

    /// Begins a metric, whose numbers follow.
    pub(crate) fn begin<'a>(&'a mut self, metric: &'static Metric) -> Family<'a> {
        self.begins(metric);
        Family { sink: self, metric }
    }
}

/// A metric that has begun.
pub(crate) struct Family<'a> {
    sink: &'a mut dyn Sink,
    metric: &'static Metric,
}

impl Family<'_> {
    /// A number, for these values of the labels.
    pub(crate) fn one(&mut self, labels: &[&str], number: impl Into<Number>) -> &mut Self {
        self.sink.has(self.metric, labels, number.into());
        self
    }

    /// A distribution, as in [`Sink::has_distribution`].
    pub(crate) fn distribution(
        &mut self,
        labels: &[&str],
        counted: &Distribution,
        bounds: &[f64],
        total: Number,
    ) {
        self.sink.has_distribution(self.metric, labels, counted, bounds, total);
    }
}
