//! From text to statements.

use std::iter::Peekable;
use std::str::SplitWhitespace;

use chord_ring::{Config, RingName, RingSize, RingTag, SUCCESSORS_LIMIT};

use super::error::{Problem, ScriptError};
use super::form::{self, Form};
use super::statement::{Before, Deed, Expectation, Look, Set, Shape, Statement, Which};
use super::{BITS_MAX, BYTES_MAX, NODES_MAX, OUTPUT_MARK, ROUNDS_DEFAULT, ROUNDS_MAX, Script};

/// Bits of the ring of a script that says nothing: that of the papers' figures.
const BITS_DEFAULT: u64 = 6;

/// Successors of each node where the script says nothing: with two, the papers' failures take the fewest steps.
const SUCCESSORS_DEFAULT: u8 = 2;

/// Letters of the script that an error repeats of one word.
const WORD_SHOWN_MAX: usize = 30;

/// Reads a whole script.
pub(super) fn parse(text: &str) -> Result<Script, ScriptError> {
    if text.len() > BYTES_MAX {
        let within = text.bytes().take(BYTES_MAX);
        let line = within.filter(|byte| *byte == b'\n').count() + 1;
        return Err(ScriptError { line, problem: Problem::TooLarge });
    }
    // Some editors begin a file with this mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { bits: BITS_DEFAULT, successors: SUCCESSORS_DEFAULT, has_begun: false };
    let mut lines = Vec::new();
    for (idx, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with(OUTPUT_MARK)) {
        let number = idx + 1;
        let statement = reader.line(line).map_err(|problem| ScriptError { line: number, problem })?;
        lines.push(super::Line { number, text: line.trim_end().to_owned(), statement });
    }
    Ok(Script { config: reader.config(), lines })
}

/// What is known when a line is reached.
struct Reader {
    bits: u64,
    successors: u8,
    /// Whether the settings can no longer change.
    has_begun: bool,
}

impl Reader {
    fn config(&self) -> Config {
        let size = RingSize::new(self.bits).expect("the bits were checked when they were read");
        let config = Config::new(RingTag { name: RingName::default(), size });
        config.with_successors(self.successors).expect("the successors were checked when they were read")
    }

    fn line(&mut self, line: &str) -> Result<Option<Statement>, Problem> {
        let code = line.split_once('#').map_or(line, |(code, _)| code);
        let mut rest = code.split_whitespace().peekable();
        let Some(name) = rest.next() else { return Ok(None) };
        let Some(form) = form::named(name) else { return Err(unknown(name)) };
        let mut words = Words { form, rest, bits: self.bits };
        let statement = self.statement(&mut words)?;
        words.end()?;
        self.has_begun |= statement.is_some();
        Ok(statement)
    }

    fn statement(&mut self, words: &mut Words<'_>) -> Result<Option<Statement>, Problem> {
        let statement = match words.form.name {
            "bits" | "successors" => {
                self.setting(words)?;
                return Ok(None);
            }
            "ideal" | "member" | "cut" | "heal" | "hold" => Statement::Set(set(words)?),
            "ring" | "lookup" | "fingers" | "messages" => Statement::Look(look(words)?),
            "converge" | "expect" => Statement::Expect(expectation(words)?),
            _ => Statement::Do(deed(words)?),
        };
        Ok(Some(statement))
    }

    fn setting(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        if self.has_begun {
            return Err(Problem::Late(words.form.name));
        }
        if words.form.name == "bits" {
            self.bits = words.number("number of bits", 1, BITS_MAX)?;
        } else {
            let number = words.number("number of successors", 1, SUCCESSORS_LIMIT.into())?;
            self.successors = u8::try_from(number).unwrap_or(SUCCESSORS_LIMIT);
        }
        Ok(())
    }
}

fn set(words: &mut Words<'_>) -> Result<Set, Problem> {
    Ok(match words.form.name {
        "ideal" => Set::Ideal(words.distinct_nodes()?),
        "member" => {
            let at = words.position()?;
            let list = words.list()?.unwrap_or_default();
            Set::Member { at, list, predecessor: words.predecessor()?.and_then(Before::node) }
        }
        "cut" => Set::Cut(words.sides()?),
        "heal" => Set::Heal,
        "hold" => Set::Hold,
        name => return Err(unknown(name)),
    })
}

