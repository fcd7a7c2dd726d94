//! How the lines of a screen are shared between what is wrong, the drawing and the table.

use super::super::draw::ROWS_MIN;

/// Lines that what is wrong has before anything else: the worst of it, and how much more there is.
const WRONG_MIN: usize = 3;

/// A table of less has its headings alone.
const TABLE_MIN: usize = 3;

/// Lines that each would take if there were enough.
pub(super) struct Wanted {
    pub(super) wrong: usize,
    /// None, or at least [`ROWS_MIN`].
    pub(super) drawing: usize,
    pub(super) table: usize,
}

/// Lines that each has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) wrong: usize,
    pub(super) drawing: usize,
    pub(super) table: usize,
}

/// Shares out so many lines. None has more than it wants; the drawing has none or can be read, and so has the table.
pub(super) fn out(all: usize, wanted: &Wanted) -> Lines {
    let (mut lines, mut left) = (Lines::default(), all);
    let mut give = |to: &mut usize, least: usize, up_to: usize| {
        let more = up_to.saturating_sub(*to).min(left);
        if *to + more >= least {
            *to += more;
            left -= more;
        }
    };
    let table_min = wanted.table.min(TABLE_MIN);
    give(&mut lines.wrong, 0, wanted.wrong.min(WRONG_MIN));
    give(&mut lines.drawing, ROWS_MIN, wanted.drawing.min(ROWS_MIN));
    give(&mut lines.table, table_min, table_min);
    // Each has its least; now a part, and what one does not need the next may take.
    give(&mut lines.wrong, 0, wanted.wrong.min(all / 4));
    let part = (all - lines.wrong) / 3;
    give(&mut lines.table, table_min, wanted.table.min(part));
    give(&mut lines.drawing, ROWS_MIN, wanted.drawing);
    give(&mut lines.wrong, 0, wanted.wrong.min(all / 2));
    give(&mut lines.table, table_min, wanted.table);
    give(&mut lines.wrong, 0, wanted.wrong);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wanted_no_line_is_given_twice_and_none_is_left_over_that_somebody_wants() {
        for all in (0..70).chain([usize::MAX]) {
            for wrong in [0, 1, 5, 40, 600] {
                for drawing in [0, ROWS_MIN, 25] {
                    for table in [2, 4, 9, 201] {
                        let wanted = Wanted { wrong, drawing, table };
                        let lines = out(all, &wanted);
                        let given = lines.wrong + lines.drawing + lines.table;
                        let what = format!("{all} for {wrong}, {drawing}, {table}: {lines:?}");
                        assert!(given <= all && lines.wrong <= wrong && lines.table <= table, "{what}");
                        assert!(
                            lines.drawing == 0 || (ROWS_MIN..=drawing).contains(&lines.drawing),
                            "{what}"
                        );
                        assert!(lines.table == 0 || lines.table >= table.min(TABLE_MIN), "{what}");
                        let is_table_whole =
                            lines.table == table || lines.table == 0 && all - given < TABLE_MIN;
                        assert!(given == all || lines.wrong == wrong && is_table_whole, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn however_much_is_wrong_the_drawing_has_half_of_a_usual_screen() {
        let wanted = Wanted { wrong: 600, drawing: 25, table: 201 };
        assert_eq!(out(10, &wanted), Lines { wrong: 3, drawing: 7, table: 0 });
        assert_eq!(out(22, &wanted), Lines { wrong: 5, drawing: 12, table: 5 });
        assert_eq!(out(58, &wanted), Lines { wrong: 19, drawing: 25, table: 14 });
        let fine = Wanted { wrong: 1, drawing: 25, table: 9 };
        assert_eq!(out(22, &fine), Lines { wrong: 1, drawing: 14, table: 7 });
    }
}
