//! The budget for what clients send, and for what they have asked for and not read yet: all that is large of it, all
//! connections together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::shared::Shared;

/// The budget is counted in these bytes.
pub(crate) const BUDGET_UNIT: usize = 1024;

/// What is smaller than so many units needs no share: all connections together cannot keep much with it.
const SMALL_UNITS: usize = 16;

/// Why an answer is not told.
pub(super) const UNREAD: &str = "the answers that clients of this node have not read yet are as many bytes as its limit allows: read them, or try again later";

/// Nothing is left of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node is receiving as many bytes as its limit allows: try again later")]
pub(super) struct Spent;

/// Nothing is left of the budget for an answer: it is not told, and can be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{UNREAD}")]
pub(super) struct Unread;

/// One request's part of the budget, for as long as this is kept.
pub(super) struct Share {
    shared: Arc<Shared>,
    n_units: usize,
}

impl Share {
    /// None yet.
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), n_units: 0 }
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

    /// Whether so many bytes need one.
    pub(super) const fn is_needed(bytes: usize) -> bool {
        bytes / BUDGET_UNIT >= SMALL_UNITS
    }

    /// Makes it the part for so many bytes. If there is no room for them, it stays as it was.
    pub(super) fn fit(&mut self, bytes: usize) -> Result<(), Spent> {
        let n_units = if Self::is_needed(bytes) { bytes / BUDGET_UNIT } else { 0 };
        if let Some(more) = n_units.checked_sub(self.n_units).filter(|more| *more > 0) {
            let more = u32::try_from(more).map_err(|_| Spent)?;
            self.shared.body_budget.try_acquire_many(more).map_err(|_| Spent)?.forget();
        } else {
            self.shared.body_budget.add_permits(self.n_units - n_units);
        }
        self.n_units = n_units;
        Ok(())
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
    held(shared, bytes.clone()).unwrap_or(bytes)
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
        self.shared.body_budget.add_permits(self.n_units);
    }
}
