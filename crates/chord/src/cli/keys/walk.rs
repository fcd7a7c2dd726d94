//! The way of `chord keys`: round the ring, or through all that one node keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use chord::{
    Client, ClientError, ClientKeys, Cursor, Header, KeysError, NodeName, Position, Range, RingSize,
};

/// On its way.
pub(super) enum Walk {
    /// Round the whole ring, and which nodes have told.
    Around(Box<ClientKeys>, BTreeSet<NodeName>),
    Here(Box<Here>),
}

/// Through all that one node keeps.
pub(super) struct Here {
    client: Client,
    size: RingSize,
    home: Position,
    cursor: Option<Cursor>,
    is_over: bool,
    n_pages: u64,
    deadline: Duration,
}

/// Some keys.
pub(super) struct Page {
    pub(super) node: NodeName,
    pub(super) headers: Vec<Header>,
}

impl Walk {
    /// Round the whole ring of a node.
    ///
    /// # Errors
    /// The node cannot be asked about its ring.
    pub(super) async fn around(client: Client, deadline: Duration) -> Result<Self, ClientError> {
        Ok(Self::Around(Box::new(client.into_keys(deadline).await?), BTreeSet::new()))
    }

    /// Through all that one node keeps.
    ///
    /// # Errors
    /// The node cannot be asked about its ring.
    pub(super) async fn here(client: Client, deadline: Duration) -> Result<Self, ClientError> {
        let size = client.ring(deadline).await?.size;
        let home = size.position_of(client.node().as_str().as_bytes());
        let here = Here { client, size, home, cursor: None, is_over: false, n_pages: 0, deadline };
        Ok(Self::Here(Box::new(here)))
    }

    /// The next page; `None` at the end of the way.
    ///
    /// # Errors
    /// What comes next is not told. The way may go on behind it.
    pub(super) async fn next_page(&mut self) -> Result<Option<Page>, KeysError> {
        match self {
            Self::Around(keys, told) => {
                let Some(page) = keys.next_page().await? else { return Ok(None) };
                told.insert(page.owner.clone());
                Ok(Some(Page { node: page.owner, headers: page.keys }))
            }
            Self::Here(here) => Ok(here.next_page().await?),
        }
    }

    /// Goes on behind what is not told. Returns whether there is anything.
    pub(super) fn skip(&mut self) -> bool {
        match self {
            Self::Around(keys, _) => keys.skip(),
            Self::Here(_) => false,
        }
    }

    /// How much of the way is done, in percent.
    pub(super) fn percent_done(&self) -> u64 {
        let fraction = match self {
            Self::Around(keys, _) => keys.fraction(),
            Self::Here(here) => here.fraction(),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
        let percent = (fraction * 100.0) as u64;
        percent
    }

    /// How many nodes have told what they keep, or some of it.
    pub(super) fn n_told(&self) -> u64 {
        match self {
            Self::Around(_, told) => told.len() as u64,
            Self::Here(here) => here.n_pages.min(1),
        }
    }
}

impl Here {
    async fn next_page(&mut self) -> Result<Option<Page>, ClientError> {
        if self.is_over {
            return Ok(None);
        }
        let all = Range { after: self.home, up_to: self.home };
        let listed = self.client.list(all, self.cursor.clone(), self.deadline).await?;
        let node = self.client.node().clone();
        if listed.next.is_some() && listed.next == self.cursor {
            return Err(ClientError::Garbled { node, reason: "its list does not go on".to_owned() });
        }
        self.is_over = listed.next.is_none();
        self.cursor = listed.next;
        self.n_pages += 1;
        Ok(Some(Page { node, headers: listed.headers }))
    }

    fn fraction(&self) -> f64 {
        let done = |cursor: &Cursor| self.size.fraction(self.size.distance(self.home, cursor.position));
        if self.is_over { 1.0 } else { self.cursor.as_ref().map_or(0.0, done) }
    }
}
