//! What clients saw, held against what they did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chord_kv::replication::{Before, Change, Condition, Consistency, Expiry, Operation, OperationError};
use chord_kv::{Key, Value, Version};

use super::client::{Kind, key, kind, n_keys};
use super::{Class, DataBroken, DataRule, DataRun, Lost};
use crate::data::history::{Deed, History, Lapse, Loss, Saw};
use crate::data::listing::Listing;
use crate::world::{Action, ActionId, Keeping, Time, TourId, World};

/// What clients did to one key and saw of it.
#[derive(Default)]
struct Story {
    deeds: Vec<Deed>,
    saws: Vec<Saw>,
    /// What was read when everything was mended.
    last: Vec<Saw>,
    /// Whether tours have listed it.
    glances: Vec<Glance>,
    last_glances: Vec<Glance>,
    /// What changes found, and which.
    founds: Vec<(Saw, usize)>,
    /// Whether the outcome of a change is not known.
    has_unknown: bool,
}

/// Whether a tour has listed a key.
#[derive(Clone, Debug)]
struct Glance {
    is_listed: bool,
    began: Time,
    ended: Time,
}

/// Which reads are judged together, and what may be lost on them.
struct Sitting<'a> {
    kind: Kind,
    /// Whether a change whose outcome is unknown may come back over later ones.
    is_open_ended: bool,
    /// Whether several may have changed the key at once, or a change may have come back, so that some of a list is lost.
    is_loose: bool,
    losses: &'a [Loss],
}

impl DataRun {
    pub(super) fn check_histories(
        &mut self,
        last: &[ActionId],
        last_tours: &[TourId],
    ) -> Result<(), DataBroken> {
        self.count();
        self.count_tours(last_tours);
        let mut stories = self.stories(last);
        self.add_glances(&mut stories, last_tours);
        for idx in 0..n_keys(&self.plan) {
            let name = key(idx);
            let Some(story) = stories.remove(&name) else { continue };
            self.passed.n_acknowledged += story.deeds.iter().filter(|deed| deed.is_acknowledged).count();
            let is_rough = self.plan.class == Class::Rough;
            let is_skewed = self.plan.class == Class::Skewed;
            let mut sitting = Sitting {
                kind: kind(&self.plan, idx),
                is_open_ended: is_skewed,
                is_loose: is_rough || (is_skewed && story.has_unknown),
                losses: &self.losses,
            };
            let told = |(rule, why)| self.broken(rule, &format!("{name:?}: {why}"));
            // While things are rough, a node that is cut off may answer from its past.
            if !is_rough {
                let all: Vec<Saw> = story.saws.iter().chain(&story.last).cloned().collect();
                sitting.judge(&story.deeds, &all, &story.glances).map_err(told)?;
                sitting.judge_founds(&story.deeds, &all, &story.founds).map_err(told)?;
            }
            // In the end every disk is back; but what was built meanwhile on what there was stays without it.
            if self.plan.keeping == Keeping::Disk && sitting.kind == Kind::Register {
                sitting.losses = &[];
            }
            sitting.judge(&story.deeds, &story.last, &story.last_glances).map_err(told)?;
            self.passed.n_beyond += sitting.n_beyond(&story.deeds);
            // What may be lost is judged again as if it might not: that tells what is.
            sitting.losses = &[];
            if let Err((_, why)) = sitting.judge(&story.deeds, &story.last, &story.last_glances) {
                self.passed.lost.push(Lost { key: format!("{name:?}"), why });
            }
            self.passed.n_reads += story.last.len() + if is_rough { 0 } else { story.saws.len() };
        }
        Ok(())
    }

    fn count_tours(&mut self, last: &[TourId]) {
        let n_before = self.world.tours().len() - last.len();
        let marks = &mut self.passed.marks;
        for touring in &self.world.tours()[..n_before] {
            match touring.ended {
                Some((_, Some(Ok(())))) => marks.tours += 1,
                Some(_) | None => marks.tours_failed += 1,
            }
            marks.pages_merged += touring.merged;
        }
    }

