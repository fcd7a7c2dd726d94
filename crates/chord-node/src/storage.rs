//! Storage: where a node keeps its records, and what it finds there when it starts again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chord_disk::{DamagePolicy, DiskStore, Identity, OpenError, Options};
use chord_kv::{MemoryStore, Store};
use chord_ring::{NodeName, RingTag};

use crate::Limits;
use crate::beginning::Past;
use crate::shared::{Shared, Stage};

/// When what was written is safe from a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Syncing {
    /// Before it is acknowledged. Many writes share one sync of the disk.
    #[default]
    Always,
    /// Some time after it was acknowledged, at most so long. A node that is killed, or whose machine loses power, loses what
    /// came since; the other nodes have copies.
    Interval(Duration),
}

/// What a node does with a file of records that is damaged as a whole, gone or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDamage {
    /// Sets it aside, begins a new one with whatever can be read of it, and says so: other nodes have copies.
    #[default]
    SetAside,
    /// Does not start, and leaves it as it is: for a node that has the only copy.
    Refuse,
}

/// Pause after the neighbours have changed before their names are written down: a ring that changes, changes again soon.
const REMEMBER_PAUSE: Duration = Duration::from_secs(1);

/// Pause between two looks whether anything was found damaged.
const DAMAGE_PAUSE: Duration = Duration::from_secs(5);

/// A data directory, and how it is used.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    pub(crate) sync: Syncing,
    pub(crate) on_damage: OnDamage,
}

/// Where records are kept.
pub(crate) enum Storage {
    Memory(Arc<MemoryStore>),
    Disk(Arc<DiskStore>),
}

impl Storage {
    /// Opens the directory, which may take a second for each million records, or begins in memory.
    pub(crate) async fn open(
        dir: Option<&DataDir>,
        me: &NodeName,
        ring: &RingTag,
        limits: &Limits,
    ) -> Result<Self, OpenError> {
        let Some(dir) = dir else {
            return Ok(Self::Memory(Arc::new(MemoryStore::new(ring.size, limits.store_bytes))));
        };
        let identity =
            Identity { ring: ring.name.as_str().to_owned(), size: ring.size, node: me.as_str().to_owned() };
        let options = Options {
            sync: match dir.sync {
                Syncing::Always => chord_disk::Sync::Always,
                Syncing::Interval(interval) => chord_disk::Sync::Interval(interval),
            },
            damage: match dir.on_damage {
                OnDamage::SetAside => DamagePolicy::SetAside,
                OnDamage::Refuse => DamagePolicy::Refuse,
            },
            cache_bytes: limits.cache_bytes,
            pending_bytes_limit: limits.pending_bytes,
            ..Options::new(identity)
        };
        let path = dir.path.clone();
        let disk = blocking(move || DiskStore::open(&path, options)).await?;
        let report = disk.report();
        if report.is_clean() {
            tracing::info!(event = "opened", node = %me, dir = %dir.path.display(), "opened the data directory: {report}");
        } else {
            tracing::warn!(event = "opened-damaged", node = %me, dir = %dir.path.display(), "opened the data directory: {report}");
        }
        Ok(Self::Disk(Arc::new(disk)))
    }

    pub(crate) fn disk(&self) -> Option<Arc<DiskStore>> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(store) => Some(store.clone()),
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Disk(store) => store.clone(),
        }
    }

    /// What an earlier life of this node has left of itself.
    pub(crate) async fn past(&self, me: &NodeName) -> Past {
        let mut names = self.remembered().await;
        if names.first() == Some(me) {
            names.remove(0);
            return if names.is_empty() { Past::Nobody } else { Past::Alone(names) };
        }
        match names.is_empty() {
            true if self.store().usage().records > 0 => Past::Forgotten,
            true => Past::Nobody,
            false => Past::With(names),
        }
    }

    /// The names that were written down.
    async fn remembered(&self) -> Vec<NodeName> {
        let Self::Disk(disk) = self else { return Vec::new() };
        let asked = disk.clone();
        match blocking(move || asked.remembered_peers()).await {
            Ok(peers) => {
                if let Some(damaged) = peers.damaged {
                    tracing::warn!(
                        event = "peers-damaged",
                        "the names of peers were damaged and are set aside as {}",
                        damaged.display()
                    );
                }
                peers.names.iter().filter_map(|name| name.parse().ok()).collect()
            }
            Err(error) => {
                tracing::warn!(event = "peers-unread", dir = %disk.dir().display(), "cannot read the names of peers: {error}");
                Vec::new()
            }
        }
    }
}

/// Writes down whom this node knows, until it stops, so that a later life finds its ring again.
pub(crate) async fn remember(shared: Arc<Shared>, disk: Arc<DiskStore>) {
    let mut known = shared.acquaintances.subscribe();
    known.mark_changed(); // It may be in a ring already.
    loop {
        tokio::select! {
            biased; // What is known at the end is written down too.
            changed = known.changed() => if changed.is_err() { return },
            () = shared.reached(Stage::Closing) => return,
        }
        let names = known.borrow_and_update().clone();
        if names.is_empty() {
            continue;
        }
        let is_alone = |names: &[NodeName]| names.first() == Some(&shared.me.name);
        let was_alone = is_alone(&names);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let (disk, dir) = (disk.clone(), disk.dir().to_path_buf());
        if let Err(error) = blocking(move || disk.remember_peers(&names)).await {
            tracing::warn!(event = "peers-unwritten", dir = %dir.display(), "cannot write down the names of peers: {error}");
        }
        let mut company = shared.acquaintances.subscribe();
        tokio::select! {
            () = tokio::time::sleep(REMEMBER_PAUSE) => {}
            // Whether it may found a ring again must be right whenever it ends.
            _ = company.wait_for(|names| is_alone(names) != was_alone) => {}
            () = shared.reached(Stage::Closing) => {}
        }
    }
}

/// Closes the store, whoever still holds it: what was acknowledged before it was on the disk is there then.
pub(crate) async fn close(shared: &Shared) {
    let Some(disk) = shared.disk.clone() else { return };
    let dir = disk.dir().to_path_buf();
    if let Err(error) = blocking(move || disk.seal()).await {
        tracing::error!(event = "close-failed", dir = %dir.display(), "closing the data directory: {error}");
    }
}

/// Until the node stops, says what turns out damaged on its disk.
pub(crate) async fn report_damage(shared: Arc<Shared>, disk: Arc<DiskStore>) {
    let mut reported = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(DAMAGE_PAUSE) => {}
            () = shared.reached(Stage::Closing) => return,
        }
        let set_aside = disk.statistics().set_aside;
        if set_aside > reported {
            let (node, dir) = (&shared.me.name, disk.dir().display());
            tracing::error!(event = "records-damaged", %node, %dir, "{}; other nodes have copies, and this disk may be failing", disk.damaged());
            reported = set_aside;
        }
    }
}

/// Runs what waits for a disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl DataDir {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), sync: Syncing::default(), on_damage: OnDamage::default() }
    }
}
