//! Records in order, in boards of some dozens: a tree of two levels with hardly any air in it.

use std::cmp::Ordering;

use super::packed::Packed;

/// Most records on one board. An insertion moves half of them on average, 1.5 kB: as much as one cache miss costs.
const BOARD_RECORDS_MAX: usize = 128;

/// By how many records a board grows: what is empty on it is half of that on average.
const BOARD_GROWTH: usize = 16;

/// Records in order.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The first prefix on each board, so that a search need not look at the boards.
    firsts: Vec<u64>,
    boards: Vec<Board>,
}

/// Some records, at least one.
#[derive(Debug, Default)]
struct Board(Vec<Entry>);

/// What a record begins with, and beside it the rest: whoever has found the one has the other at hand.
type Entry = (u64, Packed);

/// A place on a shelf: which board, and where on it. It may be past the last record of its board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    board: usize,
    at: usize,
}

impl Place {
    /// Before all records.
    pub(super) const FIRST: Self = Self { board: 0, at: 0 };

    /// After the record that is there.
    pub(super) fn next(self) -> Self {
        Self { at: self.at + 1, ..self }
    }
}

impl Shelf {
    /// Where the record is that compares as equal, or where it would be. `compare` is asked only about records that begin
    /// with `prefix`.
    pub(super) fn find(&self, prefix: u64, compare: impl Fn(&Packed) -> Ordering) -> Result<Place, Place> {
        let (begin, end) = equal(&self.firsts, |first| *first, prefix);
        let same = self.boards[begin..end].partition_point(|board| compare(&board.0[0].1).is_le());
        let board = (begin + same).saturating_sub(1);
        let Some(Board(entries)) = self.boards.get(board) else { return Err(Place::FIRST) };
        let (begin, end) = equal(entries, |entry| entry.0, prefix);
        match entries[begin..end].binary_search_by(|entry| compare(&entry.1)) {
            Ok(at) => Ok(Place { board, at: begin + at }),
            Err(at) => Err(Place { board, at: begin + at }),
        }
    }

    pub(super) fn get(&self, place: Place) -> (u64, &Packed) {
        let (prefix, record) = &self.boards[place.board].0[place.at];
        (*prefix, record)
    }

    /// Puts another record with the same slot there.
    pub(super) fn replace(&mut self, place: Place, record: Packed) {
        self.boards[place.board].0[place.at].1 = record;
    }

    /// Puts a record where [`Shelf::find`] did not find it.
    pub(super) fn insert(&mut self, place: Place, prefix: u64, record: Packed) {
        let Place { mut board, mut at } = place;
        let is_last = board + 1 >= self.boards.len();
        match self.boards.get_mut(board) {
            // Records that come in order fill their boards.
            Some(full) if full.0.len() == BOARD_RECORDS_MAX && at == BOARD_RECORDS_MAX && is_last => {
                (board, at) = (board + 1, 0);
                self.put_board(board, prefix, Board::default());
            }
            Some(full) if full.0.len() == BOARD_RECORDS_MAX => {
                let upper = full.split();
                self.put_board(board + 1, upper.0[0].0, upper);
                if at > BOARD_RECORDS_MAX / 2 {
                    (board, at) = (board + 1, at - BOARD_RECORDS_MAX / 2);
                }
            }
            Some(_) => {}
            None => self.put_board(board, prefix, Board::default()),
        }
        self.boards[board].insert(at, prefix, record);
        self.firsts[board] = self.boards[board].0[0].0;
    }

    pub(super) fn remove(&mut self, place: Place) {
        let board = &mut self.boards[place.board];
        board.0.remove(place.at);
        if let Some((first, _)) = board.0.first() {
            self.firsts[place.board] = *first;
            self.tidy(place.board);
        } else {
            self.boards.remove(place.board);
            self.firsts.remove(place.board);
        }
    }

    /// Records from a place on, in order, each with its prefix.
    pub(super) fn from(&self, place: Place) -> impl Iterator<Item = (u64, &Packed)> {
        let boards = self.boards.iter().skip(place.board);
        boards.enumerate().flat_map(move |(n, board)| {
            let skipped = if n == 0 { place.at } else { 0 };
            board.0.iter().skip(skipped).map(|(prefix, record)| (*prefix, record))
        })
    }

