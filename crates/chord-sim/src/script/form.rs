//! How each command is written, in one table: what the help shows, and what an error reminds of.

/// With more changes a word is another one, and no typo.
const CHANGES_MAX: usize = 2;

/// A command, how it is written, and what it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) name: &'static str,
    /// In each of its ways.
    pub(super) written: &'static [&'static str],
    pub(super) does: &'static str,
}

const fn form(name: &'static str, written: &'static [&'static str], does: &'static str) -> Form {
    Form { name, written, does }
}

/// The commands under their headings.
pub(super) const FORMS: [(&str, &[Form]); 6] = [
    (
        "The ring, before its first node",
        &[
            form("bits", &["bits M"], "positions are 0 to 2^M - 1; 6 bits if nothing is said"),
            form("successors", &["successors R"], "each node lists its next R nodes; 2 if nothing is said"),
        ],
    ),
    (
        "Nodes",
        &[
            form("ideal", &["ideal NODE..."], "the ideal ring of these; far fingers come with the rounds"),
            form(
                "member",
                &["member NODE [list NODE...] [predecessor NODE]"],
                "a member that believes this, be it new or there already",
            ),
            form("create", &["create NODE"], "a new node founds a ring of one"),
            form("join", &["join NODE via NODE"], "a new node joins; it may need some rounds"),
            form("fail", &["fail NODE"], "a node crashes and is gone"),
            form("leave", &["leave NODE"], "a node says farewell and is gone"),
            form("freeze", &["freeze NODE"], "a node answers nobody, like a stopped process"),
            form("thaw", &["thaw NODE"], "a frozen node goes on"),
            form("remember", &["remember NODE at NODE"], "the second is told of the first, as of a seed"),
            form("cut", &["cut NODE... | NODE..."], "nothing gets from one side to another"),
            form("heal", &["heal"], "everything gets through again"),
        ],
    ),
    (
        "Time",
        &[
            form("stabilize", &["stabilize NODE"], "one maintenance round of one node; a joiner tries again"),
            form("round", &["round [N]"], "such a round of every node, in the order of positions; N times"),
            form(
                "converge",
                &["converge [within N]"],
                "rounds until the ring is ideal; fails if it takes more",
            ),
        ],
    ),
    (
        "Messages, one by one",
        &[
            form("hold", &["hold"], "messages wait from now on"),
            form("messages", &["messages"], "shows those that wait"),
            form(
                "deliver",
                &["deliver N", "deliver NODE to NODE"],
                "number N arrives, or the oldest between two",
            ),
            form("release", &["release"], "all arrive, and none waits any more"),
        ],
    ),
    (
        "Looking",
        &[
            form("ring", &["ring"], "every node, and what the ring is as a whole"),
            form("lookup", &["lookup POSITION from NODE"], "the owner of a position, and the way to it"),
            form("fingers", &["fingers NODE"], "the finger table of a node"),
        ],
    ),
    (
        "Expecting: what does not hold is told, and the run goes on",
        &[form(
            "expect",
            &[
                "expect [not] ideal",
                "expect [not] ordered",
                "expect members NODE...",
                "expect principals NODE...",
                "expect owner NODE of POSITION from NODE",
                "expect NODE joining",
                "expect NODE [list NODE...] [predecessor NODE]",
            ],
            "`none` stands for no node",
        )],
    ),
];

/// The form of that name.
pub(super) fn named(name: &str) -> Option<&'static Form> {
    all().find(|form| form.name == name)
}

/// The command whose name a typo comes nearest to.
pub(super) fn nearest(word: &str) -> Option<&'static str> {
    let near = all().map(|form| (changes(word, form.name), form.name));
    near.filter(|(changes, _)| *changes <= CHANGES_MAX).min().map(|(_, name)| name)
}

impl Form {
    /// All ways of writing it, in a sentence.
    pub(super) fn ways(&self) -> String {
        self.written.iter().map(|written| format!("`{written}`")).collect::<Vec<_>>().join(" or ")
    }
}

/// All names, in the order of the table.
pub(super) fn names() -> String {
    all().map(|form| form.name).collect::<Vec<_>>().join(", ")
}

pub(super) fn all() -> impl Iterator<Item = &'static Form> {
    FORMS.iter().flat_map(|(_, forms)| *forms)
}

/// How many letters have to be put in, left out or changed to make the one word of the other (Levenshtein distance).
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.chars().enumerate() {
        let mut here = vec![row + 1];
        for (idx, theirs) in other.iter().enumerate() {
            let changed = above[idx] + usize::from(letter != *theirs);
            here.push(changed.min(above[idx + 1] + 1).min(here[idx] + 1));
        }
        above = here;
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_leads_to_the_command_that_was_meant_and_another_word_to_none() {
        for (word, meant) in [
            ("stabilise", Some("stabilize")),
            ("jion", Some("join")),
            ("lokup", Some("lookup")),
            ("rings", Some("ring")),
            ("exepct", Some("expect")),
            ("Heal", Some("heal")),
            ("crash", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word), meant, "{word}");
        }
    }

    #[test]
    fn every_command_is_written_with_its_own_name() {
        for form in all() {
            assert!(form.written.iter().all(|written| written.starts_with(form.name)), "{form:?}");
            assert_eq!(named(form.name), Some(form));
        }
    }
}