fn look(words: &mut Words<'_>) -> Result<Look, Problem> {
    Ok(match words.form.name {
        "ring" => Look::Ring,
        "lookup" => {
            let target = words.position()?;
            words.expect("from")?;
            Look::Lookup { target, from: words.position()? }
        }
        "fingers" => Look::Fingers(words.position()?),
        "messages" => Look::Messages,
        name => return Err(unknown(name)),
    })
}

fn deed(words: &mut Words<'_>) -> Result<Deed, Problem> {
    let is_at_end = words.is_at_end();
    Ok(match words.form.name {
        "create" => Deed::Create(words.position()?),
        "join" => {
            let at = words.position()?;
            words.expect("via")?;
            let contact = words.position()?;
            if contact == at {
                return Err(Problem::ThroughItself(at));
            }
            Deed::Join { at, contact }
        }
        "fail" => Deed::Fail(words.position()?),
        "leave" => Deed::Leave(words.position()?),
        "freeze" => Deed::Freeze(words.position()?),
        "thaw" => Deed::Thaw(words.position()?),
        "remember" => {
            let seed = words.position()?;
            words.expect("at")?;
            Deed::Remember { seed, at: words.position()? }
        }
        "stabilize" => Deed::Stabilize(words.position()?),
        "round" if is_at_end => Deed::Round { n_rounds: 1 },
        "round" => Deed::Round { n_rounds: words.rounds()? },
        "deliver" => {
            let from = words.number("number of a message", 0, u64::MAX)?;
            if words.accepts("to") {
                return Ok(Deed::Deliver(Which::Between { from, to: words.position()? }));
            }
            Deed::Deliver(Which::Number(usize::try_from(from).unwrap_or(usize::MAX)))
        }
        "release" => Deed::Release,
        name => return Err(unknown(name)),
    })
}

fn expectation(words: &mut Words<'_>) -> Result<Expectation, Problem> {
    if words.form.name != "converge" {
        return words.expectation();
    }
    if words.is_at_end() {
        return Ok(Expectation::Converge { rounds_max: ROUNDS_DEFAULT });
    }
    words.expect("within")?;
    Ok(Expectation::Converge { rounds_max: words.rounds()? })
}

fn unknown(word: &str) -> Problem {
    let shown = shown(word);
    match form::nearest(word) {
        Some(nearest) => Problem::Typo { word: shown, nearest },
        None => Problem::NoCommand { word: shown, names: form::names() },
    }
}

/// As much of a word as an error repeats.
fn shown(word: &str) -> String {
    if word.chars().count() <= WORD_SHOWN_MAX {
        return word.to_owned();
    }
    word.chars().take(WORD_SHOWN_MAX).chain("…".chars()).collect()
}

/// What follows the name of a command.
struct Words<'a> {
    form: &'static Form,
    rest: Peekable<SplitWhitespace<'a>>,
    bits: u64,
}

