//! What an owner does whose copies are refused, since another claims its range.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// What a predecessor, which is a member, too, says when it is asked whether it names the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Yes,
    No,
    Nothing,
    NoMember,
}

/// The predecessor.
struct Predecessor {
    word: Cell<Word>,
    /// How often it was asked since there was a rival.
    n_asked: Cell<usize>,
}

impl Predecessor {
    fn that_says(word: Word) -> Rc<Self> {
        Rc::new(Self { word: Cell::new(word), n_asked: Cell::new(0) })
    }

    fn vouches(&self) -> Result<AnswerBody, Failure> {
        self.n_asked.set(self.n_asked.get() + 1);
        match self.word.get() {
            Word::Yes => Ok(AnswerBody::Vouched(true)),
            Word::No => Ok(AnswerBody::Vouched(false)),
            Word::Nothing => Err(Failure::Silent),
            Word::NoMember => Ok(AnswerBody::Refused(Denial::NotMember)),
        }
    }
}

type Answers = Box<dyn Fn(&PeerRequest) -> Result<PeerAnswer, Failure>>;

/// A settled owner of that key, whose predecessor and only member has a later group of another, and that record of the other's,
/// under another key of the owner's.
fn beside_a_rival(predecessor: &Rc<Predecessor>) -> (Pair<Answers>, Key, Record) {
    let (key, other) = (key_owned(true), keys_owned(true).nth(1).expect("there is one"));
    let rival = Version::new(5_000, 0, peer(2).position);
    let written = record(other.as_bytes(), other.position(size()));
    let (has_rival, others) = (Arc::new(AtomicBool::new(false)), owner_of(written.clone()));
    let neighbour = {
        let (has_rival, predecessor) = (has_rival.clone(), predecessor.clone());
        move |request: &PeerRequest| {
            let has_rival = has_rival.load(Ordering::Relaxed);
            let body = match request {
                PeerRequest::Vouch if has_rival => predecessor.vouches()?,
                PeerRequest::Vouch => AnswerBody::Vouched(true),
                PeerRequest::Store { group, .. } | PeerRequest::Confirm { group }
                    if has_rival && group.id < rival =>
                {
                    AnswerBody::Refused(Denial::OldGroup { known: rival })
                }
                PeerRequest::Store { .. } => AnswerBody::Stored { newer: Vec::new() },
                PeerRequest::Confirm { .. } => AnswerBody::Done,
                request if has_rival => return others(request),
                PeerRequest::Compare { .. } => AnswerBody::Compared {
                    standing: Standing { is_settled: true, beyond: Vec::new() },
                    comparison: Comparison::Same,
                },
                _ => return Err(Failure::Silent),
            };
            Ok(PeerAnswer { leaving: false, body })
        }
    };
    let neighbour: Answers = Box::new(neighbour);
    let mut pair = Pair::new(Arc::new(MemoryStore::new(size(), 1 << 20)), neighbour);
    pair.join();
    pair.pass(1_000);
    assert!(pair.node.status().is_complete && matches!(pair.operate(&key, set()), Some(Ok(_))));
    has_rival.store(true, Ordering::Relaxed);
    (pair, key, written)
}

fn set() -> Operation {
    Operation::Change {
        change: Change::Set(Value::new(b"new", 100).expect("it is short")),
        condition: Condition::Always,
        expiry: Expiry::Never,
    }
}

/// Whether the owner has surpassed a rival, and whether it has asked for all that it may lack, since it was last asked.
fn has_surpassed(pair: &Pair<Answers>) -> (bool, bool) {
    let has = |which: fn(&Event) -> bool| {
        pair.ended.iter().any(|output| matches!(output, Output::Event(event) if which(event)))
    };
    (has(|event| matches!(event, Event::Surpassed(_))), has(|event| matches!(event, Event::Complete(_))))
}

const REFUSED: Option<Result<Option<Record>, OperationError>> =
    Some(Err(OperationError::TooFewCopies { copies: 1, wanted: 2 }));

#[test]
fn an_owner_that_is_still_named_surpasses_a_later_group_and_sees_what_its_rival_wrote() {
    let (mut pair, key, written) = beside_a_rival(&Predecessor::that_says(Word::Yes));
    assert_eq!(pair.operate(&key, set()), REFUSED, "the rival may have built on what this replaces");
    assert_eq!(has_surpassed(&pair), (true, true));
    assert_eq!(pair.get(&written.key), Some(Ok(Some(written))));
    assert!(matches!(pair.operate(&key, set()), Some(Ok(_))), "the next one finds nobody in its way");
}

#[test]
fn an_owner_that_is_not_named_any_more_gives_way_to_a_later_group_until_it_is_named_again() {
    let predecessor = Predecessor::that_says(Word::No);
    let (mut pair, key, written) = beside_a_rival(&predecessor);
    assert_eq!(pair.operate(&key, set()), REFUSED);
    assert!(!has_surpassed(&pair).0 && !pair.node.answers_for(key.position(size())));
    assert_eq!(pair.get(&key), Some(Err(OperationError::NotOwner)), "it does not answer from the past");
    predecessor.word.set(Word::Yes);
    pair.pass(1_000);
    assert_eq!(pair.get(&written.key), Some(Ok(Some(written))));
}

#[test]
fn an_owner_neither_surpasses_a_rival_nor_gives_way_by_the_word_of_one_that_cannot_tell() {
    for word in [Word::Nothing, Word::NoMember] {
        let predecessor = Predecessor::that_says(word);
        let (mut pair, key, _) = beside_a_rival(&predecessor);
        assert_eq!(pair.operate(&key, set()), REFUSED, "{word:?}");
        assert!(predecessor.n_asked.get() > 0, "{word:?}: nobody was asked");
        assert!(!has_surpassed(&pair).0 && pair.node.answers_for(key.position(size())), "{word:?}");
    }
}