    /// What tours say of each key that somebody did something to.
    fn add_glances(&self, stories: &mut BTreeMap<Key, Story>, last: &[TourId]) {
        let n_before = self.world.tours().len() - last.len();
        for (number, touring) in self.world.tours().iter().enumerate() {
            let Some((ended, Some(Ok(())))) = &touring.ended else { continue };
            for (key, story) in &mut *stories {
                let is_listed = touring.keys.contains(key);
                let glance = Glance { is_listed, began: touring.began, ended: *ended };
                let glances = if number < n_before { &mut story.glances } else { &mut story.last_glances };
                glances.push(glance);
            }
        }
    }

    fn count(&mut self) {
        for action in self.world.actions() {
            let marks = &mut self.passed.marks;
            let Some((_, Ok(outcome))) = &action.ended else {
                self.passed.n_uncertain += 1;
                match action.ended {
                    Some((_, Err(OperationError::Store(_)))) => marks.stores_failed += 1,
                    Some((_, Err(OperationError::ConditionFailed { .. }))) => marks.conditions_failed += 1,
                    Some(_) | None => {}
                }
                continue;
            };
            let Operation::Change { change, condition, expiry } = &action.wish.operation else { continue };
            let is_item = matches!(change, Change::Append(_)) || matches!(condition, Condition::Version(_));
            marks.items_added += usize::from(is_item);
            marks.mortals_written += usize::from(*expiry != Expiry::Never);
            let is_on_one = action.wish.consistency == Consistency::One && outcome.copies == 1;
            marks.written_to_one += usize::from(is_on_one && self.plan.replicas > 1);
        }
    }

    fn stories(&self, last: &[ActionId]) -> BTreeMap<Key, Story> {
        let last: BTreeSet<u32> = last.iter().map(|id| id.0).collect();
        let versions = written_versions(self.world.actions());
        let mut stories: BTreeMap<Key, Story> = BTreeMap::new();
        for (number, action) in self.world.actions().iter().enumerate() {
            let story = stories.entry(action.wish.key.clone()).or_default();
            let is_last = u32::try_from(number).is_ok_and(|number| last.contains(&number));
            let saws = if is_last { &mut story.last } else { &mut story.saws };
            saws.extend(saw(action, &versions));
            if let Some(mut deed) = deed(action) {
                deed.expiry = expiry(action).map(|at_ms| self.lapse(at_ms));
                story.has_unknown |= !deed.is_acknowledged;
                story.founds.extend(found(action).map(|found| (found, story.deeds.len())));
                story.deeds.push(deed);
            }
        }
        stories
    }

    /// When something goes that expires at that time by somebody's clock: whoever owns it then has another one perhaps.
    fn lapse(&self, at_ms: u64) -> Lapse {
        let skews = || self.plan.skews_ms.iter().copied().chain([0]);
        let shifted = |skew_ms: i64| World::time_at(at_ms.saturating_add_signed(-skew_ms));
        Lapse {
            earliest: shifted(skews().max().unwrap_or(0)),
            latest: shifted(skews().min().unwrap_or(0)).after(Duration::from_millis(1)),
        }
    }
}

