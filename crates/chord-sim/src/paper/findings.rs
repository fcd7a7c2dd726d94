//! What an experiment found, set beside the paper's figures: tables of cells, curves, and claims.

use super::plot::Chart;

/// One experiment's outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// By which users name it: `fig10`.
    pub id: &'static str,
    /// What it measures, in a few words.
    pub title: &'static str,
    /// Where it stands in which paper.
    pub source: &'static str,
    /// How it was done, and how that differs from the paper: one sentence a line.
    pub method: String,
    /// The first has the experiment's own id.
    pub tables: Vec<Table>,
    /// The first has the experiment's own id.
    pub charts: Vec<Chart>,
    /// What holds of the whole.
    pub claims: Vec<Claim>,
    /// Whether all of it was run.
    pub is_complete: bool,
}

/// Figures by setting: a file `ID.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Names its file.
    pub id: &'static str,
    /// What the rows differ in, as it heads a column of a table and of a file.
    pub setting: &'static str,
    /// The columns.
    pub measures: Vec<Measure>,
    /// One for each setting.
    pub rows: Vec<Row>,
}

/// What a column measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// As people read it.
    pub name: &'static str,
    /// As it stands behind `paper_` and `ours_` in the file.
    pub column: &'static str,
    /// Digits behind the point.
    pub digits: usize,
    /// The two percentiles that stand beside the value, if any: (1, 99).
    pub spread: Option<(u8, u8)>,
    /// Why a cell may be outside of its band.
    pub outside: &'static str,
    /// Why cells with a figure of the paper may have no band, and what to make of the difference.
    pub unbanded: &'static str,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its value, as text.
    pub setting: String,
    /// One for each measure of the table.
    pub cells: Vec<Cell>,
}

/// The paper's figure, and ours.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Cell {
    /// Printed in the paper, or read off its plot.
    pub paper: Option<Figure>,
    /// What a formula says.
    pub model: Option<f64>,
    /// Measured here.
    pub ours: Option<Figure>,
    /// Where ours should be.
    pub band: Option<Band>,
}

/// A figure, with two percentiles around it where they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The mean, the median or the only value, as the measure's name says.
    pub value: f64,
    /// The lower and the upper percentile.
    pub spread: Option<(f64, f64)>,
}

/// Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The smallest figure that passes.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// One sentence that should be true of the whole experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The sentence.
    pub text: String,
    /// What was found.
    pub ours: String,
    /// Whether it is true.
    pub holds: bool,
}

/// How many of the figures are where they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Cells that have a band.
    pub n_banded: usize,
    /// Those of them that lie in it.
    pub n_within: usize,
    /// Claims.
    pub n_claims: usize,
    /// Those of them that hold.
    pub n_true: usize,
}

impl Findings {
    /// How many of the figures are where they should be.
    pub fn score(&self) -> Score {
        let cells: Vec<&Cell> = self.tables.iter().flat_map(Table::banded).map(|(_, _, cell)| cell).collect();
        Score {
            n_banded: cells.len(),
            n_within: cells.iter().filter(|cell| cell.is_within() == Some(true)).count(),
            n_claims: self.claims.len(),
            n_true: self.claims.iter().filter(|claim| claim.holds).count(),
        }
    }
}

impl Measure {
    /// A measure of single values with so many digits behind the point.
    pub const fn new(name: &'static str, column: &'static str, digits: usize) -> Self {
        Self { name, column, digits, spread: None, outside: "", unbanded: "" }
    }

    /// The same, with two percentiles beside each value.
    pub const fn with_spread(self, low: u8, high: u8) -> Self {
        Self { spread: Some((low, high)), ..self }
    }

    /// The same, with what explains a cell outside of its band.
    pub const fn explained(self, outside: &'static str) -> Self {
        Self { outside, ..self }
    }

    /// The same, with why cells beside the paper's have no band.
    pub const fn without_band(self, unbanded: &'static str) -> Self {
        Self { unbanded, ..self }
    }

    /// `value` with the digits of this measure.
    pub fn number(&self, value: f64) -> String {
        format!("{value:.digits$}", digits = self.digits)
    }

    /// `value` as an end of a spread or a band.
    pub(super) fn short(&self, value: f64) -> String {
        short(value, self.digits.max(2))
    }

    /// A figure as the papers print it: `3.84 (2, 5)`.
    pub fn figure(&self, figure: Figure) -> String {
        let value = self.number(figure.value);
        match figure.spread {
            Some((low, high)) => format!("{value} ({}, {})", self.short(low), self.short(high)),
            None => value,
        }
    }
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, spread: None }
    }
}

impl Figure {
    /// A figure between two percentiles.
    pub const fn between(value: f64, low: f64, high: f64) -> Self {
        Self { value, spread: Some((low, high)) }
    }
}

impl Band {
    /// From `low` to `high`.
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// No farther than `reach` from `middle`.
    pub fn around(middle: f64, reach: f64) -> Self {
        Self::new(middle - reach, middle + reach)
    }

