//! Tables for people: columns as wide as they must be, numbers to the right.

use std::fmt::Write as _;

use super::output::HEADING;

/// Which way the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A table: its headings, and rows of as many cells.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// The same without a column.
    pub(crate) fn without(mut self, column: usize) -> Self {
        self.columns.remove(column);
        for row in &mut self.rows {
            row.remove(column);
        }
        self
    }

    /// Letters of its longest line, at most.
    pub(crate) fn total_width(&self) -> usize {
        (0..self.columns.len()).map(|column| self.width(column) + 2).sum::<usize>().saturating_sub(2)
    }

    /// Which column has that heading.
    pub(crate) fn column(&self, heading: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| *column == heading)
    }

    /// The table as text, each line ended.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let headings = self.line(self.columns.iter().map(|(heading, _)| *heading));
        writeln!(text, "{HEADING}{headings}{HEADING:#}").expect("a string takes every text");
        for row in &self.rows {
            text.push_str(&self.line(row.iter().map(String::as_str)));
            text.push('\n');
        }
        text
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        for (idx, (cell, (_, side))) in cells.zip(&self.columns).enumerate() {
            let width = self.width(idx);
            let gap = if idx == 0 { "" } else { "  " };
            let written = match side {
                Side::Left => write!(line, "{gap}{cell:<width$}"),
                Side::Right => write!(line, "{gap}{cell:>width$}"),
            };
            written.expect("a string takes every text");
        }
        line.trim_end().to_owned()
    }

    fn width(&self, column: usize) -> usize {
        let heading = self.columns.get(column).map_or(0, |(heading, _)| heading.len());
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(heading, usize::max)
    }
}

/// `number` with a comma after each third digit: 14,000.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&[("op", Side::Left), ("ops/s", Side::Right), ("x", Side::Left)]);
        table.row(vec!["put".to_owned(), "1".to_owned(), "a".to_owned()]);
        table.row(vec!["longer".to_owned(), "123,456".to_owned(), String::new()]);
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(plain, "op        ops/s  x\nput           1  a\nlonger  123,456\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 999, 1000, 14_000, 1_234_567, 100_000];
        let texts = ["0", "999", "1,000", "14,000", "1,234,567", "100,000"];
        assert_eq!(numbers.map(thousands), texts);
    }
}
