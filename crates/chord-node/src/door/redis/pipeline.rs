//! A pipeline: the commands of one connection that are under way, whose answers leave in the order of their requests.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::pin::Pin;

use futures_util::stream::{FuturesOrdered, StreamExt};
use futures_util::{FutureExt, future};

use super::answer::Answer;
use super::call::Running;

/// Commands of one connection that are under way, at most: as many as keep a node busy that waits for others.
const COMMANDS_MAX: usize = 128;

/// The keys that a command is about, by their hashes. Two keys with one hash only wait for each other without need.
pub(super) type Hashes = Vec<u64>;

type Ended = (Hashes, Answer);

/// Commands under way.
#[derive(Default)]
pub(super) struct Pipeline {
    running: FuturesOrdered<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// How many of them are about each key.
    keys: BTreeMap<u64, usize>,
}

impl Pipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= COMMANDS_MAX
    }

    /// Whether a command about these keys has to wait for one that is under way.
    pub(super) fn conflicts(&self, keys: &Hashes) -> bool {
        !self.keys.is_empty() && keys.iter().any(|key| self.keys.contains_key(key))
    }

    /// Another command; whether its answer is sent.
    pub(super) fn push(&mut self, running: Running, keys: Hashes, is_heard: bool) {
        for key in &keys {
            *self.keys.entry(*key).or_default() += 1;
        }
        let ended = running.map(move |answer| (keys, if is_heard { answer } else { Answer::Nothing }));
        self.running.push_back(Box::pin(ended));
    }

    /// One that has its answer already, which waits for those before it.
    pub(super) fn push_done(&mut self, answer: Answer) {
        self.running.push_back(Box::pin(future::ready((Hashes::new(), answer))));
    }

    /// The next answer; `None` if nothing is under way. May be dropped at any point.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let (keys, answer) = self.running.next().await?;
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

    /// The next answer if it is there.
    pub(super) fn ready(&mut self) -> Option<Answer> {
        self.next().now_or_never().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_leave_in_the_order_of_their_requests() {
        let mut pipeline = Pipeline::default();
        let (first, waits) = tokio::sync::oneshot::channel();
        pipeline.push(Box::pin(async { waits.await.unwrap() }), vec![1], true);
        pipeline.push(Box::pin(future::ready(Answer::Integer(2))), vec![2, 3], true);
        pipeline.push_done(Answer::Integer(3));
        assert!(
            pipeline.conflicts(&vec![3]) && pipeline.conflicts(&vec![7, 1]) && !pipeline.conflicts(&vec![7])
        );
        assert_eq!(pipeline.ready(), None, "the first is not done");
        first.send(Answer::Integer(1)).unwrap();
        let mut answers = Vec::new();
        while let Some(answer) = pipeline.next().await {
            answers.push(answer);
        }
        assert_eq!(answers, [1, 2, 3].map(Answer::Integer));
        assert!(pipeline.is_empty() && !pipeline.conflicts(&vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn two_commands_about_one_key_are_both_counted() {
        let mut pipeline = Pipeline::default();
        for _ in 0..2 {
            pipeline.push(Box::pin(future::ready(Answer::OK)), vec![5], false);
        }
        assert_eq!(pipeline.ready(), Some(Answer::Nothing), "nobody wants to hear it");
        assert!(pipeline.conflicts(&vec![5]), "the second is still there");
        assert_eq!(pipeline.ready(), Some(Answer::Nothing));
        assert!(!pipeline.conflicts(&vec![5]));
    }
}
