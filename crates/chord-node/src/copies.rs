//! One key: the way to it, who should have a copy, and what each of them says that it has.

use std::sync::Arc;

use chord_kv::replication::{AnswerBody, PeerRequest};
use chord_kv::{Key, Range};
use chord_ring::{NodeName, Peer, Position};
use chord_wire::rest::{
    CopiesBody, CopyBody, CopyState, NodeBody, ReportBody, STEPS_EXPLAINED_MAX, SeenAs, TraceBody, WayFound,
};
use futures_util::future::{join, join_all};
use tokio::time::Instant;

use crate::OperationError;
use crate::age::now_ms;
use crate::crawl::ask_once;
use crate::operation::Ticket;
use crate::shared::Shared;

/// Nodes that are asked for a copy, at most: as many as may keep one.
const COPIES_MAX: usize = chord_kv::replication::REPLICAS_MAX as usize;

impl Shared {
    /// Who keeps a key, and what each of them has.
    pub(crate) async fn copies(
        self: &Arc<Self>,
        key: &Key,
        ticket: Ticket,
    ) -> Result<CopiesBody, OperationError> {
        let position = key.position(self.ring.size);
        let owner = self.look_up(position, ticket).await?.owner;
        Ok(self.copies_at(key, &owner).await)
    }

    /// The way to a key, why each node on it named the next, and what each keeper has.
    pub(crate) async fn trace(
        self: &Arc<Self>,
        key: &Key,
        ticket: Ticket,
    ) -> Result<TraceBody, OperationError> {
        let (position, size) = (key.position(self.ring.size), self.ring.size);
        let began = Instant::now();
        let found = self.look_up(position, ticket).await?;
        let (took, hops, mut path, times) = (began.elapsed(), found.hops, found.path, found.took);
        if path.last() != Some(&found.owner.name) {
            path.push(found.owner.name.clone());
        }
        let explained = path.iter().take(STEPS_EXPLAINED_MAX).map(|name| self.report_of(name));
        let (reports, copies) = join(join_all(explained), self.copies_at(key, &found.owner)).await;
        let way = WayFound { size, position, hops, path: &path, took, times: &times };
        Ok(TraceBody::new(&way, &reports, copies))
    }

    async fn report_of(&self, name: &NodeName) -> Result<ReportBody, SeenAs> {
        if *name == self.me.name { Ok(self.report()) } else { ask_once(self, name).await }
    }

    async fn copies_at(self: &Arc<Self>, key: &Key, owner: &Peer) -> CopiesBody {
        let position = key.position(self.ring.size);
        let mut keepers = vec![owner.name.clone()];
        let others = self.keepers_for(owner).await;
        let are_known = others.is_some();
        keepers.extend(
            others.unwrap_or_default().into_iter().filter(|name| *name != owner.name).take(COPIES_MAX - 1),
        );
        let copies = join_all(keepers.into_iter().map(|name| self.copy_at(name, key, position))).await;
        let do_agree = are_known
            && copies.iter().all(|copy| {
                let first = copies.first().map(|first| (first.has, &first.version));
                copy.has != CopyState::Unknown && Some((copy.has, &copy.version)) == first
            });
        CopiesBody::new(position.to_string(), NodeBody::from(owner), copies, do_agree)
    }

    /// Those that an owner has chosen, by its own word; `None` if it does not say.
    async fn keepers_for(&self, owner: &Peer) -> Option<Vec<NodeName>> {
        if owner.name == self.me.name {
            return Some(self.records.status().copies_at);
        }
        let report = ask_once(self, &owner.name).await.ok()?;
        Some(report.copies_at.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn copy_at(&self, name: NodeName, key: &Key, position: Position) -> CopyBody {
        let before = self.ring.size.distance(Position::from(1), position);
        let request = PeerRequest::List { range: Range { after: before, up_to: position }, cursor: None };
        let peer = self.peer(name);
        let answer = self.ask_for_list(&peer, request).await;
        let (has, version) = match answer.map(|answer| answer.body) {
            Ok(AnswerBody::Listed { headers, next, .. }) => {
                match headers.iter().find(|header| header.key == *key) {
                    Some(header) => {
                        let has =
                            if header.is_live(now_ms()) { CopyState::Value } else { CopyState::Deleted };
                        (has, Some(header.version.to_string()))
                    }
                    None if next.is_none() => (CopyState::Nothing, None),
                    None => (CopyState::Unknown, None), // So many keys lie at one position on a tiny ring only.
                }
            }
            Ok(_) | Err(_) => (CopyState::Unknown, None),
        };
        CopyBody::new(peer.name.to_string(), has, version)
    }
}