impl Words<'_> {
    fn is_at_end(&mut self) -> bool {
        self.rest.peek().is_none()
    }

    fn accepts(&mut self, word: &str) -> bool {
        self.rest.next_if_eq(&word).is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), Problem> {
        if self.accepts(word) { Ok(()) } else { Err(self.misses(word)) }
    }

    fn misses(&mut self, what: &str) -> Problem {
        let found = match self.rest.peek() {
            Some(word) => format!("{:?} stands where {what} belongs", shown(word)),
            None => format!("{what} is missing"),
        };
        Problem::Form { found, ways: self.form.ways() }
    }

    fn end(&mut self) -> Result<(), Problem> {
        match self.rest.peek() {
            Some(word) => {
                let found = format!("{:?} is too much", shown(word));
                Err(Problem::Form { found, ways: self.form.ways() })
            }
            None => Ok(()),
        }
    }

    fn number(&mut self, what: &'static str, least: u64, most: u64) -> Result<u64, Problem> {
        let Some(word) = self.rest.next() else { return Err(self.misses(&format!("a {what}"))) };
        let digits = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| Problem::Number {
            word: shown(word),
            what,
            least,
            most,
        })
    }

    fn position(&mut self) -> Result<u64, Problem> {
        self.number("position", 0, u64::MAX >> (BITS_MAX - self.bits))
    }

    fn rounds(&mut self) -> Result<usize, Problem> {
        let number = self.number("number of rounds", 1, ROUNDS_MAX as u64)?;
        Ok(usize::try_from(number).unwrap_or(ROUNDS_MAX))
    }

    /// Nodes up to the next word that is no number.
    fn nodes(&mut self) -> Result<Vec<u64>, Problem> {
        let mut nodes = Vec::new();
        while self.rest.peek().is_some_and(|word| word.bytes().any(|byte| byte.is_ascii_digit())) {
            let at = self.position()?;
            if nodes.len() == NODES_MAX {
                return Err(Problem::TooManyNodes);
            }
            nodes.push(at);
        }
        Ok(nodes)
    }

    fn some_nodes(&mut self) -> Result<Vec<u64>, Problem> {
        let nodes = self.nodes()?;
        if nodes.is_empty() { Err(self.misses("a node")) } else { Ok(nodes) }
    }

    /// The same, each of them once.
    fn distinct_nodes(&mut self) -> Result<Vec<u64>, Problem> {
        let nodes = self.some_nodes()?;
        match nodes.iter().enumerate().find(|(idx, at)| nodes.iter().take(*idx).any(|other| other == *at)) {
            Some((_, at)) => Err(Problem::Twice(*at)),
            None => Ok(nodes),
        }
    }

    /// Nodes, or `none`.
    fn nodes_or_none(&mut self) -> Result<Vec<u64>, Problem> {
        if self.accepts("none") { Ok(Vec::new()) } else { self.some_nodes() }
    }

    fn list(&mut self) -> Result<Option<Vec<u64>>, Problem> {
        if self.accepts("list") { self.nodes_or_none().map(Some) } else { Ok(None) }
    }

    fn predecessor(&mut self) -> Result<Option<Before>, Problem> {
        if !self.accepts("predecessor") {
            return Ok(None);
        }
        let before = if self.accepts("none") { Before::Nobody } else { Before::Node(self.position()?) };
        Ok(Some(before))
    }

    fn sides(&mut self) -> Result<Vec<Vec<u64>>, Problem> {
        let mut sides = vec![self.distinct_nodes()?];
        self.expect("|")?;
        sides.push(self.distinct_nodes()?);
        while self.accepts("|") {
            sides.push(self.distinct_nodes()?);
        }
        let on_two = sides.iter().enumerate().find_map(|(idx, side)| {
            let later = sides.iter().skip(idx + 1).flatten();
            later.into_iter().find(|at| side.contains(at))
        });
        on_two.map_or(Ok(()), |at| Err(Problem::Twice(*at)))?;
        Ok(sides)
    }

    fn expectation(&mut self) -> Result<Expectation, Problem> {
        let wanted = !self.accepts("not");
        for (word, is) in [("ideal", Shape::Ideal), ("ordered", Shape::Ordered)] {
            if self.accepts(word) {
                return Ok(Expectation::Ring { is, wanted });
            }
        }
        if !wanted {
            return Err(self.misses("`ideal` or `ordered`"));
        }
        if self.accepts("members") {
            return self.nodes_or_none().map(Expectation::Members);
        }
        if self.accepts("principals") {
            return self.nodes_or_none().map(Expectation::Principals);
        }
        if self.accepts("owner") {
            let owner = self.position()?;
            self.expect("of")?;
            let target = self.position()?;
            self.expect("from")?;
            return Ok(Expectation::Owner { owner, target, from: self.position()? });
        }
        if self.rest.peek().is_none_or(|word| !word.bytes().any(|byte| byte.is_ascii_digit())) {
            return Err(self.misses("what is expected"));
        }
        let at = self.position()?;
        if self.accepts("joining") {
            return Ok(Expectation::Joining(at));
        }
        let (list, predecessor) = (self.list()?, self.predecessor()?);
        if list.is_none() && predecessor.is_none() {
            return Err(self.misses("`list`, `predecessor` or `joining`"));
        }
        Ok(Expectation::Beliefs { at, list, predecessor })
    }
}
