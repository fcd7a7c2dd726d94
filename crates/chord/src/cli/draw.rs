//! The ring drawn in letters: nodes at their true angles, what each answers for, and where neighbours disagree.

mod canvas;

use anstyle::{AnsiColor, Style};

use chord::seen::SeenAs;

use super::seen::{Arc, Ring, State, sweep};
use canvas::{Canvas, Over};

/// What a drawing may be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Braille dots, which make fine lines, and signs.
    Unicode,
    Ascii,
}

/// How much room there is, in letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// The smallest drawing in which a ring can be told from a heap, and the largest that fits on one look.
pub(crate) const ROWS_MIN: usize = 7;
const ROWS_MAX: usize = 25;

/// Columns on each side for the names of nodes, at least.
const MARGIN_MIN: usize = 6;

/// The longest name that stands beside a node; the table has it whole.
const LABEL_CHARS_MAX: usize = 16;

/// Marks a part of the ring for which nobody answers, and one for which several do: no letter of a name, and no number of a node.
const NOBODY: char = '?';
const SEVERAL: char = '&';

/// Where the ring is so near its top or bottom, the cosine of its angle is above this.
const LIES_ABOVE: f64 = 0.6;

/// Letters are about twice as high as wide.
const COLUMNS_A_ROW: f64 = 2.0;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const HEALING: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();

/// The colours of arcs, in turn, none of which is that of trouble.
const HUES: [Style; 4] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Green.on_default(),
];

/// How a node in that state is drawn.
pub(crate) fn sign(letters: Letters, state: State) -> char {
    let (unicode, ascii) = match state {
        State::Ready => ('●', 'O'),
        State::NotReady => ('◐', 'o'),
        State::Incomplete => ('◑', 'o'),
        State::Disagrees => ('◆', '%'),
        State::NoMember | State::Left => ('○', '-'),
        State::Absent(SeenAs::OtherProgram) => ('◇', '+'),
        State::Absent(_) => ('✗', 'X'),
    };
    match letters {
        Letters::Unicode => unicode,
        Letters::Ascii => ascii,
    }
}

/// The colour of that state.
pub(crate) fn colour(state: State) -> Style {
    match state {
        State::Ready => GOOD,
        State::NotReady | State::Incomplete | State::Disagrees | State::NoMember => HEALING,
        State::Left | State::Absent(SeenAs::OtherProgram) => Style::new(),
        State::Absent(_) => BAD,
    }
}