    /// Whether `value`, rounded as it is shown, lies in it.
    pub fn holds(&self, value: f64) -> bool {
        const ROUNDING: f64 = 1e-9;
        (self.low - ROUNDING..=self.high + ROUNDING).contains(&value)
    }
}

impl Cell {
    /// What was measured here, and nothing to set beside it.
    pub fn ours(figure: impl Into<Figure>) -> Self {
        Self { ours: Some(figure.into()), ..Self::default() }
    }

    /// The same, beside the paper's figure.
    pub fn beside(self, paper: impl Into<Figure>) -> Self {
        Self { paper: Some(paper.into()), ..self }
    }

    /// The same, beside what a formula says.
    pub fn modelled(self, model: f64) -> Self {
        Self { model: Some(model), ..self }
    }

    /// The same, which should lie in `band`.
    pub fn within(self, band: Band) -> Self {
        Self { band: Some(band), ..self }
    }

    /// Whether ours lies in its band; none if there is no band.
    pub fn is_within(&self) -> Option<bool> {
        Some(self.band?.holds(self.ours?.value))
    }
}

impl Table {
    /// The file: a line of names, then a line for each row.
    pub fn csv(&self) -> String {
        let mut lines = vec![self.csv_head()];
        for row in &self.rows {
            let mut fields = vec![row.setting.clone()];
            for (idx, cell) in row.cells.iter().enumerate() {
                self.csv_cell(idx, cell, &mut fields);
            }
            lines.push(fields.join(","));
        }
        lines.join("\n") + "\n"
    }

    fn csv_head(&self) -> String {
        let mut names = vec![self.setting.to_lowercase().replace(' ', "_")];
        for (idx, measure) in self.measures.iter().enumerate() {
            let mut figure = |whose: &str| {
                names.push(format!("{whose}_{}", measure.column));
                if let Some((low, high)) = measure.spread {
                    names.extend([low, high].map(|p| format!("{whose}_{}_p{p}", measure.column)));
                }
            };
            if self.has_paper(idx) {
                figure("paper");
            }
            figure("ours");
            if self.has_model(idx) {
                names.push(format!("model_{}", measure.column));
            }
            if self.has_band(idx) {
                names.extend(["low", "high"].map(|end| format!("band_{}_{end}", measure.column)));
            }
        }
        names.join(",")
    }

    fn csv_cell(&self, idx: usize, cell: &Cell, fields: &mut Vec<String>) {
        let measure = &self.measures[idx];
        let number = |value: Option<f64>| value.map(|value| measure.number(value)).unwrap_or_default();
        let mut figure = |figure: Option<Figure>| {
            fields.push(number(figure.map(|figure| figure.value)));
            if measure.spread.is_some() {
                let spread = figure.and_then(|figure| figure.spread);
                fields.extend(
                    [spread.map(|ends| ends.0), spread.map(|ends| ends.1)]
                        .map(|end| end.map(|end| measure.short(end)).unwrap_or_default()),
                );
            }
        };
        if self.has_paper(idx) {
            figure(cell.paper);
        }
        figure(cell.ours);
        if self.has_model(idx) {
            fields.push(number(cell.model));
        }
        if self.has_band(idx) {
            fields.extend([number(cell.band.map(|band| band.low)), number(cell.band.map(|band| band.high))]);
        }
    }

    /// Whether the paper has a figure anywhere in that column.
    pub fn has_paper(&self, idx: usize) -> bool {
        self.rows.iter().any(|row| row.cells[idx].paper.is_some())
    }

    /// Whether a formula says anything in that column.
    pub fn has_model(&self, idx: usize) -> bool {
        self.rows.iter().any(|row| row.cells[idx].model.is_some())
    }

    /// Whether any cell of that column has a band.
    pub fn has_band(&self, idx: usize) -> bool {
        self.rows.iter().any(|row| row.cells[idx].band.is_some())
    }

    /// The measures that have a figure of the paper without a band anywhere.
    pub fn unbanded(&self) -> impl Iterator<Item = &Measure> {
        let has_bare = |idx: usize| {
            let mut cells = self.rows.iter().map(move |row| &row.cells[idx]);
            cells.any(|cell| cell.paper.is_some() && cell.band.is_none())
        };
        self.measures.iter().enumerate().filter(move |(idx, _)| has_bare(*idx)).map(|(_, measure)| measure)
    }

    /// The cells that have a band, with their row and measure.
    pub fn banded(&self) -> impl Iterator<Item = (&Row, &Measure, &Cell)> {
        let cells = self.rows.iter().flat_map(|row| {
            row.cells.iter().zip(&self.measures).map(move |(cell, measure)| (row, measure, cell))
        });
        cells.filter(|(_, _, cell)| cell.is_within().is_some())
    }
}

/// A number with no more digits than it needs, so many at most behind the point.
pub(super) fn short(value: f64, digits_max: usize) -> String {
    let text = format!("{value:.digits_max$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
