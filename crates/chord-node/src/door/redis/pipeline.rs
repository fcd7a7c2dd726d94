//! A pipeline: the commands of one connection that are under way, whose answers leave in the order of their requests.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::pin::Pin;

use futures_util::stream::{FuturesOrdered, StreamExt};
use futures_util::{FutureExt, future};

use super::answer::Answer;
use super::call::Running;

/// Commands of one connection that are under way, at most: as many as keep a node busy that waits for others.
const COMMANDS_MAX: usize = 128;

/// What a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Keys, by their hashes. Two keys with one hash only wait for each other without need.
    Keys(Vec<u64>),
    /// All keys that there are.
    All,
}

impl Touched {
    /// No key.
    pub(super) const NOTHING: Self = Self::Keys(Vec::new());

    /// One key.
    pub(super) fn key(key: &[u8]) -> Self {
        Self::Keys(vec![hash(key)])
    }
}

/// By what the pipeline tells keys apart.
pub(super) fn hash(key: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(key)
}

type Ended = (Touched, Answer);

/// Commands under way.
#[derive(Default)]
pub(super) struct Pipeline {
    running: FuturesOrdered<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// Those that have ended before them, in their order.
    ended: VecDeque<Ended>,
    /// How many of them are about each key.
    keys: BTreeMap<u64, usize>,
    /// How many of them are about all keys.
    of_all: usize,
}

impl Pipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.running.len() + self.ended.len() >= COMMANDS_MAX
    }

    /// Whether a command about that has to wait for one that is under way.
    pub(super) fn conflicts(&self, touched: &Touched) -> bool {
        match touched {
            Touched::Keys(keys) if self.of_all > 0 => !keys.is_empty(),
            Touched::Keys(keys) => {
                !self.keys.is_empty() && keys.iter().any(|key| self.keys.contains_key(key))
            }
            Touched::All => self.of_all > 0 || !self.keys.is_empty(),
        }
    }

    /// Another command, and what becomes of its answer as soon as it is there.
    pub(super) fn push(
        &mut self,
        running: Running,
        touched: Touched,
        keep: impl FnOnce(Answer) -> Answer + Send + 'static,
    ) {
        match &touched {
            Touched::All => self.of_all += 1,
            Touched::Keys(keys) => keys.iter().for_each(|key| *self.keys.entry(*key).or_default() += 1),
        }
        let ended = running.map(move |answer| (touched, keep(answer)));
        self.running.push_back(Box::pin(ended));
    }

    /// One that has its answer already, which waits for those before it.
    pub(super) fn push_done(&mut self, answer: Answer) {
        self.running.push_back(Box::pin(future::ready((Touched::NOTHING, answer))));
    }

    /// The next answer; `None` if nothing is under way. May be dropped at any point.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let (touched, answer) = match self.ended.pop_front() {
            Some(ended) => ended,
            None => self.running.next().await?,
        };
        let keys = match touched {
            Touched::Keys(keys) => keys,
            Touched::All => {
                self.of_all -= 1;
                Vec::new()
            }
        };
        for key in keys {
            if let Entry::Occupied(mut count) = self.keys.entry(key) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        Some(answer)
    }

    /// Lets what is under way go on while nobody takes an answer: what has come for it from others is not left lying where
    /// nobody counts it. Never ends, and may be dropped at any point.
    pub(super) async fn go_on(&mut self) -> Infallible {
        while let Some(ended) = self.running.next().await {
            self.ended.push_back(ended);
        }
        future::pending().await
    }

    /// The next answer if it is there.
    pub(super) fn ready(&mut self) -> Option<Answer> {
        if self.is_empty() { None } else { self.next().now_or_never().flatten() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[u64]) -> Touched {
        Touched::Keys(keys.to_vec())
    }

    #[tokio::test]
    async fn a_command_about_all_keys_waits_for_those_about_one_and_they_for_it() {
        let mut pipeline = Pipeline::default();
        assert!(!pipeline.conflicts(&Touched::All));
        pipeline.push(Box::pin(future::ready(Answer::OK)), Touched::NOTHING, |answer| answer);
        assert!(!pipeline.conflicts(&Touched::All), "it is about no key");
        pipeline.push(Box::pin(future::ready(Answer::OK)), keys(&[1]), |answer| answer);
        assert!(pipeline.conflicts(&Touched::All));
        while pipeline.next().await.is_some() {}
        pipeline.push(Box::pin(future::ready(Answer::OK)), Touched::All, |answer| answer);
        assert!(pipeline.conflicts(&keys(&[2])) && pipeline.conflicts(&Touched::All));
        assert!(!pipeline.conflicts(&Touched::NOTHING));
        while pipeline.next().await.is_some() {}
        assert!(!pipeline.conflicts(&keys(&[2])) && !pipeline.conflicts(&Touched::All));
    }

    #[tokio::test]
    async fn answers_leave_in_the_order_of_their_requests() {
        let mut pipeline = Pipeline::default();
        let (first, waits) = tokio::sync::oneshot::channel();
        pipeline.push(Box::pin(async { waits.await.unwrap() }), keys(&[1]), |answer| answer);
        pipeline.push(Box::pin(future::ready(Answer::Integer(2))), keys(&[2, 3]), |answer| answer);
        pipeline.push_done(Answer::Integer(3));
        assert!(
            pipeline.conflicts(&keys(&[3]))
                && pipeline.conflicts(&keys(&[7, 1]))
                && !pipeline.conflicts(&keys(&[7]))
        );
        assert_eq!(pipeline.ready(), None, "the first is not done");
        first.send(Answer::Integer(1)).unwrap();
        let mut answers = Vec::new();
        while let Some(answer) = pipeline.next().await {
            answers.push(answer);
        }
        assert_eq!(answers, [1, 2, 3].map(Answer::Integer));
        assert!(pipeline.is_empty() && !pipeline.conflicts(&keys(&[1, 2, 3])));
    }

    #[tokio::test]
    async fn two_commands_about_one_key_are_both_counted() {
        let mut pipeline = Pipeline::default();
        for _ in 0..2 {
            pipeline.push(Box::pin(future::ready(Answer::OK)), keys(&[5]), |_| Answer::Nothing);
        }
        assert_eq!(pipeline.ready(), Some(Answer::Nothing), "nobody wants to hear it");
        assert!(pipeline.conflicts(&keys(&[5])), "the second is still there");
        assert_eq!(pipeline.ready(), Some(Answer::Nothing));
        assert!(!pipeline.conflicts(&keys(&[5])));
    }

    #[tokio::test]
    async fn what_ends_while_nobody_takes_an_answer_is_kept_in_its_order() {
        let mut pipeline = Pipeline::default();
        let (first, waits) = tokio::sync::oneshot::channel();
        pipeline.push(Box::pin(async { waits.await.unwrap() }), keys(&[1]), |answer| answer);
        pipeline.push(Box::pin(future::ready(Answer::Integer(2))), keys(&[2]), |answer| answer);
        assert!(pipeline.go_on().now_or_never().is_none());
        first.send(Answer::Integer(1)).unwrap();
        assert!(pipeline.go_on().now_or_never().is_none());
        assert!(!pipeline.is_empty() && pipeline.conflicts(&keys(&[2])));
        pipeline.push_done(Answer::Integer(3));
        for idx in 1..=3 {
            assert_eq!(pipeline.ready(), Some(Answer::Integer(idx)));
        }
        assert!(pipeline.is_empty() && !pipeline.conflicts(&keys(&[1, 2])));
    }
}