/// Rows of the largest drawing in so many columns, or none.
pub(crate) fn rows_in(columns: usize) -> usize {
    (ROWS_MIN..=ROWS_MAX).rev().find(|rows| columns_of(*rows) <= columns).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some columns")]
fn columns_of(rows: usize) -> usize {
    (half(rows) * COLUMNS_A_ROW).ceil() as usize * 2 + 1 + 2 * MARGIN_MIN
}

/// The ring, each line ended; nothing where there is too little room.
pub(crate) fn draw(ring: &Ring, letters: Letters, room: Room) -> String {
    let rows = rows_in(room.columns).min(room.rows);
    if rows < ROWS_MIN {
        return String::new();
    }
    let margin = ((room.columns - columns_of(rows)) / 2 + MARGIN_MIN).min(LABEL_CHARS_MAX + 2);
    let columns = columns_of(rows) + 2 * (margin - MARGIN_MIN);
    let circle = Circle { x: half(columns), y: half(rows), rows: half(rows) - 1.0 };
    let mut canvas = Canvas::new(letters, columns, rows);
    draw_arcs(ring, &circle, &mut canvas);
    draw_torn(ring, &circle, &mut canvas);
    draw_nodes(ring, letters, &circle, &mut canvas);
    draw_middle(ring, &circle, &mut canvas);
    canvas.text()
}

/// The middle of so many letters.
fn half(letters: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some hundred letters")]
    let letters = letters as f64;
    (letters - 1.0) / 2.0
}

/// Where the ring stands, in letters.
struct Circle {
    x: f64,
    y: f64,
    rows: f64,
}

impl Circle {
    /// The point at that part of the circle; 0 is at the top, and the way is clockwise.
    fn point(&self, turn: f64) -> (f64, f64) {
        let angle = turn * std::f64::consts::TAU;
        (self.x + angle.sin() * self.rows * COLUMNS_A_ROW, self.y - angle.cos() * self.rows)
    }

    /// Steps round the whole circle that leave no dot out.
    fn steps(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand steps")]
        let steps = (self.rows * COLUMNS_A_ROW * std::f64::consts::TAU * 4.0) as u32;
        steps.max(1)
    }
}

/// What each node answers for: a line where it has all of it, a dashed one where it may not, or where one answers perhaps that
/// cannot tell, none where nobody answers, and a double one where several do.
fn draw_arcs(ring: &Ring, circle: &Circle, canvas: &mut Canvas) {
    let arcs = ring.arcs();
    let steps = circle.steps();
    for (idx, arc) in arcs.iter().enumerate() {
        let is_whole = arcs.len() == 1;
        let way = if is_whole { 1.0 } else { sweep(arc.from, arc.to) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand steps")]
        let n_steps = (way * f64::from(steps)).ceil() as u32;
        let style =
            if arc.owners > 1 { BAD } else { HUES.get(idx % HUES.len()).copied().unwrap_or_default() };
        for step in 0..=n_steps {
            let turn = arc.from + way * f64::from(step) / f64::from(n_steps.max(1));
            let is_sure = arc.is_complete && (arc.is_known || arc.owners > 0);
            let is_gap = !is_sure && step / 6 % 2 == 1;
            if (arc.owners == 0 && arc.is_known) || is_gap {
                continue;
            }
            let (x, y) = circle.point(turn);
            canvas.dot(x, y, if arc.owners > 1 { '=' } else { '.' }, style);
            if arc.owners > 1 {
                let inner = Circle { rows: circle.rows - 0.5, ..*circle };
                let (x, y) = inner.point(turn);
                canvas.dot(x, y, '=', style);
            }
        }
    }
    for arc in arcs.iter().filter(|arc| arc.is_claim()) {
        mark(arc, circle, canvas);
    }
}

/// A sign in the middle of an arc that is not one node's.
fn mark(arc: &Arc, circle: &Circle, canvas: &mut Canvas) {
    let (x, y) = circle.point(arc.from + sweep(arc.from, arc.to) / 2.0);
    canvas.letter(x, y, if arc.owners == 0 { NOBODY } else { SEVERAL }, BAD);
}

/// What the signs in the drawing mean that are not those of nodes, in a line; nothing if there are none.
pub(crate) fn legend(ring: &Ring) -> Option<String> {
    let claims = ring.claims();
    let mut words = Vec::new();
    if claims.iter().any(|arc| arc.owners > 1) {
        words.push(format!("{BAD}{SEVERAL}{BAD:#} several nodes answer"));
    }
    if claims.iter().any(|arc| arc.owners == 0) {
        words.push(format!("{BAD}{NOBODY}{BAD:#} nobody answers"));
    }
    if !ring.torn().is_empty() {
        words.push("a line across: they disagree".to_owned());
    }
    (!words.is_empty()).then(|| words.join("   "))
}

/// Beliefs that the other side does not share, from who believes to whom it is about.
fn draw_torn(ring: &Ring, circle: &Circle, canvas: &mut Canvas) {
    for belief in ring.torn() {
        let (Some(from), Some(to)) = (ring.node(belief.of), ring.node(belief.about)) else { continue };
        let ((from_x, from_y), (to_x, to_y)) = (circle.point(from.turn), circle.point(to.turn));
        let steps = circle.steps() / 2;
        for step in (0..=steps).filter(|step| step / 6 % 2 == 0) {
            let part = f64::from(step) / f64::from(steps.max(1));
            canvas.dot(from_x + (to_x - from_x) * part, from_y + (to_y - from_y) * part, '*', HEALING);
        }
    }
}

/// The nodes, those that are in trouble over those that are not, and their names; where not all names find room, the numbers
/// that they have in the table.
fn draw_nodes(ring: &Ring, letters: Letters, circle: &Circle, canvas: &mut Canvas) {
    let order = ring.order();
    let mut places: Vec<_> = order.iter().map(|place| (ring.state(place), place.turn)).collect();
    places.sort_by_key(|(state, _)| matches!(state, State::Absent(_) | State::Left));
    for (state, turn) in places {
        let (x, y) = circle.point(turn);
        canvas.letter(x, y, sign(letters, state), colour(state));
    }
    let named: Vec<_> = order.iter().map(|place| (ring.label(place.name()).to_owned(), place)).collect();
    let is_short = named.iter().all(|(label, _)| label.chars().count() <= LABEL_CHARS_MAX);
    let fits = |labels: &[(String, &&super::seen::Place)], canvas: &mut Canvas| {
        let before = canvas.clone();
        let all = labels.iter().all(|(label, place)| label_at(label, place.turn, circle, canvas));
        if !all {
            *canvas = before;
        }
        all
    };
    if !(is_short && fits(&named, canvas)) {
        for (idx, place) in order.iter().enumerate() {
            label_at(&(idx + 1).to_string(), place.turn, circle, canvas);
        }
    }
}

/// Writes a name outside of the circle, beside its node. Returns whether there was room.
fn label_at(label: &str, turn: f64, circle: &Circle, canvas: &mut Canvas) -> bool {
    let (x, y) = circle.point(turn);
    #[expect(clippy::cast_precision_loss, reason = "some letters")]
    let length = label.chars().count() as f64;
    let is_right = turn <= 0.5;
    let outward = if (0.25..0.75).contains(&turn) { 1.0 } else { -1.0 };
    let beside = (if is_right { x.round() + 2.0 } else { x.round() - 1.0 - length }, y.round());
    let aslant = (if is_right { x.round() + 1.0 } else { x.round() - length }, y.round() + outward);
    // Where the line of the ring lies rather than stands, it would run through what is written beside a node.
    let lies = (turn * std::f64::consts::TAU).cos().abs() > LIES_ABOVE;
    let places = if lies { [aslant, beside] } else { [beside, aslant] };
    let mut write = |over| places.iter().any(|(x, y)| canvas.write(*x, *y, label, Style::new(), over));
    write(Over::Nothing) || write(Over::Dots)
}

fn draw_middle(ring: &Ring, circle: &Circle, canvas: &mut Canvas) {
    if circle.rows < 5.0 {
        return;
    }
    let nodes = super::words::count(ring.members().count() as u64, "node", "nodes");
    let records = super::words::count(ring.records(), "record", "records");
    for (line, dy) in [(nodes, 0.0), (records, 1.0)] {
        #[expect(clippy::cast_precision_loss, reason = "some letters")]
        let begin = (circle.x - line.len() as f64 / 2.0).round();
        canvas.write(begin, circle.y.round() + dy, &line, QUIET, Over::Dots);
    }
}

#[cfg(test)]
pub(crate) mod tests;
