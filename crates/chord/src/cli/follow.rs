//! The whole ring, followed through one node, and through another when that one is gone.

use std::pin::Pin;
use std::time::Duration;

use chord::seen::LiveRing;
use chord::{Client, ClientError, NodeName};

use super::client;
use super::seen::Ring;

/// How long to wait before a node is tried again, at first and at most: twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long another node may take to begin: while one stands still there are others to ask.
const OTHER_WAIT: Duration = Duration::from_secs(2);

/// Letters of why the ring is out of sight, at most: a line or two.
pub(crate) const TROUBLE_CHARS_MAX: usize = 300;

type Trying = Pin<Box<dyn Future<Output = Result<LiveRing, ClientError>>>>;

/// Whoever shows the ring, or is asked to.
enum Link {
    Live(Box<LiveRing>),
    Trying(NodeName, Trying),
}

/// Follows the ring.
pub(crate) struct Follower {
    ring: Ring,
    /// What a node shows before it has asked everybody.
    coming: Option<Ring>,
    link: Link,
    /// Whom to try, the one that was asked first at first.
    names: Vec<NodeName>,
    /// How many attempts have failed since the ring was seen last.
    n_failed: usize,
    wait: Duration,
    /// One that is let in as all others must be.
    client: Client,
}

/// What has become of it.
#[derive(Debug)]
pub(crate) enum Sight {
    /// The ring is to be seen, and something has changed.
    Changed,
    /// The ring is not to be seen at the moment: why, and who is tried next.
    Lost { why: ClientError, next: NodeName },
}

impl Follower {
    /// Begins with a node that answers within `wait`, as all later ones must.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn begin(client: Client, wait: Duration) -> anyhow::Result<Self> {
        let node = client.node().clone();
        let live = match client.of_other(node.clone()).live_ring(wait).await {
            Ok(live) => live,
            Err(error) => return Err(client::explained(error).await),
        };
        let ring = Ring::new(live.ring().size);
        let (coming, link) = (Some(ring.clone()), Link::Live(Box::new(live)));
        Ok(Self { ring, coming, link, names: vec![node], n_failed: 0, wait, client })
    }

    /// A client of another node.
    pub(crate) fn client_of(&self, node: NodeName) -> Client {
        self.client.of_other(node)
    }

    /// The first sight of the whole ring.
    ///
    /// # Errors
    /// The node shows none, or not in time.
    pub(crate) async fn first_sight(&mut self) -> anyhow::Result<()> {
        let node = self.names.first().cloned();
        match tokio::time::timeout(self.wait, self.next()).await {
            Ok(Sight::Changed) => Ok(()),
            Ok(Sight::Lost { why, .. }) => Err(why.into()),
            Err(_) => {
                let node = node.map_or_else(String::new, |node| node.to_string());
                anyhow::bail!("{node} did not show the ring within {} s", self.wait.as_secs())
            }
        }
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// What happens next. May be dropped at any point.
    pub(crate) async fn next(&mut self) -> Sight {
        loop {
            match &mut self.link {
                Link::Live(live) => match live.next().await {
                    Ok(event) => {
                        self.coming.as_mut().unwrap_or(&mut self.ring).take(event);
                        if let Some(ring) = self.coming.take_if(|ring| ring.has_asked_all) {
                            self.ring = ring;
                        }
                        if self.coming.is_none() {
                            self.n_failed = 0;
                            return Sight::Changed;
                        }
                    }
                    Err(why) => {
                        let was = live.client().node().clone();
                        self.remember(&was, matches!(why, ClientError::Silent { .. }));
                        return self.lost(why);
                    }
                },
                Link::Trying(_, trying) => match trying.await {
                    Ok(live) => {
                        self.coming = Some(Ring::new(live.ring().size));
                        self.link = Link::Live(Box::new(live));
                    }
                    Err(why) => return self.lost(why),
                },
            }
        }
    }

    /// Keeps in mind who may show the ring: the one that did, and those that answered when it was seen last. One that stands
    /// still is asked after the others, since it takes as long as may be to find out that it does so still.
    fn remember(&mut self, was: &NodeName, is_silent: bool) {
        let answered = self.ring.members().filter_map(|(place, _)| place.name().parse().ok());
        let others = answered.filter(|name| name != was);
        let mut names: Vec<NodeName> = [was.clone()].into_iter().chain(others).collect();
        if is_silent {
            names.rotate_left(1);
        }
        // A node that was just begun with may have shown nothing yet.
        self.names = if self.ring.at_ms > 0 { names } else { std::mem::take(&mut self.names) };
    }

    fn lost(&mut self, why: ClientError) -> Sight {
        let idx = self.n_failed % self.names.len().max(1);
        let next = self.names.get(idx).cloned().unwrap_or_else(|| self.fallback());
        let pause = pause(self.n_failed);
        self.n_failed = self.n_failed.saturating_add(1);
        let wait = if self.names.len() > 1 { self.wait.min(OTHER_WAIT) } else { self.wait };
        let client = self.client.of_other(next.clone());
        let trying = Box::pin(async move {
            tokio::time::sleep(pause).await;
            client.live_ring(wait).await
        });
        self.link = Link::Trying(next.clone(), trying);
        Sight::Lost { why, next }
    }

    fn fallback(&self) -> NodeName {
        match &self.link {
            Link::Live(live) => live.client().node().clone(),
            Link::Trying(name, _) => name.clone(),
        }
    }
}

/// The pause before another attempt, after so many that failed.
fn pause(n_failed: usize) -> Duration {
    let doublings = u32::try_from(n_failed).unwrap_or(u32::MAX).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pauses = [0, 1, 4, 5, usize::MAX].map(|n_failed| pause(n_failed).as_millis());
        assert_eq!(pauses, [250, 500, 4000, 5000, 5000]);
    }
}
