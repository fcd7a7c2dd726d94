//! The budget for what clients send, and for what they have asked for and not read yet: all that is large of it, all
//! connections together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::clients::{Client, Rationed, Visit};
use crate::shared::Shared;

/// The budget is counted in these bytes.
pub(crate) const BUDGET_UNIT: usize = 1024;

/// What is smaller than so many units needs no share: all connections together cannot keep much with it.
const SMALL_UNITS: usize = 16;

/// While less than this is left of the budget, a connection of a client has one request under way at a time: what is small needs no
/// share, and many connections with many small requests each would be much.
const SCARCE_UNITS: usize = 64;

/// What a small request beside others of its connection takes, beside its bytes.
const BESIDE_UNITS: usize = 2;

/// Why an answer is not told.
pub(super) const UNREAD: &str = "the answers that clients of this node have not read yet are as many bytes as its limit allows, for all of them or for one address: read them, or try again later";

/// Nothing is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Spent {
    /// Of that of all connections.
    #[error("this node is receiving as many bytes as its limit allows: try again later")]
    OfAll,
    /// Of what one client may have.
    #[error("{}", Rationed::Bytes.sentence())]
    OfClient,
}

/// Nothing is left of the budget for an answer: it is not told, and can be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{UNREAD}")]
pub(super) struct Unread;

/// One request's part of the budget, for as long as this is kept.
pub(super) struct Share {
    shared: Arc<Shared>,
    /// Whose it is, where one client may not have all.
    client: Option<Arc<Client>>,
    n_units: usize,
}

impl Share {
    /// None yet.
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        let is_limited = shared.limits.client_bytes > 0;
        let visit = if is_limited { Visit::here() } else { None };
        Self { shared: shared.clone(), client: visit.map(|visit| visit.client.clone()), n_units: 0 }
    }

    /// The part for so many bytes; none is needed if they are few.
    pub(super) fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Option<Self>, Spent> {
        if !Self::is_needed(bytes) {
            return Ok(None);
        }
        let mut share = Self::of(shared);
        share.fit(bytes)?;
        Ok(Some(share))
    }

    /// The part of an answer of so many bytes; none is needed if they are few.
    pub(super) fn of_answer(shared: &Arc<Shared>, bytes: usize) -> Result<Option<Self>, Unread> {
        Self::take(shared, bytes).map_err(|_| Unread)
    }

    /// Whether so little is left that no connection should begin another request beside one that is under way.
    pub(super) fn is_scarce(shared: &Shared) -> bool {
        shared.body_budget.available_permits() < SCARCE_UNITS
    }

    /// The part of a small request that is under way beside others of its connection; none where little is left.
    pub(super) fn beside(shared: &Arc<Shared>, bytes: usize) -> Option<Self> {
        let mut share = Self::of(shared);
        let has_room =
            !Self::is_scarce(shared) && share.fit_units(bytes / BUDGET_UNIT + BESIDE_UNITS).is_ok();
        has_room.then_some(share)
    }

    /// Makes it the part for the answer to such a request, if there is room.
    pub(super) fn answered(&mut self, bytes: usize) {
        let _ = self.fit_units(bytes / BUDGET_UNIT + BESIDE_UNITS);
    }

    /// Whether so many bytes need one.
    pub(super) const fn is_needed(bytes: usize) -> bool {
        bytes / BUDGET_UNIT >= SMALL_UNITS
    }

    /// Makes it the part for so many bytes. If there is no room for them, it stays as it was, and whoever wanted it is told so:
    /// it counts as refused.
    pub(super) fn fit(&mut self, bytes: usize) -> Result<(), Spent> {
        let fitted = self.fit_if_there_is_room(bytes);
        if let (Err(Spent::OfClient), Some(client)) = (fitted, &self.client) {
            self.shared.clients.refuse(client, Rationed::Bytes);
        }
        fitted
    }

    /// The same for what is told, or waits, whether or not there is room.
    pub(super) fn fit_if_there_is_room(&mut self, bytes: usize) -> Result<(), Spent> {
        self.fit_units(if Self::is_needed(bytes) { bytes / BUDGET_UNIT } else { 0 })
    }

    fn fit_units(&mut self, n_units: usize) -> Result<(), Spent> {
        if let Some(more) = n_units.checked_sub(self.n_units).filter(|more| *more > 0) {
            self.take_more(more)?;
        } else {
            self.give_back(self.n_units - n_units);
        }
        self.n_units = n_units;
        Ok(())
    }

    fn take_more(&self, more: usize) -> Result<(), Spent> {
        let Shared { limits, body_budget, .. } = &*self.shared;
        if let Some(client) = &self.client {
            let limit = limits.client_bytes / BUDGET_UNIT;
            if !client.take(more, limit) {
                return Err(Spent::OfClient);
            }
        }
        if let Some(permits) =
            u32::try_from(more).ok().and_then(|more| body_budget.try_acquire_many(more).ok())
        {
            permits.forget();
            return Ok(());
        }
        if let Some(client) = &self.client {
            client.give_back(more);
        }
        Err(Spent::OfAll)
    }

    fn give_back(&self, n_units: usize) {
        self.shared.body_budget.add_permits(n_units);
        if let Some(client) = &self.client {
            client.give_back(n_units);
        }
    }

    /// These bytes, with which it is kept until they are sent.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

/// Bytes of an answer, and their part of the budget until they are sent.
struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes of an answer that can be asked for again, with their part of the budget if they are many.
pub(super) fn held(shared: &Arc<Shared>, bytes: Bytes) -> Result<Bytes, Unread> {
    Ok(match Share::of_answer(shared, bytes.len())? {
        Some(share) => share.hold(bytes),
        None => bytes,
    })
}

/// The part of the budget that pictures of the ring may have together, which nobody has to have: enough for some dozens of a
/// ring of two hundred nodes by the default, so that those who look and do not read leave room for those who ask.
const PICTURES_PART: usize = 8;

/// Bytes of a picture of the ring, with their part of the budget and of what pictures may have of it. One alone may have more.
pub(super) fn held_picture(shared: &Arc<Shared>, bytes: Bytes) -> Result<Bytes, Unread> {
    let Some(share) = Share::of_answer(shared, bytes.len())? else { return Ok(bytes) };
    let (len, limit) = (bytes.len(), shared.limits.bodies_bytes / PICTURES_PART);
    let of_pictures = &shared.crawler.unread_bytes;
    let fits = |unread: usize| (unread == 0 || unread + len <= limit).then_some(unread + len);
    of_pictures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Unread)?;
    let shared = shared.clone();
    Ok(Bytes::from_owner(HeldPicture { held: Held { bytes, _share: share }, shared }))
}

/// Bytes of a picture that is not read yet.
struct HeldPicture {
    held: Held,
    shared: Arc<Shared>,
}

impl AsRef<[u8]> for HeldPicture {
    fn as_ref(&self) -> &[u8] {
        &self.held.bytes
    }
}

impl Drop for HeldPicture {
    fn drop(&mut self) {
        self.shared.crawler.unread_bytes.fetch_sub(self.held.bytes.len(), Ordering::Relaxed);
    }
}

/// Bytes that are told whatever is left of the budget, since some of them are told nowhere else: what a change has found.
pub(super) fn held_if_there_is_room(shared: &Arc<Shared>, bytes: Bytes) -> Bytes {
    let mut share = Share::of(shared);
    let has_room = share.fit_if_there_is_room(bytes.len()).is_ok();
    if has_room && share.n_units > 0 { share.hold(bytes) } else { bytes }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share of {} KiB", self.n_units)
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.n_units == other.n_units
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.n_units);
    }
}