impl Sitting<'_> {
    fn judge(&self, deeds: &[Deed], saws: &[Saw], glances: &[Glance]) -> Result<(), (DataRule, String)> {
        let mut deeds = deeds.to_vec();
        self.note_what_was_seen(&mut deeds, saws);
        for deed in &mut deeds {
            deed.doubt(self.losses);
        }
        for glance in glances {
            self.judge_glance(&deeds, glance).map_err(|why| (DataRule::ListsAll, why))?;
        }
        match self.kind {
            Kind::Register => {
                let history = History { deeds, is_open_ended: self.is_open_ended };
                for saw in saws {
                    history.judge(saw).map_err(|why| (DataRule::NothingLost, why))?;
                }
                history.judge_order(saws).map_err(|why| (DataRule::NothingGoesBack, why))
            }
            Kind::Counter if self.is_loose => Ok(()),
            Kind::Counter => judge_counter(&deeds, saws).map_err(|why| (DataRule::NothingMiscounted, why)),
            Kind::List | Kind::Chain => {
                let listing = Listing { deeds };
                let judged = saws.iter().try_for_each(|saw| {
                    listing.judge_items(saw)?;
                    if self.is_loose { Ok(()) } else { listing.judge_whole(saw) }
                });
                let together = || if self.is_loose { Ok(()) } else { listing.judge_together(saws) };
                judged.and_then(|()| together()).map_err(|why| (DataRule::NothingMisplaced, why))
            }
        }
    }

    /// What a change says that it found is what a read would have seen, had there not been that change.
    fn judge_founds(
        &self,
        deeds: &[Deed],
        saws: &[Saw],
        founds: &[(Saw, usize)],
    ) -> Result<(), (DataRule, String)> {
        if self.kind != Kind::Register {
            return Ok(());
        }
        let mut deeds = deeds.to_vec();
        self.note_what_was_seen(&mut deeds, saws);
        for deed in &mut deeds {
            deed.doubt(self.losses);
        }
        let mut history = History { deeds, is_open_ended: self.is_open_ended };
        for (found, by) in founds {
            let own = history.deeds.swap_remove(*by);
            let judged = history.judge(found);
            history.deeds.push(own);
            let last = history.deeds.len() - 1;
            history.deeds.swap(*by, last);
            judged.map_err(|why| (DataRule::FindsWhatWasThere, why))?;
        }
        Ok(())
    }

    /// How many acknowledged changes may be lost.
    fn n_beyond(&self, deeds: &[Deed]) -> usize {
        let mut deeds: Vec<Deed> = deeds.iter().filter(|deed| deed.is_acknowledged).cloned().collect();
        for deed in &mut deeds {
            deed.doubt(self.losses);
        }
        deeds.iter().filter(|deed| deed.in_doubt_since.is_some()).count()
    }

    /// A key that is not listed was read as absent at some moment of the tour; one that is, as something.
    fn judge_glance(&self, deeds: &[Deed], glance: &Glance) -> Result<(), String> {
        let Glance { is_listed, began, ended } = *glance;
        let saw = |value: Option<String>| Saw { value, began, ended };
        let deeds = deeds.to_vec();
        let judged = match self.kind {
            Kind::Register => {
                let history = History { deeds, is_open_ended: self.is_open_ended };
                let mut values = history.deeds.iter().filter_map(|deed| deed.value.clone());
                if !is_listed {
                    history.judge(&saw(None))
                } else if values.any(|value| history.judge(&saw(Some(value))).is_ok()) {
                    Ok(())
                } else {
                    Err("nothing can have been there".to_owned())
                }
            }
            Kind::Counter | Kind::List | Kind::Chain if self.is_loose || is_listed => Ok(()),
            Kind::Counter => judge_counter(&deeds, &[saw(None)]),
            Kind::List | Kind::Chain => Listing { deeds }.judge_whole(&saw(None)),
        };
        let listed = if is_listed { "was listed" } else { "was not listed" };
        judged.map_err(|why| format!("it {listed} from {began} to {ended} s: {why}"))
    }

    fn note_what_was_seen(&self, deeds: &mut [Deed], saws: &[Saw]) {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        places.extend(deeds.iter().enumerate().filter_map(|(idx, deed)| Some((deed.value.clone()?, idx))));
        for saw in saws {
            let text = saw.value.as_deref().unwrap_or_default();
            for item in text.split_whitespace().filter(|_| self.kind != Kind::Counter) {
                if let Some(idx) = places.get(item) {
                    deeds[*idx].seen_by(saw);
                }
            }
        }
    }
}