    fn put_board(&mut self, at: usize, first: u64, board: Board) {
        self.boards.insert(at, board);
        self.firsts.insert(at, first);
    }

    /// Lets go of room that a board no longer needs, and of boards that are nearly empty.
    fn tidy(&mut self, at: usize) {
        let next_records = self.boards.get(at + 1).map(|next| next.0.len());
        if next_records.is_some_and(|next| next + self.boards[at].0.len() <= BOARD_RECORDS_MAX / 2) {
            let next = self.boards.remove(at + 1);
            self.firsts.remove(at + 1);
            self.boards[at].0.extend(next.0);
        }
        self.boards[at].shrink();
    }
}

impl Board {
    /// Keeps the lower half and gives the upper.
    fn split(&mut self) -> Self {
        let mut upper = Self(self.0.split_off(BOARD_RECORDS_MAX / 2));
        self.shrink();
        upper.shrink();
        upper
    }

    fn shrink(&mut self) {
        let wanted = self.0.len() + BOARD_GROWTH;
        if self.0.capacity() > wanted + BOARD_GROWTH {
            self.0.shrink_to(wanted);
        }
    }

    fn insert(&mut self, at: usize, prefix: u64, record: Packed) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(BOARD_GROWTH);
        }
        self.0.insert(at, (prefix, record));
    }
}

/// Where those begin and end, of some in order, whose prefix is this one; where it would be if there are none.
fn equal<T>(entries: &[T], prefix_of: impl Fn(&T) -> u64, prefix: u64) -> (usize, usize) {
    let begin = first_not_below(entries, &prefix_of, prefix);
    let same = entries[begin..].iter().take(2).take_while(|other| prefix_of(other) == prefix).count();
    if same < 2 {
        return (begin, begin + same);
    }
    (begin, begin + entries[begin..].partition_point(|other| prefix_of(other) == prefix))
}

/// Positions are hashes, so where one stands among others can be guessed; from there it is not far. A wrong guess
/// costs a few steps more than halving would.
fn first_not_below<T>(entries: &[T], prefix_of: impl Fn(&T) -> u64, prefix: u64) -> usize {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return 0 };
    let (first, last) = (prefix_of(first), prefix_of(last));
    if prefix <= first {
        return 0;
    }
    if prefix > last {
        return entries.len();
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess between 0 and the last place"
    )]
    let guess = ((prefix - first) as f64 / (last - first) as f64 * (entries.len() - 1) as f64) as usize;
    let guess = guess.min(entries.len() - 1);
    let (mut low, mut high, mut step) = (guess, guess, 1);
    while low > 0 && prefix_of(&entries[low]) >= prefix {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 1;
    while high < entries.len() && prefix_of(&entries[high]) < prefix {
        low = high;
        high = (high + step).min(entries.len());
        step *= 2;
    }
    low + entries[low..high].partition_point(|other| prefix_of(other) < prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guessed_search_finds_what_a_plain_one_does() {
        let even: Vec<u64> = (0..128).map(|n| n * 1000).collect();
        let steep: Vec<u64> = (0..64).map(|n| 1 << n).collect();
        let level = [5; 100].to_vec();
        let far = vec![0, u64::MAX - 1, u64::MAX];
        for prefixes in [Vec::new(), vec![7], even, steep, level, far] {
            let near = prefixes
                .iter()
                .flat_map(|prefix| [prefix.saturating_sub(1), *prefix, prefix.saturating_add(1)]);
            for prefix in near.chain([0, 6, 12345, u64::MAX]) {
                let begin = prefixes.partition_point(|other| *other < prefix);
                let end = prefixes.partition_point(|other| *other <= prefix);
                assert_eq!(
                    equal(&prefixes, |other| *other, prefix),
                    (begin, end),
                    "{prefix} in {prefixes:?}"
                );
            }
        }
    }
}
