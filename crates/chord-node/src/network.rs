//! The network between nodes of one process, which can be cut in two to see what a ring does then.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use chord_ring::NodeName;
use tokio::sync::watch;

/// The network between nodes of one process, for those who want to see a ring that is cut in two. All nodes that are to feel
/// the cut are built with [`Builder::network`](crate::Builder::network) and a clone of the same.
///
/// A cut is that of a cable that is pulled: what one side sends to the other does not arrive, and nobody is told. What was sent
/// and not heard before the ring is whole again is heard then, as TCP does it. It lies between nodes alone: clients, and a node
/// that shows the whole ring to people, reach both sides.
#[derive(Clone, Debug)]
pub struct Network {
    apart: Arc<watch::Sender<BTreeSet<NodeName>>>,
}

impl Network {
    /// A network that is whole.
    pub fn new() -> Self {
        Self { apart: Arc::new(watch::Sender::new(BTreeSet::new())) }
    }

    /// Cuts these nodes off from all others. A cut that there was before ends.
    pub fn cut(&self, apart: impl IntoIterator<Item = NodeName>) {
        self.apart.send_replace(apart.into_iter().collect());
    }

    /// Ends the cut.
    pub fn heal(&self) {
        self.cut([]);
    }

    /// The nodes that are cut off from the others; none if the network is whole.
    pub fn apart(&self) -> BTreeSet<NodeName> {
        self.apart.borrow().clone()
    }

    pub(crate) fn road(&self, from: &NodeName, to: &NodeName) -> Road {
        Road { network: self.clone(), from: from.clone(), to: to.clone() }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

/// The way from one node to another.
pub(crate) struct Road {
    network: Network,
    from: NodeName,
    to: NodeName,
}

impl Road {
    /// Has an exchange, which stands still while the road is cut: whoever wants it sets the deadline.
    pub(crate) async fn travel<T>(&self, mut exchange: Pin<&mut impl Future<Output = T>>) -> T {
        let is_open = |apart: &BTreeSet<NodeName>| apart.contains(&self.from) == apart.contains(&self.to);
        let mut apart = self.network.apart.subscribe();
        loop {
            // The sender lives in `self`, so the channel cannot close.
            let _ = apart.wait_for(is_open).await.map(drop);
            tokio::select! {
                biased;
                _ = apart.wait_for(|apart| !is_open(apart)) => {}
                answer = &mut exchange => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn what_goes_from_one_side_to_the_other_stands_still_until_the_network_is_whole() {
        let network = Network::new();
        let [a, b, c] = ["a:1", "b:1", "c:1"].map(name);
        let (across, along) = (network.road(&a, &b), network.road(&b, &c));
        assert_eq!(across.travel(pin!(async { 1 })).await, 1);
        network.cut([a.clone()]);
        assert_eq!(along.travel(pin!(async { 2 })).await, 2, "on one side");
        let mut exchange = pin!(async { 3 });
        let mut travels = pin!(across.travel(exchange.as_mut()));
        assert!(travels.as_mut().now_or_never().is_none());
        network.cut([c]);
        assert_eq!(travels.await, 3, "this cut is elsewhere");
        network.cut([b.clone()]);
        let mut back = pin!(async { 4 });
        let road = network.road(&b, &a);
        let mut travels = pin!(road.travel(back.as_mut()));
        assert!(travels.as_mut().now_or_never().is_none());
        network.heal();
        assert_eq!((travels.await, network.apart().len()), (4, 0));
    }

    #[tokio::test]
    async fn an_exchange_under_way_when_the_network_is_cut_does_not_end() {
        let network = Network::new();
        let [a, b] = ["a:1", "b:1"].map(name);
        let road = network.road(&a, &b);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let mut exchange = pin!(answered);
        let mut travels = pin!(road.travel(exchange.as_mut()));
        assert!(travels.as_mut().now_or_never().is_none());
        network.cut([b]);
        answer.send(()).unwrap();
        assert!(travels.as_mut().now_or_never().is_none());
        network.heal();
        travels.await.unwrap();
    }
}