/// Each read saw no fewer increments than were acknowledged before, and no more than had begun.
fn judge_counter(deeds: &[Deed], saws: &[Saw]) -> Result<(), String> {
    for saw in saws {
        let least = deeds.iter().filter(|deed| deed.binds(saw)).count();
        let most = deeds.iter().filter(|deed| deed.began <= saw.ended).count();
        let count = saw.value.as_deref().map_or(Some(0), |text| text.parse().ok());
        if !count.is_some_and(|count| (least..=most).contains(&count)) {
            let at = saw.began;
            return Err(format!("it is {:?} at {at} s, after {least} to {most} increments", saw.value));
        }
    }
    Ok(())
}

/// Whether an error says that nothing changed.
fn is_definite(error: &OperationError) -> bool {
    !matches!(error, OperationError::Uncertain | OperationError::TooFewCopies { .. })
}

/// The change that an action was, if it may have taken effect.
fn deed(action: &Action) -> Option<Deed> {
    let Operation::Change { change, .. } = &action.wish.operation else { return None };
    let value = match change {
        Change::Set(value) => text(value).split_whitespace().next_back().map(str::to_owned),
        Change::Append(item) => Some(text(item).trim_end().to_owned()),
        Change::Delete | Change::Add(_) | Change::Keep => None,
    };
    let is_deletion = *change == Change::Delete;
    // Whatever the owner says: only its client's wish lets a write be acknowledged, or seen, that one of several has.
    let fewest = if action.wish.consistency == Consistency::One { 1 } else { 2 };
    let (ended, is_acknowledged, copies) = match &action.ended {
        // A deletion that found nothing is a look; but an earlier attempt at it may have found something.
        Some((at, Ok(outcome))) if is_deletion && outcome.copies == 0 => (*at, false, fewest),
        Some((at, Ok(outcome))) => (*at, true, outcome.copies.max(fewest)),
        Some((_, Err(error))) if is_definite(error) => return None,
        Some((at, Err(_))) => (*at, false, fewest),
        None => return None,
    };
    Some(Deed { value, began: action.began, ended, is_acknowledged, copies, ..Deed::default() })
}

/// When what an action wrote is to go.
fn expiry(action: &Action) -> Option<u64> {
    match action.wish.operation {
        Operation::Change { change: Change::Set(_), expiry: Expiry::At(at_ms), .. } => Some(at_ms),
        Operation::Change { .. } | Operation::Get => None,
    }
}

/// What was written or read under each version.
fn written_versions(actions: &[Action]) -> BTreeMap<(Key, Version), Value> {
    let outcomes = actions.iter().filter_map(|action| action.ended.as_ref()?.1.as_ref().ok());
    let records = outcomes.filter_map(|outcome| outcome.record.as_ref());
    records.filter_map(|record| Some(((record.key.clone(), record.version), record.value.clone()?))).collect()
}

/// What an action saw, if it changed nothing.
fn saw(action: &Action, versions: &BTreeMap<(Key, Version), Value>) -> Option<Saw> {
    let (ended, result) = action.ended.as_ref()?;
    let is_deletion = matches!(action.wish.operation, Operation::Change { change: Change::Delete, .. });
    let value = match result {
        Ok(outcome) if action.wish.operation == Operation::Get || (is_deletion && outcome.copies == 0) => {
            outcome.record.as_ref().and_then(|record| record.value.as_ref())
        }
        Err(OperationError::ConditionFailed { found: None }) => None,
        Err(OperationError::ConditionFailed { found: Some(version) }) => {
            Some(versions.get(&(action.wish.key.clone(), *version))?)
        }
        Ok(_) | Err(_) => return None,
    };
    // One item, or all those of a list.
    let value = value.map(|value| text(value).trim_end().to_owned());
    Some(Saw { value, began: action.began, ended: *ended })
}

/// What a change says that was there before.
fn found(action: &Action) -> Option<Saw> {
    let (ended, Ok(outcome)) = action.ended.as_ref()? else { return None };
    let value = match &outcome.before {
        _ if outcome.copies == 0 => return None, // It changed nothing: it is a look.
        Before::Nothing => None,
        Before::Unknown => return None,
        Before::Record(record) => record.value.as_ref().map(|value| text(value).trim_end().to_owned()),
    };
    Some(Saw { value, began: action.began, ended: *ended })
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
