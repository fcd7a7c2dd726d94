//! The owners that this node has learned of from answers, and asks without a lookup: see [`chord_ring::Shortcuts`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use chord_ring::{Found, Lookup, NodeName, Peer, Position, RingSize, View};

use crate::age::Age;

/// How operations came to owners whom this node does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShortcutCounts {
    /// Owners that were asked at once and have said how it went.
    pub(crate) hits: u64,
    /// Peers that were asked at once and refused, or did not answer.
    pub(crate) wrong_guesses: u64,
    /// Lookups that went through the ring, since nobody was known.
    pub(crate) misses: u64,
    /// Owners that are remembered.
    pub(crate) size: usize,
}

#[derive(Debug)]
pub(crate) struct Shortcuts {
    /// What was learned grows old while the machine is suspended, too.
    age: Mutex<Age>,
    known: RwLock<chord_ring::Shortcuts>,
    hits: AtomicU64,
    wrong_guesses: AtomicU64,
    misses: AtomicU64,
}

impl Shortcuts {
    pub(crate) fn new(size: RingSize) -> Self {
        Self {
            age: Mutex::new(Age::zero()),
            known: RwLock::new(chord_ring::Shortcuts::new(size)),
            hits: AtomicU64::new(0),
            wrong_guesses: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whom to ask at once, instead of going on with that lookup.
    pub(crate) fn take(&self, lookup: &Lookup, view: &View) -> Option<Peer> {
        let now = self.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        lookup.shortcut(view, &known, now)
    }

    pub(crate) fn learn(&self, target: Position, found: &Found) {
        let now = self.now();
        self.known.write().unwrap_or_else(PoisonError::into_inner).learn(target, found, now);
    }

    pub(crate) fn forget(&self, peer: &NodeName) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).forget(peer);
    }

    pub(crate) fn forget_all(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn now(&self) -> Duration {
        self.age.lock().unwrap_or_else(PoisonError::into_inner).now().elapsed
    }

    /// One was asked at once, and has said how it went, or not.
    pub(crate) fn count_guess(&self, is_told: bool) {
        let counter = if is_told { &self.hits } else { &self.wrong_guesses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> ShortcutCounts {
        ShortcutCounts {
            hits: self.hits.load(Ordering::Relaxed),
            wrong_guesses: self.wrong_guesses.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            size: self.known.read().unwrap_or_else(PoisonError::into_inner).len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::{SHORTCUT_AGE_MAX, Step, is_ideal};

    use super::*;
    use crate::Node;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn what_was_learned_before_the_machine_was_suspended_is_too_old_after_it() {
        let size = RingSize::DEFAULT;
        let shortcuts = Shortcuts::new(size);
        let owner = Peer::of_name("h:1".parse().unwrap(), size);
        let target = owner.position;
        let found = Found { owner, hops: 1, path: Vec::new(), after: Some(Position::ZERO), took: Vec::new() };
        shortcuts.learn(target, &found);
        let is_known = || shortcuts.known.read().unwrap().owner_of(target, shortcuts.now()).is_some();
        assert!(is_known());
        shortcuts.age.lock().unwrap().suspend(SHORTCUT_AGE_MAX / 2);
        assert!(is_known());
        shortcuts.age.lock().unwrap().suspend(SHORTCUT_AGE_MAX / 2);
        assert!(!is_known());
    }

    /// A ring whose nodes list one other each.
    async fn ring() -> Vec<Node> {
        let builder = Node::builder().listen("127.0.0.1:0").replicas(1).successors(1);
        let mut nodes = vec![builder.clone().start().await.unwrap()];
        while nodes.len() < 6 {
            let node = builder.clone().join(nodes[0].name().clone()).start().await.unwrap();
            tokio::time::timeout(DEADLINE, node.ready()).await.unwrap().unwrap();
            nodes.push(node);
        }
        let ideal = async {
            while !is_ideal(nodes.iter().map(Node::view).collect::<Vec<_>>().iter().map(AsRef::as_ref)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, ideal).await.expect("the ring becomes ideal");
        nodes
    }

    /// A key whose owner that node does not list, and where it lies.
    fn far_key(node: &Node) -> (String, Position) {
        let positions = (0..100_000).map(|idx| format!("key{idx}"));
        let positions = positions.map(|key| (node.shared().ring.size.position_of(key.as_bytes()), key));
        let mut far = positions.filter(|(position, _)| {
            matches!(Lookup::of(*position).step(&node.view()), Step::Ask { question, .. } if !question.named)
        });
        let (position, key) = far.next().expect("one of many keys is far away");
        (key, position)
    }

    #[tokio::test]
    async fn an_owner_that_was_found_is_asked_at_once_the_next_time() {
        let nodes = ring().await;
        let node = &nodes[3];
        let asked_at_once = async {
            loop {
                // Another one each time that the node has come to know more of its neighbours.
                let (key, _) = far_key(node);
                node.put(key.as_bytes(), b"value").await.unwrap();
                let before = node.shared().shortcuts.counts();
                let got = node.get(key.as_bytes()).await.unwrap();
                assert_eq!(got.value.unwrap().as_bytes(), b"value");
                let after = node.shared().shortcuts.counts();
                // One that is believed in no more, on a machine that stands still, is looked for again.
                if after.hits > before.hits && got.hops == 1 {
                    assert!(after.size > 0);
                    return (key, got.owner);
                }
            }
        };
        let (key, owner) = tokio::time::timeout(DEADLINE, asked_at_once).await.expect("it is remembered");
        let owner = nodes.iter().find(|node| *node.name() == owner).unwrap();
        owner.shutdown().await;
        let got = node.get(key.as_bytes()).await.unwrap();
        assert_eq!(got.value.unwrap().as_bytes(), b"value", "its successor has it");
    }

    #[tokio::test]
    async fn a_wrong_guess_is_never_a_wrong_answer() {
        let nodes = ring().await;
        let node = &nodes[3];
        let shared = node.shared();
        let (key, position) = far_key(node);
        let stored = nodes[0].put(key.as_bytes(), b"value").await.unwrap();
        let believe = |name: &NodeName| {
            let found = Found {
                owner: shared.peer(name.clone()),
                hops: 1,
                path: Vec::new(),
                after: None,
                took: Vec::new(),
            };
            shared.shortcuts.learn(position, &found);
        };
        let others =
            nodes.iter().map(Node::name).filter(|name| **name != stored.owner && *name != node.name());
        for wrong in others {
            shared.asker().is_seed(wrong, &shared.links.to(wrong)).await.unwrap();
            let before = shared.shortcuts.counts().wrong_guesses;
            believe(wrong);
            let got = node.get(key.as_bytes()).await.unwrap();
            assert_eq!(got.value.unwrap().as_bytes(), b"value", "not from {wrong}");
            assert_eq!(got.owner, stored.owner);
            assert_eq!(shared.shortcuts.counts().wrong_guesses, before + 1, "{wrong} was asked");
        }
        let before = shared.shortcuts.counts();
        believe(&"127.0.0.1:1".parse().unwrap());
        let got = node.get(key.as_bytes()).await.unwrap();
        assert_eq!(got.owner, stored.owner);
        let after = shared.shortcuts.counts();
        assert_eq!(after.wrong_guesses, before.wrong_guesses, "one that may not check it is not asked");
    }
}
