//! A sheet of letters. Lines are made of dots, eight to a letter where there is Braille, and of letters where there is none.

use std::fmt::Write as _;

use anstyle::Style;

use super::Letters;

/// One letter, and what lies in its place.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Which of the eight dots are there, as Braille numbers them.
    dots: u8,
    /// What stands for the dots where there is no Braille.
    plain: Option<char>,
    /// What is written over the dots.
    letter: Option<char>,
    style: Style,
}

/// Over what may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    Dots,
}

#[derive(Clone, Debug)]
pub(super) struct Canvas {
    letters: Letters,
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

/// The first of the Braille signs: the others follow in the order of their dots as bits.
const BRAILLE: u32 = 0x2800;

/// The bit of each dot, by its column and row within a letter.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

impl Canvas {
    pub(super) fn new(letters: Letters, columns: usize, rows: usize) -> Self {
        Self { letters, columns, rows, cells: vec![Cell::default(); columns * rows] }
    }

    /// Puts a dot at a point, in letters; `plain` stands for it where there is no Braille.
    pub(super) fn dot(&mut self, x: f64, y: f64, plain: char, style: Style) {
        let (Some(column), Some(row)) = (index((x + 0.5) * 2.0), index((y + 0.5) * 4.0)) else { return };
        let bit = DOTS.get(column % 2).and_then(|rows| rows.get(row % 4)).copied().unwrap_or_default();
        if let Some(cell) = self.cell(column / 2, row / 4) {
            cell.dots |= bit;
            cell.plain = Some(plain);
            cell.style = style;
        }
    }

    /// Writes one letter over what is there.
    pub(super) fn letter(&mut self, x: f64, y: f64, letter: char, style: Style) {
        if let (Some(column), Some(row)) = (index(x.round()), index(y.round()))
            && let Some(cell) = self.cell(column, row)
        {
            (cell.letter, cell.style) = (Some(letter), style);
        }
    }

    /// Writes a line if no other letters are in its place or beside it. Returns whether it did.
    pub(super) fn write(&mut self, x: f64, y: f64, line: &str, style: Style, over: Over) -> bool {
        let (Some(column), Some(row)) = (index(x), index(y)) else { return false };
        let n_letters = line.chars().count();
        let end = column + n_letters;
        if end > self.columns || row >= self.rows {
            return false;
        }
        let is_free = |cell: &Cell| cell.letter.is_none() && (over == Over::Dots || cell.dots == 0);
        let mut beside = column.saturating_sub(1)..(end + 1).min(self.columns);
        let are_apart = beside.all(|column| self.cell(column, row).is_some_and(|cell| cell.letter.is_none()));
        if !(are_apart
            && (column..end).all(|column| self.cell(column, row).is_some_and(|cell| is_free(cell))))
        {
            return false;
        }
        for (offset, letter) in line.chars().enumerate() {
            if let Some(cell) = self.cell(column + offset, row) {
                *cell = Cell { letter: Some(letter), style, ..Cell::default() };
            }
        }
        true
    }

    /// The sheet as text, each line ended, without the empty lines at its beginning and end.
    pub(super) fn text(&self) -> String {
        let lines: Vec<String> = self.cells.chunks(self.columns).map(|row| self.line(row)).collect();
        let is_blank = |line: &&String| line.is_empty();
        let begin = lines.iter().take_while(is_blank).count();
        let end = lines.len() - lines.iter().rev().take_while(is_blank).count();
        let shown = lines.get(begin..end).unwrap_or_default();
        shown.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn line(&self, row: &[Cell]) -> String {
        let (mut line, mut blanks, mut current) = (String::new(), 0, Style::new());
        for cell in row {
            let Some(letter) = self.shown(*cell) else {
                blanks += 1;
                continue;
            };
            line.extend(std::iter::repeat_n(' ', std::mem::take(&mut blanks)));
            let Cell { style, .. } = cell;
            let written = if *style == current {
                write!(line, "{letter}")
            } else {
                write!(line, "{current:#}{style}{letter}")
            };
            written.expect("a string takes every text");
            current = *style;
        }
        write!(line, "{current:#}").expect("a string takes every text");
        line
    }

    fn shown(&self, cell: Cell) -> Option<char> {
        let dots = match self.letters {
            Letters::Unicode if cell.dots > 0 => char::from_u32(BRAILLE + u32::from(cell.dots)),
            Letters::Unicode => None,
            Letters::Ascii => cell.plain,
        };
        cell.letter.or(dots).filter(|letter| *letter != ' ')
    }

    fn cell(&mut self, column: usize, row: usize) -> Option<&mut Cell> {
        if column >= self.columns || row >= self.rows {
            return None;
        }
        self.cells.get_mut(row * self.columns + column)
    }
}

/// A whole number of letters or dots, if the point is on the sheet.
fn index(value: f64) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
    let index = value.floor() as usize;
    (0.0..10_000.0).contains(&value).then_some(index)
}
