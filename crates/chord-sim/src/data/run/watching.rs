//! Clients that watch keys while things go wrong: each change is seen once, or it is said that something was missed.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_kv::replication::{Filter, Happened, Operation, Seen, WatchId};
use chord_kv::{Key, Version};
use chord_ring::{Phase, RingSize};
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::client::{key, n_keys};
use super::{Class, DataBroken, DataRule, DataRun, WATCH};
use crate::data::history::{Deed, Loss};
use crate::world::{Action, HostId, Time};

/// Pause between two clients that begin to watch.
const PAUSE: Duration = Duration::from_secs(3);

/// A client that watches through a host for as long as that runs.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    host: HostId,
    id: WatchId,
    filter: Filter,
    began: Time,
    /// In which life of the host.
    life: u32,
}

/// A change that was acknowledged.
struct Acknowledged {
    version: Version,
    began: Time,
    ended: Time,
}

/// What is known of one key that is watched.
#[derive(Default)]
struct Last {
    change: Option<(Version, Happened)>,
    /// When it was said last that something may have been missed: all that was under way or over then may have been.
    missed_at: Option<Time>,
}

impl DataRun {
    pub(super) fn begin_watching(&mut self) {
        if self.is_over {
            return;
        }
        self.world.set_alarm(PAUSE, WATCH);
        let is_up =
            |host: &HostId| self.world.phase(*host) == Some(Phase::Member) && !self.world.is_asleep(*host);
        let Some(host) = self.world.hosts().filter(is_up).choose(&mut self.watching_random) else { return };
        let number = self.watchings.len() as u64;
        let filter = if self.watching_random.random_bool(0.7) {
            Filter::Key(key(self.watching_random.random_range(0..n_keys(&self.plan))))
        } else {
            Filter::Prefix(Vec::new())
        };
        let id = WatchId(number);
        let (began, life) = (self.world.now(), self.world.life(host));
        self.watchings.push(Watching { host, id, filter: filter.clone(), began, life });
        self.world.watch(host, id, filter);
    }

    /// Holds what those were told who watched against what was acknowledged.
    pub(super) fn check_watches(&mut self) -> Result<(), DataBroken> {
        if self.plan.class != Class::Steady {
            return Ok(());
        }
        let mut acknowledged: BTreeMap<Key, Vec<Acknowledged>> = BTreeMap::new();
        let changes =
            self.world.actions().iter().filter_map(|action| acknowledged_change(action, &self.losses));
        for (key, change) in changes {
            acknowledged.entry(key).or_default().push(change);
        }
        for changes in acknowledged.values_mut() {
            changes.sort_by_key(|change| change.version);
        }
        for watching in self.watchings.clone() {
            let told = self.check_watch(&watching, &acknowledged);
            told.map_err(|why| {
                let name = self.world.name(watching.host);
                self.broken(DataRule::NothingUnseen, &format!("{:?} through {name}: {why}", watching.filter))
            })?;
        }
        Ok(())
    }

    fn check_watch(
        &mut self,
        watching: &Watching,
        acknowledged: &BTreeMap<Key, Vec<Acknowledged>>,
    ) -> Result<(), String> {
        let size = RingSize::new(16).map_err(|error| error.to_string())?;
        let is_its = |at: Time, host: HostId, id: WatchId| {
            host == watching.host && id == watching.id && at >= watching.began
        };
        let seen: Vec<(Time, Seen)> = self
            .world
            .seen()
            .iter()
            .filter(|(at, host, id, _)| is_its(*at, *host, *id))
            .map(|(at, _, _, seen)| (*at, seen.clone()))
            .collect();
        let began = seen.iter().find(|(_, seen)| *seen == Seen::Watching).map(|(at, _)| *at);
        let runs_still =
            self.world.node(watching.host).is_some() && self.world.life(watching.host) == watching.life;
        let Some(began) = began else {
            return if runs_still { Err("it never began".to_owned()) } else { Ok(()) };
        };
        let none = Vec::new();
        let mut lasts: BTreeMap<&Key, Last> = BTreeMap::new();
        for key in acknowledged.keys().filter(|key| watching.filter.is_about(key)) {
            lasts.insert(key, Last::default());
        }
        for (at, seen) in &seen {
            match seen {
                Seen::Watching => {}
                Seen::Missed(range) => {
                    self.passed.marks.missed += 1;
                    let hit = lasts.iter_mut().filter(|(key, _)| range.contains(key.position(size)));
                    hit.for_each(|(_, last)| last.missed_at = Some(*at));
                }
                Seen::Changed(notice) => {
                    self.passed.marks.seen += 1;
                    let last = lasts.entry(&notice.key).or_default();
                    let change = (notice.version, notice.happened);
                    if last.change.is_some_and(|last| last >= change) {
                        return Err(format!("at {at} s it saw {notice:?} after {:?}", last.change));
                    }
                    let changes = acknowledged.get(&notice.key).unwrap_or(&none);
                    check_gap(changes, began, last, Some(notice.version))
                        .map_err(|why| format!("before {at} s {:?}: {why}", notice.key))?;
                    last.change = Some(change);
                }
            }
        }
        for (key, last) in lasts.iter().filter(|_| runs_still) {
            let changes = acknowledged.get(*key).unwrap_or(&none);
            check_gap(changes, began, last, None).map_err(|why| format!("in the end {key:?}: {why}"))?;
        }
        Ok(())
    }
}

/// What was acknowledged between two changes that were seen was said to be missed.
fn check_gap(
    changes: &[Acknowledged],
    began: Time,
    last: &Last,
    next: Option<Version>,
) -> Result<(), String> {
    let is_between = |change: &&Acknowledged| {
        change.began > began
            && last.change.is_none_or(|(version, _)| version < change.version)
            && next.is_none_or(|next| change.version < next)
    };
    let may_be_missed = |change: &Acknowledged| last.missed_at.is_some_and(|at| change.began <= at);
    match changes.iter().filter(is_between).find(|change| !may_be_missed(change)) {
        Some(unseen) => Err(format!(
            "{}, written from {} to {} s, was neither seen nor said to be missed after it began; {:?} was seen before it, and the last miss was said at {:?}",
            unseen.version, unseen.began, unseen.ended, last.change, last.missed_at
        )),
        None => Ok(()),
    }
}

/// What an operation changed, unless all who had it may have ended before they told anybody.
fn acknowledged_change(action: &Action, losses: &[Loss]) -> Option<(Key, Acknowledged)> {
    let Some((ended, Ok(outcome))) = &action.ended else { return None };
    let Operation::Change { .. } = &action.wish.operation else { return None };
    let version = outcome.record.as_ref()?.version;
    let (began, ended, copies) = (action.began, *ended, outcome.copies);
    let mut deed = Deed { began, ended, is_acknowledged: true, copies, ..Deed::default() };
    deed.doubt(losses);
    if !deed.is_firm() {
        return None;
    }
    let acknowledged = Acknowledged { version, began, ended };
    Some((action.wish.key.clone(), acknowledged))
}
